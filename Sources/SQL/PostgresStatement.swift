import CPostgres

/// A statement of a PostgreSQL connection.
public final class PostgresStatement: SQLStatement {
    public let sql: String
    public private(set) var changes = 0

    private let entry: Compiled
    private let connection: PostgresConnection
    private var values: BoundValues
    private var result: PostgresResult?
    /// Of `send`, until its answer is read.
    private var sent: PostgresQueued?
    /// `result` is of `send`, whose fault points are past.
    private var wasSent = false
    private var row = -1
    private var rows = 0
    private var names: [String]?
    private var types: [UInt32] = []

    init(_ entry: Compiled, sql: String, connection: PostgresConnection) {
        self.entry = entry
        self.sql = sql
        self.connection = connection
        values = BoundValues(count: entry.text.parameters.count)
        entry.holders += 1
    }

    deinit { entry.holders -= 1 }

    public var parameterNames: [String?] { entry.text.parameters }

    /// Known after the first `step`; before it the server is asked, unless nothing is prepared there.
    public var columnNames: [String] {
        if let names { return names }
        guard let described = connection.describe(entry) else { return [] }
        return take(columns: described.pointer)
    }

    @discardableResult
    private func take(columns pointer: OpaquePointer) -> [String] {
        let count = cpg_columns(pointer)
        let found = (0..<count).map { String(cString: cpg_column_name(pointer, $0)) }
        types = (0..<count).map { cpg_column_type(pointer, $0) }
        names = found
        return found
    }

    // MARK: Parameters

    public func bind(_ value: SQLValue, at index: Int) throws(SQLError) {
        switch value {
        case .null: try bindNull(at: index)
        case .int(let number): try bind(number, at: index)
        case .double(let number): try set(Array(Self.text(number).utf8), at: index)
        // "1" and "0" are booleans and integers, as the column wants it.
        case .bool(let flag): try set([flag ? 49 : 48], at: index)
        case .bytes(let bytes): try set(bytes, at: index, binary: true)
        case .text(let text): try bind(text, at: index)
        }
    }

    public func bindNull(at index: Int) throws(SQLError) { try set(nil, at: index) }
    public func bind(_ value: Int64, at index: Int) throws(SQLError) { try set(Array(String(value).utf8), at: index) }
    public func bind(_ value: Int64?, at index: Int) throws(SQLError) {
        if let value { try bind(value, at: index) } else { try bindNull(at: index) }
    }
    public func bind(_ value: String?, at index: Int) throws(SQLError) {
        if let value { try bind(value, at: index) } else { try bindNull(at: index) }
    }
    public func bind(_ value: String, at index: Int) throws(SQLError) {
        var bytes = Array(value.utf8)
        if bytes.contains(0) {
            guard connection.options.replacesNUL else {
                throw SQLError(.constraint, "PostgreSQL keeps no text with a NUL character (parameter \(index))", sql: sql)
            }
            bytes = Array(String(value.unicodeScalars.map { $0 == "\0" ? "\u{FFFD}" : Character($0) }).utf8)
        }
        try set(bytes, at: index)
    }

    private func set(_ value: [UInt8]?, at index: Int, binary: Bool = false) throws(SQLError) {
        guard index >= 1, index <= values.count else {
            throw SQLError(.parameter, "there is no parameter \(index)", sql: sql)
        }
        values.set(value, at: index - 1, binary: binary)
    }

    private static func text(_ number: Double) -> String {
        if number.isNaN { return "NaN" }
        return number.isInfinite ? (number < 0 ? "-Infinity" : "Infinity") : "\(number)"
    }

    // MARK: Execution

    /// Executes it without waiting for its answer, which `step` reads: within a transaction of a connection whose
    /// `options.pipelined` is on, in one round trip with the next statement that is waited for. Parameters may be bound
    /// anew at once. An error is thrown by whatever is waited for first.
    public func send() throws(SQLError) {
        result = nil
        sent = nil
        if connection.mayQueue {
            sent = try connection.queueSent(sql, entry, values)
        } else {
            try execute()
        }
    }

