/// Consecutive fires that ended without an attempt, for one reason. Extends the job's newest
/// ledger entry when that is a range of the same reason.
public struct FireRange: Hashable, Sendable {
    public var reason: NoRunReason
    public var first: Instant
    public var last: Instant
    public var count: Int64
    public init(reason: NoRunReason, first: Instant, last: Instant, count: Int64) {
        self.reason = reason
        self.first = first
        self.last = last
        self.count = count
    }
}
