import Glibc
import JobConfig
import JobCore
import JobStore
import JobTestKit
import Logging
import Synchronization
import Testing

@testable import JobHost

/// The supervisor's own watch, wired as it is: its loop, a store in a file, a room that starts nothing.
@Suite("What stands still is set going again", .timeLimit(.minutes(5))) struct RepairTests: DispatchStory {
    /// Remembers what it was to start, and to kill.
    private final class IdleRoom: WorkerRoom, @unchecked Sendable {
        private let state = Mutex<(starts: [RunID], workers: [WorkerSnapshot], killed: [Int32])>(([], [], []))
        var starts: [RunID] { state.withLock { $0.starts } }
        var killed: [Int32] { state.withLock { $0.killed } }
        func show(_ workers: [WorkerSnapshot]) { state.withLock { $0.workers = workers } }
        // On the loop alone.
        var handler: (([ProcessEvent]) -> Void)?
        func takeBack(_ runs: [RunID]) {}
        func start(_ requests: [AttemptRequest]) { state.withLock { $0.starts += requests.map(\.run) } }
        func snapshot() -> [WorkerSnapshot] { state.withLock { $0.workers } }
        func configure(pools: [PoolSpec], drain: Duration) {}
        func hide(_ secrets: Secrets) {}
        func setMaxWorkers(_ count: Int) {}
        func cancel(run: RunID, reason: CancelReason) {}
        func prewarm(pool: String, workers: Int) {}
        func probe(_ spec: PoolSpec, questions: [SettingsQuestion], completion: @escaping (ProbeResult) -> Void) {}
        func examine(_ spec: PoolSpec, _ question: DoctorQuestion, completion: @escaping (ExaminationResult) -> Void) {}
        func run(errand command: [String], input: [UInt8], completion: @escaping (String?) -> Void) {}
        func begin(epoch: String) {}
        func everythingIsRecorded() {}
        func kill(worker pid: Int32) { state.withLock { $0.killed.append(pid) } }
        func holdLease(until end: MonotonicInstant) {}
        func leaseLapsed() {}
        var problem: String? { nil }
        func shutdown(grace: Duration, completion: @escaping () -> Void) { completion() }
    }

    private struct World {
        var supervisor: Supervisor
        var store: LateStore
        var room: IdleRoom
        var clock: ManualClock
        var log: RecordedLog

        func repairs(_ kind: String) async -> Int? { await supervisor.snapshot().repairs.first { $0.kind == kind }?.count }
        /// As it is sent to whoever is told.
        func isTold(of subject: String, _ text: String) async -> Bool {
            Alert.conditions(await supervisor.snapshot()).contains { $0.kind == .hostProblem && $0.subject == subject && $0.text == text }
        }
        /// Nobody is told of anything of the host.
        func isCalm() async -> Bool { !Alert.conditions(await supervisor.snapshot()).contains { $0.kind == .hostProblem } }
        func wasLogged(_ text: String) -> Bool { log.lines(.critical) == [text] }
    }

    /// Far ahead of the machine's clock, so that no timer of the loop comes in between.
    private static let noon = Instant(rfc3339: "2099-01-01T12:30:00Z")!

    private func world(_ jobs: [JobConfig], _ body: (World) async throws -> Void) async throws {
        var template = Array("/tmp/jobhost-repair-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw HostFault("make a folder", code: errno) }
        let folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        let clock = ManualClock(wall: Self.noon)
        let loop = try EventLoop()
        try loop.start(name: "repair")
        let store = LateStore(try await SQLiteStore.open(path: folder + "/store.db"))
        let room = IdleRoom()
        let log = RecordedLog()
        let runLogs = try RunLogs(stateDir: folder)
        let generation = SimulatedHost.generation(jobs, idempotent: true, workers: 2, number: 1)
        let tools = BuildTools(
            loadConfig: { (_, _) throws(ConfigErrors) in throw ConfigErrors([]) }, accept: { _ in LibraryCopy(sha256: "h", path: "/nowhere") },
            probe: { _, _ in .hostFault("none here") }, zones: SystemZones(environment: [:]), clock: clock)
        let supervisor = Supervisor(
            loop: loop, clock: clock, log: log.logger, store: store, runLogs: runLogs, room: Self.asRoom(room),
            libraries: LibraryStore(stateDir: folder), builder: GenerationBuilder(tools: tools), generation: generation,
            owner: Owner(host: "test", epoch: "1"), configFile: "jobs.toml", environment: [:], seed: 1, notifier: Notify(environment: [:]),
            heartbeat: Heartbeat(stateDir: folder, bootID: "b"), history: LibraryHistory())
        await supervisor.serve(generation)
        let result: Result<Void, any Error>
        do { result = .success(try await body(World(supervisor: supervisor, store: store, room: room, clock: clock, log: log))) } catch { result = .failure(error) }
        store.letGo()
        runLogs.shutdown()
        await store.close()
        loop.stop()
        Folder.remove(folder)
        try result.get()
    }

    private static func asRoom(_ room: IdleRoom) -> any WorkerRoom { room }

    private func until(_ isTrue: () async -> Bool) async throws {
        while !(await isTrue()) {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    @Test("An answer that the store owes for a minute is asked for anew; the job goes on, is a problem until its cursor moves, and its run is executed once, the late answer or not")
    func swallowedAnswer() async throws {
        try await world([SimulatedHost.job("a", every(3_600))]) { world in
            let supervisor = world.supervisor
            try await until { await !supervisor.isAccounting("a") }
            world.clock.advance(by: .seconds(1_800))
            world.store.swallowNext(.cursor)
            await supervisor.dispatch(.tick)
            try await until { world.store.swallowed == 1 }
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            world.clock.advance(by: .seconds(61))
            await supervisor.checkSelf()
            let sentence = "the cursor of job 'a' stands still: the store has not answered its transaction for 1m1s"
            #expect(await supervisor.problems() == [sentence])
            #expect(await world.repairs("cursor") == 1)
            #expect(await world.isTold(of: "cursor a", sentence))
            #expect(world.wasLogged(sentence + "; trying again (the 1. time since the start)"), "\(world.log.lines(.critical))")
            // After its backoff it finds that the store has done it already.
            world.clock.advance(by: .seconds(1))
            await supervisor.dispatch(.tick)
            try await until { await supervisor.cursor(of: "a") == Self.noon + .seconds(1_800) }
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            #expect(await world.isCalm())
            #expect(world.room.starts == [])
            // Its run is claimed, and nobody has it: it is given back and executed, whether the answer ever comes or not.
            try await until {
                await supervisor.releaseStrays()
                return !world.room.starts.isEmpty
            }
            world.store.letGo()
            for _ in 0..<200 { _ = await supervisor.problems() }
            #expect(world.room.starts.count == 1)
            let runs = try await world.store.runs(RunFilter(job: "a"))
            #expect(runs.count == 1 && runs[0].attempt == 1)
        }
    }

    @Test("A fire whose alarm is lost is found overdue, and looked at again every time until it is seen to, also beside a run under way")
    func lostAlarm() async throws {
        try await world([SimulatedHost.job("a", every(3_600)) { $0.overlap = .allow }]) { world in
            let supervisor = world.supervisor
            try await until { await !supervisor.isAccounting("a") }
            world.clock.advance(by: .seconds(1_800))
            await supervisor.dispatch(.tick)
            try await until { world.room.starts.count == 1 }
            // That run hangs. Nobody wakes the host for the next fire.
            world.clock.advance(by: .seconds(3_600))
            await supervisor.checkSelf()
            #expect(world.room.starts.count == 1)
            #expect(await supervisor.problems() == [])
            world.clock.advance(by: .seconds(11))
            await supervisor.checkSelf()
            let sentence = "job 'a' was due at 2099-01-01T14:00:00Z, and nobody was seeing to it"
            #expect(await supervisor.problems() == [sentence])
            #expect(await world.isTold(of: "overdue a", sentence))
            #expect(world.wasLogged(sentence + "; looking at it again (the 1. time since the start)"), "\(world.log.lines(.critical))")
            try await until { await supervisor.cursor(of: "a") >= Self.noon + .seconds(5_400) }
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            #expect(await world.isCalm())
            #expect(await world.repairs("fire") == 1)
        }
    }

    @Test("Leases whose renewal the store does not answer are renewed by another question; a late answer to the first lets none in beside the second")
    func leaseNobodyRenews() async throws {
        try await world([SimulatedHost.job("a", every(3_600))]) { world in
            let supervisor = world.supervisor
            try await until { await !supervisor.isAccounting("a") }
            world.clock.advance(by: .seconds(1_800))
            await supervisor.dispatch(.tick)
            try await until { world.room.starts.count == 1 }
            world.store.swallowNext(.lease)
            await supervisor.renewLeases()
            try await until { world.store.swallowed == 1 }
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            // The next one is not answered either.
            world.store.swallowNext(.lease)
            world.clock.advance(by: .seconds(46))
            await supervisor.checkSelf()
            let sentence = "the leases of running attempts have not been renewed for 46s"
            #expect(await supervisor.problems() == [sentence])
            #expect(await world.repairs("lease") == 1)
            #expect(await world.isTold(of: "lease ", sentence))
            #expect(world.wasLogged(sentence + "; trying again (the 1. time since the start)"), "\(world.log.lines(.critical))")
            try await until { world.store.swallowed == 2 }
            world.store.letGo(1)
            let now = world.clock.now().monotonic
            try await until { await supervisor.act { $0.leasesRenewedAt == now } }
            for _ in 0..<200 { _ = await supervisor.problems() }
            await supervisor.renewLeases()
            for _ in 0..<200 { _ = await supervisor.problems() }
            #expect(world.store.renewals == 2)
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            #expect(await world.isCalm())
            world.store.letGo()
            try await until {
                await supervisor.renewLeases()
                return world.store.renewals > 2
            }
        }
    }

    @Test("The question for waiting runs that the store does not answer for a minute is asked anew; what the first one claimed is executed once")
    func queueThatStandsStill() async throws {
        try await world([SimulatedHost.job("a", every(3_600))]) { world in
            let supervisor = world.supervisor
            try await until { await !supervisor.isAccounting("a") }
            try await until { await supervisor.act { !$0.dispatcher.isAsking } }
            let answers = await supervisor.act { $0.waitingAnswers }
            _ = try await world.store.enqueue([NewRun(job: "a", trigger: .enqueued, fireTime: Self.noon)], now: Self.noon)
            world.store.swallowNext(.waiting)
            await supervisor.dispatch(.wait(jobs: ["a"]))
            try await until { world.store.swallowed == 1 }
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            world.clock.advance(by: .seconds(61))
            await supervisor.checkSelf()
            let sentence = "waiting runs stand still: the store has not answered the question for them for 1m1s"
            #expect(await supervisor.problems() == [sentence])
            #expect(await world.repairs("queue") == 1)
            #expect(await world.isTold(of: "queue ", sentence))
            #expect(world.wasLogged(sentence + "; trying again (the 1. time since the start)"), "\(world.log.lines(.critical))")
            world.clock.advance(by: .seconds(1))
            await supervisor.dispatch(.tick)
            try await until { await supervisor.act { $0.waitingAnswers > answers } }
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            #expect(await world.isCalm())
            try await until {
                await supervisor.releaseStrays()
                return !world.room.starts.isEmpty
            }
            world.store.letGo()
            for _ in 0..<200 { _ = await supervisor.problems() }
            #expect(world.room.starts.count == 1)
        }
    }

    @Test("A worker that has been sent runs and begins none for a minute is killed; one that begins them is not")
    func workerThatStandsStill() async throws {
        try await world([SimulatedHost.job("a", every(3_600))]) { world in
            let supervisor = world.supervisor
            try await until { await !supervisor.isAccounting("a") }
            func look(done: Int) async {
                world.room.show(([4711, 4712] as [Int32]).map { pid in
                    WorkerSnapshot(
                        pid: pid, startTime: 1, pool: "p", plugin: "p", libraryHash: "h1", state: "running", run: nil, runs: pid == 4711 ? 0 : done,
                        startedAt: Self.noon, residentBytes: 0)
                })
                await supervisor.checkSelf()
            }
            await look(done: 0)
            #expect(await supervisor.problems() == [])
            world.clock.advance(by: .seconds(61))
            await look(done: 1)
            let sentence = "worker 4711 has been sent runs and has begun none for 1m1s"
            #expect(await supervisor.problems() == [sentence])
            #expect(await world.repairs("worker") == 1)
            #expect(await world.isTold(of: "worker 4711", sentence))
            #expect(world.wasLogged(sentence + "; trying again (the 1. time since the start)"), "\(world.log.lines(.critical))")
            #expect(world.room.killed == [4711])
            world.room.show([])
            await supervisor.checkSelf()
            #expect(await supervisor.problems() == [])
            #expect(await world.isCalm())
        }
    }

    @Test("A worker that was killed and does not end is a problem that names pid and job, for as long as it is there")
    func stuckWorker() async throws {
        try await world([SimulatedHost.job("a", every(3_600))]) { world in
            let supervisor = world.supervisor
            try await until { await !supervisor.isAccounting("a") }
            world.clock.advance(by: .seconds(1_800))
            await supervisor.dispatch(.tick)
            try await until { world.room.starts.count == 1 }
            let run = world.room.starts[0]
            var worker = WorkerSnapshot(
                pid: 4711, startTime: 1, pool: "p", plugin: "p", libraryHash: "h1", state: "stopping", run: run, runs: 0, startedAt: Self.noon,
                residentBytes: 0)
            worker.isStuck = true
            world.room.show([worker])
            await supervisor.hear(.workerStuck(pid: 4711, plugin: "p", run: run))
            let problems = await supervisor.problems()
            #expect(problems.count == 1 && problems[0].hasPrefix("worker 4711 of plugin p was killed with run \(run) of a and does not end"), "\(problems)")
            #expect(await world.repairs("stuck_worker") == 1)
            world.room.show([])
            #expect(await supervisor.problems() == [])
        }
    }
}

extension Supervisor {
    fileprivate func serve(_ generation: Generation) { apply(generation, rows: [:], states: [:]) }
    fileprivate func isAccounting(_ job: String) -> Bool { dispatcher.index[job].map { dispatcher.jobs[$0].isAccounting } ?? false }
    fileprivate func cursor(of job: String) -> Instant { dispatcher.index[job].map { dispatcher.jobs[$0].schedule.cursor } ?? .distantPast }
    fileprivate func hear(_ event: ProcessEvent) { heard([event]) }
    fileprivate func act<Value: Sendable>(_ body: @Sendable (isolated Supervisor) throws -> Value) rethrows -> Value { try body(self) }
}
