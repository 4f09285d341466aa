import JobCore
import JobJSON
import JobStore

/// The bodies of `/api/v1`, which are also what every `--json` prints. Field names are the
/// property names in snake_case and are a promise: they may be added to, never renamed, and keep
/// their meaning. Instants are RFC 3339 in UTC; durations are whole numbers whose name ends in
/// their unit (`_ms`, `_us`); what is unknown or not there is `null`.
public enum API {
    /// `GET /status`.
    public struct Status: Codable, Sendable {
        public var host: Host
        public var jobs: [Job]
    }

    public struct Host: Codable, Sendable {
        public var name: String
        public var version: String
        public var pid: Int32
        /// starting, running, reloading, draining
        public var phase: String
        public var startedAt: Instant
        public var now: Instant
        public var uptimeMs: Int64
        public var generation: Int64
        public var configFile: String
        public var stateDir: String
        public var storeUrl: String
        public var control: Control
        public var workers: Int
        /// Of its jobs: how many there are, and how many of them are switched on and serve.
        public var jobs: Int
        public var jobsOn: Int
        /// Sentences; empty: healthy.
        public var problems: [String]
        /// Sentences about what is under way, such as a canary.
        public var notes: [String]
        public var lastReload: Report?
    }

    /// `GET /caller`: whoever sent the request.
    public struct Caller: Codable, Sendable {
        /// As the audit names it.
        public var name: String
        public var mayAct: Bool
    }

    /// What operators decided over the config.
    public struct Control: Codable, Sendable {
        /// `null`: as the config says.
        public var enabled: Bool?
        /// Why `enabled` is what it is, and since when.
        public var reason: String
        public var since: Instant?
        public var paused: Bool
        public var pauseReason: String
        public var pausedSince: Instant?
    }

    public struct Job: Codable, Sendable {
        public var name: String
        public var plugin: String
        public var entry: String
        public var description: String
        public var labels: [String]
        /// For people.
        public var schedule: String
        /// Of the schedule, from the tz database.
        public var timezone: String
        public var enabled: Bool
        /// Why it is off; "" when it is on.
        public var disabledReason: String
        /// Why it does not serve at all: its library or its settings were refused; "" when it serves.
        public var refused: String
        public var control: Control
        public var health: Health
        /// Of the schedule, whatever may keep it from starting.
        public var nextFire: Instant?
        /// What starts next, and when.
        public var next: NextStart
        public var running: [RunningRun]
        public var concurrency: Int
        public var waiting: Int64
        public var dead: Int64
        public var last: Run?
        /// Oldest first.
        public var recentOutcomes: [Outcome]
        public var breaker: Breaker
        /// Ever, by outcome and by no-run reason.
        public var counters: [String: Int64]
        public var libraryHash: String
        /// Secrets masked.
        public var settings: JSON
        public var limits: [Limit]
        public var problems: [String]
    }

    /// As the rules of the job's `health` judge it.
    public struct Health: Codable, Sendable {
        public var grade: HealthGrade
        /// The worse ones first; empty: healthy.
        public var reasons: [HealthReason]
    }

    /// `GET /healthz`: everything that is not healthy. Its status is 503 where something is critical.
    public struct HostHealth: Codable, Sendable {
        public var grade: HealthGrade
        /// Of the host itself: sentences, each of them critical.
        public var problems: [String]
        public var jobs: [JobHealth]
        public struct JobHealth: Codable, Sendable {
            public var job: String
            public var grade: HealthGrade
            public var reasons: [HealthReason]
        }
    }

    public struct HealthReason: Codable, Sendable {
        public var grade: HealthGrade
        /// The key that speaks: "success_age", "breaker", "metrics.NAME"; "settings".
        public var rule: String
        public var text: String
    }

    public struct Limit: Codable, Sendable {
        public var name: String
        public var value: String
    }

    public struct RunningRun: Codable, Sendable {
        public var run: Int64
        public var attempt: Int
        /// `null`: it waits for its worker.
        public var startedAt: Instant?
        public var pid: Int32
        public var done: UInt64
        public var total: UInt64
        public var text: String
        /// Why its worker does not start; "": no such trouble.
        public var problem: String
    }

