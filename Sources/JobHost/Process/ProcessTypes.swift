import JobConfig
import JobCore

// The process room's surface: what the rest of the supervisor may ask of child processes and
// what it hears of them. Nothing outside this folder spawns, signals, reaps or reads a worker.
// All of it is confined to the event loop's thread unless a comment says otherwise.

/// Workers that can serve the same jobs: one pool per plugin, one more per isolated job.
public struct PoolSpec: Equatable, Sendable {
    /// `plugin`, or `plugin/job` for an isolated job.
    public var key: String
    public var plugin: String
    /// The supervisor's content-addressed copy.
    public var library: LibraryCopy
    /// The most workers, at least 1.
    public var maxWorkers: Int
    /// Kept ready while idle.
    public var minWorkers: Int
    public var idleTimeout: Duration
    public var recycleRuns: Int?
    public var recycleAge: Duration?
    /// Resident bytes.
    public var recycleMemory: UInt64?
    /// RLIMIT_DATA and the soft limit of the memory watch, bytes.
    public var memoryLimit: UInt64?
    public var fileLimit: UInt64?
    /// The whole environment of the workers.
    public var environment: [String: String]
    public var startTimeout: Duration
    public var user: String?
    /// nil: the workers may do what their user may.
    public var sandbox: Sandbox?
    public init(
        key: String, plugin: String, library: LibraryCopy, maxWorkers: Int = 1, minWorkers: Int = 0,
        idleTimeout: Duration = .seconds(300), recycleRuns: Int? = nil, recycleAge: Duration? = nil,
        recycleMemory: UInt64? = nil, memoryLimit: UInt64? = nil, fileLimit: UInt64? = nil,
        environment: [String: String] = [:], startTimeout: Duration = .seconds(10), user: String? = nil
    ) {
        self.key = key
        self.plugin = plugin
        self.library = library
        self.maxWorkers = maxWorkers
        self.minWorkers = minWorkers
        self.idleTimeout = idleTimeout
        self.recycleRuns = recycleRuns
        self.recycleAge = recycleAge
        self.recycleMemory = recycleMemory
        self.memoryLimit = memoryLimit
        self.fileLimit = fileLimit
        self.environment = environment
        self.startTimeout = startTimeout
        self.user = user
    }
}

/// What workers may do less than their user may; entered before the library is loaded.
public struct Sandbox: Hashable, Sendable {
    /// Absolute paths; nil for both: files are not confined.
    public var read: [String]?
    public var write: [String]?
    public var network = true
    public var nice = 0
    /// CPU time of one attempt; the supervisor watches it.
    public var cpuTime: Duration?
    public init() {}

    /// Of jobhost-worker's command line; `library` can always be read.
    func arguments(library: String) -> [String] {
        var arguments = ["--sandbox"]
        if read != nil || write != nil {
            arguments += ["--files", "--read", library] + (read ?? []).flatMap { ["--read", $0] }
            arguments += (write ?? []).flatMap { ["--write", $0] }
        }
        if !network { arguments.append("--no-network") }
        if nice > 0 { arguments += ["--nice", "\(nice)"] }
        return arguments
    }
}

/// A library as the host keeps it: `<state_dir>/plugins/<sha256>/<name>.so`, mode 0444 once it has reached the disk.
public struct LibraryCopy: Codable, Hashable, Sendable {
    public var sha256: String
    public var path: String
    public init(sha256: String, path: String) {
        self.sha256 = sha256
        self.path = path
    }
}

/// One attempt to be executed.
public struct AttemptRequest: Sendable {
    public var run: RunID
    public var job: String
    public var entry: String
    public var pool: String
    public var attempt: Int
    public var trigger: Trigger
    public var fireTime: Instant
    public var fence: Int64
    public var idempotencyKey: String
    public var payload: [UInt8]
    /// JSON object; equal settings share an instance.
    public var settings: [UInt8]
    /// Soft limit from `started`: cancel flag. nil: none.
    public var timeout: Duration?
    /// From the cancel flag to the kill.
    public var killGrace: Duration
    /// No progress for this long counts as the soft limit.
    public var heartbeat: Duration?
    /// Lines of its log below this are not kept.
    public var logLevel: LogLevel
    public var state: StateBlob?
    /// To be sent ahead: its worker begins it then, by itself. nil: it is to begin at once.
    public var notBefore: Instant?
    public init(
        run: RunID, job: String, entry: String, pool: String, attempt: Int, trigger: Trigger, fireTime: Instant,
        fence: Int64, idempotencyKey: String, payload: [UInt8] = [], settings: [UInt8], timeout: Duration?,
        killGrace: Duration, heartbeat: Duration? = nil, logLevel: LogLevel = .debug, state: StateBlob? = nil
    ) {
        self.run = run
        self.job = job
        self.entry = entry
        self.pool = pool
        self.attempt = attempt
        self.trigger = trigger
        self.fireTime = fireTime
        self.fence = fence
        self.idempotencyKey = idempotencyKey
        self.payload = payload
        self.settings = settings
        self.timeout = timeout
        self.killGrace = killGrace
        self.heartbeat = heartbeat
        self.logLevel = logLevel
        self.state = state
    }
}

