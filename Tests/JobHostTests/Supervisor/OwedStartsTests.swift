import JobCore
import Testing

@testable import JobHost

@Suite("Runs that starts owe") struct OwedStartsTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    @Test("what the store refuses is tried again after 2, 4, 8 s, at last once a minute, and keeps no other waiting")
    func evermoreSeldom() {
        var owed = OwedStarts()
        owed.owe("bad", cause: "bad@start-1", mayBeIn: true, now: at(0))
        owed.owe("good", cause: "good@start-1", mayBeIn: true, now: at(0))
        var tried: [Int64] = []
        for second in 1...300 as ClosedRange<Int64> {
            for start in owed.due(at(second)) {
                if start.job == "good" {
                    #expect(second == 1)
                    owed.settled(start)
                } else {
                    tried.append(second)
                    owed.refused(start, "a constraint", now: at(second))
                }
            }
        }
        #expect(tried == [1, 3, 7, 15, 31, 63, 123, 183, 243])
        #expect(owed.refused.map(\.job) == ["bad"] && owed.refused.first?.sentence.contains("a constraint") == true)
    }

    @Test("a job that is added again while its earlier start is owed is owed the newer one, once, whatever becomes of the earlier")
    func addedAgain() throws {
        var owed = OwedStarts()
        owed.owe("job", cause: "first", mayBeIn: true, now: at(0))
        let first = try #require(owed.due(at(1)).first)
        owed.owe("job", cause: "second", mayBeIn: true, now: at(2))
        owed.refused(first, "a constraint", now: at(2))
        owed.settled(first)
        #expect(owed.due(at(2)).map(\.cause) == ["second"] && owed.refused.isEmpty)
        owed.settled(try #require(owed.due(at(2)).first))
        #expect(owed.isEmpty)
    }

    @Test("what is owed of a job that is gone, or that has got a newer start, is forgotten; the store is asked for none that it has refused")
    func forgotten() throws {
        var owed = OwedStarts()
        owed.owe("gone", cause: "gone@start-1", mayBeIn: true, now: at(0))
        owed.owe("stays", cause: "stays@start-1", mayBeIn: true, now: at(0))
        owed.forget { $0 == "gone" }
        #expect(owed.due(at(1)).map(\.job) == ["stays"])
        owed.refused(try #require(owed.due(at(1)).first), "a constraint", now: at(1))
        let refused = try #require(owed.due(at(9)).first)
        #expect(!refused.mayBeIn)
        owed.unanswered([refused])
        #expect(owed.due(at(9)).map(\.mayBeIn) == [true])
    }
}
