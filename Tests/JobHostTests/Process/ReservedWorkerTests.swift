import JobCore
import Testing

@testable import JobHost

/// Runs that are sent ahead of their instant: which workers they reserve, and who comes before them.
@Suite struct ReservedWorkerTests {
    typealias Driver = WorkerPoolTests.Driver
    private static func at(_ ms: Int64) -> MonotonicInstant { WorkerPoolTests.at(ms) }

    /// So many warm workers, as many as the pool may have; job `a` took 1 ms of late, of others nothing is known.
    private static func driver(workers: Int) -> Driver {
        var driver = Driver([WorkerPoolTests.spec(max: workers)])
        for run in 1...Int64(workers) { driver.submit(run) }
        for worker in 1...UInt64(workers) { driver.ready(worker) }
        for run in 1...Int64(workers) { driver.finish(UInt64(run), run, from: 10, at: 11) }
        for run in 101...Int64(103) {
            driver.submit(run, at: run)
            let worker = driver.sent.first { $0.value.contains(RunID(run)) }?.key.value ?? 0
            driver.finish(worker, run, from: run, at: run + 1)
        }
        return driver
    }
    private static func send(_ driver: inout Driver, _ runs: [Int64], _ job: String = "a", for instant: Int64 = 1_000, at now: Int64 = 800, bytes: Int = 0) {
        driver.take(driver.force.sendAhead(
            runs.map { ("p", .init(run: RunID($0), job: job, since: at(now), bytes: bytes, notBefore: at(instant))) }, now: at(now)))
    }
    private static func recalls(_ driver: Driver) -> [PoolAction] {
        driver.log.filter { if case .recall = $0 { true } else { false } }
    }

    @Test func shortRunsAreSpreadEvenlyInOneWriteForEach() {
        var driver = Self.driver(workers: 3)
        Self.send(&driver, Array(1_001...1_010))
        #expect(driver.given == [])
        #expect((1...3).map { driver.runs($0).count }.sorted() == [3, 3, 4])
        let writes = driver.log.filter { if case .send(_, let runs) = $0 { runs[0].value > 1_000 } else { false } }
        #expect(writes.count == 3)
        // Again, and evenly again.
        Self.send(&driver, Array(1_011...1_015), for: 1_100)
        #expect((1...3).map { driver.runs($0).count } == [5, 5, 5])
    }

    @Test func runsOfUnknownLengthHaveAWorkerEachOrComeBack() {
        var driver = Self.driver(workers: 2)
        Self.send(&driver, [1_001, 1_002, 1_003], "unknown")
        #expect([driver.runs(1), driver.runs(2)].sorted { $0[0] < $1[0] } == [[1_001], [1_002]])
        #expect(driver.given == [RunID(1_003)])
        Self.send(&driver, [1_004])
        #expect(driver.given == [RunID(1_003), RunID(1_004)], "nothing goes behind what may be long")
    }

    @Test func asManyAsAWorkerBeginsAtNearlyOneInstant() {
        var driver = Self.driver(workers: 1)
        Self.send(&driver, Array(1_001...1_030))
        #expect(driver.runs(1).count == 20 && driver.given.count == 10, "20 ms of them")
        var heavy = Self.driver(workers: 1)
        Self.send(&heavy, Array(1_001...1_005), bytes: 300 << 10)
        #expect(heavy.runs(1).count == 3 && heavy.given.count == 2, "1 MiB of them")
    }

    @Test func nothingIsSharedWhileTheHostMayStartAnotherWorker() {
        var driver = Self.driver(workers: 2)
        driver.exit(2, at: 500)
        Self.send(&driver, [1_001, 1_002])
        #expect(driver.runs(1) == [1_001] && driver.given == [RunID(1_002)])
    }

    @Test func abusyWorkerIsSentNothingAhead() {
        var driver = Self.driver(workers: 1)
        driver.submit(900, at: 700)
        Self.send(&driver, [1_001])
        #expect(driver.given == [RunID(1_001)])
    }

    @Test func whatIsDueGoesToAFreeWorkerAShortOneToAReservedOneToo() {
        var driver = Self.driver(workers: 2)
        Self.send(&driver, [1_001])
        driver.submit(2_001, at: 850)
        driver.submit(2_002, at: 850)
        let both = [driver.runs(1), driver.runs(2)]
        #expect(both.contains([2_001]) && both.contains([1_001, 2_002]))
        #expect(Self.recalls(driver) == [])
    }

    @Test func aLongOneThatIsDueHasTheReservedRunsTakenBackAndTheyAreNotQueued() {
        var driver = Self.driver(workers: 1)
        Self.send(&driver, [1_001, 1_002])
        driver.submit(2_001, "unknown", at: 850)
        #expect(driver.log.suffix(3) == [
            .recall(WorkerID(1), RunID(1_001)), .recall(WorkerID(1), RunID(1_002)), .send(WorkerID(1), [RunID(2_001)]),
        ])
        let (requeued, _) = driver.force.returned(WorkerID(1), RunID(1_001), now: Self.at(851))
        #expect(!requeued, "its instant is still to come")
        let (late, _) = driver.force.returned(WorkerID(1), RunID(1_002), now: Self.at(1_000))
        #expect(late && driver.force.pools["p"]?.queue.runs == [RunID(1_002)], "this one's has come")
    }

    @Test func fromTheirInstantOnTheyAreRunsLikeAnyOther() {
        var driver = Self.driver(workers: 1)
        Self.send(&driver, [1_001, 1_002])
        driver.submit(2_001, at: 1_000)
        #expect(driver.runs(1) == [1_001, 1_002], "it is taken to be executing them")
        driver.finish(1, 1_001, from: 1_000, at: 1_001)
        driver.finish(1, 1_002, from: 1_001, at: 1_002)
        #expect(driver.runs(1) == [2_001])
    }

    @Test func aReloadOrAStopGivesThemBack() {
        var driver = Self.driver(workers: 1)
        Self.send(&driver, [1_001])
        driver.take(driver.force.configure([WorkerPoolTests.spec(max: 1, library: "bb")], drain: .seconds(30), now: Self.at(850)))
        #expect(driver.log.contains(.leave(WorkerID(1))))
        let (requeued, _) = driver.force.returned(WorkerID(1), RunID(1_001), now: Self.at(851))
        #expect(!requeued)
        driver.take(driver.force.stop(now: Self.at(860)))
        Self.send(&driver, [1_002], at: 870)
        #expect(driver.given == [RunID(1_002)])
    }
}
