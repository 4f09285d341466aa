import Glibc
import JobConfig
import JobCore

/// The room's shell: performs what the state machines (`Workforce`, `WorkerPool`, `Attempt`)
/// decide, and is the one place where processes, sockets and timers of workers are touched.
/// Confined to the loop's thread.
///
/// Whatever a machine asks for, and every report to `handler`, goes through one queue, so that
/// a handler that calls back into the room finds it at rest.
public final class ProcessRoom: WorkerRoom {
    public var handler: (([ProcessEvent]) -> Void)?

    let loop: EventLoop
    let clock: any TimeSource
    let runLogs: RunLogs
    let spawner: Spawner
    let reaper: Reaper
    /// nil: none; what is told apart by them is not.
    let slates: Slates?
    var force: Workforce
    /// Everything asked for and not yet ended, queued or sent.
    var runs: [RunID: LiveRun] = [:]
    var members: [WorkerID: Member] = [:]
    /// Of this life of the host: a plugin may have one still that the config has no more.
    private var hidden = Secrets()
    /// Of what plugins say.
    private(set) var mask = SecretMask()
    var throwaways: [ObjectIdentifier: any Abortable] = [:]

    private enum Step {
        case perform(Workforce.Action)
        case report(ProcessEvent)
    }
    private var steps: [Step] = []
    private var isPerforming = false
    /// What a worker sent at once is heard to the end before anything is performed.
    var isHearing = false
    /// Attempts whose limits have changed meanwhile: most of them end with the next frame.
    var unarmed: [RunID] = []
    private var forceTimer: (due: MonotonicInstant, token: EventLoop.TimerToken)?
    private var memoryTimer: EventLoop.TimerToken?
    private var stopping: (limit: MonotonicInstant, timer: EventLoop.TimerToken)?
    private var stopped: [() -> Void] = []
    private var hasStopped = false
    /// Of the host; nil: the store is its alone.
    var leaseEnd: MonotonicInstant?

    // Objects, since they are looked at with every frame: a look copies nothing.

    final class LiveRun {
        let request: AttemptRequest
        var attempt: Attempt
        /// nil: queued.
        var worker: WorkerID?
        /// Asked back: whatever else it was recalled for, it does not wait for another worker.
        var isTakenBack = false
        var sentAt = Instant.epoch
        var timer: (due: MonotonicInstant, token: EventLoop.TimerToken)?
        var enqueues: [EnqueueRequest] = []
        var enqueueBytes = 0
        init(request: AttemptRequest, attempt: Attempt) {
            self.request = request
            self.attempt = attempt
        }
    }

    final class Member {
        let process: WorkerProcess
        let spec: PoolSpec
        var instances: [InstanceKey: (number: UInt32, settings: Bytes)] = [:]
        var executing: RunID?
        /// By the room; it may not be gone yet.
        var isKilled = false
        /// From when on processes below it are counted for what it executes, and its CPU time when it started that;
        /// looked at only with a limit.
        var countedSince = MonotonicInstant(microseconds: 0)
        var cpuAtStart = Duration.zero
        /// Runs that have ended since somebody looked whether processes that they left behind have.
        var runsSinceLook = 0
        init(process: WorkerProcess, spec: PoolSpec) {
            self.process = process
            self.spec = spec
        }
    }
    struct InstanceKey: Hashable {
        var job: String
        var entry: String
    }

    /// `workerBinary` and `stateDir` are absolute. `claimsOrphan` tells whether a child of this
    /// process that the room did not start is to be killed: in the host all are; a test, whose
    /// process has other children, says which.
    init(
        loop: EventLoop, clock: any TimeSource = SystemClock(), workerBinary: String, stateDir: String,
        maxWorkers: Int, runLogs: RunLogs, groups: ControlGroups? = nil,
        slates: Slates? = nil, claimsOrphan: @escaping @Sendable (Int32) -> Bool = { _ in true }
    ) throws(HostFault) {
        self.loop = loop
        self.clock = clock
        self.runLogs = runLogs
        self.slates = slates
        spawner = Spawner(binary: workerBinary, folder: stateDir, groups: groups)
        reaper = try Reaper(loop: loop, claimsOrphan: claimsOrphan)
        force = Workforce(maxWorkers: maxWorkers)
        for group in groups?.leftovers() ?? [] { reaper.empty(group) }
        reaper.onEmpty = { [weak self] in self?.finishIfStopped() }
    }

