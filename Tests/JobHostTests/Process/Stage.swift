import CLinux
import Glibc
import JobCore
import Synchronization
import Testing

@testable import JobHost

/// A process room with the real worker, on a loop of its own, in a folder of its own.
actor Stage {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    nonisolated let folder = TemporaryFolder()
    nonisolated let logs: RunLogs
    nonisolated let library: LibraryCopy
    /// Orphans that the room may take for its own.
    nonisolated let claimed = Claimed()
    private var claims = false
    private var room: ProcessRoom?
    private(set) var events: [ProcessEvent] = []
    /// Of the pids that may be taken for orphans: those that nobody had killed when an attempt was
    /// reported as ended.
    private(set) var aliveAtEnd: [Int32] = []
    private var waiting: [(matches: (ProcessEvent) -> Bool, continuation: CheckedContinuation<ProcessEvent, Never>)] = []

    final class Claimed: Sendable {
        private let pids = Mutex<Set<Int32>>([])
        func insert(_ pid: Int32) { pids.withLock { _ = $0.insert(pid) } }
        var all: [Int32] { pids.withLock { $0.sorted() } }
        func contains(_ pid: Int32) -> Bool { pids.withLock { $0.contains(pid) } }
    }

    init(maxWorkers: Int = 8, worker: String? = nil, groupFolder: String? = nil) async throws {
        let loop = try EventLoop()
        // Before the last property is set: from there on this runs on the loop.
        try loop.start()
        self.loop = loop
        logs = try RunLogs(stateDir: folder.path)
        library = try LibraryStore(stateDir: folder.path).accept(original: TroublePlugin.build(in: folder.path))
        let binary = try worker ?? Self.workerBinary()
        try open(maxWorkers, binary, groupFolder)
    }

    private func open(_ maxWorkers: Int, _ binary: String, _ groupFolder: String?) throws {
        let claimed = claimed
        let room = try ProcessRoom(
            loop: loop, workerBinary: binary, stateDir: folder.path, maxWorkers: maxWorkers, runLogs: logs,
            groups: groupFolder.map { ControlGroups(folder: $0, stateDir: folder.path) },
            slates: Slates(stateDir: folder.path, bootID: Survivors.bootID()),
            claimsOrphan: { claimed.contains($0) }
        )
        room.handler = { [weak self] events in self?.assumeIsolated { stage in for event in events { stage.heard(event) } } }
        room.begin(epoch: "life")
        self.room = room
    }

    /// Beside the test bundle, where the build put it.
    static func workerBinary() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4_096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let exe = String(decoding: buffer.prefix(max(0, length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var folders = [exe.split(separator: "/").dropLast().joined(separator: "/")]
        for argument in CommandLine.arguments where argument.contains(".xctest") {
            if let real = realpath(argument, nil) {
                folders.append(String(cString: real).split(separator: "/").dropLast().joined(separator: "/"))
                free(real)
            }
        }
        for folder in folders {
            for name in ["jobhost-worker", "JobWorker"] where access("/\(folder)/\(name)", X_OK) == 0 {
                return "/\(folder)/\(name)"
            }
        }
        throw TestFailure(text: "jobhost-worker is not beside the test bundle in \(folders)")
    }

    private func heard(_ event: ProcessEvent) {
        if claims, case .progress(_, let done, _, _) = event { claimed.insert(Int32(clamping: done)) }
        if case .ended = event { aliveAtEnd += claimed.all.filter { !isDoomed($0) } }
        events.append(event)
        for index in waiting.indices.reversed() where waiting[index].matches(event) {
            waiting.remove(at: index).continuation.resume(returning: event)
        }
    }

    /// Pids that runs report as their progress may be taken for orphans.
    func claimReportedPids() { claims = true }

    /// The first event, past or to come, that matches.
    func event(_ matches: @escaping @Sendable (ProcessEvent) -> Bool) async -> ProcessEvent {
        if let past = events.first(where: matches) { return past }
        return await withCheckedContinuation { waiting.append((matches, $0)) }
    }

    func end(of run: Int64) async throws -> AttemptEnd {
        let event = await event { event in
            if case .ended(let end) = event { return end.run == RunID(run) }
            if case .returned(let returned) = event { return returned == RunID(run) }
            return false
        }
        guard case .ended(let end) = event else { throw TestFailure(text: "run \(run) was returned") }
        return end
    }

    /// Until a worker has ended so.
    func worker(_ how: WorkerEnd) async {
        _ = await event { event in
            if case .workersChanged(.ended(plugin: "trouble", how)) = event { return true }
            return false
        }
    }

    func started(_ run: Int64) async -> Int32 {
        let event = await event { event in
            if case .started(RunID(run), _, _, _) = event { return true }
            return false
        }
        guard case .started(_, _, let pid, _) = event else { return 0 }
        return pid
    }

    func pool(
        max: Int = 1, memory: UInt64? = nil, startTimeout: Duration = .seconds(100), key: String = "trouble",
        environment: [String: String] = [:]
    ) -> PoolSpec {
        PoolSpec(
            key: key, plugin: "trouble", library: library, maxWorkers: max, memoryLimit: memory,
            environment: environment, startTimeout: startTimeout
        )
    }

    /// Of the descriptors that are watched from now on, that one cannot be; 0: the next.
    func refuseWatch(_ number: Int) {
        var left = number
        loop.system.add = { epoll, fd, events, token in
            left -= 1
            return left == -1 ? -ENOSPC : cl_epoll_add(epoll, fd, events, token)
        }
    }

    func configure(_ pools: [PoolSpec], drain: Duration = .seconds(600)) { room?.configure(pools: pools, drain: drain) }

    func start(
        _ run: Int64, _ entry: String, timeout: Duration? = Stage.longTimeout, grace: Duration = .milliseconds(50),
        heartbeat: Duration? = nil, payload: String = "", pool: String = "trouble"
    ) {
        room?.start([Self.request(run, entry, timeout: timeout, grace: grace, heartbeat: heartbeat, payload: payload, pool: pool)])
    }

    /// `timeout`: of one of them.
    func startAll(_ entry: String, _ payloads: [(run: Int64, payload: String)], timeout: (run: Int64, limit: Duration)? = nil) {
        room?.start(payloads.map { run, payload in
            Self.request(run, entry, timeout: timeout?.run == run ? timeout?.limit : Self.longTimeout, payload: payload)
        })
    }

    /// In one turn of the loop, which hears nothing meanwhile: lets a run of `brief` end that
    /// waits for `file`, waits until the next one has begun, then has the first one's worker
    /// killed for its memory. false: the next one did not begin.
    func killTooLate(_ run: Int64, waitingFor file: String, nextWaitingFor next: String) throws -> Bool {
        try write("", to: file)
        let limit = clock.now().monotonic + .seconds(120)
        while access(next + ".began", F_OK) != 0 {
            if clock.now().monotonic > limit { return false }
        }
        room?.apply(.memoryExceeded(resident: 1 << 40), to: RunID(run))
        room?.run([])
        return true
    }
    private let clock = SystemClock()

    func startAll(_ runs: ClosedRange<Int64>, _ entry: String) { room?.start(runs.map { Self.request($0, entry) }) }

    /// Beyond the longest that a busy machine lets a run stand still.
    static let longTimeout = Duration.seconds(600)

    static func request(
        _ run: Int64, _ entry: String, timeout: Duration? = Stage.longTimeout, grace: Duration = .milliseconds(50),
        heartbeat: Duration? = nil, payload: String = "", pool: String = "trouble"
    ) -> AttemptRequest {
        AttemptRequest(
            run: RunID(run), job: "job-\(entry)", entry: entry, pool: pool, attempt: 1, trigger: .manual,
            fireTime: Instant(seconds: 1_735_689_600), fence: run, idempotencyKey: "key-\(run)",
            payload: Array(payload.utf8), settings: Array("{}".utf8), timeout: timeout, killGrace: grace,
            heartbeat: heartbeat
        )
    }

    /// Ahead of an instant that far from now.
    func startAhead(_ run: Int64, _ entry: String, in time: Duration, pool: String = "trouble") {
        var request = Self.request(run, entry, pool: pool)
        request.notBefore = clock.now().wall + time
        room?.start([request])
    }
    /// The same, and the worker stands still from before it is taken back until it is told to go on. In one turn of the loop:
    /// nothing comes between that lasts until the instant. `due`: a run that is asked for before it is taken back. `clock` ends
    /// once the instant is over, in a pool of that name.
    func startAheadAndTakeBack(_ run: Int64, standing worker: Int32, due: Int64? = nil, clock: Int64) {
        startAhead(run, "good", in: .milliseconds(500))
        Glibc.kill(worker, SIGSTOP)
        if let due { start(due, "nothing") }
        takeBack(run)
        startAhead(clock, "good", in: .milliseconds(520), pool: "clock")
    }
    func takeBack(_ runs: Int64...) { room?.takeBack(runs.map { RunID($0) }) }
    func returned(_ run: Int64) async {
        _ = await event { event in
            if case .returned(let returned) = event { return returned == RunID(run) }
            return false
        }
    }

    func cancel(_ run: Int64, _ reason: CancelReason = .operatorAsked) { room?.cancel(run: RunID(run), reason: reason) }
    func kill(worker pid: Int32) { room?.kill(worker: pid) }
    func prewarm(_ count: Int) { room?.prewarm(pool: "trouble", workers: count) }
    func snapshot() -> [WorkerSnapshot] { room?.snapshot() ?? [] }

    func probe(_ spec: PoolSpec, _ questions: [SettingsQuestion] = []) async -> ProbeResult {
        await withCheckedContinuation { continuation in
            room?.probe(spec, questions: questions) { continuation.resume(returning: $0) }
        }
    }

    func examine(_ spec: PoolSpec, entry: String, timeout: Duration = Stage.longTimeout) async -> ExaminationResult? {
        let question = DoctorQuestion(job: "the-job", entry: entry, settings: Array("{}".utf8), timeout: timeout)
        return await withCheckedContinuation { continuation in
            guard let room else { return continuation.resume(returning: nil) }
            room.examine(spec, question) { continuation.resume(returning: $0) }
        }
    }

    /// Runs a shell's commands as an errand. nil: they ended well, else what is wrong.
    func errand(_ commands: String, input: [UInt8] = []) async -> String? {
        await withCheckedContinuation { continuation in
            room?.run(errand: ["sh", "-c", commands], input: input) { continuation.resume(returning: $0) }
        }
    }

    /// The same, in a turn of the loop that hears nothing until they have ended.
    func errandHeardLate(_ commands: String) async -> String? {
        let note = folder.path + "/errand"
        return await withCheckedContinuation { continuation in
            room?.run(errand: ["sh", "-c", "echo $$ > '\(note)'; " + commands], input: []) { continuation.resume(returning: $0) }
            let limit = clock.now().monotonic + .seconds(60)
            while clock.now().monotonic < limit {
                let pid = ProcFS.read(note, limit: 64).flatMap { Int32(String(decoding: $0, as: UTF8.self).filter(\.isNumber)) }
                if let pid, !isAlive(pid) { break }
            }
        }
    }

    func stop(grace: Duration = .milliseconds(200)) async {
        await withCheckedContinuation { continuation in
            room?.shutdown(grace: grace) { continuation.resume() }
        }
    }

    /// No child is left, and every log is in its file.
    func settle() async {
        await stop()
        logs.shutdown()
    }

    /// Ends everything; the stage is of no use any more.
    nonisolated func close() async {
        await settle()
        loop.stop()
        loop.join()
    }
}

/// Runs `body` with a stage and closes it, also when `body` throws.
func onStage(maxWorkers: Int = 8, groupFolder: String? = nil, _ body: (Stage) async throws -> Void) async throws {
    let stage = try await Stage(maxWorkers: maxWorkers, groupFolder: groupFolder)
    do {
        try await body(stage)
    } catch {
        await stage.close()
        throw error
    }
    await stage.close()
}

/// It has ended, or is to be ended before it does anything more of its own: SIGKILL is pending.
func isDoomed(_ pid: Int32) -> Bool {
    guard isAlive(pid), let status = ProcFS.read("/proc/\(pid)/status", limit: 64 << 10) else { return true }
    return String(decoding: status, as: UTF8.self).split(separator: "\n").contains { line in
        guard line.hasPrefix("SigPnd:") || line.hasPrefix("ShdPnd:") else { return false }
        return line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }.map { $0 & 1 << 8 != 0 } ?? false
    }
}

func isAlive(_ pid: Int32) -> Bool { ProcFS.stat(pid).map { !$0.isZombie } ?? false }

/// The lines of a log that has been closed.
func text(_ logs: RunLogs, job: String, run: Int64) -> String {
    var bytes: [UInt8] = []
    var offset: Int64 = 0
    while true {
        let slice = logs.read(job: job, run: RunID(run), from: offset, limit: 1 << 20)
        bytes += slice.bytes
        if slice.ended || (slice.bytes.isEmpty && slice.next == offset) { break }
        offset = slice.next
    }
    return String(decoding: bytes, as: UTF8.self)
}
