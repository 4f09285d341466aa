import JobCore
import SQL

/// Something that holds in every ledger, at every commit.
struct LedgerRule {
    var name: String
    /// What holds.
    var sentence: String
    /// Selects what violates it: `what`, a text that names it, and `moment`, an instant or NULL.
    var query: String

    init(_ name: String, _ sentence: String, _ query: String) {
        self.name = name
        self.sentence = sentence
        self.query = query
    }
}

/// The rules of the ledger as SQL that both databases understand. Each is one pass over a table or two, with
/// sorts where rows are compared with each other: a million runs take seconds.
struct LedgerRules {
    /// What stands before the names of tables.
    var schema: String
    var dialect: SQLDialect
    /// The clock that leases go by, as SQL.
    var clock: String
    /// A host serves the store, so that leases are looked after. PostgreSQL knows itself.
    var isServed: Bool

    var all: [LedgerRule] { dueTimes + ends + attempts + queue + ranges + rows }

    private static let none = "CAST(NULL AS bigint) AS moment"
    private static let run = "'run ' || r.id || ' of ' || r.job AS what, r.fire_time AS moment"
    private static let scheduled = "trigger IN ('schedule', 'catch_up')"

    /// A job whose clock was turned back passes the same due times again, and says so.
    private var notRewound: String { "job NOT IN (SELECT job FROM \(schema)audit WHERE action = 'cursor-rewind' AND job IS NOT NULL)" }

    private var dueTimes: [LedgerRule] {
        [
            LedgerRule("due times", "each due time has at most one run", """
                SELECT job AS what, fire_time AS moment FROM \(schema)runs WHERE \(Self.scheduled) AND \(notRewound)
                GROUP BY job, fire_time HAVING count(*) > 1
                """),
            LedgerRule("cursors", "each job's schedule is accounted for up to its newest entry", """
                SELECT e.job AS what, e.newest AS moment FROM (
                    SELECT job, max(newest) AS newest FROM (
                        SELECT job, max(fire_time) AS newest FROM \(schema)runs WHERE \(Self.scheduled) GROUP BY job
                        UNION ALL SELECT job, max(last) FROM \(schema)ledger_ranges GROUP BY job) AS both_kinds
                    WHERE \(notRewound) GROUP BY job) AS e
                LEFT JOIN \(schema)job_states s ON s.job = e.job WHERE s.cursor IS NULL OR s.cursor < e.newest
                """),
        ]
    }

    private var ends: [LedgerRule] {
        [
            LedgerRule("ends", "a run has an end exactly if it has ended", """
                SELECT \(Self.run) FROM \(schema)runs r
                WHERE (state IN ('succeeded', 'cancelled', 'discarded', 'skipped', 'missed')) <> (finished_at IS NOT NULL)
                """),
            LedgerRule("outcomes", "a run that succeeded or failed for good has an outcome", """
                SELECT \(Self.run) FROM \(schema)runs r WHERE state IN ('succeeded', 'discarded') AND outcome IS NULL
                """),
            LedgerRule("words", "states, triggers and outcomes are known words", """
                SELECT 'run ' || r.id || ': ' || state || ', ' || trigger || ', ' || coalesce(outcome, 'no outcome') AS what, fire_time AS moment
                FROM \(schema)runs r WHERE state NOT IN (\(Self.list(RunState.self))) OR trigger NOT IN (\(Self.list(Trigger.self)))
                    OR outcome NOT IN (\(Self.list(Outcome.self)))
                """),
            LedgerRule("counters", "no more ends are in the ledger than were counted", """
                SELECT e.job || ' ' || e.outcome || ': ' || e.found || ' in the ledger' AS what, \(Self.none) FROM (
                    SELECT job, outcome, count(*) AS found FROM \(schema)runs
                    WHERE outcome IS NOT NULL AND finished_at IS NOT NULL GROUP BY job, outcome) AS e
                WHERE e.found > coalesce((SELECT sum(value) FROM \(schema)counters c WHERE c.job = e.job AND c.name = e.outcome), 0)
                """),
        ]
    }

    private static func list<Word: CaseIterable & RawRepresentable<String>>(_: Word.Type) -> String {
        Word.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
    }

    private var attempts: [LedgerRule] {
        [
            LedgerRule("owners", "what runs has an owner, a fence, an attempt and a lease", """
                SELECT \(Self.run) FROM \(schema)runs r WHERE state = 'running'
                    AND (owner = '' OR epoch = '' OR fence <= 0 OR attempt < 1 OR lease_until IS NULL)
                """),
            LedgerRule("fences", "no two runs have one fence", """
                SELECT 'fence ' || fence AS what, \(Self.none) FROM \(schema)runs WHERE fence > 0 GROUP BY fence HAVING count(*) > 1
                """),
            LedgerRule("open attempts", "what has ended or waits has no attempt under way", """
                SELECT \(Self.run) FROM \(schema)runs r WHERE state <> 'running' AND lease_until IS NOT NULL
                """),
            LedgerRule("attempts", "no run has more attempts than it may", """
                SELECT \(Self.run) FROM \(schema)runs r WHERE attempt > max_attempts AND outcome <> 'snoozed'
                """),
            LedgerRule("earlier attempts", "each attempt on record is one that its run had", """
                SELECT 'run ' || a.run || ' attempt ' || a.attempt AS what, a.finished_at AS moment
                FROM \(schema)attempts a LEFT JOIN \(schema)runs r ON r.id = a.run
                WHERE r.id IS NULL OR a.attempt < 1 OR a.attempt > r.attempt
                """),
            LedgerRule("leases", "no dead host keeps a run while another host lives", "\(abandoned)"),
        ]
    }

