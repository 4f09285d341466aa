import JobCore

/// How many attempts ended, and how many of those as failures.
struct AttemptCount: Equatable {
    var ended: Int64 = 0
    var failed: Int64 = 0

    init(ended: Int64 = 0, failed: Int64 = 0) { (self.ended, self.failed) = (ended, failed) }

    /// By outcome, as the store's counters have it.
    init(_ counters: [String: Int64]) {
        for outcome in Outcome.allCases {
            let count = counters[outcome.rawValue] ?? 0
            ended += count
            if outcome.isFailure { failed += count }
        }
    }

    mutating func add(_ other: AttemptCount) {
        ended += other.ended
        failed += other.failed
    }

    mutating func count(_ outcome: Outcome?) {
        ended += 1
        if outcome?.isFailure == true { failed += 1 }
    }
}

/// Attempts of a job that ended on other hosts, out of what all hosts count together in the store. Pure.
struct EndsElsewhere {
    /// The most that was seen; nil: nothing has been read yet.
    private var seen: AttemptCount?

    /// → What ended elsewhere since the last call; nil: nothing. At the first call, which does not know what
    /// of it is new, zeros.
    mutating func hear(ofAll total: AttemptCount, here: AttemptCount) -> AttemptCount? {
        let elsewhere = AttemptCount(ended: total.ended - here.ended, failed: total.failed - here.failed)
        guard let before = seen else {
            seen = elsewhere
            return elsewhere.ended > 0 ? AttemptCount() : nil
        }
        // What ended here is counted here at once, in the store a moment later: then there seem to be less.
        seen = AttemptCount(ended: max(before.ended, elsewhere.ended), failed: max(before.failed, elsewhere.failed))
        guard elsewhere.ended > before.ended else { return nil }
        return AttemptCount(ended: elsewhere.ended - before.ended, failed: max(0, elsewhere.failed - before.failed))
    }
}
