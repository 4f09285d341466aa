import JobCore

/// How long attempts take of late: an exponentially weighted mean. Pure.
struct MeanTime {
    /// As much as may be claimed ahead of the workers: long enough to hide a commit, too short for anybody to
    /// wait for.
    static let moment = Duration.milliseconds(20)

    private var mean: Duration?

    /// The wall clock may have been set during the run: nonsense is not learnt from.
    mutating func observe(_ run: Duration) {
        guard run >= .zero, run <= .seconds(86_400) else { return }
        mean = mean.map { .microseconds(($0.microseconds * 7 + run.microseconds) / 8) } ?? run
    }

    /// How many attempts, one after the other, a moment's work are; nil: one alone is more, or none is known.
    var fitting: Int64? {
        guard let mean, mean < Self.moment else { return nil }
        return Self.moment.microseconds / max(mean.microseconds, 1)
    }

    /// How many to claim for each place of a job's concurrency, 1 to 64.
    var ahead: Int { Int(min(fitting ?? 1, 64)) }
}
