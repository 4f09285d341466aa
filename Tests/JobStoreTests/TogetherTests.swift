import Dispatch
import JobCore
import PostgresTestKit
import SQL
import StoreSuite
import Synchronization
import Testing

@testable import JobStore

/// How often a host waits for the server.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct RoundTrips {
    /// What a writer asked, as its fault points tell: each stretch of questions that is followed by answers is one.
    private final class Trips: Sendable {
        private struct State {
            var isAsking = false
            var trips: [[String]] = []
        }
        private let state = Mutex(State())

        func see(_ point: SQLFaultPoint) {
            state.withLock { state in
                switch point {
                case .before(let sql):
                    if !state.isAsking { state.trips.append([]) }
                    state.isAsking = true
                    state.trips[state.trips.count - 1].append(sql)
                case .after: state.isAsking = false
                }
            }
        }

        /// Of `body` alone, with their statements.
        func count(_ body: () async throws -> Void) async throws -> [[String]] {
            state.withLock { $0 = State() }
            try await body()
            return state.withLock { $0.trips }
        }
    }

    @Test(arguments: [true, false]) func aClaimAndAnEndTakeFewOfThem(prepared: Bool) async throws {
        let trips = Trips()
        try await TemporaryPostgres.use {
            $0.prepared = prepared
            $0.faultPoint = { trips.see($0) }
        } _: { store, schema in
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            let owner = SeveralHosts.alpha
            func now() throws -> Instant { Instant(microseconds: try other.first("SELECT \(PostgresLedger.clock)") { try $0.int64(0) } ?? 0) }
            _ = try await TemporaryPostgres.retrying {
                try await store.enter(owner: owner, as: HostIntroduction(place: "here", version: "9.9"), for: .seconds(60), now: try now())
            }
            // The first of a connection looks at the format too.
            _ = try await store.complete([], now: try now())

            // The lease and who else runs it; the claim; the commit.
            var claim = FireClaim.candles(1)
            claim.room = 1
            let asked = claim
            let at = try now()
            let fire = try await trips.count { () async throws in #expect(try await store.claimFires([asked], owner: owner, now: at).compactMap { $0 }.count == 1) }
            #expect(fire.count == 3, "\(fire)")

            // What has come and where there is room; the claim; the commit.
            try other.run("SELECT enqueue('mint', '{}')")
            let limits = ["mint": WaitingLimit(most: 1, room: 1)]
            let take = InboxTake(jobs: ["mint": InboxRule()], limit: 10)
            let later = try now()
            let taken = Mutex<[ClaimedRun]>([])
            let waiting = try await trips.count {
                let claims = try await store.claimWaiting(limits, taking: take, owner: owner, now: later)
                taken.withLock { $0 = claims.runs }
            }
            #expect(waiting.count == 3, "\(waiting)")
            let run = try #require(taken.withLock { $0 }.first)

            // The end; what follows from it and the commit.
            let end = Completion(run: run.id, fence: run.fence, outcome: .succeeded, state: .succeeded, finishedAt: later)
            let ends = try await trips.count { () async throws in #expect(try await store.complete([end], now: later) == [true]) }
            #expect(ends.count == 2, "\(ends)")

            // The claim with its lease; the commit.
            _ = try await store.enqueue([.mint()], now: later)
            let again = try now()
            let ready = try await trips.count { () async throws in
                #expect(try await store.claimWaiting(limits, taking: nil, owner: owner, now: again).runs.count == 1)
            }
            #expect(ready.count == 2, "\(ready)")
        }
    }

    @Test("Fifty take as many round trips and statements as one: claims of what waits and of what comes in, fires, ends; a host's lease is one statement, whatever it runs", arguments: [true, false])
    func manyTakeAsFewAsOne(prepared: Bool) async throws {
        let trips = Trips()
        try await TemporaryPostgres.use {
            $0.prepared = prepared
            $0.faultPoint = { trips.see($0) }
        } _: { store, schema in
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            let owner = SeveralHosts.alpha
            func now() throws -> Instant { Instant(microseconds: try other.first("SELECT \(PostgresLedger.clock)") { try $0.int64(0) } ?? 0) }
            _ = try await TemporaryPostgres.retrying {
                try await store.enter(owner: owner, as: HostIntroduction(place: "here", version: "9.9"), for: .seconds(60), now: try now())
            }
            _ = try await store.complete([], now: try now())
            let claimed = Mutex<[ClaimedRun]>([])
            /// How many trips, and what was asked in them.
            func cost(_ body: () async throws -> Void) async throws -> [String] {
                let seen = try await trips.count(body)
                return ["\(seen.count) round trips"] + seen.flatMap { $0 }
            }
            func end(_ count: Int, at instant: Instant) async throws -> [String] {
                let ends = claimed.withLock { $0 }.map { Completion(run: $0.id, fence: $0.fence, outcome: .succeeded, state: .succeeded, finishedAt: instant) }
                #expect(ends.count == count)
                return try await cost { () async throws in #expect(try await store.complete(ends, now: instant) == ends.map { _ in true }) }
            }
            var costs: [[[String]]] = []
            for (round, count) in [1, 50].enumerated() {
                let limits = ["mint": WaitingLimit(most: 50, room: 50)]
                let at = try now()
                _ = try await store.enqueue(Array(repeating: NewRun.mint(), count: count), now: at)
                let waiting = try await cost {
                    let runs = try await store.claimWaiting(limits, taking: nil, owner: owner, now: at).runs
                    claimed.withLock { $0 = runs }
                }
                let renewal = try await cost { _ = try await store.renewLeases(owner: owner, for: .seconds(60), now: at) }
                let writes = renewal.dropFirst().filter { !$0.hasPrefix("BEGIN") && $0 != "COMMIT" }
                #expect(writes.count == 1 && writes.allSatisfy { $0.contains("UPDATE") && $0.contains("hosts SET lease_until") && !$0.contains("runs") }, "\(renewal)")
                let ends = try await end(count, at: at)

                try other.run("SELECT enqueue_many('mint', array_fill('{}'::text, ARRAY[\(count)]))")
                let take = InboxTake(jobs: ["mint": InboxRule()], limit: 100)
                let later = try now()
                let coming = try await cost {
                    let runs = try await store.claimWaiting(limits, taking: take, owner: owner, now: later).runs
                    claimed.withLock { $0 = runs }
                }
                let secondEnds = try await end(count, at: later)

                let fires = (0..<count).map { number in
                    var claim = FireClaim(
                        job: "fires-\(number)", fireTime: .at(Int64(round + 1)), trigger: .schedule, leaseUntil: .at(60),
                        expectedCursor: round == 0 || number > 0 ? nil : .at(1), newCursor: .at(Int64(round + 1)), scheduleText: "every 1s")
                    claim.room = 1
                    return claim
                }
                let fired = try await cost {
                    let runs = try await store.claimFires(fires, owner: owner, now: later).compactMap { $0 }
                    claimed.withLock { $0 = runs }
                }
                let lastEnds = try await end(count, at: later)
                costs.append([waiting, renewal, ends, coming, secondEnds, fired, lastEnds])
            }
            #expect(costs[0] == costs[1])
        }
    }

    @Test("Ends that wait for the thread that writes them are one transaction, and each caller is answered for its own")
    func endsAreGathered() async throws {
        let trips = Trips()
        try await TemporaryPostgres.use { $0.faultPoint = { trips.see($0) } } _: { store, _ in
            _ = try await store.enqueue(Array(repeating: NewRun.mint(), count: 20), now: .at(0))
            let runs = try await store.claimWaiting(limits: ["mint": 20], owner: TemporaryStore.owner, now: .at(1))
            #expect(runs.count == 20)
            let gate = DispatchSemaphore(value: 0)
            let (answers, answer) = AsyncStream.makeStream(of: Bool?.self)
            let asked = try await trips.count {
                let (holds, hold) = AsyncStream.makeStream(of: Void.self)
                // The first holds the thread; the others gather behind it and are one group.
                let first = Operation<PostgresLedger>(
                    { _ in
                        hold.finish()
                        gate.wait()
                    }, completion: { _ in })
                #expect(store.ends.put(first))
                for await _ in holds {}
                for (index, run) in runs.enumerated() {
                    // One of them is another attempt's.
                    let fence = run.fence + (index == 7 ? 100 : 0)
                    let end = Completion(run: run.id, fence: fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(2))
                    let next = Operation<PostgresLedger>({ try $0.complete([end], now: .at(2))[0] }, completion: { answer.yield(try? $0.get()) })
                    #expect(store.ends.put(next))
                }
                gate.signal()
                var heard: [Bool?] = []
                for await one in answers {
                    heard.append(one)
                    if heard.count == runs.count { break }
                }
                #expect(heard == runs.indices.map { Optional($0 != 7) })
            }
            let commits = asked.joined().filter { $0 == "COMMIT" }
            #expect(commits.count == 1, "\(asked)")
            #expect(try await store.runs(RunFilter(job: "mint")).count { $0.state == .succeeded } == 19)
        }
    }

    /// It cost nothing that it was cut while nobody asked: the same call finds another connection.
    @Test func aCallOverAConnectionThatWasCutWhileIdleIsAnswered() async throws {
        try await TestPostgres.use { schema in
            let host = "idle-\(schema.name)"
            let store = try await TemporaryPostgres.open(schema, host: host)
            let other = try TemporaryPostgres.connect(schema)
            defer { other.close() }
            for round in 1...5 as ClosedRange<Int64> {
                // Each has ended when this answers.
                try other.run("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = ?", [.text("jobhost \(host)")])
                #expect(try await store.claimFires([.candles(round)], owner: TemporaryStore.owner, now: .at(round)).compactMap { $0 }.count == 1)
                #expect(try await store.jobStates()["candles"]?.cursor == .at(round))
            }
            await store.close()
        }
    }
}

/// Who is told by NOTIFY, and how often.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct Hints {
    private func listening(_ schema: TestPostgres.Schema) throws -> PostgresConnection {
        let ear = try TemporaryPostgres.connect(schema)
        try ear.execute("LISTEN \"\(schema.name)\"")
        return ear
    }

    private func heard(_ ear: PostgresConnection) throws -> Int {
        // Notifications come before the answer to what was asked after they were sent.
        try ear.execute("SELECT 1")
        return try ear.notifications(milliseconds: 0)
    }

    /// The second commits after the first has been heard of, and so is heard of itself.
    @Test func whoIsCountedAtOnceAndCommitsLaterIsHeardOf() async throws {
        try await TemporaryPostgres.use { _, schema in
            let ear = try listening(schema)
            let (first, second) = (try TemporaryPostgres.connect(schema), try TemporaryPostgres.connect(schema))
            defer { ear.close(); first.close(); second.close() }
            try first.execute("BEGIN; SELECT enqueue('mint', '1')")
            try second.execute("BEGIN; SELECT enqueue('mint', '2')")
            try first.execute("COMMIT")
            #expect(try heard(ear) == 1)
            try second.execute("COMMIT")
            #expect(try heard(ear) == 1)
            // One that comes to nothing leaves the next its own.
            try first.execute("BEGIN; SELECT enqueue('mint', '3')")
            try second.execute("BEGIN; SELECT enqueue('mint', '4')")
            try first.execute("ROLLBACK")
            try second.execute("COMMIT")
            #expect(try heard(ear) == 1)
        }
    }

    @Test func aFloodIsToldOfAtABoundedRate() async throws {
        try await TemporaryPostgres.use { _, schema in
            let ear = try listening(schema)
            let application = try TemporaryPostgres.connect(schema)
            defer { ear.close(); application.close() }
            func clock() throws -> Int64 { try application.first("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint") { try $0.int64(0) } ?? 0 }
            let began = try clock()
            for _ in 0..<300 { try application.run("SELECT hint()") }
            let took = try clock() - began
            let count = Int64(try heard(ear))
            // Ten at once, then one in 5 ms; and no fewer than half of that, however long a call takes.
            #expect(count <= 11 + took / 5, "\(count) in \(took) ms")
            #expect(count >= min(300, took / 10), "\(count) in \(took) ms")
        }
    }

    @Test func withoutAHostThatListensNobodyIsTold() async throws {
        try await TestPostgres.use { schema in
            let deaf = try await TemporaryPostgres.open(schema, host: "deaf") { $0.notify = false }
            let ear = try listening(schema)
            let application = try TemporaryPostgres.connect(schema)
            defer { ear.close(); application.close() }
            func now() throws -> Instant { Instant(microseconds: try application.first("SELECT \(PostgresLedger.clock)") { try $0.int64(0) } ?? 0) }
            _ = try await TemporaryPostgres.retrying {
                try await deaf.enter(
                    owner: Owner(host: "deaf", epoch: "life-1"), as: HostIntroduction(place: "deaf", version: "9.9"), for: .seconds(60), now: try now())
            }
            let listeners = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobhost listen' AND query LIKE '%\(schema.name)%'"
            #expect(try application.first(listeners) { try $0.int64(0) } == 0)
            try application.run("SELECT enqueue('mint', '1')")
            _ = try await deaf.enqueue([.mint()], now: try now())
            #expect(try heard(ear) == 0)
            // It is in the store all the same.
            #expect(try await deaf.jobsInInbox() == ["mint"])
            // Another one listens: the application tells it, the first still nobody.
            let beta = try await TemporaryPostgres.open(schema, host: "beta")
            _ = try await TemporaryPostgres.retrying {
                try await beta.enter(
                    owner: SeveralHosts.beta, as: HostIntroduction(place: "beta", version: "9.9"), for: .seconds(60), now: try now())
            }
            _ = try await deaf.enqueue([.mint()], now: try now())
            #expect(try heard(ear) == 0)
            try application.run("SELECT enqueue('mint', '2')")
            #expect(try heard(ear) == 1)
            await beta.close()
            await deaf.close()
        }
    }
}

/// A host whose clock is wrong still writes what it ends.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct EndsByWrongClocks {
    @Test func aRetryWaitsForItsDelayAndNotForAsLongAsAClockIsAhead() async throws {
        try await SeveralHosts().pair { pair in
            try await pair.enterBoth()
            let at = try pair.now()
            _ = try await pair.alpha.enqueue([.mint(), .mint(), .mint()], now: at)
            let runs = try await pair.alpha.claimWaiting(limits: ["mint": 3], owner: SeveralHosts.alpha, now: at)
            // Four minutes ahead, four behind, and right.
            let ends = zip(runs, [240, -240, 0]).map { run, skew -> Completion in
                let ended = at + .seconds(skew)
                var end = Completion(run: run.id, fence: run.fence, outcome: .lost, state: .retryable, finishedAt: ended)
                end.availableAt = ended + .seconds(3)
                return end
            }
            #expect(try await pair.beta.complete(ends, now: at) == [true, true, true])
            let later = try pair.now()
            let waits = try pair.other.rows("SELECT available_at, rank FROM runs ORDER BY id") { (due: try $0.instant(0), rank: try $0.int64(1)) }
            #expect(waits[0].due >= at + .seconds(3))
            #expect(waits[0].due <= later + .seconds(3))
            // One that is behind may be tried at once; a right one is what it was.
            #expect(waits[1].due == at - .seconds(237))
            #expect(waits[2].due == at + .seconds(3))
            for wait in waits { #expect(wait.rank == Rank.of(availableAt: wait.due, priority: 0)) }
        }
    }
}

/// A format that a newer program has made.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct NewerFormats {
    @Test func aHostServesBesideAFormatThatSaysSoAndNoOther() async throws {
        try await SeveralHosts().pair { pair in
            try await pair.enterBoth()
            let known = PostgresMigrations.newest
            func claim(_ second: Int64) async throws -> Int {
                try await pair.alpha.claimFires([.candles(second)], owner: SeveralHosts.alpha, now: try pair.now()).compactMap { $0 }.count
            }
            #expect(try await claim(1) == 1)
            try pair.other.run("INSERT INTO schema_migrations (version, name, compatible) VALUES (?, 'later', ?)", [.int(known + 1), .int(known)])
            #expect(try await claim(2) == 1)
            #expect(try PostgresMigrations.isUpToDate(pair.other, schema: pair.schema.name))
            let beside = try await TemporaryPostgres.open(pair.schema, host: "gamma")
            await beside.close()

            // And one that knows no older programs: the very next claim is refused, on a connection that nobody has cut.
            try pair.other.run("INSERT INTO schema_migrations (version, name) VALUES (?, 'much later')", [.int(known + 2)])
            for _ in 0..<2 {
                do {
                    _ = try await claim(3)
                    Issue.record("claimed in a format that it does not know")
                } catch let error as StoreError {
                    #expect(error.kind == .incompatible && error.message.contains("has format \(known + 2)"), "\(error)")
                }
            }
            // Said with the lease, which it keeps; and other threads of it know as well.
            let standing = try await pair.beta.renewLeases(owner: SeveralHosts.beta, for: .seconds(60), now: try pair.now())
            #expect(standing.formatProblem?.contains("upgrade this host") == true)
            do {
                _ = try await pair.beta.drainInbox(jobs: [:], limit: 1, now: try pair.now())
                Issue.record("took from the inbox in a format that it does not know")
            } catch let error as StoreError { #expect(error.kind == .incompatible) }
            do {
                await (try await TemporaryPostgres.open(pair.schema, host: "delta")).close()
                Issue.record("opened")
            } catch let error as StoreError { #expect(error.kind == .incompatible) }

            try pair.other.run("DELETE FROM schema_migrations WHERE version > ?", [.int(known)])
            #expect(try await pair.alpha.renewLeases(owner: SeveralHosts.alpha, for: .seconds(60), now: try pair.now()).formatProblem == nil)
            #expect(try await claim(3) == 1)
        }
    }
}

/// How far runs under way are, for other hosts.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct ProgressOfOthers {
    @Test func whatAHostSaysOfItsRunsIsThereForOthersAsLongAsTheyRun() async throws {
        try await SeveralHosts().pair { pair in
            try await pair.enterBoth()
            let at = try pair.now()
            _ = try await pair.alpha.enqueue([.mint(), .mint(), .mint()], now: at)
            let runs = try await pair.alpha.claimWaiting(limits: ["mint": 3], owner: SeveralHosts.alpha, now: at)
            func row(_ index: Int, _ done: UInt64, fence: Int64? = nil) -> RunProgress {
                RunProgress(run: runs[index].id, fence: fence ?? runs[index].fence, startedAt: at, pid: 41, done: done, total: 10, text: "é \(done)")
            }
            try await pair.alpha.saveProgress([row(0, 1), row(1, 2)], owner: SeveralHosts.alpha)
            #expect(try await pair.beta.progress(of: runs[0].id) == row(0, 1))
            #expect(try await pair.beta.progress(of: runs[1].id) == row(1, 2))
            #expect(try await pair.beta.progress(of: runs[2].id) == nil)
            // What it does not name any more is gone; beyond all bounds is as far as the store can tell.
            try await pair.alpha.saveProgress([row(0, .max)], owner: SeveralHosts.alpha)
            #expect(try await pair.beta.progress(of: runs[0].id)?.done == UInt64(Int64.max))
            #expect(try await pair.beta.progress(of: runs[1].id) == nil)
            // An older attempt's word does not replace a newer one's, and shows nothing of it.
            try await pair.beta.saveProgress([row(0, 5, fence: runs[0].fence - 1)], owner: SeveralHosts.beta)
            #expect(try await pair.beta.progress(of: runs[0].id)?.done == UInt64(Int64.max))
            let end = Completion(run: runs[0].id, fence: runs[0].fence, outcome: .succeeded, state: .succeeded, finishedAt: at)
            _ = try await pair.alpha.complete([end], now: at)
            #expect(try await pair.beta.progress(of: runs[0].id) == nil)
            try await pair.alpha.leave(owner: SeveralHosts.alpha)
            #expect(try pair.other.first("SELECT count(*) FROM progress") { try $0.int64(0) } == 0)
        }
    }
}