/// How an attempt ended, whichever way: by its result frame, a limit, a signal.
public struct AttemptEnd: Sendable {
    public var run: RunID
    public var job: String
    public var outcome: Outcome
    /// nil: never started.
    public var startedAt: Instant?
    public var finishedAt: Instant
    public var pid: Int32
    public var libraryHash: String
    /// One sentence for the ledger: "exited by signal 11 (SIGSEGV)", "no result within 30s; killed 5s later".
    public var reason: String
    /// The plugin's own failure code.
    public var code: Int32
    public var items: UInt64
    public var cpu: Duration
    public var snoozeUntil: Instant?
    public var retryNotBefore: Instant?
    /// The entry refused its settings: the job is disabled until the next reload.
    public var badSettings: Bool
    /// Cancelled by a stop, a reload or a lapsed lease, which nobody asked of this run: to be judged as lost.
    public var gaveWay: Bool
    /// To be stored with this outcome (the room has already chosen between "on success" and "always").
    public var state: StateBlob?
    /// Committed with the outcome; empty unless it succeeded (or found nothing to do).
    public var enqueues: [EnqueueRequest]
    public init(run: RunID, job: String, outcome: Outcome, startedAt: Instant?, finishedAt: Instant, reason: String = "") {
        self.run = run
        self.job = job
        self.outcome = outcome
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.reason = reason
        self.pid = 0
        self.libraryHash = ""
        self.code = 0
        self.items = 0
        self.cpu = .zero
        self.snoozeUntil = nil
        self.retryNotBefore = nil
        self.badSettings = false
        self.gaveWay = false
        self.state = nil
        self.enqueues = []
    }
}

public enum CancelReason: String, Sendable {
    case operatorAsked = "cancelled by an operator"
    case drain = "it had to give way to a stop or a reload"
    case leaseLost = "its lease has lapsed"
}

/// What the room reports, on the loop's thread.
public enum ProcessEvent: Sendable {
    case started(run: RunID, at: Instant, pid: Int32, libraryHash: String)
    case progress(run: RunID, done: UInt64, total: UInt64, text: String)
    case metric(run: RunID, job: String, MetricSample)
    case ended(AttemptEnd)
    /// Never started (its worker died or was told to go before it began; it was taken back, or found no place ahead of
    /// its instant): unattempted, due again.
    case returned(run: RunID)
    /// The host could not do its part (no process, no descriptor …); the room retries with
    /// backoff, this is for health and logs. nil: recovered.
    case hostFault(pool: String, message: String?)
    /// A worker of the pool could not load its library: the queued runs of the pool are returned.
    case poolRefused(pool: String, message: String)
    /// A worker was killed and does not end. `run`: what it executes.
    case workerStuck(pid: Int32, plugin: String, run: RunID?)
    /// The set of living workers changed (for the record that survives a crash).
    case workersChanged(WorkerChange)

    /// It means the same before ends that came before it: no end decides anything about it.
    var mayOvertakeEnds: Bool {
        switch self {
        case .started, .progress, .metric, .ended: true
        case .returned, .hostFault, .poolRefused, .workerStuck, .workersChanged: false
        }
    }
}

public enum WorkerChange: Hashable, Sendable {
    case started(plugin: String)
    case ended(plugin: String, WorkerEnd)
}

public enum WorkerEnd: String, CaseIterable, Sendable {
    /// It was asked to: idle, recycled, replaced.
    case ended
    /// By the host, with its tree: a limit, a cancel, a stop.
    case killed
    /// By itself.
    case crashed
}

public struct WorkerSnapshot: Codable, Hashable, Sendable {
    public var pid: Int32
    /// /proc start time, clock ticks since boot.
    public var startTime: UInt64
    public var pool: String
    public var plugin: String
    public var libraryHash: String
    /// starting, idle, running, draining, stopping
    public var state: String
    public var run: RunID?
    public var runs: Int
    public var startedAt: Instant
    /// Resident bytes at the last look; 0: not looked yet.
    public var residentBytes: UInt64
    /// It was killed and has not ended, nor will it soon: it hangs in the kernel.
    public var isStuck = false
    /// It has been sent runs, and has begun none of those that it has.
    var owesBegin: Bool { state == "running" && run == nil }
    public init(
        pid: Int32, startTime: UInt64, pool: String, plugin: String, libraryHash: String, state: String,
        run: RunID?, runs: Int, startedAt: Instant, residentBytes: UInt64
    ) {
        self.pid = pid
        self.startTime = startTime
        self.pool = pool
        self.plugin = plugin
        self.libraryHash = libraryHash
        self.state = state
        self.run = run
        self.runs = runs
        self.startedAt = startedAt
        self.residentBytes = residentBytes
    }
}

