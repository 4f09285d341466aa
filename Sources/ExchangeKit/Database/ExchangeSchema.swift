import Glibc
import JobKit
import SQL

extension Exchange {
    /// What a database is for. Set when it is created; there is no way to change it.
    public enum Purpose: String, Sendable {
        case live, simulation
    }

    /// The newest version of the schema that this code knows.
    public static var schemaVersion: Int { StatementSet.exchange.migrations.last?.version ?? 0 }

    /// The schema of a new database, as one script.
    public static func schemaScript(purpose: Purpose, at now: Int64) -> String {
        let steps = StatementSet.exchange.migrations.map(\.sql).joined(separator: "\n")
        return """
            \(steps)
            INSERT INTO exchange_info (id, purpose, created_ms) VALUES (1, '\(purpose.rawValue)', \(now));
            PRAGMA user_version = \(schemaVersion);
            """
    }

    /// Opens a simulation, creating it where there is nothing yet.
    ///
    /// - Throws: `JobFailure.permanent` for a database that was not created as a simulation:
    ///   whatever writes invented trades or money keeps away from real ones.
    public static func openSimulation(
        _ location: ExchangeLocation, statements: StatementSet, at now: Int64
    ) throws -> (exchange: Exchange, created: Bool) {
        let path = try location.path()
        let chosen = try location.replacing(statements)
        do {
            makeFolder(of: path)
            let connection = try connect(path, location, create: true)
            let exchange = Exchange(
                connection: connection, place: path, statements: chosen, overridden: Set(location.sql.keys))
            let created = try exchange.createIfEmpty(.simulation, at: now)
            try exchange.checkSchema()
            guard try exchange.purpose() == .simulation else {
                throw JobFailure.permanent(
                    "\(path) was not created as a simulation: nothing invented is written there. Name another database, "
                        + "it will be created")
            }
            return (exchange, created)
        } catch {
            throw failure(error, place: path)
        }
    }

    /// Creates the schema if there is no table at all. true: it did.
    @discardableResult
    public func createIfEmpty(_ purpose: Purpose, at now: Int64) throws -> Bool {
        guard try isEmpty() else { return false }
        // Asked again with the lock: two programs may have begun at once.
        return try connection.transaction(.immediate) {
            guard try isEmpty() else { return false }
            try connection.execute(Self.schemaScript(purpose: purpose, at: now))
            return true
        }
    }

    private func isEmpty() throws -> Bool {
        try connection.first("SELECT count(*) FROM sqlite_schema", []) { try $0.int64(0) } == 0
    }

    public func purpose() throws -> Purpose {
        try connection.first("SELECT purpose FROM exchange_info WHERE id = 1", []) {
            Purpose(rawValue: try $0.text(0)) ?? .live
        } ?? .live
    }

    func checkSchema() throws {
        let version = try connection.first("PRAGMA user_version", []) { try $0.int64(0) } ?? 0
        guard version == Self.schemaVersion else {
            // Somebody may be making it right now.
            if version == 0, try isEmpty() {
                throw JobFailure.transient("\(place) is empty so far; a simulated exchange is created by the arena's tick")
            }
            throw JobFailure.permanent(
                version == 0
                    ? "\(place) has no exchange schema; a simulated exchange is created by the arena's tick"
                    : "\(place) has version \(version) of the exchange schema, this plugin knows \(Self.schemaVersion)")
        }
    }
}

/// Makes the folders of a path that are missing; what fails is told by the opening.
private func makeFolder(of path: String) {
    var folder = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
        folder += part + "/"
        if !part.isEmpty { mkdir(folder, 0o755) }
    }
}
