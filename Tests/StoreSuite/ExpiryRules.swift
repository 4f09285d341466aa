import JobCore
import JobStore

// Runs that are of no use from an instant on.

extension StoreSuite {
    static let expiryRules = [
        Rule("a waiting run is never claimed from its expiry on, and ends as skipped", { try await $0.expiredIsSkipped() }),
        Rule("a run that was tried and then expires is a dead letter with its last reason", { try await $0.expiredAfterAnAttempt() }),
        Rule("what runs, or was claimed by then, is not touched by its expiry", { try await $0.expiryOfTheRunning() }),
        Rule("a unique key is free from the expiry on, whether anybody has looked or not", { try await $0.expiryFreesTheKey() }),
        Rule("what ended to make room for another of its key is told once, to whoever asks what has expired", { try await $0.expiredBesideIsTold() }),
        Rule("a run that was claimed ahead and expires keeps the reason of its last failure", { try await $0.expiryKeepsTheLastReason() }),
        Rule("runs expire in the order of their ends, so many a call, each once by whomever", { try await $0.expiryInBatches() }),
        Rule("a run handed back after its expiry expires, and a retry of it does not", { try await $0.expiryOfTheReturned() }),
    ]

    static func expiring(_ job: String = "mint", at due: Int64 = 0, after end: Int64, key: String? = nil) -> NewRun {
        var request = request(job, at: due, key: key)
        request.expiresAt = at(end)
        request.maxAttempts = 3
        return request
    }

    private func expire(now: Int64, limit: Int = 100) async throws -> [RunRecord] {
        try await store.expireWaiting(limit: limit, now: Self.at(now))
    }

    func expiredIsSkipped() async throws {
        let run = try await enqueued(Self.expiring(after: 60))
        try equal(run.expiresAt, Self.at(60))
        let later = try await enqueued(Self.expiring(at: 30, after: 60))
        let lasting = try await enqueued(Self.request())
        try equal(try await store.run(run.id), run)
        try equal(try await expire(now: 59), [])
        try equal(try await waiting(limit: 10, now: 60).map(\.id), [lasting.id])
        try equal(try await record(run.id).state, .available)
        let ended = try await expire(now: 61)
        try equal(ended.map(\.id), [run.id, later.id])
        for end in ended {
            let row = try await record(end.id)
            try equal([row.state, end.state], [.skipped, .skipped])
            try equal([row.reason, end.reason], ["expired", "expired"])
            try equal(row.finishedAt, Self.at(61))
            try equal(row.outcome, nil)
            try equal(row.attempt, 0)
            try equal(end.payload, "")
        }
        try equal(try await store.counters()["mint"], ["expired": 2])
        try equal(try await expire(now: 62), [])
        try equal(try await store.queueDepths(now: Self.at(62))["mint"]?.waiting, 0)
    }

    func expiredAfterAnAttempt() async throws {
        let run = try await enqueued(Self.expiring(after: 60))
        let claim = try required(try await waiting(now: 1).first, "not due")
        try equal(claim.expiresAt, Self.at(60))
        var end = Self.end(claim, .retry, .retryable, at: 2)
        end.availableAt = Self.at(59)
        end.reason = "the exchange is away"
        try equal(try await store.complete([end], now: Self.at(2)), [true])
        try equal(try await waiting(now: 60), [])
        try equal(try await expire(now: 60).map(\.state), [.discarded])
        let row = try await record(run.id)
        try equal(row.state, .discarded)
        try equal(row.outcome, .retry)
        try equal(row.attempt, 1)
        try equal(row.reason, "the exchange is away; \(RunLifecycle.expired)")
        try equal(try await store.counters()["mint"], ["retry": 1, "discarded": 1])
        try equal(try await store.attempts(of: run.id).map(\.outcome), [.retry])
    }

    func expiryOfTheRunning() async throws {
        try await enqueued(Self.expiring(after: 60))
        let claim = try required(try await waiting(now: 59).first, "not due")
        try equal(try await expire(now: 100), [])
        try equal(try await record(claim.id).state, .running)
        try equal(try await store.complete([Self.end(claim, .succeeded, .succeeded, at: 101)], now: Self.at(101)), [true])
        try equal(try await record(claim.id).state, .succeeded)
        try equal(try await expire(now: 102), [])
    }

