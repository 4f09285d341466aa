import JobCore
import JobStore

// Runs that wait: uniqueness, order, time.

extension StoreSuite {
    static let queueRules = [
        Rule("an enqueued run waits for its time", { try await $0.delayedRun() }),
        Rule("fifty programs that enqueue one unique key get one run", { try await $0.fiftyEnqueuersOneRun() }),
        Rule("a unique key is free again when its run has ended", { try await $0.uniqueKeyIsFreedAtTheEnd() }),
        Rule("the idempotency key is the unique key, else the run's own", { try await $0.keysOfEnqueuedRuns() }),
        Rule("a backfill has the key of the fire that it repeats", { try await $0.backfillInheritsTheKey() }),
        Rule("higher priority goes first, equal priority by age", { try await $0.priorityOrder() }),
        Rule("a minute of waiting is worth one priority", { try await $0.waitingRaisesPriority() }),
        Rule("a flood of higher priorities holds a run up for a minute each, not for ever", { try await $0.floodOfHigherPriorities() }),
        Rule("limits are kept per job, and jobs without one are left alone", { try await $0.limitsPerJob() }),
        Rule("a rate lets so many be claimed in its span, says when there is room, and holds up no other job", { try await $0.rates() }),
        Rule("a claim that is given back counts towards no rate, once, also when nobody is left who made it", { try await $0.ratesGivenBack() }),
        Rule("fifty claimers share a hundred runs, each run once", { try await $0.fiftyClaimersOfTheQueue() }),
        Rule("depths count waiting, running and dead runs and find the oldest", { try await $0.depths() }),
        Rule("priorities and instants at the ends of their range neither trap nor jam the queue", { try await $0.extremes() }),
    ]

