import JobCore
import JobStore

extension Dispatcher {
    // MARK: From schedule to claim

    /// A fire may be claimed ahead: the job has room and no rate, a worker is free, and none is held already.
    func canPreclaim(_ i: Int) -> Bool {
        !jobs[i].hasHeld && jobs[i].hasRoom && jobs[i].plan.config.rate == nil && (pools[jobs[i].plan.pool]?.freeAhead ?? 0) > 0
    }

    /// How far ahead this fire is claimed: of a job that fires often, not in the first three tenths of the time since the fire
    /// before, which is when the runs of that one begin and end.
    func preclaimLead(_ i: Int, for fire: Instant) -> Duration {
        min(settings.preclaimLead, max(.zero, fire - jobs[i].schedule.cursor) * 7 / 10)
    }

    /// Until when accounting waits after a failure; nil: it does not. A clock that was set back
    /// does not prolong it.
    func backoff(_ i: Int, _ now: Instant) -> Instant? {
        guard let retry = jobs[i].accountingRetry, now < retry, retry <= now + settings.storeBackoff else { return nil }
        return retry
    }

    /// Until when runs on other hosts leave no room; nil: they do. It never lasts longer than to the
    /// next fire, whatever becomes of the clock.
    func busyElsewhere(_ i: Int, _ now: Instant) -> Instant? {
        guard let until = jobs[i].busyElsewhereUntil, now < until else { return nil }
        let next = jobs[i].schedule.nextFire() ?? now
        return until <= max(now, next) + .seconds(1) ? until : nil
    }

    /// Brings the job's schedule and the store on.
    mutating func account(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard !isAtRest, !isLeftToOthers(i), !jobs[i].isAccounting, backoff(i, now.wall) == nil, busyElsewhere(i, now.wall) == nil else { return }
        if jobs[i].storedText == nil { return introduce(i, &out) }
        if jobs[i].mayRewind, rewind(i, now, &out) { return }
        guard settings.schedules else { return }
        if jobs[i].unrecorded != nil, recordRefused(i, &out) { return }
        if let due = jobs[i].settlingDue, due <= now.wall { settle(i, now, &out) }
        // Nothing to settle yet: an earlier edit lies ahead of a clock that was set back.
        if !jobs[i].isAccounting { accountFires(i, now, &out) }
    }

    /// The job's first appearance: it fires from here on.
    private mutating func introduce(_ i: Int, _ out: inout DispatchActions) {
        out.moves.append(CursorMove(
            job: jobs[i].name, expectedCursor: nil, newCursor: jobs[i].schedule.cursor, scheduleText: jobs[i].ruleText))
        ask(i, for: jobs[i].schedule.cursor)
    }

    /// The store is being asked to bring the cursor there.
    private mutating func ask(_ i: Int, for cursor: Instant) {
        jobs[i].isAccounting = true
        jobs[i].noteAsked(for: cursor)
    }

    /// true: the cursor lies in the future and is being set back to now.
    private mutating func rewind(_ i: Int, _ now: Now, _ out: inout DispatchActions) -> Bool {
        let cursor = jobs[i].schedule.cursor
        guard cursor > now.wall + JobSchedule.preclaimReach else {
            jobs[i].mayRewind = false
            return false
        }
        out.moves.append(CursorMove(
            job: jobs[i].name, expectedCursor: cursor, newCursor: now.wall, scheduleText: jobs[i].ruleText, rewind: true))
        ask(i, for: now.wall)
        return true
    }

