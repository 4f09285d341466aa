import JobCore

/// Everything the host keeps: runs, ledger ranges, cursors, breakers, controls, state blobs,
/// audit. In the words of DESIGN; one conformance suite runs against every implementation.
///
/// Every method is one transaction, durable when it returns. Methods may be called from any
/// task at once; implementations queue them and commit several together. A batch is all or
/// nothing unless its comment says that each element succeeds or fails alone.
/// Errors: `StoreError`. `now` is passed in; a store on a server may use that server's clock
/// for leases.
public protocol Store: Sendable {
    // MARK: Claims, starts and ends of attempts

    /// A due fire becomes a run that is claimed by this host: the row and the cursor's move in
    /// one transaction. Each element succeeds or fails alone; `nil`: the cursor was not where
    /// `expectedCursor` says (somebody was faster, or the schedule was edited).
    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) async throws -> [ClaimedRun?]
    /// Moves cursors without a run: ranges of skipped and missed fires, first appearances,
    /// edits. Each alone; false: compare-and-set failed.
    func moveCursors(_ moves: [CursorMove], now: Instant) async throws -> [Bool]
    /// Claims waiting runs (available, or due scheduled/retryable), best first: effective
    /// priority (priority plus one for every minute of waiting), then age. `limits` gives how many of each job
    /// at the most; jobs that are not in it are left alone.
    func claimWaiting(limits: [String: Int], owner: Owner, now: Instant) async throws -> [ClaimedRun]
    /// A claimed run that was never started goes back to `available` (scheduled fires too:
    /// their attempt is not counted).
    func releaseClaims(_ runs: [RunID], owner: Owner, now: Instant) async throws
    /// A claimed run ends without an attempt (the check at the instant refused it).
    func refuseClaims(_ refusals: [(run: RunID, reason: NoRunReason)], owner: Owner, now: Instant) async throws
    /// Attempts that ended. Guarded by fence: false where the attempt no longer belongs to this
    /// owner (its late result is refused). Everything in a completion commits together.
    func complete(_ completions: [Completion], now: Instant) async throws -> [Bool]
    /// Renews the leases of all running attempts of `owner`.
    func renewLeases(owner: Owner, until: Instant) async throws
    /// Fires that wait (trigger `schedule` or `catch_up`) and were never attempted, due up to
    /// `horizon`: what an earlier life of the host had queued.
    func waitingFires(upTo horizon: Instant) async throws -> [WaitingFire]
    /// Runs in `running` that belong to `owner` from an earlier life of this host (`owner.epoch`
    /// differs): for the start-up rescue.
    func orphans(host: String, currentEpoch: String) async throws -> [RunRecord]

    // MARK: Enqueueing and operators

    /// Inserts a run that waits. With a unique key that a live (not terminal) run of the job
    /// has: returns that run, `inserted == false`.
    func enqueue(_ requests: [NewRun], now: Instant) async throws -> [(run: RunRecord, inserted: Bool)]
    /// Rows that other programs inserted into `enqueue_inbox` are turned into runs. Returns
    /// how many, and the rows that were refused (unknown job, invalid JSON) with the reason;
    /// those stay in the inbox marked with it.
    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) async throws -> InboxResult
    /// scheduled/available/retryable → cancelled. false: not waiting.
    func cancelWaiting(_ run: RunID, reason: String, by: Actor, now: Instant) async throws -> Bool
    /// A new run with the payload and idempotency key of a terminal one, trigger `retry_of`.
    func retry(_ run: RunID, by: Actor, now: Instant) async throws -> RunRecord
    /// discarded → removed from the dead letters (state cancelled, reason kept).
    func discardDead(_ run: RunID, by: Actor, now: Instant) async throws -> Bool

    // MARK: Per-job rows

    func jobStates() async throws -> [String: JobStateRow]
    func saveBreaker(job: String, _ breaker: BreakerRow, now: Instant) async throws
    func saveControl(job: String, _ control: ControlRow, by: Actor, action: String, now: Instant) async throws
    func hostControl() async throws -> ControlRow
    func saveHostControl(_ control: ControlRow, by: Actor, action: String, now: Instant) async throws
    func stateBlob(job: String) async throws -> (version: UInt32, bytes: [UInt8])?

    // MARK: Accepted libraries, reloads, workers

    func acceptedLibraries() async throws -> [AcceptedLibrary]
    func saveAcceptedLibrary(_ library: AcceptedLibrary) async throws
    func saveReload(_ reload: ReloadRow) async throws
    func reloads(limit: Int) async throws -> [ReloadRow]
    /// Replaces the record of living workers, for killing survivors after a crash of the supervisor.
    func saveWorkers(_ workers: [WorkerRow], host: String) async throws
    func workers(host: String) async throws -> [WorkerRow]

    // MARK: Reading

    func run(_ id: RunID) async throws -> RunRecord?
    func runs(_ filter: RunFilter) async throws -> [RunRecord]
    func attempts(of run: RunID) async throws -> [AttemptRecord]
    func ranges(job: String?, from: Instant?, to: Instant?, limit: Int) async throws -> [LedgerRange]
    /// Outcomes per job since ever; they outlive the rows.
    func counters() async throws -> [String: [String: Int64]]
    /// Waiting and running counts and the oldest waiting instant per job.
    func queueDepths(now: Instant) async throws -> [String: QueueDepth]
    /// The earliest instant at which a waiting run becomes due; nil: none waits.
    func nextWaiting() async throws -> Instant?
    func audit(limit: Int, job: String?) async throws -> [AuditRow]
    func writeAudit(_ row: AuditRow) async throws

    // MARK: Keeping house

    /// Deletes what each job's retention no longer keeps, at most `limit` rows a call. Returns the ids
    /// deleted (their log files go too).
    func prune(retention: [String: RetentionRule], limit: Int, now: Instant) async throws -> [(job: String, run: RunID)]
    func close() async
}