    func delayedRun() async throws {
        let run = try await enqueued(Self.request(at: 30))
        try equal(run.state, .scheduled)
        try equal(try await store.run(run.id), run)
        try equal(run.payload, #"{"assetId":7}"#)
        try equal(try await store.nextWaiting(), Self.at(30))
        try equal(try await waiting(now: 29), [])
        let claimed = try await waiting(now: 30)
        try equal(claimed.map(\.id), [run.id])
        try equal(claimed.map(\.payload), [Array(#"{"assetId":7}"#.utf8)])
        try equal(try await store.nextWaiting(), nil)
        try equal(try await waiting(now: 31), [])
    }

    func fiftyEnqueuersOneRun() async throws {
        let store = store
        let inserted = try await withThrowingTaskGroup(of: (RunID, Bool).self) { group in
            for _ in 0..<50 {
                group.addTask {
                    let result = try await store.enqueue([Self.request(key: "asset-7")], now: Self.at(0))
                    let entry = try required(result.first, "nothing returned")
                    return (entry.run.id, entry.inserted)
                }
            }
            return try await group.reduce(into: [(RunID, Bool)]()) { $0.append($1) }
        }
        try equal(inserted.count { $0.1 }, 1)
        try equal(Set(inserted.map(\.0)).count, 1)
        try equal(try await store.runs(RunFilter()).count, 1)
        // Another job's key is another key.
        try await enqueued(Self.request("burn", key: "asset-7"))
    }

    func uniqueKeyIsFreedAtTheEnd() async throws {
        let first = try await enqueued(Self.request(key: "asset-7"))
        let run = try required(try await waiting(now: 0).first, "not due")
        let during = try await store.enqueue([Self.request(key: "asset-7")], now: Self.at(1))
        try equal(during.map(\.run.id), [first.id])
        _ = try await store.complete([Self.end(run, .succeeded, .succeeded, at: 2)], now: Self.at(2))
        try demand(try await enqueued(Self.request(key: "asset-7"), now: 3).id > first.id, "ids do not ascend")
    }

    func keysOfEnqueuedRuns() async throws {
        let plain = try await enqueued(Self.request())
        try equal(plain.idempotencyKey, "run-\(plain.id.value)")
        try equal(try await enqueued(Self.request(key: "asset-7")).idempotencyKey, "asset-7")
        var given = Self.request(key: "asset-8")
        given.idempotencyKey = "order-1"
        try equal(try await enqueued(given).idempotencyKey, "order-1")
    }

    func backfillInheritsTheKey() async throws {
        let fire = try await claimed(Self.claim(fire: 60, from: nil))
        _ = try await store.complete([Self.end(fire, .failed, .discarded, at: 61)], now: Self.at(61))
        var backfill = NewRun(job: "candles", trigger: .backfill, fireTime: Self.at(60))
        backfill.maxAttempts = 2
        let run = try await enqueued(backfill, now: 100)
        try equal(run.state, .available)
        try equal(run.idempotencyKey, fire.idempotencyKey)
    }

    func priorityOrder() async throws {
        let low = try await enqueued(Self.request(at: 0))
        let second = try await enqueued(Self.request(at: 2, priority: 5), now: 2)
        let first = try await enqueued(Self.request(at: 1, priority: 5), now: 2)
        let negative = try await enqueued(Self.request(at: 0, priority: -5))
        try equal(try await waiting(limit: 10, now: 3).map(\.id), [first.id, second.id, low.id, negative.id])
    }

    func waitingRaisesPriority() async throws {
        let old = try await enqueued(Self.request(at: 0))
        let urgent = try await enqueued(Self.request(at: 119, priority: 2))
        let lateUrgent = try await enqueued(Self.request(at: 121, priority: 2))
        try equal(try await waiting(limit: 10, now: 121).map(\.id), [urgent.id, old.id, lateUrgent.id])
    }

    /// Three of priority 5 come for each two that are taken: what waits grows without end.
    func floodOfHigherPriorities() async throws {
        let low = try await enqueued(Self.request(at: 0))
        var taken: Int64?
        for step in 0..<60 as Range<Int64> where taken == nil {
            let now = step * 10
            _ = try await store.enqueue((0..<3).map { _ in Self.request(at: now, priority: 5) }, now: Self.at(now))
            if try await waiting(limit: 2, now: now).contains(where: { $0.id == low.id }) { taken = now }
        }
        // At five minutes it stands before all that come from then on; those before it take until seven and a half.
        try equal(taken, 450)
    }

    func limitsPerJob() async throws {
        for job in ["a", "b", "c"] {
            for _ in 0..<3 { try await enqueued(Self.request(job)) }
        }
        let claims = try await store.claimWaiting(limits: ["a": 2, "b": 0, "d": 9], owner: Self.owner, now: Self.at(1))
        try equal(claims.map(\.job), ["a", "a"])
        try equal(try await store.claimWaiting(limits: ["a": 2, "c": 1], owner: Self.owner, now: Self.at(1)).map(\.job), ["a", "c"])
    }

    func rates() async throws {
        for job in ["calls", "mint"] {
            for _ in 0..<8 { try await enqueued(Self.request(job)) }
        }
        _ = try await store.moveCursors([Self.move("calls", to: 0, from: nil)], now: Self.at(0))
        let hour = RateLimit(runs: 5, per: .seconds(3_600))
        func claim(_ job: String = "calls", most: Int, by rate: RateLimit? = hour) async throws -> WaitingClaims {
            try await store.claimWaiting([job: WaitingLimit(most: most, rate: rate)], owner: Self.owner, now: Self.at(1))
        }
        let first = try await claim(most: 3)
        try equal(first.runs.count, 3)
        try equal(first.rated, [:])
        let second = try await claim(most: 3)
        try equal(second.runs.count, 2)
        let until = try required(second.rated["calls"], "the rate is used up, and nothing says so")
        try equal(until > Self.at(1) && until <= Self.at(3_605), true)
        let third = try await claim(most: 3)
        try equal(third.runs.count, 0)
        try equal(third.rated.keys.sorted(), ["calls"])
        // Other jobs are not held up; without a rate it goes on.
        try equal(try await claim("mint", most: 8, by: nil).runs.count, 8)
        try equal(try await claim(most: 3, by: RateLimit(runs: 6, per: .seconds(3_600))).runs.count, 1)
        let last = try await claim(most: 9, by: nil)
        try equal(last.runs.count, 2)
        try equal(last.rated, [:])
    }

    func ratesGivenBack() async throws {
        for _ in 0..<8 { try await enqueued(Self.request("calls")) }
        _ = try await store.moveCursors([Self.move("calls", to: 0, from: nil)], now: Self.at(0))
        let rate = RateLimit(runs: 4, per: .seconds(3_600))
        func claim() async throws -> [ClaimedRun] {
            try await store.claimWaiting(["calls": WaitingLimit(most: 4, rate: rate)], owner: Self.owner, now: Self.at(1)).runs
        }
        let first = try await claim()
        try equal(first.count, 4)
        for _ in 0..<2 {
            try await store.releaseClaims([first[0].held, first[1].held], owner: Self.owner, now: Self.at(1))
        }
        // Those two again, and no more: one that is given back twice is so once.
        let again = try await claim()
        try equal(again.map(\.id), [first[0].id, first[1].id])
        try equal(try await claim(), [])
        // What an ended attempt took stays counted.
        _ = try await store.complete([Self.end(first[2], .succeeded, .succeeded, at: 2)], now: Self.at(2))
        try await store.releaseClaims([first[2].held], owner: Self.owner, now: Self.at(2))
        try equal(try await claim(), [])
        // Of a job whose rate is used up it is told which of its fires wait no more: the claimed ones.
        var limit = WaitingLimit(most: 4, rate: rate)
        var filter = RunFilter(job: "calls")
        filter.states = [.available]
        let waiting = try required(try await store.runs(filter).first, "none waits")
        limit.fires = [again[0].id, waiting.id, first[2].id]
        try equal(try await store.claimWaiting(["calls": limit], owner: Self.owner, now: Self.at(2)).gone, [again[0].id, first[2].id])
        // As a life of the host finds it that did not make it.
        let found = HeldClaim(run: again[0].id, job: "calls", fence: again[0].fence)
        try await store.releaseClaims([found], owner: Self.owner, now: Self.at(2))
        try equal(try await claim().map(\.id), [again[0].id])
        // Claimed without a rate: it was not counted, and frees nothing.
        let free = try await store.claimWaiting(limits: ["calls": 1], owner: Self.owner, now: Self.at(2))
        try await store.releaseClaims(free.map(\.held), owner: Self.owner, now: Self.at(2))
        try equal(try await claim(), [])
    }

    func fiftyClaimersOfTheQueue() async throws {
        _ = try await store.enqueue((0..<100).map { _ in Self.request() }, now: Self.at(0))
        let store = store
        let ids = try await withThrowingTaskGroup(of: [RunID].self) { group in
            for host in 0..<50 {
                group.addTask {
                    let owner = Owner(host: "host-\(host)", epoch: "e")
                    return try await store.claimWaiting(limits: ["mint": 3], owner: owner, now: Self.at(1)).map(\.id)
                }
            }
            return try await group.reduce(into: [RunID]()) { $0 += $1 }
        }
        try equal(ids.count, 100)
        try equal(Set(ids).count, 100)
    }

    func depths() async throws {
        for at in [5, 3, 90] as [Int64] { try await enqueued(Self.request(at: at)) }
        let run = try await claimed(Self.claim(fire: 1, from: nil))
        _ = try await claimed(Self.claim(fire: 2, from: 1))
        _ = try await store.complete([Self.end(run, .failed, .discarded, at: 2)], now: Self.at(2))
        try equal(try await store.queueDepths(now: Self.at(10)), [
            "mint": QueueDepth(waiting: 3, due: 2, running: 0, dead: 0, oldestWaiting: Self.at(3)),
            "candles": QueueDepth(waiting: 0, due: 0, running: 1, dead: 1, oldestWaiting: nil),
        ])
    }

    func extremes() async throws {
        var never = Self.request(priority: .min)
        never.fireTime = .distantFuture
        try equal(try await enqueued(never).state, .scheduled)
        var ever = Self.request(priority: .max)
        ever.fireTime = .distantPast
        let first = try await enqueued(ever)
        let run = try required(try await waiting(limit: 10, now: 0).first, "jammed")
        try equal(run.id, first.id)
        var snooze = Self.end(run, .snoozed, .scheduled, at: 1)
        snooze.availableAt = .distantFuture
        snooze.cpu = .seconds(Int64.max)
        try equal(try await store.complete([snooze], now: Self.at(1)), [true])
        try equal(try await waiting(limit: 10, now: 1_000_000), [])
        try equal(try await store.queueDepths(now: Self.at(0))["mint"]?.waiting, 2)
    }
}
