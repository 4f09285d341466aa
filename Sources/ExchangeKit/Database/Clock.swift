import Glibc

/// The one place where plugins read a clock; tests put their own hands in.
public struct ExchangeClock: Sendable {
    /// Milliseconds since 1970 UTC.
    public var now: @Sendable () -> Int64
    /// Milliseconds on a clock that nobody sets: for measuring how long something took.
    public var elapsed: @Sendable () -> Int64

    public init(now: @escaping @Sendable () -> Int64, elapsed: @escaping @Sendable () -> Int64) {
        self.now = now
        self.elapsed = elapsed
    }

    public static let system = ExchangeClock(
        now: { read(CLOCK_REALTIME) }, elapsed: { read(CLOCK_MONOTONIC) })

    /// Stands still.
    public static func fixed(_ now: Int64) -> ExchangeClock { ExchangeClock(now: { now }, elapsed: { 0 }) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}
