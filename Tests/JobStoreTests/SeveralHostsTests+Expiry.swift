import JobCore
import PostgresTestKit
import SQL
import Testing

@testable import JobStore

/// What waits and expires where several hosts look at it.
extension SeveralHosts {
    private func keyed(_ key: String, expires: Instant?) -> NewRun {
        var run = NewRun.mint()
        (run.uniqueKey, run.expiresAt) = (key, expires)
        return run
    }

    @Test("A host whose clock is an hour ahead ends nothing that others would still start, by whichever door something of the same key comes")
    func aWrongClockExpiresNothing() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let (now, wrong) = (try pair.now(), try pair.now() + .seconds(3_600))
            let valid = keyed("sale-1", expires: now + .seconds(600))
            let run = try #require(try await pair.beta.enqueue([valid], now: now).first).run
            // What this host claimed while its clock was right, and ends now.
            let claims = try await pair.alpha.claimFires([fire(1)], owner: Self.alpha, now: now)
            var completion = end(try #require(claims.first ?? nil), at: wrong)
            completion.enqueues = [valid]
            #expect(try await pair.alpha.complete([completion], now: wrong) == [true])
            await #expect(throws: StoreError.self) { try await pair.alpha.enqueue([valid], now: wrong) }
            try pair.other.run("SELECT enqueue('mint', unique_key => 'sale-1')")
            await #expect(throws: StoreError.self) { try await pair.alpha.drainInbox(jobs: ["mint": InboxRule()], limit: 10, now: wrong) }
            #expect(try await pair.alpha.expireWaiting(limit: 10, now: wrong) == [])
            #expect(try await pair.alpha.run(run.id)?.state == .available)

            // What has ended by the database's clock has ended for a host that is behind too.
            let over = try #require(try await pair.beta.enqueue([keyed("sale-2", expires: now - .seconds(1))], now: now).first).run
            let behind = try await pair.alpha.enqueue([keyed("sale-2", expires: nil)], now: now - .seconds(3_600))
            #expect(behind.map(\.inserted) == [true])
            let told = try await pair.alpha.expireWaiting(limit: 10, now: now)
            #expect(told.map(\.id) == [over.id] && told.map(\.state) == [.skipped])
            #expect(try #require(told.first?.finishedAt) < now + .seconds(60))
        }
    }

    @Test("A host whose clock is ahead ends attempts: a retry waits for its delay by the database's clock, what was named by its instant has it")
    func aWrongClockDelaysNothing() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let (now, wrong) = (try pair.now(), try pair.now() + .seconds(240))
            let claims = try await pair.alpha.claimFires([fire(1), fire(2)], owner: Self.alpha, now: now).compactMap(\.self)
            try #require(claims.count == 2)
            var retry = Completion(run: claims[0].id, fence: claims[0].fence, outcome: .retry, state: .retryable, finishedAt: wrong)
            retry.availableAt = wrong + .seconds(5)
            var snooze = Completion(run: claims[1].id, fence: claims[1].fence, outcome: .snoozed, state: .scheduled, finishedAt: wrong)
            (snooze.availableAt, snooze.isInstantNamed, snooze.countsAttempt) = (now + .seconds(600), true, false)
            #expect(try await pair.alpha.complete([retry, snooze], now: wrong) == [true, true])
            let due = try #require(try await pair.beta.run(claims[0].id)).availableAt
            #expect(due >= now + .seconds(5) && due < now + .seconds(65), "\(due - now)")
            #expect(try await pair.beta.run(claims[1].id)?.availableAt == now + .seconds(600))
        }
    }

    @Test("What takes the places of several expired runs locks them by their numbers, whatever its own order is", .timeLimit(.minutes(5)))
    func expiredRowsAreLockedInOneOrder() async throws {
        try await pair { pair in
            let waiting = try await pair.alpha.enqueue(["a", "b"].map { keyed($0, expires: .at(10)) }, now: .at(0)).map(\.run.id)
            // Another one has begun with the first.
            try pair.other.begin(.rowLocks)
            try pair.other.run("SELECT FROM runs WHERE id = ? FOR UPDATE", [.int(waiting[0].value)])
            let (beta, wanted) = (pair.beta, ["b", "a"].map { keyed($0, expires: nil) })
            async let asked = beta.enqueue(wanted, now: .at(20))
            try await TemporaryPostgres.somebodyWaits(for: pair.other)
            // It goes on with the second, and neither waits for ever.
            #expect(throws: Never.self) { try pair.other.run("SELECT FROM runs WHERE id = ? FOR UPDATE NOWAIT", [.int(waiting[1].value)]) }
            try pair.other.control("ROLLBACK")
            #expect(try await asked.map(\.inserted) == [true, true])
            #expect(try await pair.beta.expireWaiting(limit: 10, now: .at(20)).map(\.id) == waiting)
        }
    }
}
