import JobCore
import JobStore

/// One ended attempt, as far as an overview shows it.
public struct RecentAttempt: Hashable, Sendable {
    public var run: RunID
    public var outcome: Outcome
    public var finishedAt: Instant
    /// nil: it never started.
    public var duration: Duration?
    /// Of its start against the fire time.
    public var lateness: Duration?
    public init(run: RunID, outcome: Outcome, finishedAt: Instant, duration: Duration?, lateness: Duration?) {
        self.run = run
        self.outcome = outcome
        self.finishedAt = finishedAt
        self.duration = duration
        self.lateness = lateness
    }
}

/// How a job's last attempts ended, and since when it has been failing. Pure.
struct RecentAttempts {
    /// Attempts kept.
    static let limit = 20

    /// Oldest first.
    private(set) var attempts: [RecentAttempt] = []
    /// End of the first failure after the last success; nil: the last decisive attempt was none.
    private(set) var failingSince: Instant?
    /// The newest success that is remembered.
    private(set) var lastSuccess: Instant?

    var outcomes: [Outcome] { attempts.map(\.outcome) }

    /// `run` as it stands after an attempt of it has ended; others count for nothing.
    mutating func add(_ run: RunRecord) {
        guard let outcome = run.outcome, let finishedAt = run.finishedAt else { return }
        let started = run.startedAt
        attempts.append(
            RecentAttempt(
                run: run.id, outcome: outcome, finishedAt: finishedAt, duration: started.map { max(.zero, finishedAt - $0) },
                lateness: started.map { max(.zero, $0 - run.fireTime) }))
        if attempts.count > Self.limit { attempts.removeFirst() }
        switch outcome {
        case .succeeded, .nothingToDo:
            failingSince = nil
            lastSuccess = finishedAt
        case _ where outcome.isFailure: failingSince = failingSince ?? finishedAt
        // Neither says whether the job works.
        default: break
        }
    }

    /// `runs` of the ledger, whoever ran them: what is not known yet takes its place in time.
    /// → Whether there was any.
    mutating func merge(_ runs: [RunRecord]) -> Bool {
        let known = attempts
        var ledger = RecentAttempts()
        for run in runs { ledger.add(run) }
        let news = ledger.attempts.filter { attempt in !known.contains { $0.run == attempt.run && $0.finishedAt == attempt.finishedAt } }
        guard !news.isEmpty else { return false }
        let all = (known + news).sorted { ($0.finishedAt, $0.run) < ($1.finishedAt, $1.run) }
        // It may have been failing since before the oldest of them.
        var since = failingSince.flatMap { since in all.first.map { since < $0.finishedAt } == true ? since : nil }
        for attempt in all {
            if attempt.outcome.isSuccess {
                since = nil
                lastSuccess = max(lastSuccess ?? attempt.finishedAt, attempt.finishedAt)
            } else if attempt.outcome.isFailure {
                since = since ?? attempt.finishedAt
            }
        }
        failingSince = since
        attempts = all.suffix(Self.limit)
        return true
    }
}

private extension Outcome {
    var isSuccess: Bool { self == .succeeded || self == .nothingToDo }
}
