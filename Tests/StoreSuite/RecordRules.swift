import JobCore
import JobStore

// What is kept and read back.

extension StoreSuite {
    static let recordRules = [
        Rule("the newest runs of several jobs are those of each, without their payloads", { try await $0.newestRuns() }),
        Rule("listings are newest first, filtered and paged", { try await $0.listings() }),
        Rule("a timeline sums up what touches it, by job, step and outcome", { try await $0.timeline() }),
        Rule("ranges are found by the time that they touch", { try await $0.rangesByTime() }),
        Rule("ranges of a time long ago are those that touch it, however many ended since", { try await $0.rangesLongAgo() }),
        Rule("what was refused or expired is summed up by job, reason and step", { try await $0.skipsByTime() }),
        Rule("ranges come in pages, none twice and none left out, whatever grows meanwhile", { try await $0.rangesInPages() }),
        Rule("a breaker is an operator's until he or another says otherwise", { try await $0.breakerIsKept() }),
        Rule("no end of an attempt undoes what an operator did to a breaker", { try await $0.operatorsBreakerStands() }),
        Rule("failures are counted together, whatever each host knows of the others'", { try await $0.failuresAreCountedTogether() }),
        Rule("libraries, reloads and workers are kept", { try await $0.smallRecords() }),
        Rule("an empty store answers everything with nothing", { try await $0.emptyStore() }),
        Rule("a closed store refuses instead of hanging", { try await $0.closedStore() }),
    ]

    func newestRuns() async throws {
        for n in 0..<5 {
            for job in ["a", "b"] { try await enqueued(Self.request(job, at: Int64(n))) }
        }
        try await enqueued(Self.request("c"))
        let found = try await store.newestRuns(of: ["a", "c", "none"], each: 3)
        var filter = RunFilter(job: "a")
        filter.limit = 3
        var newest = try await store.runs(filter)
        for i in newest.indices { newest[i].payload = "" }
        try equal(found["a"], newest)
        try equal(newest.count, 3)
        try equal(found["c"]?.count, 1)
        try equal(found["none"] ?? [], [])
        try equal(found["b"], nil)
        try equal(try await store.newestRuns(of: [], each: 3), [:])
    }

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
        var late = RunFilter()
        late.endedAfter = Self.at(8)
        late.withoutPayloads = true
        try equal(try await store.runs(late).map(\.fireTime), [Self.at(10), Self.at(9)])
        late.endedAfter = Self.at(10)
        try equal(try await store.runs(late), [])
        var waiting = RunFilter(job: Self.request().job)
        waiting.states = [.available]
        let whole = try required(try await store.runs(waiting).first, "what waits")
        waiting.withoutPayloads = true
        try equal(whole.payload.isEmpty, false)
        try equal(try await store.runs(waiting).map(\.payload), [""])
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

