/// At most so many attempts of a job in any span of this length.
public struct RateLimit: Hashable, Sendable {
    /// At least 1.
    public var runs: Int
    /// Positive.
    public var per: Duration
    public init(runs: Int, per: Duration) {
        self.runs = runs
        self.per = per
    }
}
