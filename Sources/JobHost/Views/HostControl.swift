import JobConfig
import JobCore
import JobStore
import NearestName

/// What views may ask of the running host: a snapshot, one command enum, and reads of the
/// store. CLI (over HTTP on the Unix socket), HTTP and signals all end here. Callable from any
/// task.
public protocol HostControl: Sendable {
    func snapshot() async -> HostSnapshot
    func perform(_ command: HostCommand, by actor: Actor) async throws -> CommandResult
    /// Why a run that has not started has not; nil: it has started, or ended.
    func waiting(for run: RunRecord) async -> WaitingFor?
    /// For history: runs, ranges, audit, counters.
    var store: any Store { get }
    /// For the logs of runs.
    var runLogs: RunLogs { get }
    /// What happens, as it happens.
    var events: EventOutlet { get }
}

/// Everything an operator can do.
public enum HostCommand: Sendable {
    /// `allowsEmpty`: a config without a job may take the place of one that has some.
    case reload(allowsEmpty: Bool)
    /// What a reload would do, without doing it.
    case plan
    case trigger(job: String, payload: [UInt8]?)
    case enqueue(EnqueueCommand)
    case cancel(run: RunID)
    /// A new run with the payload and idempotency key of a terminal one.
    case retry(run: RunID)
    case discardDead(run: RunID)
    /// nil: back to what the config says.
    case setEnabled(job: String, Bool?)
    /// nil job: the whole host.
    case setPaused(job: String?, Bool)
    case breaker(job: String, BreakerAction)
    case backfill(job: String, from: Instant, to: Instant, dryRun: Bool)
    /// Why did it run, or not, at that instant?
    case explain(job: String, at: Instant)
    /// Fires of the job after an instant.
    case next(job: String, from: Instant?, count: Int)
    /// An earlier library serves (nil: the one before), or the file's own again; by its sha256,
    /// of which the first few digits are enough.
    case rollBack(plugin: String, to: String?)
    /// Another person's answer to what somebody asked for of a job that takes two.
    case answer(ask: Int64, Ask.Answer)
    /// Takes a host out of those that share the store, or lets it serve again.
    case drain(host: String, Bool)
    /// A message to everybody who is told of alerts, which the views send: on record only.
    case testAlerts
    /// Drain and exit.
    case stop
}

/// A fire time that is still to come.
public struct ComingFire: Hashable, Sendable {
    public var at: Instant
    /// Why the job's calendar leaves it out, as a part of a sentence; nil: it does not.
    public var closed: String?
    public init(at: Instant, closed: String? = nil) {
        self.at = at
        self.closed = closed
    }
}

public struct EnqueueCommand: Sendable {
    public var job: String
    public var payload: [UInt8]
    public var key: String?
    public var at: Instant?
    public var delay: Duration?
    /// Not from then on; nil: as `expiresAfter` says, or else the job.
    public var expires: Instant?
    /// From when it is due.
    public var expiresAfter: Duration?
    public var priority: Int?
    public init(
        job: String, payload: [UInt8], key: String? = nil, at: Instant? = nil, delay: Duration? = nil,
        expires: Instant? = nil, expiresAfter: Duration? = nil, priority: Int? = nil
    ) {
        self.job = job
        self.payload = payload
        self.key = key
        self.at = at
        self.delay = delay
        self.expires = expires
        self.expiresAfter = expiresAfter
        self.priority = priority
    }
}

public enum BreakerAction: Hashable, Sendable {
    /// Forced open: until an instant, or until somebody closes it.
    case open(until: Instant?)
    case close
    /// Never opens.
    case disable
    /// Back to closed, with a clean memory, obeying the config again.
    case reset
}

public enum CommandResult: Sendable {
    case done
    case run(RunRecord, inserted: Bool)
    case report(ReloadReport)
    case backfill(fires: [Instant], total: Int)
    case explanation(Explanation)
    case fires([ComingFire])
    /// An ask as it is after the answer; `run`: what came of it.
    case answered(Ask, run: RunRecord?)
}

