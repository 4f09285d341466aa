/// A column of values as PostgreSQL writes an array: a batch goes to the server as one array for
/// each column, in one statement.
struct PostgresArray {
    private(set) var text = "{"

    init() {}
    init(_ values: some Sequence<Int64>) { for value in values { append(value) } }
    init(_ values: some Sequence<String>) { for value in values { append(value) } }

    mutating func append(_ value: Int64?) {
        separate()
        if let value { text += String(value) } else { text += "NULL" }
    }

    mutating func append(_ value: String?) {
        separate()
        guard let value else {
            text += "NULL"
            return
        }
        text += "\""
        if value.utf8.contains(where: { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) {
            for character in value.unicodeScalars {
                if character == "\"" || character == "\\" { text += "\\" }
                text.unicodeScalars.append(character)
            }
        } else {
            text += value
        }
        text += "\""
    }

    private mutating func separate() { if text.utf8.count > 1 { text += "," } }

    /// For binding: `?::bigint[]` or `?::text[]`.
    var value: String { text + "}" }
}

/// The columns of a batch, by position, for `unnest`.
struct PostgresColumns {
    private var arrays: [PostgresArray]

    init(_ count: Int) { arrays = Array(repeating: PostgresArray(), count: count) }

    subscript(column: Int) -> PostgresArray {
        get { arrays[column] }
        _modify { yield &arrays[column] }
    }
    var values: [String] { arrays.map(\.value) }
}
