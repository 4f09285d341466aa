import JobCore
import Testing

@testable import JobHost

@Suite("How much a pool may be given") struct PoolLoadTests {
    @Test("Long runs: one for each worker; short ones: a queue of 32 to 64 before each, for their instant as many as take 20 ms", arguments: [
        (nil, 4, 4), (.seconds(5), 4, 4), (.milliseconds(20), 4, 4), (.microseconds(19_999), 128, 128),
        (.milliseconds(1), 128, 128), (.microseconds(100), 256, 800), (.microseconds(1), 256, 2_048), (.zero, 256, 2_048),
    ] as [(Duration?, Int, Int)])
    func capacity(run: Duration?, free: Int, freeAhead: Int) {
        var load = PoolLoad(maxWorkers: 4)
        if let run { load.observe(run: run) }
        #expect(load.free(in: MeanTime.moment) == free)
        #expect(load.freeAhead == freeAhead)
    }

    @Test("A clock that was set during a run teaches nothing")
    func nonsense() {
        var load = PoolLoad(maxWorkers: 1)
        load.observe(run: .seconds(-3_600))
        load.observe(run: .seconds(365 * 86_400))
        #expect(load.free(in: MeanTime.moment) == 1)
    }

    @Test("Held fires leave workers to waiting runs, and none to further claims ahead")
    func free() {
        var load = PoolLoad(maxWorkers: 4)
        (load.busy, load.asked, load.promised) = (1, 1, 2)
        #expect(load.free(in: MeanTime.moment) == 2)
        #expect(load.freeAhead == 0)
        load.busy = 9
        #expect(load.free(in: MeanTime.moment) == 0)
        #expect(load.freeAhead == 0)
    }

    @Test("A minute of waiting weighs as much as one of priority")
    func rank() {
        func rank(_ priority: Int, waitedSince second: Int64) -> Instant {
            PoolLoad.rank(priority: priority, now: Now(wall: .epoch, monotonic: MonotonicInstant(microseconds: second * 1_000_000)))
        }
        #expect(rank(1, waitedSince: 59) < rank(0, waitedSince: 0))
        #expect(rank(1, waitedSince: 61) > rank(0, waitedSince: 0))
        #expect(rank(.max, waitedSince: 0) < rank(1_000, waitedSince: 0))
        #expect(rank(.min, waitedSince: 0) > rank(-1_000, waitedSince: 0))
    }

    @Test("The largest pool does not overflow")
    func largest() {
        var load = PoolLoad(maxWorkers: .max)
        load.observe(run: .milliseconds(1))
        #expect(load.free(in: MeanTime.moment) > 0)
        #expect(load.freeAhead > 0)
    }

    @Test("While the store answers slowly more is claimed ahead: twice as long as its answers take, 100 ms at the most", arguments: [
        (nil, 20, 256), (5, 20, 256), (30, 60, 768), (50, 100, 1_280), (9_000, 100, 1_280),
    ] as [(Int?, Int, Int)])
    func pace(answer: Int?, moment: Int, free: Int) {
        var pace = ClaimPace()
        let start = MonotonicInstant(microseconds: 0)
        if let answer {
            pace.ask(start)
            pace.answer(isClaim: true, start + .milliseconds(answer))
        }
        #expect(pace.moment == .milliseconds(moment))
        var load = PoolLoad(maxWorkers: 4)
        load.observe(run: .microseconds(100))
        #expect(load.free(in: pace.moment) == free)
    }

    @Test("That nothing waits, or that the store failed, says nothing of how long a claim takes; long runs are never claimed ahead")
    func paceOfNothing() {
        var pace = ClaimPace()
        let start = MonotonicInstant(microseconds: 0)
        pace.ask(start)
        pace.answer(isClaim: false, start + .seconds(3))
        pace.answer(isClaim: true, start + .seconds(5))
        #expect(pace.moment == MeanTime.moment)
        var load = PoolLoad(maxWorkers: 4)
        load.observe(run: .milliseconds(30))
        #expect(load.free(in: .milliseconds(100)) == 4)
    }
}
