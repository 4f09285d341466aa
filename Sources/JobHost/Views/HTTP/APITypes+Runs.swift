import JobCore
import JobJSON
import JobStore

/// Runs, their attempts, what was left out between them, and what they logged.
extension API {
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
        /// From when on it is not started any more; `null`: it may whenever.
        public var expiresAt: Instant?
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
        /// Pass as `before` for the next page; `null`: this was the last.
        public var nextBefore: String?
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
        /// Whose line it is; `null`: said outside of runs.
        public var run: Int64?
        /// debug, info, warning, error
        public var level: String
        /// log, stdout, stderr, host
        public var stream: String
        public var text: String
        /// An object; `null`: none.
        public var fields: JSON
    }
}
