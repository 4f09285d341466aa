import JobCore

/// Waits between tries to start workers: 100 ms, doubling to a longest wait, forgotten when
/// one succeeds.
struct SpawnBackoff: Hashable, Sendable {
    static let first: Duration = .milliseconds(100)
    static let longest: Duration = .seconds(30)

    private(set) var failures = 0
    private(set) var until = MonotonicInstant(microseconds: .min)

    func isBlocked(_ now: MonotonicInstant) -> Bool { now < until }

    mutating func fail(_ now: MonotonicInstant, longest: Duration = Self.longest) {
        let doublings = min(failures, 20)
        failures = min(failures + 1, 1_000_000)
        let wait = Duration.microseconds(Self.first.microseconds.saturatingMultiply(1 << Int64(doublings)))
        until = now + min(wait, longest)
    }

    mutating func succeed() {
        failures = 0
        until = MonotonicInstant(microseconds: .min)
    }
}

/// How long a job's runs have been of late: only short ones may be pipelined.
struct RecentRuns: Hashable, Sendable {
    /// A run is short below this.
    static let short: Duration = .milliseconds(20)
    /// What no run is below, with its frames: a batch is bounded in time also where clocks read 0.
    static let least: Duration = .microseconds(20)
    /// … unless it is gathered behind others, with which it shares what frames cost.
    static let leastBehindOthers: Duration = .microseconds(5)
    /// A run that took this long kept others waiting that had been gathered behind it …
    static let lasting: Duration = .milliseconds(1)
    /// … and so many others have to end before any are again.
    static let penance = 16
    private var average: Int64 = 0
    /// Which a few that took far longer, since something else had the processor, move little.
    private var typical: Int64 = 0
    private var samples = 0
    private var penance = 0

    /// What the next one is expected to take; nil: not a short time, or not known yet.
    var shortTime: Duration? {
        guard samples >= 3, average < Self.short.microseconds else { return nil }
        return max(.microseconds(average), Self.least)
    }

    /// What the next one will take behind others, most likely; nil: it may well last, or that is not known yet.
    var briefTime: Duration? {
        guard samples >= 3, penance == 0 else { return nil }
        return max(.microseconds(typical), Self.leastBehindOthers)
    }

    /// A moving average that follows a change within a few runs.
    mutating func add(_ duration: Duration) {
        let sample = max(0, min(duration.microseconds, 1_000_000_000))
        average = samples == 0 ? sample : (3 * average + sample) / 4
        typical = samples == 0 ? sample : sample <= typical ? (typical + sample) / 2 : min(sample, 2 * typical + Self.least.microseconds)
        penance = duration >= Self.lasting ? Self.penance : max(0, penance - 1)
        samples = min(samples + 1, 3)
    }
}
