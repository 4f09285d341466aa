/// A connection to a database, as thin as the two databases allow.
///
/// Confined to one thread at a time: a connection and its statements are not `Sendable`, and
/// nothing in them locks. Whoever wants several threads opens several connections.
///
/// Parameters are written `:name` in every dialect, or `?` by position (from 1).
public protocol SQLConnection: AnyObject, SendableMetatype {
    associatedtype Statement: SQLStatement

    var dialect: SQLDialect { get }
    /// Compiles one statement, or takes it from the connection's cache. Two statements in one
    /// text are refused; a trailing `;` and comments are not.
    func prepare(_ sql: String) throws(SQLError) -> Statement
    /// Executes a script of any number of statements without parameters; rows are discarded.
    func execute(_ script: String) throws(SQLError)
    /// Executes a statement whose rows and count nobody wants. Where the connection can, it goes out with the next
    /// statement that is waited for, which then throws its error.
    func send(_ sql: String, _ values: [SQLValue]) throws(SQLError)
    /// Begins a transaction. For `transaction`, which also ends it.
    func begin(_ mode: SQLTransactionMode) throws(SQLError)
    /// Executes "COMMIT", "ROLLBACK" or a statement of savepoints. A COMMIT that the database
    /// turned into a ROLLBACK throws.
    func control(_ statement: String) throws(SQLError)
    /// A transaction is open.
    var inTransaction: Bool { get }
    /// Called on this connection's thread at every statement's two boundaries, so that a test
    /// can end the process exactly there, or `close` the connection: then that statement throws
    /// `closed`, as every later one does. nil in production: one comparison.
    var faultPoint: ((SQLFaultPoint) -> Void)? { get set }
    /// An open transaction is lost; statements still held throw `closed`. Closing twice is
    /// harmless.
    func close()
}

public enum SQLDialect: String, Sendable {
    case sqlite
    case postgresql
}

/// Where a test may interfere: the text is the statement's.
public enum SQLFaultPoint: Hashable, Sendable {
    case before(String)
    case after(String)
}

/// For tests of what opens its connections itself.
public enum SQLConnectionWatch {
    /// Shown every connection that is opened in its scope, right after that, on its thread: the
    /// moment to set a `faultPoint`. nil in production: one look when a connection is opened.
    @TaskLocal public static var opened: (@Sendable (any SQLConnection) -> Void)?
}

/// What a transaction is sure of.
public enum SQLTransactionMode: Sendable {
    /// One snapshot for all its statements (PostgreSQL: REPEATABLE READ); SQLite's write lock at the
    /// first write. For reading.
    case deferred
    /// What it has read has not changed when it commits. SQLite: the write lock at once, so that
    /// `busy` can only come from the beginning. PostgreSQL: SERIALIZABLE, where `busy` may come from
    /// any statement and from the commit: the whole has to be done again.
    case immediate
    /// What its statements have locked (`FOR UPDATE`, rows written) does not change until it
    /// commits; anything else may. SQLite: as `immediate`. PostgreSQL: READ COMMITTED.
    case rowLocks
}

/// One compiled statement. Columns count from 0, parameters from 1. Reading a column is
/// defined between a `step` that returned true and the next `step` or `reset`.
public protocol SQLStatement: AnyObject, SendableMetatype {
    var sql: String { get }
    /// Names without the colon, by position; nil for `?`.
    var parameterNames: [String?] { get }
    var columnNames: [String] { get }

    /// `index` from 1.
    func bind(_ value: SQLValue, at index: Int) throws(SQLError)
    // Straight ways past `SQLValue` for those who bind ten thousand rows.
    func bindNull(at index: Int) throws(SQLError)
    func bind(_ value: Int64, at index: Int) throws(SQLError)
    func bind(_ value: Int64?, at index: Int) throws(SQLError)
    func bind(_ value: String, at index: Int) throws(SQLError)
    func bind(_ value: String?, at index: Int) throws(SQLError)
    /// true: a row is there; false: the statement is done.
    func step() throws(SQLError) -> Bool
    /// Ends the execution and clears all parameters to NULL; the statement can be bound anew.
    func reset()
    /// Ends the execution and keeps the parameters: for a loop that binds all of them anew.
    func rewind()
    /// Rows that the last completed INSERT, UPDATE or DELETE on this statement touched.
    var changes: Int { get }

