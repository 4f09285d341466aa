import JobCore
import JobStore

// What must move on by itself is watched, repaired, counted, and a problem of the host's for as long as it stands.

extension Supervisor {
    /// Every few seconds.
    func checkSelf() {
        let now = clock.now()
        let excuse: String? =
            storeHealth.problem != nil ? "the store is away" : dispatcher.isSuspended ? "nothing is claimed here" : dispatcher.clock.isHolding ? "the clock jumped"
            : phase == .draining ? "draining" : !dispatcher.settings.schedules ? "schedule = false" : nil
        let looks = dispatcher.jobs.indices.filter { !dispatcher.jobs[$0].isRemoved }.map { i in
            SelfCheck.Job(
                name: dispatcher.jobs[i].name, nextFire: dispatcher.jobs[i].schedule.nextFire(), isOwned: dispatcher.isSeenTo(i, now),
                excuse: excuse)
        }
        let result = selfCheck.look(at: looks, now: now)
        for fault in result.raised { log.critical("\(fault.sentence); looking at it again (the \(selfCheck.repairs). time since the start)") }
        if !result.repaired.isEmpty {
            // Whatever the alarm was set to: it has been missed.
            tickAt = nil
            dispatch(.wait(jobs: result.repaired.map(\.job)))
        }
        mend(standstill.look(at: whatMustMove(), now: now.monotonic))
    }

    /// What waits for an answer, or for a worker; and what stood still, until it moves.
    private func whatMustMove() -> [StandstillCheck.Subject] {
        guard storeHealth.problem == nil, !dispatcher.isAtRest else { return [] }
        let still = Set(standstill.standing.map(\.subject.name))
        var subjects: [StandstillCheck.Subject] = dispatcher.jobs.filter { $0.isAccounting || !$0.isRemoved && still.contains($0.name) }.map {
            .init(kind: .cursor, name: $0.name, mark: $0.schedule.cursor.microseconds, isWaiting: $0.isAccounting)
        }
        subjects.append(.init(kind: .queue, mark: waitingAnswers, isWaiting: dispatcher.isAsking))
        subjects.append(.init(kind: .lease, mark: leasesRenewedAt.microseconds, isWaiting: !dispatcher.owners.isEmpty))
        subjects += room.snapshot().filter(\.owesBegin).map {
            .init(kind: .worker, name: String($0.pid), mark: Int64($0.runs))
        }
        return subjects
    }

    /// As if the answer had been that the store could not; a worker gives way to a new one.
    private func mend(_ faults: [StandstillCheck.Fault]) {
        for fault in faults {
            let subject = fault.subject
            log.critical("\(fault.sentence); trying again (the \(standstill.counts[subject.kind] ?? 1). time since the start)")
            if subject.kind == .cursor || subject.kind == .queue {
                giveUpClaims(askedBefore: clock.now().monotonic + (.zero - subject.kind.patience))
            }
            switch subject.kind {
            case .cursor: dispatch(.accountingFailed(jobs: [subject.name]))
            case .queue: dispatch(.waitingClaimFailed(jobs: dispatcher.jobs.filter { $0.asked != nil }.map(\.name)))
            case .lease:
                questionsUnderWay[.lease] = nil
                renewLeases()
            case .worker: if let pid = Int32(subject.name) { room.kill(worker: pid) }
            }
        }
    }

    /// A worker that was killed does not end.
    func heardStuck(_ pid: Int32, _ plugin: String, _ run: RunID?) {
        stuckWorkers += 1
        log.critical("\(stuckSentence(pid, plugin, run)) (the \(stuckWorkers). time since the start)")
        if let run { dispatch(.stuck(run: run)) }
    }

    private func stuckSentence(_ pid: Int32, _ plugin: String, _ run: RunID?) -> String {
        let job = run.flatMap { dispatcher.owners[$0] }.map { dispatcher.jobs[$0].name }
        let what = run.map { " with run \($0)" + (job.map { " of \($0)" } ?? "") } ?? ""
        return "worker \(pid) of plugin \(plugin) was killed\(what) and does not end: it hangs in the kernel, perhaps on a disk or a network drive; "
            + "its place goes to another" + (job.map { ", \($0) itself waits for its end" } ?? "")
    }

    /// What does not move, in sentences that stay while it does not.
    var standstills: [(subject: String, sentence: String)] {
        let stuck = room.snapshot().filter(\.isStuck).map { ("stuck worker \($0.pid)", stuckSentence($0.pid, $0.plugin, $0.run)) }
        return selfCheck.faults.map { ("overdue \($0.job)", $0.sentence) }
            + standstill.standing.map { ("\($0.subject.kind.rawValue) \($0.subject.name)", $0.sentence) } + stuck
    }

    /// How often each kind was repaired since the start.
    var repairs: [(kind: String, count: Int)] {
        [("fire", selfCheck.repairs)] + StandstillCheck.Kind.allCases.map { ($0.rawValue, standstill.counts[$0] ?? 0) } + [("stuck_worker", stuckWorkers)]
    }
}
