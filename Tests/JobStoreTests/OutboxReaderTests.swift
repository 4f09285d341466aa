import JobCore
import PostgresTestKit
import SQL
import Testing

@testable import JobStore

@Suite(.timeLimit(.minutes(5))) struct OutboxReaderTests {
    private static let insert = "INSERT INTO outbox_events (event, key, payload, created_ms) VALUES (?, ?, ?, 1777888800000)"

    private func put(_ connection: any SQLConnection, _ key: String, _ payload: String = #"{"n":1}"#) throws {
        try connection.run(Self.insert, [.text("OrderExpired"), .text(key), .text(payload)])
    }

    @Test("It reads rows as they are committed, leaves out what is very long, and comes back when its database does")
    func readsSQLite() async throws {
        try await TemporaryStore.use { file in
            let path = file.folder + "/x.db"
            let reader = try OutboxReader("sqlite:" + path)
            await #expect(throws: StoreError.self) { try await reader.last() }
            let connection = try SQLiteConnection(path: path)
            defer { connection.close() }
            await #expect(throws: StoreError.self) { try await reader.last() }
            try connection.execute(
                "CREATE TABLE outbox_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT, key TEXT UNIQUE, payload TEXT, created_ms INTEGER)")
            #expect(try await reader.last() == 0)
            for key in ["a", "b", "c"] { try put(connection, key) }
            try put(connection, "long", "\"" + String(repeating: "x", count: OutboxReader.mostBytes) + "\"")
            #expect(try await reader.last() == 4)
            let page = try await reader.rows(2...Int64.max, limit: 2)
            #expect(page.rows.map(\.key) == ["b", "c"] && page.isCut)
            #expect(page.rows.first == OutboxRow(seq: 2, event: "OrderExpired", key: "b", payload: #"{"n":1}"#, at: Instant(milliseconds: 1_777_888_800_000)))
            #expect(try await reader.rows(4...4, limit: 2).rows.map(\.payload) == [nil])
            #expect(!reader.mayCommitLate)
            #expect(try await reader.size(1...9, limit: 9) == (4, 21))
            #expect(try await reader.size(1...9, limit: 2) == (2, 14))
            try await boundsPages(reader, from: 5) { try put(connection, $0, $1) }
        }
    }

    /// A page has about a megabyte of payloads, whatever they are; nobody is told of names without end.
    private func boundsPages(_ reader: OutboxReader, from first: Int64, _ put: (String, String) throws -> Void) async throws {
        let long = "\"" + String(repeating: "x", count: 250 << 10) + "\""
        for i in 0..<9 { try put("large \(i)", long) }
        var (next, pages) = (first, [Int]())
        while true {
            let page = try await reader.rows(next...Int64.max)
            guard let last = page.numbers.last else { break }
            pages.append(page.rows.count)
            next = last + 1
        }
        #expect(pages == [5, 4])
        try put(String(repeating: "k", count: OutboxReader.longestName + 1), "{}")
        try put(String(repeating: "é", count: OutboxReader.longestName / 2), "{}")
        let page = try await reader.rows(next...Int64.max)
        #expect(page.unusable == [next] && page.rows.map(\.seq) == [next + 1] && page.numbers == [next, next + 1] && !page.isCut)
    }

    @Test("In PostgreSQL a row may come after one with a higher number", .enabled(if: TestPostgres.url != nil))
    func readsPostgreSQL() async throws {
        try await TestPostgres.use { schema in
            let first = try PostgresConnection(PostgresAddress(schema.url))
            let second = try PostgresConnection(PostgresAddress(schema.url))
            defer {
                first.close()
                second.close()
            }
            try first.execute(
                "CREATE TABLE outbox_events (seq bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, event text, key text UNIQUE, payload jsonb, created_ms bigint)")
            let insert = Self.insert.replacing("?, ?, ?,", with: "?, ?, ?::jsonb,")
            let reader = try OutboxReader(schema.url)
            #expect(reader.mayCommitLate)
            try first.begin(.rowLocks)
            try first.run(insert, [.text("A"), .text("late"), .text("{}")])
            try second.run(insert, [.text("A"), .text("early"), .text(#"{"n": 1}"#)])
            #expect(try await reader.rows(1...Int64.max, limit: 10).rows.map(\.key) == ["early"])
            try first.control("COMMIT")
            #expect(try await reader.rows(1...Int64.max, limit: 10).rows.map(\.key) == ["late", "early"])
            #expect(try await reader.last() == 2)
            for key in ["c", "d", "e"] { try second.run(insert, [.text("A"), .text(key), .text("{}")]) }
            #expect(try await reader.rows(inAnyOf: [1...1, 4...5, 7...9], limit: 10).rows.map(\.key) == ["late", "d", "e"])
            #expect(try await reader.last(before: Instant(milliseconds: 1_777_888_800_000)) == 0)
            #expect(try await reader.size(1...9, limit: 9).rows == 5)
            try await boundsPages(reader, from: 6) { try second.run(insert, [.text("A"), .text($0), .text($1)]) }
        }
    }
}