    func expiryFreesTheKey() async throws {
        let first = try await enqueued(Self.expiring(after: 60, key: "asset-7"))
        let during = try await store.enqueue([Self.expiring(after: 90, key: "asset-7")], now: Self.at(59))
        try equal(during.map(\.inserted), [false])
        // Two at once: the first takes the place of the expired one, the second finds it.
        let after = try await store.enqueue([Self.expiring(after: 90, key: "asset-7"), Self.request(key: "asset-7")], now: Self.at(60))
        try equal(after.map(\.inserted), [true, false])
        try equal(try await record(first.id).state, .skipped)
        try equal(try await store.counters()["mint"], ["expired": 1])
        // One that began before it expired keeps its key.
        try equal(try await waiting(now: 61).map(\.id), [after[0].run.id])
        try equal(try await store.enqueue([Self.request(key: "asset-7")], now: Self.at(95)).map(\.inserted), [false])
    }

    func expiredBesideIsTold() async throws {
        var ended: [RunID] = []
        for (i, key) in ["enqueued", "waiting", "completed"].enumerated() {
            ended.append(try await enqueued(Self.expiring(after: 60 + Int64(i), key: key)).id)
        }
        let other = try await enqueued(Self.expiring("other", after: 900))
        try await enqueued(Self.request("other"))
        let claim = try required(try await waiting("other", limit: 9, now: 1).first { $0.id != other.id }, "not due")
        try equal(try await store.enqueue([Self.request(key: "enqueued")], now: Self.at(70)).map(\.inserted), [true])
        var completion = Self.end(claim, .succeeded, .succeeded, at: 71)
        completion.enqueues = [Self.request(key: "completed"), Self.request(key: "completed")]
        try equal(try await store.complete([completion], now: Self.at(71)), [true])
        // As many as were asked for, the rest with the next call.
        try equal(try await expire(now: 71, limit: 1).map(\.id), [ended[0]])
        let rest = try await expire(now: 72)
        try equal(rest.map(\.id), [ended[2], ended[1]])
        try equal(rest.map(\.state), [.skipped, .skipped])
        try equal(rest.map(\.payload), ["", ""])
        try equal(try await expire(now: 73), [])
        try equal(try await store.counters()["mint"], ["expired": 3])
    }

    func expiryKeepsTheLastReason() async throws {
        let run = try await enqueued(Self.expiring(after: 60))
        let claim = try required(try await waiting(now: 1).first, "not due")
        var end = Self.end(claim, .retry, .retryable, at: 2)
        end.availableAt = Self.at(3)
        end.reason = "the exchange is away"
        end.code = 7
        try equal(try await store.complete([end], now: Self.at(2)), [true])
        let ahead = try required(try await waiting(now: 3).first, "not due again")
        try equal(ahead.attempt, 2)
        try await store.releaseClaims([ahead.held], owner: Self.owner, now: Self.at(61))
        try equal(try await expire(now: 61).map(\.reason), ["the exchange is away; \(RunLifecycle.expired)"])
        let row = try await record(run.id)
        try equal(row.reason, "the exchange is away; \(RunLifecycle.expired)")
        try equal(row.code, 7)
        try equal(row.attempt, 1)
    }

    func expiryInBatches() async throws {
        var runs: [RunID] = []
        for end in [30, 10, 20, 50, 40] as [Int64] { runs.append(try await enqueued(Self.expiring(after: end)).id) }
        try equal(try await expire(now: 100, limit: 2).map(\.id), [runs[1], runs[2]])
        let store = store
        let rest = try await withThrowingTaskGroup(of: [RunID].self) { group in
            for _ in 0..<8 { group.addTask { try await store.expireWaiting(limit: 10, now: Self.at(100)).map(\.id) } }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        try equal(rest.sorted(), [runs[0], runs[3], runs[4]])
        try equal(try await store.counters()["mint"], ["expired": 5])
    }

    func expiryOfTheReturned() async throws {
        let run = try await enqueued(Self.expiring(after: 60))
        let claim = try required(try await waiting(now: 59).first, "not due")
        try await store.releaseClaims([claim.held], owner: Self.owner, now: Self.at(61))
        try equal(try await waiting(now: 61), [])
        try equal(try await expire(now: 61).map(\.state), [.skipped])
        let again = try await store.retry(run.id, by: Self.operations, now: Self.at(70))
        try equal(again.expiresAt, nil)
        try equal(try await waiting(now: 70).map(\.id), [again.id])
    }
}
