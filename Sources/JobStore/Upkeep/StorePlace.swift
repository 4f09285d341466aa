import Glibc
import JobCore
import SQL

/// Where a store is, for those who look after it: whether hosts serve it meanwhile or none does. Unlike
/// opening a store, a visit never makes one, never migrates one, and is no host.
public enum StorePlace: Hashable, Sendable {
    /// A SQLite file.
    case file(String)
    case postgres(url: String, schema: String, prepared: Bool)

    /// Without a password.
    public var shown: String {
        switch self {
        case .file(let path): path
        case .postgres(let url, let schema, _): ((try? PostgresAddress(url))?.description ?? "PostgreSQL") + ", schema \(schema)"
        }
    }

    enum Access: Sendable { case reading, changing }

    /// `body` gets the ledger over a connection of its own, on a thread of its own (databases block), outside
    /// of any transaction. `host`: who it is done for, where rows belong to hosts.
    ///
    /// Throws `StoreError`: `notFound` where no store is, `incompatible` where it is another program's or a
    /// newer one's; and what else `body` throws.
    func visit<Value: Sendable>(
        _ access: Access, host: String = "", _ body: @escaping @Sendable (any Ledger, StoreFormat) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try StoreThread.start("store-visit") {
                    continuation.resume(with: Result {
                        do { return try enter(access, host, body) } catch let error as SQLError { throw StoreError(wrapping: error) }
                    })
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    private func enter<Value>(_ access: Access, _ host: String, _ body: (any Ledger, StoreFormat) throws -> Value) throws -> Value {
        switch self {
        case .file(let path):
            let connection = try open(file: path, access)
            defer { connection.close() }
            guard try !Migrations.refuseForeign(connection) else { throw StoreError(.notFound, "\(path) is empty: no host has run with it yet") }
            let version = try connection.first("PRAGMA user_version") { try $0.int64(0) } ?? 0
            return try body(SQLiteLedger(connection: connection), StoreFormat(version: version, known: Migrations.newest))
        case .postgres(let url, let schema, let prepared):
            let connection = try open(url: url, prepared: prepared)
            defer { connection.close() }
            if let newer = try PostgresMigrations.newerFormat(on: connection, schema: schema) { throw newer }
            let version = try PostgresMigrations.version(connection, schema, newest: PostgresMigrations.newest)
            guard version > 0 else {
                throw StoreError(.notFound, "the schema \(schema) of \(connection.address) holds no store: no host has run with it yet")
            }
            let ledger = PostgresLedger(connection: connection, schema: schema, host: host, session: PostgresMembership(notifies: true, listens: false))
            return try body(ledger, StoreFormat(version: version, known: PostgresMigrations.newest))
        }
    }

    private func open(file path: String, _ access: Access) throws -> SQLiteConnection {
        var found = stat()
        guard stat(path, &found) == 0 || errno != ENOENT else { throw StoreError(.notFound, "there is no store at \(path)") }
        var options = SQLiteOptions()
        options.create = false
        options.readOnly = access == .reading
        options.busyTimeoutMilliseconds = 10_000
        if access == .changing { options.pragmas = [("synchronous", "FULL"), ("foreign_keys", "ON")] }
        return try SQLiteConnection(path: path, options: options)
    }

    private func open(url: String, prepared: Bool) throws -> PostgresConnection {
        var options = PostgresOptions()
        options.applicationName = "jobhost store"
        options.prepared = prepared
        options.replacesNUL = true
        options.lockTimeoutMilliseconds = 10_000
        let address: PostgresAddress
        do { address = try PostgresAddress(url) } catch { throw StoreError(.incompatible, error.message) }
        return try PostgresConnection(address, options: options)
    }
}

/// Which version of the tables a store has, and which this program makes. A newer one is one beside which it may serve.
public struct StoreFormat: Hashable, Sendable {
    public var version: Int64
    public var known: Int64
    public var isCurrent: Bool { version >= known }
    public init(version: Int64, known: Int64) {
        self.version = version
        self.known = known
    }

    /// Of an older one nothing else is known.
    func demandCurrent(_ place: StorePlace) throws {
        guard !isCurrent else { return }
        throw StoreError(
            .incompatible,
            "the store \(place.shown) has format \(version), and this program's is \(known): the next start of a host brings it up")
    }
}

extension Ledger {
    /// All that `body` reads is of one moment, and it changes nothing.
    func snapshot<Value>(_ body: () throws -> Value) throws -> Value {
        try connection.begin(.deferred)
        // There is nothing to commit; and of a damaged file SQLite refuses even that.
        defer { if connection.inTransaction { _ = try? connection.control("ROLLBACK") } }
        if connection.dialect == .postgresql { try connection.execute("SET TRANSACTION READ ONLY") }
        return try body()
    }
}
