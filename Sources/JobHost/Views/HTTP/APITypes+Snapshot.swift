import JobCore
import JobJSON
import JobStore

// From the host's own values to the promised shapes.

extension API.Status {
    init(_ snapshot: HostSnapshot) {
        self.init(host: API.Host(snapshot), jobs: snapshot.jobs.map { API.Job($0, host: snapshot) })
    }
}

extension API.Host {
    init(_ snapshot: HostSnapshot) {
        self.init(
            name: snapshot.name, version: snapshot.version, pid: snapshot.pid, phase: snapshot.phase,
            startedAt: snapshot.startedAt, now: snapshot.now,
            uptimeMs: max(0, (snapshot.now - snapshot.startedAt).milliseconds), generation: snapshot.generation,
            configFile: snapshot.configFile, stateDir: snapshot.stateDir, storeUrl: maskingPassword(snapshot.storeURL),
            control: API.Control(snapshot.control), workers: snapshot.workers.count, jobs: snapshot.jobs.count,
            jobsOn: snapshot.jobs.count { $0.enabled && $0.refused.isEmpty }, problems: snapshot.problems,
            conditions: snapshot.hostProblems.map(API.HostCondition.init), notes: snapshot.notes,
            lastReload: snapshot.lastReload.map(API.Report.init))
    }
}

/// `postgresql://user:secret@host/db` → `postgresql://user:***@host/db`.
func maskingPassword(_ url: String) -> String {
    guard let scheme = url.firstRange(of: "://") else { return url }
    let rest = url[scheme.upperBound...]
    // Up to the last @: a password that was not percent-encoded may hold / and @ itself.
    let authority = rest.prefix { $0 != "?" }
    guard let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") else { return url }
    return String(url[...colon]) + "***" + url[at...]
}

extension API.Control {
    init(_ row: ControlRow) {
        self.init(
            enabled: row.enabled, reason: row.reason, since: row.since, paused: row.paused, pauseReason: row.pauseReason,
            pausedSince: row.pausedSince)
    }
}

extension API.Job {
    init(_ job: JobSnapshot, host: HostSnapshot) {
        self.init(
            name: job.name, plugin: job.plugin, entry: job.entry, description: job.description, labels: job.labels,
            schedule: job.schedule, timezone: job.timezone, enabled: job.enabled, disabledReason: job.disabledReason,
            refused: job.refused, control: API.Control(job.control), health: API.Health(job.health), nextFire: job.nextFire, next: NextStart.of(job, host: host),
            running: job.running.map(API.RunningRun.init), concurrency: job.concurrency, waiting: job.waiting, dead: job.dead, last: job.last.map(API.Run.init), recentOutcomes: job.recentOutcomes,
            breaker: API.Breaker(job.breaker), counters: job.counters, libraryHash: job.libraryHash,
            settings: rawJSON(job.settings), limits: (job.limits + job.workerLimits).map { API.Limit(name: $0.name, value: $0.value) },
            problems: job.problems)
    }
}

extension API.Timetable {
    /// Only jobs that have one of the words in each list that is not empty.
    init(_ host: HostSnapshot, jobs: [String] = [], entries: [String] = [], labels: [String] = []) {
        let chosen = host.jobs.filter { job in
            (jobs.isEmpty || jobs.contains(job.name)) && (entries.isEmpty || entries.contains(job.entry))
                && (labels.isEmpty || job.labels.contains(where: labels.contains))
        }
        let fires = chosen.compactMap { job in
            job.nextFire.map { at in
                API.NextFire(
                    job: job.name, plugin: job.plugin, entry: job.entry, labels: job.labels, at: at,
                    inMs: max(0, (at - host.now).milliseconds), next: NextStart.of(job, host: host), schedule: job.schedule)
            }
        }
        self.init(now: host.now, fires: fires.sorted { ($0.at, $0.job) < ($1.at, $1.job) })
    }
}

extension API.Breakers {
    init(_ host: HostSnapshot) {
        self.init(breakers: host.jobs.map { API.JobBreaker(job: $0.name, breaker: API.Breaker($0.breaker)) })
    }
}

extension API.Health {
    init(_ health: JobHealth) {
        self.init(grade: health.grade, reasons: health.reasons.map { API.HealthReason(grade: $0.grade, rule: $0.rule, text: $0.text) })
    }
}

extension API.HostHealth {
    init(_ host: HostSnapshot) {
        let jobs = host.jobs.filter { $0.health.grade > .healthy }.map { job in
            let health = API.Health(job.health)
            return JobHealth(job: job.name, grade: health.grade, reasons: health.reasons)
        }
        let worst = (jobs.map(\.grade) + host.hostProblems.map(\.grade)).max() ?? .healthy
        self.init(
            grade: host.problems.isEmpty ? worst : .critical, problems: host.problems,
            conditions: host.hostProblems.map(API.HostCondition.init), jobs: jobs)
    }
}

extension API.RunningRun {
    init(_ run: RunningRun) {
        self.init(
            run: run.run.value, attempt: run.attempt, startedAt: run.startedAt, pid: run.pid, done: run.done,
            total: run.total, text: run.text, problem: run.problem)
    }
}

extension API.Breaker {
    init(_ breaker: BreakerSnapshot) {
        self.init(
            state: breaker.state, failures: breaker.failures, since: breaker.since, until: breaker.until,
            reason: breaker.reason)
    }
}

/// JSON text as a value with every digit kept; a text that is not JSON as a string.
func rawJSON(_ text: String) -> JSON {
    if text.isEmpty { return .null }
    let limits = JSON.Limits(bytes: 4 << 20, depth: 128, allowsDuplicateKeys: true)
    return (try? JSON(parsing: text, limits: limits)) ?? .string(text)
}

