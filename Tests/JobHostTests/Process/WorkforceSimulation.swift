import JobCore
import Testing

@testable import JobHost

/// Random demand, deaths, faults, reloads: no run is lost or handed out twice, no pool and no
/// host has more workers than it may, and all demand is served in the end.
@Suite struct WorkforceSimulation {
    @Test func noRunIsLostAndNoLimitIsBroken() {
        var (ended, all) = (0, 0)
        for seed in UInt64(1)...300 {
            var world = World(seed: seed)
            for _ in 0..<300 { world.step() }
            world.calmDown()
            #expect(world.problem == nil, "seed \(seed)")
            #expect(world.done.union(world.handedBack) == Set((1...world.lastRun).map { RunID($0) }), "seed \(seed)")
            #expect(world.done.isDisjoint(with: world.handedBack), "seed \(seed): handed back and executed")
            ended += world.done.count
            all += Int(world.lastRun)
        }
        // Handing everything back would lose nothing either.
        #expect(ended > all / 5, "\(ended) of \(all) runs were executed")
    }

    struct World {
        enum Phase { case starting, ready }
        struct Worker {
            var pool: String
            var phase = Phase.starting
            var runs: [RunID] = []
            var executing: RunID?
            var leaving = false
            var dying = false
            var recalled: Set<RunID> = []
        }
        var random: Seeded
        var force: Workforce
        var now: Int64 = 0
        var lastRun: Int64 = 0
        var workers: [WorkerID: Worker] = [:]
        /// Accepted and neither done nor handed back.
        var open: Set<RunID> = []
        var done: Set<RunID> = []
        var handedBack: Set<RunID> = []
        /// Of runs that were sent ahead: nobody begins them before.
        var instants: [RunID: Int64] = [:]
        /// Workers of each pool at the last look.
        var counted: [String: Int] = [:]
        var problem: String?
        var version = 0
        var faultsAllowed = true
        static let cap = 4
        static let keys = ["a", "b", "c"]

        init(seed: UInt64) {
            random = Seeded(seed)
            force = Workforce(maxWorkers: Self.cap)
            configure()
        }

        var instant: MonotonicInstant { MonotonicInstant(microseconds: now * 1_000) }

        mutating func configure() {
            version += random.below(2)
            let specs = Self.keys.filter { _ in !faultsAllowed || random.below(6) > 0 }.map { key in
                PoolSpec(
                    key: key, plugin: key, library: LibraryCopy(sha256: "\(version)", path: "/x"),
                    maxWorkers: 1 + random.below(3), minWorkers: random.below(2),
                    idleTimeout: .milliseconds(Int64(50 + random.below(500))),
                    recycleRuns: random.below(3) == 0 ? 1 + random.below(3) : nil
                )
            }
            take(force.configure(specs, drain: .milliseconds(300), now: instant))
        }

        mutating func take(_ first: [Workforce.Action]) {
            var actions = first
            while !actions.isEmpty {
                let action = actions.removeFirst()
                switch action.what {
                case .spawn(let id):
                    if faultsAllowed, random.below(10) == 0 {
                        actions += force.spawnFailed(id, "fault", now: instant)
                    } else {
                        workers[id] = Worker(pool: action.pool)
                    }
                case .send(let id, let runs):
                    if workers[id]?.phase != .ready || workers[id]?.leaving == true { fail("sent to \(id), which is not ready") }
                    for run in runs where workers.values.contains(where: { $0.runs.contains(run) }) { fail("sent \(run) twice") }
                    workers[id]?.runs += runs
                case .recall(let id, let run): workers[id]?.recalled.insert(run)
                case .leave(let id): workers[id]?.leaving = true
                case .kill(let id): workers[id]?.dying = true
                case .cancelRun(let run):
                    for id in workers.keys where workers[id]?.runs.contains(run) == true { workers[id]?.dying = true }
                case .giveBack(let run): handBack(run)
                case .hostFault, .refused, .stuck, .takeBack: break
                }
            }
            check()
        }

        mutating func handBack(_ run: RunID) {
            if open.remove(run) == nil { fail("\(run) was handed back although it was not open") }
            handedBack.insert(run)
        }

        mutating func fail(_ text: String) { problem = problem ?? "at \(now): \(text)" }