/// Who owns claims: one life of one host.
public struct Owner: Hashable, Sendable {
    public var host: String
    /// New at every start of the supervisor.
    public var epoch: String
    public init(host: String, epoch: String) {
        self.host = host
        self.epoch = epoch
    }
}

/// Who asked for something: for the audit.
public struct Actor: Hashable, Codable, Sendable {
    /// "root (uid 0)", "system".
    public var name: String
    /// "cli", "http", "signal", "host".
    public var via: String
    public var reason: String
    public init(name: String, via: String, reason: String = "") {
        self.name = name
        self.via = via
        self.reason = reason
    }
    public static let system = Actor(name: "system", via: "host")
}

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
    public var fence: Int64
    public var outcome: Outcome
    /// Terminal state, or retryable / scheduled (snooze) / available (returned, unattempted).
    public var state: RunState
    /// When a retryable, snoozed or returned run is due again.
    public var availableAt: Instant?
    /// false: the attempt is not counted (snoozed, returned).
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
    public var breaker: BreakerRow?
    /// adaptive interval or fixed-delay due time, persisted with the cursor row.
    public var adaptiveInterval: Duration?
    public init(run: RunID, fence: Int64, outcome: Outcome, state: RunState, finishedAt: Instant) {
        self.run = run
        self.fence = fence
        self.outcome = outcome
        self.state = state
        self.finishedAt = finishedAt
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
    public init(job: String, trigger: Trigger, fireTime: Instant) {
        self.job = job
        self.trigger = trigger
        self.fireTime = fireTime
    }
}

public struct InboxResult: Sendable {
    public var runs: [RunRecord]
    public var refused: [(id: Int64, job: String, reason: String)]
    public init(runs: [RunRecord] = [], refused: [(id: Int64, job: String, reason: String)] = []) {
        self.runs = runs
        self.refused = refused
    }
}

/// What a run from the inbox takes from the config of its job.
public struct InboxRule: Sendable {
    /// From 1.
    public var maxAttempts: Int
    /// Why the entry does not accept a payload; nil: it does. Called on the store's thread with
    /// valid JSON, or nothing.
    public var problem: @Sendable (_ payload: [UInt8]) -> String?
    public init(maxAttempts: Int = 1, problem: @escaping @Sendable (_ payload: [UInt8]) -> String? = { _ in nil }) {
        self.maxAttempts = maxAttempts
        self.problem = problem
    }
}