    private func execute() throws(SQLError) {
        wasSent = sent != nil
        if let sent {
            self.sent = nil
            take(try connection.answer(to: sent))
        } else {
            connection.faultPoint?(.before(sql))
            take(try connection.run(entry, values, sql: sql))
        }
    }

    private func take(_ answer: PostgresResult) {
        if names == nil { take(columns: answer.pointer) }
        result = answer
        row = -1
        rows = Int(cpg_rows(answer.pointer))
    }

    public func step() throws(SQLError) -> Bool {
        if result == nil { try execute() }
        row += 1
        if row < rows { return true }
        if let result {
            let command = cpg_command(result.pointer)
            changes = command?.pointee == CChar(bitPattern: UInt8(ascii: "S")) ? 0 : Int(cpg_touched(result.pointer))
        }
        result = nil
        if wasSent { return false }
        connection.faultPoint?(.after(sql))
        guard !connection.isClosedForGood else { throw connection.closed(sql) }
        return false
    }

    public func reset() {
        result = nil
        sent = nil
        values = BoundValues(count: values.count)
    }

    public func rewind() {
        result = nil
        sent = nil
    }

    // MARK: Columns

    public func isNull(_ column: Int) -> Bool { cell(column) == nil }

    /// The text of the value; nil: NULL, or there is no such column or row.
    private func cell(_ column: Int) -> UnsafeBufferPointer<UInt8>? {
        guard let result, row >= 0, row < rows, types.indices.contains(column),
            !cpg_is_null(result.pointer, Int32(row), Int32(column)),
            let start = cpg_value(result.pointer, Int32(row), Int32(column))
        else { return nil }
        let count = Int(cpg_length(result.pointer, Int32(row), Int32(column)))
        // The memory is the result's, which lives as long as this row is current.
        return UnsafeBufferPointer(start: UnsafeRawPointer(start).assumingMemoryBound(to: UInt8.self), count: count)
    }

    private enum Kind { case int, numeric, double, bool, bytes, text }

    private func kind(_ column: Int) -> Kind {
        switch types[column] {
        case 20, 21, 23, 26: .int
        case 1700: .numeric
        case 700, 701: .double
        case 16: .bool
        case 17: .bytes
        default: .text
        }
    }

    public func value(_ column: Int) -> SQLValue {
        guard let cell = cell(column) else { return .null }
        switch kind(column) {
        case .int: return Self.integer(cell).map { .int($0) } ?? .null
        case .double: return .double(Double(String(decoding: cell, as: UTF8.self)) ?? .nan)
        case .bool: return .bool(cell.first == UInt8(ascii: "t"))
        case .bytes: return .bytes(Self.blob(cell))
        case .numeric, .text: return .text(String(decoding: cell, as: UTF8.self))
        }
    }

    public func int64(_ column: Int) throws(SQLError) -> Int64 {
        if let cell = cell(column) {
            let kind = kind(column)
            // A sum of integers is a numeric without a fraction.
            if kind == .int || kind == .numeric, let number = Self.integer(cell) { return number }
        }
        throw mismatch(column, found: value(column), wanted: "an integer")
    }

    public func double(_ column: Int) throws(SQLError) -> Double {
        guard let cell = cell(column), [.double, .int, .numeric].contains(kind(column)),
            let number = Double(String(decoding: cell, as: UTF8.self))
        else { throw mismatch(column, found: value(column), wanted: "a number") }
        return number
    }

    public func text(_ column: Int) throws(SQLError) -> String {
        String(decoding: try characters(column), as: UTF8.self)
    }

    public func withText(_ column: Int, _ body: (UnsafeRawBufferPointer) -> Void) throws(SQLError) {
        body(UnsafeRawBufferPointer(try characters(column)))
    }

    private func characters(_ column: Int) throws(SQLError) -> UnsafeBufferPointer<UInt8> {
        guard let cell = cell(column), [.text, .numeric, .int].contains(kind(column)) else {
            throw mismatch(column, found: value(column), wanted: "text")
        }
        return cell
    }