    func rangesLongAgo() async throws {
        // One of two seconds after the other, with a gap between them; one that is as long as all of them; some in the middle.
        let often = (0..<1_500 as Range<Int64>).map { Self.range($0 % 2 == 0 ? .overlap : .paused, $0 * 4 + 1, $0 * 4 + 2, count: 2) }
        let rest = [Self.range(.overlap, 300, 330, count: 2), Self.range(.paused, 340, 340, count: 1), Self.range(.overlap, 341, 5_000, count: 9)]
        for (job, ranges) in [("often", often), ("always", [Self.range(.paused, 1, 6_000, count: 6_000)]), ("a", rest)] {
            try equal(try await store.moveCursors([Self.move(job, to: 6_000, from: nil, ranges: ranges)], now: Self.at(6_000)), [true])
        }
        // Of a clock that was far ahead, and what its schedule went on with once that was set right.
        let ahead = Self.move("rewound", to: 9_000, from: nil, ranges: [Self.range(.window, 310, 9_000, count: 5)])
        var back = Self.move("rewound", to: 390, from: 9_000)
        back.rewind = true
        let on = Self.move("rewound", to: 6_000, from: 390, ranges: [Self.range(.paused, 400, 6_000, count: 5)])
        for move in [ahead, back, on] { try equal(try await store.moveCursors([move], now: Self.at(9_000)), [true]) }
        let all = try await store.ranges(job: nil, from: nil, to: nil, limit: 10_000)
        try equal(all.count, 1_506)
        for job in [nil, "a", "often", "always", "rewound", "none"] {
            for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 5), (320, 341), (331, 340), (340, 341), (341, 342), (400, 460), (5_990, 5_998), (7, 7)] as [(Int64, Int64)] {
                let wanted = all.filter { (job == nil || $0.job == job) && $0.last >= Self.at(from) && $0.first < Self.at(to) }
                try equal(try await store.ranges(job: job, from: Self.at(from), to: Self.at(to), limit: 100), wanted)
                try equal(try await store.ranges(job: job, from: nil, to: Self.at(to), limit: 3), Array(all.filter {
                    (job == nil || $0.job == job) && $0.first < Self.at(to)
                }.prefix(3)))
                var (seen, before) = ([LedgerRange](), RangePlace?.none)
                repeat {
                    let page = try await store.ranges(job: job, from: Self.at(from), to: Self.at(to), before: before, limit: 2)
                    seen += page.ranges
                    before = page.next
                } while before != nil
                try equal(seen, wanted)
            }
        }
    }

    func skipsByTime() async throws {
        // Claimed ahead: refused a moment before it is due.
        for (fire, reason) in [(10, NoRunReason.paused), (12, .paused), (30, .paused), (31, .breaker)] as [(Int64, NoRunReason)] {
            let run = try await claimed(Self.claim(fire: fire, from: fire == 10 ? nil : [12: 10, 30: 12, 31: 30][fire]))
            try await store.refuseClaims([Refusal(run.held, reason)], owner: Self.owner, now: Self.at(fire - 1))
        }
        // An end of an attempt is none of them, a run that an operator cancels neither.
        let ended = try await claimed(Self.claim(fire: 32, from: 31))
        _ = try await store.complete([Self.end(ended, .failed, .discarded, at: 33)], now: Self.at(33))
        let waits = try await enqueued(Self.request(at: 20))
        _ = try await store.cancelWaiting(waits.id, reason: "paused", by: Self.operations, now: Self.at(21))
        func skips(_ from: Int64, _ to: Int64, limit: Int = 10) async throws -> [LedgerRange] {
            try await store.skips(from: Self.at(from), to: Self.at(to), step: .seconds(10), limit: limit)
        }
        func range(_ reason: NoRunReason, _ first: Int64, _ last: Int64, _ count: Int64) -> LedgerRange {
            LedgerRange(job: "candles", reason: reason, first: Self.at(first), last: Self.at(last), count: count)
        }
        try equal(try await skips(0, 60), [range(.breaker, 31, 31, 1), range(.paused, 30, 30, 1), range(.paused, 10, 12, 2)])
        try equal(try await skips(10, 12), [range(.paused, 10, 10, 1)])
        try equal(try await skips(13, 30), [])
        try equal(try await skips(0, 60, limit: 1), [range(.breaker, 31, 31, 1)])
        try equal(try await store.ranges(job: nil, from: nil, to: nil, limit: 10), [])
    }

    func rangesInPages() async throws {
        // Three jobs, ends of one instant among them; that of "a" is still the newest entry of its job.
        for (job, ends) in [("a", [10, 20, 40]), ("b", [20, 30]), ("c", [20])] as [(String, [Int64])] {
            for (index, end) in ends.enumerated() {
                let reason: NoRunReason = index == 1 ? .paused : .overlap
                let from = index == 0 ? nil : ends[index - 1]
                _ = try await store.moveCursors([Self.move(job, to: end, from: from, ranges: [Self.range(reason, end, end, count: 1)])], now: Self.at(end))
            }
        }
        let all = try await store.ranges(job: nil, from: nil, to: nil, limit: 10)
        try equal(all.map(\.last), [40, 30, 20, 20, 20, 10].map(Self.at))
        for size in 1...6 {
            var (seen, before, pages) = ([LedgerRange](), RangePlace?.none, 0)
            repeat {
                let page = try await store.ranges(job: nil, from: nil, to: nil, before: before, limit: size)
                seen += page.ranges
                (before, pages) = (page.next, pages + 1)
            } while before != nil
            try equal(seen, all)
            // Nothing lies behind a last page that is full.
            try equal(pages, (all.count + size - 1) / size)
        }
        try equal(try await store.ranges(job: "a", from: Self.at(11), to: nil, before: nil, limit: 1).ranges.map(\.last), [Self.at(40)])
        let first = try await store.ranges(job: nil, from: nil, to: nil, before: nil, limit: 2)
        // What was shown grows, what was not too, and something new comes.
        for move in [
            Self.move("a", to: 50, from: 40, ranges: [Self.range(.overlap, 50, 50, count: 1)]),
            Self.move("b", to: 51, from: 30, ranges: [Self.range(.breaker, 51, 51, count: 1)]),
        ] { try equal(try await store.moveCursors([move], now: move.newCursor), [true]) }
        let rest = try await store.ranges(job: nil, from: nil, to: nil, before: first.next, limit: 10)
        try equal(rest, RangePage(ranges: Array(all.dropFirst(2))))
    }

    private static let policy = BreakerPolicy(failures: 3)

    /// The end of an attempt that changed the breaker.
    private func ended(_ second: Int64, _ breaker: BreakerWrite) async throws {
        let run = try await claimed(Self.claim(fire: second, from: second == 1 ? nil : second - 1))
        var end = Self.end(run, .failed, .discarded, at: second)
        end.breaker = breaker
        try equal(try await store.complete([end], now: Self.at(second)), [true])
    }

    private func kept() async throws -> Breaker {
        let row = try required(try await store.jobStates()["candles"]?.breaker, "no breaker")
        let breaker = try required(Breaker(encoded: row.data, policy: Self.policy), "a breaker that cannot be read: \(row.data)")
        try equal(breaker.generation, row.generation)
        return breaker
    }

    func breakerIsKept() async throws {
        var forced = Breaker(policy: Self.policy)
        forced.forceOpen(until: nil, reason: "chain is down", now: Self.at(1))
        let row = try await store.saveBreaker(job: "candles", forced.encoded, by: Self.operations, action: "breaker open", now: Self.at(1))
        try equal(try await store.jobStates()["candles"]?.breaker, row)
        try equal(row.generation, BreakerRow.first + 1)
        try equal(try await kept().mode, .forcedOpen(until: nil))
        try equal(try await store.jobStates()["candles"]?.cursor, nil)
        try equal(try await store.audit(AuditFilter(job: "candles", limit: 9)).map { "\($0.action) by \($0.actor.name)" }, ["breaker open by ops (uid 1000)"])
        // Another operator's word stands over it, however old what he had seen.
        var closed = Breaker(policy: Self.policy)
        closed.close(reason: "", now: Self.at(2))
        let next = try await store.saveBreaker(job: "candles", closed.encoded, by: Self.operations, action: "breaker close", now: Self.at(2))
        try equal(next.generation, row.generation + 1)
        try equal(try await kept().mode, .closed)
    }

    func operatorsBreakerStands() async throws {
        var tripped = Breaker(policy: BreakerPolicy(failures: 1))
        _ = tripped.record(.failed, generation: 1, wasProbe: false, now: Self.at(1))
        for (second, action) in [(1, Breaker.disabledByHand), (2, Breaker.forcedByHand)] as [(Int64, (Instant) -> Breaker)] {
            let generation = try await store.saveBreaker(
                job: "candles", action(Self.at(second)).encoded, by: Self.operations, action: "breaker", now: Self.at(second)
            ).generation
            // A trip decided before that was heard of, and one that somehow knew of it.
            for expected in [generation - 1, generation] {
                let fire = second * 2 - (expected == generation ? 0 : 1)
                try await ended(fire, BreakerWrite(data: tripped.encoded, expected: expected))
                try equal(try await kept().mode, action(Self.at(second)).mode)
            }
        }
    }

    func failuresAreCountedTogether() async throws {
        // Three hosts, none of which knows of the others' failures.
        for second in 1...3 as ClosedRange<Int64> {
            var own = Breaker(policy: Self.policy)
            _ = own.record(.failed, generation: 1, wasProbe: false, text: "down", now: Self.at(second))
            let count = BreakerWrite.Count(outcome: .failed, text: "down", at: Self.at(second), policy: Self.policy)
            try await ended(second, BreakerWrite(data: own.encoded, count: count))
            if second < 3 { try equal(try await kept().failures, Int(second)) }
        }
        try equal(try await kept().mode, .open(until: Self.at(3) + Self.policy.openFor))
        try equal(try await store.audit(AuditFilter(job: "candles", limit: 9)).map(\.action), ["breaker open"])
        // What a fourth counted before it heard of that is of an earlier generation.
        let late = BreakerWrite.Count(outcome: .succeeded, text: "", at: Self.at(4), policy: Self.policy)
        try await ended(4, BreakerWrite(data: Breaker(policy: Self.policy).encoded, count: late))
        try equal(try await kept().mode, .open(until: Self.at(3) + Self.policy.openFor))
    }

    /// As it was saved.
    private static func unnumbered(_ reload: ReloadRow) -> ReloadRow {
        var reload = reload
        reload.id = 0
        return reload
    }

    func smallRecords() async throws {
        let old = AcceptedLibrary(plugin: "candles", sha256: "aa", path: "var/plugins/aa/libCandles.so", acceptedAt: Self.at(1))
        let new = AcceptedLibrary(plugin: "candles", sha256: "bb", path: "var/plugins/bb/libCandles.so", acceptedAt: Self.at(2))
        try await store.saveAcceptedLibrary(old)
        try await store.saveAcceptedLibrary(new)
        try equal(try await store.acceptedLibraries(), [new])

        let reloads = [(1, true), (2, false), (2, true)].map { ReloadRow(generation: $0.0, at: Self.at($0.0), accepted: $0.1, report: "{}") }
        for reload in reloads { try await store.saveReload(reload) }
        let kept = try await store.reloads(limit: 2)
        try equal(kept.map { Self.unnumbered($0) }, [reloads[2], reloads[1]])
        let older = try await store.reloads(before: kept.last?.id, limit: 2)
        try equal(older.map { Self.unnumbered($0) }, [reloads[0]])
        try equal(try await store.reloads(before: older.last?.id, limit: 2), [])

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

extension Breaker {
    fileprivate static func forcedByHand(_ now: Instant) -> Breaker {
        var breaker = Breaker(policy: BreakerPolicy())
        breaker.forceOpen(until: nil, reason: "chain is down", now: now)
        return breaker
    }
    fileprivate static func disabledByHand(_ now: Instant) -> Breaker {
        var breaker = Breaker(policy: BreakerPolicy())
        breaker.disable(reason: "no use", now: now)
        return breaker
    }
}