/// A run as the ledger shows it.
public struct RunRecord: Hashable, Codable, Sendable {
    public var id: RunID
    public var job: String
    public var trigger: Trigger
    public var state: RunState
    /// Of the last ended attempt; nil: none has ended.
    public var outcome: Outcome?
    public var fireTime: Instant
    public var availableAt: Instant
    public var createdAt: Instant
    public var startedAt: Instant?
    public var finishedAt: Instant?
    /// Attempts claimed so far.
    public var attempt: Int
    public var maxAttempts: Int
    public var priority: Int
    public var fence: Int64
    public var owner: String
    public var epoch: String
    public var pid: Int32
    public var libraryHash: String
    public var generation: Int64
    public var reason: String
    public var code: Int32
    public var items: UInt64
    public var cpuMicroseconds: Int64
    public var uniqueKey: String?
    public var idempotencyKey: String
    public var retryOf: RunID?
    /// JSON text; "" none.
    public var payload: String
    public init(
        id: RunID, job: String, trigger: Trigger, state: RunState, outcome: Outcome?, fireTime: Instant,
        availableAt: Instant, createdAt: Instant, startedAt: Instant?, finishedAt: Instant?, attempt: Int,
        maxAttempts: Int, priority: Int, fence: Int64, owner: String, epoch: String, pid: Int32,
        libraryHash: String, generation: Int64, reason: String, code: Int32, items: UInt64,
        cpuMicroseconds: Int64, uniqueKey: String?, idempotencyKey: String, retryOf: RunID?, payload: String
    ) {
        self.id = id
        self.job = job
        self.trigger = trigger
        self.state = state
        self.outcome = outcome
        self.fireTime = fireTime
        self.availableAt = availableAt
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.attempt = attempt
        self.maxAttempts = maxAttempts
        self.priority = priority
        self.fence = fence
        self.owner = owner
        self.epoch = epoch
        self.pid = pid
        self.libraryHash = libraryHash
        self.generation = generation
        self.reason = reason
        self.code = code
        self.items = items
        self.cpuMicroseconds = cpuMicroseconds
        self.uniqueKey = uniqueKey
        self.idempotencyKey = idempotencyKey
        self.retryOf = retryOf
        self.payload = payload
    }
}

/// An earlier attempt of a run that was tried again.
public struct AttemptRecord: Hashable, Codable, Sendable {
    public var run: RunID
    public var attempt: Int
    public var outcome: Outcome
    public var startedAt: Instant?
    public var finishedAt: Instant
    public var pid: Int32
    public var libraryHash: String
    public var reason: String
    public var code: Int32
    public init(
        run: RunID, attempt: Int, outcome: Outcome, startedAt: Instant?, finishedAt: Instant, pid: Int32,
        libraryHash: String, reason: String, code: Int32
    ) {
        self.run = run
        self.attempt = attempt
        self.outcome = outcome
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.pid = pid
        self.libraryHash = libraryHash
        self.reason = reason
        self.code = code
    }
}

public struct LedgerRange: Hashable, Codable, Sendable {
    public var job: String
    public var reason: NoRunReason
    public var first: Instant
    public var last: Instant
    public var count: Int64
    public init(job: String, reason: NoRunReason, first: Instant, last: Instant, count: Int64) {
        self.job = job
        self.reason = reason
        self.first = first
        self.last = last
        self.count = count
    }
}

public struct RunFilter: Hashable, Sendable {
    public var job: String?
    public var states: [RunState] = []
    public var outcomes: [Outcome] = []
    public var from: Instant?
    public var to: Instant?
    /// Only the runs that retry this one.
    public var retryOf: RunID?
    /// Newest first, ids below this one (paging).
    public var before: RunID?
    public var limit = 50
    public init(job: String? = nil) { self.job = job }
}

