import JobCore
import JobStore

// What other hosts' runs left: whichever host is asked, it shows all, and grades a job by all its runs.

extension Supervisor {
    /// Jobs whose history is read at one look; the others' turn comes at the next.
    private static let mostHistories = 200

    /// What status shows before anything has run in this life. Beside the serving: with
    /// thousands of jobs it takes its time.
    func restoreHistory() async {
        var names = generation.jobs.keys.sorted()[...]
        while !names.isEmpty {
            let some = Array(names.prefix(Self.mostHistories))
            names = names.dropFirst(some.count)
            guard let found = try? await store.newestRuns(of: some, each: RecentAttempts.limit) else { continue }
            for (name, runs) in found {
                guard let i = dispatcher.index[name], dispatcher.jobs[i].lastRun == nil else { continue }
                let ended = runs.filter { $0.outcome != nil }
                for run in ended.reversed() { dispatcher.jobs[i].recent.add(run) }
                dispatcher.jobs[i].lastRun = ended.first
            }
        }
    }

    /// With the counters that have just been read.
    func readHistoryOfOthers() async throws {
        let now = clock.now().monotonic
        for job in dispatcher.jobs where !job.isRemoved {
            if job.hear(ofAll: AttemptCount(counters[job.name] ?? [:]), now: now) { jobsHeardOf.insert(job.name) }
        }
        let names = Array(jobsHeardOf.sorted().prefix(Self.mostHistories))
        guard !names.isEmpty else { return }
        let found = try await store.newestRuns(of: names, each: RecentAttempts.limit)
        jobsHeardOf.subtract(names)
        for name in names {
            guard let i = dispatcher.index[name], dispatcher.jobs[i].learn(found[name] ?? []) else { continue }
            events.emit(.elsewhere(job: name, at: clock.now().wall))
        }
    }

    // MARK: What was done and left out elsewhere

    private static let mostActions = 500

    /// What was done here; the audit will have it among the others'.
    func tellAction(_ row: AuditRow) {
        events.emit(.action(row))
        guard store.isShared else { return }
        ownActions.append(row)
        if ownActions.count > Self.mostActions { ownActions.removeFirst() }
    }

    /// With the counters that have just been read: fires that never became an attempt, and what operators and hosts did.
    func readActionsOfOthers() async throws {
        for job in dispatcher.jobs where !job.isRemoved {
            let counts = counters[job.name] ?? [:]
            let total = NoRunReason.allCases.reduce(0) { $0 + (counts[$1.rawValue] ?? 0) }
            // Those of this host too: who asks once more loses nothing.
            if let before = noRunsSeen.updateValue(total, forKey: job.name), total > before {
                events.emit(.elsewhere(job: job.name, at: clock.now().wall))
            }
        }
        let rows = try await store.audit(AuditFilter(limit: Self.mostActions))
        defer { actionsSeen = Set(rows.map(\.id)) }
        guard let seen = actionsSeen else { return }
        for row in rows.reversed() where !seen.contains(row.id) {
            if let own = ownActions.firstIndex(where: { $0.isSame(as: row) }) {
                ownActions.remove(at: own)
            } else {
                events.emit(.action(row))
            }
        }
    }
}

extension AuditRow {
    /// One was read from the store, which may date it by a clock of its own.
    fileprivate func isSame(as other: AuditRow) -> Bool {
        actor.name == other.actor.name && actor.via == other.actor.via && action == other.action && job == other.job
            && abs((at - other.at).microseconds) < 5_000_000
    }
}