extension API.Run {
    public init(_ run: RunRecord) {
        self.init(
            id: run.id.value, job: run.job, trigger: run.trigger, state: run.state, outcome: run.outcome,
            fireTime: run.fireTime, availableAt: run.availableAt, createdAt: run.createdAt, startedAt: run.startedAt,
            finishedAt: run.finishedAt, durationUs: elapsed(run.startedAt, run.finishedAt),
            latenessUs: elapsed(run.fireTime, run.startedAt), attempt: run.attempt, maxAttempts: run.maxAttempts,
            priority: run.priority, fence: run.fence, owner: run.owner, epoch: run.epoch, pid: run.pid,
            libraryHash: run.libraryHash, generation: run.generation, reason: run.reason, code: run.code,
            items: run.items, cpuUs: run.cpuMicroseconds, uniqueKey: run.uniqueKey, expiresAt: run.expiresAt, idempotencyKey: run.idempotencyKey,
            retryOf: run.retryOf?.value, payload: rawJSON(run.payload), waitsFor: nil)
    }
}

/// Microseconds between two instants, never negative (the wall clock may step back); nil when
/// one is missing.
private func elapsed(_ from: Instant?, _ to: Instant?) -> Int64? {
    guard let from, let to else { return nil }
    return max(0, (to - from).microseconds)
}

extension API.Attempt {
    init(_ attempt: AttemptRecord) {
        self.init(
            attempt: attempt.attempt, outcome: attempt.outcome, startedAt: attempt.startedAt,
            finishedAt: attempt.finishedAt, durationUs: elapsed(attempt.startedAt, attempt.finishedAt),
            pid: attempt.pid, libraryHash: attempt.libraryHash, reason: attempt.reason, code: attempt.code)
    }

    /// nil: the run has not ended, or without an attempt.
    init?(lastOf run: RunRecord) {
        guard let outcome = run.outcome, let finished = run.finishedAt, run.attempt > 0 else { return nil }
        self.init(
            attempt: run.attempt, outcome: outcome, startedAt: run.startedAt, finishedAt: finished,
            durationUs: elapsed(run.startedAt, finished), pid: run.pid, libraryHash: run.libraryHash, reason: run.reason, code: run.code)
    }
}

extension API.Range {
    init(_ range: LedgerRange) {
        self.init(
            job: range.job, reason: range.reason, state: range.reason.state, first: range.first, last: range.last,
            count: range.count)
    }
}

extension API.Plugin {
    init(_ plugin: PluginSnapshot) {
        self.init(
            name: plugin.name, library: plugin.library, libraryHash: plugin.libraryHash, id: plugin.id,
            version: plugin.version, description: plugin.description, entries: plugin.entries, problem: plugin.problem,
            canary: plugin.canary)
    }
}

extension API.PluginVersions {
    init(_ plugin: PluginSnapshot) {
        self.init(
            plugin: plugin.name,
            versions: plugin.versions.map {
                API.PluginVersion(sha256: $0.sha256, version: $0.version, acceptedAt: $0.acceptedAt, state: $0.state, note: $0.note)
            })
    }
}

extension API.Worker {
    init(_ worker: WorkerSnapshot) {
        self.init(
            pid: worker.pid, pool: worker.pool, plugin: worker.plugin, libraryHash: worker.libraryHash,
            state: worker.state, run: worker.run?.value, runs: worker.runs, startedAt: worker.startedAt,
            residentBytes: worker.residentBytes)
    }
}

extension API.Ask {
    init(_ ask: Ask, now: Instant) {
        self.init(
            id: ask.id, job: ask.job, action: ask.action, askedBy: ask.askedBy, reason: ask.reason, askedAt: ask.askedAt,
            expiresAt: ask.expiresAt, state: ask.state(now: now), decidedBy: ask.decidedBy, decidedAt: ask.decidedAt)
    }
}

extension API.AuditEntry {
    init(_ row: AuditRow) {
        self.init(
            at: row.at, actor: row.actor.name, via: row.actor.via, reason: row.actor.reason, action: row.action,
            job: row.job, detail: row.detail)
    }
}

extension API.ReloadEntry {
    init(_ row: ReloadRow) {
        self.init(generation: row.generation, at: row.at, accepted: row.accepted, report: rawJSON(row.report))
    }
}

extension API.Report {
    public init(_ report: ReloadReport) {
        self.init(
            generation: report.generation, at: report.at, accepted: report.accepted, clean: report.isClean,
            errors: report.errors, warnings: report.warnings,
            host: report.host.map { API.ReportLine(name: $0.key, change: .changed, detail: $0.detail) },
            plugins: report.plugins.map { API.ReportLine(name: $0.plugin, change: $0.change, detail: $0.detail) },
            jobs: report.jobs.map { API.ReportLine(name: $0.job, change: $0.change, detail: $0.detail, serves: $0.serves) },
            jobsBefore: report.jobsBefore, durationMs: report.milliseconds)
    }
}

extension ReloadReport {
    /// The report as the API shows it: for the ledger of reloads.
    public var jsonText: String {
        (try? APIJSON.value(of: API.Report(self)).canonicalText) ?? "{}"
    }
}

extension API.Explained {
    init(_ explanation: Explanation) {
        self.init(
            job: explanation.job, at: explanation.at, verdict: explanation.verdict, sentences: explanation.sentences,
            run: explanation.run.map(API.Run.init))
    }
}
