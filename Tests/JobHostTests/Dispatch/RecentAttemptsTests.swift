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
}
