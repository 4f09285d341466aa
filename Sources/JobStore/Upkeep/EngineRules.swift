import JobCore
import SQL

// What the database itself says: whether its pages are sound, and whether tables, indexes and settings are
// those that the migrations make.

extension SQLiteLedger {
    func engineFindings(_ format: StoreFormat, limit: Int) throws -> [StoreCheck.Finding] {
        // Of a file that is damaged everywhere SQLite would go on for long.
        let most = 100
        let file = try guarded("file", "no page, index or row of the file is damaged (integrity_check)") {
            let problems = try connection.rows("PRAGMA integrity_check(\(most))") { try $0.text(0) }.filter { $0 != "ok" }
            return StoreCheck.Finding("file", "no page, index or row of the file is damaged (integrity_check)", problems, limit: limit)
        }
        let references = try guarded("references", "no row points to one that is not there") {
            let problems = try connection.rows("PRAGMA foreign_key_check") { "a row of \(try $0.text(0)) points to none of \(try $0.text(2))" }
            return StoreCheck.Finding("references", "no row points to one that is not there", problems, limit: limit)
        }
        guard format.isCurrent else { return [file, references] }
        let tables = try guarded("tables", "tables and indexes are as they were made") {
            StoreCheck.Finding("tables", "tables and indexes are as they were made", try strayObjects(), limit: limit)
        }
        return [file, references, tables]
    }

    /// Compared with a store that is made on the spot. What somebody has added is theirs.
    private func strayObjects() throws -> [String] {
        func objects(_ connection: SQLiteConnection) throws -> [String: String] {
            let rows = try connection.rows("SELECT type || ' ' || name, sql FROM sqlite_schema WHERE sql IS NOT NULL") { (try $0.text(0), try $0.text(1)) }
            return Dictionary(rows) { first, _ in first }
        }
        let made = try SQLiteConnection(path: ":memory:")
        defer { made.close() }
        try Migrations.apply(to: made)
        let found = try objects(connection)
        return try objects(made).sorted { $0.key < $1.key }.compactMap { name, sql in
            guard let there = found[name] else { return "\(name) is not there" }
            return there == sql ? nil : "\(name) was changed"
        }
    }
}

extension PostgresLedger {
    func engineFindings(_ format: StoreFormat, limit: Int) throws -> [StoreCheck.Finding] {
        var findings = [
            try finding("pages", "the server has found no page with a wrong checksum", limit, failedChecksums()),
            try finding("indexes", "all indexes and constraints are valid", limit, invalidObjects()),
        ]
        guard format.isCurrent else { return findings }
        let plan = PostgresPlan(PostgresMigrations.all.map(\.script))
        findings.append(try finding("tables", "tables, indexes and functions are there", limit, missingObjects(plan)))
        findings.append(try finding("autovacuum", "the hot tables have the settings that keep them small", limit, else: .warn, otherSettings(plan)))
        return findings
    }

    private func finding(
        _ rule: String, _ sentence: String, _ limit: Int, else level: StoreCheck.Level = .fail, _ problems: @autoclosure () throws -> [String]
    ) throws -> StoreCheck.Finding {
        try guarded(rule, sentence) { StoreCheck.Finding(rule, sentence, try problems(), else: level, limit: limit) }
    }

    /// The schema's name as a value.
    private var name: SQLValue { .text(String(schema.dropLast(2).dropFirst()).replacing("\"\"", with: "\"")) }

    private func failedChecksums() throws -> [String] {
        try connection.rows("""
            SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0
            """) { "\(try $0.int64(0)) of this database; see the server's log" }
    }

    private func invalidObjects() throws -> [String] {
        try connection.rows("""
            SELECT 'index ' || c.relname || ': REINDEX it, or drop it if it is none of the store''s' AS what FROM pg_index i
            JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ? AND NOT (i.indisvalid AND i.indisready AND i.indislive)
            UNION ALL SELECT 'constraint ' || o.conname || ' of ' || c.relname FROM pg_constraint o
            JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ? AND NOT o.convalidated ORDER BY what
            """, [name, name]) { try $0.text(0) }
    }

    private func missingObjects(_ plan: PostgresPlan) throws -> [String] {
        let there = Set(try connection.rows("""
            SELECT CASE c.relkind WHEN 'i' THEN 'index ' WHEN 'S' THEN 'sequence ' ELSE 'table ' END || c.relname
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ?
            UNION ALL SELECT 'function ' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ?
            """, [name, name]) { try $0.text(0) })
        return plan.objects.filter { !there.contains($0) }.map { "\($0) is not there" }
    }

    private func otherSettings(_ plan: PostgresPlan) throws -> [String] {
        var problems: [String] = []
        if try connection.first("SELECT current_setting('autovacuum')", [], { try $0.text(0) }) == "off" {
            problems.append("autovacuum is off for the whole server")
        }
        let rows = try connection.rows("""
            SELECT c.relname, o.option_name, o.option_value FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            CROSS JOIN LATERAL pg_options_to_table(c.reloptions) o WHERE n.nspname = ? AND c.relkind = 'r'
            """, [name]) { (table: try $0.text(0), setting: try $0.text(1), value: try $0.text(2)) }
        for (table, settings) in plan.settings.sorted(by: { $0.key < $1.key }) {
            for (setting, value) in settings.sorted(by: { $0.key < $1.key }) {
                let found = rows.first { $0.table == table && $0.setting == setting }?.value
                if found != value { problems.append("\(table): \(setting) is \(found ?? "not set"), made with \(value)") }
            }
        }
        return problems
    }
}

/// What the migrations of PostgreSQL make, read from their own text.
struct PostgresPlan {
    /// "table runs", "index runs_job", "sequence fences", "function enqueue"; sorted.
    private(set) var objects: [String] = []
    /// Storage parameters, by table.
    private(set) var settings: [String: [String: String]] = [:]

    init(_ scripts: [String]) {
        for script in scripts {
            let code = script.split(separator: "\n").map { $0.prefix(upTo: $0.firstRange(of: "--")?.lowerBound ?? $0.endIndex) }.joined(separator: "\n")
            // Pieces of function bodies begin with other words.
            for statement in code.split(separator: ";") { read(statement) }
        }
        // What a later version makes anew is there once.
        objects = Set(objects).sorted()
    }

    private mutating func read(_ statement: Substring) {
        let words = statement.split { " \n(".contains($0) }
        guard words.first == "CREATE", let kind = words.dropFirst().first(where: { !["OR", "REPLACE", "UNIQUE", "UNLOGGED"].contains($0) }),
            let place = words.firstIndex(of: kind), words.indices.contains(place + 1)
        else { return }
        let object = String(words[place + 1]).replacing("{s}.", with: "")
        objects.append("\(kind.lowercased()) \(object)")
        guard kind == "TABLE", let begin = statement.ranges(of: ") WITH (").last?.upperBound else { return }
        let list = statement[begin...].prefix { $0 != ")" }
        for setting in list.split(separator: ",") {
            let parts = setting.split(separator: "=").map { String($0.filter { !$0.isWhitespace }) }
            if parts.count == 2 { settings[object, default: [:]][parts[0]] = parts[1] }
        }
    }
}
