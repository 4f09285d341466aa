import Glibc
import JobConfig
import JobCore
import JobStore
import Logging
import UnixSignals

/// From a config file to a serving supervisor, and what each signal then means.
///
/// Order matters: the lock before anything that assumes to be alone; survivors of an earlier
/// life are dead before their runs are declared lost; the generation is whole before anything
/// fires; systemd hears READY when jobs are really served.
enum Boot {
    /// Why the host did not start, in sentences, and the exit code for it.
    struct Failure: Error, CustomStringConvertible {
        var messages: [String]
        var exitCode: Int32
        var description: String { messages.joined(separator: "; ") }
    }

    struct Host {
        var supervisor: Supervisor
        var locks: [StateLock]
        var log: Logger
        var sink: HostLog
        var api: APIServer
    }

    static func run(configFile: String, environment: [String: String]) async -> Int32 {
        // First of all: from here on a SIGHUP during start-up is a reload after it. (Until here it was passed over.)
        let trapped = await UnixSignalsSequence(trapping: .sighup, .sigterm, .sigint, .sigusr1)
        let start = StartUnderWay()
        let (signals, later) = AsyncStream.makeStream(of: UnixSignal.self)
        Task {
            for await signal in trapped {
                if signal == .sigterm || signal == .sigint { start.endUnlessBegun("\(signal)") }
                later.yield(signal)
            }
        }
        signal(SIGPIPE, SIG_IGN)
        // The state folder can be passed through; what is in it is for the owner and its group.
        umask(0o026)
        let host: Host
        do {
            host = try await Self.start(start, configFile: configFile, environment: environment)
        } catch let failure as Failure {
            for message in failure.messages { printError("jobhost: \(message)") }
            return failure.exitCode
        } catch {
            printError("jobhost: \(error)")
            return 1
        }
        let listener = Task { await obey(signals, host) }
        await host.supervisor.waitUntilFinished()
        listener.cancel()
        await host.api.stop()
        await host.supervisor.endErrands()
        await host.supervisor.leaveStore()
        await host.supervisor.store.close()
        host.log.notice("stopped")
        host.sink.flush()
        for lock in host.locks { lock.release() }
        return 0
    }

    /// One table: signal → meaning → the CLI verb that does the same.
    ///
    /// SIGHUP → reload → `jobhost reload`. SIGTERM, SIGINT → drain within `host.grace`, a second
    /// one kills → `jobhost stop`. SIGUSR1 → reopen log files.
    private static func obey(_ signals: AsyncStream<UnixSignal>, _ host: Host) async {
        for await signal in signals {
            switch signal {
            case .sighup: await host.supervisor.reloadBySignal()
            case .sigusr1:
                host.sink.reopen()
                host.log.notice("log files reopened")
            default: await host.supervisor.stop(by: Actor(name: "\(signal)", via: "signal"))
            }
        }
    }

    // MARK: Start

    private static func start(_ start: StartUnderWay, configFile: String, environment: [String: String]) async throws -> Host {
        let clock = SystemClock()
        var reading: ConfigMemory?
        let config = try loadConfig(configFile, environment, &reading)
        let locks = try takeLocks(config)
        let heartbeat = Heartbeat(stateDir: config.host.stateDir, bootID: Survivors.bootID())
        let sink = try openLog(config, environment)
        let log = Logger(label: "jobhost") { _ in HostLogHandler(sink: sink, clock: clock) }
        log.notice("jobhost \(Supervisor.version) starts with \(configFile)")
        start.says { text in
            log.notice("\(text)")
            sink.flush()
        }

        let socket = config.host.stateDir + "/jobhost.sock"
        let keeper = Doorkeeper(logger: log)
        do {
            let ground = Ground(
                config: config, reading: reading, configFile: configFile, environment: environment, clock: clock, log: log,
                heartbeat: heartbeat, start: start)
            let (supervisor, api) = try await serve(ground, socket, keeper)
            return Host(supervisor: supervisor, locks: locks, log: log, sink: sink, api: api)
        } catch {
            await keeper.giveUp()
            throw error
        }
    }

