import JobCore
import JobStore

extension Dispatcher {
    // MARK: From schedule to claim

    /// A fire may be claimed ahead: the job has room, a worker is free, and none is held already.
    func canPreclaim(_ i: Int) -> Bool {
        let job = jobs[i]
        return !job.hasHeld && job.hasRoom && pools[job.plan.pool].map { $0.free > 0 } ?? false
    }

    /// Accounts for the job's due fires, and claims the next one ahead when that is possible.
    mutating func accountFires(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard !jobs[i].isAccounting, !jobs[i].isRemoved, let next = jobs[i].schedule.nextFire() else { return }
        if let reason = jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) {
            if next <= now.wall, flushDue(jobs[i], next, now.wall) <= now.wall { refuseFires(i, reason, now, &out) }
            return
        }
        if next <= now.wall {
            claimDue(i, now, &out)
        } else if next <= now.wall + settings.preclaimLead, canPreclaim(i) {
            claimAhead(i, now, &out)
        }
    }

    /// Records refused fires up to now, whatever their number, before something changes.
    mutating func flushRefused(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard !jobs[i].isAccounting, !jobs[i].isRemoved, settings.schedules, !clock.isHolding,
            let next = jobs[i].schedule.nextFire(), next <= now.wall,
            let reason = jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall)
        else { return }
        refuseFires(i, reason, now, &out)
    }

    private mutating func refuseFires(_ i: Int, _ reason: NoRunReason, _ now: Now, _ out: inout DispatchActions) {
        let accounting = jobs[i].schedule.refuse(upTo: now.wall, reason: reason)
        move(i, to: accounting.cursor, ranges: accounting.ranges, &out)
    }

    /// Fires at or before now. Those on time compete for the job's concurrency; those overdue
    /// were chosen by the catch-up policy and wait their turn like any waiting run.
    private mutating func claimDue(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        let job = jobs[i]
        let accounting = job.schedule.account(upTo: now.wall, now: now.wall)
        var ranges = accounting.ranges
        var claims: [FireClaim] = []
        var room = job.plan.config.overlap == .allow ? Int.max : job.concurrency - job.occupied
        var slots = pools[job.plan.pool]?.free ?? 0
        var hasQueued = job.hasQueuedFire
        for due in accounting.fires {
            let isOnTime = due.trigger == .schedule
            if isOnTime && room <= 0 {
                if job.plan.config.overlap == .queue && !hasQueued {
                    hasQueued = true
                } else {
                    append(due.fire, .overlap, to: &ranges)
                    continue
                }
            }
            let starts = isOnTime && room > 0 && slots > 0
            if starts {
                room -= 1
                slots -= 1
            }
            claims.append(claim(job, due.fire, due.trigger, waits: !starts, now))
        }
        jobs[i].hasQueuedFire = hasQueued
        submit(i, claims, cursor: accounting.cursor, ranges: ranges, &out)
    }

    /// The next fire only: later ones are decided when it has started.
    private mutating func claimAhead(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        let job = jobs[i]
        let accounting = job.schedule.account(upTo: now.wall + settings.preclaimLead, now: now.wall)
        guard let first = accounting.fires.first else {
            move(i, to: accounting.cursor, ranges: accounting.ranges, &out)
            return
        }
        let ranges = accounting.ranges.filter { $0.last < first.fire }
        submit(i, [claim(job, first.fire, first.trigger, waits: false, now)], cursor: first.fire, ranges: ranges, &out)
    }

    private func claim(
        _ job: DispatchedJob, _ fire: Instant, _ trigger: Trigger, waits: Bool, _ now: Now
    ) -> FireClaim {
        FireClaim(
            job: job.name, fireTime: fire, trigger: trigger, priority: job.plan.config.priority,
            maxAttempts: job.plan.config.retry.maxAttempts, generation: generation,
            leaseUntil: max(fire, now.wall) + settings.lease, expectedCursor: nil, newCursor: fire,
            scheduleText: job.plan.schedule.text, waits: waits)
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
        jobs[i].isAccounting = true
        note(ranges, i, &out)
        out.prewarm[jobs[i].plan.pool, default: 0] += claims.filter { !$0.waits }.count
    }

    private mutating func move(_ i: Int, to cursor: Instant, ranges: [FireRange], _ out: inout DispatchActions) {
        guard cursor > jobs[i].schedule.cursor || !ranges.isEmpty else { return }
        out.moves.append(CursorMove(
            job: jobs[i].name, expectedCursor: jobs[i].schedule.cursor, newCursor: cursor,
            scheduleText: jobs[i].plan.schedule.text, ranges: ranges))
        jobs[i].isAccounting = true
        note(ranges, i, &out)
    }

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
                if let run, !claim.waits { out.releases.append((run.id, claim.job)) }
                continue
            }
            if touched.last != i { touched.append(i) }
            jobs[i].isAccounting = false
            guard let run else { continue }
            jobs[i].schedule.advance(to: claim.newCursor)
            if claim.waits {
                jobs[i].noteWaiting(now.wall)
            } else {
                let start = jobs[i].schedule.startTime(of: claim.fireTime)
                owners[run.id] = i
                jobs[i].active[run.id] = ActiveRun(claim: run, phase: .held(until: start))
            }
        }
        for i in touched { consider(i, now, &out) }
    }

    mutating func cursorsMoved(_ moves: [CursorMove], _ moved: [Bool], _ now: Now, _ out: inout DispatchActions) {
        for (move, ok) in zip(moves, moved) {
            guard let i = index[move.job] else { continue }
            jobs[i].isAccounting = false
            if ok && !move.rewind { jobs[i].schedule.advance(to: move.newCursor) }
            consider(i, now, &out)
        }
    }
}
