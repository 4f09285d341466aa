import CSQLite

/// How a SQLite file is opened.
public struct SQLiteOptions: Sendable {
    public var readOnly = false
    /// Create the file when it is not there (never with `readOnly`).
    public var create = true
    /// How long a statement waits for another connection's lock before it throws `busy`, in
    /// milliseconds, 0 … 600,000.
    public var busyTimeoutMilliseconds: Int32 = 1_000
    /// Set in this order right after opening, e.g. `("journal_mode", "WAL")`. Names and values
    /// are written into SQL as they are: never take them from input.
    public var pragmas: [(name: String, value: String)] = []
    /// Compiled statements kept for reuse.
    public var cachedStatements = 64

    public init() {}
}

/// A connection to one SQLite file. Confined to one thread at a time (see `SQLConnection`).
public final class SQLiteConnection: SQLConnection {
    public typealias Statement = SQLiteStatement

    public let path: String
    public var dialect: SQLDialect { .sqlite }
    public var faultPoint: ((SQLFaultPoint) -> Void)?

    private(set) var database: OpaquePointer?
    private var cache: StatementCache
    private let patience: Patience
    private let log = LogSize()

    /// Once a process, before its first connection.
    private static let configured: Int32 = csqlite_configure()

    /// Opens `path`, a plain file name (no `file:` URI) or ":memory:".
    public init(path: String, options: SQLiteOptions = SQLiteOptions()) throws(SQLError) {
        self.path = path
        cache = StatementCache(capacity: options.cachedStatements)
        patience = Patience(milliseconds: options.busyTimeoutMilliseconds)
        _ = Self.configured
        // NOMUTEX: confined to one thread, so SQLite's own locks would only cost.
        var flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        flags |= options.readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE
        if options.create && !options.readOnly { flags |= SQLITE_OPEN_CREATE }
        let result = sqlite3_open_v2(path, &database, flags, nil)
        guard result == SQLITE_OK, let database else {
            let message = database.map { String(cString: sqlite3_errmsg($0)) } ?? "out of memory"
            sqlite3_close_v2(database)
            self.database = nil
            throw SQLError(
                SQLError.Kind(sqlite: result), "\(message): \(path)", code: result & 0xff, extendedCode: result)
        }
        csqlite_harden(database)
        patience.install(on: database)
        for pragma in options.pragmas {
            try run("PRAGMA \(pragma.name) = \(pragma.value)")
        }
        SQLConnectionWatch.opened?(self)
    }

    deinit { close() }

    public func close() {
        guard let database else { return }
        self.database = nil
        // Here and not when the last statement goes, which would hold its locks until then.
        if sqlite3_get_autocommit(database) == 0 { sqlite3_exec(database, "ROLLBACK", nil, nil, nil) }
        for handle in cache.removeAll() { sqlite3_finalize(handle) }
        // v2: statements that somebody still holds end the connection when they go.
        sqlite3_close_v2(database)
    }

    public var inTransaction: Bool {
        guard let database else { return false }
        return sqlite3_get_autocommit(database) == 0
    }

    /// Opened for writing, but the file does not allow it.
    public var isReadOnly: Bool {
        guard let database else { return true }
        return sqlite3_db_readonly(database, "main") == 1
    }

    /// Rowid of the newest successful INSERT on this connection.
    public var lastInsertRowID: Int64 {
        guard let database else { return 0 }
        return sqlite3_last_insert_rowid(database)
    }

    /// Rows touched by the newest completed INSERT, UPDATE or DELETE on this connection.
    public var changes: Int {
        guard let database else { return 0 }
        return Int(sqlite3_changes64(database))
    }

    /// Pages in the write-ahead log after the newest commit on this connection; 0 until
    /// `countLogPages` and a commit.
    public var logPages: Int { log.pages }

    /// Counts `logPages` from now on. Takes the place of SQLite's automatic checkpoints on this
    /// connection: whoever counts has to make them.
    public func countLogPages() {
        if let database { log.count(on: database) }
    }

    public func prepare(_ sql: String) throws(SQLError) -> SQLiteStatement {
        guard isOpen else { throw closed(sql) }
        if let handle = cache.take(sql) { return SQLiteStatement(handle: handle, sql: sql, connection: self) }
        return SQLiteStatement(handle: try compile(sql), sql: sql, connection: self)
    }

    public func execute(_ script: String) throws(SQLError) {
        faultPoint?(.before(script))
        guard let database else { throw closed(script) }
        let result = sqlite3_exec(database, script, nil, nil, nil)
        guard result == SQLITE_OK else { throw failure(result, sql: script) }
        faultPoint?(.after(script))
        if !isOpen { throw closed(script) }
    }

    public func begin(_ mode: SQLTransactionMode) throws(SQLError) {
        try run(mode == .deferred ? "BEGIN" : "BEGIN IMMEDIATE")
    }

    public func control(_ statement: String) throws(SQLError) { try run(statement) }

    // MARK: Inside

    /// Shows `callback` what is compiled in `body`.
    func withAuthorizer(
        _ callback: @escaping @convention(c) (
            UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
            UnsafePointer<CChar>?
        ) -> Int32,
        _ context: UnsafeMutableRawPointer, _ body: () throws(SQLError) -> Void
    ) throws(SQLError) {
        sqlite3_set_authorizer(database, callback, context)
        defer { sqlite3_set_authorizer(database, nil, nil) }
        try body()
    }

    /// Compiles a statement anew and forgets it.
    func check(_ sql: String) throws(SQLError) { sqlite3_finalize(try compile(sql)) }

