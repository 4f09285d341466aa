import JobCore
import Testing

@testable import JobHost

/// The decisions about workers, without a process: each rule, then all of them under random
/// events.
@Suite struct WorkerPoolTests {
    static func at(_ ms: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: ms * 1_000) }
    static func spec(
        _ key: String = "p", max: Int = 2, min: Int = 0, library: String = "aa", runs: Int? = nil, age: Duration? = nil,
        memory: UInt64? = nil
    ) -> PoolSpec {
        PoolSpec(
            key: key, plugin: key, library: LibraryCopy(sha256: library, path: "/\(library).so"), maxWorkers: max,
            minWorkers: min, idleTimeout: .seconds(60), recycleRuns: runs, recycleAge: age, recycleMemory: memory
        )
    }

    /// Drives a workforce and keeps what it asked for.
    struct Driver {
        var force: Workforce
        var log: [PoolAction] = []
        /// Runs in workers' hands, in the order of sending.
        var sent: [WorkerID: [RunID]] = [:]
        var spawned: [WorkerID] = []
        var given: [RunID] = []

        init(cap: Int = 32, _ specs: [PoolSpec], at now: Int64 = 0) {
            force = Workforce(maxWorkers: cap)
            take(force.configure(specs, drain: .seconds(30), now: WorkerPoolTests.at(now)))
        }

        mutating func take(_ actions: [Workforce.Action]) {
            for action in actions {
                log.append(action.what)
                switch action.what {
                case .spawn(let id): spawned.append(id)
                case .send(let id, let runs): sent[id, default: []] += runs
                case .giveBack(let run): given.append(run)
                case .recall, .takeBack, .leave, .kill, .stuck, .cancelRun, .hostFault, .refused: break
                }
            }
        }
        mutating func submit(_ run: Int64, _ job: String = "a", pool: String = "p", bytes: Int = 0, at now: Int64 = 0) {
            take(force.submit([(RunID(run), job, pool, bytes)], now: WorkerPoolTests.at(now)))
        }
        mutating func ready(_ worker: UInt64, at now: Int64 = 0) { take(force.ready(WorkerID(worker), now: WorkerPoolTests.at(now))) }
        mutating func finish(_ worker: UInt64, _ run: Int64, from start: Int64 = 0, at now: Int64 = 0) {
            force.started(WorkerID(worker), RunID(run), now: WorkerPoolTests.at(start))
            take(force.finished(WorkerID(worker), RunID(run), now: WorkerPoolTests.at(now)))
            sent[WorkerID(worker)]?.removeAll { $0 == RunID(run) }
        }
        mutating func exit(_ worker: UInt64, at now: Int64 = 0) {
            take(force.exited(WorkerID(worker), "exited", now: WorkerPoolTests.at(now)))
            sent[WorkerID(worker)] = nil
        }
        mutating func tick(at now: Int64) { take(force.tick(now: WorkerPoolTests.at(now))) }
        func runs(_ worker: UInt64) -> [Int64] { (sent[WorkerID(worker)] ?? []).map(\.value) }
    }

    @Test func workersAreStartedOnDemandUpToTheMost() {
        var driver = Driver([Self.spec(max: 2)])
        #expect(driver.spawned == [])
        for run in Int64(1)...3 { driver.submit(run) }
        #expect(driver.spawned == [WorkerID(1), WorkerID(2)])
        driver.ready(1)
        #expect(driver.runs(1) == [1])
        driver.ready(2)
        #expect(driver.runs(2) == [2])
        driver.finish(1, 1)
        #expect(driver.runs(1) == [3])
    }

    @Test func aJobMayNotHoldTheLastWorkerWhileASiblingIsDue() {
        var driver = Driver([Self.spec(max: 2)])
        for run in Int64(1)...4 { driver.submit(run, "greedy") }
        driver.submit(5, "sibling")
        driver.ready(1)
        driver.ready(2)
        #expect(driver.runs(1) == [1])
        #expect(driver.runs(2) == [5])
    }

    @Test func withOneWorkerTheJobsTakeTurns() {
        var driver = Driver([Self.spec(max: 1)])
        for run in Int64(1)...3 { driver.submit(run, "greedy") }
        for run in Int64(4)...5 { driver.submit(run, "sibling") }
        driver.ready(1)
        var order: [Int64] = []
        while let run = driver.runs(1).first {
            order.append(run)
            driver.finish(1, run, at: 100)
        }
        #expect(order == [1, 4, 2, 5, 3])
    }

    @Test func shortRunsArePipelinedOnceThereAreMoreThanWorkers() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        driver.ready(1)
        for run in Int64(1)...3 {
            driver.finish(1, run, from: run * 10, at: run * 10 + 1)
            if run < 3 { driver.submit(run + 1, at: run * 10 + 1) }
        }
        for run in Int64(10)...60 { driver.submit(run, at: 100) }
        #expect(driver.runs(1) == [10])
        driver.finish(1, 10, from: 100, at: 101)
        // As many behind the first as take 20 ms together, where each took 1 ms of late.
        #expect(driver.runs(1) == Array(11...31))
        #expect(driver.log.last == .send(WorkerID(1), (11...31).map { RunID($0) }))
    }

    /// Two free workers, and jobs whose runs took no time of late, or 1 ms.
    private static func idleDriver() -> Driver {
        var driver = Driver([spec(max: 2)])
        for run in Int64(1)...2 { driver.submit(run, "brief") }
        for worker in UInt64(1)...2 { driver.ready(worker) }
        for run in Int64(1)...2 { driver.finish(UInt64(run), run) }
        for (job, took) in [("brief", Int64(0)), ("longer", 1)] {
            for run in Int64(11)...13 {
                driver.submit(run, job)
                let worker: UInt64 = driver.runs(1).isEmpty ? 2 : 1
                driver.finish(worker, run, at: took)
            }
        }
        return driver
    }

    /// Waking another worker takes longer than what they do: up to fifty behind the first, 5 µs each.
    @Test(arguments: [(4, [0, 4]), (60, [9, 51])]) func briefRunsOfOneJobGoToOneWorkerThoughOthersAreFree(count: Int, shares: [Int]) {
        var driver = Self.idleDriver()
        driver.force.hold()
        for run in 21..<21 + count { driver.submit(Int64(run), "brief", at: 10) }
        driver.take(driver.force.release(now: Self.at(10)))
        #expect([driver.runs(1).count, driver.runs(2).count].sorted() == shares)
    }

    @Test func ofThoseThatAreNoBrieferThanAWakingEachHasAWorker() {
        var driver = Self.idleDriver()
        driver.force.hold()
        for run in Int64(21)...22 { driver.submit(run, "longer", at: 10) }
        driver.take(driver.force.release(now: Self.at(10)))
        #expect(driver.runs(1).count == 1 && driver.runs(2).count == 1)
    }

    /// Should the first of them last, its own job alone waits for it.
    @Test func briefRunsDoNotGatherBehindAnotherJobs() {
        var driver = Self.idleDriver()
        driver.force.hold()
        driver.submit(21, "brief", at: 10)
        driver.submit(22, "other", at: 10)
        driver.submit(23, "brief", at: 10)
        driver.take(driver.force.release(now: Self.at(10)))
        #expect(Set([driver.runs(1), driver.runs(2)].map { $0.first }) == [21, 22])
    }

    @Test func oneThatHadToWaitForAProcessorScattersNobodyAndOneThatLastedDoesForAWhile() {
        var recent = RecentRuns()
        for _ in 0..<10 { recent.add(.microseconds(3)) }
        #expect(recent.briefTime == .microseconds(5))
        recent.add(.microseconds(900))
        #expect(recent.briefTime == .microseconds(26))
        recent.add(.milliseconds(1))
        for _ in 0..<15 {
            recent.add(.microseconds(3))
            #expect(recent.briefTime == nil)
        }
        recent.add(.microseconds(3))
        #expect(recent.briefTime == .microseconds(5))
        // As often as not it takes that long.
        for n in 0..<60 { recent.add(n % 2 == 0 ? .microseconds(900) : .microseconds(3)) }
        #expect(recent.briefTime ?? .zero > WorkerPool.gatherTime)
    }

    /// One worker, whose runs took 1 ms of late, and which is executing run 10.
    private static func quickDriver() -> Driver {
        var driver = Driver([spec(max: 1)])
        driver.submit(1)
        driver.ready(1)
        for run in Int64(1)...3 {
            driver.finish(1, run, from: run * 10, at: run * 10 + 1)
            if run < 3 { driver.submit(run + 1, at: run * 10 + 1) }
        }
        driver.submit(10, at: 100)
        return driver
    }

    /// What one worker is heard of, and what follows from it, is one decision and one write.
    @Test func whatIsHeldIsSettledOnce() {
        var driver = Self.quickDriver()
        driver.force.hold()
        driver.finish(1, 10, from: 100, at: 101)
        for run in Int64(11)...13 { driver.submit(run, at: 101) }
        #expect(driver.runs(1) == [])
        driver.take(driver.force.release(now: Self.at(101)))
        #expect(driver.log.last == .send(WorkerID(1), (11...13).map { RunID($0) }))
        // Held no longer.
        driver.finish(1, 11, from: 101, at: 102)
        driver.finish(1, 12, from: 102, at: 103)
        driver.finish(1, 13, from: 103, at: 104)
        driver.submit(14, at: 104)
        #expect(driver.runs(1) == [14])
        #expect(driver.force.release(now: Self.at(104)) == [])
    }

    @Test func aBatchIsBoundedByWhatItWeighs() {
        var driver = Self.quickDriver()
        for run in Int64(11)...20 { driver.submit(run, bytes: 300 << 10, at: 100) }
        driver.finish(1, 10, from: 100, at: 101)
        // The first, and as many behind it as fit 1 MiB.
        #expect(driver.runs(1) == [11, 12, 13, 14])
    }

    @Test func nothingGoesBehindARunWhoseJobEndsItsWorker() {
        var driver = Self.quickDriver()
        driver.force.started(WorkerID(1), RunID(10), now: Self.at(100))
        driver.exit(1, at: 101)
        for run in Int64(11)...13 { driver.submit(run, at: 102) }
        driver.ready(2, at: 103)
        #expect(driver.runs(2) == [11])
    }

    @Test func longRunsAreNotPipelined() {
        var driver = Driver([Self.spec(max: 1)])
        for run in Int64(1)...6 { driver.submit(run) }
        driver.ready(1)
        for run in Int64(1)...5 {
            #expect(driver.runs(1) == [run])
            driver.finish(1, run, from: run * 1_000, at: run * 1_000 + 500)
        }
    }

    @Test func aRunThatStallsHasThoseBehindItTakenBack() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        driver.ready(1)
        for run in Int64(1)...3 {
            driver.finish(1, run, from: run, at: run)
            driver.submit(run + 1, at: run)
        }
        for run in Int64(5)...6 { driver.submit(run, at: 4) }
        driver.finish(1, 4, from: 4, at: 5)
        #expect(driver.runs(1) == [5, 6])
        driver.force.started(WorkerID(1), RunID(5), now: Self.at(5))
        driver.tick(at: 254)
        #expect(driver.log.contains(.recall(WorkerID(1), RunID(6))) == false)
        driver.tick(at: 255)
        #expect(driver.log.last == .recall(WorkerID(1), RunID(6)))
        let (requeued, actions) = driver.force.returned(WorkerID(1), RunID(6), now: Self.at(256))
        #expect(requeued)
        #expect(actions == [])
        #expect(driver.force.pools["p"]?.queue.runs == [RunID(6)])
    }

    @Test func aFreeWorkerLeavesAfterItsIdleTimeButTheFewestStay() {
        var driver = Driver([Self.spec(max: 3, min: 1)])
        #expect(driver.spawned == [WorkerID(1)])
        driver.ready(1)
        driver.submit(1)
        driver.submit(2)
        driver.ready(2)
        driver.finish(1, 1, at: 10)
        driver.finish(2, 2, at: 20)
        driver.tick(at: 60_010)
        #expect(driver.log.last == .leave(WorkerID(1)))
        driver.exit(1, at: 60_011)
        driver.tick(at: 200_000)
        #expect(driver.log.last == .leave(WorkerID(1)))
    }

    @Test func aWorkerThatDoesNotLeaveIsKilled() {
        var driver = Driver([Self.spec(max: 1, runs: 1)])
        driver.submit(1)
        driver.ready(1)
        driver.finish(1, 1, at: 10)
        #expect(driver.log.last == .leave(WorkerID(1)))
        driver.tick(at: 5_009)
        #expect(driver.log.last == .leave(WorkerID(1)))
        driver.tick(at: 5_010)
        #expect(driver.log.last == .kill(WorkerID(1)))
    }

    /// A process in an uninterruptible sleep takes no signal: its pool goes on without it, and so does the host's cap.
    @Test func aWorkerThatWasKilledAndDoesNotEndGivesItsPlaceToAnother() {
        var driver = Driver(cap: 1, [Self.spec(max: 1)])
        driver.submit(1, "hangs")
        driver.ready(1)
        driver.force.started(WorkerID(1), RunID(1), now: Self.at(0))
        driver.submit(2, "sibling", at: 10)
        driver.force.killed(WorkerID(1), now: Self.at(1_000))
        // The same kill once more puts nothing off.
        driver.force.killed(WorkerID(1), now: Self.at(5_000))
        #expect(driver.force.nextDeadline(now: Self.at(1_000)) == Self.at(11_000))
        driver.tick(at: 10_999)
        #expect(driver.spawned == [WorkerID(1)] && !driver.log.contains(.stuck(WorkerID(1))))
        driver.tick(at: 11_000)
        #expect(driver.log.contains(.stuck(WorkerID(1))))
        #expect(driver.spawned == [WorkerID(1), WorkerID(2)])
        driver.ready(2, at: 11_100)
        #expect(driver.runs(2) == [2])
        driver.tick(at: 60_000)
        #expect(driver.log.count { $0 == .stuck(WorkerID(1)) } == 1)
        // It ended after all: nothing of it is left, and nothing is counted twice.
        driver.exit(1, at: 70_000)
        #expect(driver.force.workerCount == 1 && driver.force.pools["p"]?.countedWorkers == 1)
    }

    @Test func workersAreRecycledByRunsAgeAndMemory() {
        for spec in [Self.spec(max: 1, runs: 1), Self.spec(max: 1, age: .seconds(1)), Self.spec(max: 1, memory: 100)] {
            var driver = Driver([spec])
            driver.submit(1)
            driver.ready(1)
            driver.take(driver.force.measured(WorkerID(1), resident: 50, now: Self.at(0)))
            driver.submit(2)
            driver.finish(1, 1, at: 2_000)
            driver.take(driver.force.measured(WorkerID(1), resident: 200, now: Self.at(2_000)))
            if driver.runs(1) == [2] { driver.finish(1, 2, at: 2_001) }
            #expect(driver.log.contains(.leave(WorkerID(1))))
            if driver.given.isEmpty { driver.exit(1, at: 2_002) }
            driver.submit(3, at: 2_003)
            #expect(driver.spawned.last != WorkerID(1))
        }
    }

    @Test func aBaselineAboveTheRecyclingLimitIsAFaultOfTheConfigNotALoop() {
        var driver = Driver([Self.spec(max: 1, min: 1, memory: 100_000_000)])
        driver.ready(1)
        driver.take(driver.force.measured(WorkerID(1), resident: 150_000_000, now: Self.at(0)))
        #expect(driver.log.last == .hostFault(
            "recycle.memory (100MB) is below what a fresh worker of p takes (150MB): its workers are not recycled by memory"))
        driver.submit(1)
        driver.finish(1, 1)
        driver.take(driver.force.measured(WorkerID(1), resident: 150_000_000, now: Self.at(1)))
        #expect(!driver.log.contains(.leave(WorkerID(1))))
    }

    @Test func hostFaultsAreRetriedWithGrowingWaitsAndSaid() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        var now: Int64 = 0
        for (attempt, wait) in [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000].enumerated() {
            driver.take(driver.force.spawnFailed(WorkerID(UInt64(attempt + 1)), "cannot", now: Self.at(now)))
            #expect(driver.log.last == .hostFault("cannot"))
            driver.tick(at: now + Int64(wait) - 1)
            #expect(driver.spawned.count == attempt + 1)
            #expect(driver.force.nextDeadline(now: Self.at(now)) == Self.at(now + Int64(wait)))
            now += Int64(wait)
            driver.tick(at: now)
            #expect(driver.spawned.count == attempt + 2)
        }
        driver.ready(12, at: now)
        #expect(driver.log.contains(.hostFault(nil)))
        #expect(driver.runs(12) == [1])
    }

    @Test func aWorkerThatCannotServeGivesTheQueueBackAndIsTriedAgainLater() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        driver.take(driver.force.failedToStart(WorkerID(1), "no such symbol", now: Self.at(0)))
        #expect(driver.given == [RunID(1)])
        #expect(driver.log.contains(.refused("no such symbol")))
        driver.exit(1)
        driver.submit(2, at: 50)
        #expect(driver.spawned == [WorkerID(1)])
        driver.tick(at: 100)
        #expect(driver.spawned == [WorkerID(1), WorkerID(2)])
    }

    @Test func aWorkerThatIsNotReadyInTimeIsKilled() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        driver.tick(at: 10_000)
        #expect(driver.log.contains(.kill(WorkerID(1))))
        #expect(driver.log.contains(.refused("not ready within 10s")))
    }

    @Test func aFreshWorkerComesAtOnceAfterACrashAndSoonAfterMany() {
        var driver = Driver([Self.spec(max: 1)])
        for crash in UInt64(1)...4 {
            driver.submit(Int64(crash))
            driver.ready(crash)
            driver.exit(crash)
            driver.submit(Int64(crash) + 100)
            #expect(driver.spawned.last == WorkerID(crash + 1))
            _ = driver.force.removeQueued(RunID(Int64(crash) + 100), pool: "p")
        }
        driver.submit(5)
        driver.ready(5)
        driver.exit(5)
        driver.submit(6)
        #expect(driver.spawned.last == WorkerID(5))
        driver.tick(at: 100)
        #expect(driver.spawned.last == WorkerID(6))
    }

    @Test func aChangedLibraryStartsNewWorkersWhileTheOldOnesFinish() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        driver.ready(1)
        driver.submit(2)
        driver.force.started(WorkerID(1), RunID(1), now: Self.at(0))
        driver.take(driver.force.configure([Self.spec(max: 1, library: "bb")], drain: .seconds(10), now: Self.at(100)))
        #expect(driver.given == [RunID(2)])
        #expect(driver.log.contains(.leave(WorkerID(1))))
        driver.submit(3, at: 200)
        #expect(driver.spawned == [WorkerID(1), WorkerID(2)])
        driver.tick(at: 10_099)
        #expect(!driver.log.contains(.cancelRun(RunID(1))))
        driver.tick(at: 10_100)
        #expect(driver.log.contains(.cancelRun(RunID(1))))
    }

    @Test func aChangedLibraryHasAsManyWorkersStartedAsTheOldOneHadReady() {
        var driver = Driver([Self.spec(max: 3)])
        driver.submit(1)
        driver.submit(2)
        driver.ready(1)
        driver.ready(2)
        driver.take(driver.force.configure([Self.spec(max: 3, library: "bb")], drain: .seconds(10), now: Self.at(100)))
        #expect(driver.spawned == [1, 2, 3, 4].map { WorkerID($0) }, "before anything is due")
        driver.take(driver.force.configure([], drain: .seconds(10), now: Self.at(200)))
        #expect(driver.spawned.count == 4, "a pool that goes starts nothing")
    }

    @Test func equalSpecsKeepTheirWorkers() {
        var driver = Driver([Self.spec(max: 2)])
        driver.submit(1)
        driver.ready(1)
        driver.finish(1, 1)
        driver.take(driver.force.configure([Self.spec(max: 1)], drain: .seconds(10), now: Self.at(100)))
        driver.submit(2, at: 200)
        #expect(driver.runs(1) == [2])
    }

    @Test func aPoolThatIsNoLongerConfiguredDrainsAndTakesNothing() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        driver.ready(1)
        driver.take(driver.force.configure([], drain: .seconds(10), now: Self.at(0)))
        driver.submit(2)
        #expect(driver.given == [RunID(2)])
        driver.finish(1, 1)
        driver.exit(1)
        #expect(driver.force.pools.isEmpty)
    }

    @Test func underTheCapAPoolWithoutAnyWorkerComesFirst() {
        var driver = Driver(cap: 2, [Self.spec("a", max: 2), Self.spec("b", max: 2)])
        for run in Int64(1)...4 { driver.submit(run, "a", pool: "a") }
        driver.ready(1)
        driver.ready(2)
        driver.submit(5, "b", pool: "b", at: 10)
        #expect(driver.spawned.count == 2)
        driver.finish(1, 1, at: 20)
        #expect(driver.log.last == .leave(WorkerID(1)))
        driver.exit(1, at: 21)
        #expect(driver.force.pools["b"]?.workers[WorkerID(3)] != nil)
        driver.finish(2, 2, at: 22)
        #expect(driver.runs(2) == [3])
    }

    @Test func prewarmStartsWorkersBeforeTheRuns() {
        var driver = Driver([Self.spec(max: 3)])
        driver.take(driver.force.prewarm(pool: "p", workers: 2, now: Self.at(0)))
        #expect(driver.spawned == [WorkerID(1), WorkerID(2)])
        driver.take(driver.force.prewarm(pool: "p", workers: 2, now: Self.at(1)))
        #expect(driver.spawned.count == 2)
        driver.take(driver.force.prewarm(pool: "p", workers: 9, now: Self.at(2)))
        #expect(driver.spawned.count == 3)
    }

    @Test("A run that is taken back stands again where it stood, also among those of its instant")
    func takenBackAmongEquals() {
        var queue = RunQueue()
        for (run, job) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")] as [(Int64, String)] {
            queue.append(.init(run: RunID(run), job: job, since: Self.at(0)))
        }
        let taken = (0..<3).compactMap { _ in queue.takeOldest() }
        #expect(taken.map(\.run.value) == [1, 2, 3])
        for request in [taken[2], taken[0], taken[1]] { queue.putBack(request) }
        #expect(queue.runs.map(\.value) == [1, 2, 3, 4, 5])
        #expect((0..<5).compactMap { _ in queue.takeOldest()?.run.value } == [1, 2, 3, 4, 5])
    }

    @Test func stoppingGivesTheQueueBackAndStartsNothing() {
        var driver = Driver([Self.spec(max: 1)])
        driver.submit(1)
        driver.ready(1)
        driver.submit(2)
        driver.take(driver.force.stop(now: Self.at(0)))
        #expect(driver.given == [RunID(2)])
        driver.submit(3)
        #expect(driver.given == [RunID(2), RunID(3)])
        driver.exit(1)
        #expect(driver.spawned == [WorkerID(1)])
        #expect(driver.force.workerCount == 0)
    }
}
