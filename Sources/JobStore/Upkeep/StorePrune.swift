import JobCore
import SQL

/// `jobhost store prune`: what the hosts do every minute, by hand, beside them or without any. In batches of a
/// transaction each, so that no host waits for long.
public enum StorePrune {
    /// Ended runs and ranges of one job.
    public struct Share: Hashable, Sendable {
        public var job: String
        public var runs: Int64 = 0
        /// Attempts on record that go with them.
        public var attempts: Int64 = 0
        public var ranges: Int64 = 0
        /// When the first and the last of them ended.
        public var oldest: Instant?
        public var newest: Instant?
        public init(job: String) { self.job = job }
        var isNothing: Bool { runs == 0 && ranges == 0 }
    }

    public struct Report: Hashable, Sendable {
        /// Of jobs of which something goes, by name.
        public var shares: [Share] = []
        /// Runs that would go and belong to other living hosts, which have their logs.
        public var elsewhere: Int64 = 0
        /// Ended runs of jobs for which no rule was given, by job.
        public var unruled: [String: Int64] = [:]
        /// Bytes of the file that new rows will use before it grows; nil: the database does not say.
        public var freeBytes: Int64?
        /// It was stopped before its end.
        public var isUnfinished = false
        public init() {}
    }

    /// Whose history is pruned, and by which rule.
    public enum Rules: Hashable, Sendable {
        /// Of these jobs alone.
        case byJob([String: RetentionRule])
        /// Of all jobs of the store, also of those that no config has any more.
        case olderThan(Duration)
    }

    public struct Request: Sendable {
        public var rules: Rules
        /// Only this job's.
        public var job: String?
        /// The host in whose name it is done: runs of other hosts that live stay.
        public var host: String
        /// Rows in one transaction.
        public var batch: Int
        public init(rules: Rules, job: String? = nil, host: String, batch: Int = 500) {
            self.rules = rules
            self.job = job
            self.host = host
            self.batch = max(batch, 1)
        }
    }

    /// What would go. Changes nothing.
    public static func survey(_ place: StorePlace, _ request: Request, now: Instant) async throws -> Report {
        try await place.visit(.reading, host: request.host) { ledger, format in
            try format.demandCurrent(place)
            return try ledger.snapshot { try survey(ledger, request, now) }
        }
    }

    /// - Parameters:
    ///   - actor: for the audit.
    ///   - removed: runs that are gone, after each batch, on the store's thread. Whoever waits between batches waits here.
    ///     false: no further batch.
    public static func run(
        _ place: StorePlace, _ request: Request, by actor: Actor, now: Instant,
        removed: @escaping @Sendable ([(job: String, run: RunID)]) -> Bool
    ) async throws -> Report {
        try await place.visit(.changing, host: request.host) { ledger, format in
            try format.demandCurrent(place)
            return try prune(ledger, request, actor, now, removed)
        }
    }

    private static func survey<Book: Ledger>(_ ledger: Book, _ request: Request, _ now: Instant) throws -> Report {
        var report = Report()
        let rules = try rules(ledger, request)
        for (job, rule) in rules.sorted(by: { $0.key < $1.key }) {
            let (share, elsewhere) = try ledger.share(of: job, rule, now: now)
            if !share.isNothing { report.shares.append(share) }
            report.elsewhere += elsewhere
        }
        if case .byJob = request.rules, request.job == nil { report.unruled = try ledger.endedRuns(besides: Set(rules.keys)) }
        report.freeBytes = try ledger.freeBytes()
        return report
    }

    private static func rules<Book: Ledger>(_ ledger: Book, _ request: Request) throws -> [String: RetentionRule] {
        let all: [String: RetentionRule] = switch request.rules {
        case .byJob(let rules): rules
        case .olderThan(let age):
            Dictionary(uniqueKeysWithValues: try ledger.jobsWithHistory().map { ($0, RetentionRule(age: age, runs: .max)) })
        }
        return request.job.map { job in all.filter { $0.key == job } } ?? all
    }

