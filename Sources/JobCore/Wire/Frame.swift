// What supervisor and worker say to each other, and when. The bytes are in FrameFields.swift, what
// stands around each frame in FrameCodec.swift.

/// Version of the wire: another one whenever the fields of a frame change. Both binaries ship
/// together; a mismatch (a half-finished upgrade) ends the handshake with a clear reason, for
/// which the frame's head and the fields of `WorkerFrame.refused` stay as they are for ever.
public let wireVersion: UInt16 = 5
/// Longest frame, header included.
public let wireMaxFrameBytes = 1 << 20
/// Longest state blob.
public let wireMaxStateBytes = 256 << 10

/// Bytes on the wire: JSON text, state blobs.
public typealias Bytes = [UInt8]

/// Supervisor → worker.
public enum HostFrame: Hashable, Sendable {
    /// First frame. The worker applies the limits, loads the library, answers
    /// `ready` or `refused`.
    case load(LoadRequest)
    /// Ask the entry's `validate` about settings; answered by `validated`.
    case validate(requestID: UInt32, entry: String, settings: Bytes)
    /// Ask the entry's `doctor`; answered by any number of `finding` and one `diagnosed`.
    case diagnose(DiagnoseFrame)
    /// Create the instance for (job, settings hash) when its first run comes. The settings
    /// travel once per worker and job, not once per run.
    case settings(SettingsFrame)
    /// Execute. Several may be written at once; they are executed in order. One with `notBefore` waits in the worker for
    /// its instant, while others are executed, and is begun there without another word. What the wall clock, set
    /// meanwhile, has made of that instant the worker leaves to the supervisor: it returns the run.
    case run(RunFrame)
    /// Set the cancel flag of this run and make its `cancel_fd` readable. A run that has not
    /// started is returned by `returned` at once, whatever is executing. `RunID.none` is the
    /// doctor's.
    case cancel(run: RunID)
    /// Return this run at once if it has not started; if it has, it goes on undisturbed.
    case recall(run: RunID)
    /// The host's lease on a store that it shares with others holds until then, by CLOCK_BOOTTIME;
    /// each frame replaces the one before. A worker whose lease has lapsed ends itself with all that
    /// it started, whatever became of its host. Never sent: there is no lease.
    case lease(until: MonotonicInstant)
    /// Execute nothing more; return at once what has not started; destroy instances; exit 0.
    case shutdown

    /// The supervisor announces it on the worker's slate: what was sent ahead of its instant does not begin before the
    /// worker has heard all that may ask for it back.
    public var asksBack: Bool {
        switch self {
        case .cancel, .recall, .shutdown: true
        case .load, .validate, .diagnose, .settings, .run, .lease: false
        }
    }
}

public struct LoadRequest: Hashable, Sendable {
    /// Absolute path of the content-addressed copy.
    public var library: String
    /// The plugin's name in the config, for messages.
    public var plugin: String
    /// RLIMIT_DATA in bytes; 0: none.
    public var memoryLimit: UInt64
    /// RLIMIT_NOFILE; 0: unchanged.
    public var fileLimit: UInt64
    public init(
        library: String, plugin: String,
        memoryLimit: UInt64 = 0, fileLimit: UInt64 = 0
    ) {
        self.library = library
        self.plugin = plugin
        self.memoryLimit = memoryLimit
        self.fileLimit = fileLimit
    }
}

public struct SettingsFrame: Hashable, Sendable {
    /// Chosen by the supervisor, unique per worker: names (job, settings) in `RunFrame`.
    public var instance: UInt32
    public var job: String
    public var entry: String
    /// JSON object.
    public var settings: Bytes
    public init(instance: UInt32, job: String, entry: String, settings: Bytes) {
        self.instance = instance
        self.job = job
        self.entry = entry
        self.settings = settings
    }
}

public struct RunFrame: Hashable, Sendable {
    public var run: RunID
    public var instance: UInt32
    public var attempt: UInt32
    public var trigger: Trigger
    /// Nominal instant; for an enqueued run the instant it became due.
    public var fireTime: Instant
    /// The soft limit, counted from `started`; 0: none.
    public var timeout: Duration
    public var fence: Int64
    public var idempotencyKey: String
    /// JSON; empty: no payload.
    public var payload: Bytes
    /// The job's state blob; `stateVersion` 0 and no bytes: none yet.
    public var stateVersion: UInt32
    public var state: Bytes
    /// Sent ahead: not to be begun before then, by either clock (CLOCK_BOOTTIME, and where the two see the same wall
    /// clock, by that). nil: at once.
    public var notBefore: Now?
    public init(
        run: RunID, instance: UInt32, attempt: UInt32, trigger: Trigger, fireTime: Instant,
        timeout: Duration, fence: Int64, idempotencyKey: String, payload: Bytes = [],
        stateVersion: UInt32 = 0, state: Bytes = [], notBefore: Now? = nil
    ) {
        self.run = run
        self.instance = instance
        self.attempt = attempt
        self.trigger = trigger
        self.fireTime = fireTime
        self.timeout = timeout
        self.fence = fence
        self.idempotencyKey = idempotencyKey
        self.payload = payload
        self.stateVersion = stateVersion
        self.state = state
        self.notBefore = notBefore
    }
}

