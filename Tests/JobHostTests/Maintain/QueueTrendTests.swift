import JobCore
import Testing

@testable import JobHost

struct QueueTrendTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    /// What it says after so many looks, one each second.
    private func trend(_ seconds: Int64, _ due: (Int64) -> Int64) -> Int64? {
        var trend = QueueTrend()
        for second in 0...seconds { trend.note(["mint": due(second)], at(second)) }
        return trend.shrinksPerMinute("mint")
    }

    @Test func aQueueThatIsDoneFasterThanItIsFilledGetsShorter() {
        #expect(trend(60) { 1_000 - 2 * $0 } == 120)
        #expect(trend(300) { 1_000 - $0 } == 60)
    }

    /// Whatever ends of it meanwhile.
    @Test func aQueueThatIsFilledFasterThanItIsDoneGrows() throws {
        #expect(try #require(trend(60) { 10 + 5 * $0 }) == -300)
        #expect(try #require(trend(10) { $0 }) == -60)
    }

    @Test func oneThatStaysAsItIsDoesNeither() {
        #expect(trend(60) { _ in 40 } == 0)
        #expect(trend(60) { $0 < 30 ? 40 : 0 } == nil)
    }

    /// From when it was longest, not from before it came.
    @Test func whatCameAtOnceAndIsBeingDoneGetsShorter() throws {
        let fell = try #require(trend(40) { $0 < 20 ? 0 : 120 - 2 * ($0 - 20) })
        #expect((110...130).contains(fell))
    }

    @Test func aFewSecondsSayNothing() {
        #expect(trend(3) { 100 - $0 } == nil)
        #expect(QueueTrend().shrinksPerMinute("mint") == nil)
    }

    @Test func whatWasAMinuteAgoIsForgotten() {
        #expect(trend(60) { $0 < 60 ? 10 : 9 } == 1)
        #expect(trend(10_000) { $0 < 9_000 ? 50 : 20 } == 0)
    }
}
