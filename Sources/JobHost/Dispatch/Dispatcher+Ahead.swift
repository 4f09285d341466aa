import JobCore
import JobStore

// Ahead of the instant: a held run with nothing but time between it and its start goes to its worker, which keeps the
// instant. So a thousand runs of one instant begin at it, and not one after the other as fast as one loop decides.
//
// held → *sent* → begun (its `started`, or its end) → as any other run.
//
// To its job a sent run has its place of the concurrency already; to its pool it is promised one, as while it was held.
// What would have kept it from starting at its instant (pause, switch, breaker, an edit, another library, another state,
// a drain, a lapsed lease, a clock that was set) takes it back. It counts as sent until its worker has said that it comes
// back, or that it has begun: then it began before it was taken back, which is as if it had been started just before.
// What has come back, for whatever reason, is held again, and judged once more at its instant; it is not sent again.
extension Dispatcher {
    mutating func sendAhead(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard settings.sendLead > .zero, jobs[i].hasHeld, !isAtRest, jobs[i].maySendAhead,
            jobs[i].refusal(hostPaused: hostControl.paused, now: now.wall) == nil
        else { return }
        for active in jobs[i].heldRuns(dueBy: now.wall + settings.sendLead) where !active.hasComeBack {
            guard let until = active.heldUntil, until > now.wall, jobs[i].maySendAhead else { continue }
            _ = submit(i, active, notBefore: until, now, &out)
        }
    }

    /// When something is to be done for a held run.
    func heldLook(_ i: Int, _ run: RunID, _ now: Instant) -> Instant? {
        guard let active = jobs[i].active[run], let until = active.heldUntil else { return nil }
        let ahead = until - settings.sendLead
        return settings.sendLead > .zero && !active.hasComeBack && ahead > now ? ahead : until
    }

    /// Takes back what would not start now as it was sent. What is due has begun, as far as anybody can know.
    mutating func lookAtSent(_ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard !jobs[i].sentAhead.isEmpty else { return }
        for run in jobs[i].sentAhead.sorted() {
            guard let active = jobs[i].active[run], let until = active.sentUntil, until > now.wall,
                jobs[i].isOutdated(active, hostPaused: hostControl.paused, now: now.wall)
            else { continue }
            takeBack(run, i, .held, &out)
        }
    }

    /// The first reason stands: it is of what was first.
    mutating func takeBack(_ run: RunID, _ i: Int, _ then: ActiveRun.TakenBack, _ out: inout DispatchActions) {
        guard let active = jobs[i].active[run], active.isSentAhead, active.takenBack == nil else { return }
        jobs[i].change(run) { $0.takenBack = then }
        out.takeBacks.append(run)
    }

    /// By another clock, or by nobody's leave.
    mutating func takeBackAll(_ out: inout DispatchActions) {
        for i in jobs.indices where !jobs[i].sentAhead.isEmpty {
            for run in jobs[i].sentAhead.sorted() { takeBack(run, i, .held, &out) }
        }
    }

    mutating func began(_ run: RunID, _ i: Int) {
        guard let pool = jobs[i].begun(run) else { return }
        pools[pool]?.promised -= 1
        pools[pool]?.busy += 1
    }

    /// It has not begun, and is not with a worker any more.
    mutating func cameBack(_ run: RunID, _ i: Int, _ now: Now, _ out: inout DispatchActions) {
        guard let sent = jobs[i].active[run], let until = sent.sentUntil else { return }
        jobs[i].schedule.runReturned()
        if isDraining || isSuspended || sent.takenBack == .released {
            giveBack(run, i, &out)
        } else if case .refused(let reason)? = sent.takenBack {
            refuse(run, i, reason, &out)
        } else {
            drop(run, i)
            var held = ActiveRun(claim: sent.claim, phase: .held(until: until), pool: jobs[i].plan.pool)
            held.hasComeBack = true
            owners[run] = i
            pools[held.pool]?.promised += 1
            jobs[i].hold(held)
            if !clock.isHolding { releaseFar(i, now, &out) }
        }
        afterSlotFreed(i, pool: sent.pool, now, &out)
    }
}
