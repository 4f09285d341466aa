import JobCore
import JobStore

// The end of attempts, their fences, and the rescue of runs whose owner died.

extension StoreSuite {
    static let completionRules = [
        Rule("a completed run carries everything that its attempt reported", { try await $0.completionIsComplete() }),
        Rule("an end that names its job leaves what one leaves for which the store looks it up", { try await $0.namedJobChangesNothing() }),
        Rule("a late result is refused by its fence", { try await $0.lateResultIsRefused() }),
        Rule("everything of a completion commits together, and nothing of a refused one", { try await $0.effectsCommitTogether() }),
        Rule("a retry waits, keeps its key, counts, and leaves its attempt on record", { try await $0.retryIsAnotherAttempt() }),
        Rule("snoozing costs no attempt", { try await $0.snoozeIsFree() }),
        Rule("a run that was handed back unattempted is as if never claimed", { try await $0.returnedIsUntouched() }),
        Rule("a released claim waits for its time again and its attempt is not counted", { try await $0.releasedClaim() }),
        Rule("a claim refused at the instant ends as skipped, without an attempt", { try await $0.refusedClaim() }),
        Rule("a run keeps whether its newest attempt's entry is idempotent", { try await $0.idempotencyIsKept() }),
        Rule("orphans are the running runs of this host's earlier lives", { try await $0.orphansAreOfEarlierLives() }),
        Rule("the job's row keeps the newest end and the adaptive interval", { try await $0.jobRowAfterCompletions() }),
        Rule("counters outlive the rows, and live runs are never pruned", { try await $0.retentionKeepsCounters() }),
        Rule("retention keeps the newest runs and those that are young enough", { try await $0.retentionByAgeAndNumber() }),
    ]

    func completionIsComplete() async throws {
        let run = try await claimed(Self.claim(fire: 60, from: nil))
        var end = Self.end(run, .failed, .discarded, at: 65)
        end.reason = "the exchange said no"
        end.code = -7
        end.items = .max
        end.cpu = .milliseconds(1_250)
        try equal(try await store.complete([end], now: Self.at(66)), [true])
        let row = try await record(run.id)
        try equal(row.state, .discarded)
        try equal(row.outcome, .failed)
        try equal(row.startedAt, Self.at(64))
        try equal(row.finishedAt, Self.at(65))
        try equal(row.attempt, 1)
        try equal(row.pid, 4_711)
        try equal(row.libraryHash, "cafe")
        try equal(row.reason, "the exchange said no")
        try equal(row.code, -7)
        try equal(row.items, UInt64(Int64.max))
        try equal(row.cpuMicroseconds, 1_250_000)
        try equal(try await store.counters(), ["candles": ["failed": 1, "discarded": 1]])
    }

    func namedJobChangesNothing() async throws {
        for (number, (outcome, state)) in [(Outcome.succeeded, RunState.succeeded), (.cancelled, .cancelled), (.failed, .discarded)].enumerated() {
            let job = "job\(number)"
            var request = Self.request(job, priority: 5)
            request.maxAttempts = 2
            for _ in 0..<2 { try await enqueued(request) }
            for run in try await waiting(job, limit: 2, now: 3) {
                var retry = Self.end(run, .retry, .retryable, at: 4)
                retry.availableAt = Self.at(5)
                try equal(try await store.complete([retry], now: Self.at(4)), [true])
            }
            let runs = try await waiting(job, limit: 2, now: 6)
            try equal(runs.count, 2)
            var ends = runs.map { Self.end($0, outcome, state, at: 7) }
            ends[1].job = ""
            for i in ends.indices { (ends[i].reason, ends[i].code, ends[i].items, ends[i].cpu) = ("so it was", 3, 4, .microseconds(5)) }
            var late = ends
            for i in late.indices { late[i].fence -= 1_000 }
            try equal(try await store.complete(late, now: Self.at(7)), [false, false])
            try equal(try await store.complete(ends, now: Self.at(7)), [true, true])
            try equal(try await store.complete(ends, now: Self.at(8)), [false, false])
            let named = try await record(runs[0].id)
            var unnamed = try await record(runs[1].id)
            (unnamed.id, unnamed.fence, unnamed.idempotencyKey) = (named.id, named.fence, named.idempotencyKey)
            try equal(unnamed, named)
            try equal(named.attempt, 2)
            try equal(named.availableAt, Self.at(5))
            var counters = ["retry": Int64(2), outcome.rawValue: 2]
            if state == .discarded { counters["discarded"] = 2 }
            try equal(try await store.counters()[job], counters)
            try equal(try await store.jobStates()[job]?.lastOutcome, outcome)
        }
    }

