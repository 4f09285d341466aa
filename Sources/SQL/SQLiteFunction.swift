import CSQLite

extension SQLiteConnection {
    /// Adds a function to SQL on this connection; `body` must always say the same of the same values.
    /// What it throws is the error of the statement. Views and statements of others may call it.
    ///
    /// - Parameter arguments: how many it takes.
    public func define(_ name: String, arguments: Int, _ body: @escaping ([SQLValue]) throws -> SQLValue) throws(SQLError) {
        let flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS
        let function = Unmanaged.passRetained(SQLiteFunction(body)).toOpaque()
        // Released by SQLite, also when this fails.
        let result = sqlite3_create_function_v2(
            database, name, Int32(clamping: arguments), flags, function,
            { context, count, values in
                guard let context, let own = sqlite3_user_data(context) else { return }
                Unmanaged<SQLiteFunction>.fromOpaque(own).takeUnretainedValue().call(context, count, values)
            }, nil, nil, { own in if let own { Unmanaged<SQLiteFunction>.fromOpaque(own).release() } })
        guard result == SQLITE_OK else { throw failure(result, sql: name) }
    }
}

private final class SQLiteFunction {
    private let body: ([SQLValue]) throws -> SQLValue

    init(_ body: @escaping ([SQLValue]) throws -> SQLValue) { self.body = body }

    func call(_ context: OpaquePointer, _ count: Int32, _ values: UnsafeMutablePointer<OpaquePointer?>?) {
        do {
            let arguments = (0 ..< Int(count)).map { Self.value(values?[$0]) }
            switch try body(arguments) {
            case .null: sqlite3_result_null(context)
            case .int(let number): sqlite3_result_int64(context, number)
            case .double(let number): sqlite3_result_double(context, number)
            case .bool(let flag): sqlite3_result_int64(context, flag ? 1 : 0)
            case .text(let text): Self.give(text, context)
            case .bytes: sqlite3_result_error(context, "a function cannot return bytes", -1)
            }
        } catch {
            sqlite3_result_error(context, "\(error)", -1)
        }
    }

    private static func give(_ text: String, _ context: OpaquePointer) {
        var text = text
        text.withUTF8 { buffer in
            guard let start = buffer.baseAddress else { return csqlite_result_text(context, "", 0) }
            start.withMemoryRebound(to: CChar.self, capacity: buffer.count) {
                csqlite_result_text(context, $0, UInt64(buffer.count))
            }
        }
    }

    private static func value(_ value: OpaquePointer?) -> SQLValue {
        switch sqlite3_value_type(value) {
        case SQLITE_INTEGER: return .int(sqlite3_value_int64(value))
        case SQLITE_FLOAT: return .double(sqlite3_value_double(value))
        case SQLITE_TEXT:
            guard let start = sqlite3_value_text(value) else { return .text("") }
            let count = Int(sqlite3_value_bytes(value))
            return .text(String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self))
        case SQLITE_BLOB:
            guard let start = sqlite3_value_blob(value) else { return .bytes([]) }
            return .bytes([UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_value_bytes(value)))))
        default: return .null
        }
    }
}
