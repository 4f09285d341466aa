import JobCore
import SQL

// What people and pages ask. Plain reads; they run on connections of their own.

extension Ledger {
    func run(_ id: RunID, forUpdate locked: Bool = false) throws -> RunRecord? {
        try connection.first(
            "SELECT \(RunRow.columns) FROM \(schema)runs WHERE id = ?\(locked ? forUpdate : "")", [.int(id.value)], RunRow.decode)
    }

    func runs(_ filter: RunFilter) throws -> [RunRecord] {
        var conditions: [String] = []
        var values: [SQLValue] = []
        func require(_ condition: String, _ value: SQLValue) {
            conditions.append(condition)
            values.append(value)
        }
        if let job = filter.job { require("job = ?", .text(job)) }
        if !filter.states.isEmpty { conditions.append(StateSQL.any(of: filter.states)) }
        if !filter.outcomes.isEmpty {
            conditions.append("outcome IN (\(filter.outcomes.map { "'\($0.rawValue)'" }.joined(separator: ", ")))")
        }
        if let from = filter.from { require("fire_time >= ?", .int(from.stored)) }
        if let to = filter.to { require("fire_time < ?", .int(to.stored)) }
        if let ended = filter.endedAfter { require("finished_at > ?", .int(ended.stored)) }
        if let retried = filter.retryOf { require("retry_of = ?", .int(retried.value)) }
        if let before = filter.before { require("id < ?", .int(before.value)) }
        let condition = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        // By the index of ends: for the order of their numbers all that the ledger keeps would be looked at.
        let order = filter.endedAfter == nil ? "id DESC" : "finished_at DESC, id DESC"
        return try connection.rows(
            "SELECT \(filter.withoutPayloads ? RunRow.withoutPayload : RunRow.columns) FROM \(schema)runs \(condition) ORDER BY \(order) LIMIT ?",
            values + [.int(Bounds.rows(filter.limit))], RunRow.decode)
    }

    func attempts(of run: RunID) throws -> [AttemptRecord] {
        try connection.rows("""
            SELECT attempt, outcome, started_at, finished_at, pid, library_hash, reason, code
            FROM \(schema)attempts WHERE run = ? ORDER BY attempt
            """, [.int(run.value)]
        ) { row in
            AttemptRecord(
                run: run, attempt: try row.count(0), outcome: try row.word(1), startedAt: try row.instantOrNil(2),
                finishedAt: try row.instant(3), pid: Int32(clamping: try row.int64(4)), libraryHash: try row.text(5),
                reason: try row.text(6), code: Int32(clamping: try row.int64(7)))
        }
    }

    /// Ranges that touch `from` ..< `to`, newest first.
    func ranges(job: String?, from: Instant?, to: Instant?, before: RangePlace?, limit: Int) throws -> RangePage {
        var question = RangeQuestion(job: job, from: from, to: to, before: before, limit: Bounds.rows(limit))
        var rows: [RangeQuestion.Row] = []
        // One more than asked for says whether there are more.
        if let end = try farEnd(question) {
            rows = try reaching(over: end, question)
            question.endsBefore = end
        }
        if rows.count <= question.limit { rows += try self.rows(question, limit: question.limit + 1 - rows.count) }
        let limit = question.limit
        let isLast = rows.count <= limit
        if !isLast { rows.removeLast() }
        return RangePage(ranges: rows.map { $0.range }, next: isLast ? nil : rows.last.map { RangePlace(last: $0.range.last, id: $0.id) })
    }

    /// The question's end, if so many ranges ended since that it is worth to look for those that reach over it one by one.
    private func farEnd(_ question: RangeQuestion) throws -> Instant? {
        guard let to = question.to, question.from ?? to <= to, question.before?.last ?? to >= to else { return nil }
        let (condition, values) = question.ofJob
        // Looking for each job's costs as much as walking past some.
        let jobs = question.job == nil ? try connection.first("SELECT count(*) FROM \(schema)job_states") { try $0.int64(0) } ?? 0 : 1
        let isFar = try connection.first(
            "SELECT 1 FROM \(schema)ledger_ranges WHERE \(condition)last >= ? ORDER BY last LIMIT 1 OFFSET ?",
            values + [.int(to.stored), .int(max(RangeQuestion.near, 10 * jobs))]) { _ in true }
        return isFar == true ? to : nil
    }

