import SQL

/// SQL by name. Programs say `statement("pairs")`; what that is in a dialect, and what an
/// operator has put in its place, is decided here.
public struct StatementSet: Sendable {
    /// Of ExchangeKit's own statements, those that a plugin calls: what it does not name it has
    /// not, so that the rights it needs follow from the set.
    public struct Shared: OptionSet, Hashable, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }

        /// How far somebody has read.
        public static let checkpoints = Shared(rawValue: 1)
        /// Events for others.
        public static let outbox = Shared(rawValue: 2)
        public static let activity = Shared(rawValue: 4)
        /// Wallets and the money that moves between them.
        public static let ledger = Shared(rawValue: 8)
        /// Numbers for pairs that are known by something else.
        public static let pairKeys = Shared(rawValue: 16)
        public static let all: Shared = [.checkpoints, .outbox, .activity, .ledger, .pairKeys]

        static let names: [(part: Shared, statements: [String])] = [
            (.checkpoints, ["checkpoint", "put_checkpoint"]), (.outbox, ["put_event"]), (.activity, ["put_activity"]),
            (.ledger, [
                "create_wallet", "entries", "find_wallet", "has_entries", "put_cause", "put_entry", "set_wallet", "unopened_wallets",
                "wallet", "wallets",
            ]),
            (.pairKeys, ["pair_keys", "put_pair_key"]),
        ]
    }

    /// Of the plugin: "candles".
    public let name: String
    public let shared: Shared
    private var sqlite: [String: String]
    /// Those that differ.
    private var postgresql: [String: String]
    /// Put in place by the settings, in any dialect.
    private(set) var replaced: [String: String] = [:]

    public init(
        _ name: String = "", shared: Shared = .all, sqlite: [String: String], postgresql: [String: String] = [:]
    ) {
        self.name = name
        self.shared = shared
        self.sqlite = sqlite
        self.postgresql = postgresql
    }

    /// The same in every dialect.
    public init(_ texts: [String: String]) { self.init(sqlite: texts) }

    /// All that can be called by name: the plugin's, and what it shares; those put in their place included.
    func texts(_ dialect: SQLDialect) -> [String: String] { ours(dialect).merging(replaced) { $1 } }

    /// As above, none replaced.
    func ours(_ dialect: SQLDialect) -> [String: String] {
        let common = Self.exchange.own(dialect)
        var texts = own(dialect)
        for (part, names) in Shared.names where shared.contains(part) {
            for name in names { texts[name] = texts[name] ?? common[name] }
        }
        return texts
    }

    private func own(_ dialect: SQLDialect) -> [String: String] {
        dialect == .sqlite ? sqlite : sqlite.merging(postgresql) { $1 }
    }

    /// What its sql folder holds for a dialect: in PostgreSQL's only what differs from SQLite's.
    public func files(_ dialect: SQLDialect) -> [String: String] { dialect == .sqlite ? sqlite : postgresql }

    /// What can be replaced.
    var names: [String] { ours(.sqlite).keys.filter { !$0.hasPrefix("migration_") }.sorted() }

    func replacing(_ texts: [String: String]) -> StatementSet {
        var copy = self
        copy.replaced.merge(texts) { $1 }
        return copy
    }

    /// Numbered migrations, oldest first.
    static func migrations(_ dialect: SQLDialect) -> [(version: Int, sql: String)] {
        let texts = dialect == .sqlite ? exchange.sqlite : exchange.postgresql
        return texts.compactMap { name, sql in
            guard name.hasPrefix("migration_"), let version = Int(name.dropFirst("migration_".count)) else { return nil }
            return (version, sql)
        }.sorted { $0.version < $1.version }
    }
}