/// A throwaway worker's verdict on a library and on settings.
public enum ProbeResult: Sendable {
    /// Loaded. One answer per question, in order; nil: accepted.
    case loaded(PluginDescriptor, answers: [String?])
    /// Not loadable, with the reason (refused, crashed, hung, printed its last words).
    case refused(String)
    /// It took longer than its limit: a machine under load may be the reason, so that it is asked again the next time.
    case late(String)
    /// The host could not probe at all.
    case hostFault(String)
}

public struct SettingsQuestion: Sendable {
    public var entry: String
    public var settings: [UInt8]
    public init(entry: String, settings: [UInt8]) {
        self.entry = entry
        self.settings = settings
    }
}

/// What a plugin's own doctor said of a job.
public struct ExaminationResult: Equatable, Sendable {
    public enum End: Equatable, Sendable {
        /// It looked at everything; so many findings were more than are kept.
        case complete(dropped: Int)
        /// The entry has no doctor.
        case absent
        /// It gave up, crashed or took too long.
        case failed(String)
        /// It could not be asked: the library does not load.
        case notLoaded(String)
        /// The host could not start a worker.
        case hostFault(String)
    }
    /// In the order they were told, also those from before a crash.
    public var findings: [PluginFinding]
    public var end: End
    public init(findings: [PluginFinding], end: End) {
        self.findings = findings
        self.end = end
    }
}

public struct DoctorQuestion: Sendable {
    public var job: String
    public var entry: String
    public var settings: [UInt8]
    /// Until it is asked to stop.
    public var timeout: Duration
    /// A JSON object for its `schema`; empty: its doctor is asked.
    public var schemaRequest: [UInt8]
    public init(job: String, entry: String, settings: [UInt8], timeout: Duration, schemaRequest: [UInt8] = []) {
        self.job = job
        self.entry = entry
        self.settings = settings
        self.timeout = timeout
        self.schemaRequest = schemaRequest
    }
}

/// What Dispatch and Reload see of the room. The real one is `ProcessRoom`; tests have a scripted one.
public protocol WorkerRoom: AnyObject {
    /// Receives every event, on the loop's thread; those between which the room has done nothing else together, in
    /// their order.
    var handler: (([ProcessEvent]) -> Void)? { get set }
    /// Makes these the pools. Equal specs keep their workers; a changed library or limit starts
    /// new workers while the old ones finish their run within `drain` and go; pools that are not
    /// listed drain likewise.
    func configure(pools: [PoolSpec], drain: Duration)
    /// From now on these too stand as `***` in what plugins print, log and say of their runs' ends.
    func hide(_ secrets: Secrets)
    /// The host's cap on workers, from the next start on.
    func setMaxWorkers(_ count: Int)
    /// Executes; a request for which no worker is free waits in the pool's own queue, in order. One with a `notBefore`
    /// is sent ahead to a worker that has time for it, or comes back as `returned` at once.
    func start(_ requests: [AttemptRequest])
    /// These were sent ahead and are not to begin: each comes back as `returned`, or has begun. Others are ignored.
    func takeBack(_ runs: [RunID])
    /// Cancel flag now, kill after the attempt's `killGrace`. Unknown runs are ignored.
    func cancel(run: RunID, reason: CancelReason)
    /// Has at least this many workers ready soon (prewarm).
    func prewarm(pool: String, workers: Int)
    /// Loads the library in a throwaway worker, asks each question, ends the worker.
    func probe(
        _ spec: PoolSpec, questions: [SettingsQuestion], completion: @escaping (ProbeResult) -> Void
    )
    /// Asks the plugin's own doctor (or its `schema`) about a job, in a throwaway worker.
    func examine(
        _ spec: PoolSpec, _ question: DoctorQuestion, completion: @escaping (ExaminationResult) -> Void
    )
    /// Runs a program of the operator's with a text on its standard input, within 30 s. nil: it
    /// ended well, else what is wrong.
    func run(errand command: [String], input: [UInt8], completion: @escaping (String?) -> Void)
    func snapshot() -> [WorkerSnapshot]
    /// This life of the host begins: what an earlier one left of its workers has been judged. To
    /// be called before anything is configured.
    func begin(epoch: String)
    /// Every end that was reported up to now is recorded.
    func everythingIsRecorded()
    /// Ends a worker that stands still; what it had been sent and not begun goes back. Unknown ones
    /// are ignored.
    func kill(worker pid: Int32)
    /// The host has a lease on the store that it shares, until then: workers that outlive it end
    /// themselves.
    func holdLease(until end: MonotonicInstant)
    /// The lease has ended: every worker with a run is killed, whose runs are lost.
    func leaseLapsed()
    /// What is wrong with the room itself; nil: nothing.
    var problem: String? { get }
    /// Stops everything: cancel flags now, kill after `grace`; completion when no child is left.
    /// A second call with a shorter grace hastens it.
    func shutdown(grace: Duration, completion: @escaping () -> Void)
}
