import JobCore

/// Names a worker for the life of the supervisor; never reused, unlike a pid.
public struct WorkerID: Hashable, Comparable, Sendable {
    public var value: UInt64
    public init(_ value: UInt64) { self.value = value }
    public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
}

/// What the shell is to do for a pool.
enum PoolAction: Equatable {
    /// Start a process under this name; answered by `ready`, `failedToStart`, `spawnFailed` or `exited`.
    case spawn(WorkerID)
    /// Write these runs in one go; they are executed in order.
    case send(WorkerID, [RunID])
    /// Take back a run that has been sent but not started.
    case recall(WorkerID, RunID)
    /// The same, whichever worker has it by then.
    case takeBack(RunID)
    /// Shutdown frame: finish what runs, return the rest, exit.
    case leave(WorkerID)
    /// Kill the whole tree.
    case kill(WorkerID)
    /// It was killed and has not ended: its place is not counted any more.
    case stuck(WorkerID)
    /// Cancel flag for a drain that has come to its limit, then the kill after its grace.
    case cancelRun(RunID)
    /// A queued run goes back to whoever asked, unattempted.
    case giveBack(RunID)
    /// nil: recovered.
    case hostFault(String?)
    case refused(String)
}

/// The workers of one pool and the runs that wait for them. Pure: it decides, the shell acts.
///
/// A worker: starting → ready (free, reserved or busy) → leaving → gone; killed from anywhere. *Reserved*: it has been
/// sent runs ahead of their instant and nothing else. Until then it is there for what is due now: a short run goes to
/// it as it is, for another one its runs are taken back.
struct WorkerPool {
    /// Most runs written to one worker at once …
    static let longestBatch = 512
    /// … and the longest that those behind the first may take, going by their jobs' recent runs.
    static let batchTime: Duration = .milliseconds(20)
    /// … and with others free, that the first one's job gathers behind it: less than it takes to wake another worker,
    /// and to hear of it.
    static let gatherTime: Duration = .microseconds(250)
    /// … and the most that they may weigh: a worker holds what it has been sent.
    static let batchBytes = 1 << 20
    /// A run this old has the unstarted ones behind it taken back.
    static let stallLimit: Duration = .milliseconds(250)
    /// From the shutdown frame (or the end of the last run after it) to the kill.
    static let leaveLimit: Duration = .seconds(5)
    /// From the kill to where a process is not expected to end any more: one that hangs in the kernel takes no signal.
    static let goneLimit: Duration = .seconds(10)
    /// From this many deaths in runs, without one that ended, new workers wait …
    static let crashStreak = 5
    /// … at most this long: a crashing job must not hold up its siblings for longer.
    static let longestCrashWait: Duration = .seconds(1)

    /// Of a worker's children, how many may have ended without being waited for.
    static let mostUnreaped = 64

    enum Phase: Equatable { case starting, ready, leaving, killed }

    struct Worker {
        var id: WorkerID
        var phase: Phase = .starting
        /// Of an earlier spec: takes nothing new and is not counted against `maxWorkers`.
        var isOld = false
        /// Assigned, in order; the first one is executing or about to.
        var runs = FIFO<Request>()
        var executing: RunID?
        var executingSince = MonotonicInstant(microseconds: 0)
        var recalled: Set<RunID> = []
        /// Of what it has been sent since it was free: what it is expected to take, its weight, the earliest instant
        /// (in the past, where anything had none), and whether all of it is short.
        var load = Load()
        var spawnedAt: MonotonicInstant
        var freeSince: MonotonicInstant
        var runsDone = 0
        var resident: UInt64 = 0
        /// Children that have ended and nobody waits for.
        var unreaped = 0
        var hasLeftovers: Bool { unreaped >= WorkerPool.mostUnreaped }
        /// When a leaving one is cancelled or killed.
        var leaveBy = MonotonicInstant.distantFuture
        var killedAt = MonotonicInstant.distantFuture
        /// Killed, and still there after `goneLimit`: it has no place among those that work.
        var isStuck = false

        struct Load {
            var time = Duration.zero
            var bytes = 0
            var earliest = MonotonicInstant.distantFuture
            var isShort = true
        }

        var isFree: Bool { phase == .ready && !isOld && runs.isEmpty }
        func isReserved(_ now: MonotonicInstant) -> Bool {
            phase == .ready && !isOld && executing == nil && !runs.isEmpty && load.earliest > now
        }
        var isGoing: Bool { phase == .leaving || phase == .killed }

        mutating func take(_ run: RunID) -> Request? {
            defer { if runs.isEmpty { load = Load() } }
            return runs.remove { $0.run == run }
        }

