import Glibc
import JobCore

/// The machine's clocks. CLOCK_MONOTONIC, which waiting is measured on too.
public struct SystemTime: TimeSource {
    public init() {}

    public func now() -> Now {
        Now(
            wall: Instant(microseconds: read(CLOCK_REALTIME)),
            monotonic: MonotonicInstant(microseconds: read(CLOCK_MONOTONIC)))
    }

    private func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec).saturatingMultiply(1_000_000).saturatingAdd(Int64(time.tv_nsec) / 1_000)
    }
}