    func isNull(_ column: Int) -> Bool
    func value(_ column: Int) -> SQLValue
    /// The value has to be an integer, exactly: NULL, text and fractions throw `column`.
    func int64(_ column: Int) throws(SQLError) -> Int64
    /// An integer or a float.
    func double(_ column: Int) throws(SQLError) -> Double
    /// Text, or an integer in decimal digits (ids are integers in some databases and text in
    /// others). A binary float throws: its text would not be exact.
    func text(_ column: Int) throws(SQLError) -> String
    /// The UTF-8 of `text`, without a String of it where the driver can: for those who read a million rows. The bytes
    /// are there during `body` alone.
    func withText(_ column: Int, _ body: (UnsafeRawBufferPointer) -> Void) throws(SQLError)
    /// A blob, or the UTF-8 of a text.
    func bytes(_ column: Int) throws(SQLError) -> [UInt8]
}

// MARK: What follows from the above

extension SQLStatement {
    public func withText(_ column: Int, _ body: (UnsafeRawBufferPointer) -> Void) throws(SQLError) {
        var text = try text(column)
        text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
    /// A boolean, or the integers 0 and 1.
    public func bool(_ column: Int) throws(SQLError) -> Bool {
        switch value(column) {
        case .bool(let flag): return flag
        case .int(0): return false
        case .int(1): return true
        case let other: throw mismatch(column, found: other, wanted: "a boolean")
        }
    }
    public func int64OrNil(_ column: Int) throws(SQLError) -> Int64? { isNull(column) ? nil : try int64(column) }
    public func textOrNil(_ column: Int) throws(SQLError) -> String? { isNull(column) ? nil : try text(column) }
    public func bytesOrNil(_ column: Int) throws(SQLError) -> [UInt8]? { isNull(column) ? nil : try bytes(column) }

    /// Position of the column called `name` (exactly; the first one of that name).
    public func column(_ name: String) throws(SQLError) -> Int {
        guard let index = columnNames.firstIndex(of: name) else {
            let known = columnNames.joined(separator: ", ")
            throw SQLError(.column, "no column \"\(name)\"; there are: \(known)", sql: sql)
        }
        return index
    }
    public func int64(_ name: String) throws(SQLError) -> Int64 { try int64(column(name)) }
    public func double(_ name: String) throws(SQLError) -> Double { try double(column(name)) }
    public func text(_ name: String) throws(SQLError) -> String { try text(column(name)) }
    public func bytes(_ name: String) throws(SQLError) -> [UInt8] { try bytes(column(name)) }
    public func bool(_ name: String) throws(SQLError) -> Bool { try bool(column(name)) }
    public func value(_ name: String) throws(SQLError) -> SQLValue { value(try column(name)) }
    public func int64OrNil(_ name: String) throws(SQLError) -> Int64? { try int64OrNil(column(name)) }
    public func textOrNil(_ name: String) throws(SQLError) -> String? { try textOrNil(column(name)) }
    public func bytesOrNil(_ name: String) throws(SQLError) -> [UInt8]? { try bytesOrNil(column(name)) }

    /// Binds by position, all of them.
    public func bind(_ values: [SQLValue]) throws(SQLError) {
        let expected = parameterNames.count
        guard values.count == expected else {
            throw SQLError(.parameter, "\(values.count) values for \(expected) parameters", sql: sql)
        }
        for (offset, value) in values.enumerated() { try bind(value, at: offset + 1) }
    }

    /// Binds by name. Every parameter of the statement has to be there; what the statement
    /// does not mention is an error too unless `ignoringUnused`: a statement that an operator
    /// put in place of ours need not use all that we offer.
    public func bind(_ values: [String: SQLValue], ignoringUnused: Bool = false) throws(SQLError) {
        let names = parameterNames
        for (offset, name) in names.enumerated() {
            guard let name else {
                throw SQLError(.parameter, "parameter \(offset + 1) has no name, write :name", sql: sql)
            }
            guard let value = values[name] else {
                let known = values.keys.sorted().map { ":" + $0 }.joined(separator: ", ")
                throw SQLError(.parameter, "no value for :\(name); there are: \(known)", sql: sql)
            }
            try bind(value, at: offset + 1)
        }
        // Names are there once each: as many of both are the same ones.
        if ignoringUnused || names.count == values.count { return }
        if let extra = values.keys.sorted().first(where: { !names.contains($0) }) {
            throw SQLError(.parameter, "the statement has no parameter :\(extra)", sql: sql)
        }
    }

    /// Steps to the end, discarding rows, and resets. Returns the rows touched.
    @discardableResult
    public func run() throws(SQLError) -> Int {
        defer { reset() }
        while try step() {}
        return changes
    }

    func mismatch(_ column: Int, found: SQLValue, wanted: String) -> SQLError {
        let names = columnNames
        let name = names.indices.contains(column) ? "\"\(names[column])\"" : String(column)
        let kind = switch found {
        case .null: "NULL"
        case .int: "an integer"
        case .double: "a binary float"
        case .text: "text"
        case .bytes: "bytes"
        case .bool: "a boolean"
        }
        return SQLError(.column, "column \(name) holds \(kind), not \(wanted)", sql: sql)
    }
}

extension SQLConnection {
    public func send(_ sql: String, _ values: [SQLValue]) throws(SQLError) { try run(sql, values) }

