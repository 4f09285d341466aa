import JobCore

/// Whether the store answers, as its users find out. The log hears once when it goes away, once
/// of each further kind of problem, and once when it is back; health has the newest. Pure.
struct StoreHealth {
    /// Kinds of problem that one outage tells of.
    static let mostKinds = 5

    /// As the store said it last; nil: it answers.
    private(set) var problem: String?
    /// Results that wait to be written.
    private(set) var unwritten = 0
    private var since = MonotonicInstant(microseconds: 0)
    private var failedAt = MonotonicInstant(microseconds: 0)
    private var failures = 0
    private var mostUnwritten = 0
    private var told: Set<String> = []

    /// The line for the log; nil: it has been said.
    mutating func failed(_ text: String, now: MonotonicInstant) -> String? {
        defer { problem = text }
        if problem == nil {
            (since, failures, mostUnwritten, told) = (now, 0, unwritten, [])
        }
        failures += 1
        failedAt = now
        guard told.count < Self.mostKinds, told.insert(text).inserted else { return nil }
        if problem == nil { return "the store does not answer: \(text); nothing new starts, results are kept" }
        return "the store still does not answer, now: \(text)"
    }

    /// The line for the log; nil: it had not been away, or the answer is to a question from before it went.
    mutating func answered(asked: MonotonicInstant, now: MonotonicInstant) -> String? {
        guard problem != nil, asked >= failedAt else { return nil }
        problem = nil
        let calls = failures == 1 ? "1 call" : "\(failures) calls"
        let kept = switch mostUnwritten {
        case 0: "no result had to be kept"
        case 1: "1 result that was kept is recorded now"
        default: "\(mostUnwritten) results that were kept are recorded now"
        }
        return "the store answers again after \(brief(now - since)): \(calls) had failed, \(kept)"
    }

    mutating func keeps(_ results: Int) {
        unwritten += results
        if problem != nil { mostUnwritten = max(mostUnwritten, unwritten) }
    }

    mutating func wrote(_ results: Int) { unwritten -= results }
}
