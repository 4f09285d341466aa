import JobCore
import Testing

@testable import JobHost

@Suite("What must move on by itself") struct StandstillCheckTests {
    private typealias Subject = StandstillCheck.Subject
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    @Test("What shows the same mark for longer than its patience is told, and again after as long", arguments: StandstillCheck.Kind.allCases)
    func told(kind: StandstillCheck.Kind) {
        var check = StandstillCheck()
        let patience = kind.patience.milliseconds / 1_000
        let subject = Subject(kind: kind, name: "x", mark: 7)
        var told: [Int64] = []
        for second in 0...(2 * patience + 2) where !check.look(at: [subject], now: at(second)).isEmpty { told.append(second) }
        #expect(told == [patience + 1, 2 * patience + 2])
        #expect(check.counts == [kind: 2])
    }

    @Test("What moves, or is gone in between, begins anew", arguments: StandstillCheck.Kind.allCases)
    func moves(kind: StandstillCheck.Kind) {
        var check = StandstillCheck()
        for second in 0...500 as ClosedRange<Int64> {
            let moving = Subject(kind: kind, name: "moving", mark: second / 40)
            let coming = second % 40 == 0 ? [] : [Subject(kind: kind, name: "coming", mark: 1)]
            #expect(check.look(at: [moving] + coming, now: at(second)) == [], "second \(second)")
        }
        #expect(check.counts.isEmpty)
    }

    @Test("What was told stands until its mark moves, in the words in which it was told", arguments: StandstillCheck.Kind.allCases)
    func stands(kind: StandstillCheck.Kind) {
        var check = StandstillCheck()
        let patience = kind.patience.milliseconds / 1_000
        var subject = Subject(kind: kind, name: "x", mark: 7)
        _ = check.look(at: [subject], now: at(0))
        #expect(check.standing.isEmpty)
        let told = check.look(at: [subject], now: at(patience + 1))
        #expect(check.standing == told && told.count == 1)
        // It was asked anew, which nobody waits for at the moment: no answer yet.
        subject.isWaiting = false
        #expect(check.look(at: [subject], now: at(patience + 6)) == [] && check.standing == told)
        subject.isWaiting = true
        #expect(check.look(at: [subject], now: at(2 * patience + 2)).count == 1)
        #expect(check.standing.count == 1)
        subject = Subject(kind: kind, name: "x", mark: 8, isWaiting: false)
        #expect(check.look(at: [subject], now: at(2 * patience + 7)) == [] && check.standing.isEmpty)
        // What never stood still and waits for nothing is nothing.
        for second in 0..<200 as Range<Int64> { #expect(check.look(at: [subject], now: at(1_000 + second)).isEmpty) }
        #expect(check.standing.isEmpty && check.counts == [kind: 2])
    }

    @Test("Each is watched for itself, and told in a sentence")
    func sentences() {
        var check = StandstillCheck()
        let subjects = [
            Subject(kind: .cursor, name: "candles", mark: 1), Subject(kind: .queue, mark: 1), Subject(kind: .lease, mark: 1),
            Subject(kind: .worker, name: "4711", mark: 0),
        ]
        #expect(check.look(at: subjects, now: at(0)) == [])
        #expect(check.look(at: subjects, now: at(61)).map(\.sentence) == [
            "the cursor of job 'candles' stands still: the store has not answered its transaction for 1m1s",
            "waiting runs stand still: the store has not answered the question for them for 1m1s",
            "the leases of running attempts have not been renewed for 1m1s",
            "worker 4711 has been sent runs and has begun none for 1m1s",
        ])
    }
}
