import JobCore
import JobStore

extension Dispatcher {
    // MARK: At the instant

    /// Starts the held claims whose instant has come, checking again what may have changed
    /// since they were made.
    mutating func startHeld(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard jobs[i].hasHeld, !clock.isHolding else { return }
        let due = jobs[i].active.values.filter { active in
            if case .held(let until) = active.phase { until <= now.wall } else { false }
        }
        for active in due.sorted(by: { $0.claim.id < $1.claim.id }) { startClaimed(i, active, now, &out) }
    }

    private mutating func startClaimed(_ i: Int, _ active: ActiveRun, _ now: Now, _ out: inout DispatchActions) {
        let job = jobs[i]
        let run = active.claim.id
        func refuse(_ reason: NoRunReason) {
            drop(run, i)
            out.refusals.append((run, reason))
            out.notes.append(DispatchNote(
                kind: .skipped(reason), job: job.name, run: run,
                text: "skipped (\(reason.rawValue)): due \(active.claim.fireTime.rfc3339)"))
        }
        if let reason = job.refusal(hostPaused: hostControl.paused, now: now.wall) { return refuse(reason) }
        let others = job.active.values.count { !$0.isHeld }
        if job.plan.config.overlap != .allow && others >= job.concurrency {
            guard job.plan.config.overlap == .queue && !job.hasQueuedFire else { return refuse(.overlap) }
            drop(run, i)
            jobs[i].hasQueuedFire = true
            out.releases.append((run, job.name))
            return
        }
        guard submit(i, active, now, &out) else { return refuse(.breaker) }
    }

    /// Takes a permit and hands the run to the process room. false: the breaker refused.
    private mutating func submit(_ i: Int, _ active: ActiveRun, _ now: Now, _ out: inout DispatchActions) -> Bool {
        var active = active
        if let permit = jobs[i].breaker?.acquire(now: now.wall) {
            if case .refused = permit { return false }
            active.permit = permit
        }
        let plan = jobs[i].plan
        active.phase = .submitted
        active.pool = plan.pool
        let claim = active.claim
        jobs[i].active[claim.id] = active
        owners[claim.id] = i
        pools[plan.pool]?.busy += 1
        jobs[i].schedule.runStarted()
        out.starts.append(AttemptRequest(
            run: claim.id, job: plan.config.name, entry: plan.config.entry, pool: plan.pool,
            attempt: claim.attempt, trigger: claim.trigger, fireTime: claim.fireTime, fence: claim.fence,
            idempotencyKey: claim.idempotencyKey, payload: claim.payload, settings: plan.settings,
            timeout: plan.config.timeout, killGrace: plan.config.killGrace, heartbeat: plan.config.heartbeat,
            state: jobs[i].state))
        return true
    }

    // MARK: Waiting runs

