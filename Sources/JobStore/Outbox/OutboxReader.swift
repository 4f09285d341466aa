import JobCore
import SQL
import Synchronization

/// One row of an outbox: what a job has told others, in the transaction in which it happened.
public struct OutboxRow: Hashable, Sendable {
    /// Ascending, but for transactions that commit late.
    public var seq: Int64
    public var event: String
    /// Of the cause; a second event with it is the same one.
    public var key: String
    /// JSON; nil: longer than `OutboxReader.mostBytes`.
    public var payload: String?
    public var at: Instant
    public init(seq: Int64, event: String, key: String, payload: String?, at: Instant) {
        self.seq = seq
        self.event = event
        self.key = key
        self.payload = payload
        self.at = at
    }
}

/// Reads the table (or view) `outbox_events` of a database that plugins write to, on a thread and a connection of its own.
/// It never writes. Methods throw `StoreError`: `unavailable` while the database is not to be had or has no such table.
public final class OutboxReader: Sendable {
    /// Of a payload; a longer one is left out.
    public static let mostBytes = 256 << 10
    /// Bytes of an event's name, and of a key; rows with longer ones are not told.
    public static let longestName = EnqueueBounds.longestKey
    /// Rows of one look, and about the bytes of their payloads.
    public static let batch = 100
    static let pageBytes = 1 << 20

    /// Rows may become visible after ones with a higher `seq`: several transactions write at a time.
    public let mayCommitLate: Bool
    private let address: SQLAddress
    private let asks = Mailbox<@Sendable (Result<any SQLConnection, any Error>) -> Bool>()

    /// `url`: "sqlite:" and a path, or a PostgreSQL URL, where `outbox_events` is looked for in the schema "jobhost" first,
    /// as our plugins make it. Throws `StoreError`.
    public init(_ url: String) throws {
        do {
            let address = try SQLAddress(url)
            if case .postgresql(let postgres) = address {
                self.address = .postgresql(try postgres.searching("jobhost"))
            } else {
                self.address = address
            }
        } catch { throw StoreError(.unavailable, error.message) }
        mayCommitLate = address.dialect == .postgresql
        let (asks, address) = (asks, address)
        try StoreThread.start("outbox") { Self.serve(asks, address) }
    }

    deinit { asks.close() }

    /// The highest number of the rows made before `instant`, nil: of all; 0: there are none.
    public func last(before instant: Instant? = nil) async throws -> Int64 {
        let milliseconds = instant?.milliseconds ?? .max
        return try await ask {
            try $0.first("SELECT seq FROM outbox_events WHERE created_ms < ? ORDER BY seq DESC LIMIT 1", [.int(milliseconds)]) { try $0.int64(0) } ?? 0
        }
    }

    /// What one look finds, ascending. As many bytes as one listener may have in memory.
    public struct Page: Sendable {
        public var rows: [OutboxRow] = []
        /// Numbers of rows that nobody can be told of.
        public var unusable: [Int64] = []
        /// There may be more.
        public var isCut = false
        public init() {}
        /// Of all of them.
        public var numbers: [Int64] { (rows.map(\.seq) + unusable).sorted() }
    }

    /// Rows with numbers in `range`, the first of them.
    public func rows(_ range: ClosedRange<Int64>, limit: Int = batch) async throws -> Page {
        try await page("outbox_events WHERE seq BETWEEN ? AND ?", [.int(range.lowerBound), .int(range.upperBound)], limit)
    }

    /// Rows with numbers in one of these, which have none in common; where rows may come late.
    public func rows(inAnyOf ranges: [ClosedRange<Int64>], limit: Int = batch) async throws -> Page {
        let (from, to) = (PostgresArray(ranges.map(\.lowerBound)), PostgresArray(ranges.map(\.upperBound)))
        guard let first = ranges.map(\.lowerBound).min(), let last = ranges.map(\.upperBound).max() else { return Page() }
        // The planner knows nothing of the ranges, and would read all there is for them.
        return try await page(
            "unnest(?::bigint[], ?::bigint[]) AS r (a, z) JOIN outbox_events ON seq BETWEEN r.a AND r.z WHERE seq BETWEEN ? AND ?",
            [.text(from.value), .text(to.value), .int(first), .int(last)], limit)
    }