        mutating func check() {
            if workers.count > Self.cap { fail("\(workers.count) workers under a cap of \(Self.cap)") }
            // Where a reload has lowered the limit there may be more for a while, and never one more than before.
            for (key, pool) in force.pools where pool.countedWorkers > max(pool.spec.maxWorkers, counted[key] ?? 0) {
                fail("\(pool.countedWorkers) workers in \(key), whose limit is \(pool.spec.maxWorkers)")
            }
            counted = force.pools.mapValues(\.countedWorkers)
            for (key, pool) in force.pools {
                var assigned: [String: Int] = [:]
                for run in pool.workers.values.flatMap(\.runs.all) { assigned[run.job, default: 0] += 1 }
                for job in ["\(key)0", "\(key)1"] where pool.queue.assigned(of: job) != assigned[job, default: 0] {
                    fail("\(key) believes \(pool.queue.assigned(of: job)) runs of \(job) to be with workers, \(assigned[job, default: 0]) are")
                }
            }
        }

        mutating func step() {
            now += Int64(random.below(40))
            switch random.below(13) {
            case 0, 1, 2, 3: submit()
            case 12: sendAhead()
            case 4: take(force.tick(now: instant))
            case 5: if random.below(8) == 0 { configure() }
            case 6: if random.below(10) == 0, let id = anyWorker() { die(id) }
            case 7: take(force.prewarm(pool: random.one(of: Self.keys), workers: random.below(3), now: instant))
            default: if let id = anyWorker() { act(id) }
            }
        }

        mutating func submit() {
            let key = random.one(of: Self.keys)
            let batch = (0..<(1 + random.below(5))).map { _ in
                lastRun += 1
                open.insert(RunID(lastRun))
                return (run: RunID(lastRun), job: "\(key)\(random.below(2))", pool: key, bytes: 0)
            }
            take(force.submit(batch, now: instant))
        }

        mutating func sendAhead() {
            let requests = (0..<(1 + random.below(5))).map { _ in
                lastRun += 1
                open.insert(RunID(lastRun))
                let key = random.one(of: Self.keys)
                instants[RunID(lastRun)] = now + Int64(random.below(200))
                let at = MonotonicInstant(microseconds: instants[RunID(lastRun)]! * 1_000)
                return (pool: key, request: RunQueue.Request(run: RunID(lastRun), job: "\(key)\(random.below(2))", since: instant, notBefore: at))
            }
            take(force.sendAhead(requests, now: instant))
        }

        mutating func anyWorker() -> WorkerID? {
            let ids = workers.keys.sorted()
            return ids.isEmpty ? nil : random.one(of: ids)
        }

        /// What a worker does next.
        mutating func act(_ id: WorkerID) {
            guard let worker = workers[id] else { return }
            if worker.dying { return die(id) }
            if worker.phase == .starting { return greet(id) }
            if let run = worker.executing {
                workers[id]?.executing = nil
                workers[id]?.runs.removeAll { $0 == run }
                if open.remove(run) == nil { fail("\(run) was executed although it was not open") }
                if !done.insert(run).inserted { fail("\(run) ended twice") }
                return take(force.finished(id, run, now: instant))
            }
            let isBack = { (run: RunID) in worker.leaving || worker.recalled.contains(run) }
            guard let run = worker.runs.first(where: { isBack($0) || instants[$0] ?? now <= now }) else {
                if worker.leaving, worker.runs.isEmpty { die(id) }
                return
            }
            if worker.leaving || worker.recalled.contains(run) { return giveBack(run, id) }
            workers[id]?.executing = run
            force.started(id, run, now: instant)
        }

        mutating func greet(_ id: WorkerID) {
            if faultsAllowed, random.below(10) == 0 {
                take(force.failedToStart(id, "refused", now: instant))
            } else {
                workers[id]?.phase = .ready
                take(force.ready(id, now: instant))
            }
        }

        mutating func giveBack(_ run: RunID, _ id: WorkerID) {
            workers[id]?.runs.removeAll { $0 == run }
            workers[id]?.recalled.remove(run)
            let (requeued, actions) = force.returned(id, run, now: instant)
            if !requeued { handBack(run) }
            take(actions)
        }

        mutating func die(_ id: WorkerID) {
            guard let worker = workers.removeValue(forKey: id) else { return }
            for run in worker.runs {
                if run == worker.executing {
                    open.remove(run)
                    if !done.insert(run).inserted { fail("\(run) ended twice") }
                } else {
                    handBack(run)
                }
            }
            take(force.exited(id, "died", now: instant))
        }

        /// Without new demand and faults everything comes to an end.
        mutating func calmDown() {
            faultsAllowed = false
            configure()
            for _ in 0..<4_000 where !open.isEmpty {
                now += 20
                take(force.tick(now: instant))
                for id in workers.keys.sorted() { act(id) }
            }
            if !open.isEmpty { fail("never served: \(open.sorted().prefix(5))") }
        }
    }
}
