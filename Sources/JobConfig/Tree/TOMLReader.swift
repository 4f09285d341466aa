import CTOML

/// The text of one TOML file → tree. Throws the parser's one error, with its place.
/// `file` is the name that positions carry.
public func parseTOML(_ text: [UInt8], file: String) throws(ConfigError) -> ConfigTable {
    var fault = ctoml_error()
    let document = text.withUnsafeBytes { ctoml_parse($0.baseAddress, $0.count, &fault) }
    guard let document else { throw syntaxError(fault, in: text, file: file) }
    defer { ctoml_free(document) }
    var count = 0
    let nodes = UnsafeBufferPointer(start: ctoml_nodes(document, &count), count: count)
    let reader = TreeReader(nodes: nodes, file: file)
    return try reader.table(at: 0)
}

private func syntaxError(_ fault: ctoml_error, in text: [UInt8], file: String) -> ConfigError {
    let message = withUnsafeBytes(of: fault.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let position = fault.line == 0 ? SourcePosition(file: file, line: 1, column: 1)
        : SourcePosition(file: file, line: Int(fault.line), column: Int(fault.column))
    if message.contains("string:"), isUnclosed(message, at: position, in: text) {
        return ConfigError(
            position: position, message: "not valid TOML: a string is not closed",
            hint: "it ends with the quote that it begins with, on the same line unless that quote is tripled")
    }
    return ConfigError(position: position, message: "not valid TOML: " + printable(message))
}

/// The parser complains of the line feed as of any other control character in a string.
private func isUnclosed(_ message: String, at position: SourcePosition, in text: [UInt8]) -> Bool {
    if message.contains("end-of-file") { return true }
    guard message.contains("control characters") else { return false }
    let lines = text.split(separator: UInt8(ascii: "\n"), maxSplits: position.line, omittingEmptySubsequences: false)
    guard lines.indices.contains(position.line - 1) else { return false }
    let line = String(decoding: lines[position.line - 1], as: UTF8.self).unicodeScalars
    return position.column > line.count || (position.column == line.count && line.last == "\r")
}

private struct TreeReader {
    let nodes: UnsafeBufferPointer<ctoml_node>
    let file: String

    private func place(_ line: UInt32, _ column: UInt32) -> SourcePosition {
        // The root table of an empty file has no place of its own.
        SourcePosition(file: file, line: Int(max(line, 1)), column: Int(max(column, 1)))
    }

    private func string(_ start: UnsafePointer<CChar>?, _ count: Int) -> String {
        guard let start else { return "" }
        return String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }

    /// Indices of the children of the node at `index`.
    private func children(of index: Int) -> [Int] {
        var out: [Int] = []
        var child = index + 1
        let end = index + Int(nodes[index].size)
        while child < end {
            out.append(child)
            child += Int(nodes[child].size)
        }
        return out
    }

    func table(at index: Int) throws(ConfigError) -> ConfigTable {
        var table = ConfigTable(position: place(nodes[index].line, nodes[index].column))
        for child in children(of: index) {
            let node = nodes[child]
            let key = string(node.key, node.key_length)
            let keyPosition = place(node.key_line, node.key_column)
            // Swift compares by canonical equivalence, TOML by code points.
            if let other = table.entries[key] {
                throw ConfigError(position: keyPosition, message: "the key '\(key)' is the same text as the one at \(other.keyPosition), composed differently")
            }
            if key.utf8.contains(0) { throw ConfigError(position: keyPosition, message: "a key may not contain U+0000") }
            table.entries[key] = .init(keyPosition: keyPosition, value: try value(at: child))
        }
        return table
    }

    private func value(at index: Int) throws(ConfigError) -> ConfigValue {
        let node = nodes[index]
        let position = place(node.line, node.column)
        return ConfigValue(try content(at: index, node, position), at: position)
    }

    private func content(at index: Int, _ node: ctoml_node, _ position: SourcePosition) throws(ConfigError) -> ConfigValue.Content {
        switch node.kind {
        case CTOML_TABLE: return .table(try table(at: index))
        case CTOML_ARRAY:
            var elements: [ConfigValue] = []
            for child in children(of: index) { elements.append(try value(at: child)) }
            return .array(elements)
        case CTOML_STRING:
            let text = string(node.text, node.text_length)
            if text.utf8.contains(0) { throw ConfigError(position: position, message: "a string may not contain U+0000") }
            return .string(text)
        case CTOML_INTEGER: return .integer(node.integer)
        case CTOML_FLOAT: return .float(floatLiteral(string(node.text, node.text_length)))
        case CTOML_BOOLEAN: return .boolean(node.integer != 0)
        case CTOML_DATE: return .date(ConfigDate(kind: .localDate, text: dateText(node)))
        case CTOML_TIME: return .date(ConfigDate(kind: .localTime, text: timeText(node)))
        default:
            let text = dateText(node) + "T" + timeText(node)
            guard node.has_offset != 0 else { return .date(ConfigDate(kind: .localDateTime, text: text)) }
            return .date(ConfigDate(kind: .instant, text: text + offsetText(Int(node.offset_minutes))))
        }
    }

    /// TOML's float is JSON's number but for `_` between digits, a leading `+` and the words.
    private func floatLiteral(_ text: String) -> String {
        var out = text.filter { $0 != "_" }
        if out.hasPrefix("+") { out.removeFirst() }
        return out == "-nan" ? "nan" : out
    }

    private func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    private func dateText(_ node: ctoml_node) -> String {
        padded(Int(node.year), 4) + "-" + padded(Int(node.month), 2) + "-" + padded(Int(node.day), 2)
    }

    private func timeText(_ node: ctoml_node) -> String {
        let whole = padded(Int(node.hour), 2) + ":" + padded(Int(node.minute), 2) + ":" + padded(Int(node.second), 2)
        guard node.nanosecond > 0 else { return whole }
        var fraction = padded(Int(node.nanosecond), 9)
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return whole + "." + fraction
    }

    private func offsetText(_ minutes: Int) -> String {
        if minutes == 0 { return "Z" }
        let size = abs(minutes)
        return (minutes < 0 ? "-" : "+") + padded(size / 60, 2) + ":" + padded(size % 60, 2)
    }
}
