/// A market's own time, milliseconds since 1970 UTC. It never goes back, and never past the real clock.
struct MarketClock: Hashable, Sendable {
    let now: Int64

    init(_ now: Int64) { self.now = now }

    /// After a tick of `step`. A market that has caught up with the real clock walks beside it.
    func after(_ step: Int64, real: Int64) -> Int64 {
        let (next, overflow) = now.addingReportingOverflow(max(0, step))
        return min(overflow ? .max : next, max(now, real))
    }
}