    private static func prune<Book: Ledger>(
        _ ledger: Book, _ request: Request, _ actor: Actor, _ now: Instant, _ removed: ([(job: String, run: RunID)]) -> Bool
    ) throws -> Report {
        var report = try ledger.snapshot { try survey(ledger, request, now) }
        let rules = try ledger.snapshot { try self.rules(ledger, request) }
        var shares = Dictionary(uniqueKeysWithValues: report.shares.map { ($0.job, $0) })
        for job in shares.keys {
            shares[job]?.runs = 0
            shares[job]?.ranges = 0
        }
        for (job, rule) in rules.sorted(by: { $0.key < $1.key }) where !report.isUnfinished {
            while !report.isUnfinished {
                let expired = try ledger.snapshot { try ledger.expired([job: rule], limit: request.batch, now: now) }
                if expired.isEmpty { break }
                let gone = try ledger.connection.transaction(.rowLocks) { try ledger.delete(expired) }
                shares[job, default: Share(job: job)].runs += Int64(gone.count)
                shares[job, default: Share(job: job)].ranges += Int64(expired.ranges.count)
                report.isUnfinished = !removed(gone)
            }
        }
        report.shares = shares.values.filter { !$0.isNothing }.sorted { $0.job < $1.job }
        let (runs, ranges) = report.shares.reduce((0, 0)) { ($0.0 + $1.runs, $0.1 + $1.ranges) }
        if runs + ranges > 0 {
            let detail = "\(runs) runs and \(ranges) ranges of \(report.shares.count) jobs"
            try ledger.connection.transaction(.rowLocks) {
                try ledger.writeAudit(AuditRow(at: now, actor: actor, action: "prune", job: request.job, detail: detail))
            }
        }
        report.freeBytes = try ledger.snapshot { try ledger.freeBytes() }
        return report
    }
}

extension Ledger {
    fileprivate func jobsWithHistory() throws -> [String] {
        try connection.rows("SELECT job FROM \(schema)runs UNION SELECT job FROM \(schema)ledger_ranges ORDER BY job") { try $0.text(0) }
    }

    fileprivate func endedRuns(besides jobs: Set<String>) throws -> [String: Int64] {
        let rows = try connection.rows("SELECT job, count(*) FROM \(schema)runs WHERE \(StateSQL.terminal) GROUP BY job") {
            (try $0.text(0), try $0.int64(1))
        }
        return Dictionary(uniqueKeysWithValues: rows.filter { !jobs.contains($0.0) })
    }

    /// What a rule lets go of a job, and how many runs it would if they were not another living host's.
    fileprivate func share(of job: String, _ rule: RetentionRule, now: Instant) throws -> (StorePrune.Share, elsewhere: Int64) {
        var share = StorePrune.Share(job: job)
        let runs = try expiredRuns(job, rule, now: now)
        let ours = try connection.first("""
            SELECT count(*), min(finished_at), max(finished_at) FROM \(schema)runs WHERE \(runs.condition) AND \(prunable)
            """, runs.values) { (try $0.int64(0), try $0.instantOrNil(1), try $0.instantOrNil(2)) }
        if let ours { (share.runs, share.oldest, share.newest) = ours }
        let all = try connection.first("SELECT count(*) FROM \(schema)runs WHERE \(runs.condition)", runs.values) { try $0.int64(0) } ?? 0
        share.attempts = try connection.first("""
            SELECT count(*) FROM \(schema)attempts WHERE run IN (SELECT id FROM \(schema)runs WHERE \(runs.condition) AND \(prunable))
            """, runs.values) { try $0.int64(0) } ?? 0
        let ranges = try expiredRanges(job, rule, now: now)
        share.ranges = try connection.first("SELECT count(*) FROM \(schema)ledger_ranges WHERE \(ranges.condition)", ranges.values) { try $0.int64(0) } ?? 0
        return (share, all - share.runs)
    }

    fileprivate func freeBytes() throws -> Int64? {
        guard connection.dialect == .sqlite else { return nil }
        let pages = try connection.first("PRAGMA freelist_count") { try $0.int64(0) } ?? 0
        return try connection.first("PRAGMA page_size") { try $0.int64(0) }.map { $0 * pages }
    }
}
