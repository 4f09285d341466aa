import JobCore
import PostgresTestKit
import SQL
import Testing

@testable import JobStore

/// What other programs enqueue is claimed in the transaction that takes it from the inbox; and ends wait for no claim.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(2))) struct Arrivals {
    private static let owner = TemporaryStore.owner
    private static let take = InboxTake(jobs: ["mint": InboxRule(maxAttempts: 4)], limit: 1_000)

    private func use(_ body: (PostgresStore, PostgresConnection) async throws -> Void) async throws {
        try await TemporaryPostgres.use { store, schema in
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            try await body(store, other)
        }
    }

    private func claim(_ store: PostgresStore, _ most: Int, at second: Int64 = 1) async throws -> WaitingClaims {
        var limit = WaitingLimit(most: most, generation: 7)
        limit.isIdempotent = true
        return try await store.claimWaiting(["mint": limit], taking: Self.take, owner: Self.owner, now: .at(second))
    }

    @Test func theBestOfWhatCameIsClaimedAtOnceAndTheRestWaits() async throws {
        try await use { store, application in
            try application.run("SELECT enqueue('mint', p::text, priority => p) FROM generate_series(1, 5) p")
            try application.run("SELECT enqueue('mint', '9', run_at => to_timestamp(\(Instant.at(60).microseconds / 1_000_000)))")
            #expect(try await store.jobsInInbox() == ["mint"])
            let claims = try await claim(store, 3)
            #expect(claims.payloads == ["5", "4", "3"])
            #expect(claims.runs.map(\.attempt) == [1, 1, 1])
            #expect(claims.runs.map(\.maxAttempts) == [4, 4, 4])
            #expect(claims.runs.map(\.idempotencyKey) == claims.runs.map { run in "run-\(run.id)" })
            #expect(claims.runs.map(\.fence) == claims.runs.map(\.fence).sorted(), "a later start has an earlier fence")
            #expect(claims.inbox.runs.map(\.state) == [.available, .available, .scheduled])
            #expect(try await store.jobsInInbox() == [])
            let rows = try await store.runs(RunFilter()).filter { $0.state == .running }
            #expect(Set(rows.map(\.id)) == Set(claims.runs.map(\.id)))
            for row in rows {
                #expect([row.owner, row.epoch] == ["alpha", "life-1"])
                #expect(row.generation == 7 && row.isIdempotent == true && row.attempt == 1)
            }
            #expect(try application.first("SELECT count(*) FROM runs WHERE state = 'running' AND lease_until > \(PostgresLedger.clock)") { try $0.int64(0) } == 3)
            // With nothing in the inbox it is the usual claim.
            #expect(try await claim(store, 9).payloads == ["2", "1"])
            let ends = claims.runs.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2)) }
            #expect(try await store.complete(ends, now: .at(2)) == [true, true, true])
        }
    }

    @Test func whatComesWaitsBehindWhatIsBetter() async throws {
        try await use { store, application in
            var first = NewRun.mint()
            first.priority = 1
            let waits = try #require(try await store.enqueue([first], now: .at(0)).first?.run)
            try application.run("SELECT enqueue('mint', '1')")
            try application.run("SELECT enqueue('mint', '2', priority => 5)")
            let claims = try await claim(store, 2)
            #expect(claims.payloads == ["2", "\"\""])
            #expect(claims.runs.last?.id == waits.id)
            #expect(try await claim(store, 2).payloads == ["1"])
            // Its time has come, though nobody has looked since.
            var due = NewRun.mint(bytes: 1)
            due.fireTime = .at(2)
            #expect(try await store.enqueue([due], now: .at(1)).first?.run.state == .scheduled)
            try application.run("SELECT enqueue('mint', '3')")
            #expect(try await claim(store, 1, at: 3).payloads == ["\"x\""])
            #expect(try await claim(store, 1, at: 3).payloads == ["3"])
        }
    }

    @Test func ofOneUniqueKeyOneRunIsMade() async throws {
        try await use { store, application in
            try application.run("SELECT enqueue('mint', p::text, unique_key => 'sale-' || p % 2) FROM generate_series(1, 6) p")
            let claims = try await claim(store, 9)
            #expect(claims.payloads == ["1", "2"])
            #expect(claims.runs.map(\.fence) == claims.runs.map(\.fence).sorted(), "a later start has an earlier fence")
            #expect(claims.inbox.runs == [])
            try application.run("SELECT enqueue('mint', '7', unique_key => 'sale-1'), enqueue('mnt', '8')")
            let more = try await claim(store, 9)
            #expect(more.runs == [] && more.inbox.runs == [])
            #expect(more.inbox.refused.map(\.reason) == ["there is no job \"mnt\""])
            #expect(try application.first("SELECT count(*) FROM enqueue_inbox WHERE refused IS NULL") { try $0.int64(0) } == 0)
        }
    }

    @Test func aRateAndOtherHostsLeaveOfWhatCameWhatTheyLeaveOfAllElse() async throws {
        try await use { store, application in
            _ = try await store.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(0))
            try application.run("SELECT enqueue_many('mint', ARRAY['1', '2', '3', '4', '5'])")
            let rate = WaitingLimit(most: 9, rate: RateLimit(runs: 2, per: .seconds(60)))
            let rated = try await store.claimWaiting(["mint": rate], taking: Self.take, owner: Self.owner, now: .at(1))
            #expect(rated.payloads == ["1", "2"])
            #expect(rated.rated.keys.contains("mint"))
            #expect(rated.inbox.runs.map(\.payload) == ["3", "4", "5"])
            let beta = Owner(host: "beta", epoch: "life-1")
            try application.run("SELECT enqueue_many('mint', ARRAY['6', '7'])")
            let room = WaitingLimit(most: 9, room: 3)
            let others = try await store.claimWaiting(["mint": room], taking: Self.take, owner: beta, now: .at(1))
            #expect(others.payloads == ["3"])
        }
    }

    /// Hosts that take and claim at once, others that only take, and programs that enqueue meanwhile.
    @Test func whatComesIsClaimedOnceHoweverManyHostsTakeIt() async throws {
        try await TemporaryPostgres.use { alpha, schema in
            let beta = try await TemporaryPostgres.open(schema, host: "beta")
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            _ = try await alpha.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(0))
            for part in 0..<10 {
                try application.run("SELECT enqueue('mint', p::text, unique_key => 'k-' || (p * 7919 % 300)) FROM generate_series(1, 60) p WHERE p % 10 <= \(part)")
                try application.run("SELECT enqueue_many('mint', array_fill('0'::text, ARRAY[40]))")
            }
            let claimed = try await withThrowingTaskGroup(of: [ClaimedRun].self) { group in
                for (store, host) in [(alpha, "alpha"), (beta, "beta")] {
                    group.addTask {
                        var mine: [ClaimedRun] = []
                        let owner = Owner(host: host, epoch: "life-1")
                        while true {
                            let claims = try await store.claimWaiting(
                                ["mint": WaitingLimit(most: 7)], taking: InboxTake(jobs: Self.take.jobs, limit: 20), owner: owner, now: .at(1))
                            mine += claims.runs
                            let ends = claims.runs.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2)) }
                            #expect(try await store.complete(ends, now: .at(2)).allSatisfy { $0 })
                            if claims.runs.isEmpty, try await store.jobsInInbox().isEmpty, try await store.nextWaiting() == nil { return mine }
                        }
                    }
                    group.addTask {
                        for _ in 0..<10 { _ = try await store.drainInbox(jobs: Self.take.jobs, limit: 15, now: .at(1)) }
                        return []
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(Set(claimed.map(\.id)).count == claimed.count, "a run was claimed twice")
            #expect(Set(claimed.map(\.fence)).count == claimed.count)
            #expect(claimed.count(where: { $0.payload == Array("0".utf8) }) == 400)
            #expect(try application.first("SELECT count(*) FROM runs WHERE state = 'succeeded'") { try $0.int64(0) } == Int64(claimed.count))
            #expect(try await alpha.counters() == ["mint": ["succeeded": Int64(claimed.count)]])
            await beta.close()
        }
    }

    /// As long as a claim has not reached the disk it holds the job's row.
    @Test func anEndWaitsForNobodysClaim() async throws {
        try await use { store, other in
            let claim = FireClaim.candles(1)
            let run = try #require(try await store.claimFires([claim], owner: Self.owner, now: .at(1)).first ?? nil)
            let end = Completion(run: run.id, fence: run.fence, outcome: .nothingToDo, state: .succeeded, finishedAt: .at(2))
            try other.execute("BEGIN; SELECT FROM job_states WHERE job = 'candles' FOR UPDATE")
            #expect(try await store.complete([end], now: .at(2)) == [true])
            let row = try await store.jobStates(of: ["candles"])["candles"]
            #expect(row?.lastFinished == .at(2) && row?.lastOutcome == .nothingToDo && row?.cursor == .at(1))
            try other.execute("ROLLBACK")
        }
    }

    /// What a claim counts on, an end changes under the lock that the claim holds.
    @Test func anEndThatLetsTheJobWaitAgainWaitsForTheClaim() async throws {
        try await use { store, other in
            let run = try #require(try await store.claimFires([FireClaim.candles(1)], owner: Self.owner, now: .at(1)).first ?? nil)
            let end = Completion(run: run.id, fence: run.fence, outcome: .failed, state: .retryable, finishedAt: .at(2))
            try other.execute("BEGIN; SELECT FROM job_states WHERE job = 'candles' FOR UPDATE")
            async let written = store.complete([end], now: .at(2))
            try await TemporaryPostgres.somebodyWaits(for: other)
            try other.execute("ROLLBACK")
            #expect(try await written == [true])
        }
    }
}

extension WaitingClaims {
    var payloads: [String] { runs.map { String(decoding: $0.payload, as: UTF8.self) } }
}
