import Glibc
import JobKit
import SQL

extension Exchange {
    /// What a database is for. Set when it is created; there is no way to change it.
    public enum Purpose: String, Sendable {
        case live, simulation
    }

    /// The newest version of the schema that this code knows, the same in every dialect.
    public static var schemaVersion: Int { StatementSet.migrations(.sqlite).last?.version ?? 0 }

    /// The schema of a new database, as one script.
    public static func schemaScript(_ dialect: SQLDialect = .sqlite, purpose: Purpose, at now: Int64) -> String {
        let steps = StatementSet.migrations(dialect).map(\.sql).joined(separator: "\n")
        return steps + "\n" + infoRow(purpose, at: now)
    }

    /// What says that the tables are there, of which version, and for what.
    static func infoRow(_ purpose: Purpose, at now: Int64) -> String {
        """
        INSERT INTO exchange_info (id, purpose, schema_version, created_ms)
        VALUES (1, '\(purpose.rawValue)', \(schemaVersion), \(now)) ON CONFLICT (id) DO NOTHING;
        """
    }

    /// Opens a simulation, creating it where there is nothing yet.
    ///
    /// - Throws: `JobFailure.permanent` for a database that was not created as a simulation:
    ///   whatever writes invented trades or money keeps away from real ones.
    public static func openSimulation(
        _ location: ExchangeLocation, statements: StatementSet, at now: Int64
    ) throws -> (exchange: Exchange, created: Bool) {
        let place = try location.place()
        let chosen = try location.replacing(statements)
        do {
            let exchange = Exchange(connection: try connect(location, create: true), place: place, statements: chosen)
            let created = try exchange.createIfEmpty(.simulation, at: now)
            try exchange.checkSchema()
            guard try exchange.purpose() == .simulation else {
                throw JobFailure.permanent(
                    "\(place) was not created as a simulation: nothing invented is written there. Name another database, "
                        + "it will be created")
            }
            return (exchange, created)
        } catch {
            throw failure(error, place: place)
        }
    }

    /// Creates the schema if there is no table at all. true: it did.
    @discardableResult
    public func createIfEmpty(_ purpose: Purpose, at now: Int64) throws -> Bool {
        guard try isEmpty() else { return false }
        try makeSchema()
        // Asked again with the lock: two programs may have begun at once.
        return try connection.transaction(.rowLocks) {
            try lockOutOthers("schema")
            guard try isEmpty() else { return false }
            try connection.execute(Self.schemaScript(connection.dialect, purpose: purpose, at: now))
            return true
        }
    }

    private func isEmpty() throws -> Bool {
        let sql = switch connection.dialect {
        case .sqlite: "SELECT count(*) FROM sqlite_schema"
        case .postgresql: "SELECT count(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(false))"
        }
        return try connection.first(sql, []) { try $0.int64(0) } == 0
    }

    /// The schema in which our tables are, in PostgreSQL: the first that is looked through.
    func makeSchema() throws {
        guard connection.dialect == .postgresql else { return }
        let path = try connection.first("SHOW search_path", []) { try $0.text(0) } ?? ""
        var first = path.prefix { $0 != "," }.filter { $0 != " " && $0 != "\"" }
        if first == "$user" { first = "public" }
        guard try connection.first("SELECT to_regnamespace(?) IS NULL", [.text("\"\(first)\"")], { try $0.bool(0) }) == true else { return }
        try connection.execute("CREATE SCHEMA IF NOT EXISTS \"\(first)\"")
    }

    /// Our tables, or some of them, are there.
    static func isMade(_ connection: any SQLConnection) throws -> Bool {
        try TableFacts.read("exchange_info", connection) != nil
    }

    public func purpose() throws -> Purpose {
        try connection.first("SELECT purpose FROM exchange_info WHERE id = 1", []) {
            Purpose(rawValue: try $0.text(0)) ?? .live
        } ?? .live
    }

    func checkSchema() throws {
        guard try Self.isMade(connection) else {
            // Somebody may be making it right now.
            if try isEmpty() {
                throw JobFailure.transient("\(place) is empty so far; a simulated exchange is created by the arena's tick")
            }
            throw JobFailure.permanent(
                "\(place) has no exchange schema: jobhost schema apply makes what a job needs beside the tables that are there")
        }
        let version = try connection.first("SELECT schema_version FROM exchange_info WHERE id = 1", []) { try $0.int64(0) }
        guard version == Int64(Self.schemaVersion) else {
            let found = version.map { "version \($0)" } ?? "no version"
            throw JobFailure.permanent(
                "\(place) has \(found) of the exchange schema, this plugin knows \(Self.schemaVersion)")
        }
    }
}

/// Makes the folders of a path that are missing; what fails is told by the opening.
func makeFolder(of path: String) {
    var folder = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
        folder += part + "/"
        if !part.isEmpty { mkdir(folder, 0o755) }
    }
}
