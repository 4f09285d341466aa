import Glibc
import SQL
import Synchronization

/// The PostgreSQL that tests may use: `JOBHOST_TEST_POSTGRES`, a URL, which scripts/test sets to a
/// server of its own. Tests on both databases leave this one out where it is not set.
///
/// Each test gets a schema of its own, so that they do not meet.
public enum TestPostgres {
    public static var url: String? { variable("JOBHOST_TEST_POSTGRES") }
    /// A transaction pooler in front of it, where there is one.
    public static var pooler: String? { variable("JOBHOST_TEST_POOLER") }

    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
        return value
    }

    /// The dialects that this run of the tests can try.
    public static var dialects: [SQLDialect] { url == nil ? [.sqlite] : [.sqlite, .postgresql] }

    public struct Schema: Sendable {
        public var name: String
        /// The server's URL, with nothing said of schemas.
        public var server: String
        /// The URL of a connection whose tables are this schema's.
        public var url: String {
            server + (server.contains("?") ? "&" : "?") + "options=-csearch_path%3D\(name)"
        }
    }

    public struct NotSet: Error, CustomStringConvertible {
        public var description: String { "JOBHOST_TEST_POSTGRES is not set: run scripts/test, or set it to the URL of a server" }
    }

    private static let count = Atomic(0)

    /// Runs `body` with a new schema, gone afterwards.
    public static func use<Result>(
        isolation: isolated (any Actor)? = #isolation, _ body: (Schema) async throws -> Result
    ) async throws -> Result {
        let schema = try make()
        do {
            let result = try await body(schema)
            try drop(schema)
            return result
        } catch {
            try? drop(schema)
            throw error
        }
    }

    public static func make() throws -> Schema {
        guard let url else { throw NotSet() }
        let number = count.add(1, ordering: .relaxed).newValue
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let schema = Schema(name: "t_\(getpid())_\(time.tv_sec % 1_000_000)_\(number)", server: url)
        let connection = try PostgresConnection(PostgresAddress(url))
        defer { connection.close() }
        try connection.execute("CREATE SCHEMA \(schema.name)")
        return schema
    }

    public static func drop(_ schema: Schema) throws {
        let connection = try PostgresConnection(PostgresAddress(schema.server))
        defer { connection.close() }
        try connection.execute("DROP SCHEMA IF EXISTS \(schema.name) CASCADE")
    }
}
