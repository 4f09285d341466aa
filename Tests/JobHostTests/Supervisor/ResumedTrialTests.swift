import JobCore
import JobStore
import JobTestKit
import Testing

@testable import JobHost

/// What a canary's trial that goes on after a restart finds in the ledger.
@Suite("Evidence of a resumed trial", .timeLimit(.minutes(5))) struct ResumedTrialTests {
    private let since = Instant(seconds: 1_000)

    /// Began so many seconds after the trial did.
    private func run(
        _ id: Int64, _ outcome: Outcome?, job: String = "a", at seconds: Int64 = 10, state: RunState = .succeeded, library: String = "fresh",
        host: String = "alpha", attempt: Int = 1
    ) -> RunRecord {
        let start = since + .seconds(seconds)
        return RunRecord(
            id: RunID(id), job: job, trigger: .schedule, state: state, outcome: outcome, fireTime: start, availableAt: start, createdAt: start,
            startedAt: start, finishedAt: state.isTerminal ? start + .seconds(1) : nil, attempt: attempt, maxAttempts: 3, priority: 0, fence: id,
            owner: host, epoch: "life-0", pid: 1, libraryHash: library, generation: 1, reason: "", code: 0, items: 0, cpuMicroseconds: 0,
            uniqueKey: nil, idempotencyKey: "\(id)", retryOf: nil, payload: "")
    }

    private func attempt(_ run: Int64, _ number: Int, _ outcome: Outcome, at seconds: Int64 = 10, library: String) -> AttemptRecord {
        let start = since + .seconds(seconds)
        return AttemptRecord(
            run: RunID(run), attempt: number, outcome: outcome, startedAt: start, finishedAt: start + .seconds(1), pid: 1, libraryHash: library,
            reason: "", code: 0)
    }

    private func found(_ runs: [RunRecord], _ attempts: [AttemptRecord] = [], jobs: [String] = ["a", "b"]) async throws -> [Outcome] {
        let store = FakeStore()
        store.edit { ($0.runs, $0.attempts) = (runs, attempts) }
        var outcomes: [Outcome] = []
        try await ShellStage.use(store: store) { stage in
            outcomes = try await stage.supervisor.outcomes(of: "fresh", jobs: jobs, since: since)
        }
        return outcomes
    }

    @Test("runs that the library served on this host since the trial began, of the plugin's jobs; nothing else")
    func whatCounts() async throws {
        let counts = [
            run(1, .succeeded), run(2, .failed, state: .discarded), run(3, .crashed, job: "b", state: .discarded),
            // Put off by what it said itself.
            run(4, .snoozed, state: .scheduled),
        ]
        let others = [
            run(11, .failed, at: -1), run(12, .failed, library: "old"), run(13, .failed, host: "beta"), run(14, .failed, job: "another"),
            run(15, nil, state: .running), run(16, .failed, state: .retryable),
        ]
        #expect(try await found(counts).sorted { $0.rawValue < $1.rawValue } == [.crashed, .failed, .snoozed, .succeeded])
        #expect(try await found(others) == [])
    }

    @Test("attempts that were followed by another one count too, each once, and those before the trial or of the old library do not")
    func earlierAttempts() async throws {
        let runs = [run(1, .succeeded, attempt: 3), run(2, .failed, state: .retryable), run(3, .succeeded, library: "old", attempt: 2)]
        func attempts(by library: String) -> [AttemptRecord] {
            [
                attempt(1, 1, .crashed, at: -5, library: library), attempt(1, 2, .timedOut, library: library),
                attempt(2, 1, .failed, library: library), attempt(3, 1, .crashed, library: library), attempt(4, 1, .crashed, library: library),
            ]
        }
        let all: Set<Outcome> = [.succeeded, .timedOut, .failed, .crashed]
        let outcomes = try await found(runs, attempts(by: "fresh"))
        #expect(outcomes.count == 4 && Set(outcomes) == all, "\(outcomes)")
        #expect(try await found(runs, attempts(by: "old")) == [.succeeded])
    }

    @Test("of each job the newest thousand runs are looked at, whatever the others have")
    func newestThousand() async throws {
        let many = (1...1_005 as ClosedRange<Int64>).map { run($0, $0 <= 5 ? .crashed : .succeeded, state: $0 <= 5 ? .discarded : .succeeded) }
        let few = [run(2_000, .failed, job: "b", state: .discarded)]
        let outcomes = try await found(many + few)
        #expect(outcomes.count { $0 == .succeeded } == 1_000 && outcomes.count { $0 == .failed } == 1 && outcomes.count == 1_001)
    }

    @Test("a store that does not answer is no evidence")
    func noAnswer() async throws {
        let store = FakeStore()
        store.edit { $0.fault = StoreError(.unavailable, "away") }
        try await ShellStage.use(store: store) { stage in
            await #expect(throws: StoreError.self) { try await stage.supervisor.outcomes(of: "fresh", jobs: ["a"], since: since) }
        }
    }
}
