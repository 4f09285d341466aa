import JobCore
import JobStore

// Beside other hosts on the same store.

extension Dispatcher {
    /// Nothing new is claimed or started until `resume`: the host has no lease, a clock that is wrong,
    /// or was taken out. What is held is given back; what runs is left to the room.
    mutating func suspend(now: Now) -> DispatchActions {
        var out = begin(now)
        guard !isSuspended else { return finish(out, now) }
        isSuspended = true
        giveBackUnbegun(now, &out)
        takeBackAll(&out)
        return finish(out, now)
    }

    mutating func resume(now: Now) -> DispatchActions {
        var out = begin(now)
        guard isSuspended else { return finish(out, now) }
        isSuspended = false
        for i in jobs.indices {
            // Whatever came to wait meanwhile.
            jobs[i].noteWaiting(now.wall)
            consider(i, now, &out)
        }
        return finish(out, now)
    }

    /// What is held for its instant, or ready for its place.
    mutating func giveBackUnbegun(_ now: Now, _ out: inout DispatchActions) {
        for i in jobs.indices {
            for run in jobs[i].held.sorted() { giveBack(run, i, &out) }
            releaseReady(i, now, &out)
        }
    }

    /// The breaker's row as the store has it. Where it is not what this host believes, another host's run or an
    /// operator there has changed it, or what ended at once on two hosts was counted together.
    ///
    /// `isSettled`: nothing of this host's own was on its way there while it was read, so that what is not known here
    /// is news; else only what is certainly newer is taken.
    mutating func adoptBreaker(job: String, _ row: BreakerRow, isSettled: Bool = true, now: Now) -> DispatchActions {
        var out = begin(now)
        guard let i = index[job], let own = jobs[i].breaker, jobs[i].storedBreaker != row,
            let stored = Breaker(stored: row, policy: own.policy, now: now.wall)
        else { return finish(out, now) }
        let known = jobs[i].storedBreaker?.generation ?? BreakerRow.first
        // A host writes nothing over these by itself, so they are an operator's.
        let isOperators = stored.mode == .disabled || stored.mode == .forcedOpen(until: nil)
        guard isSettled || row.generation > known || row.generation == known && isOperators else { return finish(out, now) }
        // What was refused until now was refused by the breaker as it was.
        flushRefused(i, now, &out)
        if row.generation == known, own.mode == .closed, stored.mode == .closed {
            // Counted elsewhere too; what runs here still counts.
            jobs[i].storedBreaker = row
            jobs[i].breaker = stored.inGeneration(own.generation)
        } else {
            takeOver(stored, row, i)
        }
        if stored.mode != own.mode {
            out.notes.append(DispatchNote(
                kind: .adoptedBreaker(stored.mode), job: job, run: nil, text: "breaker as another host left it: \(stored.reason)"))
        }
        consider(i, now, &out)
        return finish(out, now)
    }

    /// An end that was to leave a state in the store has left none there: the next attempt begins with what is there.
    /// `revision`: of the state that is not there; a newer one stands.
    mutating func restoreState(of job: String, _ stored: StateBlob?, insteadOf revision: UInt64, now: Now) -> DispatchActions {
        var out = begin(now)
        guard let i = index[job], jobs[i].stateRevision == revision else { return finish(out, now) }
        jobs[i].state = stored
        jobs[i].stateFence = 0
        consider(i, now, &out)
        return finish(out, now)
    }

    /// What a claim says of its job, so that the store can tell what other hosts leave of it.
    func describe(_ claim: inout FireClaim, _ i: Int, room: Int) {
        let plan = jobs[i].plan
        let isProbing = isProbing(i)
        if plan.config.overlap != .allow || isProbing { claim.room = isProbing ? min(room, 1) : room }
        if plan.config.overlap != .allow { claim.waiting = jobs[i].waitingFires.count }
        claim.queuesBehind = plan.config.overlap == .queue
        claim.isRelative = jobs[i].isRelative
        claim.lastFinished = jobs[i].schedule.lastFinished
        claim.stateFence = plan.entry.stateVersion > 0 ? jobs[i].stateFence : nil
        claim.isIdempotent = plan.entry.idempotent
    }

    func waitingLimit(of job: String, most: Int) -> WaitingLimit {
        guard let i = index[job] else { return WaitingLimit(most: most) }
        let room = (isProbing(i) ? 1 : jobs[i].concurrency) - jobs[i].submitted - jobs[i].ready.count
        var limit = WaitingLimit(
            most: most, room: max(room, 0), stateFence: jobs[i].plan.entry.stateVersion > 0 ? jobs[i].stateFence : nil,
            generation: generation, rate: jobs[i].plan.config.rate)
        limit.isIdempotent = jobs[i].plan.entry.idempotent
        if limit.rate != nil { limit.fires = jobs[i].waitingFires }
        return limit
    }

    /// One attempt at a time, on all hosts together.
    func isProbing(_ i: Int) -> Bool { jobs[i].breaker.map { $0.mode != .closed && $0.mode != .disabled } ?? false }
}

extension DispatchedJob {
    /// A breaker's probe is under way here.
    var hasProbe: Bool {
        active.values.contains { run in
            if case .granted(_, isProbe: true)? = run.permit { true } else { false }
        }
    }

    /// The newest generation of its breaker that a run under way has a permit of; 0: none has.
    var latestPermit: Int64 {
        active.values.reduce(0) { latest, run in
            if case .granted(let generation, _)? = run.permit { max(latest, generation) } else { latest }
        }
    }

    /// What another host's attempt has left, unless this host has had a newer one.
    func adopt(_ kept: KeptState?) {
        guard let kept, kept.fence > stateFence else { return }
        state = StateBlob(version: kept.version, bytes: kept.bytes)
        stateFence = kept.fence
    }
}
