import JobCore

/// All pools under the host's cap on workers. Pure; every entry point ends by settling: runs
/// assigned, workers wanted or sent away. Between `hold` and `release` that is put off, so that
/// many events, and the runs that follow from them, are settled once.
///
/// Under the cap, a pool that has work and no worker at all comes before one that has some:
/// another pool's free worker (also one that has just ended a run while more are waiting)
/// leaves for it.
struct Workforce {
    struct Action: Equatable {
        var pool: String
        var what: PoolAction
    }

    var maxWorkers: Int
    private(set) var pools: [String: WorkerPool] = [:]
    private(set) var isStopping = false
    private(set) var isHeld = false
    private var poolOf: [WorkerID: String] = [:]
    private var nextID: UInt64 = 0

    init(maxWorkers: Int) { self.maxWorkers = max(1, maxWorkers) }

    /// Those that count against the cap.
    var workerCount: Int { poolOf.count - pools.values.reduce(0) { $0 + $1.stuckWorkers } }
    private var goingCount: Int { pools.values.reduce(0) { $0 + $1.goingCount } }

    func worker(_ id: WorkerID) -> WorkerPool.Worker? { poolOf[id].flatMap { pools[$0]?.workers[id] } }

    // MARK: Demand

    mutating func configure(_ specs: [PoolSpec], drain: Duration, now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in
            let wanted = Dictionary(specs.map { ($0.key, $0) }, uniquingKeysWith: { $1 })
            for key in Set(force.pools.keys).union(wanted.keys).sorted() {
                if force.pools[key] == nil, let spec = wanted[key] {
                    force.pools[key] = WorkerPool(spec: spec)
                } else {
                    force.on(key, &actions) { $0.configure(wanted[key], drain: drain, now, &$1) }
                }
            }
        }
    }

    /// A run for which there is no pool goes back.
    mutating func submit(_ requests: [(run: RunID, job: String, pool: String, bytes: Int)], now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in
            for request in requests {
                let isTaken = !force.isStopping
                    && force.pools[request.pool]?.submit(
                        .init(run: request.run, job: request.job, since: now, bytes: request.bytes)) == true
                if !isTaken { actions.append(Action(pool: request.pool, what: .giveBack(request.run))) }
            }
        }
    }

    /// To workers that wait for the instant themselves; a run for which there is no place now goes back.
    mutating func sendAhead(_ requests: [(pool: String, request: WorkerPool.Request)], now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in
            for (key, requests) in Dictionary(grouping: requests, by: \.pool).sorted(by: { $0.key < $1.key }) {
                guard !force.isStopping, let pool = force.pools[key] else {
                    actions += requests.map { Action(pool: key, what: .giveBack($0.request.run)) }
                    continue
                }
                let mayGrow = force.workerCount < force.maxWorkers && pool.mayGrow(now)
                force.on(key, &actions) { $0.sendAhead(requests.map(\.request), mayGrow: mayGrow, now, &$1) }
            }
        }
    }

    mutating func removeQueued(_ run: RunID, pool: String) -> Bool { pools[pool]?.removeQueued(run) ?? false }

    mutating func prewarm(pool: String, workers: Int, now: MonotonicInstant) -> [Action] {
        act(now) { _, force in force.pools[pool]?.prewarm(workers) }
    }

    /// No new workers, no queue; free workers leave, busy ones after what they execute.
    mutating func stop(now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in
            force.isStopping = true
            for key in force.pools.keys.sorted() {
                force.on(key, &actions) { pool, actions in
                    pool.giveBackQueue(&actions)
                    for worker in pool.workers.values.sorted(by: { $0.id < $1.id }) {
                        let limit = worker.runs.isEmpty ? now + WorkerPool.leaveLimit : .distantFuture
                        pool.dismiss(worker.id, by: limit, now, &actions)
                    }
                }
            }
        }
    }

    // MARK: What workers do

    mutating func spawnFailed(_ id: WorkerID, _ fault: String, now: MonotonicInstant) -> [Action] {
        let key = poolOf.removeValue(forKey: id)
        return act(now) { actions, force in force.on(key, &actions) { $0.spawnFailed(id, fault, now, &$1) } }
    }
    mutating func ready(_ id: WorkerID, now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in force.on(force.poolOf[id], &actions) { $0.ready(id, now, &$1) } }
    }
    mutating func failedToStart(_ id: WorkerID, _ message: String, now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in force.on(force.poolOf[id], &actions) { $0.failedToStart(id, message, now, &$1) } }
    }
    mutating func started(_ id: WorkerID, _ run: RunID, now: MonotonicInstant) {
        if let key = poolOf[id] { pools[key]?.started(id, run, now) }
    }
    mutating func finished(_ id: WorkerID, _ run: RunID, took: Duration? = nil, now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in force.on(force.poolOf[id], &actions) { $0.finished(id, run, took: took, now, &$1) } }
    }
    /// `requeued`: the run had been taken back and waits again; else it goes back to whoever asked.
    mutating func returned(_ id: WorkerID, _ run: RunID, now: MonotonicInstant) -> (requeued: Bool, actions: [Action]) {
        var requeued = false
        let actions = act(now) { _, force in
            guard let key = force.poolOf[id] else { return }
            requeued = force.pools[key]?.returned(id, run, now) == true
            if requeued, force.isStopping {
                _ = force.pools[key]?.removeQueued(run)
                requeued = false
            }
        }
        return (requeued, actions)
    }
    mutating func exited(_ id: WorkerID, _ sentence: String, now: MonotonicInstant) -> [Action] {
        let key = poolOf.removeValue(forKey: id)
        return act(now) { actions, force in
            force.on(key, &actions) { $0.exited(id, sentence, now, &$1) }
            if let key, let pool = force.pools[key], pool.isClosing, pool.workers.isEmpty { force.pools[key] = nil }
        }
    }
    /// Its tree is being killed.
    mutating func killed(_ id: WorkerID, now: MonotonicInstant) {
        if let key = poolOf[id] { pools[key]?.killed(id, now) }
    }
    mutating func measured(_ id: WorkerID, resident: UInt64, now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in force.on(force.poolOf[id], &actions) { $0.measured(id, resident, now, &$1) } }
    }
    mutating func counted(_ id: WorkerID, unreaped: Int, now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in force.on(force.poolOf[id], &actions) { $0.counted(id, unreaped: unreaped, now, &$1) } }
    }
    mutating func tick(now: MonotonicInstant) -> [Action] {
        act(now) { actions, force in
            for key in force.pools.keys.sorted() { force.on(key, &actions) { $0.tick(now, &$1) } }
        }
    }

    func nextDeadline(now: MonotonicInstant) -> MonotonicInstant? { pools.values.compactMap { $0.nextDeadline(now) }.min() }

    // MARK: Settling

    mutating func hold() { isHeld = true }

    /// What settling comes to; nothing where nothing was held.
    mutating func release(now: MonotonicInstant) -> [Action] {
        guard isHeld else { return [] }
        isHeld = false
        return act(now) { _, _ in }
    }

    private mutating func act(
        _ now: MonotonicInstant, _ body: (inout [Action], inout Workforce) -> Void
    ) -> [Action] {
        var actions: [Action] = []
        body(&actions, &self)
        if !isStopping, !isHeld { settle(now, &actions) }
        return actions
    }

    private mutating func on(
        _ key: String?, _ actions: inout [Action], _ body: (inout WorkerPool, inout [PoolAction]) -> Void
    ) {
        guard let key, let place = pools.index(forKey: key) else { return }
        var own: [PoolAction] = []
        // In its place, so that the pool is not copied while it is changed.
        body(&pools.values[place], &own)
        actions += own.map { Action(pool: key, what: $0) }
    }

    private mutating func settle(_ now: MonotonicInstant, _ actions: inout [Action]) {
        // The end of a run, with nobody waiting: the usual case, thousands of times a second.
        guard pools.values.contains(where: \.mayNeedWorkers) else { return }
        makeWayForStarved(now, &actions)
        for key in pools.keys.sorted() where pools[key]?.hasDemand == true {
            let mayGrow = workerCount < maxWorkers && (pools[key]?.spawnDeficit(now) ?? 0) > 0
            on(key, &actions) { $0.assign(now, mayGrow: mayGrow, &$1) }
        }
        spawn(now, &actions)
        makeWayForQueues(now, &actions)
    }

    /// One worker to each pool in turn while there is room: pools without any first, then the
    /// longest waiting.
    private mutating func spawn(_ now: MonotonicInstant, _ actions: inout [Action]) {
        var needy = pools.filter { $0.value.spawnDeficit(now) > 0 }.map(\.key).sorted { waitsLonger($0, than: $1) }
        while workerCount < maxWorkers, !needy.isEmpty {
            for key in needy where workerCount < maxWorkers {
                nextID += 1
                let id = WorkerID(nextID)
                poolOf[id] = key
                on(key, &actions) { $0.addStarting(id, now, &$1) }
            }
            needy.removeAll { pools[$0]?.spawnDeficit(now) ?? 0 == 0 }
        }
    }

    private func waitsLonger(_ a: String, than b: String) -> Bool {
        rank(a) < rank(b)
    }

    private func rank(_ key: String) -> (Int, MonotonicInstant, String) {
        let isStarved = pools[key].map { $0.hasOpenWork && !$0.hasUsableWorker } ?? false
        return (isStarved ? 0 : 1, pools[key]?.oldestWaiting ?? .distantFuture, key)
    }

    /// At the cap, pools with work and not one usable worker get other pools' free workers.
    private mutating func makeWayForStarved(_ now: MonotonicInstant, _ actions: inout [Action]) {
        guard workerCount >= maxWorkers else { return }
        let starved = pools.filter { $0.value.hasOpenWork && !$0.value.hasUsableWorker && $0.value.spawnDeficit(now) > 0 }
        evict(starved.count - goingCount, sparing: Set(starved.keys), now, &actions)
    }

    /// At the cap, what still waits gets the workers that are free after every queue was served.
    private mutating func makeWayForQueues(_ now: MonotonicInstant, _ actions: inout [Action]) {
        guard workerCount >= maxWorkers else { return }
        let waiting = pools.filter { $0.value.hasOpenWork && $0.value.spawnDeficit(now) > 0 }
        let wanted = waiting.values.reduce(0) { $0 + $1.spawnDeficit(now) }
        evict(wanted - goingCount, sparing: Set(waiting.keys), now, &actions)
    }

    private mutating func evict(_ count: Int, sparing: Set<String>, _ now: MonotonicInstant, _ actions: inout [Action]) {
        guard count > 0 else { return }
        let free = pools.filter { !sparing.contains($0.key) }
            .flatMap { key, pool in pool.freeWorkers.map { (key: key, worker: $0, busy: pool.hasOpenWork) } }
            .sorted { a, b in
                if a.busy != b.busy { return b.busy }
                return (a.worker.freeSince, a.worker.id) < (b.worker.freeSince, b.worker.id)
            }
        for victim in free.prefix(count) {
            on(victim.key, &actions) { $0.dismiss(victim.worker.id, by: now + WorkerPool.leaveLimit, now, &$1) }
        }
    }
}
