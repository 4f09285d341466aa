import JobConfig
import JobCore
import JobStore

@testable import JobHost

/// What the host speaks with: a store that answers late or not at all, and workers that end in every way.
extension SimulatedWorld {
    // MARK: The store's side
    /// Everything that is asked for is answered at once.
    mutating func settle() {
        guard !isSettling else { return }
        isSettling = true
        defer { isSettling = false }
        for _ in 0..<10_000 {
            if !answers.isEmpty { deliver() } else if !calls.isEmpty { commit() } else if !records.isEmpty, !isAway { writeRecords() } else { return }
        }
        faults.append("the host and the store keep each other busy: \(calls.first.map { "\($0.call)" } ?? "results")")
    }

    mutating func commit() {
        guard !calls.isEmpty else { return }
        let (number, call) = calls.removeFirst()
        func answer(_ answer: Answer) { answers.append((number, answer)) }
        if isAway { return fail(call, number) }
        let isLost = scenario.faults.contains(.lostAnswers) && !isPrompt && chance(scenario.isDay ? 1 : 5)
        defer {
            if isLost {
                note("the store has done it, and says that it could not")
                answers.removeAll { $0.number == number }
                fail(call, number)
            }
        }
        switch call {
        case .claims(let claims):
            let runs = store.claimFires(claims.map { spoiled($0) }, epoch: epoch, asked: number)
            answer(.event(.firesClaimed(claims, runs)))
            let lost = zip(claims, runs).filter { $1 == nil }.map(\.0.job)
            if !lost.isEmpty { answer(.refresh(lost)) }
        case .moves(let moves):
            let moved = moves.map { store.move(spoiled($0), asked: number) }
            answer(.event(.cursorsMoved(moves, moved)))
            let lost = zip(moves, moved).filter { !$1 }.map(\.0.job)
            if !lost.isEmpty { answer(.refresh(lost)) }
        case .waiting(let limits):
            let claims = store.claimWaiting(limits, epoch: epoch, now: now.wall)
            if planted == .forgottenClaim, !claims.isEmpty { return }
            answer(.event(.waitingClaimed(limits: limits, WaitingClaims(claims))))
        case .refresh(let jobs):
            for job in jobs { answer(.event(.refreshed(job: job, store.states[job] ?? JobStateRow()))) }
        }
    }

    mutating func fail(_ call: Call, _ number: Int) {
        func answer(_ event: Dispatcher.Event) { answers.append((number, .event(event))) }
        switch call {
        case .claims(let claims): answer(.accountingFailed(jobs: claims.map(\.job)))
        case .moves(let moves): answer(.accountingFailed(jobs: moves.map(\.job)))
        case .waiting(let limits): answer(.waitingClaimFailed(jobs: limits.keys.sorted()))
        case .refresh: break
        }
    }

    mutating func deliver() {
        guard !answers.isEmpty else { return }
        switch answers.removeFirst().answer {
        case .event(let event): send(event)
        case .refresh(let jobs):
            asked += 1
            calls.append((asked, .refresh(Array(Set(jobs)).sorted())))
        }
    }

    /// As the supervisor writes its batches: completions, refusals, releases.
    mutating func writeRecords() {
        guard !isAway, !records.isEmpty else { return }
        let batch = records
        let isLost = scenario.faults.contains(.lostAnswers) && !isPrompt && chance(scenario.isDay ? 1 : 5)
        if isLost { note("the store has taken results, and says that it could not") } else { records = [] }
        var events: [Dispatcher.Event] = []
        var unsure: Set<String> = []
        for case .complete(let completion) in batch where planted != .forgottenEnd {
            let job = store.rows[completion.run]?.job ?? ""
            let before = store.states[job]?.breaker
            guard store.complete(completion, now: now.wall) else {
                if completion.breaker != nil { unsure.insert(job) }
                continue
            }
            if let row = store.states[job]?.breaker, row != before {
                storedBreakers[job] = breakersAtEnd[completion.fence]
                note("run \(completion.run) leaves the breaker of \(job) in the store as \(row.data)")
            }
            if let due = completion.availableAt { events.append(.waiting(job: job, due: due)) }
            for run in completion.enqueues { events.append(.waiting(job: run.job, due: run.fireTime)) }
        }
        for case .refuse(let refusal) in batch { store.refuse(refusal, epoch: epoch) }
        for case .release(let claim) in batch {
            store.release(claim, epoch: epoch)
            events.append(.released(jobs: [claim.job]))
        }
        // It did not hear of what it has written: it writes it again.
        if isLost { return goOn() }
        for event in events { send(event) }
        for job in unsure.sorted() {
            guard let row = store.states[job]?.breaker else { continue }
            perform(dispatcher.adoptBreaker(job: job, row, isSettled: !records.contains { $0.writesBreaker(of: job, in: store) }, now: now))
        }
    }

    private func spoiled(_ claim: FireClaim) -> FireClaim {
        var claim = claim
        if planted == .shiftedFire { claim.fireTime = claim.fireTime + .milliseconds(1) }
        if planted == .forgottenRange { claim.ranges = [] }
        return claim
    }

    private func spoiled(_ move: CursorMove) -> CursorMove {
        var move = move
        if planted == .forgottenRange { move.ranges = [] }
        return move
    }

    private func told(_ outcome: Outcome) -> Outcome {
        planted == .deafBreaker && [.failed, .retry, .crashed, .timedOut].contains(outcome) ? .succeeded : outcome
    }

