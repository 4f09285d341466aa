import JobCore
import JobStore

// Cursors, claims of fires, and the ledger's ranges.

extension StoreSuite {
    static let cursorRules = [
        Rule("a claimed fire is running, owned, fenced, and has the cursor's move with it", { try await $0.claimIsComplete() }),
        Rule("a claim whose cursor has moved gets nothing and leaves nothing", { try await $0.staleCursorIsRefused() }),
        Rule("in one batch each claim succeeds or fails alone", { try await $0.claimsFailAlone() }),
        Rule("fifty hosts that claim one fire get it once", { try await $0.fiftyClaimersOneRun() }),
        Rule("two live rows of one due time cannot be", { try await $0.liveFireIsUnique() }),
        Rule("a fire that waits is available and unowned until it is claimed", { try await $0.waitingFire() }),
        Rule("a later life finds the fires that wait unattempted, and no other run", { try await $0.waitingFiresAreFound() }),
        Rule("consecutive fires of one reason are one range", { try await $0.rangesGrow() }),
        Rule("a run between two ranges of one reason keeps them apart", { try await $0.runsSeparateRanges() }),
        Rule("a week down at one second is one row", { try await $0.aWeekIsOneRow() }),
        Rule("rows and counts together are all due times", { try await $0.everyDueTimeIsAccountedFor() }),
        Rule("a cursor goes back only by a rewind, which is audited", { try await $0.onlyRewindsGoBack() }),
        Rule("fences ascend over all jobs", { try await $0.fencesAscend() }),
    ]

    func claimIsComplete() async throws {
        let run = try await claimed(Self.claim(fire: 60, from: nil))
        try equal(run.attempt, 1)
        try equal(run.maxAttempts, 3)
        try equal(run.idempotencyKey, "candles@1764547260000000")
        try demand(run.fence > 0, "no fence")
        let row = try await record(run.id)
        try equal(row.state, .running)
        try equal(row.trigger, .schedule)
        try equal(row.owner, "alpha")
        try equal(row.epoch, "life-1")
        try equal(row.fence, run.fence)
        try equal(row.generation, 7)
        try equal(row.fireTime, Self.at(60))
        try equal(row.finishedAt, nil)
        let state = try required(try await store.jobStates()["candles"], "no row of the job")
        try equal(state.cursor, Self.at(60))
        try equal(state.scheduleText, "every 1s")
    }

    func staleCursorIsRefused() async throws {
        _ = try await claimed(Self.claim(fire: 60, from: nil))
        let again = try await store.claimFires(
            [
                Self.claim(fire: 60, from: nil),
                Self.claim(fire: 120, from: 0, ranges: [Self.range(.overlap, 90, 90, count: 1)]),
            ], owner: Self.owner, now: Self.at(120))
        try equal(again, [nil, nil])
        try equal(try await store.runs(RunFilter(job: "candles")).count, 1)
        try equal(try await store.ranges(job: nil, from: nil, to: nil, limit: 10), [])
        try equal(try await store.jobStates()["candles"]?.cursor, Self.at(60))
    }

    func claimsFailAlone() async throws {
        _ = try await claimed(Self.claim("b", fire: 1, from: nil))
        let runs = try await store.claimFires(
            [Self.claim("a", fire: 2, from: nil), Self.claim("b", fire: 2, from: nil), Self.claim("c", fire: 2, from: nil)],
            owner: Self.owner, now: Self.at(2))
        try equal(runs.map { $0?.job }, ["a", nil, "c"])
    }

    func fiftyClaimersOneRun() async throws {
        let store = store
        let winners = try await withThrowingTaskGroup(of: Int.self) { group in
            for host in 0..<50 {
                group.addTask {
                    let owner = Owner(host: "host-\(host)", epoch: "e")
                    let runs = try await store.claimFires([Self.claim(fire: 60, from: nil)], owner: owner, now: Self.at(60))
                    return runs.compactMap { $0 }.count
                }
            }
            return try await group.reduce(0, +)
        }
        try equal(winners, 1)
        try equal(try await store.runs(RunFilter()).count, 1)
    }

    func liveFireIsUnique() async throws {
        let first = try await claimed(Self.claim(fire: 60, from: nil))
        var rewind = Self.move(to: 0, from: 60)
        rewind.rewind = true
        try equal(try await store.moveCursors([rewind], now: Self.at(61)), [true])
        // The live row is that due time's entry; the cursor passes it again.
        let second = try await store.claimFires([Self.claim(fire: 60, from: 0)], owner: Self.owner, now: Self.at(61))
        try equal(second, [nil])
        try equal(try await store.runs(RunFilter()).map(\.id), [first.id])
        try equal(try await store.jobStates()["candles"]?.cursor, Self.at(60))
    }

    func waitingFire() async throws {
        let run = try await claimed(Self.claim(fire: 60, from: nil, waits: true))
        let row = try await record(run.id)
        try equal(row.state, .available)
        try equal(row.attempt, 0)
        try equal(row.owner, "")
        let claims = try await waiting("candles", now: 61)
        try equal(claims.map(\.id), [run.id])
        try equal(claims.first?.attempt, 1)
        try equal(claims.first?.idempotencyKey, run.idempotencyKey)
    }

    func waitingFiresAreFound() async throws {
        let waits = try await claimed(Self.claim("a", fire: 1, from: nil, waits: true))
        let released = try await claimed(Self.claim("b", fire: 3, from: nil))
        try await store.releaseClaims([released.held], owner: Self.owner, now: Self.at(1))
        _ = try await claimed(Self.claim("c", fire: 1, from: nil))
        try await enqueued(Self.request("a"))
        try equal(try await store.waitingFires(upTo: Self.at(2)), [WaitingFire(run: waits.id, job: "a", trigger: .schedule)])
        try equal(Set(try await store.waitingFires(upTo: Self.at(3)).map(\.run)), [waits.id, released.id])
        let again = try await waiting("a", now: 2)
        try await store.releaseClaims(again.map(\.held), owner: Self.owner, now: Self.at(2))
        try equal(try await store.waitingFires(upTo: Self.at(2)).map(\.run), [waits.id])
    }