    /// Ranges that begin before `end` and do not end before it: of each job the first that ends there or later, since its
    /// ranges do not overlap; and the one that ends last, since those do that a clock far ahead had left behind before the
    /// job's cursor was set back. (Of several such ones the furthest is found.)
    private func reaching(over end: Instant, _ question: RangeQuestion) throws -> [RangeQuestion.Row] {
        let (condition, values) = question.conditions(of: "g.")
        if let job = question.job {
            let ends = ["", " DESC"].map { "g.id = (SELECT r.id FROM \(schema)ledger_ranges AS r WHERE r.job = ? AND r.last >= ? ORDER BY r.last\($0) LIMIT 1)" }
            return try connection.rows("""
                SELECT \(RangeQuestion.columns(of: "g.")) FROM \(schema)ledger_ranges AS g
                WHERE (\(ends.joined(separator: " OR "))) AND \(condition) ORDER BY g.last DESC, g.id DESC
                """, [.text(job), .int(end.stored), .text(job), .int(end.stored)] + values, RangeQuestion.decode)
        }
        // The first of a job's and its last: each database has its own way to look them up by the index and no other.
        let ends = ["", " DESC"].map { "\(schema)ledger_ranges AS r WHERE r.job = jobs.job AND r.last >= ? ORDER BY r.last\($0) LIMIT 1" }
        let join = switch connection.dialect {
        case .postgresql: "CROSS JOIN LATERAL (\(ends.map { "(SELECT r.* FROM \($0))" }.joined(separator: " UNION "))) AS g"
        case .sqlite: "JOIN \(schema)ledger_ranges AS g ON \(ends.map { "g.id = (SELECT r.id FROM \($0))" }.joined(separator: " OR "))"
        }
        return try connection.rows("""
            WITH RECURSIVE jobs(job) AS (
                SELECT (SELECT min(job) FROM \(schema)ledger_ranges)
                UNION ALL SELECT (SELECT min(r.job) FROM \(schema)ledger_ranges AS r WHERE r.job > jobs.job) FROM jobs WHERE jobs.job IS NOT NULL)
            SELECT \(RangeQuestion.columns(of: "g.")) FROM jobs \(join) WHERE \(condition)
            ORDER BY g.last DESC, g.id DESC LIMIT ?
            """, [.int(end.stored), .int(end.stored)] + values + [.int(question.limit + 1)], RangeQuestion.decode)
    }

    private func rows(_ question: RangeQuestion, limit: Int) throws -> [RangeQuestion.Row] {
        let (condition, values) = question.conditions(of: "")
        let (ofJob, job) = question.ofJob
        return try connection.rows("""
            SELECT \(RangeQuestion.columns(of: "")) FROM \(schema)ledger_ranges
            WHERE \(ofJob)\(condition) ORDER BY last DESC, id DESC LIMIT ?
            """, job + values + [.int(limit)], RangeQuestion.decode)
    }

    func spans(from: Instant, to: Instant, step: Duration, limit: Int) throws -> [RunSpan] {
        try connection.rows("""
            SELECT job, CASE WHEN started_at < ?1 THEN 0 ELSE (started_at - ?1) / ?2 END AS step, outcome, count(*), min(started_at), max(finished_at),
                sum(finished_at - started_at), max(id)
            FROM \(schema)runs
            WHERE started_at < ?3 AND finished_at >= ?1 AND outcome IS NOT NULL
            GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT ?4
            """,
            [.int(from.stored), .int(max(1, step.microseconds)), .int(to.stored), .int(Bounds.rows(limit))]
        ) { row in
            RunSpan(
                job: try row.text(0), step: try row.count(1), outcome: try row.word(2), runs: try row.int64(3),
                first: try row.instant(4), last: try row.instant(5), busy: .microseconds(max(0, try row.int64(6))),
                run: RunID(try row.int64(7)))
        }
    }

