import JobCore
import Testing

@testable import JobHost

private func at(_ seconds: Int64, clockSet: Int64 = 0) -> Now {
    Now(wall: Instant(seconds: 1_700_000_000 + seconds + clockSet), monotonic: MonotonicInstant(microseconds: (1_000 + seconds) * 1_000_000))
}
private let due = Instant(seconds: 1_700_000_000)

@Suite("Self-check")
struct SelfCheckTests {
    @Test("a fire in the past with nobody owning it for more than 10 s is a fault, raised once")
    func raises() {
        var check = SelfCheck()
        let jobs = [SelfCheck.Job(name: "candles", nextFire: due)]
        #expect(check.look(at: jobs, now: at(0)).faults.isEmpty)
        #expect(check.look(at: jobs, now: at(10)).faults.isEmpty)
        let raised = check.look(at: jobs, now: at(11))
        #expect(raised.raised == raised.faults)
        #expect(raised.faults.map(\.sentence) == [
            "job 'candles' was due at 2023-11-14T22:13:20Z, and nobody was seeing to it",
        ])
        let later = check.look(at: jobs, now: at(60))
        // In the same words: it is the same problem.
        #expect(later.faults == raised.faults && later.raised.isEmpty && later.cleared.isEmpty)
        #expect(check.faults == raised.faults)
    }

    @Test("it is repaired at each look until somebody sees to it, counted, and over when the fire has been accounted for")
    func repairs() {
        var check = SelfCheck()
        let jobs = [SelfCheck.Job(name: "candles", nextFire: due)]
        #expect(check.look(at: jobs, now: at(0)).repaired.isEmpty)
        #expect(check.look(at: jobs, now: at(11)).repaired.count == 1)
        #expect(check.look(at: jobs, now: at(16)).repaired.count == 1)
        #expect(check.repairs == 2)
        let owned = check.look(at: [SelfCheck.Job(name: "candles", nextFire: due, isOwned: true)], now: at(21))
        #expect(owned.repaired.isEmpty && owned.faults.count == 1 && owned.cleared.isEmpty)
        #expect(check.look(at: jobs, now: at(26)).repaired.count == 1)
        let gone = check.look(at: [SelfCheck.Job(name: "candles", nextFire: due + .seconds(3_600))], now: at(31))
        #expect(gone.faults.isEmpty && gone.cleared == ["candles"] && check.faults.isEmpty && check.repairs == 3)
    }

    @Test("no fault: in the future, owned, excused, or without a next fire", arguments: [
        SelfCheck.Job(name: "a", nextFire: due + .seconds(3_600)), SelfCheck.Job(name: "a", nextFire: due, isOwned: true),
        SelfCheck.Job(name: "a", nextFire: due, excuse: "the store is away"), SelfCheck.Job(name: "a", nextFire: nil),
    ])
    func fine(job: SelfCheck.Job) {
        var check = SelfCheck()
        for second in stride(from: 0, to: 100, by: 5) as StrideTo<Int64> {
            #expect(check.look(at: [job], now: at(second)) == SelfCheck.Result())
        }
    }

    @Test("each fire has its own patience: a job that is a little late every time is no fault")
    func movesOn() {
        var check = SelfCheck()
        for second in 0..<100 as Range<Int64> {
            let job = SelfCheck.Job(name: "a", nextFire: due + .seconds(second / 8 * 8))
            #expect(check.look(at: [job], now: at(second)).faults.isEmpty)
        }
    }

    @Test("a clock that was set forward gives everybody 10 s first")
    func clockSet() {
        var check = SelfCheck()
        let jobs = [SelfCheck.Job(name: "a", nextFire: due + .seconds(60))]
        #expect(check.look(at: jobs, now: at(1, clockSet: 86_400)).faults.isEmpty)
        #expect(check.look(at: jobs, now: at(11, clockSet: 86_400)).faults.isEmpty)
        #expect(check.look(at: jobs, now: at(12, clockSet: 86_400)).faults.count == 1)
    }

    @Test("after an excuse the patience begins anew")
    func excuse() {
        var check = SelfCheck()
        let late = SelfCheck.Job(name: "a", nextFire: due)
        _ = check.look(at: [late], now: at(0))
        _ = check.look(at: [SelfCheck.Job(name: "a", nextFire: due, excuse: "the store is away")], now: at(300))
        #expect(check.look(at: [late], now: at(301)).faults.isEmpty)
        #expect(check.look(at: [late], now: at(312)).faults.count == 1)
    }
}