    /// Hosts look for such runs every few seconds: what is a minute over is forgotten.
    private var abandoned: String {
        let overdue = "\(clock) - \(Duration.seconds(60).microseconds)"
        let what = "'run ' || r.id || ' of ' || r.job || ' on ' || r.owner AS what, r.lease_until AS moment"
        guard dialect == .postgresql else {
            return "SELECT \(what) FROM \(schema)runs r WHERE \(isServed ? "1" : "0") = 1 AND state = 'running' AND lease_until < \(overdue)"
        }
        return """
            SELECT \(what) FROM \(schema)runs r LEFT JOIN \(schema)hosts h ON h.name = r.owner
            WHERE state = 'running' AND r.lease_until < \(overdue)
                AND (h.name IS NULL OR h.lease_until < \(overdue) OR (h.epoch <> r.epoch AND h.since_at < \(overdue)))
                AND EXISTS (SELECT 1 FROM \(schema)hosts a WHERE a.lease_until > \(clock) AND a.since_at < \(overdue))
            """
    }

    private var queue: [LedgerRule] {
        let priority = "CASE WHEN priority > 1000000 THEN 1000000 WHEN priority < -1000000 THEN -1000000 ELSE priority END"
        return [
            LedgerRule("unique keys", "one waiting or running run at most has a job's unique key", """
                SELECT job || ' key ' || unique_key AS what, \(Self.none) FROM \(schema)runs
                WHERE finished_at IS NULL AND unique_key IS NOT NULL GROUP BY job, unique_key HAVING count(*) > 1
                """),
            LedgerRule("places", "what waits has its place in the queue, by time and priority", """
                SELECT \(Self.run) FROM \(schema)runs r
                WHERE \(StateSQL.waiting) AND rank <> available_at - (\(priority)) * \(Rank.perPriority)
                """),
            LedgerRule("retries", "a run retries one that was there before it", """
                SELECT \(Self.run) FROM \(schema)runs r WHERE retry_of >= id
                """),
        ]
    }

    private var ranges: [LedgerRule] {
        [
            LedgerRule("ranges", "ranges of fires without a run do not overlap", """
                SELECT job || ' ' || reason AS what, first AS moment FROM (
                    SELECT job, reason, first, max(last) OVER (
                        PARTITION BY job ORDER BY first, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reached
                    FROM \(schema)ledger_ranges) AS g
                WHERE reached >= first AND \(notRewound)
                """),
            LedgerRule("runs and ranges", "no due time is a run and in a range", """
                SELECT 'run ' || id || ' of ' || job AS what, at AS moment FROM (
                    SELECT id, job, at, max(reach) OVER (PARTITION BY job ORDER BY at, kind ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS reached
                    FROM (
                        SELECT id, job, fire_time AS at, 1 AS kind, CAST(NULL AS bigint) AS reach FROM \(schema)runs WHERE \(Self.scheduled)
                        UNION ALL SELECT NULL, job, first, 0, last FROM \(schema)ledger_ranges) AS entries) AS e
                WHERE id IS NOT NULL AND reached >= at AND \(notRewound)
                """),
            LedgerRule("range counts", "a range counts one fire exactly if it begins and ends with it", """
                SELECT job || ' ' || reason || ': ' || count AS what, first AS moment FROM \(schema)ledger_ranges
                WHERE count < 1 OR last < first OR (count = 1) <> (first = last)
                """),
            LedgerRule("open ranges", "the range that a job goes on with is there and its own", """
                SELECT s.job || ' range ' || s.open_range AS what, \(Self.none)
                FROM \(schema)job_states s LEFT JOIN \(schema)ledger_ranges g ON g.id = s.open_range
                WHERE s.open_range IS NOT NULL AND (g.id IS NULL OR g.job <> s.job)
                """),
        ]
    }

    private var rows: [LedgerRule] {
        let newest = dialect == .sqlite
            ? ["SELECT value FROM sequences WHERE name = 'run'", "SELECT value FROM sequences WHERE name = 'fence'"]
            : ["SELECT last_value FROM \(schema)run_ids", "SELECT last_value FROM \(schema)fences"]
        return [
            LedgerRule("numbers", "no run has a number or a fence that was not given out", """
                SELECT 'run ' || id || ' fence ' || fence AS what, \(Self.none) FROM \(schema)runs
                WHERE id > coalesce((\(newest[0])), 0) OR fence > coalesce((\(newest[1])), 0)
                """)
        ]
    }
}
