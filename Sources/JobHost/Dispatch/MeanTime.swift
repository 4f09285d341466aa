import JobCore

/// How long attempts take of late: an exponentially weighted mean. Pure.
struct MeanTime {
    /// As much as is claimed ahead of the workers where the store answers soon: long enough to hide a commit, too
    /// short for anybody to wait for. (Where it takes longer: `ClaimPace`.)
    static let moment = Duration.milliseconds(20)

    private var mean: Duration?

    /// The wall clock may have been set during the run: nonsense is not learnt from.
    mutating func observe(_ run: Duration) {
        guard run >= .zero, run <= .seconds(86_400) else { return }
        mean = mean.map { .microseconds(($0.microseconds * 7 + run.microseconds) / 8) } ?? run
    }

    /// Beyond doubt: so that nothing is claimed ahead and given back by turns.
    var isLong: Bool { mean.map { $0 >= Self.moment * 5 } ?? false }

    /// How many attempts, one after the other, are the work of `moment`; nil: not even the shortest moment has several,
    /// or none is known.
    func fitting(in moment: Duration) -> Int64? {
        guard let mean, mean < Self.moment else { return nil }
        return moment.microseconds / max(mean.microseconds, 1)
    }

    /// How many to claim for each place of a job's concurrency: from 1 to 64 for every 20 ms.
    func ahead(in moment: Duration) -> Int { Int(min(fitting(in: moment) ?? 1, 64 * moment.microseconds / Self.moment.microseconds)) }
}

/// How long the store takes to answer claims of waiting runs of late, and so how much work is claimed ahead: what the
/// workers do until the answer after the next one. Pure.
struct ClaimPace {
    /// More than that a host that dies would keep from the others for nothing.
    static let longest = Duration.milliseconds(100)

    private var asked: MonotonicInstant?
    private var mean: Duration?

    mutating func ask(_ now: MonotonicInstant) { asked = now }

    /// `isClaim`: something was claimed; that nothing waits costs no commit.
    mutating func answer(isClaim: Bool, _ now: MonotonicInstant) {
        defer { asked = nil }
        guard isClaim, let asked, now >= asked else { return }
        let took = min(now - asked, .seconds(60))
        mean = mean.map { .microseconds(($0.microseconds * 3 + took.microseconds) / 4) } ?? took
    }

    var moment: Duration { min(max((mean ?? .zero) * 2, MeanTime.moment), Self.longest) }
}
