import JobKit
import SQL

/// What a plugin's statements do with which tables: read off by SQLite's own compiler, so that it
/// cannot be forgotten. What differs in PostgreSQL is said there, in a line `-- rights: `.
struct SchemaNeeds: Hashable, Sendable {
    struct Table: Hashable, Sendable {
        var columns: Set<String> = []
        var isRead = false
        var isInserted = false
        var isDeleted = false
        var updated: Set<String> = []
        /// What an INSERT says of conflicts: there has to be such a key.
        var keys: Set<[String]> = []

        /// "SELECT, INSERT, UPDATE (status)", of a role.
        var rights: [String] {
            (isRead ? ["SELECT"] : []) + (isInserted ? ["INSERT"] : [])
                + (updated.isEmpty ? [] : ["UPDATE (\(updated.sorted().joined(separator: ", ")))"]) + (isDeleted ? ["DELETE"] : [])
        }
    }
    private(set) var tables: [String: Table] = [:]

    /// - Parameter simulation: the tables of what stands in for the outside (`paper_…`), too.
    init(_ statements: StatementSet, _ dialect: SQLDialect, simulation: Bool) throws {
        let scratch = try Self.scratch()
        defer { scratch.close() }
        for column in ["id", "purpose", "schema_version"] { add(.read(table: "exchange_info", column: column)) }
        let ours = statements.ours(.sqlite).filter { !$0.key.hasPrefix("migration_") && statements.replaced[$0.key] == nil }
        for (_, sql) in ours.sorted(by: { $0.key < $1.key }) {
            let uses = try scratch.uses(of: sql)
            if !simulation, uses.contains(where: { $0.table.hasPrefix("paper_") }) { continue }
            for use in uses { add(use) }
            if sql.contains("INSERT INTO") { addInsert(sql) }
        }
        if dialect == .postgresql { addRights(statements) }
        let known = Set(SchemaPlan.objects(.sqlite).map(\.table))
        tables = tables.filter { known.contains($0.key) }
    }

    private static func scratch() throws -> SQLiteConnection {
        let scratch = try SQLiteConnection(path: ":memory:")
        for step in StatementSet.migrations(.sqlite) { try scratch.execute(step.sql) }
        return scratch
    }

    private mutating func add(_ use: SQLUse) {
        switch use {
        case .read(let table, let column):
            tables[table, default: Table()].isRead = true
            if !column.isEmpty { tables[table]?.columns.insert(column) }
        case .insert(let table):
            tables[table, default: Table()].isInserted = true
        case .update(let table, let column):
            tables[table, default: Table()].updated.insert(column)
            tables[table]?.columns.insert(column)
        case .delete(let table):
            tables[table, default: Table()].isDeleted = true
        }
    }

    /// "INSERT INTO t (a, b) … ON CONFLICT (a) …".
    private mutating func addInsert(_ sql: String) {
        let words = sql.split { " \n(),".contains($0) }.map(String.init)
        guard let into = words.firstIndex(of: "INTO"), into + 1 < words.count else { return }
        let table = words[into + 1]
        tables[table, default: Table()].columns.formUnion(
            words[(into + 2)...].prefix { $0 != "VALUES" && $0 != "SELECT" })
        // Who asks whether it is there, or takes something back, reads.
        if words.contains("CONFLICT") || words.contains("RETURNING") { tables[table]?.isRead = true }
        if let conflict = words.firstIndex(of: "CONFLICT") {
            let key = words[(conflict + 1)...].prefix { $0 != "DO" && $0 != "WHERE" }
            if !key.isEmpty { tables[table]?.keys.insert(Array(key)) }
        }
    }

    /// `-- rights: UPDATE accounts (status)`, of a statement that locks the rows that it reads.
    private mutating func addRights(_ statements: StatementSet) {
        for (name, sql) in statements.ours(.postgresql) where statements.replaced[name] == nil {
            for line in sql.split(separator: "\n") where line.hasPrefix("-- rights: UPDATE ") {
                let words = line.dropFirst(18).split { " ()".contains($0) }.map(String.init)
                guard words.count == 2 else { continue }
                tables[words[0], default: Table()].updated.insert(words[1])
            }
        }
    }
}

extension SQLUse {
    var table: String {
        switch self {
        case .read(let table, _), .insert(let table), .update(let table, _), .delete(let table): table
        }
    }
}

/// The objects that are needed, in the order in which they are made.
struct SchemaPlan: Sendable {
    let dialect: SQLDialect
    let needs: SchemaNeeds
    let objects: [SchemaObject]

    init(_ statements: StatementSet, _ dialect: SQLDialect, simulation: Bool) throws {
        self.dialect = dialect
        needs = try SchemaNeeds(statements, dialect, simulation: simulation)
        let all = Self.objects(dialect)
        var tables = Set(needs.tables.keys)
        // From the newest back: what a table refers to was made before it.
        for table in all.reversed() where table.kind == .table && tables.contains(table.name) {
            tables.formUnion(table.references)
        }
        let triggers = Set(all.filter { $0.kind == .trigger && tables.contains($0.table) }.map(\.name))
        objects = all.filter { $0.kind == .function ? triggers.contains($0.name) : tables.contains($0.table) }
    }

    static func objects(_ dialect: SQLDialect) -> [SchemaObject] {
        StatementSet.migrations(dialect).flatMap { SchemaObject.all(in: $0.sql) }
    }

    /// "GRANT SELECT ON pairs TO role", one for each table, by name.
    func grants(to role: String) -> [(table: String, sql: String)] {
        needs.tables.sorted { $0.key < $1.key }.map { table, use in
            (table, "GRANT \(use.rights.joined(separator: ", ")) ON \(table) TO \(role);")
        }
    }
}
