import JobCore
import JobJSON
import JobStore

// `GET /events`: what each kind of event carries.

extension API {
    public enum EventKind: String, Codable, CaseIterable, Sendable {
        case runStarted = "run_started"
        case runEnded = "run_ended"
        case notRun = "not_run"
        /// Runs of the job ended on other hosts: ask for what you want to know.
        case elsewhere
        case breaker, reload, action, problems
        /// What a job told others, in the outbox of its database.
        case outbox
        /// Something is missing between the last event and this one: read the state anew.
        case reset
    }

    public struct RunStarted: Codable, Sendable {
        public var job: String
        public var run: Int64
        public var at: Instant
        public var pid: Int32
    }

    public struct Elsewhere: Codable, Sendable {
        public var job: String
        public var at: Instant
    }

    public struct NotRun: Codable, Sendable {
        public var job: String
        public var reason: NoRunReason
        /// skipped or missed
        public var state: RunState
        public var text: String
        public var at: Instant
    }

    public struct BreakerMoved: Codable, Sendable {
        public var job: String
        /// closed, open, half_open, forced_open, disabled
        public var state: String
        public var text: String
        public var at: Instant
    }

    /// Once for each `key`, but for what is told twice around a restart.
    public struct OutboxEvent: Codable, Sendable {
        /// Its name in `[http] outbox`.
        public var outbox: String
        public var seq: Int64
        public var event: String
        public var key: String
        /// `null`: longer than 256 KiB; read it there.
        public var payload: JSON
        public var at: Instant

        init(_ outbox: String, _ row: OutboxRow) {
            (self.outbox, seq, event, key, at) = (outbox, row.seq, row.event, row.key, row.at)
            payload = row.payload.map(rawJSON) ?? .null
        }
    }

    public struct Problems: Codable, Sendable {
        /// Sentences; empty: healthy again.
        public var problems: [String]
        public var at: Instant
    }

    /// nil: not of the stream's kinds.
    static func encode(_ event: HostEvent) -> (kind: EventKind, job: String?, data: [UInt8])? {
        func encoded(_ kind: EventKind, _ job: String?, _ value: some Encodable) -> (kind: EventKind, job: String?, data: [UInt8])? {
            (try? APIJSON.bytes(of: value)).map { (kind, job, $0) }
        }
        switch event {
        case .started(let job, let run, let at, let pid):
            return encoded(.runStarted, job, RunStarted(job: job, run: run.value, at: at, pid: pid))
        case .ended(let run), .endedWaiting(let run): return encoded(.runEnded, run.job, Run(run))
        case .elsewhere(let job, let at): return encoded(.elsewhere, job, Elsewhere(job: job, at: at))
        case .notRun(let job, let reason, let text, let at):
            return encoded(.notRun, job, NotRun(job: job, reason: reason, state: reason.state, text: text, at: at))
        case .breaker(let job, let mode, let text, let at):
            return encoded(.breaker, job, BreakerMoved(job: job, state: mode, text: text, at: at))
        case .reload(let report): return encoded(.reload, nil, Report(report))
        case .action(let row): return encoded(.action, row.job, AuditEntry(row))
        case .problems(let problems, let at): return encoded(.problems, nil, Problems(problems: problems, at: at))
        case .worker, .store, .settled: return nil
        }
    }
}
