import JobCore
import JobStore

// What a page with all jobs needs: small, for it is asked for often and with a thousand jobs.

extension API {
    /// `GET /overview`: the host and one short entry for each job, at one instant.
    public struct Overview: Codable, Sendable {
        public var host: HostLine
        /// By name.
        public var jobs: [JobLine]
        /// How many the host has; `jobs` holds less where it was asked for some.
        public var total: Int
    }

    public struct HostLine: Codable, Sendable {
        public var name: String
        public var version: String
        public var pid: Int32
        /// starting, running, reloading, draining
        public var phase: String
        public var startedAt: Instant
        public var now: Instant
        public var generation: Int64
        public var control: Control
        public var workers: Int
        /// Of all workers together, at the last look.
        public var residentBytes: UInt64
        /// Sentences; empty: healthy.
        public var problems: [String]
        /// What `problems` say, and what somebody wanted so, told apart.
        public var conditions: [HostCondition]
        /// Sentences about what is under way, such as a canary, and what somebody wanted so.
        public var notes: [String]
        /// What waits for a second person, the oldest first.
        public var asks: [Ask]
        /// `null`: there was none in this life of the host.
        public var reload: ReloadLine?
    }

    public struct ReloadLine: Codable, Sendable {
        public var generation: Int64
        public var at: Instant
        public var accepted: Bool
        public var clean: Bool
        /// "": none.
        public var firstError: String
    }

    public struct JobLine: Codable, Sendable {
        public var name: String
        public var plugin: String
        public var entry: String
        public var labels: [String]
        /// For people.
        public var schedule: String
        public var enabled: Bool
        /// Why it is off; "" when it is on.
        public var disabledReason: String
        /// Why it does not serve at all; "" when it serves.
        public var refused: String
        public var control: Control
        public var health: Health
        public var nextFire: Instant?
        /// What starts next, and when.
        public var next: NextStart
        public var running: [RunningRun]
        public var waiting: Int64
        public var dead: Int64
        public var last: LastRun?
        /// End of the first failure after the last success; `null`: it does not fail.
        public var failingSince: Instant?
        /// The newest success that is remembered.
        public var lastSuccess: Instant?
        /// Ended attempts, oldest first; none unless asked for by `recent`.
        public var recent: [Recent]
        public var breaker: Breaker
        /// Of its pool's workers, which it may share with other jobs; 0: none lives.
        public var residentBytes: UInt64
        public var problems: [String]
    }

    /// Of the run whose attempt ended last.
    public struct LastRun: Codable, Sendable {
        public var id: Int64
        public var state: RunState
        public var outcome: Outcome?
        public var fireTime: Instant
        public var finishedAt: Instant?
        public var durationUs: Int64?
        public var latenessUs: Int64?
        public var attempt: Int
        public var maxAttempts: Int
        public var reason: String
    }

    public struct Recent: Codable, Sendable {
        public var run: Int64
        public var outcome: Outcome
        public var finishedAt: Instant
        public var durationUs: Int64?
        public var latenessUs: Int64?
    }

    /// `GET /timeline`: what ended runs did, summed up by job, step and outcome.
    public struct Timeline: Codable, Sendable {
        public var from: Instant
        public var to: Instant
        public var stepMs: Int64
        public var spans: [Span]
        /// Skipped and missed fires that touch it, the newest first.
        public var ranges: [Range]
        /// There was more than one answer holds.
        public var truncated: Bool
    }

    public struct Span: Codable, Sendable {
        public var job: String
        /// From 0; what began before `from` counts to the first.
        public var step: Int
        public var outcome: Outcome
        public var runs: Int64
        /// The earliest start and the latest end.
        public var first: Instant
        public var last: Instant
        /// How long the runs took, together; more than `last` - `first`: some ran at once.
        public var busyUs: Int64
        /// The newest of them.
        public var run: Int64
    }
}

