import JobCore
import Testing

@testable import JobHost

@Suite("What is told of a store that goes away") struct StoreHealthTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    @Test("One line when it goes, one when it is back, with how long, how many calls failed and how many results were kept")
    func onceEach() {
        var health = StoreHealth()
        #expect(health.answered(asked: at(0), now: at(0)) == nil)
        health.keeps(2)
        #expect(health.failed("database is locked", now: at(1))
            == "the store does not answer: database is locked; nothing new starts, results are kept")
        #expect(health.problem == "database is locked")
        for second in 2..<60 { #expect(health.failed("database is locked", now: at(Int64(second))) == nil) }
        health.keeps(5)
        #expect(health.answered(asked: at(61), now: at(61))
            == "the store answers again after 1m: 59 calls had failed, 7 results that were kept are recorded now")
        #expect(health.problem == nil)
        #expect(health.answered(asked: at(62), now: at(62)) == nil)
        health.wrote(7)
        #expect(health.unwritten == 0)
    }

    @Test("Each further kind of problem is told once, and only so many of them")
    func kinds() {
        var health = StoreHealth()
        _ = health.failed("locked", now: at(0))
        #expect(health.failed("disk full", now: at(1)) == "the store still does not answer, now: disk full")
        for _ in 0..<3 {
            #expect(health.failed("locked", now: at(2)) == nil)
            #expect(health.failed("disk full", now: at(3)) == nil)
        }
        #expect(health.problem == "disk full")
        let told = (0..<100).compactMap { health.failed("problem \($0)", now: at(4)) }
        #expect(told.count == StoreHealth.mostKinds - 2)
        _ = health.answered(asked: at(5), now: at(5))
        #expect(health.failed("locked", now: at(6)) != nil)
    }

    @Test("An answer to what was asked before it went does not mean that it is back")
    func lateAnswers() {
        var health = StoreHealth()
        _ = health.failed("it has gone", now: at(2))
        #expect(health.answered(asked: at(1), now: at(3)) == nil)
        #expect(health.failed("it has gone", now: at(4)) == nil, "told already")
        #expect(health.answered(asked: at(4), now: at(5)) != nil)
    }

    @Test("What was written before it went is not counted as kept")
    func countsOfOneOutage() {
        var health = StoreHealth()
        health.keeps(10)
        health.wrote(10)
        _ = health.failed("locked", now: at(0))
        #expect(health.answered(asked: at(1), now: at(1)) == "the store answers again after 1s: 1 call had failed, no result had to be kept")
    }
}
