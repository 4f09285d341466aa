import JobConfig
import JobCore
import JobStore
import Logging

/// The running host: owns the dispatcher, the process room and the store's handle, performs
/// what the dispatcher decides, and answers the views. An actor whose executor is the event
/// loop: one thread acts, and nothing in it blocks.
public actor Supervisor: HostControl {
    /// Version of both binaries.
    public static let version = releaseVersion

    public nonisolated let loop: EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    public nonisolated let store: any Store
    public nonisolated let runLogs: RunLogs
    public nonisolated let events = EventOutlet()
    nonisolated let clock: any TimeSource
    nonisolated let log: Logger
    nonisolated let owner: Owner
    nonisolated let configFile: String
    nonisolated let environment: [String: String]

    var dispatcher: Dispatcher
    let room: any WorkerRoom
    nonisolated let libraries: LibraryStore
    var builder: GenerationBuilder
    var generation: Generation { didSet { inboxRules = nil } }
    var phase = Phase.starting
    let startedAt: Instant

    // Record
    var pendingRecords: [PendingRecord] = []
    /// With the store now.
    var recordsUnderWay: [PendingRecord] = []
    /// The store answers, and does not take these: tried again, each at its time.
    var refusedRecords: [PendingRecord] = []
    var refusedTimer: EventLoop.TimerToken?
    var isRecording = false
    /// Where hosts of one store serve different things by one name.
    var differences: [String] = []
    /// Lines about ends that are being recorded.
    var untold: [DispatchNote] = []
    /// A failed write is repeated after its backoff.
    var isRecordingLater = false
    var storeHealth = StoreHealth()
    var isSavingWorkers = false
    var hasNewWorkers = false

    // Reload
    var reloads = ReloadMachine()
    var reloadWaiters: [ReloadMachine.Ticket: CheckedContinuation<ReloadReport, Never>] = [:]
    var nextTicket: ReloadMachine.Ticket = 0
    /// Who asked, for the audit.
    var reloadActors: [ReloadMachine.Ticket: Actor] = [:]
    /// Of the jobs of this generation, as views show them: written once for all who have the same.
    var knownLimits: [JobConfig.Limits: [JobSnapshot.Limit]] = [:]
    var builtGenerations: [Int64: (generation: Generation, readsFile: Bool)] = [:]
    var reloadReports: [Int64: ReloadReport] = [:]
    var lastReload: ReloadReport?
    /// Since the last build began: somebody wants the files read, not just a choice obeyed.
    var isFileAsked = false
    /// Since then: refused libraries have changed and are quiet.
    var isRetryAsked = false
    var refusedWatch = RefusedWatch()
    /// The config that the host itself could not read; nil: it could.
    var unread: UnreadConfig?
    /// The reload that is asked for, or is built, is the host's own try to read it.
    var isTryingToRead = false
    var isLookingAtRefused = false
    var pendingChoices: [String: LibraryChoice] = [:]
    /// Those that the present build obeys.
    var choicesInBuild: [String: LibraryChoice] = [:]
    /// Builds in a row that could not obey what was chosen.
    var choiceFailures = 0
    /// A switch is read, written to the store and only then thrown: one after the other.
    let switches = Turnstile()
    var history: LibraryHistory
    nonisolated let historyFile: LibraryHistoryFile
    /// Changed libraries on trial, by plugin.
    var canaries: [String: CanaryTrial] = [:]
    /// Builds whose copies of libraries nothing serves with.
    var plansUnderWay = 0
    /// Copies are being removed; no plan begins meanwhile.
    var pruning: Task<Void, Never>?
    /// The next build may take a config without jobs: somebody said so.
    var isEmptyAllowed = false

    // Health and bookkeeping
    var poolHealth = PoolHealth()
    var problemTimes = ProblemTimes()
    /// Who cancelled runs that have not ended yet, and why.
    var cancellations: [RunID: String] = [:]
    var notifier: Notify
    var tickTimer: EventLoop.TimerToken?
    var tickAt: Instant?
    /// Questions to the store that recur, by the number of their asking: none is asked again before its answer.
    var questionsUnderWay: [Question: Int] = [:]
    var askings = 0
    enum Question { case counts, waiting, expiry, retention, lease, shared, abandoned, strays, definitions, progress }
    /// What other hosts show of the runs under way here.
    var progressTold = ToldProgress()
    /// Runs of `on_start` that the store has not taken yet.
    var startsOwed = OwedStarts()
    var isDrainingInbox = false
    /// Of all jobs of the generation; nil: not made yet.
    var inboxRules: [String: InboxRule]?
    var memoryRelease = MemoryRelease()
    /// Something came into the inbox while it was being emptied.
    var isInboxHinted = false
    /// The jobs of its oldest rows, as last asked.
    var inboxJobs: [String] = []
    /// Whoever took rows from it last left some there.
    var isInboxLeft = false
    /// The next claim of waiting runs takes along what is in the inbox.
    var isInboxForClaim = false
    /// A claim with it has failed: what is wrong with it keeps no claim from succeeding.
    var isInboxAlone = false
    var depths: [String: QueueDepth] = [:] {
        didSet { queueTrend.note(depths.mapValues(\.due), clock.now().monotonic) }
    }
    var queueTrend = QueueTrend()
    var counters: [String: [String: Int64]] = [:]
    /// Attempts of them ended on other hosts, and have not been read yet.
    var jobsHeardOf: Set<String> = []
    var noRuns = NoRunCounts()
    var actionsElsewhere = ActionsElsewhere()
    /// What was asked for of jobs that take two persons, as last read; the oldest first.
    var asks: [Ask] = []
    static let mostAsks = 100
    var selfCheck = SelfCheck()
    /// As views have heard it last.
    var toldProblems: [String] = []
    /// Since this life serves.
    var aliveLine: AliveLine?
    var aliveTimer: EventLoop.TimerToken?
    var standstill = StandstillCheck()
    /// Workers that were killed and did not end.
    var stuckWorkers = 0
    var leasesRenewedAt = MonotonicInstant(microseconds: 0)

    // Beside other hosts

    var lease: HostLease
    var leaseTimer: EventLoop.TimerToken?
    /// Another host has this one's name.
    var leaseProblem: String?
    var clockProblem: String?
    /// A newer host has changed the store's format.
    var formatProblem: String?
    var drainReason = ""
    /// Why nothing is claimed.
    var holds: Set<Hold> = []
    /// Jobs whose breaker did not reach the store as it is here.
    var breakersUnsure: Set<String> = []
    /// The same of their state.
    var statesUnsure: Set<String> = []
    /// Jobs whose breaker this host has written since it began the present look.
    var breakersWritten: Set<String> = []
    /// Counts what operators decide here.
    var ownDecisions = 0
    /// The number of the last question that may claim something, and those without an answer, by when they were asked.
    var lastClaim: Int64 = 0
    var claimsUnderWay: [Int64: MonotonicInstant] = [:]
    var strays = StrayClaims()
    /// An answer of the store was lost: there may be claims that nobody here knows of.
    var mayHaveStrays = false

    /// Of the store, to questions for waiting runs.
    var waitingAnswers: Int64 = 0
    /// Makes the control socket anew if it is gone, and serves over TCP as the config says;
    /// returns what is wrong with that.
    var tendAPI: (@Sendable (HTTPSettings, AlertSettings) async -> String?)?
    let tending = Turnstile()
    var apiProblem: String?
    let heartbeat: Heartbeat
    private var beatPace = BeatPace()
    var pluginMetrics = PluginMetrics()
    var stoppingSince = MonotonicInstant.distantFuture
    var areChildrenEnding = false
    var areChildrenGone = false
    private var finished: [CheckedContinuation<Void, Never>] = []
    private(set) var isFinished = false

    /// What ten thousand runs of one instant take to be decided and sent, and as much again.
    static let sendLead = Duration.milliseconds(200)

    enum Phase: String { case starting, running, reloading, draining }

    init(
        loop: EventLoop, clock: any TimeSource, log: Logger, store: any Store, runLogs: RunLogs,
        room: any WorkerRoom, libraries: LibraryStore, builder: GenerationBuilder, generation: Generation, owner: Owner,
        configFile: String, environment: [String: String], seed: UInt64, notifier: Notify, heartbeat: Heartbeat,
        history: LibraryHistory
    ) {
        self.loop = loop
        self.clock = clock
        self.log = log
        self.store = store
        self.runLogs = runLogs
        self.room = room
        self.libraries = libraries
        self.builder = builder
        self.generation = generation
        self.owner = owner
        self.configFile = configFile
        self.environment = environment
        self.notifier = notifier
        self.heartbeat = heartbeat
        self.history = history
        historyFile = LibraryHistoryFile(stateDir: generation.config.host.stateDir)
        let now = clock.now()
        startedAt = now.wall
        lease = HostLease(length: generation.config.store.lease)
        var settings = Dispatcher.Settings()
        settings.isShared = store.isShared
        settings.schedules = generation.config.host.schedule
        settings.consumes = generation.config.host.consume
        settings.seed = seed
        settings.sendLead = Self.sendLead
        dispatcher = Dispatcher(settings: settings, zones: builder.zones, now: now)
    }

    // MARK: Turns

    /// Feeds the dispatcher and performs what it decides.
    func dispatch(_ event: Dispatcher.Event) {
        lookAtLease()
        perform(dispatcher.handle(event, now: clock.now()))
    }

    func perform(_ actions: DispatchActions) {
        // The alarm before all else: what the room says meanwhile sets a newer one.
        armTick(actions.wakeAt)
        // Then starts: they are what somebody waits for.
        if !actions.starts.isEmpty {
            beatIfDue()
            room.start(onTrial(actions.starts))
        }
        if !actions.takeBacks.isEmpty { room.takeBack(actions.takeBacks) }
        if !actions.claims.isEmpty { claimFires(actions.claims) }
        if !actions.moves.isEmpty { moveCursors(actions.moves) }
        if !actions.waiting.isEmpty { claimWaiting(actions.waiting) }
        for (pool, count) in actions.prewarm { room.prewarm(pool: pool, workers: count) }
        for cancel in actions.cancels { room.cancel(run: cancel.run, reason: cancel.reason) }
        record(actions)
        endIfDrained()
    }

    private func armTick(_ at: Instant?) {
        guard at != tickAt || tickTimer == nil else { return }
        if let tickTimer { loop.cancel(tickTimer) }
        tickTimer = nil
        tickAt = at
        guard let at else { return }
        tickTimer = loop.wallTimer(at: at) { [weak self] in
            self?.assumeIsolated { supervisor in
                supervisor.tickTimer = nil
                supervisor.tickAt = nil
                supervisor.dispatch(.tick)
            }
        }
    }

    /// What was started is never taken for a fire that this life did not see.
    func beatIfDue() {
        if let instant = beatPace.beat(clock.now()) { heartbeat.beat(instant) }
    }

    // MARK: The store's part

    private func claimFires(_ claims: [FireClaim]) {
        Task {
            do {
                let asked = clock.now().monotonic
                guard let runs = try await claiming({ try await store.claimFires(claims, owner: owner, now: clock.now().wall) }) else { return }
                events.emit(.store(operation: "claim_fires", took: clock.now().monotonic - asked))
                storeAnswered(asked)
                dispatch(.firesClaimed(claims, runs))
                await refresh(zip(claims, runs).compactMap { $1 == nil ? $0.job : nil })
            } catch {
                storeFailed(error)
                dispatch(.accountingFailed(jobs: claims.map(\.job)))
            }
        }
    }

    private func moveCursors(_ moves: [CursorMove]) {
        Task {
            do {
                let asked = clock.now().monotonic
                guard let moved = try await claiming({ try await store.moveCursors(moves, now: clock.now().wall) }) else { return }
                events.emit(.store(operation: "move_cursors", took: clock.now().monotonic - asked))
                storeAnswered(asked)
                dispatch(.cursorsMoved(moves, moved))
                await refresh(zip(moves, moved).compactMap { $1 ? nil : $0.job })
            } catch {
                storeFailed(error)
                dispatch(.accountingFailed(jobs: moves.map(\.job)))
            }
        }
    }

    /// Somebody else moved these cursors: read where they are. A job without a row appears anew.
    /// What fails here comes again: the next transaction finds the cursor elsewhere once more.
    private func refresh(_ jobs: [String]) async {
        guard !jobs.isEmpty else { return }
        do {
            let names = Set(jobs).sorted()
            let rows = try await store.jobStates(of: names)
            for job in names { dispatch(.refreshed(job: job, rows[job] ?? JobStateRow())) }
        } catch { storeFailed(error) }
    }

    private func claimWaiting(_ limits: [String: Int]) {
        let wanted = Dictionary(uniqueKeysWithValues: limits.map { ($0, dispatcher.waitingLimit(of: $0, most: $1)) })
        let inbox = inboxTake(with: limits.values.reduce(0, +))
        Task {
            do {
                let asked = clock.now().monotonic
                let answer = try await claiming {
                    try await store.claimWaiting(wanted, taking: inbox, owner: owner, now: clock.now().wall)
                }
                guard let claims = answer else {
                    // What was in the inbox waits now; the sweep finds it.
                    if inbox != nil { inboxDrained() }
                    return
                }
                events.emit(.store(operation: "claim_waiting", took: clock.now().monotonic - asked))
                waitingAnswers += 1
                // Where nothing waits, nothing was written.
                if !claims.runs.isEmpty { storeAnswered(asked) }
                dispatch(.waitingClaimed(limits: limits, claims))
                if inbox != nil { inboxTaken(claims.inbox) }
            } catch {
                storeFailed(error)
                if inbox != nil { isInboxAlone = true }
                dispatch(.waitingClaimFailed(jobs: Array(limits.keys)))
            }
            if inbox != nil { inboxDrained() }
        }
    }

    /// To a question of `asked`.
    func storeAnswered(_ asked: MonotonicInstant) {
        guard let line = storeHealth.answered(asked: asked, now: clock.now().monotonic) else { return }
        log.notice("\(line)")
        isRecordingLater = false
        flushRecords()
    }

    func storeFailed(_ error: any Error) {
        if let line = storeHealth.failed("\(error)", now: clock.now().monotonic) { log.error("\(line)") }
        // What it still takes, and what that means for this host, is in the answer.
        if let error = error as? StoreError, error.kind == .incompatible, store.isShared { renewLeases() }
    }

    // MARK: What the workers report

    /// What came together: ends, with nothing between them that they could decide, are one turn of the dispatcher.
    func heard(_ events: [ProcessEvent]) {
        var ends: [AttemptEnd] = []
        for event in events {
            if !event.mayOvertakeEnds { hear(&ends) }
            heard(event, &ends)
        }
        hear(&ends)
    }

    private func hear(_ ends: inout [AttemptEnd]) {
        guard !ends.isEmpty else { return }
        let together = ends
        ends = []
        guard !canaries.isEmpty else { return dispatch(.ended(together)) }
        // Each may decide a trial, and what starts after it goes where that says.
        for end in together {
            dispatch(.ended([end]))
            canaryHears(end)
        }
    }

    private func heard(_ event: ProcessEvent, _ ends: inout [AttemptEnd]) {
        switch event {
        case .started(let run, let at, let pid, let hash):
            if let i = dispatcher.owners[run] {
                events.emit(.started(job: dispatcher.jobs[i].name, run: run, at: at, pid: pid))
            }
            lookAtLease()
            dispatcher.started(run, at: at, pid: pid, libraryHash: hash)
        case .progress(let run, let done, let total, let text):
            dispatch(.progress(run: run, done: done, total: total, text: text))
        case .metric(_, let job, let sample): pluginMetrics.observe(sample, job: job)
        case .ended(var end):
            if let words = cancellations.removeValue(forKey: end.run) {
                end.reason = end.reason.replacing(CancelReason.operatorAsked.rawValue, with: words, maxReplacements: 1)
            }
            // By the rules of a lost attempt it is tried again where that does no harm.
            if end.gaveWay { end.outcome = .lost }
            ends.append(end)
        case .returned(let run):
            cancellations[run] = nil
            for plugin in canaries.keys { canaries[plugin]?.returned(run) }
            dispatch(.returned(run: run))
        case .hostFault(let pool, let message):
            if let message {
                if let line = poolHealth.failed(pool, message) { log.error("\(line)") }
            } else if let line = poolHealth.recovered(pool) {
                log.notice("\(line)")
            }
        case .poolRefused(let pool, let message):
            if let line = poolHealth.failed(pool, message) { log.error("\(line)") }
            canaryRefused(pool, message)
        case .workerStuck(let pid, let plugin, let run): heardStuck(pid, plugin, run)
        case .workersChanged(let change):
            events.emit(.worker(change))
            saveWorkers()
        }
    }

    // MARK: End

    /// Returns when the host has drained and every child is gone.
    public func waitUntilFinished() async {
        if isFinished { return }
        await withCheckedContinuation { finished.append($0) }
    }

    func finish() {
        guard !isFinished else { return }
        for note in untold { write(note) }
        isFinished = true
        for continuation in finished { continuation.resume() }
        finished = []
    }
}