    // MARK: The workers' side
    mutating func start(_ request: AttemptRequest) {
        let row = store.rows[request.run]
        func check(_ holds: Bool, _ sentence: String) {
            if !holds { faults.append("run \(request.run) of \(request.job), due \(request.fireTime.rfc3339), was started \(sentence)") }
        }
        check(row?.state == .running && row?.epoch == epoch && row?.fence == request.fence, "without a claim")
        check(room[request.run] == nil, "twice at a time")
        if let row, row.isFire {
            check(
                !room.values.contains { $0.request.job == request.job && $0.request.fireTime == request.fireTime && store.rows[$0.request.run]?.isFire == true },
                "while another run of that due time ran")
        }
        check(effects[request.run, default: 0] == 0 || idempotent[request.job]!, "again, and its entry is not idempotent")
        if let config = configs[request.job] {
            let others = room.values.count { $0.request.job == request.job }
            check(config.overlap == .allow || others < config.concurrency, "beyond its concurrency")
            check(store.states[request.job]?.control.enabled ?? config.enabled, "though disabled")
        } else {
            check(false, "though removed")
        }
        check(!store.hostControl.paused && store.states[request.job]?.control.paused != true, "though paused")
        check(!dispatcher.clock.isHolding, "while the clock is held")
        if request.notBefore != nil {
            check(now.wall >= request.notBefore!, "before its instant")
            check(breakers[request.job]?.word ?? "closed" == "closed", "though the breaker is \(breakers[request.job]?.word ?? "")")
        } else if breakers[request.job] != nil {
            permits[request.run] = breakers[request.job]!.begin(now.wall)
            check(permits[request.run] != nil, "though the breaker is \(breakers[request.job]!.word)")
        }
        note("start run \(request.run) of \(request.job)@\(request.fireTime.rfc3339.dropFirst(14).dropLast()) attempt \(request.attempt)")
        room[request.run] = (request, nil)
        if scenario.isDay { beginDaysRun(request) }
    }

    mutating func work(_ run: RunID) {
        if comingBack.contains(run) { return comesBack(run) }
        guard let (request, since) = room[run] else { return }
        guard since != nil else {
            if scenario.faults.contains(.returns), chance(scenario.isDay ? 2 : 15), !isPrompt {
                room[run] = nil
                if let permit = permits.removeValue(forKey: run) { breakers[request.job]?.giveBack(permit) }
                day.returned(run, of: plugin(of: request))
                note("run \(run) is returned")
                return send(.returned(run: run))
            }
            return begins(run)
        }
        endTogether([run] + company(of: run))
    }

    private mutating func begins(_ run: RunID) {
        guard let request = room[run]?.request else { return }
        room[run]!.since = now.wall
        begun.insert(request.fence)
        send(.started(run: run, at: now.wall, pid: 1, libraryHash: "h"))
    }

    /// What else its worker tells of with it: runs that it began before, or between. A trial hears of each end alone, as
    /// with the supervisor.
    private mutating func company(of run: RunID) -> [RunID] {
        guard day.canaries.isEmpty, chance(30) else { return [] }
        return Array(room.keys.sorted().filter { $0 != run && chance(50) }.prefix(8))
    }

    private mutating func endTogether(_ runs: [RunID]) {
        for run in runs where room[run]?.since == nil { begins(run) }
        var ends: [(request: AttemptRequest, outcome: Outcome, end: AttemptEnd)] = []
        for run in runs {
            guard let (request, since) = room.removeValue(forKey: run), let since else { continue }
            let outcome = outcome(of: request)
            ends.append((request, outcome, end(of: request, outcome, since: since)))
        }
        send(.ended(ends.map(\.end)))
        if scenario.isDay { for (request, outcome, _) in ends { endDaysRun(request, outcome) } }
    }

    private mutating func outcome(of request: AttemptRequest) -> Outcome {
        let bad: [Outcome] = [.failed, .retry, .retry, .crashed, .timedOut, .snoozed, .nothingToDo]
        let isBad = scenario.faults.contains(.badEnds) && !isPrompt && chance(50)
        return scenario.isDay ? outcomeOfDay(request) : isBad ? pick(bad) : .succeeded
    }

    private mutating func end(of request: AttemptRequest, _ outcome: Outcome, since: Instant) -> AttemptEnd {
        let run = request.run
        if ![.retry, .snoozed].contains(outcome) { effects[run, default: 0] += 1 }
        var end = AttemptEnd(run: run, job: request.job, outcome: told(outcome), startedAt: scenario.isDay ? since : now.wall, finishedAt: now.wall)
        if outcome == .snoozed { end.snoozeUntil = now.wall + .seconds(3) }
        if scenario.faults.contains(.enqueues), outcome == .succeeded, chance(scenario.isDay ? 1 : 10), let job = pickJob() {
            end.enqueues = [EnqueueRequest(job: job, payload: [], key: "", at: nil)]
        }
        if let permit = permits.removeValue(forKey: run) {
            breakers[request.job]?.end(outcome, permit, now.wall)
            breakersAtEnd[request.fence] = breakers[request.job]
        }
        note("run \(run) of \(request.job) ends \(outcome.rawValue)")
        return end
    }
}

extension SimulatedWorld.Record {
    func writesBreaker(of job: String, in store: SimulatedStore) -> Bool {
        if case .complete(let completion) = self { completion.breaker != nil && store.rows[completion.run]?.job == job } else { false }
    }
}