    // MARK: WorkerRoom

    public func configure(pools: [PoolSpec], drain: Duration) {
        run(force.configure(pools, drain: drain, now: now.monotonic))
    }

    public func hide(_ secrets: Secrets) {
        hidden = hidden.union(secrets)
        mask = SecretMask(hidden)
    }

    /// The host's cap on workers, from the next start on.
    public func setMaxWorkers(_ count: Int) {
        force.maxWorkers = max(1, count)
        run(force.tick(now: now.monotonic))
    }

    public func start(_ requests: [AttemptRequest]) {
        var accepted: [(run: RunID, job: String, pool: String, bytes: Int)] = []
        var ahead: [(pool: String, request: RunQueue.Request)] = []
        let now = now
        for request in requests where runs[request.run] == nil {
            let spec = force.pools[request.pool]?.spec
            let limits = Attempt.Limits(
                timeout: request.timeout, killGrace: request.killGrace, heartbeat: request.heartbeat,
                memory: spec?.memoryLimit, cpu: spec?.sandbox?.cpuTime
            )
            runs[request.run] = LiveRun(request: request, attempt: Attempt(limits: limits))
            if let problem = request.problem {
                end(request.run, Attempt.Ending(outcome: .failed, reason: problem), workerLives: false)
            } else if let notBefore = request.notBefore {
                ahead.append((request.pool, RunQueue.Request(
                    run: request.run, job: request.job, since: now.monotonic, bytes: request.bytes,
                    notBefore: now.monotonic + (notBefore - now.wall))))
            } else {
                accepted.append((request.run, request.job, request.pool, request.bytes))
            }
        }
        if !accepted.isEmpty || ahead.isEmpty { run(force.submit(accepted, now: now.monotonic)) }
        if !ahead.isEmpty { run(force.sendAhead(ahead, now: now.monotonic)) }
    }

    public func takeBack(_ asked: [RunID]) {
        run(asked.compactMap { run in runs[run].map { Workforce.Action(pool: $0.request.pool, what: .takeBack(run)) } })
    }

    public func cancel(run id: RunID, reason: CancelReason) {
        guard let live = runs[id] else { return }
        apply(.cancel(reason, grace: live.request.killGrace), to: id)
        if live.worker == nil, force.removeQueued(id, pool: live.request.pool) { apply(.returned, to: id) }
        run([])
    }

    public func prewarm(pool: String, workers: Int) {
        run(force.prewarm(pool: pool, workers: workers, now: now.monotonic))
    }

    public func probe(
        _ spec: PoolSpec, questions: [SettingsQuestion], completion: @escaping (ProbeResult) -> Void
    ) {
        if force.isStopping { return completion(.hostFault("the host is stopping")) }
        run(Probe(spec: spec, questions: questions, loop: loop), completion)
    }

    public func examine(
        _ spec: PoolSpec, _ question: DoctorQuestion, completion: @escaping (ExaminationResult) -> Void
    ) {
        if force.isStopping {
            return completion(ExaminationResult(findings: [], end: .hostFault("the host is stopping")))
        }
        run(Examination(spec: spec, question: question, loop: loop), completion)
    }

    private func run<Verdict>(_ worker: Throwaway<Verdict>, _ completion: @escaping (Verdict) -> Void) {
        throwaways[ObjectIdentifier(worker)] = worker
        worker.run(spawner: spawner, reaper: reaper) { [weak self] verdict in
            self?.throwaways[ObjectIdentifier(worker)] = nil
            completion(verdict)
            self?.finishIfStopped()
        }
    }

    /// Runs a program of the operator's; nil: it ended well, else what is wrong.
    public func run(errand command: [String], input: [UInt8], completion: @escaping (String?) -> Void) {
        // Once all workers are gone there is still something to tell of them.
        if force.isStopping, !hasStopped { return completion("the host is stopping") }
        let errand = Errand(command: command, loop: loop, reaper: reaper)
        throwaways[ObjectIdentifier(errand)] = errand
        errand.run(spawner: spawner, input: input) { [weak self] problem in
            self?.throwaways[ObjectIdentifier(errand)] = nil
            completion(problem)
            self?.finishIfStopped()
        }
    }

