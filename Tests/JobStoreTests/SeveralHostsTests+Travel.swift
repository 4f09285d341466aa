import JobCore
import PostgresTestKit
import SQL
import StoreSuite
import Testing

@testable import JobStore

/// What one host wrote, as the others have it.
extension SeveralHosts {
    // MARK: What travels between hosts

    @Test func aJobsStateFollowsItsRunsFromHostToHost() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let first = try #require(try await pair.alpha.claimFires([fire(1) { $0.stateFence = 0 }], owner: Self.alpha, now: .at(1)).first ?? nil)
            #expect(first.state == nil)
            var completion = end(first, at: .at(1))
            completion.stateBlob = Completion.StateWrite(version: 2, bytes: [7])
            _ = try await pair.alpha.complete([completion], now: .at(1))
            let second = try #require(try await pair.beta.claimFires([fire(2) { $0.stateFence = 0 }], owner: Self.beta, now: .at(2)).first ?? nil)
            #expect(second.state == KeptState(version: 2, bytes: [7], fence: first.fence))
            // The host that wrote it has it already.
            let third = try #require(try await pair.alpha.claimFires([fire(3) { $0.stateFence = first.fence }], owner: Self.alpha, now: .at(3)).first ?? nil)
            #expect(third.state == nil)
            // What an older attempt leaves late does not undo a newer one's.
            var newer = end(third, at: .at(4))
            newer.stateBlob = Completion.StateWrite(version: 2, bytes: [9])
            var older = end(second, at: .at(5))
            older.stateBlob = Completion.StateWrite(version: 2, bytes: [8])
            _ = try await pair.alpha.complete([newer], now: .at(4))
            _ = try await pair.beta.complete([older], now: .at(5))
            #expect(try await pair.beta.stateBlob(job: "candles")?.bytes == [9])
        }
    }

    @Test func decisionsOfOneHostAreReadByTheOther() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            try await pair.alpha.saveControl(job: "mint", .paused(true), by: Self.operations, action: "pause", now: .at(0))
            // Within the second in which it has not heard of that.
            try await pair.beta.saveControl(job: "mint", .enabled(false), by: Self.operations, action: "disable", now: .at(0))
            try await pair.alpha.saveHostControl(.paused(true), by: Self.operations, action: "pause", now: .at(0))
            let row = try await pair.alpha.saveBreaker(job: "mint", "forced", by: Self.operations, action: "breaker open", now: .at(0))
            for (store, owner) in [(pair.alpha, Self.alpha), (pair.beta, Self.beta)] {
                let seen = try await store.sharedState(owner: owner)
                #expect(seen.controls["mint"]?.paused == true && seen.controls["mint"]?.enabled == false)
                #expect(seen.hostControl.paused)
                #expect(seen.breakers == ["mint": row])
            }
        }
    }

    @Test("Failures that end on two hosts at the same moment are all counted, and what an operator forces at that moment stands")
    func aBreakerOfTwoHosts() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            _ = try await pair.alpha.moveCursors([CursorMove(job: "mint", expectedCursor: nil, newCursor: .at(0), scheduleText: "none")], now: .at(0))
            let policy = BreakerPolicy(failures: 40)
            _ = try await pair.alpha.enqueue((0..<60).map { _ in .mint() }, now: .at(0))
            var runs: [(store: PostgresStore, run: ClaimedRun)] = []
            for (store, owner) in [(pair.alpha, Self.alpha), (pair.beta, Self.beta)] {
                runs += try await store.claimWaiting(limits: ["mint": 30], owner: owner, now: .at(1)).map { (store, $0) }
            }
            let failed = { @Sendable (store: PostgresStore, run: ClaimedRun) async throws -> Void in
                var end = Completion(run: run.id, fence: run.fence, outcome: .failed, state: .discarded, finishedAt: .at(2))
                let count = BreakerWrite.Count(outcome: .failed, text: "", at: .at(2), policy: policy)
                var own = Breaker(policy: policy)
                _ = own.record(.failed, generation: 1, wasProbe: false, now: .at(2))
                end.breaker = BreakerWrite(data: own.encoded, count: count)
                _ = try await store.complete([end], now: .at(2))
            }
            func stored() async throws -> Breaker? {
                try await pair.beta.jobStates(of: ["mint"])["mint"]?.breaker.flatMap { Breaker(encoded: $0.data, policy: policy) }
            }
            let (first, rest) = (Array(runs[..<15]) + runs[30..<45], Array(runs[15..<30]) + runs[45...])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (store, run) in first { group.addTask { try await failed(store, run) } }
                try await group.waitForAll()
            }
            #expect(try await stored()?.failures == 30)
            var forced = Breaker(policy: policy)
            forced.forceOpen(until: nil, reason: "gateway", now: .at(3))
            let (data, alpha) = (forced.encoded, pair.alpha)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (position, (store, run)) in rest.enumerated() {
                    group.addTask { try await failed(store, run) }
                    if position == 20 {
                        group.addTask { _ = try await alpha.saveBreaker(job: "mint", data, by: Self.operations, action: "breaker open", now: .at(3)) }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await stored()?.mode == .forcedOpen(until: nil))
            #expect(try await stored()?.reason == "gateway")
        }
    }

    @Test func aRunElsewhereIsCancelledByItsHostAndAnAttemptAfterItIsNot() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            _ = try await pair.alpha.enqueue([.mint()], now: .at(0))
            let run = try #require(try await pair.alpha.claimWaiting(limits: ["mint": 1], owner: Self.alpha, now: .at(1)).first)
            #expect(try await pair.beta.cancelElsewhere(run.id, reason: "cancelled by ops", by: Self.operations, now: .at(1)))
            #expect(try await pair.alpha.sharedState(owner: Self.alpha).cancels.map(\.reason) == ["cancelled by ops"])
            #expect(try await pair.beta.sharedState(owner: Self.beta).cancels.isEmpty)
            #expect(try await pair.alpha.claims(of: Self.alpha) == [HeldClaim(run: run.id, job: "mint", fence: run.fence)])
            try await pair.alpha.releaseClaims([run.held], owner: Self.alpha, now: .at(1))
            #expect(try await pair.beta.claimWaiting(limits: ["mint": 1], owner: Self.beta, now: .at(2)).count == 1)
            #expect(try await pair.beta.sharedState(owner: Self.beta).cancels.isEmpty)
        }
    }

    @Test func eachHostDeletesItsOwnRunsWhoseLogsItHasAndThoseOfTheDead() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            let run = try #require(try await pair.alpha.claimFires([fire(1)], owner: Self.alpha, now: .at(1)).first ?? nil)
            _ = try await pair.alpha.complete([end(run, at: .at(1))], now: .at(1))
            let none = ["candles": RetentionRule(age: .seconds(1), runs: 0)]
            #expect(try await pair.beta.prune(retention: none, limit: 9, now: .at(60)).isEmpty)
            try pair.endLease(of: "alpha")
            #expect(try await pair.beta.prune(retention: none, limit: 9, now: .at(60)).map(\.run) == [run.id])
        }
    }

    @Test func aRowOfTheInboxIsLeftToAHostThatKnowsItsJob() async throws {
        try await pair { pair in
            try await pair.enterBoth()
            try await pair.beta.saveDefinitions([DefinitionRow(host: "beta", job: "mint", digest: "d", library: "l")], labels: [], host: "beta")
            try pair.other.run("SELECT enqueue('mint', '1')")
            #expect(try await pair.alpha.drainInbox(jobs: ["candles": InboxRule()], limit: 9, now: .at(0)).refused.isEmpty)
            #expect(try await pair.beta.drainInbox(jobs: ["mint": InboxRule()], limit: 9, now: .at(0)).runs.count == 1)
            try pair.other.run("SELECT enqueue('mint', '1')")
            try pair.endLease(of: "beta")
            #expect(try await pair.alpha.drainInbox(jobs: ["candles": InboxRule()], limit: 9, now: .at(0)).refused.count == 1)
        }
    }
}
