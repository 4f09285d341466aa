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

    /// Does what leaves `row` in the audit, and tells of it here. `body` says how it is to be told, nil: nothing was done.
    /// The others' entries are told when they are read: this one is not among them, however soon that is.
    func acting<Value>(_ row: AuditRow, _ body: () async throws -> (Value, AuditRow?)) async throws -> Value {
        if store.isShared { actionsElsewhere.expect(row) }
        do {
            let (value, told) = try await body()
            if let told { events.emit(.action(told)) } else { actionsElsewhere.withdraw(row) }
            return value
        } catch {
            actionsElsewhere.withdraw(row)
            throw error
        }
    }

    func acting<Value>(_ row: AuditRow, _ body: () async throws -> Value) async throws -> Value {
        try await acting(row) { (try await body(), row) }
    }

    /// With the counters that have just been read: fires that never became an attempt, runs that expired, and what
    /// operators and hosts did.
    func readActionsOfOthers() async throws {
        for job in dispatcher.jobs where !job.isRemoved && noRuns.grow(job.name, counters[job.name] ?? [:]) {
            // Those of this host too: who asks once more loses nothing.
            events.emit(.elsewhere(job: job.name, at: clock.now().wall))
        }
        var filter = AuditFilter(limit: Self.mostActions)
        filter.after = actionsElsewhere.after
        let rows = try await store.audit(filter)
        for row in actionsElsewhere.new(among: rows, now: clock.now().monotonic) { events.emit(.action(row)) }
    }
}