public struct QueueDepth: Hashable, Codable, Sendable {
    public var waiting: Int64
    public var running: Int64
    public var dead: Int64
    public var oldestWaiting: Instant?
    public init(waiting: Int64, running: Int64, dead: Int64, oldestWaiting: Instant?) {
        self.waiting = waiting
        self.running = running
        self.dead = dead
        self.oldestWaiting = oldestWaiting
    }
}

/// What is kept of a job over restarts.
public struct JobStateRow: Hashable, Sendable {
    public var cursor: Instant?
    public var scheduleText: String = ""
    public var adaptiveInterval: Duration?
    /// Instant the newest run of the job finished.
    public var lastFinished: Instant?
    public var lastOutcome: Outcome?
    public var breaker: BreakerRow?
    public var control = ControlRow()
    public init() {}
}

/// The breaker, persisted. `data` is the pure breaker's own encoding (`Breaker.encoded`).
public struct BreakerRow: Hashable, Sendable {
    public var generation: Int64
    public var data: String
    public init(generation: Int64, data: String) {
        self.generation = generation
        self.data = data
    }
}

/// What operators decided, over the config. The switch and the pause stand beside each other:
/// each has its reason, which the other does not touch.
public struct ControlRow: Hashable, Codable, Sendable {
    /// nil: as the config says.
    public var enabled: Bool?
    /// Why `enabled` is what it is, and since when.
    public var reason = ""
    public var since: Instant?
    public var paused = false
    public var pauseReason = ""
    public var pausedSince: Instant?
    public init(
        enabled: Bool? = nil, reason: String = "", since: Instant? = nil, paused: Bool = false, pauseReason: String = "",
        pausedSince: Instant? = nil
    ) {
        self.enabled = enabled
        self.reason = reason
        self.since = since
        self.paused = paused
        self.pauseReason = pauseReason
        self.pausedSince = pausedSince
    }
}

public struct AcceptedLibrary: Hashable, Codable, Sendable {
    public var plugin: String
    public var sha256: String
    /// Path of the host's copy.
    public var path: String
    public var acceptedAt: Instant
    public init(plugin: String, sha256: String, path: String, acceptedAt: Instant) {
        self.plugin = plugin
        self.sha256 = sha256
        self.path = path
        self.acceptedAt = acceptedAt
    }
}

public struct ReloadRow: Hashable, Codable, Sendable {
    public var generation: Int64
    public var at: Instant
    public var accepted: Bool
    /// JSON of the report.
    public var report: String
    public init(generation: Int64, at: Instant, accepted: Bool, report: String) {
        self.generation = generation
        self.at = at
        self.accepted = accepted
        self.report = report
    }
}

/// A living worker, on record so that a later life of the host can be sure whom it kills.
public struct WorkerRow: Hashable, Sendable {
    public var pid: Int32
    /// Field 22 of /proc/PID/stat: clock ticks since boot.
    public var startTime: UInt64
    public var bootID: String
    public var plugin: String
    public init(pid: Int32, startTime: UInt64, bootID: String, plugin: String) {
        self.pid = pid
        self.startTime = startTime
        self.bootID = bootID
        self.plugin = plugin
    }
}

public struct AuditRow: Hashable, Codable, Sendable {
    public var at: Instant
    public var actor: Actor
    public var action: String
    public var job: String?
    public var detail: String
    public init(at: Instant, actor: Actor, action: String, job: String? = nil, detail: String = "") {
        self.at = at
        self.actor = actor
        self.action = action
        self.job = job
        self.detail = detail
    }
}

public struct RetentionRule: Hashable, Sendable {
    public var age: Duration
    public var runs: Int
    public init(age: Duration, runs: Int) {
        self.age = age
        self.runs = runs
    }
}

public struct StoreError: Error, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// Busy, locked, full, read-only, connection lost: try again.
        case unavailable
        /// The run, job or row that was named is not there or not in that state.
        case notFound
        /// The file is of another program or a newer version.
        case incompatible
        /// A fault of ours.
        case broken
    }
    public var kind: Kind
    public var message: String
    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }
    public var description: String { message }
}
