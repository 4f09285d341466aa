import JobCore
import JobStore

// Runs as people look for them: what the ledger has of them, what the host knows of those under
// way, and among them the fires that never became runs.

extension APIRoutes {
    /// `ranges` false: only runs, of whatever kind the filter says.
    func page(_ filter: RunFilter, ranges wantsRanges: Bool) async throws -> API.Runs {
        let runs = try await control.store.runs(filter)
        let isLast = runs.count < filter.limit
        let ranges = wantsRanges ? try await self.ranges(among: runs, isLast: isLast, filter) : []
        if runs.isEmpty, ranges.isEmpty, let job = filter.job { try await checkKnown(job) }
        let host = await shelf.snapshot()
        let live = live(host)
        let jobs = Dictionary(host.jobs.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        return API.Runs(
            runs: runs.map { run in
                var shown = API.Run(run, live: live[run.id.value])
                shown.waitsFor = WaitingFor.of(run, job: jobs[run.job], host: host)
                return shown
            }, ranges: ranges.map(API.Range.init),
            nextBefore: isLast ? nil : runs.last?.id.value)
    }

    /// A removed job's history stays readable, so an unknown name is an error only where
    /// nothing was found.
    func checkKnown(_ job: String) async throws { _ = try jobSnapshot(job, in: await shelf.snapshot()) }

    /// Ranges whose newest fire lies between the page's oldest run (on the last page: ever) and
    /// the run before which the page begins. Runs are numbered as they are made, so the instant
    /// of that, not of the fire, says where a range belongs.
    private func ranges(among runs: [RunRecord], isLast: Bool, _ filter: RunFilter) async throws -> [LedgerRange] {
        guard filter.outcomes.isEmpty else { return [] }
        let states = Set(filter.states)
        guard states.isEmpty || !states.isDisjoint(with: [.skipped, .missed]) else { return [] }
        let earliest = Instant(microseconds: .min)
        let oldest = isLast ? earliest : runs.last?.createdAt ?? earliest
        var end = Instant(microseconds: .max)
        if let before = filter.before { end = try await control.store.run(before)?.createdAt ?? runs.first?.createdAt ?? end }
        let found = try await control.store.ranges(
            job: filter.job, from: max(oldest, filter.from ?? earliest), to: min(end, filter.to ?? end), limit: filter.limit)
        return found.filter { range in
            oldest <= range.last && range.last < end && (states.isEmpty || states.contains(range.reason.state))
        }
    }

    func detail(_ id: RunID) async throws -> API.RunDetail {
        let run = try await record(id)
        var attempts = try await control.store.attempts(of: id).map(API.Attempt.init)
        // The run's own row tells of its last one.
        if let last = API.Attempt(lastOf: run), attempts.last?.attempt != last.attempt { attempts.append(last) }
        let ranges = try await control.store.ranges(
            job: run.job, from: run.fireTime - .seconds(3_600), to: run.fireTime + .seconds(3_600), limit: 20)
        var retries = RunFilter(job: run.job)
        retries.retryOf = id
        let retriedAs = try await control.store.runs(retries).map(\.id.value).sorted()
        let host = await shelf.snapshot()
        var live = live(host)[id.value]
        // What another host says of it.
        if live == nil, run.state == .running, run.owner != host.name, let progress = try await control.store.progress(of: id) {
            live = API.RunningRun(
                run: id.value, attempt: run.attempt, startedAt: progress.startedAt, pid: progress.pid, done: progress.done,
                total: progress.total, text: progress.text, problem: "")
        }
        var shown = API.Run(run, live: live)
        shown.waitsFor = WaitingFor.of(run, job: host.jobs.first { $0.name == run.job }, host: host)
        return API.RunDetail(
            run: shown, running: live, attempts: attempts, retriedAs: retriedAs,
            audit: try await audit(of: run), ranges: ranges.map(API.Range.init))
    }

    /// Entries that name the run: "run 41", "run 41 as run 43".
    private func audit(of run: RunRecord) async throws -> [API.AuditEntry] {
        var filter = AuditFilter(job: run.job, limit: 1_000)
        filter.run = run.id
        return try await control.store.audit(filter).reversed().map(API.AuditEntry.init)
    }

    /// What the host knows of the runs under way: the ledger learns of a start with the end.
    private func live(_ host: HostSnapshot) -> [Int64: API.RunningRun] {
        let running = host.jobs.flatMap(\.running)
        return Dictionary(running.map { ($0.run.value, API.RunningRun($0)) }, uniquingKeysWith: { first, _ in first })
    }
}

extension API.Run {
    init(_ record: RunRecord, live: API.RunningRun?) {
        self.init(record)
        guard let live, state == .running else { return }
        startedAt = live.startedAt
        if let started = live.startedAt { latenessUs = max(0, (started - fireTime).microseconds) }
        if live.pid > 0 { pid = live.pid }
    }
}
