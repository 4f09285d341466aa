import JobCore
import JobStore
import PostgresTestKit
import SQL
import StoreSuite
import Testing

/// A store of either kind with something for every rule, and another program's way into it.
struct Upkept: Sendable {
    var store: any Store
    var place: StorePlace
    /// A statement of another program.
    var execute: @Sendable (_ sql: String) throws -> Void
    var number: @Sendable (_ sql: String) throws -> Int64

    /// Of 2025-12-01, by the job "candles": run 1 ended (00:00:01), three fires skipped (02 … 04), run 2 under way
    /// (05). By "mint": run 3 waits, run 4 waits for its second attempt and has a breaker, run 5 is a dead letter.
    static func use(_ dialect: SQLDialect, filled: Bool = true, _ body: (Upkept) async throws -> Void) async throws {
        switch dialect {
        case .sqlite:
            try await TemporaryStore.use { file in
                let store = try await file.open()
                let upkept = Upkept(
                    store: store, place: .file(file.path), execute: { try file.otherProgram().execute($0) },
                    number: { sql in try file.otherProgram().first(sql) { try $0.int64(0) } ?? -1 })
                if filled { try await upkept.fill() }
                try await body(upkept)
                await store.close()
            }
        case .postgresql:
            try await TestPostgres.use { schema in
                let store = try await TemporaryPostgres.open(schema)
                let upkept = Upkept(
                    store: store, place: .postgres(url: schema.server, schema: schema.name, prepared: true),
                    execute: { try TemporaryPostgres.connect(schema).execute($0) },
                    number: { sql in try TemporaryPostgres.connect(schema).first(sql) { try $0.int64(0) } ?? -1 })
                do {
                    if filled { try await upkept.fill() }
                    try await body(upkept)
                } catch {
                    await store.close()
                    throw error
                }
                await store.close()
            }
        }
    }

    private func fill() async throws {
        let owner = TemporaryStore.owner
        let first = try #require(try await store.claimFires([.candles(1)], owner: owner, now: .at(1)).first ?? nil)
        try await end(first, .succeeded, .succeeded, at: 1)
        let skipped = FireRange(reason: .overlap, first: .at(2), last: .at(4), count: 3)
        let move = CursorMove(job: "candles", expectedCursor: .at(1), newCursor: .at(4), scheduleText: "every 1s", ranges: [skipped])
        #expect(try await store.moveCursors([move], now: .at(4)) == [true])
        #expect(try await store.claimFires([.candles(5)], owner: owner, now: .at(5)).compactMap { $0 }.count == 1)
        for _ in 0..<3 { _ = try await store.enqueue([.mint()], now: .at(6)) }
        let claimed = try await store.claimWaiting(limits: ["mint": 3], owner: owner, now: .at(7))
        #expect(claimed.map(\.id.value) == [3, 4, 5])
        try await store.releaseClaims([claimed[0].held], owner: owner, now: .at(7))
        var retry = Completion(run: claimed[1].id, fence: claimed[1].fence, outcome: .retry, state: .retryable, finishedAt: .at(8))
        retry.availableAt = .at(20)
        var breaker = Breaker(policy: BreakerPolicy())
        _ = breaker.forceOpen(until: nil, reason: "by hand", now: .at(8))
        retry.breaker = BreakerWrite(data: breaker.encoded)
        #expect(try await store.complete([retry], now: .at(8)) == [true])
        try await end(claimed[2], .failed, .discarded, at: 9)
    }

    /// What `store check` finds after a rule of the suite; its breakers are no real ones.
    static func broken(_ place: StorePlace) async throws -> [StoreCheck.Finding] {
        try await StoreCheck.run(place, isServed: false, now: .at(0)).findings.filter { $0.level != .ok && $0.rule != "breakers" }
    }

    func end(_ run: ClaimedRun, _ outcome: Outcome, _ state: RunState, at seconds: Int64) async throws {
        var end = Completion(run: run.id, fence: run.fence, outcome: outcome, state: state, finishedAt: .at(seconds))
        end.startedAt = .at(seconds)
        #expect(try await store.complete([end], now: .at(seconds)) == [true])
    }
}
