import JobCore

// What is kept, as it is read: runs and attempts, ranges, job states, controls, records.

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
    /// Of the entry that the newest attempt was claimed for; nil: of an earlier version, or none was.
    public var isIdempotent: Bool?
    /// From when on it is not started any more; nil: whenever there is room.
    public var expiresAt: Instant?
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

/// What may be of no use from an instant on.
protocol Expiring {
    var expiresAt: Instant? { get }
}

extension Expiring {
    /// It is not to be started any more.
    func hasExpired(_ now: Instant) -> Bool { expiresAt.map { $0 <= now } ?? false }
}

extension RunRecord: Expiring {}
extension NewRun: Expiring {}

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

/// Where a page of ranges ends. The newest range of a job grows: by its end and its number what was shown stays behind
/// the place, and what grows beyond it meanwhile is new.
public struct RangePlace: Hashable, Sendable {
    /// The end of the page's last range.
    public var last: Instant
    /// Its number in the store.
    public var id: Int64
    public init(last: Instant, id: Int64) {
        self.last = last
        self.id = id
    }
}

public struct RangePage: Hashable, Sendable {
    public var ranges: [LedgerRange]
    /// For the next page; nil: this was the last.
    public var next: RangePlace?
    public init(ranges: [LedgerRange], next: RangePlace? = nil) {
        self.ranges = ranges
        self.next = next
    }
}

/// What a job's ended runs did within one step of a timeline: those of one outcome that began in it.
public struct RunSpan: Hashable, Sendable {
    public var job: String
    /// From 0; runs that began before the timeline count to its first step.
    public var step: Int
    public var outcome: Outcome
    public var runs: Int64
    /// The earliest start and the latest end.
    public var first: Instant
    public var last: Instant
    /// How long their last attempts took, together.
    public var busy: Duration
    /// The newest of them.
    public var run: RunID
    public init(
        job: String, step: Int, outcome: Outcome, runs: Int64, first: Instant, last: Instant, busy: Duration, run: RunID
    ) {
        self.job = job
        self.step = step
        self.outcome = outcome
        self.runs = runs
        self.first = first
        self.last = last
        self.busy = busy
        self.run = run
    }
}

public struct RunFilter: Hashable, Sendable {
    public var job: String?
    public var states: [RunState] = []
    public var outcomes: [Outcome] = []
    public var from: Instant?
    public var to: Instant?
    /// Only runs that ended later than this, the last to end first.
    public var endedAfter: Instant?
    /// They may be long: "" instead.
    public var withoutPayloads = false
    /// Only the runs that retry this one.
    public var retryOf: RunID?
    /// Newest first, ids below this one (paging).
    public var before: RunID?
    public var limit = 50
    public init(job: String? = nil) { self.job = job }
}

public struct QueueDepth: Hashable, Codable, Sendable {
    /// Also what is to run later.
    public var waiting: Int64
    /// Of `waiting`, what could start now.
    public var due: Int64
    public var running: Int64
    public var dead: Int64
    public var oldestWaiting: Instant?
    public init(waiting: Int64, due: Int64, running: Int64, dead: Int64, oldestWaiting: Instant?) {
        self.waiting = waiting
        self.due = due
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

/// What an operator switches: one of the two, whatever somebody on another host does to the other meanwhile.
public enum ControlChange: Hashable, Sendable {
    /// nil: as the config says.
    case enabled(Bool?)
    /// Said again without a reason: the first one stands.
    case paused(Bool)
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
    /// Its number in the store; 0: not from there.
    public var id: Int64 = 0
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
    /// Its number in the store; 0: not from there.
    public var id: Int64 = 0
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

    /// What takes two persons: asked for, or answered.
    public init(of ask: Ask, by actor: Actor) {
        let request = "request \(ask.id)"
        guard let decidedAt = ask.decidedAt else {
            self.init(at: ask.askedAt, actor: actor, action: "ask", job: ask.job, detail: "\(request): \(ask.action)")
            return
        }
        self.init(
            at: decidedAt, actor: actor, action: ask.state(now: decidedAt) == .approved ? "approve" : "refuse", job: ask.job,
            detail: "\(request) of \(ask.askedBy): \(ask.action)")
    }
}

/// Which entries of the audit, the newest first.
public struct AuditFilter: Hashable, Sendable {
    public var job: String?
    /// Only those that name this run first: "run 41", "run 41 as run 43".
    public var run: RunID?
    /// At or after.
    public var from: Instant?
    /// Only numbers below this one (paging).
    public var before: Int64?
    /// Only numbers above this one.
    public var after: Int64?
    public var limit: Int
    public init(job: String? = nil, limit: Int = 50) {
        self.job = job
        self.limit = limit
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