        /// → And since when it executed it; nil: it did not.
        mutating func finish(_ run: RunID, _ now: MonotonicInstant) -> (Request, since: MonotonicInstant?)? {
            guard let request = take(run) else { return nil }
            let since = executing == run ? executingSince : nil
            if since != nil { executing = nil }
            runsDone += 1
            noteFree(now)
            return (request, since)
        }

        mutating func kill(_ now: MonotonicInstant) {
            if phase != .killed { killedAt = now }
            phase = .killed
        }

        mutating func noteFree(_ now: MonotonicInstant) {
            freeSince = now
            if phase == .leaving, runs.isEmpty { leaveBy = now + WorkerPool.leaveLimit }
        }
    }

    typealias Request = RunQueue.Request

    var spec: PoolSpec
    /// No longer configured: only drains.
    var isClosing = false
    var workers: [WorkerID: Worker] = [:]
    var queue = RunQueue()
    var warmTarget = 0
    var recent: [String: RecentRuns] = [:]
    private var backoff = SpawnBackoff()
    private var crashWait = SpawnBackoff()
    private var crashes = 0
    private var faulty = false
    private var memoryRecyclingOff = false

    init(spec: PoolSpec) { self.spec = spec }

    // MARK: Looks

    var hasOpenWork: Bool { !queue.isEmpty }
    var hasDemand: Bool { hasOpenWork || warmTarget > 0 }
    var mayNeedWorkers: Bool { hasDemand || spec.minWorkers > 0 }
    var oldestWaiting: MonotonicInstant? { queue.first?.since }
    var freeWorkers: [Worker] { workers.values.filter(\.isFree) }
    var goingCount: Int { workers.values.count { $0.isGoing && !$0.isStuck } }
    /// Processes that count against `maxWorkers`.
    var countedWorkers: Int { workers.values.count { !$0.isOld && !$0.isStuck } }
    /// Processes that count against no limit.
    var stuckWorkers: Int { workers.values.count(where: \.isStuck) }
    var startingCount: Int { workers.values.count { $0.phase == .starting && !$0.isOld } }
    var hasUsableWorker: Bool { workers.values.contains { !$0.isOld && !$0.isGoing } }

    func isBlocked(_ now: MonotonicInstant) -> Bool { backoff.isBlocked(now) || crashWait.isBlocked(now) }

    /// Whether it could have one more worker, the host's cap aside.
    func mayGrow(_ now: MonotonicInstant) -> Bool { !isClosing && !isBlocked(now) && countedWorkers < spec.maxWorkers }

    /// Workers to start now, the host's cap aside.
    func spawnDeficit(_ now: MonotonicInstant) -> Int {
        guard !isClosing, !isBlocked(now) else { return 0 }
        // One look at each: this is asked several times whenever a worker is heard of.
        var (available, usable, counted) = (0, 0, 0)
        for worker in workers.values where !worker.isOld {
            if worker.isFree || worker.phase == .starting { available += 1 }
            if !worker.isGoing { usable += 1 }
            if !worker.isStuck { counted += 1 }
        }
        let wanted = max(max(queue.count, warmTarget) - available, spec.minWorkers - usable)
        return max(0, min(wanted, spec.maxWorkers - counted))
    }

    // MARK: Demand

    /// false: the pool is no longer configured.
    mutating func submit(_ request: Request) -> Bool {
        guard !isClosing else { return false }
        queue.append(request)
        return true
    }

    /// false: not in the queue.
    mutating func removeQueued(_ run: RunID) -> Bool { queue.remove(run) != nil }

    mutating func prewarm(_ count: Int) { warmTarget = max(warmTarget, min(count, spec.maxWorkers)) }

    mutating func giveBackQueue(_ actions: inout [PoolAction]) {
        actions += queue.runs.map { .giveBack($0) }
        queue.removeAll()
        warmTarget = 0
    }

    mutating func addStarting(_ id: WorkerID, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        workers[id] = Worker(id: id, spawnedAt: now, freeSince: now)
        actions.append(.spawn(id))
    }

    // MARK: What workers do

    mutating func spawnFailed(_ id: WorkerID, _ message: String, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        workers[id] = nil
        backoff.fail(now)
        faulty = true
        actions.append(.hostFault(message))
    }

    mutating func ready(_ id: WorkerID, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        guard workers[id]?.phase == .starting else { return }
        workers[id]?.phase = .ready
        workers[id]?.freeSince = now
        backoff.succeed()
        if faulty {
            faulty = false
            actions.append(.hostFault(nil))
        }
    }

    /// The worker cannot serve (it said so, or died or hung before it was ready). What waits
    /// goes back; the next try waits.
    mutating func failedToStart(_ id: WorkerID, _ message: String, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        guard let worker = workers[id], worker.phase == .starting else { return }
        actions.append(.kill(id))
        workers[id]?.kill(now)
        guard !worker.isOld else { return }
        backoff.fail(now)
        // Over when one is ready again, whatever kept them from it.
        faulty = true
        giveBackQueue(&actions)
        actions.append(.refused(message))
    }

