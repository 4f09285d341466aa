import JobConfig
import JobCore
import JobStore
import Logging

@testable import JobHost

/// A supervisor on a loop of its own, in a folder of its own: without workers, and nothing of it recurs by itself.
final class ShellStage: Sendable {
    let folder: String
    let supervisor: Supervisor
    private let loop: EventLoop
    private let logs: RunLogs

    static func use(
        store: any Store, tools: (_ folder: String) -> BuildTools = { _ in BuildTools.none },
        _ body: (ShellStage) async throws -> Void
    ) async throws {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let stage = try ShellStage(folder: folder.path, store, tools(folder.path))
        defer {
            stage.loop.stop()
            stage.loop.join()
            stage.logs.shutdown()
        }
        try await body(stage)
        await stage.turns()
    }

    private init(folder: String, _ store: any Store, _ tools: BuildTools) throws {
        self.folder = folder
        loop = try EventLoop()
        logs = try RunLogs(stateDir: folder)
        try loop.start()
        supervisor = Supervisor(
            loop: loop, clock: SystemClock(), log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, store: store, runLogs: logs,
            room: IdleRoom(), libraries: LibraryStore(stateDir: folder), builder: GenerationBuilder(tools: tools),
            generation: Generation(number: 1, config: Self.config(folder), plugins: [:], jobs: [:], pools: []),
            owner: Owner(host: "alpha", epoch: "life-1"), configFile: "jobs.toml", environment: [:], seed: 1,
            notifier: Notify(environment: [:]), heartbeat: Heartbeat(stateDir: folder, bootID: ""), history: LibraryHistory())
    }

    static func config(_ folder: String) -> HostConfig {
        HostConfig(
            file: "\(folder)/jobs.toml", host: HostSettings(name: "alpha", stateDir: folder, pluginDirs: []),
            store: StoreSettings(url: "sqlite:\(folder)/db"), http: HTTPSettings())
    }

    /// For long already: the host may look after other hosts' runs.
    func holdLease() async {
        await supervisor.act { supervisor in
            let before = MonotonicInstant(microseconds: supervisor.clock.now().monotonic.microseconds - 20_000_000)
            _ = supervisor.lease.renewed(asked: before, now: before)
        }
    }

    /// Long enough for everything to come to pass that nothing holds up.
    func turns() async {
        for _ in 0..<200 {
            await supervisor.act { _ in }
            await Task.yield()
        }
    }
}

extension ShellStage {
    /// Returns when it is so, or the test's time is up.
    func until(_ isSo: () -> Bool) async {
        while !isSo(), !Task.isCancelled { await turns() }
    }
}

extension Supervisor {
    func act<Value: Sendable>(_ body: @Sendable (isolated Supervisor) throws -> Value) rethrows -> Value { try body(self) }
}

extension BuildTools {
    static var none: BuildTools {
        BuildTools(
            loadConfig: { (_, _) async throws(ConfigErrors) in throw ConfigErrors([]) }, accept: { _ in throw LibraryRefusal("none") },
            probe: { _, _ in .refused("none") }, zones: SystemZones(environment: [:]), clock: SystemClock())
    }
}

/// A process room in which nothing happens.
final class IdleRoom: WorkerRoom {
    var handler: (([ProcessEvent]) -> Void)?
    var problem: String? { nil }
    func configure(pools: [PoolSpec], drain: Duration) {}
    func hide(_ secrets: Secrets) {}
    func setMaxWorkers(_ count: Int) {}
    func takeBack(_ runs: [RunID]) {}
    func start(_ requests: [AttemptRequest]) {}
    func cancel(run: RunID, reason: CancelReason) {}
    func prewarm(pool: String, workers: Int) {}
    func probe(_ spec: PoolSpec, questions: [SettingsQuestion], completion: @escaping (ProbeResult) -> Void) { completion(.refused("none")) }
    func examine(_ spec: PoolSpec, _ question: DoctorQuestion, completion: @escaping (ExaminationResult) -> Void) {}
    func run(errand command: [String], input: [UInt8], completion: @escaping (String?) -> Void) { completion(nil) }
    func snapshot() -> [WorkerSnapshot] { [] }
    func begin(epoch: String) {}
    func everythingIsRecorded() {}
    func kill(worker pid: Int32) {}
    func holdLease(until end: MonotonicInstant) {}
    func leaseLapsed() {}
    func shutdown(grace: Duration, completion: @escaping () -> Void) { completion() }
}
