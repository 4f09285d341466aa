import JobCore
import JobJSON

/// What there is to know of a job: what it is, what it waits for, when it fires.
extension API {
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
}