    private func compile(_ sql: String) throws(SQLError) -> OpaquePointer {
        var text = sql
        var handle: OpaquePointer?
        var second: OpaquePointer?
        // A second statement behind the first would silently not be executed: so what follows
        // is compiled too, and only blanks and comments compile to nothing.
        let result = text.withUTF8 { buffer -> Int32 in
            buffer.withMemoryRebound(to: CChar.self) { characters in
                guard characters.count < Int(Int32.max) else { return SQLITE_TOOBIG }
                var tail: UnsafePointer<CChar>?
                let length = Int32(characters.count)
                let first = sqlite3_prepare_v3(
                    database, characters.baseAddress, length, UInt32(SQLITE_PREPARE_PERSISTENT), &handle, &tail)
                guard first == SQLITE_OK, let tail, let start = characters.baseAddress else { return first }
                return sqlite3_prepare_v2(database, tail, length - Int32(tail - start), &second, nil)
            }
        }
        if second != nil || result != SQLITE_OK {
            let error = second != nil
                ? SQLError(.statement, "more than one statement", sql: sql) : failure(result, sql: sql)
            sqlite3_finalize(second)
            sqlite3_finalize(handle)
            throw error
        }
        guard let handle else { throw SQLError(.statement, "there is no statement in the text", sql: sql) }
        return handle
    }

    func giveBack(_ handle: OpaquePointer, sql: String) {
        if database == nil {
            sqlite3_finalize(handle)
        } else if let evicted = cache.put(handle, sql: sql) {
            sqlite3_finalize(evicted)
        }
    }

    var isOpen: Bool { database != nil }

    func closed(_ sql: String) -> SQLError { SQLError(.closed, "the connection to \(path) is closed", sql: sql) }

    func failure(_ result: Int32, sql: String) -> SQLError {
        let message = database.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(result))
        return SQLError(
            SQLError.Kind(sqlite: result), message, code: result & 0xff, extendedCode: result, sql: sql)
    }
}

extension SQLError.Kind {
    /// From a primary or extended result code of SQLite.
    init(sqlite code: Int32) {
        self = switch code & 0xff {
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL: .busy
        case SQLITE_FULL: .full
        case SQLITE_READONLY: .readOnly
        case SQLITE_IOERR: .io
        case SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_AUTH: .cannotOpen
        case SQLITE_NOMEM: .noMemory
        case SQLITE_INTERRUPT: .interrupted
        case SQLITE_CONSTRAINT: .constraint
        case SQLITE_CORRUPT: .corrupt
        case SQLITE_NOTADB: .notADatabase
        case SQLITE_TOOBIG: .tooBig
        case SQLITE_ERROR: .statement
        case SQLITE_RANGE: .parameter
        default: .other
        }
    }
}

/// Waits for another connection's lock in short steps. SQLite's own handler grows its steps to
/// 100 ms, which would be the lateness of every run behind a short foreign transaction.
private final class Patience {
    private let limitMilliseconds: Int32
    private var waited: Int32 = 0

    init(milliseconds: Int32) { limitMilliseconds = max(0, min(milliseconds, 600_000)) }

    /// `self` must live as long as `database`: the connection owns both.
    func install(on database: OpaquePointer) {
        let handler: @convention(c) (UnsafeMutableRawPointer?, Int32) -> Int32 = { context, round in
            guard let context else { return 0 }
            return Unmanaged<Patience>.fromOpaque(context).takeUnretainedValue().wait(round) ? 1 : 0
        }
        sqlite3_busy_handler(database, handler, Unmanaged.passUnretained(self).toOpaque())
    }

    private func wait(_ round: Int32) -> Bool {
        if round == 0 { waited = 0 }
        guard waited < limitMilliseconds else { return false }
        let step = min(waited < 20 ? 1 : 5, limitMilliseconds - waited)
        sqlite3_sleep(step)
        waited += step
        return true
    }
}

/// What SQLite says of the write-ahead log at each commit.
private final class LogSize {
    private(set) var pages = 0

    /// `self` must live as long as `database`: the connection owns both.
    func count(on database: OpaquePointer) {
        sqlite3_wal_hook(database, { context, _, _, pages in
            guard let context else { return SQLITE_OK }
            Unmanaged<LogSize>.fromOpaque(context).takeUnretainedValue().pages = Int(pages)
            return SQLITE_OK
        }, Unmanaged.passUnretained(self).toOpaque())
    }
}

/// Idle compiled statements; the one used longest ago makes room.
private struct StatementCache {
    private var idle: [String: (handle: OpaquePointer, used: UInt64)] = [:]
    private var clock: UInt64 = 0
    let capacity: Int

    init(capacity: Int) { self.capacity = max(0, capacity) }

    mutating func take(_ sql: String) -> OpaquePointer? { idle.removeValue(forKey: sql)?.handle }

    /// Returns the handle that has to be finalized for it.
    mutating func put(_ handle: OpaquePointer, sql: String) -> OpaquePointer? {
        guard capacity > 0, idle[sql] == nil else { return handle }
        clock += 1
        var evicted: OpaquePointer?
        if idle.count >= capacity, let oldest = idle.min(by: { $0.value.used < $1.value.used })?.key {
            evicted = idle.removeValue(forKey: oldest)?.handle
        }
        idle[sql] = (handle, clock)
        return evicted
    }

    mutating func removeAll() -> [OpaquePointer] {
        defer { idle = [:] }
        return idle.values.map(\.handle)
    }
}
