import JobConfig
import JobCore
import JobStore

/// What the dispatcher wants done, gathered over one turn so that each kind goes out as one
/// batch.
struct DispatchActions {
    var claims: [FireClaim] = []
    var moves: [CursorMove] = []
    /// Waiting runs to claim: at the most so many of each job.
    var waiting: [String: Int] = [:]
    var starts: [AttemptRequest] = []
    /// Of those that were sent ahead.
    var takeBacks: [RunID] = []
    var refusals: [Refusal] = []
    /// To be given back, unattempted.
    var releases: [HeldClaim] = []
    var completions: [(job: String, Completion)] = []
    var cancels: [(run: RunID, reason: CancelReason)] = []
    /// Workers that a pool will need within the pre-claim lead.
    var prewarm: [String: Int] = [:]
    var notes: [DispatchNote] = []
    /// The next instant at which the dispatcher wants a tick; nil: none.
    var wakeAt: Instant?
}

/// Something an operator should be able to read.
struct DispatchNote {
    enum Kind: Equatable {
        case ended(Outcome, RunState)
        /// It moved by itself, to this mode.
        case breaker(Breaker.Mode)
        /// Another host left it in this mode: whoever moved it there has put that on record.
        case adoptedBreaker(Breaker.Mode)
        case skipped(NoRunReason)
        case missed(NoRunReason)
        case badSettings
        case rewound
        /// Of a run that another one enqueued.
        case badEnqueue
    }
    var kind: Kind
    var job: String
    var run: RunID?
    var text: String
    /// Of an end: the row that it leaves.
    var record: Shared<RunRecord>?
}