    public func snapshot() -> [WorkerSnapshot] {
        members.sorted { $0.key < $1.key }.map { id, member in
            let worker = force.worker(id)
            var snapshot = WorkerSnapshot(
                pid: member.process.pid, startTime: member.process.startTime, pool: member.spec.key,
                plugin: member.spec.plugin, libraryHash: member.spec.library.sha256,
                state: worker?.stateName ?? "stopping", run: member.executing, runs: worker?.runsDone ?? 0,
                startedAt: member.process.startedAt, residentBytes: worker?.resident ?? 0
            )
            snapshot.isStuck = worker?.isStuck ?? false
            return snapshot
        }
    }

    public func shutdown(grace: Duration, completion: @escaping () -> Void) {
        stopped.append(completion)
        if hasStopped {
            killAll()
            return finishIfStopped()
        }
        let limit = now.monotonic + grace
        if stopping == nil { run(force.stop(now: now.monotonic)) }
        for id in runs.keys.sorted() { apply(.cancel(.drain, grace: grace), to: id) }
        if limit < stopping?.limit ?? .distantFuture {
            if let old = stopping { loop.cancel(old.timer) }
            stopping = (limit, loop.timer(at: limit) { [weak self] in self?.killAll() })
        }
        run([])
        finishIfStopped()
    }

    public func begin(epoch: String) { slates?.begin(epoch: epoch) }

    public func everythingIsRecorded() {
        if force.isStopping, members.isEmpty { slates?.end() } else { slates?.everythingIsRecorded() }
    }

    public func kill(worker pid: Int32) {
        guard let id = members.first(where: { $0.value.process.pid == pid })?.key else { return }
        kill(id)
        run([])
    }

    public func holdLease(until end: MonotonicInstant) {
        leaseEnd = end
        for id in members.keys { write(.lease(until: end), to: id) }
    }

    public func leaseLapsed() {
        for id in runs.keys.sorted() {
            guard let live = runs[id] else { continue }
            apply(.leaseLapsed, to: id)
            if live.worker == nil, force.removeQueued(id, pool: live.request.pool) { apply(.returned, to: id) }
        }
        run([])
    }

    public var problem: String? {
        slates?.problem.map { "\($0): if the host dies, runs that had not begun count as lost" }
    }

    private func killAll() {
        for id in members.keys.sorted() { kill(id) }
        for worker in throwaways.values { worker.abort("the host is stopping") }
    }

    /// No child left: everybody who asked for the stop is told.
    func finishIfStopped() {
        guard force.isStopping, members.isEmpty, throwaways.isEmpty, reaper.isEmpty, !stopped.isEmpty else { return }
        if let stopping { loop.cancel(stopping.timer) }
        if let forceTimer { loop.cancel(forceTimer.token) }
        if let memoryTimer { loop.cancel(memoryTimer) }
        (forceTimer, memoryTimer) = (nil, nil)
        hasStopped = true
        let waiting = stopped
        stopped = []
        for completion in waiting { completion() }
    }

    // MARK: Performing

    var now: Now { clock.now() }

    /// Performs the actions, and whatever comes of them, in order.
    func run(_ actions: [Workforce.Action]) {
        for action in actions { steps.append(.perform(action)) }
        guard !isPerforming, !isHearing else { return }
        isPerforming = true
        repeat {
            var index = 0
            while index < steps.count {
                switch steps[index] {
                case .perform(let action):
                    index += 1
                    perform(action)
                case .report:
                    let events = reports(from: index)
                    index += events.count
                    handler?(events)
                }
            }
            steps.removeAll(keepingCapacity: true)
            steps += force.release(now: now.monotonic).map { .perform($0) }
        } while !steps.isEmpty
        isPerforming = false
        rearm()
    }

    /// Up to what is to be performed next.
    private func reports(from first: Int) -> [ProcessEvent] {
        var events: [ProcessEvent] = []
        for step in steps[first...] {
            guard case .report(let event) = step else { break }
            events.append(event)
        }
        return events
    }

    /// Tells the handler when what is being performed is done.
    func report(_ event: ProcessEvent) { steps.append(.report(event)) }