    /// What stands once the state folder is this host's alone.
    private struct Ground: Sendable {
        var config: HostConfig
        var reading: ConfigMemory?
        var configFile: String
        var environment: [String: String]
        var clock: SystemClock
        var log: Logger
        var heartbeat: Heartbeat
        var start: StartUnderWay
    }

    /// All that may take long: meanwhile the doorkeeper answers.
    private static func serve(_ ground: Ground, _ socket: String, _ keeper: Doorkeeper) async throws -> (Supervisor, APIServer) {
        let (config, configFile, environment) = (ground.config, ground.configFile, ground.environment)
        let (clock, log) = (ground.clock, ground.log)
        async let standing: Void = keeper.stand(socketPath: socket, http: config.http)
        let store = try await openStore(config)
        let owner = Owner(host: config.host.name, epoch: Epoch.new(clock.now()))
        let isSucceedingItself: Bool
        do {
            let host = HostIntroduction(place: place(config), version: Supervisor.version, labels: config.host.labels)
            isSucceedingItself = try await store.enter(owner: owner, as: host, for: config.store.lease, now: clock.now().wall)
        } catch let refused as StoreError {
            await store.close()
            throw Failure(messages: [refused.message], exitCode: refused.kind == .held ? 6 : 1)
        }
        let proof = try await killSurvivors(store, owner, config.host.stateDir, log)

        let slates = Slates(stateDir: config.host.stateDir, bootID: Survivors.bootID())
        let parts = try HostParts(config: config, reading: ground.reading, clock: clock, environment: environment, slates: slates)
        parts.libraries.removeUnfinished()
        if let group = parts.groupFolder { log.notice("each worker has a control group of its own below \(group)") }
        let accepted = try await store.acceptedLibraries()
        let (history, problem) = LibraryHistoryFile(stateDir: config.host.stateDir).read()
        if let problem { log.error("\(problem)") }
        // Generations are numbered over the host's lives, so that a run's number names one config.
        let reloads = try await store.reloads(limit: 20)
        let last = reloads.first?.generation ?? 0
        let outcome = await parts.builder.build(
            file: configFile, environment: environment, previous: nil, accepted: accepted, number: last + 1,
            history: history)
        guard case .ready(let generation, var report) = outcome else {
            try? await store.leave(owner: owner)
            throw Failure(messages: outcome.report.errors, exitCode: 2)
        }
        report.compare(withLastLife: ReloadHistory.served(reloads))
        let supervisor = Supervisor(
            loop: parts.loop, clock: clock, log: log, store: store, runLogs: parts.runLogs, room: parts.room,
            libraries: parts.libraries, builder: parts.builder, generation: generation, owner: owner, configFile: configFile,
            environment: environment, seed: Epoch.seed(clock.now()), notifier: Notify(environment: environment),
            heartbeat: ground.heartbeat, history: history)
        ground.start.begins()
        try await supervisor.begin(report, proof, succeedingItself: isSucceedingItself)
        let alertFile = AlertFile(stateDir: config.host.stateDir)
        let api = APIServer(control: supervisor, logger: log, alertFile: alertFile) { [handle = parts.handle] in await handle.run(errand: $0, input: $1) }
        await api.alerts.use(config.alerts)
        await api.alerts.start()
        try await standing
        if let doors = await keeper.leave() { await api.take(over: doors) } else { try await api.listen(socketPath: socket) }
        await supervisor.serve(report) { http, alerts in
            await api.alerts.use(alerts)
            if access(socket, F_OK) != 0 {
                do {
                    try await api.listen(socketPath: socket)
                    log.warning("the control socket had been deleted; it is there again: \(socket)")
                } catch {
                    log.error("the control socket had been deleted and cannot be made anew: \(error)")
                }
            }
            return await serveHTTP(http, config.host.stateDir, api, log)
        }
        return (supervisor, api)
    }