/// A command that could not be carried out.
public struct CommandError: Error, Sendable, CustomStringConvertible {
    public enum Kind: String, Sendable {
        case notFound = "not_found"
        case invalid
        /// Not possible in the present state (already terminal, already open …).
        case conflict
        /// The store is away; try again.
        case unavailable
        /// It is asked for now; a second person has to agree.
        case needsApproval = "needs_approval"
    }
    public var kind: Kind
    public var message: String
    public var hint: String?
    public init(_ kind: Kind, _ message: String, hint: String? = nil) {
        self.kind = kind
        self.message = message
        self.hint = hint
    }
    public var description: String { message + (hint.map { " (\($0))" } ?? "") }

    static func refusedJob(_ name: String, _ reason: String) -> CommandError {
        CommandError(.conflict, "\(name) is refused: \(reason)", hint: "mend it, then: jobhost reload; what it says now: jobhost plan")
    }

    static func unknownRun(_ run: RunID) -> CommandError {
        CommandError(
            .notFound, "there is no run \(run)", hint: "retention may have removed it; jobhost runs lists those that are kept")
    }

    /// With the reload that removed it, else the nearest name, else those that there are.
    static func unknownJob(_ name: String, among jobs: some Sequence<String>, last reload: ReloadReport? = nil) -> CommandError {
        if let reload, reload.accepted, reload.removedJobs.contains(name) {
            return CommandError(
                .notFound, "there is no job '\(name)': the reload at \(TimeText.absolute(reload.at)) removed it",
                hint: "put it back into the config, then: jobhost reload")
        }
        return unknown("job", name, among: jobs)
    }
    static func unknownPlugin(_ name: String, among plugins: some Sequence<String>) -> CommandError {
        unknown("plugin", name, among: plugins)
    }

    private static func unknown(_ noun: String, _ name: String, among names: some Sequence<String>) -> CommandError {
        let names = names.sorted()
        let hint: String =
            if names.isEmpty {
                "the config has no \(noun)s"
            } else if let nearest = nearestName(name, among: names) {
                "did you mean '\(nearest)'?"
            } else {
                "there are: " + names.prefix(20).joined(separator: ", ") + (names.count > 20 ? ", …" : "")
            }
        return CommandError(.notFound, "there is no \(noun) '\(name.prefix(60))'", hint: hint)
    }
}

/// The host at one instant.
public struct HostSnapshot: Sendable {
    public var name: String
    public var version: String
    public var pid: Int32
    public var startedAt: Instant
    public var now: Instant
    public var generation: Int64
    public var configFile: String
    public var stateDir: String
    public var storeURL: String
    public var control: ControlRow
    /// starting, running, reloading, draining
    public var phase: String
    /// Sentences; empty: healthy.
    public var problems: [String] { hostProblems.filter { $0.grade == .critical }.map(\.text) }
    /// Sentences about what is under way.
    public var notes: [String] = []
    /// By name.
    public var jobs: [JobSnapshot]
    public var plugins: [PluginSnapshot]
    public var workers: [WorkerSnapshot]
    public var lastReload: ReloadReport?
    /// Why plugins do not serve as the config asks for them, and what goes on instead: by name.
    public var refusedPlugins: [String: String] = [:]
    /// Jobs of the config that other hosts serve and this one does not, each with the labels of those (`run_on`).
    public var elsewhere: [String: [String]] = [:]
    /// Waiting runs are claimed here (`consume`).
    public var consumes = true
    /// Why nothing new starts on the whole host, apart from a pause; "": no such trouble.
    public var hold = ""
    /// What `problems` say, told apart, and what somebody wanted so (in `notes`).
    public var hostProblems: [HostProblem] = []
    /// Nothing new starts.
    public var isStoreAway = false
    /// Results that wait to be written.
    public var unwrittenResults = 0
    /// What waits for a second person, the oldest first.
    public var asks: [Ask] = []
    /// Samples of plugins that found no place.
    public var droppedPluginMetrics: UInt64 = 0
    /// How often the host repaired what stood still, by kind, since the start.
    public var repairs: [(kind: String, count: Int)] = []
    public init(name: String, version: String, pid: Int32, startedAt: Instant, now: Instant, generation: Int64,
                configFile: String, stateDir: String, storeURL: String, control: ControlRow, phase: String,
                jobs: [JobSnapshot] = [], plugins: [PluginSnapshot] = [],
                workers: [WorkerSnapshot] = [], lastReload: ReloadReport? = nil) {
        self.name = name
        self.version = version
        self.pid = pid
        self.startedAt = startedAt
        self.now = now
        self.generation = generation
        self.configFile = configFile
        self.stateDir = stateDir
        self.storeURL = storeURL
        self.control = control
        self.phase = phase
        self.jobs = jobs
        self.plugins = plugins
        self.workers = workers
        self.lastReload = lastReload
    }
}