    public struct Breaker: Codable, Sendable {
        /// closed, open, half_open, forced_open, disabled, off
        public var state: String
        public var failures: Int
        public var since: Instant?
        public var until: Instant?
        public var reason: String
    }

    /// `GET /timer`: for whoever counts down, such as a page that shows when a market moves next.
    /// `now` is this host's clock.
    public struct Timetable: Codable, Sendable {
        public var now: Instant
        /// The soonest first; those that have none are left out.
        public var fires: [NextFire]
    }

    public struct NextFire: Codable, Sendable {
        public var job: String
        public var plugin: String
        /// What runs: "tick", "trade-window".
        public var entry: String
        public var labels: [String]
        /// Of the schedule, whatever may keep it from starting.
        public var at: Instant
        public var inMs: Int64
        /// What starts next, and when: a paused job's fire is not it.
        public var next: NextStart
        /// For people.
        public var schedule: String
    }

    /// `GET /breakers`.
    public struct Breakers: Codable, Sendable {
        public var breakers: [JobBreaker]
    }

    public struct JobBreaker: Codable, Sendable {
        public var job: String
        public var breaker: Breaker
    }

    /// `GET /jobs`.
    public struct Jobs: Codable, Sendable {
        public var jobs: [Job]
    }

    public struct Run: Codable, Sendable {
        public var id: Int64
        public var job: String
        public var trigger: Trigger
        public var state: RunState
        /// Of the last ended attempt.
        public var outcome: Outcome?
        public var fireTime: Instant
        public var availableAt: Instant
        public var createdAt: Instant
        public var startedAt: Instant?
        public var finishedAt: Instant?
        /// Of the last attempt, from its start to its end.
        public var durationUs: Int64?
        /// From the fire time to the start of the last attempt.
        public var latenessUs: Int64?
        public var attempt: Int
        public var maxAttempts: Int
        public var priority: Int
        public var fence: Int64
        public var owner: String
        public var epoch: String
        public var pid: Int32
        public var libraryHash: String
        public var generation: Int64
        /// One sentence: why it failed, what was done.
        public var reason: String
        /// The plugin's own failure code.
        public var code: Int32
        public var items: UInt64
        public var cpuUs: Int64
        public var uniqueKey: String?
        public var idempotencyKey: String
        public var retryOf: Int64?
        /// Every digit as it was enqueued; `null`: none.
        public var payload: JSON
        /// Of a run that has not started: why, and what to press.
        public var waitsFor: WaitingFor?
    }

    /// `GET /runs` and `GET /dead`: newest first.
    public struct Runs: Codable, Sendable {
        public var runs: [Run]
        /// Skipped and missed fires that lie among these runs, the newest first.
        public var ranges: [Range]
        /// Pass as `before` for the next page; `null`: this was the last.
        public var nextBefore: Int64?
    }

    /// `GET /runs/{run}`.
    public struct RunDetail: Codable, Sendable {
        public var run: Run
        /// While it runs: its progress.
        public var running: RunningRun?
        /// Those that have ended, the oldest first.
        public var attempts: [Attempt]
        /// Runs that retry this one, the oldest first.
        public var retriedAs: [Int64]
        /// What operators did with it, the oldest first.
        public var audit: [AuditEntry]
        /// Skipped and missed fires of the job within an hour around this fire time.
        public var ranges: [Range]
    }

    public struct Attempt: Codable, Sendable {
        public var attempt: Int
        public var outcome: Outcome
        public var startedAt: Instant?
        public var finishedAt: Instant
        public var durationUs: Int64?
        public var pid: Int32
        public var libraryHash: String
        public var reason: String
        public var code: Int32
    }

    public struct Range: Codable, Sendable {
        public var job: String
        public var reason: NoRunReason
        /// skipped or missed
        public var state: RunState
        public var first: Instant
        public var last: Instant
        public var count: Int64
    }

