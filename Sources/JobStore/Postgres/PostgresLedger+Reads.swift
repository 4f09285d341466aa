import JobCore
import SQL

// For many jobs in one statement: the server may be far away.

extension PostgresLedger {
    func newestRuns(of jobs: [String], each limit: Int) throws -> [String: [RunRecord]] {
        let runs = try connection.rows("""
            SELECT \(RunRow.withoutPayload) FROM unnest(?::text[]) AS j (name)
            CROSS JOIN LATERAL (SELECT * FROM \(schema)runs WHERE job = j.name ORDER BY id DESC LIMIT ?) r
            ORDER BY id DESC
            """, [.text(PostgresArray(jobs).value), .int(Bounds.rows(limit))], RunRow.decode)
        return Dictionary(grouping: runs, by: \.job)
    }
}
