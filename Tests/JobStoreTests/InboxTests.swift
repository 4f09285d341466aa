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

    @Test(arguments: ArrivalRules.all.map(\.name)) func arrival(rule name: String) async throws {
        let rule = try #require(ArrivalRules.all.first { $0.name == name })
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try await rule.check(ArrivalRules(
                store: store, run: { try application.execute($0) }, count: { try application.first($0) { try $0.int64(0) } },
                clock: "\(Instant.at(1).microseconds)"))
            await store.close()
        }
    }

    @Test("What is claimed as it comes is written once")
    func writtenOnce() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let application = try file.otherProgram()
            try application.execute("""
                CREATE TABLE rewritten (run);
                CREATE TRIGGER rewritten AFTER UPDATE ON runs BEGIN INSERT INTO rewritten VALUES (new.id); END;
                INSERT INTO enqueue_inbox (job) VALUES ('mint'), ('mint'), ('mint');
                """)
            let claims = try await store.claimWaiting(
                ["mint": WaitingLimit(most: 2)], taking: InboxTake(jobs: Self.jobs, limit: 9), owner: TemporaryStore.owner, now: .at(1))
            #expect(claims.runs.count == 2)
            #expect(try application.first("SELECT count(*) FROM rewritten") { try $0.int64(0) } == 0)
            await store.close()
        }
    }
}