    func lateResultIsRefused() async throws {
        let first = try await claimed(Self.claim(fire: 60, from: nil))
        try await store.releaseClaims([first.held], owner: Self.owner, now: Self.at(61))
        let second = try required(try await waiting("candles", now: 62).first, "not claimed again")
        try demand(second.fence > first.fence, "the fence did not rise")
        try equal(try await store.complete([Self.end(first, .succeeded, .succeeded, at: 63)], now: Self.at(63)), [false])
        try equal(try await record(first.id).state, .running)
        // Nor does what was to become of the claim before touch this one, though it is of the same life.
        try await store.releaseClaims([first.held], owner: Self.owner, now: Self.at(63))
        try await store.refuseClaims([Refusal(first.held, .paused)], owner: Self.owner, now: Self.at(63))
        try equal(try await record(first.id).state, .running)
        try equal(try await store.counters(), [:])
        let end = Self.end(second, .succeeded, .succeeded, at: 64)
        try equal(try await store.complete([end, end], now: Self.at(64)), [true, false])
        try equal(try await store.counters()["candles"], ["succeeded": 1])
    }

    func effectsCommitTogether() async throws {
        let run = try await claimed(Self.claim(fire: 60, from: nil))
        var end = Self.end(run, .succeeded, .succeeded, at: 61)
        end.stateBlob = Completion.StateWrite(version: 3, bytes: [1, 0, 2])
        end.breaker = BreakerWrite(data: "closed", expected: 8)
        end.enqueues = [Self.request(at: 61, key: "a"), Self.request(at: 90)]
        var late = end
        late.fence += 1
        try equal(try await store.complete([late], now: Self.at(61)), [false])
        try demand(try await store.stateBlob(job: "candles") == nil, "a refused completion wrote state")
        try equal(try await store.runs(RunFilter(job: "mint")).count, 0)
        try equal(try await store.complete([end], now: Self.at(61)), [true])
        let blob = try required(try await store.stateBlob(job: "candles"), "no state")
        try equal(blob.version, 3)
        try equal(blob.bytes, [1, 0, 2])
        let blobs = try await store.stateBlobs(of: ["candles", "mint"])
        try equal(blobs.mapValues(\.bytes), ["candles": [1, 0, 2]])
        try equal(blobs.mapValues(\.version), ["candles": 3])
        try equal(try await store.stateBlobs(of: []).count, 0)
        try equal(try await store.jobStates()["candles"]?.breaker, BreakerRow(generation: 9, data: "closed"))
        try equal(try await store.runs(RunFilter(job: "mint")).map(\.state), [.scheduled, .available])
    }

