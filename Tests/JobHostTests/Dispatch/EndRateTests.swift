import JobCore
import Testing

@testable import JobHost

@Suite("Ends within the last minute") struct EndRateTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    @Test("What ended longer ago than a minute no longer counts")
    func aMinute() {
        var rate = EndRate()
        #expect(rate.lastMinute(at(0)) == 0)
        for second in Int64(100) ..< 160 { rate.note(at(second)) }
        #expect(rate.lastMinute(at(159)) == 60)
        #expect(rate.lastMinute(at(184)) == 35)
        #expect(rate.lastMinute(at(214)) == 5)
        #expect(rate.lastMinute(at(215)) == 0)
        #expect(rate.lastMinute(at(1_000_000)) == 0)
    }

    @Test("After a pause older counts are gone, not taken for new ones", arguments: [60, 61, 3_600, 86_400] as [Int64])
    func afterAPause(seconds: Int64) {
        var rate = EndRate()
        for _ in 0 ..< 7 { rate.note(at(500)) }
        rate.note(at(500 + seconds))
        #expect(rate.lastMinute(at(500 + seconds)) == 1)
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
            #expect(rate.lastMinute(at(now)) == ends.count { $0 >= first })
        }
    }
}
