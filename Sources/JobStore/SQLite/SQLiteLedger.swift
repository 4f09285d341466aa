import JobCore
import SQL

/// The ledger in a SQLite file, whose writer is alone.
final class SQLiteLedger: Ledger {
    let connection: SQLiteConnection
    var schema: String { "" }
    var forUpdate: String { "" }
    var forUpdateOfFree: String { "" }
    var prunable: String { "1 = 1" }
    var expiredBeside: [RunRecord] = []

    init(connection: SQLiteConnection) { self.connection = connection }

    func expiryClock(_ now: Instant) -> Instant { now }

    func allocate(_ name: String, _ count: Int) throws -> [Int64] {
        let last = try connection.first(
            "UPDATE sequences SET value = value + ? WHERE name = ? RETURNING value", [.int(count), .text(name)]
        ) { try $0.int64(0) }
        guard let last else { throw StoreError(.broken, "the store has no sequence \"\(name)\"") }
        return Array((last - Int64(count) + 1)..<(last + 1))
    }

    func count(_ tally: Tally) throws {
        guard !tally.counts.isEmpty else { return }
        let statement = try connection.prepare("""
            INSERT INTO counters (job, name, value) VALUES (?, ?, ?)
            ON CONFLICT (job, name) DO UPDATE SET value = value + excluded.value
            """)
        for (key, count) in tally.counts {
            try statement.bind(key.job, at: 1)
            try statement.bind(key.name, at: 2)
            try statement.bind(count, at: 3)
            try statement.runAgain()
        }
    }
}
