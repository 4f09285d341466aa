import JobCore
import SQL

// Keeping house: first a reader finds what may go, then the writer deletes exactly that, so
// that the search through a long history never holds up a claim.

/// Rows of the audit and of reloads that are kept: years of an operator's work.
enum Kept {
    static let audit: Int64 = 100_000
    static let reloads: Int64 = 1_000
}

/// What one call of `prune` deletes.
struct Expired: Sendable {
    var runs: [(job: String, run: RunID)] = []
    var ranges: [Int64] = []
}

extension Ledger {
    func expired(_ retention: [String: RetentionRule], limit: Int, now: Instant) throws -> Expired {
        var expired = Expired()
        let limit = Bounds.rows(limit)
        for (job, rule) in retention.sorted(by: { $0.key < $1.key }) {
            let room = limit - expired.runs.count
            guard room > 0 else { break }
            expired.runs += try expiredRuns(job, rule, limit: room, now: now).map { (job, $0) }
            expired.ranges += try expiredRanges(job, rule, limit: limit, now: now)
        }
        return expired
    }

    /// Ended longer than `age` ago, or not among the newest `runs` that have ended. Oldest first.
    private func expiredRuns(_ job: String, _ rule: RetentionRule, limit: Int, now: Instant) throws -> [RunID] {
        let cutoff = (now - rule.age).stored
        // The newest run that is too many; everything up to it goes. 0: none is too many.
        let tooMany = try connection.first("""
            SELECT id FROM \(schema)runs WHERE job = ? AND \(StateSQL.terminal) ORDER BY id DESC LIMIT 1 OFFSET ?
            """, [.text(job), .int(max(rule.runs, 0))]
        ) { try $0.int64(0) } ?? 0
        return try connection.rows("""
            SELECT id FROM \(schema)runs WHERE job = ? AND \(StateSQL.terminal) AND (id <= ? OR finished_at < ?) AND \(prunable)
            ORDER BY id LIMIT ?
            """, [.text(job), .int(tooMany), .int(cutoff), .int(limit)]
        ) { RunID(try $0.int64(0)) }
    }

    private func expiredRanges(_ job: String, _ rule: RetentionRule, limit: Int, now: Instant) throws -> [Int64] {
        let cutoff = (now - rule.age).stored
        let tooMany = try connection.first(
            "SELECT last FROM \(schema)ledger_ranges WHERE job = ? ORDER BY last DESC LIMIT 1 OFFSET ?",
            [.text(job), .int(max(rule.runs, 0))]
        ) { try $0.int64(0) } ?? .min
        return try connection.rows("""
            SELECT id FROM \(schema)ledger_ranges WHERE job = ? AND (last < ? OR last <= ?)
                AND id NOT IN (SELECT open_range FROM \(schema)job_states WHERE job = ? AND open_range IS NOT NULL)
            ORDER BY last LIMIT ?
            """, [.text(job), .int(cutoff), .int(tooMany), .text(job), .int(limit)]
        ) { try $0.int64(0) }
    }

    /// Returns the runs that are gone now. A run that was brought back to life meanwhile stays.
    func delete(_ expired: Expired) throws -> [(job: String, run: RunID)] {
        let remove = try connection.prepare("DELETE FROM \(schema)runs WHERE id = ? AND \(StateSQL.terminal)")
        let gone = try expired.runs.filter { entry in
            try remove.bind([.int(entry.run.value)])
            return try remove.run() == 1
        }
        for range in expired.ranges {
            try connection.run("""
                DELETE FROM \(schema)ledger_ranges AS r WHERE id = ?
                    AND NOT EXISTS (SELECT 1 FROM \(schema)job_states s WHERE s.job = r.job AND s.open_range = r.id)
                """, [.int(range)])
        }
        try connection.run("DELETE FROM \(schema)audit WHERE id <= (SELECT max(id) FROM \(schema)audit) - ?", [.int(Kept.audit)])
        try connection.run("DELETE FROM \(schema)reloads WHERE id <= (SELECT max(id) FROM \(schema)reloads) - ?", [.int(Kept.reloads)])
        return gone
    }
}