    func skips(from: Instant, to: Instant, step: Duration, limit: Int) throws -> [LedgerRange] {
        // By the index of ends: what is claimed ahead of its instant ends a moment before it.
        let slack = Duration.seconds(10)
        return try connection.rows("""
            SELECT job, reason, min(at), max(at), count(*) FROM (
                SELECT job, reason, CASE WHEN trigger IN ('schedule', 'catch_up') THEN fire_time ELSE finished_at END AS at FROM \(schema)runs
                WHERE finished_at >= ?1 AND outcome IS NULL AND state IN ('skipped', 'missed')) AS ended
            WHERE at >= ?2 AND at < ?3 GROUP BY job, reason, (at - ?2) / ?4 ORDER BY 4 DESC, 1, 2 LIMIT ?5
            """,
            [.int((from - slack).stored), .int(from.stored), .int(to.stored), .int(max(1, step.microseconds)), .int(Bounds.rows(limit))]
        ) { row -> LedgerRange? in
            guard let reason = NoRunReason(rawValue: try row.text(1)) else { return nil }
            return LedgerRange(job: try row.text(0), reason: reason, first: try row.instant(2), last: try row.instant(3), count: try row.int64(4))
        }.compactMap { $0 }
    }

    func counters() throws -> [String: [String: Int64]] {
        var counters: [String: [String: Int64]] = [:]
        let rows = try connection.rows("SELECT job, name, sum(value) FROM \(schema)counters GROUP BY job, name") { row in
            (try row.text(0), try row.text(1), try row.int64(2))
        }
        for (job, name, value) in rows { counters[job, default: [:]][name] = value }
        return counters
    }

    func queueDepths(now: Instant) throws -> [String: QueueDepth] {
        var depths: [String: QueueDepth] = [:]
        let none = QueueDepth(waiting: 0, due: 0, running: 0, dead: 0, oldestWaiting: nil)
        for condition in [StateSQL.ready, StateSQL.later] {
            // These few rows first, by their own index: to have them in the order of the jobs SQLite would look at every
            // row that the ledger keeps.
            let rows = try connection.rows("""
                WITH waiting AS MATERIALIZED (SELECT job, available_at FROM \(schema)runs WHERE \(condition))
                SELECT job, count(*), count(CASE WHEN available_at <= ? THEN 1 END), min(available_at) FROM waiting GROUP BY job
                """, [.int(now.stored)]
            ) { (try $0.text(0), try $0.int64(1), try $0.int64(2), try $0.instant(3)) }
            for (job, count, due, oldest) in rows {
                depths[job, default: none].waiting += count
                depths[job, default: none].due += due
                // What is not due yet does not wait yet.
                guard oldest <= now else { continue }
                depths[job, default: none].oldestWaiting = min(depths[job]?.oldestWaiting ?? oldest, oldest)
            }
        }
        for (job, count) in try counts(where: StateSQL.running) { depths[job, default: none].running = count }
        for (job, count) in try counts(where: "state = 'discarded'") { depths[job, default: none].dead = count }
        return depths
    }

    private func counts(where condition: String) throws -> [(String, Int64)] {
        try connection.rows("SELECT job, count(*) FROM \(schema)runs WHERE \(condition) GROUP BY job") {
            (try $0.text(0), try $0.int64(1))
        }
    }

    /// The earliest of those that wait.
    func nextExpiry() throws -> Instant? {
        try connection.first("SELECT min(expires_at) FROM \(schema)runs WHERE \(StateSQL.expiring) AND \(StateSQL.waiting)") {
            try $0.instantOrNil(0)
        } ?? nil
    }

    func nextWaiting() throws -> Instant? {
        let instants = try [StateSQL.ready, StateSQL.later].compactMap { condition in
            try connection.first("SELECT min(available_at) FROM \(schema)runs WHERE \(condition)") { try $0.instantOrNil(0) } ?? nil
        }
        return instants.min()
    }
}
