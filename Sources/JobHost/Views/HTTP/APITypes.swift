import JobCore
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
        /// What `problems` say, and what somebody wanted so, told apart.
        public var conditions: [HostCondition]
        /// Sentences about what is under way, such as a canary, and what somebody wanted so.
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
        /// What `problems` say, and what somebody wanted so (warnings).
        public var conditions: [HostCondition]
        public var jobs: [JobHealth]
        public struct JobHealth: Codable, Sendable {
            public var job: String
            public var grade: HealthGrade
            public var reasons: [HealthReason]
        }
    }

    /// What is wrong with the host itself (`critical`), or otherwise than its config says because somebody wanted it so
    /// (`warning`).
    public struct HostCondition: Codable, Sendable {
        public var grade: HealthGrade
        public var kind: HostProblem.Kind
        /// The plugin, or what else tells two of a kind apart; "" where there is one only.
        public var subject: String
        public var text: String
        public var since: Instant?
        init(_ problem: HostProblem) {
            (grade, kind, subject, text, since) = (problem.grade, problem.kind, problem.subject, problem.text, problem.since)
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
