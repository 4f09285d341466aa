/// What a database refused, in the same words for every database.
public struct SQLError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// Another connection holds the lock and did not let go within the busy timeout.
        case busy
        /// The disk (or the page limit) is full.
        case full
        case readOnly
        /// Reading or writing the file failed, or the connection to the server was lost.
        case io
        /// No such file, no permission on it or its folder, too many open files; no such server,
        /// database or user, no permission, too many connections.
        case cannotOpen
        case noMemory
        case interrupted
        /// Unique, foreign key, check, not null or datatype constraint; the message names it.
        case constraint
        /// The file is damaged.
        case corrupt
        /// The file is not a database at all.
        case notADatabase
        /// A value or statement above the database's limits.
        case tooBig
        /// The statement is wrong: syntax, no such table or column.
        case statement
        /// A parameter is missing or unknown.
        case parameter
        /// A column was read as a type that its value does not have, or is not there.
        case column
        /// The connection is closed.
        case closed
        case other
    }

    public var kind: Kind
    /// The database's own primary code (for SQLite `SQLITE_BUSY` = 5 …); 0 where the driver
    /// itself refused.
    public var code: Int32
    /// SQLite's extended code, e.g. 2067 for a unique constraint.
    public var extendedCode: Int32
    /// PostgreSQL's SQLSTATE, e.g. "23505" for a unique constraint; "" for SQLite.
    public var sqlState: String
    public var message: String
    /// The statement, at most `clip` characters of it; "" when there was none.
    public var sql: String

    public static let clip = 300

    public init(_ kind: Kind, _ message: String, code: Int32 = 0, extendedCode: Int32 = 0, sqlState: String = "", sql: String = "") {
        self.kind = kind
        self.code = code
        self.extendedCode = extendedCode
        self.sqlState = sqlState
        self.message = message
        self.sql = sql.count > Self.clip ? String(sql.prefix(Self.clip)) + "…" : sql
    }

    /// The same call may succeed later without anybody changing it: the environment refused.
    public var isTransient: Bool {
        switch kind {
        case .busy, .full, .readOnly, .io, .cannotOpen, .noMemory, .interrupted: true
        default: false
        }
    }

    public var description: String {
        var text = message
        if extendedCode != 0 { text += " (code \(extendedCode))" }
        if !sqlState.isEmpty { text += " (SQLSTATE \(sqlState))" }
        if !sql.isEmpty { text += " in: \(sql)" }
        return text
    }
}
