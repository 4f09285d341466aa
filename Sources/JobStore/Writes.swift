import JobCore

// What is written: claims, cursors, ends of attempts, new runs.

public struct FireClaim: Hashable, Sendable {
    public var job: String
    public var fireTime: Instant
    public var trigger: Trigger
    public var priority: Int
    public var maxAttempts: Int
    public var generation: Int64
    public var leaseUntil: Instant
    /// nil: the job has no cursor yet.
    public var expectedCursor: Instant?
    public var newCursor: Instant
    public var scheduleText: String
    /// Fires that this claim leaves behind (missed, skipped), recorded in the same transaction.
    public var ranges: [FireRange]
    /// true: waits in `available` instead of being claimed (overlap = queue, breaker's waiting).
    public var waits: Bool
    /// Attempts of the job that may be under way on other hosts and this one, together; nil: any
    /// number. Where there is no room, a fire that is still to come is refused as if somebody had
    /// been faster; a due one becomes a run that waits, or the overlap is recorded.
    public var room: Int?
    /// Fires on time of the job that this host knows to wait: they are in `room` already. nil: this one may wait,
    /// whatever other hosts have.
    public var waiting: Int?
    /// Without room a due fire waits, if no other does.
    public var queuesBehind = false
    /// The due time counts from the end of runs, of which `lastFinished` is the newest that this host
    /// knows: refused where the store knows a newer one, or one under way.
    public var isRelative = false
    public var lastFinished: Instant?
    /// The newest attempt whose state this host has; nil: the job keeps none.
    public var stateFence: Int64?
    /// Of the entry that the attempt executes; nil: not known. Kept with the run: whether a lost one may be tried again
    /// is to be known where its library is not there.
    public var isIdempotent: Bool?
    public init(
        job: String, fireTime: Instant, trigger: Trigger, priority: Int = 0, maxAttempts: Int = 1,
        generation: Int64 = 0, leaseUntil: Instant, expectedCursor: Instant?, newCursor: Instant,
        scheduleText: String, ranges: [FireRange] = [], waits: Bool = false
    ) {
        self.job = job
        self.fireTime = fireTime
        self.trigger = trigger
        self.priority = priority
        self.maxAttempts = maxAttempts
        self.generation = generation
        self.leaseUntil = leaseUntil
        self.expectedCursor = expectedCursor
        self.newCursor = newCursor
        self.scheduleText = scheduleText
        self.ranges = ranges
        self.waits = waits
    }
}

public struct ClaimedRun: Hashable, Sendable {
    public var id: RunID
    public var job: String
    public var trigger: Trigger
    public var fireTime: Instant
    /// From 1.
    public var attempt: Int
    public var maxAttempts: Int
    public var fence: Int64
    public var priority: Int
    public var idempotencyKey: String
    public var payload: [UInt8]
    /// The job's state, where another host's attempt has left a newer one.
    public var state: KeptState?
    /// When it was counted towards its job's rate; nil: it was not.
    public var taken: Instant?
    /// From when on it is not started any more; nil: it may whenever.
    public var expiresAt: Instant?
    /// What it is given back by.
    public var held: HeldClaim { HeldClaim(run: id, job: job, fence: fence, taken: taken.map { .at($0) } ?? .never) }
    public init(
        id: RunID, job: String, trigger: Trigger, fireTime: Instant, attempt: Int, maxAttempts: Int,
        fence: Int64, priority: Int, idempotencyKey: String, payload: [UInt8]
    ) {
        self.id = id
        self.job = job
        self.trigger = trigger
        self.fireTime = fireTime
        self.attempt = attempt
        self.maxAttempts = maxAttempts
        self.fence = fence
        self.priority = priority
        self.idempotencyKey = idempotencyKey
        self.payload = payload
    }
}

/// A claim that ends without an attempt, and why.
public struct Refusal: Hashable, Sendable {
    public var claim: HeldClaim
    public var reason: NoRunReason
    public init(_ claim: HeldClaim, _ reason: NoRunReason) {
        self.claim = claim
        self.reason = reason
    }
}

/// A fire that became a run and waits for its first attempt.
public struct WaitingFire: Hashable, Sendable {
    public var run: RunID
    public var job: String
    public var trigger: Trigger
    public init(run: RunID, job: String, trigger: Trigger) {
        self.run = run
        self.job = job
        self.trigger = trigger
    }
}

public struct CursorMove: Hashable, Sendable {
    public var job: String
    public var expectedCursor: Instant?
    public var newCursor: Instant
    public var scheduleText: String
    public var ranges: [FireRange]
    /// A move backward (clock rewind) must say so; it is audited.
    public var rewind: Bool
    public init(
        job: String, expectedCursor: Instant?, newCursor: Instant, scheduleText: String,
        ranges: [FireRange] = [], rewind: Bool = false
    ) {
        self.job = job
        self.expectedCursor = expectedCursor
        self.newCursor = newCursor
        self.scheduleText = scheduleText
        self.ranges = ranges
        self.rewind = rewind
    }
}

