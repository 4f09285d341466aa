import SQL

/// What there is of one table in a database.
struct TableFacts: Hashable, Sendable {
    var columns: [String: String] = [:]
    /// Columns of each index in order, by its name; of the primary key, too.
    var indexes: [String: Index] = [:]
    var triggers: Set<String> = []
    /// What stands behind it has the indexes.
    var isView = false

    struct Index: Hashable, Sendable {
        var columns: [String]
        /// Without a condition: what an INSERT may refer to.
        var isKey: Bool
    }

    /// nil: there is no such table, or it cannot be seen.
    static func read(_ table: String, _ connection: any SQLConnection) throws -> TableFacts? {
        let facts = connection.dialect == .sqlite ? try sqlite(table, connection) : try postgresql(table, connection)
        return facts.columns.isEmpty ? nil : facts
    }

    private static func sqlite(_ table: String, _ connection: any SQLConnection) throws -> TableFacts {
        var facts = TableFacts()
        var primary: [(place: Int64, name: String)] = []
        try connection.each("SELECT name, type, pk FROM pragma_table_xinfo(?)", [.text(table)]) { row in
            facts.columns[try row.text(0)] = try row.text(1)
            if try row.int64(2) > 0 { primary.append((try row.int64(2), try row.text(0))) }
        }
        if !primary.isEmpty {
            facts.indexes["(primary key)"] = Index(columns: primary.sorted { $0.place < $1.place }.map(\.name), isKey: true)
        }
        try connection.each(
            """
            SELECT l.name, l."unique" AND NOT l.partial, i.name
            FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i ORDER BY l.name, i.seqno
            """, [.text(table)]
        ) { row in
            let isKey = try row.bool(1)
            let column = try row.textOrNil(2) ?? "(expression)"
            facts.indexes[try row.text(0), default: Index(columns: [], isKey: isKey)].columns.append(column)
        }
        try connection.each("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", [.text(table)]) {
            facts.triggers.insert(try $0.text(0))
        }
        facts.isView = try connection.first("SELECT type = 'view' FROM sqlite_schema WHERE name = ?", [.text(table)]) { try $0.bool(0) } ?? false
        return facts
    }

    private static func postgresql(_ table: String, _ connection: any SQLConnection) throws -> TableFacts {
        var facts = TableFacts()
        try connection.each(
            """
            SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
            WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped
            """, [.text(table)]
        ) { facts.columns[try $0.text(0)] = try $0.text(1) }
        try connection.each(
            """
            SELECT c.relname, (x.indisunique AND x.indpred IS NULL)::int, pg_get_indexdef(x.indexrelid, k, true)
            FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid, generate_series(1, x.indnkeyatts) k
            WHERE x.indrelid = to_regclass(?) AND x.indisvalid ORDER BY c.relname, k
            """, [.text(table)]
        ) { row in
            let isKey = try row.bool(1)
            var column = try row.text(2)
            if column.hasPrefix("lower("), column.hasSuffix(")") { column = String(column.dropFirst(6).dropLast()) }
            // A keyword among them: "interval".
            if column.hasPrefix("\""), column.hasSuffix("\"") { column = String(column.dropFirst().dropLast()) }
            facts.indexes[try row.text(0), default: Index(columns: [], isKey: isKey)].columns.append(column)
        }
        try connection.each(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = to_regclass(?) AND NOT tgisinternal", [.text(table)]
        ) { facts.triggers.insert(try $0.text(0)) }
        facts.isView = try connection.first(
            "SELECT (relkind IN ('v', 'm'))::int FROM pg_class WHERE oid = to_regclass(?)", [.text(table)]
        ) { try $0.bool(0) } ?? false
        return facts
    }
}

/// Kinds of types that hold the same: what fits is a matter of the statements, not of the name.
enum TypeKind: String {
    case integer, text, decimal, other

    init(_ type: String) {
        let type = type.lowercased()
        self = if ["int", "serial", "xid8"].contains(where: type.contains) {
            .integer
        } else if ["char", "text", "uuid", "clob"].contains(where: type.contains) {
            .text
        } else if ["numeric", "decimal"].contains(where: type.contains) {
            .decimal
        } else {
            .other
        }
    }
}

extension SQLConnection {
    /// Each row in turn.
    func each(_ sql: String, _ values: [SQLValue] = [], _ body: (Statement) throws -> Void) throws {
        _ = try rows(sql, values) { try body($0) }
    }
}
