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
        if isAway { return fail(call) }
        switch call {
        case .claims(let claims):
            let runs = store.claimFires(claims, epoch: epoch, asked: number)
            answers.append(.event(.firesClaimed(claims, runs)))
            let lost = zip(claims, runs).filter { $1 == nil }.map(\.0.job)
            if !lost.isEmpty { answers.append(.refresh(lost)) }
        case .moves(let moves):
            let moved = moves.map { store.move($0, asked: number) }
            answers.append(.event(.cursorsMoved(moves, moved)))
            let lost = zip(moves, moved).filter { !$1 }.map(\.0.job)
            if !lost.isEmpty { answers.append(.refresh(lost)) }
        case .waiting(let limits):
            answers.append(.event(.waitingClaimed(limits: limits, WaitingClaims(store.claimWaiting(limits, epoch: epoch, now: now.wall)))))
        case .refresh(let jobs):
            for job in jobs { answers.append(.event(.refreshed(job: job, store.states[job] ?? JobStateRow()))) }
        }
    }

    mutating func fail(_ call: Call) {
        switch call {
        case .claims(let claims): answers.append(.event(.accountingFailed(jobs: claims.map(\.job))))
        case .moves(let moves): answers.append(.event(.accountingFailed(jobs: moves.map(\.job))))
        case .waiting(let limits): answers.append(.event(.waitingClaimFailed(jobs: limits.keys.sorted())))
        case .refresh: break
        }
    }

    mutating func deliver() {
        guard !answers.isEmpty else { return }
        switch answers.removeFirst() {
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
        records = []
        var events: [Dispatcher.Event] = []
        for case .complete(let completion) in batch {
            let job = store.rows[completion.run]?.job ?? ""
            guard store.complete(completion, now: now.wall) else { continue }
            if let due = completion.availableAt { events.append(.waiting(job: job, due: due)) }
            for run in completion.enqueues { events.append(.waiting(job: run.job, due: run.fireTime)) }
        }
        for case .refuse(let refusal) in batch { store.refuse(refusal, epoch: epoch) }
        for case .release(let claim) in batch {
            store.release(claim, epoch: epoch)
            events.append(.released(jobs: [claim.job]))
        }
        for event in events { send(event) }
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
        if let i = dispatcher.index[request.job], let breaker = dispatcher.jobs[i].breaker {
            switch breaker.mode {
            case .open, .forcedOpen: check(false, "though the breaker is open")
            case .halfOpen, .closed, .disabled: break
            }
        }
        note("start run \(request.run) of \(request.job)@\(request.fireTime.rfc3339.dropFirst(14).dropLast()) attempt \(request.attempt)")
        room[request.run] = (request, false)
    }

    mutating func work(_ run: RunID) {
        guard let (request, started) = room[run] else { return }
        if !started {
            if scenario.faults.contains(.returns), chance(15), !isPrompt {
                room[run] = nil
                note("run \(run) is returned")
                return send(.returned(run: run))
            }
            room[run]!.started = true
            begun.insert(request.fence)
            return send(.started(run: run, at: now.wall, pid: 1, libraryHash: "h"))
        }
        let bad: [Outcome] = [.failed, .retry, .retry, .crashed, .timedOut, .snoozed, .nothingToDo]
        let outcome = scenario.faults.contains(.badEnds) && !isPrompt && chance(50) ? pick(bad) : .succeeded
        room[run] = nil
        if ![.retry, .snoozed].contains(outcome) { effects[run, default: 0] += 1 }
        var end = AttemptEnd(run: run, job: request.job, outcome: outcome, startedAt: now.wall, finishedAt: now.wall)
        if outcome == .snoozed { end.snoozeUntil = now.wall + .seconds(3) }
        if scenario.faults.contains(.enqueues), outcome == .succeeded, chance(10), let job = pickJob() {
            end.enqueues = [EnqueueRequest(job: job, payload: [], key: "", at: nil)]
        }
        note("run \(run) of \(request.job) ends \(outcome.rawValue)")
        send(.ended(end))
    }
}