    mutating func started(_ id: WorkerID, _ run: RunID, _ now: MonotonicInstant) {
        workers[id]?.executing = run
        workers[id]?.executingSince = now
        workers[id]?.recalled.remove(run)
    }

    /// `took`: what the worker says the run took; nil: as it looked from here, which is longer
    /// when there is much to hear.
    mutating func finished(
        _ id: WorkerID, _ run: RunID, took: Duration?, _ now: MonotonicInstant, _ actions: inout [PoolAction]
    ) {
        guard let place = workers.index(forKey: id), let (request, since) = workers.values[place].finish(run, now) else { return }
        queue.release(job: request.job)
        if let since { recent[request.job, default: RecentRuns()].add(took ?? now - since) }
        crashes = 0
        crashWait.succeed()
        recycleIfDue(id, now, &actions)
    }

    /// A run came back unstarted. true: it was recalled, and waits in the queue again. One whose instant is still to
    /// come is not for the queue.
    mutating func returned(_ id: WorkerID, _ run: RunID, _ now: MonotonicInstant) -> Bool {
        guard var request = workers[id]?.take(run) else { return false }
        queue.release(job: request.job)
        let wasRecalled = workers[id]?.recalled.remove(run) != nil
        if workers[id]?.runs.isEmpty == true { workers[id]?.noteFree(now) }
        guard wasRecalled, !isClosing, workers[id]?.isOld == false, request.notBefore ?? now <= now else { return false }
        request.notBefore = nil
        queue.putBack(request)
        return true
    }

    mutating func exited(_ id: WorkerID, _ sentence: String, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        guard let worker = workers[id] else { return }
        if worker.phase == .starting { failedToStart(id, sentence, now, &actions) }
        for request in worker.runs.all {
            queue.release(job: request.job)
            // One that ends its worker is not short, whatever others took: nothing goes behind it.
            if request.run == worker.executing { recent[request.job] = nil }
        }
        workers[id] = nil
        actions.removeAll { $0 == .kill(id) }
        guard worker.phase == .ready || (worker.phase == .killed && worker.executing != nil) else { return }
        crashes = min(crashes + 1, 1_000_000)
        if crashes >= Self.crashStreak { crashWait.fail(now, longest: Self.longestCrashWait) }
    }

    mutating func killed(_ id: WorkerID, _ now: MonotonicInstant) { workers[id]?.kill(now) }

    /// A look at a worker's resident size, bytes.
    mutating func measured(_ id: WorkerID, _ resident: UInt64, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        guard let worker = workers[id] else { return }
        workers[id]?.resident = resident
        if let limit = spec.recycleMemory, !worker.isOld, worker.runsDone == 0, worker.runs.isEmpty,
            resident >= limit, !memoryRecyclingOff
        {
            memoryRecyclingOff = true
            actions.append(.hostFault(
                "recycle.memory (\(brief(bytes: limit))) is below what a fresh worker of \(spec.plugin) takes "
                    + "(\(brief(bytes: resident, units: SizeUnits(of: limit)))): its workers are not recycled by memory"
            ))
        }
        recycleIfDue(id, now, &actions)
    }

    mutating func counted(_ id: WorkerID, unreaped: Int, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        workers[id]?.unreaped = unreaped
        recycleIfDue(id, now, &actions)
    }

    // MARK: Leaving

    /// Only workers that have done something are replaced, so that no setting makes a loop of
    /// starting and replacing.
    private mutating func recycleIfDue(_ id: WorkerID, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        guard spec.isRecycling || workers[id]?.hasLeftovers ?? false, let worker = workers[id], worker.isFree, worker.runsDone > 0 else { return }
        let byRuns = spec.recycleRuns.map { worker.runsDone >= $0 } ?? false
        let byAge = spec.recycleAge.map { now - worker.spawnedAt >= $0 } ?? false
        let byMemory = !memoryRecyclingOff && (spec.recycleMemory.map { worker.resident >= $0 } ?? false)
        if byRuns || byAge || byMemory || worker.hasLeftovers { dismiss(id, by: now + Self.leaveLimit, now, &actions) }
    }

    /// Tells a worker to finish and go; one that has not said hello yet is killed.
    mutating func dismiss(_ id: WorkerID, by limit: MonotonicInstant, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        switch workers[id]?.phase {
        case .ready:
            workers[id]?.phase = .leaving
            workers[id]?.leaveBy = limit
            actions.append(.leave(id))
        case .starting:
            workers[id]?.kill(now)
            actions.append(.kill(id))
        case .leaving, .killed, nil: break
        }
    }

