import Glibc
import JobCore
import JobStore
import PostgresTestKit
import StoreSuite
import Synchronization
import Testing

@Suite struct RateExactnessTests {
    /// Seeded, by literal instants; the store is opened anew in between.
    @Test("No minute has more claims than the rate allows, and none waits longer than it must", arguments: [1, 2, 3] as [UInt64])
    func exactOverAMinute(seed: UInt64) async throws {
        try await TemporaryStore.use { file in
            var random = SeededGenerator(seed: seed)
            let rate = RateLimit(runs: 20, per: .seconds(60))
            var store = try await file.open()
            _ = try await store.enqueue((0..<300).map { _ in .mint() }, now: .at(0))
            var claims: [Instant] = []
            var now = Instant.at(1)
            while claims.count < 300 {
                let most = Int.random(in: 1...9, using: &random)
                let answer = try await store.claimWaiting(["mint": WaitingLimit(most: most, rate: rate)], owner: TemporaryStore.owner, now: now)
                claims += answer.runs.map { _ in now }
                if let room = answer.rated["mint"] {
                    #expect(room > now)
                    let early = try await store.claimWaiting(
                        ["mint": WaitingLimit(most: 9, rate: rate)], owner: TemporaryStore.owner, now: room - .milliseconds(1))
                    #expect(early.runs.isEmpty, "it says when there is room")
                    now = room
                } else {
                    #expect(answer.runs.count == min(most, 300 - (claims.count - answer.runs.count)))
                    now = now + .milliseconds(Int64.random(in: 0...4_000, using: &random))
                }
                if Int.random(in: 0..<20, using: &random) == 0 {
                    await store.close()
                    store = try await file.open()
                }
            }
            await store.close()
            for (first, twentyLater) in zip(claims, claims.dropFirst(20)) { #expect(twentyLater - first >= .seconds(60)) }
            // Where it was asked as soon as it said: fifteen spans of a minute and a thousandth, and the steps between.
            let took = try #require(claims.last) - (try #require(claims.first))
            #expect(took < .seconds(15 * 61 + 60), "\(took)")
        }
    }

    /// By the database's clock. Each claim lies between the two instants that its caller has read around it.
    @Test("Four hosts at once: no span has more claims than the rate allows", .enabled(if: TestPostgres.url != nil))
    func exactOverHosts() async throws {
        try await TemporaryPostgres.use { first, schema in
            let rate = RateLimit(runs: 10, per: .milliseconds(500))
            var stores = [first]
            for number in 1..<4 { stores.append(try await TemporaryPostgres.open(schema, host: "host-\(number)")) }
            let move = CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")
            _ = try await first.moveCursors([move], now: .at(0))
            _ = try await first.enqueue((0..<60).map { _ in .mint() }, now: .at(0))
            let claims = Claims()
            let all = stores
            try await withThrowingTaskGroup { group in
                for (number, store) in all.enumerated() {
                    group.addTask {
                        let owner = Owner(host: "host-\(number)", epoch: "e")
                        while claims.all.count < 60 {
                            try Task.checkCancellation()
                            let before = Self.now()
                            let answer = try await store.claimWaiting(["mint": WaitingLimit(most: 4, rate: rate)], owner: owner, now: .at(1))
                            let after = Self.now()
                            claims.add(answer.runs.count, Claim(before: before, after: after))
                        }
                    }
                }
                try await group.waitForAll()
            }
            let made = claims.all
            #expect(made.count == 60)
            for claim in made {
                let surely = made.count { $0.before >= claim.before && $0.after <= claim.before + 500_000 }
                #expect(surely <= 10, "\(surely) within half a second")
            }
            let took = try #require(made.map(\.after).max()) - (try #require(made.map(\.before).min()))
            #expect(took >= 5 * 500_000, "\(took) µs")
            for store in stores.dropFirst() { await store.close() }
        }
    }

    private struct Claim: Sendable {
        var before: Int64
        var after: Int64
    }

    private final class Claims: Sendable {
        private let content = Mutex<[Claim]>([])
        var all: [Claim] { content.withLock { $0 } }
        func add(_ count: Int, _ claim: Claim) { content.withLock { $0 += Array(repeating: claim, count: count) } }
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
    }
}