    /// Returns what is wrong. Jobs do not stop because a port is taken: it is tried again.
    private static func serveHTTP(_ http: HTTPSettings, _ stateDir: String, _ api: APIServer, _ log: Logger) async -> String? {
        do {
            switch try await api.serve(http, stateDir: stateDir) {
            case .unchanged: break
            case .off: log.notice("API and page are on the socket alone now")
            case .serves(let authority, let token):
                log.notice("page and API: http://\(authority)/\(token.map { " (to act there, the token in \($0))" } ?? "")")
            }
            return nil
        } catch {
            return "page and API over TCP are not served: \(error)"
        }
    }

    private static func loadConfig(
        _ file: String, _ environment: [String: String], _ reading: inout ConfigMemory?
    ) throws -> HostConfig {
        do {
            return try ConfigLoader.load(
                file: file, environment: environment, zones: SystemZones(environment: environment), memory: &reading)
        } catch {
            throw Failure(messages: error.errors.map(\.description), exitCode: 2)
        }
    }

    private static func takeLocks(_ config: HostConfig) throws -> [StateLock] {
        do {
            let state = try StateLock.acquire(stateDir: config.host.stateDir)
            // In PostgreSQL a lease is what this lock is for a file.
            return config.store.isPostgreSQL ? [state] : [state, try StateLock.acquire(storeFile: storeFile(config))]
        } catch {
            throw Failure(messages: ["\(error)"], exitCode: 6)
        }
    }

    private static func openLog(_ config: HostConfig, _ environment: [String: String]) throws -> HostLog {
        var options = HostLog.Options()
        options.file = config.host.logFile
        options.format = HostLog.Format(rawValue: config.host.logFormat) ?? .text
        if Journal.isStandardError(environment["JOURNAL_STREAM"]) { options.journal = Journal.path }
        options.level = switch config.host.logLevel {
        case "debug": .debug
        case "warning": .warning
        case "error": .error
        default: .info
        }
        do {
            return try HostLog(options, environment: environment)
        } catch {
            throw Failure(messages: ["\(error)"], exitCode: 1)
        }
    }

    static func openStore(_ config: HostConfig) async throws -> any Store {
        do {
            guard config.store.isPostgreSQL else { return try await SQLiteStore.open(path: storeFile(config)) }
            var options = PostgresStoreOptions()
            options.schema = config.store.schema
            options.prepared = config.store.prepared
            options.listenURL = config.store.listenURL
            options.notify = config.store.notify
            return try await PostgresStore.open(url: config.store.url, host: config.host.name, options: options)
        } catch {
            throw Failure(messages: ["the store \(config.store.shown) cannot be opened: \(error)"], exitCode: 1)
        }
    }