    /// `GET /ranges`.
    public struct Ranges: Codable, Sendable {
        public var ranges: [Range]
    }

    /// `GET /runs/{run}/log`.
    public struct LogPage: Codable, Sendable {
        public var run: Int64
        public var lines: [LogLine]
        /// Pass as `from` to go on.
        public var next: Int64
        /// true: nothing more will come after `next`.
        public var ended: Bool
        /// The host that ran it and has its log, where that is another one; `null`: this one.
        public var elsewhere: String?
    }

    public struct LogLine: Codable, Sendable {
        public var t: Instant?
        /// debug, info, warning, error
        public var level: String
        /// log, stdout, stderr, host
        public var stream: String
        public var text: String
        /// An object; `null`: none.
        public var fields: JSON
    }

    public struct Plugins: Codable, Sendable {
        public var plugins: [Plugin]
    }

    public struct Plugin: Codable, Sendable {
        public var name: String
        public var library: String
        public var libraryHash: String
        public var id: String
        public var version: String
        public var description: String
        public var entries: [String]
        public var problem: String
        /// A changed library on trial, in a sentence; "": none.
        public var canary: String
    }

    public struct PluginVersions: Codable, Sendable {
        public var plugin: String
        /// The newest first.
        public var versions: [PluginVersion]
    }

    public struct PluginVersion: Codable, Sendable {
        public var sha256: String
        /// The plugin's own word for it; "": it never served.
        public var version: String
        /// When it last began to serve all runs; `null`: it never did.
        public var acceptedAt: Instant?
        /// serving, canary, rolled_back (the file's, which is not to serve), kept
        public var state: String
        public var note: String
    }

    public struct Workers: Codable, Sendable {
        public var workers: [Worker]
    }

    public struct Worker: Codable, Sendable {
        public var pid: Int32
        public var pool: String
        public var plugin: String
        public var libraryHash: String
        public var state: String
        public var run: Int64?
        public var runs: Int
        public var startedAt: Instant
        public var residentBytes: UInt64
    }

    /// `GET /hosts`: those that share the store, and those of them that died and are remembered, by name; without
    /// others, this one.
    public struct Hosts: Codable, Sendable {
        public var hosts: [ServingHost]
    }

    public struct ServingHost: Codable, Sendable {
        public var name: String
        /// This is the one that answers.
        public var isThis: Bool
        /// Of this life of it.
        public var since: Instant
        /// When it last renewed its lease.
        public var seen: Instant
        /// Its lease holds.
        public var isAlive: Bool
        public var version: String
        /// What jobs choose it by (`run_on`).
        public var labels: [String]
        /// Attempts that it has under way.
        public var running: Int64
        /// An operator has taken it out: it starts nothing new.
        public var isDrained: Bool
        public var drainReason: String
        /// Its clock against the store's; positive: ahead.
        public var skewUs: Int64

        init(_ row: HostRow, isThis: Bool) {
            (name, self.isThis, since, seen) = (row.name, isThis, row.since, row.seen)
            (isAlive, version, labels, running) = (row.isAlive, row.version, row.labels, row.running)
            (isDrained, drainReason, skewUs) = (row.isDrained, row.drainReason, row.skew.microseconds)
        }
    }

    public struct Asks: Codable, Sendable {
        public var asks: [Ask]
    }

    /// What one person asked for of a job that takes two.
    public struct Ask: Codable, Sendable {
        public var id: Int64
        public var job: String
        /// What is done when it is approved, for people.
        public var action: String
        public var askedBy: String
        public var reason: String
        public var askedAt: Instant
        /// An answer counts until then.
        public var expiresAt: Instant
        public var state: JobCore.Ask.State
        /// "": nobody did.
        public var decidedBy: String
        public var decidedAt: Instant?
    }

    public struct AskAnswered: Codable, Sendable {
        public var ask: Ask
        /// What came of it; `null`: no run, or it was refused.
        public var run: Run?
    }

    public struct Audit: Codable, Sendable {
        public var audit: [AuditEntry]
    }

