import JobCore
import SQL

/// Moves a store from a SQLite file into an empty schema of PostgreSQL: history, cursors, states,
/// breakers, what waits, the audit; ids, fences and idempotency keys stay what they are.
public enum StoreMove {
    public struct Moved: Hashable, Sendable {
        public var table: String
        public var rows: Int64
    }

    /// A table of both stores: its columns with PostgreSQL's types, in the order in which tables can
    /// be filled.
    private struct Table {
        var name: String
        var columns: [(name: String, type: String)]
        /// It has a row for each host in PostgreSQL.
        var isPerHost = false

        init(_ name: String, _ columns: String, isPerHost: Bool = false) {
            self.name = name
            self.columns = columns.split(separator: ",").map { column in
                let words = column.split(separator: " ")
                return (String(words[0]), words.count > 1 ? String(words[1]) : "text")
            }
            self.isPerHost = isPerHost
        }
    }

    private static let tables = [
        Table("runs", """
            id bigint,job,trigger,state,outcome,fire_time bigint,available_at bigint,rank bigint,created_at bigint,\
            started_at bigint,finished_at bigint,lease_until bigint,attempt bigint,max_attempts bigint,priority bigint,\
            fence bigint,owner,epoch,pid integer,library_hash,generation bigint,reason,code integer,items bigint,\
            cpu_us bigint,unique_key,idempotency_key,retry_of bigint,payload,idempotent bigint,expires_at bigint
            """),
        Table("attempts", """
            run bigint,attempt bigint,outcome,started_at bigint,finished_at bigint,pid integer,library_hash,reason,code integer
            """),
        Table("ledger_ranges", "id bigint,job,reason,first bigint,last bigint,count bigint"),
        Table("job_states", "job,cursor bigint,schedule,adaptive_us bigint,last_finished bigint,last_outcome,open_range bigint"),
        Table("breakers", "job,generation bigint,data,updated_at bigint"),
        Table("controls", "job,enabled smallint,reason,since bigint,paused smallint,pause_reason,paused_since bigint"),
        Table("rate_takes", "job,at bigint,runs bigint"),
        Table("state_blobs", "job,version bigint,bytes bytea,updated_at bigint"),
        Table("counters", "job,name,value bigint", isPerHost: true),
        Table("audit", "id bigint,at bigint,actor,via,reason,action,job,detail"),
        Table("asks", "id bigint,job,action,command,asked_by,reason,asked_at bigint,decision,decided_by,decided_at bigint"),
        Table("accepted_libraries", "plugin,sha256,path,accepted_at bigint", isPerHost: true),
        Table("reloads", "id bigint,generation bigint,at bigint,accepted smallint,report", isPerHost: true),
    ]

    private static let batch = 1_000

