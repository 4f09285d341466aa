import JobCore
import PostgresTestKit
import SQL
import StoreSuite
import Testing

@testable import JobStore

/// A rolling upgrade: a host of format 9 that has been serving goes on, by its own statements, in the format that a newer
/// one has made.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct BesideFormat9 {
    private static let new = Owner(host: "alpha", epoch: "life-1")
    private static let old = Owner(host: "older", epoch: "life-1")

    private struct Pair {
        var new: PostgresStore
        var old: Format9Host
        var other: PostgresConnection
        var schema: TestPostgres.Schema
        func now() throws -> Instant { Instant(microseconds: try other.first("SELECT \(PostgresLedger.clock)") { try $0.int64(0) } ?? 0) }
        func endLease(of owner: Owner) throws {
            try other.run("UPDATE hosts SET lease_until = \(PostgresLedger.clock) - 1 WHERE name = ?", [.text(owner.host)])
        }
    }

    /// It has entered the store in its own format before the other one comes.
    private func pair(_ body: (Pair) async throws -> Void) async throws {
        try await TestPostgres.use { schema in
            let other = try TemporaryPostgres.connect(schema)
            let old = Format9Host(Self.old, try TemporaryPostgres.connect(schema))
            defer { other.close(); old.close() }
            try PostgresMigrations.apply(PostgresMigrations.all.filter { $0.version <= 9 }, to: other, schema: schema.name)
            try old.enter()
            #expect(try old.enqueue("mint", keys: ["before"], now: .at(0)) == [1])
            let store = try await TemporaryPostgres.open(schema)
            do {
                let pair = Pair(new: store, old: old, other: other, schema: schema)
                _ = try await TemporaryPostgres.retrying {
                    try await store.enter(
                        owner: Self.new, as: HostIntroduction(place: "here", version: "9.9"), for: .seconds(60), now: try pair.now())
                }
                // Claimed after the change: it was there before.
                let first = try await store.claimWaiting(limits: ["mint": 1], owner: Self.new, now: .at(1))
                #expect(first.map(\.id.value) == [1])
                #expect(try await store.complete(first.map { Self.end($0) }, now: .at(1)) == [true])
                try await body(pair)
            } catch {
                await store.close()
                throw error
            }
            await store.close()
            #expect(try LedgerCheck.violations(inPostgreSQL: schema.server, schema: schema.name) == [])
        }
    }

    private static func end(_ run: ClaimedRun, _ outcome: Outcome = .succeeded, _ state: RunState = .succeeded) -> Completion {
        Completion(run: run.id, fence: run.fence, outcome: outcome, state: state, finishedAt: .at(2))
    }

    @Test("This format says that programs of format 9 may go on: the oldest that it says so of is the one whose statements are tried here")
    func theOldest() async throws {
        try await pair { pair in
            let demanded = try pair.other.first(PostgresMigrations.demanded("")) { try $0.int64(0) }
            #expect(demanded == 9)
        }
    }

    @Test("Each due time is one host's, the older one's or the newer one's, and its run's end too, one after the other and at once")
    func dueTimes() async throws {
        try await pair { pair in
            var claims: [Format9Host.Claim] = []
            var runs: [ClaimedRun] = []
            for second in 1...4 as ClosedRange<Int64> {
                let first = second % 2 == 0
                if first { claims += [try #require(try pair.old.claimFire(.candles(second), now: .at(second)))] }
                let run = try await pair.new.claimFires([.candles(second)], owner: Self.new, now: .at(second))[0]
                #expect((run == nil) == first)
                if let run { runs.append(run) }
                #expect(try pair.old.claimFire(.candles(second), now: .at(second)) == nil)
            }
            let (new, schema) = (pair.new, pair.schema)
            async let theirs = Self.claimAll(schema)
            for second in 5...60 as ClosedRange<Int64> {
                runs += try await new.claimFires([.candles(second)], owner: Self.new, now: .at(second)).compactMap { $0 }
            }
            claims += try await theirs
            #expect(claims.count + runs.count == 60)
            #expect(Set(claims.map(\.fence) + runs.map(\.fence)).count == 60)
            #expect(try pair.other.first("SELECT count(DISTINCT fire_time) FROM runs WHERE job = 'candles'") { try $0.int64(0) } == 60)
            // Nobody's fence ends the other's run, and nobody's own ends it twice.
            for run in runs {
                let foreign = Format9Host.Claim(id: run.id.value, fence: claims[0].fence)
                #expect(try !pair.old.end(foreign, at: .at(61)))
                #expect(try await new.complete([Self.end(run)], now: .at(61)) == [true])
            }
            for claim in claims {
                let late = Completion(run: RunID(claim.id), fence: runs[0].fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(61))
                #expect(try await new.complete([late], now: .at(61)) == [false])
                #expect(try pair.old.end(claim, at: .at(61)))
                #expect(try !pair.old.end(claim, at: .at(62)))
            }
            #expect(try await new.counters()["candles"] == ["succeeded": 60])
        }
    }

    private static func claimAll(_ schema: TestPostgres.Schema) async throws -> [Format9Host.Claim] {
        let old = Format9Host(Self.old, try TemporaryPostgres.connect(schema))
        defer { old.close() }
        return try (5...60 as ClosedRange<Int64>).compactMap { try old.claimFire(.candles($0), now: .at($0)) }
    }

    @Test("What waits, whichever of the two enqueued it or took it from the inbox, is claimed by one of them; concurrency and unique keys hold over both")
    func whatWaits() async throws {
        try await pair { pair in
            #expect(try pair.old.enqueue("mint", keys: Array(repeating: String?.none, count: 10) + ["sale-1"], now: .at(3)).count == 11)
            var same = NewRun.mint()
            same.uniqueKey = "sale-1"
            #expect(try await pair.new.enqueue([same] + Array(repeating: NewRun.mint(), count: 10), now: .at(3)).map(\.inserted) == [false] + Array(repeating: true, count: 10))
            same.uniqueKey = "sale-2"
            #expect(try await pair.new.enqueue([same], now: .at(3)).map(\.inserted) == [true])
            #expect(try pair.old.enqueue("mint", keys: ["sale-2"], now: .at(3)) == [])
            try pair.other.run("SELECT enqueue_many('mint', array_fill('{}'::text, ARRAY[20]))")
            let theirs = try pair.old.drainInbox("mint", limit: 8, now: .at(4))
            let ours = try await pair.new.drainInbox(jobs: ["mint": InboxRule()], limit: 50, now: .at(4)).runs
            #expect(theirs.count == 8 && ours.count == 12 && Set(theirs).isDisjoint(with: ours.map(\.id.value)))

            var claims: [Format9Host.Claim] = []
            var runs: [ClaimedRun] = []
            for _ in 0..<6 {
                claims += try pair.old.claimWaiting("mint", most: 4, now: .at(5))
                runs += try await pair.new.claimWaiting(limits: ["mint": 4], owner: Self.new, now: .at(5))
            }
            #expect(claims.count == 22 && runs.count == 20, "\(claims.count) \(runs.count)")
            #expect(Set(claims.map(\.id) + runs.map(\.id.value)).count == 42)
            #expect(try pair.other.first("SELECT max(attempt) FROM runs") { try $0.int64(0) } == 1)

            // One at a time, on both together.
            #expect(try pair.old.enqueue("alone", keys: [nil, nil], now: .at(6)).count == 2)
            let limit = ["alone": WaitingLimit(most: 1, room: 1)]
            let first = try #require(try await pair.new.claimWaiting(limit, owner: Self.new, now: .at(7)).runs.first)
            #expect(try pair.old.claimWaiting("alone", most: 1, room: 1, now: .at(7)) == [])
            #expect(try await pair.new.complete([Self.end(first)], now: .at(8)) == [true])
            let second = try #require(try pair.old.claimWaiting("alone", most: 1, room: 1, now: .at(9)).first)
            #expect(try pair.old.enqueue("alone", keys: [nil], now: .at(9)).count == 1)
            #expect(try await pair.new.claimWaiting(limit, owner: Self.new, now: .at(9)).runs.isEmpty)
            #expect(try pair.old.end(second, at: .at(10)))
            #expect(try await pair.new.claimWaiting(limit, owner: Self.new, now: .at(11)).runs.count == 1)
        }
    }

    @Test("Each sees the runs of the other whose lease has ended, and refuses its late result; who has renewed keeps them; a newer one that listens for nothing tells the older one all the same")
    func leases() async throws {
        try await pair { pair in
            #expect(try pair.old.enqueue("mint", keys: [nil, nil], now: .at(3)).count == 2)
            let theirs = try #require(try pair.old.claimWaiting("mint", most: 1, now: .at(4)).first)
            let ours = try #require(try await pair.new.claimWaiting(limits: ["mint": 1], owner: Self.new, now: .at(4)).first)
            #expect(try pair.old.renew())
            #expect(try await pair.new.renewLeases(owner: Self.new, for: .seconds(60), now: try pair.now()).formatProblem == nil)
            #expect(try pair.old.abandonedRuns() == [])
            #expect(try await pair.new.abandonedRuns(seenBy: Self.new) == [])

            try pair.endLease(of: Self.old)
            #expect(try await pair.new.abandonedRuns(seenBy: Self.new).map(\.id.value) == [theirs.id])
            #expect(try pair.old.claimFire(.candles(1), now: .at(1)) == nil, "claimed without a lease")
            let lost = Completion(run: RunID(theirs.id), fence: theirs.fence, outcome: .lost, state: .discarded, finishedAt: .at(5))
            #expect(try await pair.new.complete([lost], now: .at(5)) == [true])
            #expect(try !pair.old.end(theirs, at: .at(6)))
            #expect(try pair.old.renew())

            try pair.endLease(of: Self.new)
            #expect(try pair.old.abandonedRuns() == [ours.id.value])
            #expect(try pair.old.end(Format9Host.Claim(id: ours.id.value, fence: ours.fence), .lost, .discarded, at: .at(7)))
            #expect(try await pair.new.complete([Self.end(ours)], now: .at(8)) == [false])

            let ear = try TemporaryPostgres.connect(pair.schema)
            defer { ear.close() }
            try ear.execute("LISTEN \"\(pair.schema.name)\"")
            try pair.other.run("UPDATE hosts SET listens = 0 WHERE name = ?", [.text(Self.new.host)])
            try pair.other.run("SELECT enqueue('mint', '{}')")
            try ear.execute("SELECT 1")
            #expect(try ear.notifications(milliseconds: 0) == 1)
        }
    }
}
