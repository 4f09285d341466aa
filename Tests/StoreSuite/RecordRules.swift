import JobCore
import JobStore

// What is kept and read back.

extension StoreSuite {
    static let recordRules = [
        Rule("listings are newest first, filtered and paged", { try await $0.listings() }),
        Rule("a timeline sums up what touches it, by job, step and outcome", { try await $0.timeline() }),
        Rule("ranges are found by the time that they touch", { try await $0.rangesByTime() }),
        Rule("a breaker is kept until it is replaced", { try await $0.breakerIsKept() }),
        Rule("libraries, reloads and workers are kept", { try await $0.smallRecords() }),
        Rule("an empty store answers everything with nothing", { try await $0.emptyStore() }),
        Rule("a closed store refuses instead of hanging", { try await $0.closedStore() }),
    ]

    func listings() async throws {
        for fire in 1...10 as ClosedRange<Int64> {
            let run = try await claimed(Self.claim(fire: fire, from: fire == 1 ? nil : fire - 1))
            let (outcome, state): (Outcome, RunState) = fire % 3 == 0 ? (.crashed, .discarded) : (.succeeded, .succeeded)
            _ = try await store.complete([Self.end(run, outcome, state, at: fire)], now: Self.at(fire))
        }
        try await enqueued(Self.request())
        var filter = RunFilter(job: "candles")
        filter.limit = 3
        let page = try await store.runs(filter)
        try equal(page.map(\.fireTime), [Self.at(10), Self.at(9), Self.at(8)])
        filter.before = page.last?.id
        try equal(try await store.runs(filter).map(\.fireTime), [Self.at(7), Self.at(6), Self.at(5)])
        var dead = RunFilter()
        dead.states = [.discarded]
        try equal(try await store.runs(dead).map(\.fireTime), [Self.at(9), Self.at(6), Self.at(3)])
        dead.states = [.discarded, .available]
        try equal(try await store.runs(dead).count, 4)
        var crashed = RunFilter()
        crashed.outcomes = [.crashed, .lost]
        crashed.from = Self.at(4)
        crashed.to = Self.at(9)
        try equal(try await store.runs(crashed).map(\.fireTime), [Self.at(6)])
    }

    func timeline() async throws {
        // Each run lasts the second before its end.
        for fire in 1...6 as ClosedRange<Int64> {
            let run = try await claimed(Self.claim(fire: fire, from: fire == 1 ? nil : fire - 1))
            let (outcome, state): (Outcome, RunState) = fire == 4 ? (.crashed, .discarded) : (.succeeded, .succeeded)
            _ = try await store.complete([Self.end(run, outcome, state, at: fire * 10)], now: Self.at(fire * 10))
        }
        let spans = try await store.spans(from: Self.at(20), to: Self.at(59), step: .seconds(20), limit: 10)
        // What ended at 20 began before, and is in it; what begins at 59 is not.
        try equal(spans.map(\.step), [0, 0, 1])
        try equal(spans.map(\.outcome), [.crashed, .succeeded, .succeeded])
        try equal(spans.map(\.runs), [1, 2, 1])
        try equal(spans.map(\.first), [Self.at(39), Self.at(19), Self.at(49)])
        try equal(spans.map(\.last), [Self.at(40), Self.at(30), Self.at(50)])
        try equal(spans.map(\.busy), [.seconds(1), .seconds(2), .seconds(1)])
        try equal(try await store.spans(from: Self.at(20), to: Self.at(59), step: .seconds(20), limit: 1).map(\.outcome), [.crashed])
    }

    func rangesByTime() async throws {
        let ranges = [Self.range(.overlap, 1, 10, count: 10), Self.range(.paused, 20, 30, count: 11)]
        _ = try await store.moveCursors([Self.move(to: 30, from: nil, ranges: ranges)], now: Self.at(30))
        func reasons(_ from: Int64, _ to: Int64) async throws -> [NoRunReason] {
            try await store.ranges(job: "candles", from: Self.at(from), to: Self.at(to), limit: 10).map(\.reason)
        }
        try equal(try await reasons(0, 1), [])
        try equal(try await reasons(0, 2), [.overlap])
        try equal(try await reasons(10, 21), [.paused, .overlap])
        try equal(try await reasons(11, 20), [])
        try equal(try await store.ranges(job: "other", from: nil, to: nil, limit: 10), [])
    }

    func breakerIsKept() async throws {
        try await store.saveBreaker(job: "mint", BreakerRow(generation: 1, data: "open"), now: Self.at(1))
        try await store.saveBreaker(job: "mint", BreakerRow(generation: 2, data: "half-open"), now: Self.at(2))
        try equal(try await store.jobStates()["mint"]?.breaker, BreakerRow(generation: 2, data: "half-open"))
        try equal(try await store.jobStates()["mint"]?.cursor, nil)
    }

    func smallRecords() async throws {
        let old = AcceptedLibrary(plugin: "candles", sha256: "aa", path: "var/plugins/aa/libCandles.so", acceptedAt: Self.at(1))
        let new = AcceptedLibrary(plugin: "candles", sha256: "bb", path: "var/plugins/bb/libCandles.so", acceptedAt: Self.at(2))
        try await store.saveAcceptedLibrary(old)
        try await store.saveAcceptedLibrary(new)
        try equal(try await store.acceptedLibraries(), [new])

        let reloads = [(1, true), (2, false), (2, true)].map { ReloadRow(generation: $0.0, at: Self.at($0.0), accepted: $0.1, report: "{}") }
        for reload in reloads { try await store.saveReload(reload) }
        try equal(try await store.reloads(limit: 2), [reloads[2], reloads[1]])

        let worker = WorkerRow(pid: 77, startTime: .max, bootID: "boot", plugin: "candles")
        try await store.saveWorkers([worker, WorkerRow(pid: 78, startTime: 1, bootID: "boot", plugin: "mint")], host: "alpha")
        try await store.saveWorkers([worker], host: "alpha")
        try await store.saveWorkers([], host: "beta")
        try equal(try await store.workers(host: "alpha"), [worker])
        try equal(try await store.workers(host: "beta"), [])
    }

    func emptyStore() async throws {
        try equal(try await store.claimFires([], owner: Self.owner, now: Self.at(0)), [])
        try equal(try await store.claimWaiting(limits: ["mint": 9], owner: Self.owner, now: Self.at(0)), [])
        try equal(try await store.complete([], now: Self.at(0)), [])
        try equal(try await store.jobStates(), [:])
        try equal(try await store.runs(RunFilter()), [])
        try equal(try await store.run(RunID(1)), nil)
        try equal(try await store.attempts(of: RunID(1)), [])
        try equal(try await store.counters(), [:])
        try equal(try await store.queueDepths(now: Self.at(0)), [:])
        try equal(try await store.nextWaiting(), nil)
        try equal(try await store.orphans(host: "alpha", currentEpoch: "x"), [])
        try demand(try await store.stateBlob(job: "mint") == nil, "a state blob")
        let pruned = try await store.prune(
            retention: ["mint": RetentionRule(age: .seconds(1), runs: 1)], limit: 10, now: Self.at(0))
        try equal(pruned.count, 0)
        let inbox = try await store.drainInbox(jobs: ["mint": InboxRule()], limit: 10, now: Self.at(0))
        try equal(inbox.runs, [])
    }

    func closedStore() async throws {
        await store.close()
        await store.close()
        try await refused(.unavailable) { try await store.renewLeases(owner: Self.owner, for: .seconds(1), now: Self.at(1)) }
        try await refused(.unavailable) { _ = try await store.runs(RunFilter()) }
    }
}
