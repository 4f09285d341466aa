import JobCore
import SQL

// What takes two persons.

extension Ledger {
    func add(_ ask: Ask, by actor: Actor) throws -> Int64 {
        let id = try connection.first("""
            INSERT INTO \(schema)asks (job, action, command, asked_by, reason, asked_at, decided_by) VALUES (?, ?, ?, ?, ?, ?, '')
            RETURNING id
            """, [
                .text(ask.job), .text(ask.action), .text(ask.command), .text(ask.askedBy), .text(ask.reason), .int(ask.askedAt.stored),
            ]
        ) { try $0.int64(0) }
        guard let id else { throw StoreError(.broken, "an ask was kept without a number") }
        var kept = ask
        kept.id = id
        try writeAudit(AuditRow(of: kept, by: actor))
        return id
    }

    /// The state is a guard: of two who decide at once, on whatever hosts, one is too late.
    func decide(_ ask: Ask, by actor: Actor) throws -> Bool {
        guard let decidedAt = ask.decidedAt else { return false }
        let isFirst = try connection.first(
            "UPDATE \(schema)asks SET decision = ?, decided_by = ?, decided_at = ? WHERE id = ? AND decision IS NULL RETURNING id",
            [.text(ask.state(now: decidedAt).rawValue), .text(ask.decidedBy), .int(decidedAt.stored), .int(ask.id)]
        ) { try $0.int64(0) } != nil
        if isFirst { try writeAudit(AuditRow(of: ask, by: actor)) }
        return isFirst
    }

    func asks(before: Int64?, limit: Int) throws -> [Ask] {
        try connection.rows(
            "\(Self.columns(schema)) WHERE id < ? ORDER BY id DESC LIMIT ?", [.int(before ?? .max), .int(Bounds.rows(limit))]
        ) { try Self.askRow($0) }
    }

    func ask(_ id: Int64) throws -> Ask? {
        try connection.first("\(Self.columns(schema)) WHERE id = ?", [.int(id)]) { try Self.askRow($0) }
    }

    private static func columns(_ schema: String) -> String {
        "SELECT id, job, action, command, asked_by, reason, asked_at, decision, decided_by, decided_at FROM \(schema)asks"
    }

    private static func askRow(_ row: some SQLStatement) throws -> Ask {
        Ask(
            id: try row.int64(0), job: try row.text(1), action: try row.text(2), command: try row.text(3), askedBy: try row.text(4),
            reason: try row.text(5), askedAt: try row.instant(6), decision: try row.wordOrNil(7), decidedBy: try row.text(8),
            decidedAt: try row.instantOrNil(9))
    }
}
