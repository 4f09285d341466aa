/// Exponential backoff. The delay before attempt n+1 is
/// `initial · multiplier^(n−1)`, at most `max`, then spread by ± `jitter` of itself.
public struct RetryPolicy: Hashable, Sendable {
    /// Attempts in all, the first included. 1: no retry.
    public var maxAttempts: Int = 4
    public var initial: Duration = .milliseconds(300)
    public var max: Duration = .seconds(2)
    public var multiplier: Double = 2
    /// 0 … 1.
    public var jitter: Double = 0.1
    public init(
        maxAttempts: Int = 4, initial: Duration = .milliseconds(300), max: Duration = .seconds(2),
        multiplier: Double = 2, jitter: Double = 0.1
    ) {
        self.maxAttempts = maxAttempts
        self.initial = initial
        self.max = max
        self.multiplier = multiplier
        self.jitter = jitter
    }
}

extension RetryPolicy {
    /// How long to wait after attempt `afterAttempt` (from 1) has ended, before the next one.
    ///
    /// `initial · multiplier^(afterAttempt−1)`, at most `max`, then spread evenly over
    /// ± `jitter` of itself; so a jittered delay may exceed `max` by that share. In whole
    /// microseconds, never negative. The same seed and attempt give the same delay: callers
    /// seed with the run, so that runs that failed together do not come back together.
    ///
    /// Values out of range do not trap: a multiplier below 1 (or not a number) counts as 1,
    /// a jitter is held within 0 … 1, negative durations count as zero.
    public func delay(afterAttempt attempt: Int, seed: UInt64) -> Duration {
        let first = Double(Swift.max(0, initial.microseconds))
        let ceiling = Double(Swift.max(0, max.microseconds))
        let exponent = UInt64(attempt > 1 ? attempt - 1 : 0)
        // A zero first delay stays zero however infinite the factor has become.
        let grown = first == 0 ? 0 : first * Self.power(multiplier >= 1 ? multiplier : 1, exponent)
        let base = Swift.min(grown, ceiling)

        let spread = jitter > 0 ? Swift.min(jitter, 1) : 0
        guard spread > 0 else { return .microseconds(Self.wholeMicroseconds(base)) }
        var generator = SeededGenerator(seed: seed ^ (exponent &+ 1) &* 0xD6E8_FEB8_6659_FD93)
        let factor = 1 + spread * (2 * generator.nextFraction() - 1)
        return .microseconds(Self.wholeMicroseconds(base * factor))
    }

    /// By squaring: exact as long as the result is (2ⁿ up to 2¹⁰²³), infinite beyond.
    private static func power(_ base: Double, _ exponent: UInt64) -> Double {
        var result = 1.0
        var square = base
        var rest = exponent
        while rest > 0 {
            if rest & 1 == 1 { result *= square }
            square *= square
            rest >>= 1
        }
        return result
    }

    private static func wholeMicroseconds(_ value: Double) -> Int64 {
        value < 0x1p63 ? Int64(value.rounded()) : .max
    }
}