/// The end of one attempt and everything that commits with it.
public struct Completion: Sendable {
    public var run: RunID
    /// The run's; empty: the store looks it up.
    public var job = ""
    public var fence: Int64
    public var outcome: Outcome
    /// Terminal state, or retryable / scheduled (snooze).
    public var state: RunState
    /// When a retryable or snoozed run is due again.
    public var availableAt: Instant?
    /// That instant stands whatever clock the host has; else what counts is the time from `finishedAt` to it.
    public var isInstantNamed = false
    /// false: the attempt is not counted (snoozed).
    public var countsAttempt: Bool = true
    public var startedAt: Instant?
    public var finishedAt: Instant
    public var pid: Int32 = 0
    public var libraryHash: String = ""
    /// One sentence: why it failed, what was done.
    public var reason: String = ""
    public var code: Int32 = 0
    public var items: UInt64 = 0
    public var cpu: Duration = .zero
    public var stateBlob: StateWrite?
    public var enqueues: [NewRun] = []
    /// The breaker as this outcome leaves it; nil: unchanged.
    public var breaker: BreakerWrite?
    /// adaptive interval or fixed-delay due time, persisted with the cursor row.
    public var adaptiveInterval: Duration?
    public init(run: RunID, fence: Int64, outcome: Outcome, state: RunState, finishedAt: Instant) {
        self.run = run
        self.fence = fence
        self.outcome = outcome
        self.state = state
        self.finishedAt = finishedAt
    }

    /// Nothing that its run's row has already decides what it leaves there: the row need not be looked at.
    var isSelfContained: Bool { state.isTerminal && countsAttempt && !job.isEmpty }

    /// It ends a run for good and changes nothing that other transactions change or count on: it needs no lock but
    /// that of its run. (That a run no longer runs takes nothing from those who count the running ones.)
    var isAlone: Bool {
        state.isTerminal && stateBlob == nil && enqueues.isEmpty && breaker == nil && adaptiveInterval == nil
    }

    public struct StateWrite: Hashable, Sendable {
        public var version: UInt32
        public var bytes: [UInt8]
        public init(version: UInt32, bytes: [UInt8]) {
            self.version = version
            self.bytes = bytes
        }
    }
}

/// A run to be inserted.
public struct NewRun: Hashable, Sendable {
    public var job: String
    public var trigger: Trigger
    /// Nominal instant: when it becomes due.
    public var fireTime: Instant
    public var payload: [UInt8] = []
    public var uniqueKey: String?
    /// nil: `uniqueKey`, else the run's own id.
    public var idempotencyKey: String?
    public var priority: Int = 0
    public var maxAttempts: Int = 1
    public var retryOf: RunID?
    /// From when on it is not started any more; nil: whenever there is room.
    public var expiresAt: Instant?
    public init(job: String, trigger: Trigger, fireTime: Instant) {
        self.job = job
        self.trigger = trigger
        self.fireTime = fireTime
    }
}

public struct InboxResult: Sendable {
    public var runs: [RunRecord]
    public var refused: [(id: Int64, job: String, reason: String)]
    /// As many rows were looked at as was allowed.
    public var mayHaveMore = false
    public init(runs: [RunRecord] = [], refused: [(id: Int64, job: String, reason: String)] = []) {
        self.runs = runs
        self.refused = refused
    }
}

/// What may be taken from the inbox at once.
public struct InboxTake: Sendable {
    public var jobs: [String: InboxRule]
    /// Rows.
    public var limit: Int
    public init(jobs: [String: InboxRule], limit: Int) {
        self.jobs = jobs
        self.limit = limit
    }
}

/// What a run from the inbox takes from the config of its job.
public struct InboxRule: Sendable {
    /// From 1.
    public var maxAttempts: Int
    /// How long after it was due, or came, a run may be started whose row says nothing of it; nil: whenever.
    public var expiresAfter: Duration?
    /// Why the entry does not accept a payload; nil: it does. Called on the store's thread with
    /// valid JSON, or nothing.
    public var problem: @Sendable (_ payload: [UInt8]) -> String?
    public init(
        maxAttempts: Int = 1, expiresAfter: Duration? = nil, problem: @escaping @Sendable (_ payload: [UInt8]) -> String? = { _ in nil }
    ) {
        self.maxAttempts = maxAttempts
        self.expiresAfter = expiresAfter
        self.problem = problem
    }
}