/// What is wrong with the host itself, or is otherwise than its config says because somebody wanted it so.
public struct HostProblem: Hashable, Sendable {
    public enum Kind: String, Codable, CaseIterable, Sendable {
        case store, clock, plugin, reload
        /// An earlier library serves than the file's; the subject is the plugin.
        case rollback
        /// The last reload removed many jobs.
        case removal
        case other
    }
    public var kind: Kind
    /// The plugin, or what else tells two problems of a kind apart; "" where there is one only.
    public var subject: String
    /// A sentence.
    public var text: String
    /// `critical`: it is wrong. `warning`: somebody wanted it so, and nobody is woken for it.
    public var grade = HealthGrade.critical
    /// nil: nobody has looked at it twice yet.
    public var since: Instant?
}

@dynamicMemberLookup
public struct JobSnapshot: Sendable {
    /// What the config and the library alone decide. Of thousands of jobs it is kept once, however many snapshots there are.
    public struct Unchanging: Sendable {
        public var name: String
        public var plugin: String
        public var entry: String
        public var description = ""
        public var labels: [String] = []
        /// For people: "every 10s", "cron 0 * * * * * (Europe/Berlin)", "enqueued only".
        public var schedule = ""
        /// Of the schedule, from the tz database.
        public var timezone = "UTC"
        /// How many of its runs may run at once.
        public var concurrency = 1
        /// "100 runs in 1m"; "": it has none.
        public var rate = ""
        /// Of the workers that execute it.
        public var pool = ""
        public var libraryHash = ""
        /// JSON, secrets masked.
        public var settings = "{}"
        /// Limits as text: timeout, kill_grace, overlap, concurrency, catch_up, retry …
        public var limits: [Limit] = []
        /// What the ledger keeps of it; nil: not known.
        public var retention: RetentionRule?
    }
    public typealias Limit = (name: String, value: String)

    private var unchanging: Shared<Unchanging>
    public subscript<Part>(dynamicMember part: WritableKeyPath<Unchanging, Part>) -> Part {
        get { unchanging.value[keyPath: part] }
        set { unchanging.set(part, newValue) }
    }

    public var enabled = true
    /// Why it is off, when it is: config, operator (with reason), bad settings.
    public var disabledReason = ""
    /// Why it does not serve at all: its library or its settings were refused; "": it serves.
    public var refused = ""
    public var control = ControlRow()
    public var nextFire: Instant?
    /// While the breaker is open: when the next probe starts, if nothing enqueued comes before;
    /// nil: not by itself.
    public var nextProbe: Instant?
    public var running: [RunningRun] = []
    /// Until when its rate allows no more; nil: it does.
    public var ratedUntil: Instant?
    /// How many workers it may share, and how many runs are with them.
    public var workers = 0
    public var busyWorkers = 0
    /// Why no worker of it starts; "": no such trouble.
    public var workerProblem = ""
    /// Of the workers that it shares with others.
    public var workerLimits: [Limit] = []
    public var waiting: Int64 = 0
    public var dead: Int64 = 0
    /// Attempts that ended within the last minute.
    public var endedLastMinute = 0
    /// By how many a minute its queue gets shorter; negative: it grows; nil: not known yet.
    public var shrinksPerMinute: Int64?
    public var last: RunRecord? {
        get { newestRun?.value }
        set { newestRun = newValue.map(Shared.init) }
    }
    var newestRun: Shared<RunRecord>?
    /// Oldest first, at most 20.
    public var recent: [RecentAttempt] = []
    public var recentOutcomes: [Outcome] { recent.map(\.outcome) }
    /// End of the first failure after the last success; nil: it does not fail.
    public var failingSince: Instant?
    /// The newest success that is remembered.
    public var lastSuccess: Instant?
    public var breaker = BreakerSnapshot()
    /// Ever, by outcome and by no-run reason.
    public var counters: [String: Int64] = [:]
    /// When the run that is due and has waited longest became due.
    public var oldestWaiting: Instant?
    public var health = JobHealth()
    /// The plugin's own metrics, as last reported, by name and labels.
    public var pluginMetrics: [PluginMetric] = []
    public var problems: [String] = []