    /// A new spec for the pool, or nil: it is no longer configured.
    mutating func configure(_ new: PoolSpec?, drain: Duration, _ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        isClosing = new == nil
        if let new {
            let keeps = new.servesLike(spec)
            spec = new
            memoryRecyclingOff = false
            if keeps { return shrink(now, &actions) }
        }
        let warm = workers.values.count { ($0.phase == .ready || $0.phase == .starting) && !$0.isOld }
        giveBackQueue(&actions)
        // What was warm is warm again when its next run comes: that does not wait for a process.
        if new != nil { warmTarget = min(warm, spec.maxWorkers) }
        backoff.succeed()
        crashWait.succeed()
        crashes = 0
        recent = [:]
        for id in workers.keys.sorted() {
            workers[id]?.isOld = true
            let busy = workers[id]?.runs.isEmpty == false
            dismiss(id, by: now + (busy ? drain : Self.leaveLimit), now, &actions)
        }
    }

    private mutating func shrink(_ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        for worker in freeWorkers.sorted(by: { $0.freeSince < $1.freeSince }) {
            guard workers.values.count(where: { !$0.isOld && !$0.isGoing }) > spec.maxWorkers else { return }
            dismiss(worker.id, by: now + Self.leaveLimit, now, &actions)
        }
    }

    // MARK: Time

    mutating func tick(_ now: MonotonicInstant, _ actions: inout [PoolAction]) {
        for id in workers.keys.sorted() {
            guard let worker = workers[id], let due = deadline(of: worker, hasSpare: hasSpareWorkers), due <= now else { continue }
            switch worker.phase {
            case .starting:
                failedToStart(id, "not ready within \(brief(spec.startTimeout))", now, &actions)
            case .leaving where worker.runs.isEmpty:
                workers[id]?.kill(now)
                actions.append(.kill(id))
            case .leaving:
                // The attempt's own grace ends in the kill.
                workers[id]?.leaveBy = .distantFuture
                actions += worker.runs.all.map { .cancelRun($0.run) }
            case .ready where worker.runs.isEmpty:
                dismiss(id, by: now + Self.leaveLimit, now, &actions)
            case .ready:
                let behind = worker.runs.all.map(\.run).filter { $0 != worker.executing && !worker.recalled.contains($0) }
                workers[id]?.recalled.formUnion(behind)
                actions += behind.map { .recall(id, $0) }
            case .killed:
                workers[id]?.isStuck = true
                actions.append(.stuck(id))
            }
        }
    }

    func nextDeadline(_ now: MonotonicInstant) -> MonotonicInstant? {
        var earliest: MonotonicInstant?
        func propose(_ at: MonotonicInstant) { earliest = min(earliest ?? at, at) }
        let hasSpare = hasSpareWorkers
        for worker in workers.values {
            if let due = deadline(of: worker, hasSpare: hasSpare) { propose(due) }
        }
        if hasOpenWork || warmTarget > 0 || spec.minWorkers > 0 {
            for wait in [backoff, crashWait] where wait.isBlocked(now) { propose(wait.until) }
        }
        return earliest
    }

    /// More than stay for good.
    private var hasSpareWorkers: Bool { countedWorkers > spec.minWorkers }

    private func deadline(of worker: Worker, hasSpare: Bool) -> MonotonicInstant? {
        switch worker.phase {
        case .starting: return worker.spawnedAt + spec.startTimeout
        case .leaving: return worker.leaveBy == .distantFuture ? nil : worker.leaveBy
        case .killed: return worker.isStuck || worker.killedAt == .distantFuture ? nil : worker.killedAt + Self.goneLimit
        case .ready where worker.runs.isEmpty:
            if worker.isOld { return nil }
            let idle = hasSpare ? worker.freeSince + spec.idleTimeout : nil
            guard let age = spec.recycleAge, worker.runsDone > 0 else { return idle }
            return min(idle ?? .distantFuture, worker.spawnedAt + age)
        case .ready:
            guard worker.executing != nil, worker.runs.count > worker.recalled.count + 1 else { return nil }
            return worker.executingSince + Self.stallLimit
        }
    }
}

extension PoolSpec {
    var isRecycling: Bool { recycleRuns != nil || recycleAge != nil || recycleMemory != nil }

    /// Workers started for `other` may go on under this spec: only numbers that the pool itself
    /// keeps have changed.
    func servesLike(_ other: PoolSpec) -> Bool {
        key == other.key && plugin == other.plugin && library == other.library && memoryLimit == other.memoryLimit
            && fileLimit == other.fileLimit && environment == other.environment && user == other.user && sandbox == other.sandbox
    }
}