    func retryIsAnotherAttempt() async throws {
        let first = try await claimed(Self.claim(fire: 60, from: nil))
        var end = Self.end(first, .timedOut, .retryable, at: 65)
        end.availableAt = Self.at(70)
        end.reason = "no answer in 4s"
        try equal(try await store.complete([end], now: Self.at(65)), [true])
        try equal(try await store.nextWaiting(), Self.at(70))
        try equal(try await waiting("candles", now: 69), [])
        let second = try required(try await waiting("candles", now: 70).first, "not due")
        try equal(second.id, first.id)
        try equal(second.attempt, 2)
        try equal(second.idempotencyKey, first.idempotencyKey)
        try equal(second.fireTime, Self.at(60))
        try equal(try await store.attempts(of: first.id), [
            AttemptRecord(
                run: first.id, attempt: 1, outcome: .timedOut, startedAt: Self.at(64), finishedAt: Self.at(65),
                pid: 4_711, libraryHash: "cafe", reason: "no answer in 4s", code: 0)
        ])
        try equal(try await store.complete([Self.end(second, .succeeded, .succeeded, at: 71)], now: Self.at(71)), [true])
        try equal(try await record(first.id).attempt, 2)
        try equal(try await store.attempts(of: first.id).count, 1)
        try equal(try await store.counters()["candles"], ["timed_out": 1, "succeeded": 1])
    }

    func snoozeIsFree() async throws {
        try await enqueued(Self.request())
        for round in 0..<5 as Range<Int64> {
            let run = try required(try await waiting(now: round * 10).first, "round \(round): not due")
            try equal(run.attempt, 1)
            var end = Self.end(run, .snoozed, .scheduled, at: round * 10)
            end.availableAt = Self.at(round * 10 + 10)
            end.countsAttempt = false
            try equal(try await store.complete([end], now: Self.at(round * 10)), [true])
        }
        let row = try required(try await store.runs(RunFilter(job: "mint")).first, "the run is gone")
        try equal(row.state, .scheduled)
        try equal(row.attempt, 0)
        try equal(row.outcome, .snoozed)
        try equal(row.availableAt, Self.at(50))
    }

    func returnedIsUntouched() async throws {
        try await enqueued(Self.request())
        let run = try required(try await waiting(now: 0).first, "not due")
        var end = Self.end(run, .cancelled, .available, at: 1)
        end.countsAttempt = false
        try equal(try await store.complete([end], now: Self.at(1)), [true])
        let row = try await record(run.id)
        try equal(row.state, .available)
        try equal(row.attempt, 0)
        try equal(row.outcome, nil)
        try equal(row.startedAt, nil)
        try equal(try await store.counters(), [:])
        try equal(try await waiting(now: 1).map(\.attempt), [1])
    }

    func releasedClaim() async throws {
        let run = try await claimed(Self.claim(fire: 60, from: nil))
        try await store.releaseClaims([run.held], owner: Owner(host: "beta", epoch: "life-1"), now: Self.at(59))
        try equal(try await record(run.id).state, .running)
        try await store.releaseClaims([run.held], owner: Self.owner, now: Self.at(59))
        let row = try await record(run.id)
        try equal(row.state, .scheduled)
        try equal(row.attempt, 0)
        try equal(try await waiting("candles", now: 59), [])
        try equal(try await waiting("candles", now: 60).map(\.attempt), [1])
    }

    func refusedClaim() async throws {
        let run = try await claimed(Self.claim(fire: 60, from: nil))
        try await store.refuseClaims([Refusal(run.held, .paused)], owner: Self.owner, now: Self.at(60))
        let row = try await record(run.id)
        try equal(row.state, .skipped)
        try equal(row.reason, "paused")
        try equal(row.attempt, 0)
        try equal(row.outcome, nil)
        try equal(row.finishedAt, Self.at(60))
        try equal(try await store.counters()["candles"], ["paused": 1])
    }

    func idempotencyIsKept() async throws {
        var claim = Self.claim("a", fire: 1, from: nil)
        claim.isIdempotent = true
        let first = try await claimed(claim)
        try equal(try await record(first.id).isIdempotent, true)
        try await store.releaseClaims([first.held], owner: Self.owner, now: Self.at(1))
        var limit = WaitingLimit(most: 1)
        limit.isIdempotent = false
        let again = try required(try await store.claimWaiting(["a": limit], owner: Self.owner, now: Self.at(2)).runs.first, "not claimed again")
        try equal(try await record(again.id).isIdempotent, false)
        let unknown = try await claimed(Self.claim("b", fire: 1, from: nil))
        try equal(try await record(unknown.id).isIdempotent, nil)
    }

