import JobCore
import JobJSON
import Testing

@testable import JobStore

/// What other programs put into the inbox is claimed in the transaction that takes it: the same on every store.
struct ArrivalRules {
    let store: any Store
    /// Another program's statement.
    let run: (String) throws -> Void
    /// Another program's question for a number.
    let count: (String) throws -> Int64?
    /// The clock that leases go by, as SQL.
    let clock: String

    private static let jobs = ["mint": InboxRule(maxAttempts: 4)]

    func claim(_ most: Int, at second: Int64 = 1) async throws -> WaitingClaims {
        var limit = WaitingLimit(most: most, generation: 7)
        limit.isIdempotent = true
        return try await store.claimWaiting(
            ["mint": limit], taking: InboxTake(jobs: Self.jobs, limit: 1_000), owner: TemporaryStore.owner, now: .at(second))
    }

    func theBestIsClaimedAtOnceAndTheRestWaits() async throws {
        try run("INSERT INTO enqueue_inbox (job, payload, priority) VALUES ('mint', '1', 1), ('mint', '2', 2), ('mint', '3', 3), ('mint', '4', 4), ('mint', '5', 5)")
        try run("INSERT INTO enqueue_inbox (job, payload, run_at_ms) VALUES ('mint', '9', \(Instant.at(60).milliseconds))")
        #expect(try await store.jobsInInbox() == ["mint"])
        let claims = try await claim(3)
        #expect(claims.payloads == ["5", "4", "3"])
        #expect(claims.runs.map(\.attempt) == [1, 1, 1])
        #expect(claims.runs.map(\.maxAttempts) == [4, 4, 4])
        #expect(claims.runs.map(\.idempotencyKey) == claims.runs.map { run in "run-\(run.id)" })
        #expect(claims.runs.map(\.fence) == claims.runs.map(\.fence).sorted(), "a later start has an earlier fence")
        #expect(claims.inbox.runs.map(\.state) == [.available, .available, .scheduled])
        #expect(try await store.jobsInInbox() == [])
        let rows = try await store.runs(RunFilter()).filter { $0.state == .running }
        #expect(Set(rows.map { [$0.id.value, $0.fence] }) == Set(claims.runs.map { [$0.id.value, $0.fence] }))
        for row in rows {
            #expect([row.owner, row.epoch] == ["alpha", "life-1"])
            #expect(row.generation == 7 && row.isIdempotent == true && row.attempt == 1)
        }
        #expect(try count("SELECT count(*) FROM runs WHERE state = 'running' AND lease_until > \(clock)") == 3)
        // With nothing in the inbox it is the usual claim.
        #expect(try await claim(9).payloads == ["2", "1"])
        let ends = claims.runs.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2)) }
        #expect(try await store.complete(ends, now: .at(2)) == [true, true, true])
    }

    func whatComesWaitsBehindWhatIsBetter() async throws {
        var first = NewRun.mint()
        first.priority = 1
        let waits = try #require(try await store.enqueue([first], now: .at(0)).first?.run)
        try run("INSERT INTO enqueue_inbox (job, payload, priority) VALUES ('mint', '1', 0), ('mint', '2', 5)")
        let claims = try await claim(2)
        #expect(claims.payloads == ["2", "\"\""])
        #expect(claims.runs.last?.id == waits.id)
        #expect(try await claim(2).payloads == ["1"])
        // Its time has come, though nobody has looked since.
        var due = NewRun.mint(bytes: 1)
        due.fireTime = .at(2)
        #expect(try await store.enqueue([due], now: .at(1)).first?.run.state == .scheduled)
        try run("INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '3')")
        #expect(try await claim(1, at: 3).payloads == ["\"x\""])
        #expect(try await claim(1, at: 3).payloads == ["3"])
    }

    func ofOneUniqueKeyOneRunIsMade() async throws {
        for number in 1...6 { try run("INSERT INTO enqueue_inbox (job, payload, unique_key) VALUES ('mint', '\(number)', 'sale-\(number % 2)')") }
        let claims = try await claim(9)
        #expect(claims.payloads == ["1", "2"])
        #expect(claims.runs.map(\.fence) == claims.runs.map(\.fence).sorted(), "a later start has an earlier fence")
        #expect(claims.inbox.runs == [])
        try run("INSERT INTO enqueue_inbox (job, payload, unique_key) VALUES ('mint', '7', 'sale-1'), ('mnt', '8', NULL)")
        let more = try await claim(9)
        #expect(more.runs == [] && more.inbox.runs == [])
        #expect(more.inbox.refused.map(\.reason) == ["there is no job \"mnt\""])
        #expect(try count("SELECT count(*) FROM enqueue_inbox WHERE refused IS NULL") == 0)
    }

    func aRateHoldsForWhatComes() async throws {
        _ = try await store.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(0))
        try run("INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '1'), ('mint', '2'), ('mint', '3'), ('mint', '4'), ('mint', '5')")
        let rate = WaitingLimit(most: 9, rate: RateLimit(runs: 2, per: .seconds(3_600)))
        let rated = try await store.claimWaiting(
            ["mint": rate], taking: InboxTake(jobs: Self.jobs, limit: 1_000), owner: TemporaryStore.owner, now: .at(1))
        #expect(rated.payloads == ["1", "2"])
        #expect(rated.rated.keys.contains("mint"))
        #expect(rated.inbox.runs.map(\.payload) == ["3", "4", "5"])
    }

    func whatHadExpiredIsOnRecordAndItsKeyIsFree() async throws {
        let past = Instant.at(0).milliseconds
        try run("""
            INSERT INTO enqueue_inbox (job, payload, unique_key, created_at_ms, expires_at_ms)
            VALUES ('mint', '0', 'sale-0', \(past - 2_000), \(past))
            """)
        try run("INSERT INTO enqueue_inbox (job, payload, unique_key) VALUES ('mint', '2', 'sale-0'), ('mint', '4', 'sale-0')")
        let claims = try await claim(9)
        #expect(claims.runs == [])
        #expect(claims.inbox.runs.map(\.payload) == ["0", "2"], "that one had to make room first")
        let late = try #require(claims.inbox.runs.first)
        #expect(try await store.run(late.id)?.state == .skipped)
        #expect(try await claim(9).payloads == ["2"])
    }

    func whatNoJobCanTakeStaysAsItsBeginning() async throws {
        let none = [
            "[" + String(repeating: "1,", count: 150_000) + "1]",
            String(repeating: "[", count: 600) + String(repeating: "]", count: 600),
            "[" + String(repeating: "1,", count: 600) + "\"\\u0000\"]",
        ]
        let misfit = "[" + String(repeating: "2,", count: 1_000) + "2]"
        for payload in none + [misfit, "[\"\\u0000\"]"] { try run("INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '\(payload)')") }
        try run("INSERT INTO enqueue_inbox (job, payload) VALUES ('mnt', '\(none[0])'), ('mnt', '\(misfit)')")
        let strict = ["mint": InboxRule { _ in "it wants an object" }]
        #expect(try await store.drainInbox(jobs: strict, limit: 100, now: .at(1)).refused.count == 7)
        let length = "length(CAST(payload AS text))"
        #expect(try count("SELECT count(*) FROM enqueue_inbox WHERE \(length) BETWEEN 1000 AND 1010") == 4, "a beginning of 1,000 bytes")
        #expect(try count("SELECT count(*) FROM enqueue_inbox WHERE \(length) = \(misfit.utf8.count)") == 2, "what a job may take one day is whole")
        #expect(try count("SELECT count(*) FROM enqueue_inbox WHERE \(length) < 20") == 1)
        // A second look, by hosts that take any payload now.
        try run("UPDATE enqueue_inbox SET refused = NULL, job = 'mint'")
        let open = ["mint": InboxRule { (try? JSON(parsing: $0)) == nil ? "no payload" : nil }]
        let again = try await store.drainInbox(jobs: open, limit: 100, now: .at(2))
        #expect(again.runs.map(\.payload) == [misfit, misfit])
        #expect(again.refused.count == 5)
    }

    static let all: [(name: String, check: @Sendable (ArrivalRules) async throws -> Void)] = [
        ("the best is claimed at once and the rest waits", { try await $0.theBestIsClaimedAtOnceAndTheRestWaits() }),
        ("what comes waits behind what is better", { try await $0.whatComesWaitsBehindWhatIsBetter() }),
        ("of one unique key one run is made", { try await $0.ofOneUniqueKeyOneRunIsMade() }),
        ("a rate holds for what comes", { try await $0.aRateHoldsForWhatComes() }),
        ("what had expired is on record and its key is free", { try await $0.whatHadExpiredIsOnRecordAndItsKeyIsFree() }),
        ("what no job can take stays as its beginning", { try await $0.whatNoJobCanTakeStaysAsItsBeginning() }),
    ]
}

extension WaitingClaims {
    var payloads: [String] { runs.map { String(decoding: $0.payload, as: UTF8.self) } }
}
