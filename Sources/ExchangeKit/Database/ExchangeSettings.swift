import JobKit
import SQL

/// Where the exchange is, the same for every entry that works on it: `database`, `lock_timeout`
/// and `sql` of a plugin's settings.
public struct ExchangeLocation: Hashable, Sendable {
    /// "sqlite:" and a path, or "postgresql://user@host/name".
    public var database: String
    /// How long to wait for a lock that another program holds.
    public var lockTimeout: Span
    /// Statements of one's own in place of ours, by name: "file:" and a path, or the SQL.
    public var sql: [String: String]
    /// A platform's words for our statuses, in statements of its own: theirs to ours.
    public var statusMap: [String: String]

    public init(database: String, lockTimeout: Span, sql: [String: String], statusMap: [String: String] = [:]) {
        self.database = database
        self.lockTimeout = lockTimeout
        self.sql = sql
        self.statusMap = statusMap
    }

    public static let defaultDatabase = "sqlite:var/exchange.db"
    public static let defaultLockTimeout = Span.seconds(5)

    /// What every entry says of these settings.
    public static let fields = [
        SettingsField("database", "The exchange's database: \"sqlite:\" and a path, or \"postgresql://user@host/name\"."),
        SettingsField("lock_timeout", "How long to wait for a lock that another program holds."),
        SettingsField("sql", "Statements of your own by name: \"file:\" and a path, or the SQL itself."),
    ]

    /// What entries say that read or write statuses of the application's.
    public static let statusField = SettingsField(
        "status_map", "Your words for our statuses, where sql has statements of your own: { OPEN = \"open\" }.")

    /// Where it is; its description shows no password.
    public func address() throws -> SQLAddress {
        do {
            return try SQLAddress(database)
        } catch {
            throw JobFailure.badSettings("database: \(error.message)")
        }
    }

    /// What kind of database it is.
    public func dialect() throws -> SQLDialect { try address().dialect }

    /// For messages.
    func place() throws -> String { try address().description }

    /// What can be said without touching anything: the form of `database`, the names in `sql`.
    ///
    /// - Parameters:
    ///   - statements: the plugin's; what it shares may be replaced too.
    ///   - statuses: our words, where `status_map` is a setting.
    public func validate(_ statements: StatementSet, statuses: [String] = []) throws {
        _ = try dialect()
        let own = statements.names
        for name in sql.keys.sorted() where !own.contains(name) {
            throw JobFailure.badSettings("sql.\(name): there is no such statement; there are: \(own.joined(separator: ", "))")
        }
        try StatusWords(statusMap).validate(against: statuses)
    }

    /// The statements with the operator's in place of ours.
    func replacing(_ ours: StatementSet) throws -> StatementSet {
        try validate(ours)
        var texts: [String: String] = [:]
        for (name, value) in sql {
            guard value.hasPrefix("file:") else {
                texts[name] = value
                continue
            }
            let path = String(value.dropFirst(5))
            guard let bytes = readFile(path, limit: 1 << 20) else {
                throw JobFailure.badSettings("sql.\(name): cannot read the file \(path)")
            }
            texts[name] = String(decoding: bytes, as: UTF8.self)
        }
        return ours.replacing(texts)
    }
}

/// What a job may do that moves money or orders.
public enum MoneyMode: String, CaseIterable, Codable, Sendable {
    /// Nothing.
    case off
    /// Decides and logs, writes nothing.
    case shadow
    case live
}