    func orphansAreOfEarlierLives() async throws {
        let old = try await claimed(Self.claim("a", fire: 1, from: nil))
        let done = try await claimed(Self.claim("b", fire: 1, from: nil))
        _ = try await store.complete([Self.end(done, .succeeded, .succeeded, at: 2)], now: Self.at(2))
        let newLife = Owner(host: "alpha", epoch: "life-2")
        _ = try await store.claimFires([Self.claim("c", fire: 1, from: nil)], owner: newLife, now: Self.at(3))
        let other = Owner(host: "beta", epoch: "life-1")
        let elsewhere = try await store.claimFires([Self.claim("d", fire: 1, from: nil)], owner: other, now: Self.at(3))
        try await store.renewLeases(owner: newLife, for: .seconds(60), now: Self.at(3))
        // A store that no other host may open: whatever it was called, it was this one.
        let theirs = store.isShared ? [] : elsewhere.compactMap { $0?.id }
        try equal(try await store.orphans(host: "alpha", currentEpoch: "life-2").map(\.id), [old.id] + theirs)
    }

    func jobRowAfterCompletions() async throws {
        let first = try await claimed(Self.claim(fire: 1, from: nil))
        let second = try await claimed(Self.claim(fire: 2, from: 1))
        var newest = Self.end(second, .nothingToDo, .succeeded, at: 9)
        newest.adaptiveInterval = .seconds(40)
        _ = try await store.complete([newest], now: Self.at(9))
        _ = try await store.complete([Self.end(first, .failed, .discarded, at: 5)], now: Self.at(10))
        let state = try required(try await store.jobStates()["candles"], "no row")
        try equal(state.lastFinished, Self.at(9))
        try equal(state.lastOutcome, .nothingToDo)
        try equal(state.adaptiveInterval, .seconds(40))
        try equal(state.cursor, Self.at(2))
    }

    func retentionKeepsCounters() async throws {
        for fire in 1...5 as ClosedRange<Int64> {
            let run = try await claimed(Self.claim(fire: fire, from: fire == 1 ? nil : fire - 1))
            _ = try await store.complete([Self.end(run, .succeeded, .succeeded, at: fire)], now: Self.at(fire))
        }
        let running = try await claimed(Self.claim(fire: 6, from: 5))
        let waits = try await enqueued(Self.request("candles"))
        let rule = ["candles": RetentionRule(age: .seconds(1), runs: 0)]
        let first = try await store.prune(retention: rule, limit: 3, now: Self.at(86_400))
        try equal(first.map(\.run.value), [1, 2, 3])
        let second = try await store.prune(retention: rule, limit: 3, now: Self.at(86_400))
        try equal(second.count, 2)
        try equal(try await store.runs(RunFilter()).map(\.id), [waits.id, running.id])
        try equal(try await store.counters(), ["candles": ["succeeded": 5]])
    }

    func retentionByAgeAndNumber() async throws {
        for fire in 1...6 as ClosedRange<Int64> {
            let run = try await claimed(Self.claim(fire: fire, from: fire == 1 ? nil : fire - 1))
            _ = try await store.complete([Self.end(run, .succeeded, .succeeded, at: fire * 100)], now: Self.at(fire * 100))
        }
        _ = try await claimed(Self.claim("other", fire: 1, from: nil))
        // Older than 250 s at 600: those that ended at 100, 200 and 300.
        let aged = try await store.prune(
            retention: ["candles": RetentionRule(age: .seconds(250), runs: 100)], limit: 100, now: Self.at(600))
        try equal(aged.map(\.run.value), [1, 2, 3])
        let many = try await store.prune(
            retention: ["candles": RetentionRule(age: .seconds(86_400), runs: 2)], limit: 100, now: Self.at(600))
        try equal(many.map(\.run.value), [4])
        try equal(try await store.runs(RunFilter(job: "candles")).map(\.id.value), [6, 5])
    }
}
