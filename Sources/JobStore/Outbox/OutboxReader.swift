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

    /// Rows with numbers in `range`, ascending, at most `limit`.
    public func rows(_ range: ClosedRange<Int64>, limit: Int) async throws -> [OutboxRow] {
        try await rows(where: "seq BETWEEN ? AND ?", [.int(range.lowerBound), .int(range.upperBound)], limit: limit)
    }

    /// Rows with numbers in one of these, where rows may come late.
    public func rows(inAnyOf ranges: [ClosedRange<Int64>], limit: Int) async throws -> [OutboxRow] {
        let (from, to) = (PostgresArray(ranges.map(\.lowerBound)), PostgresArray(ranges.map(\.upperBound)))
        return try await rows(
            where: "EXISTS (SELECT 1 FROM unnest(?::bigint[], ?::bigint[]) AS r (a, z) WHERE seq BETWEEN r.a AND r.z) AND seq BETWEEN ? AND ?",
            [.text(from.value), .text(to.value), .int(ranges.map(\.lowerBound).min() ?? 1), .int(ranges.map(\.upperBound).max() ?? 0)], limit: limit)
    }

    private func rows(where condition: String, _ values: [SQLValue], limit: Int) async throws -> [OutboxRow] {
        let payload = "CASE WHEN \(mayCommitLate ? "octet_length(payload::text)" : "length(CAST(payload AS BLOB))") > \(Self.mostBytes) THEN NULL ELSE payload END"
        return try await ask { connection in
            try connection.rows("""
                SELECT seq, event, key, \(payload), created_ms FROM outbox_events WHERE \(condition) ORDER BY seq LIMIT ?
                """, values + [.int(Int64(limit))]
            ) { row in
                OutboxRow(
                    seq: try row.int64(0), event: try row.text(1), key: try row.text(2), payload: try row.textOrNil(3),
                    at: Instant(milliseconds: try row.int64(4)))
            }
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
