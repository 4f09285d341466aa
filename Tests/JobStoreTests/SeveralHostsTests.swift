import JobCore
import PostgresTestKit
import SQL
import StoreSuite
import Testing

@testable import JobStore

/// What hosts that share a store may rely on. Their clocks are this machine's, as the database's is.
@Suite(.serialized, .timeLimit(.minutes(5)), .enabled(if: TestPostgres.url != nil)) struct SeveralHosts {
    static let alpha = Owner(host: "alpha", epoch: "life-1")
    static let beta = Owner(host: "beta", epoch: "life-1")
    static let operations = Actor(name: "ops (uid 1000)", via: "cli", reason: "kernel")

    /// Two hosts at one store, and somebody who looks at its tables.
    struct Pair {
        var alpha: PostgresStore
        var beta: PostgresStore
        var other: PostgresConnection
        var schema: TestPostgres.Schema

        func now() throws -> Instant {
            Instant(microseconds: try other.first("SELECT \(PostgresLedger.clock)") { try $0.int64(0) } ?? 0)
        }
        func enter(_ store: PostgresStore, _ owner: Owner, place: String? = nil) async throws -> Bool {
            try await TemporaryPostgres.retrying {
                try await store.enter(owner: owner, as: HostIntroduction(place: place ?? owner.host, version: "9.9"), for: .seconds(60), now: try now())
            }
        }
        /// By the database's clock, or so far from it. On a busy machine what it said is at times old when it gets there: a
        /// clock that is wrong.
        func renew(_ store: PostgresStore, _ owner: Owner, off: Duration = .zero) async throws {
            while try await store.renewLeases(owner: owner, for: .seconds(60), now: try now() + off).skewProblem != nil {
                try Task.checkCancellation()
            }
        }
        func enterBoth() async throws {
            _ = try await enter(alpha, SeveralHosts.alpha)
            _ = try await enter(beta, SeveralHosts.beta)
        }
        /// As if it had not been heard of for long.
        func endLease(of host: String) throws {
            try other.run("UPDATE hosts SET lease_until = \(PostgresLedger.clock) - 1 WHERE name = ?", [.text(host)])
        }
    }

    func pair(_ body: (Pair) async throws -> Void) async throws {
        try await TemporaryPostgres.use { alpha, schema in
            let beta = try await TemporaryPostgres.open(schema, host: "beta")
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            do {
                try await body(Pair(alpha: alpha, beta: beta, other: other, schema: schema))
            } catch {
                await beta.close()
                throw error
            }
            await beta.close()
        }
    }

    func fire(_ second: Int64, room: Int? = nil, change: (inout FireClaim) -> Void = { _ in }) -> FireClaim {
        var claim = FireClaim.candles(second)
        claim.room = room
        change(&claim)
        return claim
    }

    func end(_ run: ClaimedRun, at instant: Instant, _ state: RunState = .succeeded) -> Completion {
        Completion(run: run.id, fence: run.fence, outcome: .succeeded, state: state, finishedAt: instant)
    }

    // MARK: Leases

    @Test func twoHostsServeSideBySideAndOneNameHasOneHost() async throws {
        try await pair { pair in
            #expect(try await !pair.enter(pair.alpha, Self.alpha))
            #expect(try await !pair.enter(pair.beta, Self.beta))
            #expect(try await pair.alpha.hosts().map(\.name) == ["alpha", "beta"])
            do {
                _ = try await pair.enter(pair.beta, Owner(host: "alpha", epoch: "life-9"), place: "elsewhere")
                Issue.record("two hosts of one name")
            } catch {
                #expect((error as? StoreError)?.kind == .held, "\(error)")
                #expect("\(error)".contains("another host of the name alpha serves the store"), "\(error)")
            }
            // Its own earlier life is no obstacle, nor one elsewhere whose lease has ended.
            #expect(try await pair.enter(pair.alpha, Owner(host: "alpha", epoch: "life-2")))
            try pair.endLease(of: "alpha")
            #expect(try await !pair.enter(pair.alpha, Owner(host: "alpha", epoch: "life-3"), place: "elsewhere"))
        }
    }

    @Test func theRunsOfAHostWhoseLeaseHasEndedAreSeenByAllOthersAndItsLateResultIsRefused() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let run = try #require(try await pair.alpha.claimFires([fire(1)], owner: Self.alpha, now: .at(1)).first ?? nil)
            #expect(try await pair.beta.abandonedRuns(seenBy: Self.beta) == [])
            try pair.endLease(of: "alpha")
            #expect(try await pair.beta.abandonedRuns(seenBy: Self.beta).map(\.id) == [run.id])
            #expect(try await pair.alpha.abandonedRuns(seenBy: Self.alpha) == [], "a host judged its own runs")

            // It starts nothing until it has its lease again.
            do {
                _ = try await pair.alpha.claimFires([fire(2)], owner: Self.alpha, now: .at(2))
                Issue.record("claimed without a lease")
            } catch {
                #expect((error as? StoreError)?.kind == .unavailable)
            }
            var lost = end(run, at: .at(3), .discarded)
            lost.outcome = .lost
            #expect(try await pair.beta.complete([lost], now: .at(3)) == [true])
            #expect(try await pair.beta.complete([lost], now: .at(3)) == [false], "rescued twice")
            #expect(try await pair.alpha.complete([end(run, at: .at(4))], now: .at(4)) == [false], "its late result was taken")
            try await pair.renew(pair.alpha, Self.alpha)
            #expect(try await pair.alpha.claimFires([fire(2)], owner: Self.alpha, now: .at(2)).compactMap { $0 }.count == 1)
        }
    }

    @Test func aHostThatLeftIsForgottenAndOneThatWasTakenOutIsNot() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            #expect(try await pair.alpha.setDrained(host: "beta", true, by: Self.operations, now: .at(0)))
            #expect(try await !pair.alpha.setDrained(host: "gamma", true, by: Self.operations, now: .at(0)))
            #expect(try await pair.beta.sharedState(owner: Self.beta).isDrained)
            #expect(try await pair.beta.sharedState(owner: Self.beta).drainReason == "kernel")
            #expect(try await !pair.alpha.sharedState(owner: Self.alpha).isDrained)
            try await pair.alpha.leave(owner: Self.alpha)
            try await pair.beta.leave(owner: Self.beta)
            #expect(try await pair.alpha.hosts().map { "\($0.name) \($0.isAlive) \($0.isDrained)" } == ["beta false true"])
            _ = try await pair.enter(pair.beta, Owner(host: "beta", epoch: "life-2"))
            #expect(try await pair.beta.sharedState(owner: Owner(host: "beta", epoch: "life-2")).isDrained, "a restart undid it")
        }
    }

    @Test(arguments: [(-600, "behind"), (900, "ahead of"), (-6, "behind"), (6, "ahead of")])
    func aHostWhoseClockIsWrongKeepsItsLeaseAndClaimsNothing(seconds: Int, words: String) async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let wrong = try pair.now() + .seconds(seconds)
            let standing = try await pair.alpha.renewLeases(owner: Self.alpha, for: .seconds(60), now: wrong)
            #expect(standing.skewProblem?.contains("s \(words) the database's: nothing starts here") == true)
            do {
                _ = try await pair.alpha.claimFires([fire(1)], owner: Self.alpha, now: .at(1))
                Issue.record("claimed by a wrong clock")
            } catch {
                #expect("\(error)".contains(words), "\(error)")
            }
            #expect(try await pair.beta.abandonedRuns(seenBy: Self.beta) == [])
            do {
                _ = try await pair.alpha.enter(owner: Self.alpha, as: HostIntroduction(place: "alpha"), for: .seconds(60), now: wrong)
                Issue.record("began with a wrong clock")
            } catch {
                #expect("\(error)".contains(words), "\(error)")
            }
            try await pair.renew(pair.alpha, Self.alpha)
        }
    }

    /// As far off as two machines without a word may be.
    @Test(arguments: [-4, 4])
    func aHostWhoseClockIsAlmostRightClaims(seconds: Int) async throws {
        try await pair { pair in
            func off() throws -> Instant { try pair.now() + .seconds(seconds) }
            _ = try await TemporaryPostgres.retrying {
                try await pair.alpha.enter(owner: Self.alpha, as: HostIntroduction(place: "alpha", version: "9.9"), for: .seconds(60), now: try off())
            }
            try await pair.renew(pair.alpha, Self.alpha, off: .seconds(seconds))
            let due = try off()
            let fire = FireClaim(
                job: "candles", fireTime: due, trigger: .schedule, leaseUntil: due + .seconds(60), expectedCursor: nil, newCursor: due, scheduleText: "every 1s")
            #expect(try await pair.alpha.claimFires([fire], owner: Self.alpha, now: due).compactMap { $0 }.count == 1)
            var run = NewRun.mint()
            run.fireTime = try off()
            #expect(try await pair.alpha.enqueue([run], now: run.fireTime).map(\.inserted) == [true])
            #expect(try await pair.alpha.claimWaiting(limits: ["mint": 1], owner: Self.alpha, now: try off()).count == 1)
        }
    }

    @Test("A host that lost its connection and finds a newer format: what it has under way is recorded, its lease goes on, it claims nothing")
    func aNewerFormat() async throws {
        try await TemporaryPostgres.use { beta, schema in
            // A name of its own: only this one's connections are cut.
            let host = Owner(host: "outmoded-\(schema.name)", epoch: "life-1")
            let old = try await TemporaryPostgres.open(schema, host: host.host)
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            let pair = Pair(alpha: old, beta: beta, other: other, schema: schema)
            _ = try await pair.enter(old, host)
            _ = try await pair.enter(beta, Self.beta)
            let run = try #require(try await pair.alpha.claimFires([fire(1)], owner: host, now: .at(1)).first ?? nil)
            _ = try await pair.alpha.enqueue([.mint()], now: .at(1))
            try pair.other.run("INSERT INTO schema_migrations (version, name) VALUES (999, 'later')")
            try pair.other.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = left('jobhost \(host.host)', 63)")
            #expect(try await TemporaryPostgres.retrying { try await pair.alpha.complete([end(run, at: .at(2))], now: .at(2)) } == [true])
            #expect(try await pair.beta.run(run.id)?.state == .succeeded)
            let standing = try await TemporaryPostgres.retrying { try await pair.alpha.renewLeases(owner: host, for: .seconds(60), now: try pair.now()) }
            #expect(standing.formatProblem?.contains("has format 999 and this program knows formats up to") == true, "\(standing)")
            func refuses(_ body: () async throws -> Void) async {
                do {
                    try await TemporaryPostgres.retrying(body)
                    Issue.record("begun in a format that is not known")
                } catch { #expect((error as? StoreError)?.kind == .incompatible, "\(error)") }
            }
            await refuses { _ = try await pair.alpha.claimFires([fire(2)], owner: host, now: .at(2)) }
            await refuses { _ = try await pair.alpha.claimWaiting(limits: ["mint": 1], owner: host, now: .at(2)) }
            await refuses {
                let move = CursorMove(job: "candles", expectedCursor: .at(1), newCursor: .at(2), scheduleText: "every 1s")
                _ = try await pair.alpha.moveCursors([move], now: .at(2))
            }
            try pair.other.run("SELECT enqueue('mint', '1')")
            await refuses { _ = try await pair.alpha.drainInbox(jobs: ["mint": InboxRule()], limit: 9, now: .at(2)) }
            // Also who is connected still.
            await refuses { _ = try await pair.beta.claimWaiting(limits: ["mint": 1], owner: Self.beta, now: .at(2)) }
            await old.close()
        }
    }

    // MARK: Limits that hold across hosts

    @Test func whileARunElsewhereUsesUpTheConcurrencyAFireToComeIsRefusedAndADueOneIsRecordedAsOverlap() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            _ = try await pair.alpha.claimFires([fire(1, room: 1)], owner: Self.alpha, now: .at(1))
            #expect(try await pair.beta.claimFires([fire(2, room: 1)], owner: Self.beta, now: .at(1)) == [nil])
            #expect(try await pair.beta.jobStates()["candles"]?.cursor == .at(1), "a fire to come was accounted for")
            #expect(try await pair.beta.claimFires([fire(2, room: 1)], owner: Self.beta, now: .at(2)) == [nil])
            #expect(try await pair.beta.claimFires([fire(3, room: 1)], owner: Self.beta, now: .at(3)) == [nil])
            #expect(try await pair.beta.ranges(job: nil, from: nil, to: nil, limit: 9) == [
                LedgerRange(job: "candles", reason: .overlap, first: .at(2), last: .at(3), count: 2)
            ])
            // Room for two.
            #expect(try await pair.beta.claimFires([fire(4, room: 2)], owner: Self.beta, now: .at(4)).compactMap { $0 }.count == 1)
        }
    }

    @Test func aDueFireWaitsBehindARunElsewhereAndOneWaitsAtATime() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let run = try #require(try await pair.alpha.claimFires([fire(1, room: 1)], owner: Self.alpha, now: .at(1)).first ?? nil)
            let queued = try await pair.beta.claimFires([fire(2, room: 1) { $0.queuesBehind = true }], owner: Self.beta, now: .at(2))
            #expect(queued.compactMap { $0?.attempt } == [0])
            #expect(try await pair.beta.claimFires([fire(3, room: 1) { $0.queuesBehind = true }], owner: Self.beta, now: .at(3)) == [nil])
            #expect(try await pair.beta.ranges(job: nil, from: nil, to: nil, limit: 9).map(\.count) == [1])
            let limit = ["candles": WaitingLimit(most: 1, room: 1)]
            #expect(try await pair.beta.claimWaiting(limit, owner: Self.beta, now: .at(3)).runs == [])
            _ = try await pair.alpha.complete([end(run, at: .at(4))], now: .at(4))
            #expect(try await pair.beta.claimWaiting(limit, owner: Self.beta, now: .at(4)).runs.map(\.id) == queued.compactMap { $0?.id })
        }
    }

    /// For its job's rate, or for a worker.
    @Test func aFireThatWaitsInAnyCaseIsAnOverlapWhereOthersHaveThePlaces() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            func isQueued(_ second: Int64, room: Int, by host: Owner, change: (inout FireClaim) -> Void = { _ in }) async throws -> Bool {
                let claim = fire(second, room: room) {
                    ($0.waits, $0.waiting) = (true, 0)
                    change(&$0)
                }
                let store = host == Self.alpha ? pair.alpha : pair.beta
                let run = try #require(try await store.claimFires([claim], owner: host, now: .at(second)).first)
                #expect(try await store.jobStates()["candles"]?.cursor == .at(second))
                return run?.attempt == 0
            }
            // What was overdue takes no place.
            #expect(try await isQueued(1, room: 1, by: Self.alpha) { $0.trigger = .catchUp })
            #expect(try await isQueued(2, room: 1, by: Self.alpha))
            #expect(try await !isQueued(3, room: 1, by: Self.beta))
            #expect(try await isQueued(4, room: 2, by: Self.beta))
            // Those that it knows of have left it this room.
            #expect(try await isQueued(5, room: 1, by: Self.beta) { $0.waiting = 2 })
            #expect(try await isQueued(6, room: 1, by: Self.beta) { $0.waiting = nil }, "overlap = allow")
            #expect(try await isQueued(7, room: 0, by: Self.beta), "this host itself was late")
            #expect(try await pair.beta.ranges(job: nil, from: nil, to: nil, limit: 9) == [
                LedgerRange(job: "candles", reason: .overlap, first: .at(3), last: .at(3), count: 1)
            ])
            // One waits behind them (overlap = queue).
            #expect(try await !isQueued(8, room: 5, by: Self.alpha))
            #expect(try await isQueued(9, room: 5, by: Self.alpha) { $0.queuesBehind = true })
            #expect(try await !isQueued(10, room: 5, by: Self.alpha) { $0.queuesBehind = true })
        }
    }

    @Test func aFireThatWaitsIsAnOverlapOfARunElsewhereToo() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            _ = try await pair.alpha.claimFires([fire(1, room: 1)], owner: Self.alpha, now: .at(1))
            func waits(_ second: Int64, room: Int) -> FireClaim { fire(second, room: room) { ($0.waits, $0.waiting) = (true, 0) } }
            #expect(try await pair.beta.claimFires([waits(2, room: 1)], owner: Self.beta, now: .at(2)) == [nil])
            #expect(try await pair.beta.claimFires([waits(3, room: 2)], owner: Self.beta, now: .at(3)).compactMap { $0 }.count == 1)
        }
    }

    @Test func aRuleThatCountsFromTheEndOfRunsWaitsForTheOneElsewhere() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let run = try #require(try await pair.alpha.claimFires([fire(1)], owner: Self.alpha, now: .at(1)).first ?? nil)
            let next = fire(2) { $0.isRelative = true }
            #expect(try await pair.beta.claimFires([next], owner: Self.beta, now: .at(2)) == [nil])
            _ = try await pair.alpha.complete([end(run, at: .at(3))], now: .at(3))
            #expect(try await pair.beta.claimFires([next], owner: Self.beta, now: .at(4)) == [nil], "it did not know of the end")
            #expect(try await pair.beta.jobStates(of: ["candles"])["candles"]?.lastFinished == .at(3))
            let informed = fire(2) { ($0.isRelative, $0.lastFinished) = (true, .at(3)) }
            #expect(try await pair.beta.claimFires([informed], owner: Self.beta, now: .at(4)).compactMap { $0 }.count == 1)
        }
    }

    /// Hosts that claim waiting runs of one job all at once, each as many as there is room for.
    @Test func concurrencyHoldsHoweverManyHostsClaimAtOnce() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            _ = try await pair.alpha.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(0))
            for _ in 0..<40 { _ = try await pair.alpha.enqueue([.mint()], now: .at(0)) }
            let limit = ["mint": WaitingLimit(most: 3, room: 3)]
            let (alpha, beta) = (pair.alpha, pair.beta)
            for _ in 0..<8 {
                async let first = alpha.claimWaiting(limit, owner: Self.alpha, now: .at(1))
                async let second = beta.claimWaiting(limit, owner: Self.beta, now: .at(1))
                let (mine, theirs) = try await (first.runs, second.runs)
                #expect(mine.count + theirs.count == 3)
                _ = try await pair.alpha.complete(mine.map { end($0, at: .at(2)) }, now: .at(2))
                _ = try await pair.beta.complete(theirs.map { end($0, at: .at(2)) }, now: .at(2))
            }
        }
    }

    /// Whoever claims, and however they come between each other: from one claim to the one that is a whole
    /// rate later at least the span has passed, by the database's clock.
    @Test func aRateHoldsHoweverManyHostsClaimAtOnce() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            _ = try await pair.alpha.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(0))
            _ = try await pair.alpha.enqueue((0..<30).map { _ in .mint() }, now: .at(0))
            let rate = RateLimit(runs: 10, per: .milliseconds(400))
            let limit = ["mint": WaitingLimit(most: 3, rate: rate)]
            let (alpha, beta, now) = (pair.alpha, pair.beta, try pair.now())
            // For each claim: an instant before it and one after it.
            let claims = try await withThrowingTaskGroup(of: [(before: Int64, after: Int64)].self) { group in
                for n in 0..<6 {
                    let (store, owner) = n % 2 == 0 ? (alpha, Self.alpha) : (beta, Self.beta)
                    group.addTask {
                        var found: [(Int64, Int64)] = []
                        while true {
                            let before = PostgresSession.monotonic().microseconds
                            let claims = try await store.claimWaiting(limit, owner: owner, now: now)
                            let after = PostgresSession.monotonic().microseconds
                            found += claims.runs.map { _ in (before, after) }
                            guard let until = claims.rated["mint"] else {
                                if claims.runs.isEmpty { return found }
                                continue
                            }
                            #expect(until > now && until <= now + rate.per + RateTake.grid(rate))
                            if try await store.queueDepths(now: now)["mint"]?.waiting == 0 { return found }
                        }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(claims.count == 30)
            let (starts, ends) = (claims.map(\.before).sorted(), claims.map(\.after).sorted())
            for i in 0..<20 {
                #expect(ends[i + 10] - starts[i] >= 400_000, "more than ten within \(ends[i + 10] - starts[i]) µs")
            }
            #expect(try pair.other.first("SELECT CAST(sum(runs) AS bigint) FROM rate_takes") { try $0.int64(0) } ?? 0 <= 20, "what counts no longer is kept")
        }
    }

    @Test("A clock that was set wrong since the lease was renewed carries nobody's cursor away, and starts nothing early", arguments: [240, -240])
    func aClockThatWasJustSetWrong(seconds: Int) async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let right = try pair.now()
            let wrong = right + .seconds(seconds)
            func refuses(_ body: () async throws -> Void) async {
                do {
                    try await body()
                    Issue.record("went by a wrong clock")
                } catch { #expect("\(error)".contains("s \(seconds > 0 ? "ahead of" : "behind") the database's"), "\(error)") }
            }
            func move(to cursor: Instant, from expected: Instant?, rewind: Bool = false) -> CursorMove {
                CursorMove(job: "candles", expectedCursor: expected, newCursor: cursor, scheduleText: "every 1s", rewind: rewind)
            }
            #expect(try await pair.alpha.moveCursors([move(to: right, from: nil)], now: right) == [true])
            if seconds > 0 {
                await refuses { _ = try await pair.alpha.moveCursors([move(to: wrong, from: right)], now: wrong) }
                // The decision was made by the wrong clock, which was right again when the store was asked.
                await refuses { _ = try await pair.alpha.moveCursors([move(to: wrong, from: right)], now: right) }
                var claim = FireClaim.candles(1)
                (claim.fireTime, claim.expectedCursor, claim.newCursor) = (wrong, right, wrong)
                let early = claim
                await refuses { _ = try await pair.alpha.claimFires([early], owner: Self.alpha, now: wrong) }
                var delayed = NewRun.mint()
                delayed.fireTime = right + .seconds(60)
                _ = try await pair.alpha.enqueue([delayed], now: right)
                await refuses { _ = try await pair.alpha.claimWaiting(limits: ["mint": 1], owner: Self.alpha, now: wrong) }
                // What comes in now would be due when its clock said now.
                await refuses { _ = try await pair.alpha.enqueue([.mint()], now: wrong) }
                try pair.other.run("SELECT enqueue('mint', '7')")
                await refuses { _ = try await pair.alpha.drainInbox(jobs: ["mint": InboxRule(maxAttempts: 1)], limit: 10, now: wrong) }
                let taken = try await pair.beta.drainInbox(jobs: ["mint": InboxRule(maxAttempts: 1)], limit: 10, now: right)
                #expect(taken.runs.map(\.state) == [.available])
            } else {
                await refuses { _ = try await pair.alpha.moveCursors([move(to: wrong, from: right, rewind: true)], now: wrong) }
            }
            #expect(try await pair.alpha.jobStates(of: ["candles"])["candles"]?.cursor == right)
            // Beside it the others go on.
            #expect(try await pair.beta.moveCursors([move(to: right + .seconds(1), from: right)], now: right) == [true])
        }
    }

    @Test func ofFiftyThatEnqueueOneKeyAtOnceOneDoes() async throws {
        try await pair { pair in
            let stores = [pair.alpha, pair.beta]
            let inserted = try await withThrowingTaskGroup(of: Int.self) { group in
                for i in 0..<50 {
                    group.addTask {
                        var run = NewRun.mint()
                        run.uniqueKey = "sale-1"
                        return try await stores[i % 2].enqueue([run], now: .at(0)).count(where: \.inserted)
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(inserted == 1)
        }
    }
}