    public func bytes(_ column: Int) throws(SQLError) -> [UInt8] {
        guard let cell = cell(column) else { throw mismatch(column, found: .null, wanted: "bytes") }
        switch kind(column) {
        case .bytes: return Self.blob(cell)
        case .text: return Array(cell)
        default: throw mismatch(column, found: value(column), wanted: "bytes")
        }
    }

    /// All of it an integer, or nil.
    private static func integer(_ cell: UnsafeBufferPointer<UInt8>) -> Int64? {
        var digits = cell[...]
        let negative = digits.first == UInt8(ascii: "-")
        if negative { digits = digits.dropFirst() }
        guard !digits.isEmpty else { return nil }
        var number: Int64 = 0
        for byte in digits {
            guard byte >= 48, byte <= 57 else { return nil }
            let (tens, overflow) = number.multipliedReportingOverflow(by: 10)
            let digit = Int64(byte - 48)
            let (next, more) = negative ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
            guard !overflow, !more else { return nil }
            number = next
        }
        return number
    }

    /// `\x` and hexadecimal digits.
    private static func blob(_ cell: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        guard cell.count >= 2, cell[0] == UInt8(ascii: "\\"), cell[1] == UInt8(ascii: "x") else { return [] }
        func nibble(_ byte: UInt8) -> UInt8 { byte <= 57 ? byte &- 48 : (byte | 0x20) &- 87 }
        return stride(from: 2, to: cell.count - 1, by: 2).map { nibble(cell[$0]) << 4 | nibble(cell[$0 + 1]) }
    }
}

/// Values of a statement's parameters, as libpq takes them.
struct BoundValues {
    private var bytes: [[UInt8]?]
    private var formats: [Int32]
    var count: Int { bytes.count }

    init(count: Int) {
        bytes = Array(repeating: nil, count: count)
        formats = Array(repeating: 0, count: count)
    }

    /// nil: NULL.
    mutating func set(_ value: [UInt8]?, at index: Int, binary: Bool = false) {
        bytes[index] = value
        formats[index] = binary ? 1 : 0
    }

    /// `places`: which value is `$1`, `$2`, ….
    func withPointers<Result>(
        _ places: [Int],
        _ body: (
            Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
        ) -> Result
    ) -> Result {
        if bytes.isEmpty { return body(0, nil, nil, nil) }
        var all: [UInt8] = []
        all.reserveCapacity(bytes.reduce(0) { $0 + ($1?.count ?? 0) + 1 })
        var offsets: [Int?] = []
        for value in bytes {
            offsets.append(value == nil ? nil : all.count)
            guard let value else { continue }
            all += value
            all.append(0)
        }
        let lengths = places.map { Int32(clamping: bytes[$0]?.count ?? 0) }
        let formats = places.map { self.formats[$0] }
        return all.withUnsafeBytes { raw in
            let start = raw.baseAddress?.assumingMemoryBound(to: CChar.self)
            let pointers = places.map { place -> UnsafePointer<CChar>? in offsets[place].flatMap { start?.advanced(by: $0) } }
            return pointers.withUnsafeBufferPointer { pointers in
                lengths.withUnsafeBufferPointer { lengths in
                    formats.withUnsafeBufferPointer { formats in
                        body(Int32(places.count), pointers.baseAddress, lengths.baseAddress, formats.baseAddress)
                    }
                }
            }
        }
    }
}

/// Strings as C takes a list of them: pointers, ended by NULL.
enum CStrings {
    static func with<Result>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result) -> Result {
        var all: [CChar] = []
        var offsets: [Int] = []
        for string in strings {
            offsets.append(all.count)
            all += string.utf8CString
        }
        return all.withUnsafeBufferPointer { bytes in
            var pointers: [UnsafePointer<CChar>?] = offsets.map { offset in bytes.baseAddress?.advanced(by: offset) }
            pointers.append(nil)
            return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
        }
    }
}