    /// Moves everything in one transaction: it is all there or nothing is. The file stays as it is;
    /// nobody may serve it meanwhile (the caller holds its lock). `host`: the name under which the
    /// host goes on there.
    ///
    /// Throws `StoreError`: `incompatible` where the schema is not empty, `unavailable` where the
    /// database cannot be reached.
    public static func move(
        fromSQLite path: String, to url: String, schema: String = "jobhost", host: String
    ) async throws -> [Moved] {
        // Brings an older file to the newest format.
        try await SQLiteStore.open(path: path).close()
        return try await withCheckedThrowingContinuation { continuation in
            do {
                try StoreThread.start("store-move") {
                    continuation.resume(with: Result {
                        do { return try copy(path, url, schema, host) } catch { throw StoreError(wrapping: error) }
                    })
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    private static func copy(_ path: String, _ url: String, _ schema: String, _ host: String) throws -> [Moved] {
        var reading = SQLiteOptions()
        reading.create = false
        reading.readOnly = true
        let source = try SQLiteConnection(path: path, options: reading)
        defer { source.close() }
        var writing = PostgresOptions()
        writing.replacesNUL = true
        let target = try PostgresConnection(PostgresAddress(url), options: writing)
        defer { target.close() }
        try PostgresMigrations.apply(to: target, schema: schema)
        let prefix = PostgresMigrations.quoted(schema) + "."
        return try source.transaction(.deferred) {
            try target.transaction(.rowLocks) {
                try demandEmpty(target, prefix)
                var moved = try tables.map { table in
                    Moved(table: table.name, rows: try copy(table, source, target, prefix, host))
                }
                moved.append(Moved(table: "enqueue_inbox", rows: try copyInbox(source, target, prefix)))
                try setSequences(source, target, prefix)
                return moved
            }
        }
    }

    private static func demandEmpty(_ target: PostgresConnection, _ prefix: String) throws {
        try target.run("LOCK TABLE \(prefix)hosts, \(prefix)runs IN EXCLUSIVE MODE")
        for table in ["runs", "job_states", "audit", "counters", "hosts"] {
            let filled = try target.first("SELECT 1 FROM \(prefix)\(table) LIMIT 1") { try $0.int64(0) }
            guard filled == nil else {
                throw StoreError(
                    .incompatible,
                    "the store \(target.address) is not empty (\(table)): a store moves into an empty one; name another schema")
            }
        }
    }

    private static func copy(
        _ table: Table, _ source: SQLiteConnection, _ target: PostgresConnection, _ prefix: String, _ host: String
    ) throws -> Int64 {
        let names = table.columns.map(\.name).joined(separator: ", ")
        let read = try source.prepare("SELECT \(names) FROM \(table.name)")
        let write = try target.prepare(insertion(table, names, prefix))
        var columns = PostgresColumns(table.columns.count)
        var waiting = 0
        var rows: Int64 = 0
        func flush() throws {
            guard waiting > 0 else { return }
            try write.bind(columns, from: 1)
            if table.isPerHost { try write.bind(host, at: table.columns.count + 1) }
            try write.run()
            rows += Int64(waiting)
            waiting = 0
            columns = PostgresColumns(table.columns.count)
        }
        while try read.step() {
            for (i, column) in table.columns.enumerated() {
                switch column.type {
                case "text": columns[i].append(try read.textOrNil(i))
                case "bytea": columns[i].append(try read.bytesOrNil(i).map(hexadecimal))
                default: columns[i].append(try read.int64OrNil(i))
                }
            }
            waiting += 1
            if waiting == batch { try flush() }
        }
        try flush()
        return rows
    }

    private static func insertion(_ table: Table, _ names: String, _ prefix: String) -> String {
        let arrays = table.columns.enumerated().map { "?\($0 + 1)::\($1.type)[]" }.joined(separator: ", ")
        let (column, value) = table.isPerHost ? (", host", ", ?\(table.columns.count + 1)") : ("", "")
        return """
            INSERT INTO \(prefix)\(table.name) (\(names)\(column)) OVERRIDING SYSTEM VALUE
            SELECT *\(value) FROM unnest(\(arrays)) AS t (\(names))
            """
    }

    /// As PostgreSQL writes a blob.
    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return "\\x" + String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// A payload that is not JSON, which its row was refused for, is kept as a JSON string.
    private static func copyInbox(_ source: SQLiteConnection, _ target: PostgresConnection, _ prefix: String) throws -> Int64 {
        let read = try source.prepare("""
            SELECT job, payload, unique_key, priority, run_at_ms, created_at_ms, refused, expires_at_ms,
                payload IS NULL OR json_valid(payload) FROM enqueue_inbox ORDER BY id
            """)
        let write = try target.prepare("""
            INSERT INTO \(prefix)enqueue_inbox (job, payload, unique_key, priority, run_at_ms, created_at_ms, refused, expires_at_ms)
            VALUES (?1, ?2::text::json, ?3, ?4, ?5, ?6, ?7, ?8)
            """)
        var rows: Int64 = 0
        while try read.step() {
            for column in 0..<8 { try write.bind(read.value(column), at: column + 1) }
            if try read.int64(8) == 0 { try write.bind(.text(InboxRow.noPayload(try read.text(1))), at: 2) }
            try write.run()
            rows += 1
        }
        return rows
    }

    /// New numbers begin behind the old ones.
    private static func setSequences(_ source: SQLiteConnection, _ target: PostgresConnection, _ prefix: String) throws {
        for (name, sequence) in [("run", "run_ids"), ("fence", "fences")] {
            let last = try source.first("SELECT value FROM sequences WHERE name = ?", [.text(name)]) { try $0.int64(0) } ?? 0
            guard last > 0 else { continue }
            _ = try target.first("SELECT setval(?::regclass, ?)", [.text(prefix + sequence), .int(last)]) { try $0.int64(0) }
        }
        for table in ["ledger_ranges", "audit", "asks", "reloads"] {
            _ = try target.first("""
                SELECT setval(pg_get_serial_sequence(?, 'id'), max(id)) FROM \(prefix)\(table) HAVING max(id) IS NOT NULL
                """, [.text(prefix + table)]) { try $0.int64(0) }
        }
    }
}
