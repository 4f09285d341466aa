import JobCore
import PostgresTestKit
import SQL
import Testing

@testable import JobStore

/// What other programs enqueue is claimed in the transaction that takes it from the inbox; and ends wait for no claim.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct Arrivals {
    private static let owner = TemporaryStore.owner
    private static let take = InboxTake(jobs: ["mint": InboxRule(maxAttempts: 4)], limit: 1_000)

    private func use(_ body: (PostgresStore, PostgresConnection) async throws -> Void) async throws {
        try await TemporaryPostgres.use { store, schema in
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            try await body(store, other)
        }
    }

    @Test(arguments: ArrivalRules.all.map(\.name)) func arrival(rule name: String) async throws {
        let rule = try #require(ArrivalRules.all.first { $0.name == name })
        try await use { store, application in
            try await rule.check(ArrivalRules(
                store: store, run: { try application.execute($0) }, count: { try application.first($0) { try $0.int64(0) } },
                clock: PostgresLedger.clock))
        }
    }

    @Test func aRateAndOtherHostsLeaveOfWhatCameWhatTheyLeaveOfAllElse() async throws {
        try await use { store, application in
            _ = try await store.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(0))
            try application.run("SELECT enqueue_many('mint', ARRAY['1', '2', '3', '4', '5'])")
            let rate = WaitingLimit(most: 9, rate: RateLimit(runs: 2, per: .seconds(3_600)))
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
