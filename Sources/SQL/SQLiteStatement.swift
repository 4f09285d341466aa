import CSQLite

/// A compiled statement, checked out of its connection's cache; goes back when released.
public final class SQLiteStatement: SQLStatement {
    public let sql: String
    public private(set) var changes = 0

    private let handle: OpaquePointer
    private let connection: SQLiteConnection
    private var running = false
    private var names: [String]?
    private var parameters: [String?]?

    init(handle: OpaquePointer, sql: String, connection: SQLiteConnection) {
        self.handle = handle
        self.sql = sql
        self.connection = connection
    }

    deinit {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
        connection.giveBack(handle, sql: sql)
    }

    /// The statement changes nothing in the file.
    public var isReadOnly: Bool { sqlite3_stmt_readonly(handle) != 0 }

    public var parameterNames: [String?] {
        if let parameters { return parameters }
        let found = (0..<sqlite3_bind_parameter_count(handle)).map { index -> String? in
            guard let name = sqlite3_bind_parameter_name(handle, index + 1), name[0] != UInt8(ascii: "?") else {
                return nil
            }
            return String(cString: name + 1)
        }
        parameters = found
        return found
    }

    public var columnNames: [String] {
        if let names { return names }
        let found = (0..<sqlite3_column_count(handle)).map { index in
            sqlite3_column_name(handle, index).map { String(cString: $0) } ?? ""
        }
        names = found
        return found
    }

    // MARK: Parameters

    public func bind(_ value: SQLValue, at index: Int) throws(SQLError) {
        switch value {
        case .null: try bindNull(at: index)
        case .int(let number): try bind(number, at: index)
        case .double(let number): try check(sqlite3_bind_double(handle, slot(index), number))
        case .text(let text): try bind(text, at: index)
        case .bytes(let bytes): try bind(bytes, at: index)
        case .bool(let flag): try bind(Int64(flag ? 1 : 0), at: index)
        }
    }

    public func bindNull(at index: Int) throws(SQLError) {
        try check(sqlite3_bind_null(handle, slot(index)))
    }
    public func bind(_ value: Int64, at index: Int) throws(SQLError) {
        try check(sqlite3_bind_int64(handle, slot(index), value))
    }
    public func bind(_ value: Int64?, at index: Int) throws(SQLError) {
        if let value { try bind(value, at: index) } else { try bindNull(at: index) }
    }
    public func bind(_ value: String, at index: Int) throws(SQLError) {
        var text = value
        let result = text.withUTF8 { buffer in
            // An empty String may have no address, and a null pointer would bind NULL.
            guard let start = buffer.baseAddress else { return csqlite_bind_text(handle, slot(index), "", 0) }
            return start.withMemoryRebound(to: CChar.self, capacity: buffer.count) {
                csqlite_bind_text(handle, slot(index), $0, UInt64(buffer.count))
            }
        }
        try check(result)
    }
    public func bind(_ value: String?, at index: Int) throws(SQLError) {
        if let value { try bind(value, at: index) } else { try bindNull(at: index) }
    }
    public func bind(_ value: [UInt8], at index: Int) throws(SQLError) {
        let result = value.withUnsafeBytes {
            csqlite_bind_blob(handle, slot(index), $0.baseAddress, UInt64($0.count))
        }
        try check(result)
    }

    private func slot(_ index: Int) -> Int32 { Int32(clamping: index) }

    private func check(_ result: Int32) throws(SQLError) {
        guard result == SQLITE_OK else { throw connection.failure(result, sql: sql) }
    }

    // MARK: Execution

    public func step() throws(SQLError) -> Bool {
        if !running { connection.faultPoint?(.before(sql)) }
        guard connection.isOpen else { throw connection.closed(sql) }
        running = true
        let result = sqlite3_step(handle)
        if result == SQLITE_ROW { return true }
        running = false
        guard result == SQLITE_DONE else {
            let error = connection.failure(result, sql: sql)
            sqlite3_reset(handle)
            throw error
        }
        changes = connection.changes
        connection.faultPoint?(.after(sql))
        guard connection.isOpen else { throw connection.closed(sql) }
        return false
    }

    public func reset() {
        running = false
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    public func rewind() {
        running = false
        sqlite3_reset(handle)
    }

    // MARK: Columns

    public func isNull(_ column: Int) -> Bool { type(column) == SQLITE_NULL }

    public func value(_ column: Int) -> SQLValue {
        switch type(column) {
        case SQLITE_INTEGER: .int(sqlite3_column_int64(handle, slot(column)))
        case SQLITE_FLOAT: .double(sqlite3_column_double(handle, slot(column)))
        case SQLITE_TEXT: .text(String(decoding: characters(column), as: UTF8.self))
        case SQLITE_BLOB: .bytes(blob(column))
        default: .null
        }
    }

    public func int64(_ column: Int) throws(SQLError) -> Int64 {
        guard type(column) == SQLITE_INTEGER else {
            throw mismatch(column, found: value(column), wanted: "an integer")
        }
        return sqlite3_column_int64(handle, slot(column))
    }

    public func double(_ column: Int) throws(SQLError) -> Double {
        let type = type(column)
        guard type == SQLITE_FLOAT || type == SQLITE_INTEGER else {
            throw mismatch(column, found: value(column), wanted: "a number")
        }
        return sqlite3_column_double(handle, slot(column))
    }

    public func text(_ column: Int) throws(SQLError) -> String {
        String(decoding: try checkedCharacters(column), as: UTF8.self)
    }

    public func withText(_ column: Int, _ body: (UnsafeRawBufferPointer) -> Void) throws(SQLError) {
        body(UnsafeRawBufferPointer(try checkedCharacters(column)))
    }

    public func bytes(_ column: Int) throws(SQLError) -> [UInt8] {
        let type = type(column)
        guard type == SQLITE_BLOB || type == SQLITE_TEXT else {
            throw mismatch(column, found: value(column), wanted: "bytes")
        }
        return blob(column)
    }

    private func type(_ column: Int) -> Int32 { sqlite3_column_type(handle, slot(column)) }

    private func checkedCharacters(_ column: Int) throws(SQLError) -> UnsafeBufferPointer<UInt8> {
        let type = type(column)
        guard type == SQLITE_TEXT || type == SQLITE_INTEGER else {
            throw mismatch(column, found: value(column), wanted: "text")
        }
        return characters(column)
    }

    /// SQLite's own, until the row is left.
    private func characters(_ column: Int) -> UnsafeBufferPointer<UInt8> {
        guard let start = sqlite3_column_text(handle, slot(column)) else { return UnsafeBufferPointer(start: nil, count: 0) }
        return UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(handle, slot(column))))
    }

    private func blob(_ column: Int) -> [UInt8] {
        guard let start = sqlite3_column_blob(handle, slot(column)) else { return [] }
        let count = Int(sqlite3_column_bytes(handle, slot(column)))
        return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }
}