    private func perform(_ action: Workforce.Action) {
        switch action.what {
        case .spawn(let id): spawn(id, pool: action.pool)
        case .send(let id, let batch): send(batch, to: id)
        case .recall(let id, let run): write(.recall(run: run), to: id)
        case .takeBack(let run): takeBack(run)
        case .leave(let id): write(.shutdown, to: id)
        case .kill(let id): members[id]?.process.killTree()
        case .stuck(let id): stuck(id)
        case .cancelRun(let run):
            if let grace = runs[run]?.request.killGrace { apply(.cancel(.drain, grace: grace), to: run) }
        case .giveBack(let run):
            if runs.removeValue(forKey: run) != nil { report(.returned(run: run)) }
        case .hostFault(let message): report(.hostFault(pool: action.pool, message: message))
        case .refused(let message): report(.poolRefused(pool: action.pool, message: message))
        }
    }

    private func rearm() {
        let due = force.nextDeadline(now: now.monotonic)
        if due != forceTimer?.due {
            if let forceTimer { loop.cancel(forceTimer.token) }
            forceTimer = due.map { due in (due, loop.timer(at: due) { [weak self] in self?.forceIsDue() }) }
        }
        if memoryTimer == nil, !members.isEmpty {
            memoryTimer = loop.timer(after: .seconds(1)) { [weak self] in self?.measureAll() }
        }
    }

    private func forceIsDue() {
        forceTimer = nil
        run(force.tick(now: now.monotonic))
    }

    // MARK: Memory

    private func measureAll() {
        memoryTimer = nil
        for id in members.keys.sorted() { measure(id) }
        run([])
    }

    func measure(_ id: WorkerID) {
        guard let member = members[id], let resident = ProcFS.resident(member.process.pid) else { return }
        run(force.measured(id, resident: resident, now: now.monotonic))
        countUnreaped(id, member)
        limitUntold(id, member)
        watchCPU(member)
        guard let limit = member.spec.memoryLimit, let unbacked = ProcFS.unbacked(member.process.pid), unbacked > limit else { return }
        if let executing = members[id]?.executing {
            apply(.memoryExceeded(resident: unbacked), to: executing)
        } else {
            kill(id)
        }
    }

    /// Orphans of a plugin are its worker's children, which cannot tell them from those that the plugin waits for itself:
    /// what of them has ended goes with the worker.
    func countUnreaped(_ id: WorkerID, _ member: Member) {
        guard member.runsSinceLook > 0 else { return }
        member.runsSinceLook = 0
        let count = ProcFS.unreaped(member.process.pid, least: WorkerPool.mostUnreaped)
        if count > 0 { run(force.counted(id, unreaped: count, now: now.monotonic)) }
    }

    /// A worker that stands still as a whole cannot say what it has begun: its limits count all the same.
    private func limitUntold(_ id: WorkerID, _ member: Member) {
        guard let fence = member.process.slate?.underWay else { return }
        for request in force.worker(id)?.runs.all ?? [] {
            if let live = runs[request.run], live.request.fence == fence, live.attempt.startedAt == nil { apply(.started, to: request.run) }
        }
    }

    private func watchCPU(_ member: Member) {
        guard let limit = member.spec.sandbox?.cpuTime, let run = member.executing,
            let used = ProcFS.cpu(member.process.pid, since: member.countedSince), used - member.cpuAtStart > limit
        else { return }
        apply(.cpuExceeded(used: used - member.cpuAtStart), to: run)
    }
}

extension WorkerPool.Worker {
    /// As `WorkerSnapshot.state` has it.
    var stateName: String {
        switch phase {
        case .starting: "starting"
        case .ready: runs.isEmpty ? "idle" : "running"
        case .leaving: runs.isEmpty ? "stopping" : "draining"
        case .killed: "stopping"
        }
    }
}

extension AttemptRequest {
    /// What travels with each run; the settings do once.
    var bytes: Int { payload.count + (state?.bytes.count ?? 0) + idempotencyKey.utf8.count }

    /// Why it cannot travel to a worker; nil: it can.
    var problem: String? {
        if let state, state.bytes.count > wireMaxStateBytes {
            return "its state of \(brief(bytes: UInt64(state.bytes.count))) is larger than \(brief(bytes: UInt64(wireMaxStateBytes)))"
        }
        let size = payload.count + (state?.bytes.count ?? 0) + idempotencyKey.utf8.count
        let room = wireMaxFrameBytes - 4_096
        if size > room { return "payload and state of \(brief(bytes: UInt64(size))) are larger than \(brief(bytes: UInt64(room)))" }
        if settings.count > room - job.utf8.count - entry.utf8.count {
            return "its settings of \(brief(bytes: UInt64(settings.count))) are larger than \(brief(bytes: UInt64(room)))"
        }
        return nil
    }
}
