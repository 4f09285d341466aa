import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("What a worker tells at once", .timeLimit(.minutes(5))) struct HeardTogetherTests {
    private func stage(_ body: (ShellStage, SQLiteStore) async throws -> Void) async throws {
        let folder = try ScratchFolder()
        defer { folder.remove() }
        let store = try await SQLiteStore.open(path: folder.path + "/store.db")
        try await ShellStage.use(store: store) { try await body($0, store) }
        await store.close()
    }

    private func until(_ isSo: () async -> Bool) async throws {
        while !(await isSo()) {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    private static func jobs(concurrency: Int) -> Generation {
        var generation = Generation.of("a", number: 2) { $0.concurrency = concurrency }
        generation.pools = [PoolSpec(key: "p", plugin: "p", library: LibraryCopy(sha256: "h", path: "/nowhere/p.so"), maxWorkers: 4)]
        return generation
    }

    @Test("Ends, whatever began between them, are recorded together, and each is told with the row that it leaves, in their order")
    func ends() async throws {
        try await stage { stage, store in
            let waiting = (0..<3).map { _ in NewRun(job: "a", trigger: .enqueued, fireTime: .epoch) }
            _ = try await store.enqueue(waiting, now: SystemClock().now().wall)
            await stage.supervisor.act { $0.apply(Self.jobs(concurrency: 3), rows: [:], states: [:]) }
            try await until { await stage.supervisor.act { $0.dispatcher.owners.count } == 3 }
            let outcomes = [Outcome.succeeded, .failed, .nothingToDo]
            let runs = await stage.supervisor.act { supervisor in
                let runs = supervisor.dispatcher.owners.keys.sorted()
                let now = supervisor.clock.now().wall
                _ = supervisor.events.take()
                supervisor.heard(zip(runs, outcomes).flatMap { run, outcome in
                    [
                        ProcessEvent.started(run: run, at: now, pid: 7, libraryHash: "h2"),
                        .ended(AttemptEnd(run: run, job: "a", outcome: outcome, startedAt: now, finishedAt: now)),
                    ]
                })
                return runs
            }
            try await until { await stage.supervisor.act { $0.isEverythingRecorded } }
            let events = stage.supervisor.events.take().events
            let told = events.compactMap { if case .ended(let run) = $0 { run } else { nil } }
            #expect(told.map(\.id) == runs && told.map(\.outcome) == outcomes)
            let writes = events.count { if case .store(operation: "complete", _) = $0 { true } else { false } }
            #expect(writes == 1)
            let rows = try await store.runs(RunFilter(job: "a")).sorted { $0.id < $1.id }
            #expect(rows.map(\.outcome) == outcomes && rows.map(\.state) == [.succeeded, .discarded, .succeeded])
        }
    }

    @Test("With a library on trial each is heard alone: what starts after one that decides the trial does not go to a library that was judged")
    func trial() async throws {
        try await stage { stage, _ in
            await stage.supervisor.act { supervisor in
                supervisor.apply(Self.jobs(concurrency: 2), rows: [:], states: [:])
                let now = supervisor.clock.now().wall
                let claims = (Int64(1)...4).map { number in
                    ClaimedRun(
                        id: RunID(number), job: "a", trigger: .enqueued, fireTime: now, attempt: 1, maxAttempts: 1, fence: number, priority: 0,
                        idempotencyKey: "\(number)", payload: [])
                }
                supervisor.dispatch(.waitingClaimed(limits: ["a": 4], WaitingClaims(claims)))
                var trial = CanaryTrial(plugin: "p", old: "old", fresh: "fresh", wanted: 5)
                let takesFirst = trial.takes(RunID(1))
                #expect(takesFirst)
                supervisor.canaries["p"] = trial
                func end(_ number: Int64, _ outcome: Outcome, of library: String) -> ProcessEvent {
                    var end = AttemptEnd(run: RunID(number), job: "a", outcome: outcome, startedAt: now, finishedAt: now)
                    end.libraryHash = library
                    return .ended(end)
                }
                supervisor.heard([end(1, .crashed, of: "fresh"), end(2, .succeeded, of: "old")])
                guard case .rollBack? = supervisor.canaries["p"]?.decision else {
                    Issue.record("\(String(describing: supervisor.canaries["p"]))")
                    return
                }
                #expect(supervisor.dispatcher.owners.keys.sorted() == [RunID(3), RunID(4)])
                #expect(supervisor.canaries["p"]?.underway == [RunID(3)], "in the place of the one that decided it")
            }
        }
    }
}