extension API.Overview {
    /// `names` nil: all jobs; `first`: so many of them, and of the others those that ask for attention; `recent`: the
    /// most attempts of each.
    init(_ snapshot: HostSnapshot, names: Set<String>?, first: Int? = nil, recent: Int) {
        let memory = snapshot.workers.reduce(into: [String: UInt64]()) { $0[$1.pool, default: 0] &+= $1.residentBytes }
        var jobs = names.map { names in snapshot.jobs.filter { names.contains($0.name) } } ?? snapshot.jobs
        if let first { jobs = jobs.prefix(first) + jobs.dropFirst(first).filter { $0.asksForAttention(snapshot.now) } }
        self.init(
            host: API.HostLine(snapshot, residentBytes: memory.values.reduce(0, &+)),
            jobs: jobs.map { API.JobLine($0, host: snapshot, residentBytes: memory[$0.pool] ?? 0, recent: recent) },
            total: snapshot.jobs.count)
    }
}

extension JobSnapshot {
    /// Whether there is anything to say of it but that it succeeded, or never ran, and waits for its next fire.
    func asksForAttention(_ now: Instant) -> Bool {
        if !enabled || !refused.isEmpty || !problems.isEmpty || !running.isEmpty || waiting > 0 || dead > 0 { return true }
        if control.enabled != nil || control.paused || failingSince != nil || health.grade != .healthy { return true }
        if breaker.state != "closed", breaker.state != "off" { return true }
        // Nobody starts it.
        if let nextFire, now - nextFire > .seconds(10) { return true }
        switch last?.outcome {
        case nil, .succeeded, .nothingToDo: return false
        default: return true
        }
    }
}

extension API.HostLine {
    init(_ snapshot: HostSnapshot, residentBytes: UInt64) {
        self.init(
            name: snapshot.name, version: snapshot.version, pid: snapshot.pid, phase: snapshot.phase,
            startedAt: snapshot.startedAt, now: snapshot.now, generation: snapshot.generation,
            control: API.Control(snapshot.control), workers: snapshot.workers.count, residentBytes: residentBytes,
            problems: snapshot.problems, conditions: snapshot.hostProblems.map(API.HostCondition.init), notes: snapshot.notes, asks: snapshot.asks.map { API.Ask($0, now: snapshot.now) },
            reload: snapshot.lastReload.map { report in
                API.ReloadLine(
                    generation: report.generation, at: report.at, accepted: report.accepted, clean: report.isClean,
                    firstError: report.errors.first ?? "")
            })
    }
}

extension API.JobLine {
    init(_ job: JobSnapshot, host: HostSnapshot, residentBytes: UInt64, recent: Int) {
        self.init(
            name: job.name, plugin: job.plugin, entry: job.entry, labels: job.labels, schedule: job.schedule,
            enabled: job.enabled, disabledReason: job.disabledReason, refused: job.refused,
            control: API.Control(job.control), health: API.Health(job.health), nextFire: job.nextFire, next: NextStart.of(job, host: host), running: job.running.map(API.RunningRun.init), waiting: job.waiting, dead: job.dead,
            last: job.last.map(API.LastRun.init), failingSince: job.failingSince, lastSuccess: job.lastSuccess,
            recent: job.recent.suffix(recent).map(API.Recent.init), breaker: API.Breaker(job.breaker),
            residentBytes: residentBytes, problems: job.problems)
    }
}

extension API.LastRun {
    init(_ record: RunRecord) {
        let run = API.Run(record)
        self.init(
            id: run.id, state: run.state, outcome: run.outcome, fireTime: run.fireTime, finishedAt: run.finishedAt,
            durationUs: run.durationUs, latenessUs: run.latenessUs, attempt: run.attempt, maxAttempts: run.maxAttempts,
            reason: run.reason)
    }
}

extension API.Recent {
    init(_ attempt: RecentAttempt) {
        self.init(
            run: attempt.run.value, outcome: attempt.outcome, finishedAt: attempt.finishedAt,
            durationUs: attempt.duration?.microseconds, latenessUs: attempt.lateness?.microseconds)
    }
}

extension API.Span {
    init(_ span: RunSpan) {
        self.init(
            job: span.job, step: span.step, outcome: span.outcome, runs: span.runs, first: span.first, last: span.last,
            busyUs: span.busy.microseconds, run: span.run.value)
    }
}
