import JobCore
import JobStore
import SQL
import Testing

/// The door for other programs: one INSERT in a transaction of their own.
@Suite struct Inbox {
    private static let jobs = ["mint": InboxRule(maxAttempts: 4)]

    @Test func oneInsertBecomesOneRun() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute(#"INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '{"assetId": 7}')"#)
            let result = try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(5))
            let run = try #require(result.runs.first)
            #expect(run.job == "mint")
            #expect(run.trigger == .enqueued)
            #expect(run.state == .available)
            #expect(run.payload == #"{"assetId": 7}"#)
            #expect(run.maxAttempts == 4)
            #expect(run.availableAt == .at(5))
            #expect(result.refused.isEmpty)
            #expect(try await store.run(run.id) == run)
            #expect(try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(6)).runs.isEmpty)
            await store.close()
        }
    }

    @Test func whatIsRolledBackWasNeverAsked() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute("BEGIN; INSERT INTO enqueue_inbox (job) VALUES ('mint'); ROLLBACK")
            #expect(try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(5)).runs.isEmpty)
            await store.close()
        }
    }

    @Test func keyPriorityAndTimeAreTaken() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute("""
                INSERT INTO enqueue_inbox (job, unique_key, priority, run_at_ms) VALUES ('mint', 'asset-7', 3, 1764547260000);
                INSERT INTO enqueue_inbox (job, unique_key) VALUES ('mint', 'asset-7');
                """)
            let result = try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(5))
            #expect(result.runs.map(\.uniqueKey) == ["asset-7"])
            #expect(result.runs.map(\.idempotencyKey) == ["asset-7"])
            #expect(result.runs.map(\.priority) == [3])
            #expect(result.runs.map(\.state) == [.scheduled])
            #expect(result.runs.map(\.fireTime) == [.at(60)])
            #expect(try application.first("SELECT count(*) FROM enqueue_inbox") { try $0.int64(0) } == 0)
            await store.close()
        }
    }

    @Test("Where the job says how long a run is of use, one that was due long before it came has as long as any other")
    func expiryCountsFromWhenItCame() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            let rules = ["mint": InboxRule(expiresAfter: .seconds(30))]
            // Inserted at 0, taken at 10: due long ago, now, in a minute.
            for due in ["\(Instant.at(-400 * 86_400).milliseconds)", "NULL", "\(Instant.at(60).milliseconds)"] {
                try application.execute("INSERT INTO enqueue_inbox (job, run_at_ms, created_at_ms) VALUES ('mint', \(due), \(Instant.at(0).milliseconds))")
            }
            let result = try await store.drainInbox(jobs: rules, limit: 100, now: .at(10))
            #expect(result.refused.isEmpty)
            #expect(result.runs.map(\.expiresAt) == [.at(30), .at(30), .at(90)])
            #expect(try await store.claimWaiting(limits: ["mint": 9], owner: TemporaryStore.owner, now: .at(11)).count == 2)
            await store.close()
        }
    }

    @Test func unusableRowsStayWithTheReason() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute("""
                INSERT INTO enqueue_inbox (job, payload) VALUES ('mnit', '{}'), ('mint', '{"assetId": '), ('mint', '{}')
                """)
            let result = try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(5))
            #expect(result.runs.count == 1)
            #expect(result.refused.map(\.reason) == ["there is no job \"mnit\"", "the payload is not valid JSON"])
            // Not looked at again, until somebody asks for it.
            #expect(try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(6)).refused.isEmpty)
            try application.execute("UPDATE enqueue_inbox SET job = 'mint', refused = NULL WHERE job = 'mnit'")
            #expect(try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(7)).runs.count == 1)
            await store.close()
        }
    }

    @Test func whatIsTakenLeavesAndNothingElse() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute("""
                INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '{'), ('mint', '1'), ('mint', '['), ('mint', '2'), ('mint', '3'), ('mint', '4')
                """)
            func left() throws -> [String] { try application.rows("SELECT payload FROM enqueue_inbox ORDER BY id") { try $0.text(0) } }
            let result = try await store.drainInbox(jobs: Self.jobs, limit: 5, now: .at(5))
            #expect(result.runs.map(\.payload) == ["1", "2", "3"] && result.mayHaveMore)
            #expect(try left() == ["{", "[", "4"], "what was refused before and between them, and what comes behind them")
            #expect(try await store.drainInbox(jobs: Self.jobs, limit: 5, now: .at(6)).runs.map(\.payload) == ["4"])
            #expect(try left() == ["{", "["])
            await store.close()
        }
    }

    @Test func absurdNumbersAreRefusedWithTheReason() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute("""
                INSERT INTO enqueue_inbox (job, unique_key, priority, run_at_ms)
                VALUES ('mint', NULL, -9223372036854775808, NULL), ('mint', NULL, 0, 9223372036854775807), ('mint', '', 0, NULL),
                    ('mint', 'k', 1000, -9223372036854775808)
                """)
            let result = try await store.drainInbox(jobs: Self.jobs, limit: 100, now: .at(5))
            #expect(result.refused.map { String($0.reason.prefix(20)) } == ["priority is -9223372", "it is due at 294247-", "a unique key has 1 …"], "\(result.refused)")
            #expect(result.runs.map(\.state) == [.available], "what is long overdue runs")
            #expect(try await store.claimWaiting(limits: ["mint": 9], owner: TemporaryStore.owner, now: .at(6)).count == 1)
            await store.close()
        }
    }

    /// Rows that say nothing go by the job; they count from when they came, however late a host takes them.
    @Test func rowsExpireAsTheySayElseAsTheirJobDoes() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            let midnight = TemporaryStore.midnight.microseconds / 1_000
            try application.execute("""
                INSERT INTO enqueue_inbox (job, unique_key, run_at_ms, expires_at_ms, created_at_ms) VALUES
                    ('mint', 'says', NULL, \(midnight + 90_000), \(midnight)), ('mint', 'job', NULL, NULL, \(midnight)),
                    ('mint', 'due', \(midnight + 60_000), NULL, \(midnight)), ('mint', 'past', NULL, \(midnight + 5_000), \(midnight)),
                    ('mint', 'past', NULL, NULL, \(midnight + 9_000)), ('mint', 'none', \(midnight + 60_000), \(midnight + 60_000), \(midnight))
                """)
            let rules = ["mint": InboxRule(expiresAfter: .seconds(30))]
            let result = try await store.drainInbox(jobs: rules, limit: 100, now: .at(10))
            #expect(result.runs.map(\.uniqueKey) == ["says", "job", "due", "past", "past"])
            #expect(result.runs.map(\.expiresAt) == [.at(90), .at(30), .at(90), .at(5), .at(39)])
            #expect(result.refused.map(\.reason) == ["it expires at 2025-12-01T00:01:00Z, which is not after 2025-12-01T00:01:00Z, when it is due"])
            #expect(try await store.run(result.runs[3].id)?.state == .skipped, "it kept the next one out")
            #expect(try await store.claimWaiting(limits: ["mint": 9], owner: TemporaryStore.owner, now: .at(29)).count == 3)
            await store.close()
        }
    }

    @Test func aPayloadThatTheEntryRefusesStaysWithTheReason() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute(
                #"INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '{}'), ('mint', '{"size": 1}')"#)
            let rules = ["mint": InboxRule { $0 == Array("{}".utf8) ? "size is missing" : nil }]
            let result = try await store.drainInbox(jobs: rules, limit: 100, now: .at(5))
            #expect(result.runs.map(\.payload) == [#"{"size": 1}"#])
            #expect(result.refused.map(\.reason) == ["size is missing"])
            await store.close()
        }
    }

    // MARK: Claimed as it comes

    private func claim(_ store: SQLiteStore, _ most: Int, at second: Int64 = 1, rate: RateLimit? = nil) async throws -> WaitingClaims {
        var limit = WaitingLimit(most: most, generation: 7, rate: rate)
        limit.isIdempotent = true
        return try await store.claimWaiting(
            ["mint": limit], taking: InboxTake(jobs: Self.jobs, limit: 1_000), owner: TemporaryStore.owner, now: .at(second))
    }

    @Test("The best of what came is claimed in the transaction that takes it, its row written once; the rest waits")
    func claimedAtOnce() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute("""
                CREATE TABLE rewritten (run);
                CREATE TRIGGER rewritten AFTER UPDATE ON runs BEGIN INSERT INTO rewritten VALUES (new.id); END;
                INSERT INTO enqueue_inbox (job, payload, priority) VALUES ('mint', '1', 1), ('mint', '2', 2), ('mint', '3', 3), ('mint', '4', 4), ('mint', '5', 5);
                INSERT INTO enqueue_inbox (job, payload, run_at_ms) VALUES ('mint', '9', \(Instant.at(60).milliseconds))
                """)
            let claims = try await claim(store, 3)
            #expect(claims.payloads == ["5", "4", "3"])
            #expect(claims.runs.map(\.attempt) == [1, 1, 1])
            #expect(claims.runs.map(\.maxAttempts) == [4, 4, 4])
            #expect(claims.runs.map(\.idempotencyKey) == claims.runs.map { run in "run-\(run.id)" })
            #expect(claims.runs.map(\.fence) == claims.runs.map(\.fence).sorted(), "a later start has an earlier fence")
            #expect(claims.inbox.runs.map(\.state).sorted { $0.rawValue < $1.rawValue } == [.available, .available, .scheduled])
            #expect(try application.first("SELECT count(*) FROM rewritten") { try $0.int64(0) } == 0)
            for claim in claims.runs {
                let row = try #require(try await store.run(claim.id))
                #expect(row.state == .running && row.fence == claim.fence && [row.owner, row.epoch] == [TemporaryStore.owner.host, TemporaryStore.owner.epoch])
                #expect(row.generation == 7 && row.isIdempotent == true && row.attempt == 1)
            }
            #expect(try application.first("SELECT count(*) FROM runs WHERE state = 'running' AND lease_until > \(Instant.at(1).microseconds)") { try $0.int64(0) } == 3)
            // With nothing in the inbox it is the usual claim.
            #expect(try await claim(store, 9).payloads == ["2", "1"])
            let ends = claims.runs.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2)) }
            #expect(try await store.complete(ends, now: .at(2)) == [true, true, true])
            await store.close()
        }
    }

    @Test("What comes waits behind what waits and is better; a rate holds for what comes too")
    func behindWhatIsBetter() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            var first = NewRun.mint()
            first.priority = 1
            let waits = try #require(try await store.enqueue([first], now: .at(0)).first?.run)
            try application.execute("INSERT INTO enqueue_inbox (job, payload, priority) VALUES ('mint', '1', 0), ('mint', '2', 5)")
            let claims = try await claim(store, 2)
            #expect(claims.payloads == ["2", "\"\""])
            #expect(claims.runs.last?.id == waits.id)
            #expect(claims.inbox.runs.map(\.payload) == ["1"])
            #expect(try await claim(store, 2).payloads == ["1"])
            // Its time has come, though nobody has looked since.
            var due = NewRun.mint(bytes: 1)
            due.fireTime = .at(2)
            #expect(try await store.enqueue([due], now: .at(1)).first?.run.state == .scheduled)
            try application.execute("INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '3')")
            #expect(try await claim(store, 1, at: 3).payloads == ["\"x\""])
            #expect(try await claim(store, 1, at: 3).payloads == ["3"])

            _ = try await store.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(3))
            try application.execute("INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '4'), ('mint', '5'), ('mint', '6')")
            let rated = try await claim(store, 9, at: 4, rate: RateLimit(runs: 2, per: .seconds(60)))
            #expect(rated.payloads == ["4", "5"])
            #expect(rated.rated.keys.contains("mint"))
            await store.close()
        }
    }

    @Test("Of one unique key one run is made, also where the first is claimed as it comes; what had expired is on record")
    func oneOfAKey() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            let past = Instant.at(0).milliseconds
            try application.execute("""
                INSERT INTO enqueue_inbox (job, payload, unique_key, created_at_ms, expires_at_ms) VALUES ('mint', '0', 'sale-0', \(past - 2_000), \(past));
                INSERT INTO enqueue_inbox (job, payload, unique_key) VALUES ('mint', '1', 'sale-1'), ('mint', '2', 'sale-0'), ('mint', '3', 'sale-1'), ('mint', '4', 'sale-0')
                """)
            let claims = try await claim(store, 9)
            #expect(claims.payloads == ["1"])
            #expect(claims.inbox.runs.map(\.payload) == ["0", "2"], "that one had to make room first")
            let late = try #require(claims.inbox.runs.first)
            #expect(try await store.run(late.id)?.state == .skipped)
            try application.execute("INSERT INTO enqueue_inbox (job, payload, unique_key) VALUES ('mint', '7', 'sale-1'), ('mnt', '8', NULL)")
            let more = try await claim(store, 9)
            #expect(more.payloads == ["2"] && more.inbox.runs == [])
            #expect(more.inbox.refused.map(\.reason) == ["there is no job \"mnt\""])
            #expect(try application.first("SELECT count(*) FROM enqueue_inbox WHERE refused IS NULL") { try $0.int64(0) } == 0)
            await store.close()
        }
    }
}
