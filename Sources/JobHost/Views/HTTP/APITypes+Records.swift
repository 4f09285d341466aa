import JobCore
import JobJSON

/// What was asked for, decided and counted: approvals, audit, reloads.
extension API {
    public struct Asks: Codable, Sendable {
        public var asks: [Ask]
        /// Pass as `before` for the next page; `null`: this was the last.
        public var nextBefore: Int64?
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

    /// `GET /audit`: the newest first.
    public struct Audit: Codable, Sendable {
        public var audit: [AuditEntry]
        /// Pass as `before` for the next page; `null`: this was the last.
        public var nextBefore: Int64?
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
        /// Pass as `before` for the next page; `null`: this was the last.
        public var nextBefore: Int64?
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
        /// Also what is to run later.
        public var waiting: Int64
        /// Of `waiting`, what could start now.
        public var due: Int64
        public var running: Int64
        public var dead: Int64
        /// When the run that is due and has waited longest became due.
        public var oldestWaiting: Instant?
        /// Attempts that ended within the last minute.
        public var endedLastMinute: Int
        /// By how many a minute `due` falls, as seen within the last minute; negative: it grows; `null`: nothing is due,
        /// or it has not been seen for long enough.
        public var shrinksPerMinute: Int64?
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
}
