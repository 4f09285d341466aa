import JobKit
import SQL

/// Compares a database with what a plugin needs of it.
struct SchemaCheck {
    let plan: SchemaPlan
    let connection: any SQLConnection

    struct Fault: Hashable {
        var level: DoctorContext.Level
        /// "table candles".
        var subject: String
        var text: String
        /// A table that is not there at all: `apply` makes it.
        var isMissing = false
    }

    /// Empty: it has all that is needed.
    func faults() throws -> [Fault] {
        var faults: [Fault] = []
        let ours = Dictionary(plan.objects.filter { $0.kind == .table }.map { ($0.name, $0) }) { first, _ in first }
        for (name, need) in plan.needs.tables.sorted(by: { $0.key < $1.key }) {
            guard let facts = try TableFacts.read(name, connection) else {
                faults.append(
                    Fault(level: .error, subject: "table \(name)", text: "there is none; jobhost schema apply makes it", isMissing: true))
                continue
            }
            faults += columns(name, need, facts, ours[name])
            faults += keys(name, need, facts)
            faults += try indexes(name, facts)
            faults += try rights(name, need)
        }
        return faults
    }

    private func columns(
        _ table: String, _ need: SchemaNeeds.Table, _ facts: TableFacts, _ ours: SchemaObject?
    ) -> [Fault] {
        need.columns.sorted().compactMap { column in
            let expected = ours?.columns.first { $0.name == column }?.type ?? ""
            guard let type = facts.columns[column] else {
                return Fault(
                    level: .error, subject: "table \(table)",
                    text: "it has no column \(column) \(expected); add it, or replace the statements that use it (settings: sql)")
            }
            let (has, wants) = (TypeKind(type), TypeKind(expected))
            guard has != wants, !expected.isEmpty else { return nil }
            return Fault(
                level: .warning, subject: "table \(table)",
                text: "\(column) is \(type), not \(expected): replace the statements that use it if they cannot read it (settings: sql)")
        }
    }

    /// Without them `ON CONFLICT` is refused.
    private func keys(_ table: String, _ need: SchemaNeeds.Table, _ facts: TableFacts) -> [Fault] {
        need.keys.sorted { $0.lexicographicallyPrecedes($1) }.compactMap { key in
            let isThere = facts.indexes.values.contains { $0.isKey && Set($0.columns) == Set(key) }
            guard !isThere else { return nil }
            return Fault(
                level: .error, subject: "table \(table)",
                text: "nothing makes (\(key.joined(separator: ", "))) unique: the same row could be written twice; add a unique index")
        }
    }

    /// Without them it works, slower the longer the table is.
    private func indexes(_ table: String, _ facts: TableFacts) throws -> [Fault] {
        plan.objects.filter { $0.table == table && $0.kind != .table && !facts.isView }.compactMap { object in
            if object.kind == .trigger {
                guard !facts.triggers.contains(object.name) else { return nil }
                return Fault(level: .error, subject: object.title, text: "\(table) has no such trigger:\n\(object.sql)")
            }
            let isThere = facts.indexes[object.name] != nil
                || !object.indexed.isEmpty && facts.indexes.values.contains { $0.columns.starts(with: object.indexed) }
            guard !isThere else { return nil }
            return Fault(
                level: .warning, subject: object.title, text: "\(table) has no such index: runs read more the longer the table is:\n\(object.sql)")
        }
    }

    /// Of whoever the settings connect as.
    private func rights(_ table: String, _ need: SchemaNeeds.Table) throws -> [Fault] {
        guard plan.dialect == .postgresql else { return [] }
        var missing: [String] = []
        func ask(_ sql: String, _ values: [SQLValue], _ right: String) throws {
            let has = try connection.first(sql, values) { try $0.bool(0) } ?? false
            if !has { missing.append(right) }
        }
        for (right, isNeeded) in [("SELECT", need.isRead), ("INSERT", need.isInserted), ("DELETE", need.isDeleted)] where isNeeded {
            try ask("SELECT has_table_privilege(to_regclass(?), '\(right)')::int", [.text(table)], right)
        }
        for column in need.updated.sorted() {
            try ask(
                "SELECT coalesce(has_column_privilege(to_regclass(?)::oid, ?::text, 'UPDATE'), false)::int", [.text(table), .text(column)],
                "UPDATE (\(column))")
        }
        guard !missing.isEmpty else { return [] }
        return [
            Fault(
                level: .error, subject: "rights on \(table)",
                text: "\(missing.joined(separator: ", ")) is missing; jobhost schema print --grants says what to grant")
        ]
    }
}
