import JobCore
import JobStore
import PostgresTestKit
import SQL
import StoreSuite
import Testing

@Suite(.serialized, .enabled(if: TestPostgres.url != nil)) struct MovingHouse {
    /// A store with something of everything.
    private func fill(_ store: SQLiteStore, _ file: TemporaryStore) async throws {
        let owner = TemporaryStore.owner
        for second in 1...3 as ClosedRange<Int64> {
            let run = try #require(try await store.claimFires([.candles(second)], owner: owner, now: .at(second)).first ?? nil)
            var end = Completion(run: run.id, fence: run.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(second))
            end.startedAt = .at(second)
            end.reason = "said \"so\", \\ and \u{0}"
            end.stateBlob = Completion.StateWrite(version: 2, bytes: [0, 255, UInt8(second)])
            end.breaker = BreakerWrite(data: "closed", expected: second)
            #expect(try await store.complete([end], now: .at(second)) == [true])
        }
        let skipped = FireRange(reason: .paused, first: .at(4), last: .at(9), count: 6)
        let move = CursorMove(
            job: "candles", expectedCursor: .at(3), newCursor: .at(9), scheduleText: "every 1s", ranges: [skipped])
        #expect(try await store.moveCursors([move], now: .at(9)) == [true])
        var delayed = NewRun.mint(bytes: 3)
        delayed.uniqueKey = "asset-7"
        delayed.fireTime = .at(60)
        _ = try await store.enqueue([.mint(bytes: 5), delayed], now: .at(10))
        let tried = try #require(try await store.claimWaiting(limits: ["mint": 1], owner: owner, now: .at(10)).first)
        var retry = Completion(run: tried.id, fence: tried.fence, outcome: .retry, state: .retryable, finishedAt: .at(11))
        retry.availableAt = .at(20)
        #expect(try await store.complete([retry], now: .at(11)) == [true])
        try await store.saveControl(job: "mint", .enabled(false), by: .system, action: "disable", now: .at(12))
        let actor = Actor(name: "ops", via: "cli", reason: "deploy")
        try await store.saveControl(job: "mint", .paused(true), by: actor, action: "pause", now: .at(12))
        try await store.saveAcceptedLibrary(AcceptedLibrary(plugin: "mint", sha256: "aa", path: "/x", acceptedAt: .at(1)))
        try await store.saveReload(ReloadRow(generation: 4, at: .at(1), accepted: true, report: "{}"))
        let other = try file.otherProgram()
        try other.run("INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '{\"a\": 1}'), ('mint', 'no JSON')")
        other.close()
    }

    @Test func everythingComesAlongAndGoesOnThere() async throws {
        try await TemporaryStore.use { file in
            try await TestPostgres.use { schema in
                let old = try await file.open()
                try await fill(old, file)
                let (runs, ranges, states) = (
                    try await old.runs(RunFilter()), try await old.ranges(job: nil, from: nil, to: nil, limit: 10), try await old.jobStates()
                )
                let (counters, audit) = (try await old.counters(), try await old.audit(AuditFilter(limit: 10)))
                await old.close()

                let moved = try await StoreMove.move(fromSQLite: file.path, to: schema.server, schema: schema.name, host: "alpha")
                #expect(moved.first { $0.table == "runs" }?.rows == 5)
                #expect(moved.first { $0.table == "enqueue_inbox" }?.rows == 2)
                // What is no payload is none there either.
                let target = try PostgresConnection(PostgresAddress(schema.server))
                #expect(try target.rows("SELECT payload::text FROM \(schema.name).enqueue_inbox ORDER BY id", []) { try $0.text(0) } == [
                    #"{"a": 1}"#, #""no JSON\u0000""#,
                ])
                target.close()

                let new = try await TemporaryPostgres.open(schema)
                func plain(_ runs: [RunRecord]) -> [RunRecord] {
                    runs.map { run in
                        var run = run
                        // The one character that PostgreSQL has no place for.
                        run.reason = String(run.reason.map { $0 == "\0" ? "\u{FFFD}" : $0 })
                        return run
                    }
                }
                #expect(try await new.runs(RunFilter()) == plain(runs))
                #expect(try await new.ranges(job: nil, from: nil, to: nil, limit: 10) == ranges)
                #expect(try await new.jobStates() == states)
                #expect(try await new.counters() == counters)
                #expect(try await new.audit(AuditFilter(limit: 10)) == audit)
                #expect(try await new.stateBlob(job: "candles")?.bytes == [0, 255, 3])
                #expect(try await new.acceptedLibraries().map(\.sha256) == ["aa"])
                #expect(try await new.reloads(limit: 1).map(\.generation) == [4])
                let retried = try #require(runs.first { $0.state == .retryable })
                #expect(try await new.attempts(of: retried.id).map(\.outcome) == [.retry])

                // Numbers go on, keys are kept, the range grows.
                let inbox = try await new.drainInbox(jobs: ["mint": InboxRule()], limit: 10, now: .at(13))
                #expect(inbox.runs.allSatisfy { run in runs.allSatisfy { $0.id < run.id } })
                var again = NewRun.mint()
                again.uniqueKey = "asset-7"
                #expect(try await new.enqueue([again], now: .at(13)).map(\.inserted) == [false])
                let claimed = try await new.claimWaiting(limits: ["mint": 9], owner: TemporaryStore.owner, now: .at(100))
                #expect(claimed.allSatisfy { claim in runs.allSatisfy { $0.fence < claim.fence } })
                let more = FireRange(reason: .paused, first: .at(10), last: .at(10), count: 1)
                let move = CursorMove(
                    job: "candles", expectedCursor: .at(9), newCursor: .at(10), scheduleText: "every 1s", ranges: [more])
                #expect(try await new.moveCursors([move], now: .at(10)) == [true])
                #expect(try await new.ranges(job: nil, from: nil, to: nil, limit: 10).map(\.count) == [7])
                await new.close()
                #expect(try LedgerCheck.violations(inPostgreSQL: schema.server, schema: schema.name) == [])
            }
        }
    }

    @Test func aStoreMovesIntoAnEmptyOneOnly() async throws {
        try await TemporaryStore.use { file in
            try await TestPostgres.use { schema in
                let old = try await file.open()
                try await fill(old, file)
                await old.close()
                _ = try await StoreMove.move(fromSQLite: file.path, to: schema.server, schema: schema.name, host: "alpha")
                do {
                    _ = try await StoreMove.move(fromSQLite: file.path, to: schema.server, schema: schema.name, host: "alpha")
                    Issue.record("moved into a full one")
                } catch let error as StoreError {
                    #expect(error.kind == .incompatible)
                    #expect(error.message.contains("is not empty (runs)"))
                }
            }
        }
    }
}