    /// Executes one statement; returns the rows touched.
    @discardableResult
    public func run(_ sql: String, _ values: [SQLValue] = []) throws(SQLError) -> Int {
        let statement = try prepare(sql)
        try statement.bind(values)
        return try statement.run()
    }

    /// Executes one statement with named parameters; returns the rows touched.
    @discardableResult
    public func run(_ sql: String, named values: [String: SQLValue], ignoringUnused: Bool = false)
        throws(SQLError) -> Int
    {
        let statement = try prepare(sql)
        try statement.bind(values, ignoringUnused: ignoringUnused)
        return try statement.run()
    }

    /// All rows, each through `decode`.
    public func rows<Row>(_ sql: String, _ values: [SQLValue] = [], _ decode: (Statement) throws -> Row) throws -> [Row] {
        let statement = try prepare(sql)
        try statement.bind(values)
        return try collect(statement, decode)
    }

    /// All rows of a statement with named parameters, each through `decode`.
    public func rows<Row>(
        _ sql: String, named values: [String: SQLValue], ignoringUnused: Bool = false,
        _ decode: (Statement) throws -> Row
    ) throws -> [Row] {
        let statement = try prepare(sql)
        try statement.bind(values, ignoringUnused: ignoringUnused)
        return try collect(statement, decode)
    }

    /// The first row, if any.
    public func first<Row>(_ sql: String, _ values: [SQLValue] = [], _ decode: (Statement) throws -> Row) throws -> Row? {
        let statement = try prepare(sql)
        defer { statement.reset() }
        try statement.bind(values)
        return try statement.step() ? try decode(statement) : nil
    }

    private func collect<Row>(_ statement: Statement, _ decode: (Statement) throws -> Row) throws -> [Row] {
        defer { statement.reset() }
        var rows: [Row] = []
        while try statement.step() { rows.append(try decode(statement)) }
        return rows
    }

    /// Runs `body` in a transaction: committed when it returns, rolled back when it or the
    /// commit throws. Inside another transaction it is a savepoint: its own failure undoes
    /// only itself.
    @discardableResult
    public func transaction<Result>(_ mode: SQLTransactionMode, _ body: () throws -> Result) throws -> Result {
        let nested = inTransaction
        let (commit, rollback) = nested ? ("RELEASE nested", "ROLLBACK TO nested") : ("COMMIT", "ROLLBACK")
        if nested { try control("SAVEPOINT nested") } else { try begin(mode) }
        do {
            let result = try body()
            try control(commit)
            return result
        } catch {
            // Some failures (disk full, I/O) have already rolled the transaction back.
            if inTransaction {
                _ = try? control(rollback)
                if nested { _ = try? control(commit) }
            }
            throw error
        }
    }
}
