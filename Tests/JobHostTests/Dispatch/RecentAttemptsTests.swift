import JobCore
import JobStore
import Testing

@testable import JobHost

struct RecentAttemptsTests {
    private func ended(_ outcome: Outcome, at second: Int64) -> RunRecord {
        let end = Instant(seconds: second)
        return RunRecord(
            id: RunID(second), job: "a", trigger: .schedule, state: .succeeded, outcome: outcome, fireTime: end - .seconds(3),
            availableAt: end, createdAt: end, startedAt: end - .seconds(2), finishedAt: end, attempt: 1, maxAttempts: 1,
            priority: 0, fence: 1, owner: "h", epoch: "e", pid: 1, libraryHash: "", generation: 1, reason: "", code: 0, items: 0,
            cpuMicroseconds: 0, uniqueKey: nil, idempotencyKey: "", retryOf: nil, payload: "")
    }

    private func after(_ outcomes: Outcome...) -> RecentAttempts {
        var recent = RecentAttempts()
        for (index, outcome) in outcomes.enumerated() { recent.add(ended(outcome, at: Int64(index + 1) * 10)) }
        return recent
    }

    @Test("a job fails since its first failure after a success")
    func failingSince() {
        #expect(after(.succeeded).failingSince == nil)
        #expect(after(.succeeded, .failed, .crashed).failingSince == Instant(seconds: 20))
        #expect(after(.failed, .nothingToDo).failingSince == nil)
        #expect(after(.failed, .nothingToDo, .lost).failingSince == Instant(seconds: 30))
    }

    @Test("what an operator cancelled, and what asked for later, says nothing about the job")
    func neutral() {
        #expect(after(.cancelled, .snoozed).failingSince == nil)
        #expect(after(.failed, .cancelled).failingSince == Instant(seconds: 10))
        #expect(after(.succeeded, .cancelled).lastSuccess == Instant(seconds: 10))
    }

    @Test("the newest twenty are kept, with duration and lateness; since when it fails is not forgotten")
    func bounded() {
        var recent = RecentAttempts()
        for second in 1...50 as ClosedRange<Int64> { recent.add(ended(.failed, at: second)) }
        #expect(recent.attempts.count == 20)
        #expect(recent.attempts.first?.run == RunID(31))
        #expect(recent.attempts.last?.duration == .seconds(2))
        #expect(recent.attempts.last?.lateness == .seconds(1))
        #expect(recent.failingSince == Instant(seconds: 1))
    }

    @Test("what ended on other hosts takes its place in time, once")
    func merged() {
        var recent = after(.failed, .failed)
        var isNews = recent.merge([ended(.failed, at: 10), ended(.failed, at: 20)])
        #expect(!isNews)
        // Between the two: it has been failing since the second only.
        isNews = recent.merge([ended(.succeeded, at: 15), ended(.failed, at: 10)])
        #expect(isNews)
        #expect(recent.outcomes == [.failed, .succeeded, .failed])
        #expect(recent.failingSince == Instant(seconds: 20))
        #expect(recent.lastSuccess == Instant(seconds: 15))
        isNews = recent.merge([ended(.nothingToDo, at: 30)])
        #expect(isNews)
        #expect(recent.failingSince == nil && recent.lastSuccess == Instant(seconds: 30))
    }

    @Test("since when it fails is not forgotten where the ledger's twenty are all failures")
    func mergedFailures() {
        var recent = after(.failed)
        _ = recent.merge((11...40).map { ended(.failed, at: $0) })
        #expect(recent.attempts.count == 20)
        #expect(recent.failingSince == Instant(seconds: 10))
        _ = recent.merge((41...60).map { ended(.crashed, at: $0) })
        #expect(recent.failingSince == Instant(seconds: 10))
    }
}

struct EndsElsewhereTests {
    private func heard(_ ends: inout EndsElsewhere, _ total: AttemptCount, _ here: AttemptCount) -> AttemptCount? { ends.hear(ofAll: total, here: here) }
    private func count(_ ended: Int64, _ failed: Int64 = 0) -> AttemptCount { AttemptCount(ended: ended, failed: failed) }

    @Test("what the store counts beyond what ended here has ended elsewhere")
    func counted() {
        #expect(AttemptCount(["succeeded": 3, "crashed": 2, "overlap": 9]) == count(5, 2))
        var ends = EndsElsewhere()
        // Ten from before this life, or from others: which is not known.
        #expect(heard(&ends, count(10, 1), count(0)) == count(0))
        #expect(heard(&ends, count(12, 1), count(2)) == nil)
        #expect(heard(&ends, count(15, 3), count(3, 1)) == count(2, 1))
    }

    @Test("an end that is not in the store yet is no news when it is")
    func underWay() {
        var ends = EndsElsewhere()
        #expect(heard(&ends, count(0), count(0)) == nil)
        #expect(heard(&ends, count(0), count(3, 3)) == nil)
        #expect(heard(&ends, count(3, 3), count(3, 3)) == nil)
        #expect(heard(&ends, count(4, 3), count(3, 3)) == count(1))
    }
}
