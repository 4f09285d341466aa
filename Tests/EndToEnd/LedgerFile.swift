import Glibc
import SQL

/// The store's file, or its schema in PostgreSQL, as any other program sees it, and what must hold in it whatever was done
/// to the host. Knows the columns, nothing of the store's code.
struct LedgerFile {
    var path: String
    /// The URL of the database, where the store is not a file.
    var server: String?

    private func open<Value>(_ body: (any SQLConnection) throws -> Value) throws -> Value {
        if let server {
            let connection = try PostgresConnection(PostgresAddress(server))
            defer { connection.close() }
            try connection.execute("SET search_path = jobhost")
            return try body(connection)
        }
        var options = SQLiteOptions()
        options.busyTimeoutMilliseconds = 10_000
        options.create = false
        let connection = try SQLiteConnection(path: path, options: options)
        defer { connection.close() }
        return try body(connection)
    }

    /// The first column as text.
    func texts(_ sql: String) throws -> [String] {
        try open { connection in
            try connection.rows(sql) { row in
                if row.isNull(0) { "NULL" } else if let number = try? row.int64(0) { String(number) } else if let flag = try? row.bool(0) { flag ? "1" : "0" } else { try row.text(0) }
            }
        }
    }

    func number(_ sql: String) throws -> Int { Int(try texts(sql).first ?? "") ?? 0 }

    /// Milliseconds from the start of the job's newest ended run to its end.
    func took(_ job: String) throws -> Int {
        try number("SELECT (finished_at - started_at) / 1000 FROM runs WHERE job = '\(job)' AND finished_at IS NOT NULL ORDER BY id DESC LIMIT 1")
    }

    /// Milliseconds that the newest build of a generation took, its probes above all.
    func buildTook() throws -> Int { try number("SELECT json_extract(report, '$.duration_ms') FROM reloads ORDER BY id DESC LIMIT 1") }

    /// Milliseconds from the moment at which the newest generation was built to the end of the job's first run.
    func outlived(_ job: String) throws -> Int {
        let built = try number("SELECT at + json_extract(report, '$.duration_ms') * 1000 FROM reloads ORDER BY id DESC LIMIT 1")
        return try number("SELECT (finished_at - \(built)) / 1000 FROM runs WHERE job = '\(job)' ORDER BY id LIMIT 1")
    }

    func execute(_ sql: String) throws { try open { try $0.execute(sql) } }

    /// Holds the file against every writer until the returned connection is closed.
    func locked() throws -> SQLiteConnection {
        var options = SQLiteOptions()
        options.busyTimeoutMilliseconds = 10_000
        options.create = false
        let connection = try SQLiteConnection(path: path, options: options)
        try connection.execute("BEGIN EXCLUSIVE")
        return connection
    }

    /// Sentences about what is wrong; empty: nothing. `every`: period of each job with a fixed
    /// rate, in microseconds; its due times must be complete.
    func faults(every periods: [String: Int] = [:]) throws -> [String] {
        var faults = server == nil ? try texts("PRAGMA integrity_check(10)").filter { $0 != "ok" } : []
        for (sentence, query) in Self.rules {
            faults += try texts(query).map { "\(sentence): \($0)" }
        }
        for (job, period) in periods.sorted(by: { $0.key < $1.key }) { faults += try gaps(job, period) }
        return faults
    }

    private static let rules = [
        ("a due time with two runs", """
            SELECT job || ' ' || fire_time FROM runs WHERE trigger IN ('schedule', 'catch_up')
            GROUP BY job, fire_time HAVING count(*) > 1
            """),
        ("an end without having ended, or the reverse", """
            SELECT id FROM runs WHERE (state IN ('succeeded', 'cancelled', 'discarded', 'skipped', 'missed')) <> (finished_at IS NOT NULL)
            """),
        ("one fence for two runs", "SELECT fence FROM runs WHERE fence > 0 GROUP BY fence HAVING count(*) > 1"),
        ("more attempts than allowed", "SELECT id FROM runs WHERE attempt > max_attempts AND outcome <> 'snoozed'"),
        ("a run inside a range", """
            SELECT r.id FROM ledger_ranges g JOIN runs r ON r.job = g.job AND r.fire_time BETWEEN g.first AND g.last
            WHERE r.trigger IN ('schedule', 'catch_up')
            """),
    ]

    /// Every multiple of the period from the first entry up to the cursor is in the ledger.
    private func gaps(_ job: String, _ period: Int) throws -> [String] {
        let entries = """
            SELECT fire_time AS first, 1 AS count FROM runs WHERE job = '\(job)' AND trigger IN ('schedule', 'catch_up')
            UNION ALL SELECT first, count FROM ledger_ranges WHERE job = '\(job)'
            """
        let first = try number("SELECT min(first) FROM (\(entries)) AS e")
        let found = try number("SELECT sum(count) FROM (\(entries)) AS e")
        let cursor = try number("SELECT cursor FROM job_states WHERE job = '\(job)'")
        guard found > 0 else { return ["no entry of \(job)"] }
        let due = (cursor / period) - (first / period) + 1
        var faults = due == found ? [] : ["\(job) was due \(due) times and has \(found) entries"]
        faults += try texts("SELECT first FROM (\(entries)) AS e WHERE first % \(period) <> 0").map { "\(job) has an entry at \($0), which is no due time of it" }
        let wrong = "SELECT first FROM ledger_ranges WHERE job = '\(job)' AND count <> (last - first) / \(period) + 1"
        faults += try texts(wrong).map { "the range of \(job) at \($0) counts what does not lie in it" }
        return faults
    }
}
