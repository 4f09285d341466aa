import JobCore
import Testing

@testable import JobHost

@Suite("Ends within the last minute") struct EndRateTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    @Test("What ended longer ago than a minute no longer counts")
    func aMinute() {
        var rate = EndRate()
        #expect(rate.count(at(0)) == 0)
        for second in Int64(100) ..< 160 { rate.note(at(second)) }
        #expect(rate.count(at(159)) == 60)
        #expect(rate.count(at(184)) == 35)
        #expect(rate.count(at(214)) == 5)
        #expect(rate.count(at(215)) == 0)
        #expect(rate.count(at(1_000_000)) == 0)
    }

    @Test("After a pause older counts are gone, not taken for new ones", arguments: [60, 61, 3_600, 86_400] as [Int64])
    func afterAPause(seconds: Int64) {
        var rate = EndRate()
        for _ in 0 ..< 7 { rate.note(at(500)) }
        rate.note(at(500 + seconds))
        #expect(rate.count(at(500 + seconds)) == 1)
    }

    @Test("As a list of instants says, over random ends", arguments: [1, 2, 3] as [UInt64])
    func asAListSays(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var rate = EndRate()
        var ends: [Int64] = []
        var now: Int64 = 1_000
        for _ in 0 ..< 500 {
            now += Int64.random(in: 0 ... 9, using: &random)
            rate.note(at(now))
            ends.append(now)
            let first = now / 5 * 5 - 55
            #expect(rate.count(at(now)) == ends.count { $0 >= first })
        }
    }

    @Test func anHourIsCountedInSteps() {
        var rate = EndRate(within: .seconds(3_600))
        for minute in 0..<90 { rate.note(at(Int64(minute) * 60)) }
        #expect((55...60).contains(rate.count(at(90 * 60))))
        #expect(rate.count(at(200 * 60)) == 0)
    }
}