    /// Asks the store for waiting runs of this job, as many as there is room for.
    mutating func claimWaiting(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard settings.consumes, !jobs[i].isClaimingWaiting, let due = jobs[i].waitingDue, due <= now.wall,
            jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) == nil
        else { return }
        let held = jobs[i].active.values.count(where: \.isHeld)
        let room = jobs[i].concurrency - (jobs[i].occupied - held)
        guard room > 0 else { return }
        let pool = jobs[i].plan.pool
        let free = pools[pool]?.free ?? 0
        guard free > 0 else {
            pools[pool]?.starved.insert(i)
            return
        }
        let isProbing = jobs[i].breaker.map { $0.mode != .closed && $0.mode != .disabled } ?? false
        jobs[i].isClaimingWaiting = true
        jobs[i].forgetWaiting(upTo: now.wall)
        out.waiting[jobs[i].name] = isProbing ? 1 : min(room, free)
    }

    mutating func waitingClaimed(
        _ limits: [String: Int], _ runs: [ClaimedRun], _ now: Now, _ out: inout DispatchActions
    ) {
        var counts: [String: Int] = [:]
        for run in runs {
            counts[run.job, default: 0] += 1
            guard let i = index[run.job], !isDraining else {
                out.releases.append((run.id, run.job))
                continue
            }
            if run.trigger == .schedule && run.attempt == 1 { jobs[i].hasQueuedFire = false }
            let isRefused = jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) != nil
            if isRefused || !submit(i, ActiveRun(claim: run, phase: .submitted), now, &out) {
                out.releases.append((run.id, run.job))
            }
        }
        for (name, limit) in limits {
            guard let i = index[name] else { continue }
            jobs[i].isClaimingWaiting = false
            // As many as were asked for: there may be more.
            if counts[name, default: 0] >= limit { jobs[i].noteWaiting(now.wall) }
            consider(i, now, &out)
        }
    }

    // MARK: Ends

    mutating func attemptEnded(_ end: AttemptEnd, _ now: Now, _ out: inout DispatchActions) {
        guard let i = owners[end.run], let active = jobs[i].active[end.run] else { return }
        // What was refused until now was refused by the breaker as it is now.
        flushRefused(i, now, &out)
        drop(end.run, i, givesPermitBack: false)
        if let started = end.startedAt { pools[active.pool]?.observe(run: end.finishedAt - started) }

        let plan = jobs[i].plan
        let next = RunLifecycle.afterAttempt(
            outcome: end.outcome, attempt: active.claim.attempt, maxAttempts: active.claim.maxAttempts,
            idempotent: plan.entry.idempotent, policy: plan.config.retry, snoozeUntil: end.snoozeUntil,
            retryNotBefore: end.retryNotBefore, seed: settings.seed ^ UInt64(bitPattern: end.run.value), now: now.wall)
        var completion = Completion(
            run: end.run, fence: active.claim.fence, outcome: end.outcome, state: next.state,
            finishedAt: end.finishedAt)
        completion.availableAt = next.availableAt
        completion.countsAttempt = next.countsAttempt
        completion.startedAt = end.startedAt
        completion.pid = end.pid
        completion.libraryHash = end.libraryHash
        completion.reason = join(end.reason, next.reason)
        completion.code = end.code
        completion.items = end.items
        completion.cpu = end.cpu
        if let blob = end.state {
            jobs[i].state = blob
            completion.stateBlob = Completion.StateWrite(version: blob.version, bytes: blob.bytes)
        }
        completion.enqueues = enqueues(of: end, i, now)
        completion.breaker = recordInBreaker(i, end, active.permit, now, &out)
        jobs[i].schedule.runFinished(outcome: end.outcome, items: end.items, at: end.finishedAt)
        completion.adaptiveInterval = jobs[i].schedule.adaptiveInterval
        jobs[i].remember(record(of: end, active, completion, plan))
        if end.badSettings { disable(i, end.reason, &out) }

        out.notes.append(DispatchNote(
            kind: .ended(end.outcome, next.state), job: plan.config.name, run: end.run, text: completion.reason))
        out.completions.append((plan.config.name, completion))
        afterSlotFreed(i, pool: active.pool, now, &out)
    }

    /// The row that the completion will have left in the store.
    private func record(
        of end: AttemptEnd, _ active: ActiveRun, _ completion: Completion, _ plan: ResolvedJob
    ) -> RunRecord {
        let claim = active.claim
        return RunRecord(
            id: end.run, job: plan.config.name, trigger: claim.trigger, state: completion.state,
            outcome: end.outcome, fireTime: claim.fireTime, availableAt: completion.availableAt ?? claim.fireTime,
            createdAt: claim.fireTime, startedAt: end.startedAt, finishedAt: end.finishedAt,
            attempt: claim.attempt, maxAttempts: claim.maxAttempts, priority: claim.priority, fence: claim.fence,
            owner: "", epoch: "", pid: end.pid, libraryHash: end.libraryHash, generation: generation,
            reason: completion.reason, code: end.code, items: end.items, cpuMicroseconds: end.cpu.microseconds,
            uniqueKey: nil, idempotencyKey: claim.idempotencyKey, retryOf: nil, payload: "")
    }

    /// What the run enqueued, and the runs of jobs that follow it.
    private func enqueues(of end: AttemptEnd, _ i: Int, _ now: Now) -> [NewRun] {
        var runs: [NewRun] = end.enqueues.map { request in
            var run = NewRun(job: request.job, trigger: .enqueued, fireTime: request.at ?? now.wall)
            run.payload = request.payload
            run.uniqueKey = request.key.isEmpty ? nil : request.key
            if let target = index[request.job] { setDefaults(&run, jobs[target].plan) }
            return run
        }
        guard end.outcome == .succeeded || end.outcome == .nothingToDo else { return runs }
        for follower in followers(of: jobs[i].name) {
            guard let target = index[follower] else { continue }
            var run = NewRun(job: follower, trigger: .after, fireTime: now.wall)
            run.idempotencyKey = "\(follower)@after-\(end.run)"
            setDefaults(&run, jobs[target].plan)
            runs.append(run)
        }
        return runs
    }

    func setDefaults(_ run: inout NewRun, _ plan: ResolvedJob) {
        run.priority = plan.config.priority
        run.maxAttempts = plan.config.retry.maxAttempts
    }

    private mutating func recordInBreaker(
        _ i: Int, _ end: AttemptEnd, _ permit: Breaker.Permit?, _ now: Now, _ out: inout DispatchActions
    ) -> BreakerRow? {
        guard let before = jobs[i].breaker, case .granted(let generation, let isProbe)? = permit else { return nil }
        let transition = jobs[i].breaker?.record(
            end.outcome, generation: generation, wasProbe: isProbe, now: now.wall)
        if let transition {
            out.notes.append(DispatchNote(
                kind: .breaker, job: jobs[i].name, run: end.run,
                text: breakerText(transition)))
        }
        guard let after = jobs[i].breaker, after != before else { return nil }
        return row(of: after)
    }

    private func breakerText(_ transition: Breaker.Transition) -> String {
        switch transition.to {
        case .open(let until): "breaker opened until \(until.rfc3339): \(transition.reason)"
        case .closed: "breaker closed: \(transition.reason)"
        case .halfOpen: "breaker half-open: \(transition.reason)"
        case .forcedOpen: "breaker forced open: \(transition.reason)"
        case .disabled: "breaker disabled: \(transition.reason)"
        }
    }

    private mutating func disable(_ i: Int, _ reason: String, _ out: inout DispatchActions) {
        jobs[i].badSettings = reason
        out.notes.append(DispatchNote(
            kind: .badSettings, job: jobs[i].name, run: nil,
            text: "disabled until the next reload: the entry refused its settings: \(reason)"))
    }

    /// A run that the room never started is due again at once, its attempt uncounted.
    mutating func attemptReturned(_ run: RunID, _ now: Now, _ out: inout DispatchActions) {
        guard let i = owners[run] else { return }
        let pool = jobs[i].active[run]?.pool ?? ""
        drop(run, i)
        jobs[i].schedule.runReturned()
        out.releases.append((run, jobs[i].name))
        afterSlotFreed(i, pool: pool, now, &out)
    }

    /// An operator's cancel. What is with the process room gets its flag and ends by it; a held
    /// claim ends here.
    mutating func cancel(_ run: RunID, now: Now) -> DispatchActions {
        var out = DispatchActions()
        defer { out.wakeAt = wakeAt }
        guard let i = owners[run], let active = jobs[i].active[run] else { return out }
        guard active.isHeld else {
            out.cancels.append((run, .operatorAsked))
            return out
        }
        var end = AttemptEnd(
            run: run, job: jobs[i].name, outcome: .cancelled, startedAt: nil, finishedAt: now.wall,
            reason: CancelReason.operatorAsked.rawValue)
        end.libraryHash = jobs[i].plan.libraryHash
        attemptEnded(end, now, &out)
        return out
    }

    /// Forgets an active run; a probe's permit goes back.
    mutating func drop(_ run: RunID, _ i: Int, givesPermitBack: Bool = true) {
        guard let active = jobs[i].active.removeValue(forKey: run) else { return }
        owners[run] = nil
        if !active.isHeld { pools[active.pool]?.busy -= 1 }
        if givesPermitBack, let permit = active.permit { jobs[i].breaker?.release(permit) }
    }

    private mutating func afterSlotFreed(_ i: Int, pool: String, _ now: Now, _ out: inout DispatchActions) {
        consider(i, now, &out)
        guard let starved = pools[pool]?.starved, !starved.isEmpty else { return }
        pools[pool]?.starved = []
        for other in starved.sorted(by: { jobs[$0].plan.config.priority > jobs[$1].plan.config.priority }) {
            consider(other, now, &out)
        }
    }

    private func join(_ first: String, _ second: String) -> String {
        if first.isEmpty { return second }
        return second.isEmpty ? first : "\(first); \(second)"
    }
}