    /// The rule was edited: the old one accounts for what was due until then, and the store
    /// learns of the new one at once, so that after a restart the old one does not account for
    /// times that were already the new one's.
    private mutating func settle(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        if let reason = jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) {
            let accounting = jobs[i].schedule.refuse(upTo: now.wall, reason: reason)
            move(i, to: accounting.cursor, ranges: accounting.ranges, &out)
        } else {
            claimDue(i, now, &out)
        }
    }

    /// Accounts for the job's due fires, and claims the next one ahead when that is possible.
    private mutating func accountFires(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard let next = jobs[i].schedule.nextFire() else { return }
        if let change = jobs[i].breaker?.nextChange, change <= now.wall, next < change {
            // Due while it was open, and looked at too late: by when they were due.
            jobs[i].unrecorded = (change - .microseconds(1), .breaker)
            _ = recordRefused(i, &out)
        } else if let reason = jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) {
            guard next <= now.wall, flushDue(jobs[i], next, now.wall) <= now.wall else { return }
            jobs[i].unrecorded = (now.wall, reason)
            _ = recordRefused(i, &out)
        } else if next <= now.wall {
            claimDue(i, now, &out)
        } else if next <= now.wall + preclaimLead(i, for: next), canPreclaim(i) {
            claimAhead(i, next, now, &out)
        }
    }

    /// Records refused fires up to now, whatever their number, before something changes. What
    /// cannot be recorded now will be, for the reason that holds now.
    mutating func flushRefused(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard settings.schedules, !clock.isHolding, !jobs[i].isRemoved,
            let reason = jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall),
            let next = jobs[i].schedule.nextFire(), next <= now.wall
        else { return }
        jobs[i].unrecorded = (now.wall, jobs[i].unrecorded?.reason ?? reason)
        if !isAtRest, !jobs[i].isAccounting, jobs[i].storedText != nil { _ = recordRefused(i, &out) }
    }

    /// false: nothing is left to be recorded.
    private mutating func recordRefused(_ i: Int, _ out: inout DispatchActions) -> Bool {
        guard let (upTo, reason) = jobs[i].unrecorded, let next = jobs[i].schedule.nextFire(), next <= upTo else {
            jobs[i].unrecorded = nil
            return false
        }
        let accounting = jobs[i].schedule.refuse(upTo: upTo, reason: reason)
        move(i, to: accounting.cursor, ranges: accounting.ranges, &out)
        return true
    }

    /// Fires at or before now. Those on time compete for the job's concurrency and the pool's
    /// workers; those overdue were chosen by the catch-up policy and wait their turn like any
    /// waiting run.
    private mutating func claimDue(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        let accounting = jobs[i].schedule.account(upTo: now.wall, now: now.wall)
        var ranges = accounting.ranges
        var claims: [FireClaim] = []
        var admitted = 0
        var places = jobs[i].plan.config.overlap == .allow ? Int.max : jobs[i].concurrency - jobs[i].occupied
        var slots = pools[jobs[i].plan.pool]?.freeAhead ?? 0
        for due in accounting.fires {
            let isOnTime = due.trigger == .schedule
            guard !isOnTime || jobs[i].admits(fires: admitted) || admitted == 0 && jobs[i].wasFree(at: due.fire) else {
                append(due.fire, .overlap, to: &ranges)
                continue
            }
            // What has a rate goes through its door, like every run that waits.
            let starts = isOnTime && places > 0 && slots > 0 && jobs[i].plan.config.rate == nil
            if starts { slots -= 1 }
            // On all hosts together: this one's are counted here, the others' by the store.
            claims.append(claim(i, due.fire, due.trigger, waits: !starts, room: isOnTime ? places : 1, now))
            if isOnTime { (admitted, places) = (admitted + 1, places - 1) }
        }
        submit(i, claims, cursor: accounting.cursor, ranges: ranges, &out)
    }

    /// The next fire only: later ones are decided when it has started.
    private mutating func claimAhead(_ i: Int, _ next: Instant, _ now: Now, _ out: inout DispatchActions) {
        let accounting = jobs[i].schedule.account(upTo: next, now: now.wall)
        guard let first = accounting.fires.first else {
            move(i, to: accounting.cursor, ranges: accounting.ranges, &out)
            return
        }
        let ranges = accounting.ranges.filter { $0.last < first.fire }
        let places = jobs[i].concurrency - jobs[i].occupied
        submit(i, [claim(i, first.fire, first.trigger, waits: false, room: places, now)], cursor: first.fire, ranges: ranges, &out)
    }

    private func claim(
        _ i: Int, _ fire: Instant, _ trigger: Trigger, waits: Bool, room: Int, _ now: Now
    ) -> FireClaim {
        var claim = FireClaim(
            job: jobs[i].name, fireTime: fire, trigger: trigger, priority: jobs[i].plan.config.priority,
            maxAttempts: jobs[i].plan.config.retry.maxAttempts, generation: generation,
            leaseUntil: max(fire, now.wall) + settings.lease, expectedCursor: nil, newCursor: fire,
            scheduleText: jobs[i].ruleText, waits: waits)
        describe(&claim, i, room: room)
        return claim
    }

    /// Chains the claims: each expects the cursor where the one before left it; the first
    /// carries the ranges, the last moves the cursor as far as has been accounted for.
    private mutating func submit(
        _ i: Int, _ claims: [FireClaim], cursor: Instant, ranges: [FireRange], _ out: inout DispatchActions
    ) {
        guard !claims.isEmpty else {
            move(i, to: cursor, ranges: ranges, &out)
            return
        }
        var expected = jobs[i].schedule.cursor
        for (position, var claim) in claims.enumerated() {
            claim.expectedCursor = expected
            if position == 0 { claim.ranges = ranges }
            if position == claims.count - 1 { claim.newCursor = max(claim.fireTime, cursor) }
            expected = claim.newCursor
            out.claims.append(claim)
        }
        ask(i, for: expected)
        let pool = jobs[i].plan.pool
        let starting = claims.count { !$0.waits }
        guard starting > 0 else { return }
        jobs[i].claiming = (pool, starting)
        pools[pool]?.promised += starting
        out.prewarm[pool, default: 0] += starting
    }

    private mutating func move(_ i: Int, to cursor: Instant, ranges: [FireRange], _ out: inout DispatchActions) {
        guard cursor > jobs[i].schedule.cursor || !ranges.isEmpty || jobs[i].storedText != jobs[i].ruleText
        else { return }
        out.moves.append(CursorMove(
            job: jobs[i].name, expectedCursor: jobs[i].schedule.cursor, newCursor: cursor,
            scheduleText: jobs[i].ruleText, ranges: ranges))
        ask(i, for: cursor)
    }

    /// Told once they are recorded: what the store does not take is accounted for again, and
    /// may come out otherwise then.
    private func note(_ ranges: [FireRange], _ i: Int, _ out: inout DispatchActions) {
        for range in ranges {
            let times = range.count == 1 ? "1 fire" : "\(range.count) fires"
            out.notes.append(DispatchNote(
                kind: range.reason.state == .missed ? .missed(range.reason) : .skipped(range.reason),
                job: jobs[i].name, run: nil,
                text: "\(times) \(range.reason.state.rawValue) (\(range.reason.rawValue)), the last due \(range.last.rfc3339)"))
        }
    }

    private func append(_ fire: Instant, _ reason: NoRunReason, to ranges: inout [FireRange]) {
        if let last = ranges.last, last.reason == reason {
            ranges[ranges.count - 1].last = fire
            ranges[ranges.count - 1].count += 1
        } else {
            ranges.append(FireRange(reason: reason, first: fire, last: fire, count: 1))
        }
    }

    // MARK: What the store said

    mutating func firesClaimed(
        _ claims: [FireClaim], _ runs: [ClaimedRun?], _ now: Now, _ out: inout DispatchActions
    ) {
        var touched: [Int] = []
        for (claim, run) in zip(claims, runs) {
            guard let i = index[claim.job] else {
                if let run, run.attempt > 0 { out.releases.append(run.held) }
                continue
            }
            if touched.last != i {
                touched.append(i)
                endAccounting(i)
            }
            guard let run else {
                lostRace(i, now)
                continue
            }
            note(claim.ranges, i, &out)
            jobs[i].schedule.advance(to: claim.newCursor)
            jobs[i].storedText = claim.scheduleText
            jobs[i].askedFor = []
            // Also where other hosts' runs leave no room for it.
            if run.attempt == 0 {
                jobs[i].noteWaiting(now.wall)
                let isNear = claim.fireTime <= now.wall + JobSchedule.preclaimReach
                if isNear, isWaitingFire(claim.trigger, i) { jobs[i].await(fire: run.id) }
            } else {
                take(claim, run, i, now, &out)
            }
        }
        for i in touched { consider(i, now, &out) }
    }

    /// A claim that has its instant has been granted; much may have changed since it was asked for.
    private mutating func take(
        _ claim: FireClaim, _ run: ClaimedRun, _ i: Int, _ now: Now, _ out: inout DispatchActions
    ) {
        let isLate = claim.fireTime > jobs[i].editedAt ?? .distantFuture
        if isDraining || isSuspended {
            out.releases.append(run.held)
        } else if jobs[i].isRemoved || isLate && claim.scheduleText != jobs[i].ruleText && !jobs[i].fires(at: claim.fireTime) {
            out.refusals.append(Refusal(run.held, .reload))
        } else if isLate && !jobs[i].isOpen(at: claim.fireTime) {
            out.refusals.append(Refusal(run.held, .calendar))
        } else {
            let pool = jobs[i].plan.pool
            let start = jobs[i].schedule.startTime(of: claim.fireTime)
            owners[run.id] = i
            jobs[i].adopt(run.state)
            pools[pool]?.promised += 1
            jobs[i].hold(ActiveRun(claim: run, phase: .held(until: start), pool: pool))
            releaseFar(i, now, &out)
        }
    }

    /// Held claims that the clock, set back, has put out of reach would keep a place for as
    /// long: they wait in the store.
    mutating func releaseFar(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        let reach = now.wall + JobSchedule.preclaimReach
        for run in jobs[i].held.sorted() {
            guard let fire = jobs[i].active[run]?.claim.fireTime, fire > reach else { continue }
            giveBack(run, i, &out)
            jobs[i].noteWaiting(fire)
        }
    }

    mutating func cursorsMoved(_ moves: [CursorMove], _ moved: [Bool], _ now: Now, _ out: inout DispatchActions) {
        for (move, ok) in zip(moves, moved) {
            guard let i = index[move.job] else { continue }
            endAccounting(i)
            if ok { note(move.ranges, i, &out) }
            if !ok {
                lostRace(i, now)
            } else if move.rewind {
                rewound(i, move, &out)
            } else {
                jobs[i].schedule.advance(to: move.newCursor)
                jobs[i].storedText = move.scheduleText
            }
            if ok { jobs[i].askedFor = [] }
            consider(i, now, &out)
        }
    }

    private mutating func rewound(_ i: Int, _ move: CursorMove, _ out: inout DispatchActions) {
        if let edit = jobs[i].editedAt, edit > move.newCursor, move.scheduleText != jobs[i].ruleText {
            // Edited in between, when the cursor still lay ahead of the edit.
            var row = JobStateRow()
            row.cursor = move.newCursor
            row.scheduleText = move.scheduleText
            row.adaptiveInterval = jobs[i].schedule.adaptiveInterval
            adopt(row, i, at: edit)
        } else {
            _ = jobs[i].schedule.rewind(now: move.newCursor)
        }
        jobs[i].storedText = move.scheduleText
        jobs[i].mayRewind = false
        jobs[i].unrecorded = nil
        let from = move.expectedCursor.map { " (\($0.rfc3339))" } ?? ""
        out.notes.append(DispatchNote(
            kind: .rewound, job: move.job, run: nil,
            text: "the cursor lay in the future\(from) and was set back to \(move.newCursor.rfc3339)"))
    }

    private mutating func endAccounting(_ i: Int) {
        jobs[i].isAccounting = false
        jobs[i].accountingRetry = nil
        guard let claiming = jobs[i].claiming else { return }
        jobs[i].claiming = nil
        pools[claiming.pool]?.promised -= claiming.fires
    }

    /// The cursor was not where this host believed it, or the due time has a live run already.
    /// `refreshed` will tell; until then it is not asked again and again.
    private mutating func lostRace(_ i: Int, _ now: Now) {
        jobs[i].accountingRetry = now.wall + settings.storeBackoff
    }

    mutating func accountingFailed(_ names: [String], _ now: Now, _ out: inout DispatchActions) {
        for i in Set(indices(of: names)).sorted() {
            endAccounting(i)
            jobs[i].accountingRetry = now.wall + settings.storeBackoff
            consider(i, now, &out)
        }
    }

    /// Takes over what the store has. While a transaction of ours is under way it may be
    /// outdated: its answer will tell.
    mutating func refreshed(_ name: String, _ row: JobStateRow, _ now: Now, _ out: inout DispatchActions) {
        guard let i = index[name], !jobs[i].isAccounting else { return }
        let isNewerEnd = jobs[i].isRelative && row.lastFinished ?? .distantPast > jobs[i].schedule.lastFinished ?? .distantPast
        if row.cursor == jobs[i].schedule.cursor, row.scheduleText == jobs[i].storedText, !isNewerEnd {
            // Nobody was faster: runs elsewhere leave no room for now.
            let soon = now.wall + (jobs[i].isRelative ? .seconds(1) : settings.storeBackoff)
            jobs[i].busyElsewhereUntil = max(soon, (jobs[i].schedule.nextFire() ?? now.wall) + settings.otherHostsLead)
            timeline.set(job: i, at: nextLook(i, now))
            return
        }
        jobs[i].busyElsewhereUntil = nil
        let isOwn = jobs[i].asked(for: row) && row.cursor ?? .distantPast >= jobs[i].schedule.cursor
        jobs[i].askedFor = []
        if isOwn, !isNewerEnd, let cursor = row.cursor {
            // It was done, and only the answer is missing: what has been edited since was edited when it was.
            jobs[i].schedule.advance(to: cursor)
            jobs[i].storedText = row.scheduleText
        } else {
            adopt(row, i, at: now.wall)
        }
        jobs[i].accountingRetry = nil
        consider(i, now, &out)
    }

    /// The job's schedule as the store has it; its rule, where it is another one, until `edit`.
    private mutating func adopt(_ row: JobStateRow, _ i: Int, at edit: Instant) {
        jobs[i].adopt(newSchedule(jobs[i].plan, row, edit, isRemoved: jobs[i].isRemoved))
        jobs[i].storedText = row.cursor == nil ? nil : row.scheduleText
        if !jobs[i].schedule.isSettled { jobs[i].editedAt = edit }
    }
}