    func rangesGrow() async throws {
        let moves = [
            Self.move(to: 3, from: nil, ranges: [Self.range(.overlap, 1, 3, count: 3)]),
            Self.move(to: 4, from: 3, ranges: [Self.range(.overlap, 4, 4, count: 1)]),
            Self.move(to: 6, from: 4, ranges: [Self.range(.overlap, 5, 5, count: 1), Self.range(.paused, 6, 6, count: 1)]),
            Self.move(to: 7, from: 6, ranges: [Self.range(.paused, 7, 7, count: 1)]),
        ]
        for move in moves { try equal(try await store.moveCursors([move], now: move.newCursor), [true]) }
        try equal(try await store.ranges(job: "candles", from: nil, to: nil, limit: 10), [
            LedgerRange(job: "candles", reason: .paused, first: Self.at(6), last: Self.at(7), count: 2),
            LedgerRange(job: "candles", reason: .overlap, first: Self.at(1), last: Self.at(5), count: 5),
        ])
        try equal(try await store.counters(), ["candles": ["overlap": 5, "paused": 2]])
    }

    func runsSeparateRanges() async throws {
        let skip = { (s: Int64) in [Self.range(.breaker, s, s, count: 1)] }
        _ = try await store.moveCursors([Self.move(to: 1, from: nil, ranges: skip(1))], now: Self.at(1))
        // The range at 2 lies before the run at 3 and grows; the one at 4 lies behind it.
        _ = try await claimed(Self.claim(fire: 3, from: 1, ranges: skip(2)))
        _ = try await store.moveCursors([Self.move(to: 4, from: 3, ranges: skip(4))], now: Self.at(4))
        try equal(try await store.ranges(job: nil, from: nil, to: nil, limit: 10).map(\.count), [1, 2])
    }

    func aWeekIsOneRow() async throws {
        let week: Int64 = 7 * 86_400
        _ = try await store.moveCursors([Self.move(to: 0, from: nil)], now: Self.at(0))
        var cursor: Int64 = 0
        while cursor < week {
            let next = min(cursor + 9_000, week)
            let move = Self.move(to: next, from: cursor, ranges: [Self.range(.window, cursor + 1, next, count: next - cursor)])
            try equal(try await store.moveCursors([move], now: Self.at(week)), [true])
            cursor = next
        }
        try equal(try await store.ranges(job: "candles", from: nil, to: nil, limit: 10), [
            LedgerRange(job: "candles", reason: .window, first: Self.at(1), last: Self.at(week), count: week)
        ])
        try equal(try await store.counters()["candles"], ["window": week])
    }

    /// Seeded: 300 due times that are claimed, skipped or missed as a generator says.
    func everyDueTimeIsAccountedFor() async throws {
        var dice = Dice(seed: 20_251_201)
        var cursor: Int64?
        var due: Int64 = 0
        while due < 300 {
            let length = Int64(dice.next(4)) + 1
            let reasons: [NoRunReason] = [.overlap, .breaker, .paused, .window]
            let range = Self.range(reasons[dice.next(4)], due + 1, due + length, count: length)
            due += length
            if dice.next(2) == 0 {
                due += 1
                _ = try await claimed(Self.claim(fire: due, from: cursor, ranges: [range]))
            } else {
                try equal(try await store.moveCursors([Self.move(to: due, from: cursor, ranges: [range])], now: Self.at(due)), [true])
            }
            cursor = due
        }
        let rows = try await store.runs({ var all = RunFilter(job: "candles"); all.limit = 1_000; return all }())
        let ranges = try await store.ranges(job: "candles", from: nil, to: nil, limit: 1_000)
        try equal(Int64(rows.count) + ranges.reduce(0) { $0 + $1.count }, due)
        // Neighbours of one reason would have been one range.
        let entries = (rows.map { ($0.fireTime, "run \($0.id)") } + ranges.map { ($0.first, $0.reason.rawValue) })
            .sorted { $0.0 < $1.0 }
        for (left, right) in zip(entries, entries.dropFirst()) {
            try demand(left.1 != right.1, "two ranges of \(left.1) in a row at \(right.0)")
        }
    }

    func onlyRewindsGoBack() async throws {
        _ = try await store.moveCursors([Self.move(to: 100, from: nil)], now: Self.at(100))
        var back = Self.move(to: 50, from: 100)
        try equal(try await store.moveCursors([back], now: Self.at(50)), [false])
        back.rewind = true
        try equal(try await store.moveCursors([back], now: Self.at(50)), [true])
        try equal(try await store.jobStates()["candles"]?.cursor, Self.at(50))
        try equal(try await store.audit(AuditFilter(job: "candles", limit: 10)).map(\.action), ["cursor-rewind"])
    }

    func fencesAscend() async throws {
        let runs = try await store.claimFires(
            (0..<5).map { Self.claim("job-\($0)", fire: 1, from: nil) }, owner: Self.owner, now: Self.at(1))
        try await enqueued(Self.request())
        let fences = try (runs + (try await waiting(now: 2))).map { try required($0, "refused").fence }
        try equal(fences, fences.sorted())
        try equal(Set(fences).count, 6)
    }
}

/// SplitMix64: the same sequence for the same seed, everywhere.
struct Dice {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    /// 0 ..< sides.
    mutating func next(_ sides: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((mixed ^ (mixed >> 31)) % UInt64(sides))
    }
}
