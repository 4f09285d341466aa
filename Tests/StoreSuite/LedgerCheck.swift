import SQL

/// Reads a store's database alone, without any code of the store, and says what in it breaks
/// the promise: every due time ends in exactly one ledger entry, every run has one owner or
/// one end. For tests that killed, filled or raced a host.
public enum LedgerCheck {
    /// Sentences, one per violation, at most ten of each rule; empty: the ledger is sound.
    /// The host may be running: this reads one snapshot.
    public static func violations(in path: String) throws -> [String] {
        var options = SQLiteOptions()
        options.readOnly = true
        options.busyTimeoutMilliseconds = 60_000
        let connection = try SQLiteConnection(path: path, options: options)
        defer { connection.close() }
        return try violations(connection)
    }

    /// The store in `schema` of the PostgreSQL database at `url`.
    public static func violations(inPostgreSQL url: String, schema: String) throws -> [String] {
        let connection = try PostgresConnection(PostgresAddress(url))
        defer { connection.close() }
        try connection.execute("SET search_path = \(schema)")
        return try violations(connection)
    }

    public static func violations(_ connection: any SQLConnection) throws -> [String] {
        try connection.transaction(.deferred) {
            var found: [String] = []
            if connection.dialect == .sqlite {
                found += try connection.rows("PRAGMA integrity_check(10)") { try $0.text(0) }.filter { $0 != "ok" }
                found += try connection.rows("PRAGMA foreign_key_check") { "a row of \(try $0.text(0)) points nowhere" }
            }
            for rule in rules + [beyondSequence(connection.dialect)] {
                found += try connection.rows("\(rewound) \(rule.query) LIMIT 10") { "\(rule.sentence): \(try $0.text(0))" }
            }
            return found
        }
    }

    /// A job whose clock was turned back passes the same due times again, and says so.
    private static let rewound = "WITH rewound AS (SELECT job FROM audit WHERE action = 'cursor-rewind' AND job IS NOT NULL)"

    private static let terminal = "('succeeded', 'cancelled', 'discarded', 'skipped', 'missed')"
    private static let scheduled = "trigger IN ('schedule', 'catch_up')"

    private static func beyondSequence(_ dialect: SQLDialect) -> (sentence: String, query: String) {
        let newest = dialect == .sqlite
            ? ["SELECT value FROM sequences WHERE name = 'run'", "SELECT value FROM sequences WHERE name = 'fence'"]
            : ["SELECT last_value FROM run_ids", "SELECT last_value FROM fences"]
        return ("a number beyond its sequence", """
            SELECT 'run ' || id || ' fence ' || fence FROM runs WHERE id > (\(newest[0])) OR fence > (\(newest[1]))
            """)
    }

    /// Each query selects one text that names the culprit.
    private static let rules: [(sentence: String, query: String)] = [
        ("two live runs of one due time", """
            SELECT job || ' at ' || fire_time FROM runs WHERE finished_at IS NULL AND \(scheduled)
            GROUP BY job, fire_time HAVING count(*) > 1
            """),
        ("two runs of one due time", """
            SELECT job || ' at ' || fire_time FROM runs WHERE \(scheduled) AND job NOT IN (SELECT job FROM rewound)
            GROUP BY job, fire_time HAVING count(*) > 1
            """),
        ("two live runs with one unique key", """
            SELECT job || ' key ' || unique_key FROM runs WHERE finished_at IS NULL AND unique_key IS NOT NULL
            GROUP BY job, unique_key HAVING count(*) > 1
            """),
        ("running without owner, fence, lease or attempt", """
            SELECT 'run ' || id FROM runs WHERE state = 'running'
                AND (owner = '' OR epoch = '' OR fence <= 0 OR attempt < 1 OR lease_until IS NULL)
            """),
        ("two running runs with one fence", """
            SELECT 'fence ' || fence FROM runs WHERE state = 'running' GROUP BY fence HAVING count(*) > 1
            """),
        ("ended without an end, or an end without having ended", """
            SELECT 'run ' || id || ' ' || state FROM runs WHERE (state IN \(terminal)) <> (finished_at IS NOT NULL)
            """),
        ("an unknown word", """
            SELECT 'run ' || id || ' ' || state || ' ' || trigger || ' ' || coalesce(outcome, '') FROM runs
            WHERE state NOT IN ('scheduled', 'available', 'running', 'retryable', 'succeeded', 'cancelled', 'discarded',
                'skipped', 'missed')
                OR trigger NOT IN ('schedule', 'catch_up', 'manual', 'enqueued', 'backfill', 'retry_of', 'start', 'after')
                OR outcome NOT IN ('succeeded', 'nothing_to_do', 'failed', 'retry', 'snoozed', 'cancelled', 'timed_out',
                'crashed', 'lost')
            """),
        ("an attempt without an outcome", """
            SELECT 'run ' || id FROM runs WHERE state IN ('succeeded', 'discarded') AND outcome IS NULL
            """),
        ("a cursor behind a run of its schedule", """
            SELECT r.job || ' at ' || max(r.fire_time) FROM runs r LEFT JOIN job_states s ON s.job = r.job
            WHERE \(scheduled) AND r.job NOT IN (SELECT job FROM rewound) AND (s.cursor IS NULL OR s.cursor < r.fire_time) GROUP BY r.job
            """),
        ("a cursor behind a range", """
            SELECT r.job || ' at ' || max(r.last) FROM ledger_ranges r LEFT JOIN job_states s ON s.job = r.job
            WHERE r.job NOT IN (SELECT job FROM rewound) AND (s.cursor IS NULL OR s.cursor < r.last) GROUP BY r.job
            """),
        ("overlapping ranges", """
            SELECT a.job || ' ' || a.reason || ' and ' || b.reason || ' at ' || b.first
            FROM ledger_ranges a JOIN ledger_ranges b ON b.job = a.job AND b.id > a.id AND b.first <= a.last AND a.first <= b.last
            WHERE a.job NOT IN (SELECT job FROM rewound)
            """),
        ("a run inside a range", """
            SELECT 'run ' || r.id || ' of ' || r.job || ' in ' || g.reason
            FROM ledger_ranges g JOIN runs r ON r.job = g.job AND r.fire_time BETWEEN g.first AND g.last
            WHERE \(scheduled) AND g.job NOT IN (SELECT job FROM rewound)
            """),
        ("a range whose count and span disagree", """
            SELECT job || ' ' || reason || ' at ' || first FROM ledger_ranges WHERE (count = 1) <> (first = last)
            """),
        ("fewer counted than there are", """
            SELECT r.job || ' ' || r.outcome FROM runs r
            WHERE r.outcome IS NOT NULL AND finished_at IS NOT NULL GROUP BY r.job, r.outcome
            HAVING count(*) > coalesce((SELECT sum(value) FROM counters c WHERE c.job = r.job AND c.name = r.outcome), 0)
            """),
        ("an attempt on record that the run did not have", """
            SELECT 'run ' || a.run || ' attempt ' || a.attempt FROM attempts a JOIN runs r ON r.id = a.run
            WHERE a.attempt < 1 OR a.attempt > r.attempt
            """),
        ("a retry of something later", """
            SELECT 'run ' || id FROM runs WHERE retry_of >= id
            """),
    ]
}
