// The closed vocabularies of a run. Raw values are what stores, the API and logs carry:
// never renamed. DESIGN's glossary is the meaning of each.

/// Where a run is in its life. `docs/ARCHITECTURE.md` has the diagram.
public enum RunState: String, Codable, CaseIterable, Sendable {
    /// Waits for its time: an enqueued run with a delay, a snoozed run. → available
    case scheduled
    /// May start as soon as there is room. → running, or skipped/cancelled
    case available
    /// An attempt is claimed or under way: it has an owner, a fence and a lease.
    case running
    /// Waits out the backoff before its next attempt. → available
    case retryable
    // Terminal states, kept until retention removes them.
    case succeeded
    case cancelled
    /// Attempts exhausted, or failed for good. The "dead letter".
    case discarded
    /// Ended without an attempt: refused by overlap, breaker, pause, calendar.
    case skipped
    /// Ended without an attempt: older than the catch-up window, or not chosen by the policy.
    case missed

    public var isTerminal: Bool {
        switch self {
        case .scheduled, .available, .running, .retryable: false
        case .succeeded, .cancelled, .discarded, .skipped, .missed: true
        }
    }
}

/// How one attempt ended.
public enum Outcome: String, Codable, CaseIterable, Sendable {
    case succeeded
    /// A success that found nothing to do.
    case nothingToDo = "nothing_to_do"
    /// Failed for good: no retry.
    case failed
    /// Failed, transient: the retry policy decides.
    case retry
    /// The plugin asked to run again at a time of its choosing; costs no attempt.
    case snoozed
    case cancelled
    case timedOut = "timed_out"
    case crashed
    /// The owner died: nobody knows how far the attempt came.
    case lost

    /// Counts against the job.
    public var isFailure: Bool {
        switch self {
        case .failed, .retry, .timedOut, .crashed, .lost: true
        case .succeeded, .nothingToDo, .snoozed, .cancelled: false
        }
    }
}

/// Why a run exists.
public enum Trigger: String, Codable, CaseIterable, Sendable {
    case schedule
    case catchUp = "catch_up"
    case manual
    case enqueued
    case backfill
    case retryOf = "retry_of"
    /// `on_start = true`: once when the host starts.
    case start
    /// `after = "other-job"`: the other job's run succeeded.
    case after
}

/// What happens to a due run when the job's concurrency is already used up.
public enum OverlapPolicy: String, Codable, CaseIterable, Sendable {
    case skip, queue, allow
}

public enum CatchUpPolicy: String, Codable, CaseIterable, Sendable {
    case skip, latest, all
}

/// Why due times ended without an attempt. One range row holds consecutive fires of one reason.
public enum NoRunReason: String, Codable, CaseIterable, Sendable {
    // skipped
    case overlap, breaker, paused, calendar
    /// A pre-claimed fire whose job was disabled, removed or changed before its instant.
    case disabled, reload
    /// An enqueued run that nobody had begun when its time was over.
    case expired
    // missed
    /// Older than the catch-up window.
    case window
    /// Inside the window, but the policy (`skip`, `latest`, the cap of `all`) did not choose it.
    case policy
    /// The wall clock jumped over it.
    case clock

    /// The state of the ledger entry that carries this reason.
    public var state: RunState {
        switch self {
        case .overlap, .breaker, .paused, .calendar, .disabled, .reload, .expired: .skipped
        case .window, .policy, .clock: .missed
        }
    }
}

/// Identity of a run in its store: positive, ascending, never reused.
public struct RunID: Hashable, Comparable, Codable, Sendable, CustomStringConvertible {
    public var value: Int64
    public init(_ value: Int64) { self.value = value }
    /// No run's: those of the ledger are positive.
    public static let none = RunID(0)
    public static func < (a: RunID, b: RunID) -> Bool { a.value < b.value }
    public var description: String { String(value) }
    public init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(Int64.self)
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}