    /// This machine and state folder, whose lock is ours: an earlier life there has ended.
    private static func place(_ config: HostConfig) -> String {
        let machine = (try? Machine.system.readFile("/etc/machine-id", 64)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return machine.filter { !$0.isWhitespace } + ":" + config.host.stateDir
    }

    private static func storeFile(_ config: HostConfig) -> String { String(config.store.url.dropFirst("sqlite:".count)) }

    /// What their slates tell can be read once they are dead.
    private static func killSurvivors(
        _ store: any Store, _ owner: Owner, _ stateDir: String, _ log: Logger
    ) async throws -> SlateProof {
        let rows = try await store.workers(host: owner.host).map {
            Survivors.Row(pid: $0.pid, startTime: $0.startTime, bootID: $0.bootID)
        }
        let bootID = Survivors.bootID()
        let signed = SlateProof(stateDir: stateDir, bootID: bootID).workers
        let killed = Survivors.killSurvivors(rows: Array(Set(rows + signed)))
        if !killed.isEmpty { log.warning("killed \(killed.count) workers that an earlier life of the host left behind") }
        return SlateProof(stateDir: stateDir, bootID: bootID)
    }

    static func printError(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}

/// Names this life of the host.
enum Epoch {
    static func new(_ now: Now) -> String {
        "\(now.wall.microseconds)-\(getpid())"
    }
    static func seed(_ now: Now) -> UInt64 {
        UInt64(bitPattern: now.wall.microseconds) ^ UInt64(bitPattern: now.monotonic.microseconds) << 20 ^ UInt64(getpid())
    }
}

extension Supervisor {
    /// The rescue, then the first generation: from here on jobs are scheduled. `succeedingItself`: the
    /// earlier life of this host's name had this state folder, and `proof` is of its workers.
    func begin(_ report: ReloadReport, _ proof: SlateProof, succeedingItself: Bool) async throws {
        room.handler = { [weak self] events in self?.assumeIsolated { $0.heard(events) } }
        dispatcherHostControl(try await store.hostControl())
        try await rescue(proof, succeedingItself)
        room.begin(epoch: owner.epoch)
        // Building the generation may have taken long.
        if store.isShared {
            await renewLeaseNow()
            hold(.lease, !lease.isHeld)
            // Who has been taken out stays so from the first moment on.
            let shared = try await store.sharedState(owner: owner)
            drainReason = shared.drainReason
            hold(.drained, shared.isDrained)
        }
        // Before anything can start: a life may be shorter than a period.
        beatIfDue()
        let rows = try await store.jobStates()
        let states = try await stateBlobs(of: generation)
        let waiting = try await store.waitingFires(upTo: clock.now().wall + JobSchedule.preclaimReach)
        // Dead letters of earlier lives are a problem from the first answer on.
        depths = try await store.queueDepths(now: clock.now().wall)
        // A counter that began at 0 with each life would seem to rise by all that it ever counted.
        counters = try await store.counters()
        try await removeAbsent(rows)
        apply(generation, rows: rows, states: states, waitingFires: waiting)
        await recordLibraries(of: generation)
        await saveAccepted(generation)
        await saveDefinitions()
        startHousekeeping()
        Task { await restoreHistory() }
    }

    /// The API answers now: tell everybody.
    func serve(_ report: ReloadReport, tendAPI: @escaping @Sendable (HTTPSettings, AlertSettings) async -> String?) async {
        phase = .running
        self.tendAPI = tendAPI
        lastReload = report
        await lookAfterAPI()
        finishReload(report)
        sayWhatNext()
        await enqueueStartRuns(of: Array(generation.jobs.keys).sorted())
        perform(reloads.startUpEnded(now: clock.now().monotonic))
    }

    /// Another host may take over at once.
    func leaveStore() async {
        do { try await store.leave(owner: owner) } catch { log.warning("the lease on the store could not be given back: \(error)") }
    }

    /// The last lines of a start: a newcomer's next steps.
    private func sayWhatNext() {
        log.notice("serving \(jobsOn()); history in \(generation.config.store.shown)")
        // As it was called: the newcomer's shell finds it by the same name.
        let program = CommandLine.arguments.first ?? "jobhost"
        let config = configFile == "jobs.toml" ? "" : " --config \(configFile)"
        log.notice("try in another terminal: \(program) status\(config)")
        log.notice("  … runs · show JOB · logs JOB --follow · trigger JOB --wait · explain JOB --at TIME · doctor")
        log.notice("edit \(configFile), then: \(program) plan\(config) · \(program) reload\(config) (or kill -HUP \(getpid()))")
    }

    /// Jobs that earlier lives served and this one does not: for them this start is the reload that removed them. Once
    /// back, they do not catch up on the time when they were not there.
    /// (In a store that hosts share another one may serve them, or come back to them.)
    private func removeAbsent(_ rows: [String: JobStateRow]) async throws {
        let host = generation.config.host
        guard host.schedule, !store.isShared else { return }
        let here = Set(generation.jobs.values.lazy.map(\.config).filter { $0.isServed(by: host) }.map(\.name))
        let absent = rows.filter { !here.contains($0.key) && generation.refused[$0.key] == nil }
        let now = clock.now().wall
        let moves = absent.sorted { $0.key < $1.key }.compactMap { job, row in
            Dispatcher.removal(of: job, row, zones: builder.zones, now: now)
        }
        if !moves.isEmpty { _ = try await store.moveCursors(moves, now: now) }
    }

    private func dispatcherHostControl(_ control: ControlRow) {
        perform(dispatcher.setHostControl(control, now: clock.now()))
    }
}
