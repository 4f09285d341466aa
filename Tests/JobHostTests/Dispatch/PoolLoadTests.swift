import JobCore
import Testing

@testable import JobHost

@Suite("How much a pool may be given") struct PoolLoadTests {
    @Test("Long runs: one for each worker; short ones: a queue of 32 before each, for their instant as many as take 20 ms", arguments: [
        (nil, 4, 4), (.seconds(5), 4, 4), (.milliseconds(20), 4, 4), (.microseconds(19_999), 128, 128),
        (.milliseconds(1), 128, 128), (.microseconds(100), 128, 800), (.microseconds(1), 128, 2_048), (.zero, 128, 2_048),
    ] as [(Duration?, Int, Int)])
    func capacity(run: Duration?, free: Int, freeAhead: Int) {
        var load = PoolLoad(maxWorkers: 4)
        if let run { load.observe(run: run) }
        #expect(load.free == free)
        #expect(load.freeAhead == freeAhead)
    }

    @Test("A clock that was set during a run teaches nothing")
    func nonsense() {
        var load = PoolLoad(maxWorkers: 1)
        load.observe(run: .seconds(-3_600))
        load.observe(run: .seconds(365 * 86_400))
        #expect(load.free == 1)
    }

    @Test("Held fires leave workers to waiting runs, and none to further claims ahead")
    func free() {
        var load = PoolLoad(maxWorkers: 4)
        (load.busy, load.asked, load.promised) = (1, 1, 2)
        #expect(load.free == 2)
        #expect(load.freeAhead == 0)
        load.busy = 9
        #expect(load.free == 0)
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
        #expect(load.free > 0)
        #expect(load.freeAhead > 0)
    }
}
