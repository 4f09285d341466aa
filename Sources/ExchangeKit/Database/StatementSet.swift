/// SQL by name. Programs say `statement("pairs")`; what that is in a dialect, and what an
/// operator has put in its place, is decided here.
public struct StatementSet: Sendable {
    public private(set) var texts: [String: String]

    public init(_ texts: [String: String]) { self.texts = texts }

    public subscript(name: String) -> String? { texts[name] }
    public var names: [String] { texts.keys.sorted() }

    public func adding(_ other: StatementSet) -> StatementSet {
        StatementSet(texts.merging(other.texts) { $1 })
    }

    /// Numbered migrations, oldest first.
    var migrations: [(version: Int, sql: String)] {
        texts.compactMap { name, sql in
            guard name.hasPrefix("migration_"), let version = Int(name.dropFirst("migration_".count)) else { return nil }
            return (version, sql)
        }.sorted { $0.version < $1.version }
    }
}