    public struct AuditEntry: Codable, Sendable {
        public var at: Instant
        public var actor: String
        /// cli, http, signal, host
        public var via: String
        public var reason: String
        public var action: String
        public var job: String?
        public var detail: String
    }

    public struct Reloads: Codable, Sendable {
        public var reloads: [ReloadEntry]
    }

    public struct ReloadEntry: Codable, Sendable {
        public var generation: Int64
        public var at: Instant
        public var accepted: Bool
        public var report: JSON
    }

    /// `GET /counters`: of each job, ever; they outlive the runs.
    public struct Counters: Codable, Sendable {
        public var jobs: [JobCounters]
    }

    public struct JobCounters: Codable, Sendable {
        public var job: String
        public var counters: [String: Int64]
        public var waiting: Int64
        public var running: Int64
        public var dead: Int64
        /// When the run that is due and has waited longest became due.
        public var oldestWaiting: Instant?
        /// Attempts that ended within the last minute.
        public var endedLastMinute: Int
    }

    /// What a reload did, or would do.
    public struct Report: Codable, Sendable {
        public var generation: Int64
        public var at: Instant
        /// false: refused whole, the old generation goes on.
        public var accepted: Bool
        /// Accepted, and nothing in it was refused.
        public var clean: Bool
        public var errors: [String]
        public var warnings: [String]
        /// Changed keys of `[host]` and `[http]`, and when they take effect.
        public var host: [ReportLine]
        public var plugins: [ReportLine]
        public var jobs: [ReportLine]
        /// How many jobs served before.
        public var jobsBefore: Int
        public var durationMs: Int64
    }

    public struct ReportLine: Codable, Sendable {
        public var name: String
        public var change: ReloadReport.Change
        public var detail: String
        /// Of a job: it serves afterwards, be it as it was. `null`: it is none.
        public var serves: Bool?
    }

    /// `GET /jobs/{job}/explain`.
    public struct Explained: Codable, Sendable {
        public var job: String
        public var at: Instant
        /// ran, waiting, skipped, missed, not_due, future, absent, unknown
        public var verdict: String
        public var sentences: [String]
        public var run: Run?
    }

    /// `GET /jobs/{job}/next`.
    public struct Fires: Codable, Sendable {
        /// `null`: of an expression, not of a job.
        public var job: String?
        public var schedule: String
        /// Of the schedule, from the tz database.
        public var timezone: String
        public var fires: [Instant]
        /// Those of them that the job's calendar leaves out: they will be recorded as skipped.
        public var closed: [ClosedFire]
        /// Why they, or the first of them, will not start; "": they will.
        public var note: String

        init(job: String?, schedule: String, timezone: String, coming: [ComingFire], note: String) {
            (self.job, self.schedule, self.timezone, self.note) = (job, schedule, timezone, note)
            fires = coming.map(\.at)
            closed = coming.compactMap { fire in fire.closed.map { ClosedFire(at: fire.at, reason: $0) } }
        }
    }

    public struct ClosedFire: Codable, Sendable {
        public var at: Instant
        public var reason: String
    }

    /// `POST /jobs/{job}/backfill`.
    public struct Backfilled: Codable, Sendable {
        public var job: String
        public var from: Instant
        public var to: Instant
        public var dryRun: Bool
        public var total: Int
        public var fires: [Instant]
    }

    /// `POST …/trigger`, `…/enqueue`, `…/retry`.
    public struct Accepted: Codable, Sendable {
        public var run: Run
        /// false: a live run with this key was there already; this is it.
        public var inserted: Bool
    }

    /// Any other command.
    public struct Done: Codable, Sendable {
        public var done = true
    }

    /// RFC 9457.
    public struct Problem: Codable, Sendable, Error {
        public var type: String
        public var title: String
        public var status: Int
        public var detail: String
        /// not_found, invalid, conflict, unavailable, too_large, method_not_allowed, unauthorized, refused, too_many,
        /// broken
        public var code: String
        public var hint: String?
    }
}
