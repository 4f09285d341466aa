import JobCore
import SQL

// Keeping house: first a reader finds what may go, then the writer deletes exactly that, so
// that the search through a long history never holds up a claim.

/// Rows of the audit and of reloads that are kept: years of an operator's work.
public enum Kept {
    public static let audit: Int64 = 100_000
    static let reloads: Int64 = 1_000
    /// Rows of `enqueue_inbox` that were refused, by when they were inserted.
    static let refusals: Int64 = 10_000
    static let refusalAge = Duration.seconds(30 * 86_400)
}

/// What one call of `prune` deletes.
struct Expired: Sendable {
    var runs: [(job: String, run: RunID)] = []
    var ranges: [(job: String, range: Int64)] = []
    /// Of the inbox.
    var refusals: [Int64] = []
    var isEmpty: Bool { runs.isEmpty && ranges.isEmpty && refusals.isEmpty }
}

/// A condition on rows, with the values of its parameters.
struct ExpiredRows {
    var condition: String
    var values: [SQLValue]
}

extension Ledger {
    func expired(_ retention: [String: RetentionRule], limit: Int, now: Instant) throws -> Expired {
        var expired = Expired()
        let limit = Bounds.rows(limit)
        for (job, rule) in retention.sorted(by: { $0.key < $1.key }) {
            let room = limit - expired.runs.count
            guard room > 0 else { break }
            let runs = try expiredRuns(job, rule, now: now)
            expired.runs += try connection.rows(
                "SELECT id FROM \(schema)runs WHERE \(runs.condition) AND \(prunable) ORDER BY id LIMIT ?", runs.values + [.int(room)]
            ) { (job, RunID(try $0.int64(0))) }
            let ranges = try expiredRanges(job, rule, now: now)
            expired.ranges += try connection.rows(
                "SELECT id FROM \(schema)ledger_ranges WHERE \(ranges.condition) ORDER BY last LIMIT ?", ranges.values + [.int(limit)]
            ) { (job, try $0.int64(0)) }
        }
        return expired
    }

    /// And refused rows of the inbox, which are no job's: of an age, or too many.
    func expiredOfAll(_ retention: [String: RetentionRule], limit: Int, now: Instant) throws -> Expired {
        var expired = try expired(retention, limit: limit, now: now)
        expired.refusals = try connection.rows("""
            SELECT id FROM \(schema)enqueue_inbox WHERE refused IS NOT NULL AND (created_at_ms < ? OR id <= (
                SELECT id FROM \(schema)enqueue_inbox WHERE refused IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET \(Kept.refusals)))
            ORDER BY id LIMIT ?
            """, [.int((now - Kept.refusalAge).milliseconds), .int(Bounds.rows(limit))]) { try $0.int64(0) }
        return expired
    }

    /// Ended longer than `age` ago, or not among the newest `runs` that have ended.
    func expiredRuns(_ job: String, _ rule: RetentionRule, now: Instant) throws -> ExpiredRows {
        // The newest run that is too many; everything up to it goes. 0: none is too many.
        let tooMany = rule.runs == .max ? 0 : try connection.first("""
            SELECT id FROM \(schema)runs WHERE job = ? AND \(StateSQL.terminal) ORDER BY id DESC LIMIT 1 OFFSET ?
            """, [.text(job), .int(max(rule.runs, 0))]
        ) { try $0.int64(0) } ?? 0
        return ExpiredRows(
            condition: "job = ? AND \(StateSQL.terminal) AND (id <= ? OR finished_at < ?)",
            values: [.text(job), .int(tooMany), .int((now - rule.age).stored)])
    }

    /// But not the one that the job's schedule goes on with.
    func expiredRanges(_ job: String, _ rule: RetentionRule, now: Instant) throws -> ExpiredRows {
        let tooMany = rule.runs == .max ? .min : try connection.first(
            "SELECT last FROM \(schema)ledger_ranges WHERE job = ? ORDER BY last DESC LIMIT 1 OFFSET ?",
            [.text(job), .int(max(rule.runs, 0))]
        ) { try $0.int64(0) } ?? .min
        return ExpiredRows(
            condition: """
                job = ? AND (last < ? OR last <= ?)
                    AND id NOT IN (SELECT open_range FROM \(schema)job_states WHERE job = ? AND open_range IS NOT NULL)
                """,
            values: [.text(job), .int((now - rule.age).stored), .int(tooMany), .text(job)])
    }

    /// Returns the runs that are gone now. A run that was brought back to life meanwhile stays.
    func delete(_ expired: Expired) throws -> [(job: String, run: RunID)] {
        let gone = try delete(expired.runs.map(\.run))
        for (_, range) in expired.ranges {
            try connection.run("""
                DELETE FROM \(schema)ledger_ranges AS r WHERE id = ?
                    AND NOT EXISTS (SELECT 1 FROM \(schema)job_states s WHERE s.job = r.job AND s.open_range = r.id)
                """, [.int(range)])
        }
        if !expired.refusals.isEmpty {
            let rows = expired.refusals.map(String.init).joined(separator: ", ")
            try connection.execute("DELETE FROM \(schema)enqueue_inbox WHERE refused IS NOT NULL AND id IN (\(rows))")
        }
        try connection.run("DELETE FROM \(schema)audit WHERE id <= (SELECT max(id) FROM \(schema)audit) - ?", [.int(Kept.audit)])
        try connection.run("DELETE FROM \(schema)reloads WHERE id <= (SELECT max(id) FROM \(schema)reloads) - ?", [.int(Kept.reloads)])
        return expired.runs.filter { gone.contains($0.run) }
    }

    func delete(_ runs: [RunID]) throws -> Set<RunID> {
        let remove = try connection.prepare("DELETE FROM \(schema)runs WHERE id = ? AND \(StateSQL.terminal)")
        return try runs.reduce(into: []) { gone, run in
            try remove.bind(run.value, at: 1)
            if try remove.runAgain() == 1 { gone.insert(run) }
        }
    }
}

extension PostgresLedger {
    func delete(_ runs: [RunID]) throws -> Set<RunID> {
        Set(try connection.rows(
            "DELETE FROM \(schema)runs WHERE id = ANY (?::bigint[]) AND \(StateSQL.terminal) RETURNING id",
            [.text(PostgresArray(runs.map(\.value)).value)]
        ) { RunID(try $0.int64(0)) })
    }
}
