import JobCore
import JobStore

extension Dispatcher {
    // MARK: At the instant

    /// Starts the held claims whose instant has come, checking again what may have changed
    /// since they were made.
    mutating func startHeld(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard jobs[i].hasHeld, !isAtRest else { return }
        for active in jobs[i].heldRuns(dueBy: now.wall) { startClaimed(i, active, now, &out) }
    }

    private mutating func startClaimed(_ i: Int, _ active: ActiveRun, _ now: Now, _ out: inout DispatchActions) {
        let run = active.claim.id
        if let reason = jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) {
            return refuse(run, i, reason, &out)
        }
        if jobs[i].plan.config.overlap != .allow && jobs[i].submitted >= jobs[i].concurrency {
            guard jobs[i].plan.config.overlap == .queue && jobs[i].waitingFires.isEmpty else {
                return refuse(run, i, .overlap, &out)
            }
            giveBack(run, i, &out)
            jobs[i].await(fire: run)
            return
        }
        if !submit(i, active, now, &out) { refuse(run, i, .breaker, &out) }
    }

    /// A held claim ends without an attempt.
    mutating func refuse(_ run: RunID, _ i: Int, _ reason: NoRunReason, _ out: inout DispatchActions) {
        guard let active = drop(run, i) else { return }
        out.refusals.append(Refusal(active.claim.held, reason))
        out.notes.append(DispatchNote(
            kind: .skipped(reason), job: jobs[i].name, run: run,
            text: "skipped (\(reason.rawValue)): due \(active.claim.fireTime.rfc3339)"))
    }

    /// Takes a permit and hands the run to the process room. false: the breaker refused.
    /// `notBefore`: ahead of its instant.
    mutating func submit(
        _ i: Int, _ active: ActiveRun, notBefore: Instant? = nil, _ now: Now, _ out: inout DispatchActions
    ) -> Bool {
        var active = active
        if let permit = jobs[i].breaker?.acquire(now: now.wall) {
            if case .refused = permit { return false }
            active.permit = permit
        }
        let plan = jobs[i].plan
        active.phase = notBefore.map { .sent(until: $0) } ?? .submitted
        active.pool = plan.pool
        active.plan = plan
        active.submittedAt = notBefore ?? now.wall
        active.stateRevision = jobs[i].stateRevision
        let claim = active.claim
        if let claimed = jobs[i].active[claim.id] { leave(claimed) }
        jobs[i].submit(active)
        owners[claim.id] = i
        if notBefore == nil { pools[plan.pool]?.busy += 1 } else { pools[plan.pool]?.promised += 1 }
        var request = AttemptRequest(
            run: claim.id, job: plan.config.name, entry: plan.config.entry, pool: plan.pool,
            attempt: claim.attempt, trigger: claim.trigger, fireTime: claim.fireTime, fence: claim.fence,
            idempotencyKey: claim.idempotencyKey, payload: claim.payload, settings: plan.settings,
            timeout: plan.config.timeout, killGrace: plan.config.killGrace, heartbeat: plan.config.heartbeat,
            logLevel: plan.config.logLevel, state: jobs[i].state)
        request.notBefore = notBefore
        out.starts.append(request)
        return true
    }

    /// The pool's account of it.
    mutating func leave(_ active: ActiveRun) {
        guard !active.isStuck else { return }
        if active.isHeld || active.isSentAhead { pools[active.pool]?.promised -= 1 } else { pools[active.pool]?.busy -= 1 }
    }

    /// Its worker was killed and does not end: to its job it goes on, for nobody knows what it may still do; to its pool
    /// it does not.
    mutating func attemptStuck(_ run: RunID, _ now: Now, _ out: inout DispatchActions) {
        guard let i = owners[run], let active = jobs[i].active[run], active.isWithRoom, !active.isStuck else { return }
        leave(active)
        jobs[i].change(run) { $0.isStuck = true }
        afterSlotFreed(i, pool: active.pool, now, &out)
    }

    // MARK: Waiting runs

    /// Starts what was claimed ahead, as far as the job's concurrency has places; gives it back when the job
    /// may not start anything any more.
    mutating func startReady(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard !isAtRest else { return }
        while let run = jobs[i].ready.first, let active = jobs[i].active[run] {
            guard jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) == nil else {
                return releaseReady(i, now, &out)
            }
            // The store ends it there.
            if let expires = active.claim.expiresAt, expires <= now.wall {
                giveBack(run, i, &out)
                continue
            }
            guard jobs[i].submitted < jobs[i].concurrency else { break }
            // The breaker's probe has the place.
            if !submit(i, active, now, &out) { return releaseReady(i, now, &out) }
        }
        // Looked at with each end: what is ready may be thousands.
        let surplus = jobs[i].surplus
        if surplus > 0 { for run in jobs[i].ready.all.suffix(surplus) { giveBack(run, i, &out) } }
    }

    mutating func releaseReady(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        for run in jobs[i].ready.all { giveBack(run, i, &out) }
        jobs[i].noteWaiting(now.wall)
    }

    /// The job's waiting runs queue for a worker of its pool.
    mutating func claimWaiting(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard wantsWaiting(i, now) else { return }
        let pool = jobs[i].plan.pool
        if pools[pool]?.queue.contains(i) == false {
            pools[pool]?.queue.set(job: i, at: PoolLoad.rank(priority: jobs[i].plan.config.priority, now: now))
        }
        serve(pool, now, &out)
    }

    private func wantsWaiting(_ i: Int, _ now: Now) -> Bool {
        guard settings.consumes, !isAtRest, jobs[i].asked == nil, let due = jobs[i].waitingDue, due <= now.wall,
            !jobs[i].isSupplied(in: pace.moment), jobs[i].rateLook(now.wall) == nil,
            // Hosts lock the store's row of a job with a rate: first it must be there.
            jobs[i].plan.config.rate == nil || jobs[i].storedText != nil
        else { return false }
        return jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) == nil
    }

    /// Asks the store for waiting runs of the jobs that queue for the pool, first come first
    /// served, as long as workers are free.
    mutating func serve(_ pool: String, _ now: Now, _ out: inout DispatchActions) {
        guard !isAtRest, let load = pools[pool], !load.queue.isEmpty else { return }
        guard !isAsking else {
            unserved.insert(pool)
            return
        }
        while let free = pools[pool]?.free(in: pace.moment), free > 0, let i = pools[pool]?.queue.popFirst() {
            guard jobs[i].plan.pool == pool, wantsWaiting(i, now) else { continue }
            // The others in the queue get their share too.
            let share = max(1, free / ((pools[pool]?.queue.count ?? 0) + 1))
            let limit = isProbing(i) ? 1 : min(jobs[i].claimable(in: pace.moment), share)
            guard limit > 0 else { continue }
            jobs[i].asked = .init(pool: pool, runs: limit, fires: jobs[i].waitingFires)
            pools[pool]?.asked += limit
            jobs[i].forgetWaiting(upTo: now.wall)
            out.waiting[jobs[i].name] = limit
        }
    }

    mutating func waitingClaimed(
        _ limits: [String: Int], _ claims: WaitingClaims, _ now: Now, _ out: inout DispatchActions
    ) {
        var questions: [String: DispatchedJob.Question] = [:]
        for i in indices(of: limits.keys) {
            questions[jobs[i].name] = jobs[i].asked
            endAsking(i)
        }
        isAsking = false
        pace.answer(isClaim: !claims.runs.isEmpty, now.monotonic)
        var counts: [String: Int] = [:]
        var released: Set<RunID> = []
        for run in claims.runs {
            counts[run.job, default: 0] += 1
            if !startWaiting(run, now, &out) {
                released.insert(run.id)
                out.releases.append(run.held)
            }
        }
        for (name, limit) in limits.sorted(by: { $0.key < $1.key }) {
            guard let i = index[name] else { continue }
            let question = questions[name]
            let believed = question?.fires ?? []
            let ratedUntil = claims.rated[name]
            jobs[i].rated = question?.isOvertaken == true ? nil : ratedUntil.map { ($0, asked: now.wall) }
            if ratedUntil != nil || counts[name, default: 0] >= limit {
                // As many as were asked for, or may be had: there may be more.
                jobs[i].noteWaiting(now.wall)
                jobs[i].keepWaiting(believed.subtracting(claims.gone).union(released), of: believed)
            } else {
                // Nothing else of this job waits; what was believed to has been cancelled.
                jobs[i].keepWaiting(released, of: believed)
            }
            consider(i, now, &out)
        }
        serveAll(now, &out)
    }

    /// false: it may not start now and is to be given back.
    private mutating func startWaiting(_ run: ClaimedRun, _ now: Now, _ out: inout DispatchActions) -> Bool {
        guard let i = index[run.job], !isAtRest,
            jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) == nil
        else { return false }
        jobs[i].adopt(run.state)
        if jobs[i].ready.isEmpty, jobs[i].submitted < jobs[i].concurrency {
            return submit(i, ActiveRun(claim: run, phase: .submitted), now, &out)
        }
        // As many as were asked for: a fire that has begun since took a place, not the runs' right to one.
        let pool = jobs[i].plan.pool
        owners[run.id] = i
        pools[pool]?.busy += 1
        jobs[i].hold(ready: ActiveRun(claim: run, phase: .ready, pool: pool))
        return true
    }

    mutating func waitingClaimFailed(_ names: [String], _ now: Now, _ out: inout DispatchActions) {
        isAsking = false
        pace.answer(isClaim: false, now.monotonic)
        for i in indices(of: names).sorted() {
            endAsking(i)
            jobs[i].noteWaiting(now.wall + settings.storeBackoff)
            consider(i, now, &out)
        }
        serveAll(now, &out)
    }

    private mutating func endAsking(_ i: Int) {
        guard let asked = jobs[i].asked else { return }
        jobs[i].asked = nil
        pools[asked.pool]?.asked -= asked.runs
        unserved.insert(asked.pool)
    }

    private mutating func serveAll(_ now: Now, _ out: inout DispatchActions) {
        let keys = unserved.sorted()
        unserved = []
        for key in keys { serve(key, now, &out) }
    }

    // MARK: Under way

    /// Asks for nothing.
    mutating func started(_ run: RunID, at: Instant, pid: Int32, libraryHash: String) {
        guard let i = owners[run] else { return }
        began(run, i)
        jobs[i].change(run) {
            $0.phase = .running(since: at, pid: pid)
            $0.libraryHash = libraryHash
        }
    }

    mutating func progress(_ run: RunID, done: UInt64, total: UInt64, _ text: String) {
        guard let i = owners[run] else { return }
        jobs[i].change(run) {
            $0.done = done
            $0.total = total
            $0.text = text
        }
    }

    // MARK: Ends

    /// Each is taken in before anything follows from any: what one of them decides, of its job's breaker or state, holds
    /// for whatever takes the place of another, and each job is looked at once.
    mutating func attemptsEnded(_ ends: [AttemptEnd], _ now: Now, _ out: inout DispatchActions) {
        var freed: [(job: Int, pool: String)] = []
        for end in ends {
            guard let place = attemptEnded(end, now, &out), !freed.contains(where: { $0 == place }) else { continue }
            freed.append(place)
        }
        for (i, pool) in freed { afterSlotFreed(i, pool: pool, now, &out) }
    }

    /// → The place that it frees; nil: it is nobody's that is known here.
    private mutating func attemptEnded(_ end: AttemptEnd, _ now: Now, _ out: inout DispatchActions) -> (job: Int, pool: String)? {
        guard let i = owners[end.run], jobs[i].active[end.run] != nil else { return nil }
        // What was refused until now was refused by the breaker as it is now.
        flushRefused(i, now, &out)
        guard let active = drop(end.run, i, givesPermitBack: false) else { return nil }
        if let started = end.startedAt {
            pools[active.pool]?.observe(run: end.finishedAt - started)
            jobs[i].meanRun.observe(end.finishedAt - started)
        }

        let plan = jobs[i].plan
        let next = RunLifecycle.afterAttempt(
            outcome: end.outcome, attempt: active.claim.attempt, maxAttempts: active.claim.maxAttempts,
            idempotent: active.isIdempotent, policy: plan.config.retry, snoozeUntil: end.snoozeUntil,
            retryNotBefore: end.retryNotBefore, expiresAt: active.claim.expiresAt, seed: settings.seed ^ UInt64(bitPattern: end.run.value), now: now.wall)
        var completion = Completion(
            run: end.run, fence: active.claim.fence, outcome: end.outcome, state: next.state,
            finishedAt: end.finishedAt)
        completion.job = plan.config.name
        completion.availableAt = next.availableAt
        completion.isInstantNamed = next.isInstantNamed
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
            jobs[i].stateFence = max(jobs[i].stateFence, active.claim.fence)
            completion.stateBlob = Completion.StateWrite(version: blob.version, bytes: blob.bytes)
        }
        completion.enqueues = enqueues(of: end, i, now, &out)
        completion.breaker = recordInBreaker(i, end, active.permit, now, &out)
        if active.isWithRoom {
            jobs[i].schedule.runFinished(outcome: end.outcome, items: end.items, at: end.finishedAt)
        } else {
            jobs[i].waitsNoMore(end.run)
        }
        completion.adaptiveInterval = jobs[i].schedule.adaptiveInterval
        jobs[i].remember(record(of: end, active, completion, plan))
        jobs[i].ends.note(now.monotonic)
        if end.outcome.isFailure { jobs[i].errors.note(now.monotonic) }
        // What another plan or another library makes of its settings says nothing of these.
        if end.badSettings, active.plan === plan, end.libraryHash == plan.libraryHash { disable(i, end.reason, &out) }

        out.notes.append(DispatchNote(
            kind: .ended(end.outcome, next.state), job: plan.config.name, run: end.run, text: completion.reason,
            record: jobs[i].newestRun))
        out.completions.append((plan.config.name, completion))
        return (i, active.pool)
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

    /// What the run enqueued, and the runs of jobs that follow it. A payload is held to the schema of the job
    /// that it is for, as at every other door; a job that is not here may come.
    private func enqueues(of end: AttemptEnd, _ i: Int, _ now: Now, _ out: inout DispatchActions) -> [NewRun] {
        func tell(_ text: String) {
            out.notes.append(DispatchNote(kind: .badEnqueue, job: jobs[i].name, run: end.run, text: text))
        }
        var runs: [NewRun] = end.enqueues.compactMap { request in
            if let target = index[request.job], !jobs[target].isRemoved {
                let schema = jobs[target].plan.entry.payloadSchema
                if let problem = PayloadCheck.problem(request.payload, schema: schema) {
                    tell("it enqueued a run of \(request.job), which is refused: its payload \(problem)")
                    return nil
                }
            } else {
                tell("it enqueued a run of \(request.job), which this host does not serve: it waits until a job of that name does")
            }
            var run = NewRun(job: request.job, trigger: .enqueued, fireTime: request.at ?? now.wall)
            run.payload = request.payload
            run.uniqueKey = request.key.isEmpty ? nil : request.key
            if let target = index[request.job] {
                setDefaults(&run, jobs[target].plan)
                run.expiresAt = jobs[target].plan.config.expiry(due: run.fireTime, now: now.wall)
            }
            return run
        }
        guard end.outcome == .succeeded || end.outcome == .nothingToDo else { return runs }
        for follower in followers(of: jobs[i].name) {
            var run = NewRun(job: follower.config.name, trigger: .after, fireTime: now.wall)
            run.idempotencyKey = "\(run.job)@after-\(end.run)"
            setDefaults(&run, follower)
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
    ) -> BreakerWrite? {
        guard let before = jobs[i].breaker, case .granted(let generation, let isProbe)? = permit else { return nil }
        let transition = jobs[i].breaker?.record(
            end.outcome, generation: generation, wasProbe: isProbe, text: end.reason, now: now.wall)
        if let transition {
            out.notes.append(DispatchNote(
                kind: .breaker(transition.to), job: jobs[i].name, run: end.run,
                text: breakerText(transition)))
        }
        guard let after = jobs[i].breaker, after != before else { return nil }
        var write = BreakerWrite(data: after.encoded, expected: jobs[i].storedBreaker?.generation ?? BreakerRow.first)
        if before.mode == .closed {
            write.count = BreakerWrite.Count(outcome: end.outcome, text: end.reason, at: now.wall, policy: after.policy)
        }
        // As it will be there, if nobody else is faster.
        jobs[i].storedBreaker = BreakerRow.after(write, on: jobs[i].storedBreaker) ?? jobs[i].storedBreaker
        return write
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
            text: "disabled until the next reload: \(reason)"))
    }

    /// A run that the room never started is due again at once, its attempt uncounted.
    mutating func attemptReturned(_ run: RunID, _ now: Now, _ out: inout DispatchActions) {
        guard let i = owners[run] else { return }
        if jobs[i].sentAhead.contains(run) { return cameBack(run, i, now, &out) }
        guard let active = drop(run, i) else { return }
        if active.isWithRoom { jobs[i].schedule.runReturned() }
        // A fire that has not begun waits again, and keeps its place.
        if active.claim.attempt == 1, isWaitingFire(active.claim.trigger, i) { jobs[i].await(fire: run) }
        out.releases.append(active.claim.held)
        afterSlotFreed(i, pool: active.pool, now, &out)
    }

    /// A run of this trigger that waits takes a place of its job's fires: one on time, or any of
    /// a rule that counts from the end of runs.
    func isWaitingFire(_ trigger: Trigger, _ i: Int) -> Bool {
        trigger == .schedule || trigger == .catchUp && jobs[i].isRelative
    }

    /// An operator's cancel. What is with the process room gets its flag and ends by it; a held
    /// claim ends here.
    mutating func cancel(
        _ run: RunID, reason: String = CancelReason.operatorAsked.rawValue, now: Now
    ) -> DispatchActions {
        var out = begin(now)
        guard let i = owners[run], let active = jobs[i].active[run] else { return finish(out, now) }
        guard !active.isWithRoom else {
            out.cancels.append((run, .operatorAsked))
            return finish(out, now)
        }
        var end = AttemptEnd(
            run: run, job: jobs[i].name, outcome: .cancelled, startedAt: nil, finishedAt: now.wall,
            reason: reason)
        end.libraryHash = jobs[i].plan.libraryHash
        attemptsEnded([end], now, &out)
        return finish(out, now)
    }

    /// Forgets an active run; a probe's permit goes back.
    @discardableResult
    mutating func drop(_ run: RunID, _ i: Int, givesPermitBack: Bool = true) -> ActiveRun? {
        guard let active = jobs[i].forget(run) else { return nil }
        owners[run] = nil
        leave(active)
        if givesPermitBack, let permit = active.permit { jobs[i].breaker?.release(permit) }
        return active
    }

    /// A claim that has not begun goes back to the store.
    mutating func giveBack(_ run: RunID, _ i: Int, _ out: inout DispatchActions) {
        if let active = drop(run, i) { out.releases.append(active.claim.held) }
    }

    mutating func afterSlotFreed(_ i: Int, pool: String, _ now: Now, _ out: inout DispatchActions) {
        consider(i, now, &out)
        serve(pool, now, &out)
    }

    private func join(_ first: String, _ second: String) -> String {
        if first.isEmpty { return second }
        return second.isEmpty ? first : "\(first); \(second)"
    }
}