    /// How many rows have numbers in `range`, and the bytes of what would be told of them; of the first `limit`.
    public func size(_ range: ClosedRange<Int64>, limit: Int) async throws -> (rows: Int64, bytes: Int64) {
        let size = told
        return try await ask { connection in
            try connection.first("""
                SELECT count(*), CAST(coalesce(sum(size), 0) AS bigint)
                FROM (SELECT \(size) AS size FROM outbox_events WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?) AS found
                """, [.int(range.lowerBound), .int(range.upperBound), .int(Int64(limit))]
            ) { (rows: try $0.int64(0), bytes: try $0.int64(1)) } ?? (0, 0)
        }
    }

    private func bytes(_ column: String) -> String { mayCommitLate ? "octet_length(\(column)::text)" : "length(CAST(\(column) AS BLOB))" }
    /// Of a payload, those that are told.
    private var told: String { "CASE WHEN \(bytes("payload")) <= \(Self.mostBytes) THEN \(bytes("payload")) ELSE 0 END" }

    private func page(_ source: String, _ values: [SQLValue], _ limit: Int) async throws -> Page {
        func name(_ column: String) -> String { "CASE WHEN \(bytes(column)) BETWEEN 1 AND \(Self.longestName) THEN \(column) END AS \(column)" }
        let columns = "seq, \(name("event")), \(name("key")), CASE WHEN \(bytes("payload")) <= \(Self.mostBytes) THEN payload END AS payload, created_ms, \(told) AS size"
        return try await ask { connection in
            var (page, bytes, count): (Page, Int64, Int) = (Page(), 0, 0)
            // Cut where it is, so that no more of it comes over here.
            _ = try connection.rows("""
                SELECT seq, event, key, payload, created_ms, size FROM (
                    SELECT seq, event, key, payload, created_ms, size, sum(size) OVER (ORDER BY seq) - size AS before
                    FROM (SELECT \(columns) FROM \(source) ORDER BY seq LIMIT ?) AS found) AS measured
                WHERE before < \(Self.pageBytes) ORDER BY seq
                """, values + [.int(Int64(limit))]
            ) { row in
                (count, bytes) = (count + 1, bytes + (try row.int64OrNil(5) ?? 0))
                let seq = try row.int64(0)
                guard let event = try row.textOrNil(1), let key = try row.textOrNil(2) else { return page.unusable.append(seq) }
                page.rows.append(OutboxRow(
                    seq: seq, event: event, key: key, payload: try row.textOrNil(3), at: Instant(milliseconds: try row.int64(4))))
            }
            page.isCut = count >= limit || bytes >= Self.pageBytes
            return page
        }
    }

    private func ask<Value: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let isTaken = asks.put { connection in
                do {
                    continuation.resume(returning: try body(connection.get()))
                    return true
                } catch let error as SQLError {
                    continuation.resume(throwing: StoreError(.unavailable, error.message))
                } catch { continuation.resume(throwing: error) }
                return false
            }
            if !isTaken { continuation.resume(throwing: StoreError(.unavailable, "the outbox is closed")) }
        }
    }

    private static func serve(_ asks: Mailbox<@Sendable (Result<any SQLConnection, any Error>) -> Bool>, _ address: SQLAddress) {
        var open: (any SQLConnection)?
        while let waiting = asks.takeAll() {
            for ask in waiting {
                let connection = Result { () throws -> any SQLConnection in
                    if let open { return open }
                    return try connect(address)
                }
                open = try? connection.get()
                // Whatever was wrong, the next one begins anew.
                if !ask(connection) {
                    open?.close()
                    open = nil
                }
            }
        }
        open?.close()
    }

    private static func connect(_ address: SQLAddress) throws -> any SQLConnection {
        switch address {
        case .sqlite(let path):
            var options = SQLiteOptions()
            options.create = false
            options.readOnly = true
            return try SQLiteConnection(path: path, options: options)
        case .postgresql(let address):
            var options = PostgresOptions()
            options.applicationName = "jobhost outbox"
            options.connectTimeoutSeconds = 5
            options.statementTimeoutMilliseconds = 5_000
            options.answerTimeoutMilliseconds = 10_000
            return try PostgresConnection(address, options: options)
        }
    }
}