    init(_ unchanging: Shared<Unchanging>) { self.unchanging = unchanging }

    public init(name: String, plugin: String, entry: String) {
        self.init(Shared(Unchanging(name: name, plugin: plugin, entry: entry)))
    }
}

public struct RunningRun: Sendable {
    public var run: RunID
    public var attempt: Int
    /// nil: it waits for its worker.
    public var startedAt: Instant?
    public var pid: Int32
    public var done: UInt64 = 0
    public var total: UInt64 = 0
    public var text = ""
    /// Why its worker does not start; "": no such trouble.
    public var problem = ""
    public init(run: RunID, attempt: Int, startedAt: Instant?, pid: Int32) {
        self.run = run
        self.attempt = attempt
        self.startedAt = startedAt
        self.pid = pid
    }
}

public struct BreakerSnapshot: Sendable {
    /// closed, open, half_open, forced_open, disabled, off (`breaker = false`)
    public var state = "closed"
    public var failures = 0
    public var since: Instant?
    /// When the next probe may go, or the forced opening ends.
    public var until: Instant?
    public var reason = ""
    public init() {}
}

public struct PluginSnapshot: Sendable {
    public var name: String
    public var library: String
    public var libraryHash: String
    public var id: String
    public var version: String
    public var description: String
    public var entries: [String]
    public var problem: String
    /// A changed library on trial, in a sentence; "": none.
    public var canary = ""
    /// The newest first.
    public var versions: [LibraryVersion] = []
    public init(name: String, library: String, libraryHash: String = "", id: String = "", version: String = "",
                description: String = "", entries: [String] = [], problem: String = "") {
        self.name = name
        self.library = library
        self.libraryHash = libraryHash
        self.id = id
        self.version = version
        self.description = description
        self.entries = entries
        self.problem = problem
    }
}

/// A library that a plugin has served with, or is to serve with.
public struct LibraryVersion: Codable, Hashable, Sendable {
    public var sha256: String
    /// The plugin's own word for it; "": it never served.
    public var version: String
    /// When it last began to serve all runs; nil: it never did.
    public var acceptedAt: Instant?
    /// serving, canary, rolled_back (the file's, which is not to serve), kept
    public var state: String
    public var note: String
    public init(sha256: String, version: String, acceptedAt: Instant?, state: String, note: String = "") {
        self.sha256 = sha256
        self.version = version
        self.acceptedAt = acceptedAt
        self.state = state
        self.note = note
    }
}

/// Why a job ran, or did not, at an instant: sentences, the decisive one first.
public struct Explanation: Codable, Sendable {
    public var job: String
    public var at: Instant
    /// ran, waiting, skipped, missed, not_due, future, absent, unknown
    public var verdict: String
    public var sentences: [String]
    public var run: RunRecord?
    public init(job: String, at: Instant, verdict: String, sentences: [String], run: RunRecord? = nil) {
        self.job = job
        self.at = at
        self.verdict = verdict
        self.sentences = sentences
        self.run = run
    }
}
