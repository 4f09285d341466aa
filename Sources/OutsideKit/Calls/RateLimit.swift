import JobCore

/// At most `burst` calls at once and `calls` in each `per` on average.
public struct RateLimit: Hashable, Sendable {
    public var calls: Int
    public var per: Duration
    public var burst: Int

    /// `calls` and `burst` below 1 count as 1.
    public init(calls: Int, per: Duration, burst: Int? = nil) {
        self.calls = max(1, calls)
        self.per = max(per, .zero)
        self.burst = max(1, burst ?? calls)
    }

    public static let none = RateLimit(calls: 1, per: .zero)

    /// Microseconds from one call to the next.
    var interval: Int64 { per.microseconds / Int64(calls) }
    /// How far the schedule may run ahead of the clock.
    var tolerance: Int64 { interval.saturatingMultiply(Int64(burst - 1)) }
}

/// The generic cell rate algorithm (ITU-T I.371): one instant is the whole memory.
struct Pace: Hashable, Sendable {
    /// When the next call would be due, were they evenly spread.
    var due: Instant?

    /// nil: go, it is counted; otherwise when to ask again.
    mutating func take(_ limit: RateLimit, now: Instant) -> Instant? {
        guard limit.interval > 0 else { return nil }
        // Never further ahead than a full burst: the clock may have been set back.
        let furthest = now + .microseconds(limit.tolerance.saturatingAdd(limit.interval))
        let next = min(max(due ?? now, now), furthest)
        let allowed = next - .microseconds(limit.tolerance)
        if allowed > now { return allowed }
        due = next + .microseconds(limit.interval)
        return nil
    }
}