/// Worker → supervisor.
public enum WorkerFrame: Hashable, Sendable {
    case ready(PluginDescriptor)
    /// The library cannot serve: missing symbol, bad descriptor, wire mismatch, dlopen's reason.
    case refused(code: RefusalCode, message: String)
    /// nil: accepted.
    case validated(requestID: UInt32, error: String?)
    /// Written at once: those before a crash arrive.
    case finding(PluginFinding)
    case diagnosed(DiagnosisEnd)
    case started(run: RunID)
    case log(run: RunID, level: LogLevel, text: String, fields: Bytes)
    case progress(run: RunID, done: UInt64, total: UInt64, text: String)
    case metric(run: RunID, MetricSample)
    /// Committed with the outcome.
    case enqueue(run: RunID, EnqueueRequest)
    case result(RunResult)
    /// This run was never started and goes back, unattempted.
    case returned(run: RunID)
}

public enum RefusalCode: UInt8, Hashable, Sendable {
    case wireVersion = 1, loadFailed, noSymbol, badDescriptor, limits
}

public enum LogLevel: UInt8, Codable, Hashable, Comparable, CaseIterable, Sendable {
    case debug = 1, info, warning, error, critical
    public static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }
}

public struct PluginDescriptor: Hashable, Codable, Sendable {
    public var id: String
    public var version: String
    public var description: String
    public var abi: UInt32
    public var entries: [EntryDescriptor]
    public init(id: String, version: String, description: String, abi: UInt32, entries: [EntryDescriptor]) {
        self.id = id
        self.version = version
        self.description = description
        self.abi = abi
        self.entries = entries
    }
}

public struct EntryDescriptor: Hashable, Codable, Sendable {
    public var id: String
    public var description: String
    /// Running it twice does no harm: crashed, timed-out and lost attempts may be retried.
    public var idempotent: Bool
    public var cancellable: Bool
    /// "" or a schedule in the words of the config: `every 10s`, `cron 0 * * * * *`.
    public var defaultSchedule: String
    /// JSON Schema of the settings; "" accepts any object.
    public var settingsSchema: String
    /// JSON Schema of the payload; "" accepts anything.
    public var payloadSchema: String
    public var stateVersion: UInt32
    public init(
        id: String, description: String, idempotent: Bool, cancellable: Bool, defaultSchedule: String,
        settingsSchema: String, payloadSchema: String, stateVersion: UInt32
    ) {
        self.id = id
        self.description = description
        self.idempotent = idempotent
        self.cancellable = cancellable
        self.defaultSchedule = defaultSchedule
        self.settingsSchema = settingsSchema
        self.payloadSchema = payloadSchema
        self.stateVersion = stateVersion
    }
}

public struct MetricSample: Hashable, Sendable {
    public enum Kind: UInt8, Hashable, Sendable { case counter = 1, gauge, histogram }
    public var kind: Kind
    public var name: String
    /// Names and values.
    public var labels: [String: String]
    public var value: Double
    public init(kind: Kind, name: String, labels: [String: String], value: Double) {
        self.kind = kind
        self.name = name
        self.labels = labels
        self.value = value
    }
}

public struct EnqueueRequest: Hashable, Sendable {
    public var job: String
    public var payload: Bytes
    /// "": no unique key.
    public var key: String
    /// nil: at once.
    public var at: Instant?
    public init(job: String, payload: Bytes, key: String = "", at: Instant? = nil) {
        self.job = job
        self.payload = payload
        self.key = key
        self.at = at
    }
}

/// What `run` returned, as the ABI's codes.
public enum ResultCode: UInt8, Hashable, Sendable {
    case succeeded = 0, nothingToDo, retry, failed, snooze, cancelled, badSettings
}

public struct RunResult: Hashable, Sendable {
    public var run: RunID
    public var code: ResultCode
    /// The plugin's own failure code, from `fail(code, text)`; 0: none.
    public var failCode: Int32
    public var text: String
    /// For `snooze`.
    public var snoozeUntil: Instant?
    /// For `retry`: not before this instant (a peer's Retry-After); nil: the policy alone.
    public var retryNotBefore: Instant?
    public var items: UInt64
    /// To be stored when the run succeeded …
    public var stateOnSuccess: StateBlob?
    /// … and whatever the outcome.
    public var stateAlways: StateBlob?
    /// CPU time of the worker spent in this run.
    public var cpu: Duration
    /// When the plugin was called, by the wall clock: what the supervisor hears, and when, depends
    /// on what else it has to do.
    public var startedAt: Instant
    /// From then to the plugin's return.
    public var took: Duration
    /// What the worker had written by then since it began, so that the output of short runs is
    /// told apart that is read together.
    public var written: WrittenOutput
    public init(
        run: RunID, code: ResultCode, failCode: Int32 = 0, text: String = "", snoozeUntil: Instant? = nil,
        retryNotBefore: Instant? = nil, items: UInt64 = 0, stateOnSuccess: StateBlob? = nil,
        stateAlways: StateBlob? = nil, cpu: Duration = .zero, startedAt: Instant = .epoch, took: Duration = .zero,
        written: WrittenOutput = WrittenOutput()
    ) {
        self.run = run
        self.code = code
        self.failCode = failCode
        self.text = text
        self.snoozeUntil = snoozeUntil
        self.retryNotBefore = retryNotBefore
        self.items = items
        self.stateOnSuccess = stateOnSuccess
        self.stateAlways = stateAlways
        self.cpu = cpu
        self.startedAt = startedAt
        self.took = took
        self.written = written
    }
}

/// Bytes that a worker has written to its output; -1: it cannot tell.
public struct WrittenOutput: Hashable, Sendable {
    public var stdout: Int64
    public var stderr: Int64
    public init(stdout: Int64 = -1, stderr: Int64 = -1) {
        self.stdout = stdout
        self.stderr = stderr
    }
}

public struct StateBlob: Hashable, Sendable {
    public var version: UInt32
    public var bytes: Bytes
    public init(version: UInt32, bytes: Bytes) {
        self.version = version
        self.bytes = bytes
    }
}
