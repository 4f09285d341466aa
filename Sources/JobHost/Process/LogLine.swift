import JobCore

/// One line of a run's log, and its JSON form: one object on one line,
/// `{"t":µs since the epoch,"level":…,"stream":…,"text":…,"fields":{…}}`, `fields` only when
/// there are some.
public struct LogLine: Sendable {
    public enum Stream: String, Sendable {
        case stdout, stderr
        /// Written by the plugin through its context.
        case log
        /// Written by the host.
        case host
    }
    public var at: Instant
    public var level: LogLevel
    public var stream: Stream
    /// Meant as UTF-8; what is not becomes U+FFFD.
    public var text: [UInt8]
    /// JSON object; empty: none. What is no object is kept as a string under "invalid".
    public var fields: Bytes

    public init(at: Instant, level: LogLevel, stream: Stream, text: [UInt8], fields: Bytes = []) {
        self.at = at
        self.level = level
        self.stream = stream
        self.text = text
        self.fields = fields
    }
    public init(at: Instant, level: LogLevel, stream: Stream, text: String, fields: Bytes = []) {
        self.init(at: at, level: level, stream: stream, text: Array(text.utf8), fields: fields)
    }

    /// With the line end.
    func json() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(text.count + fields.count + 80)
        out += #"{"t":"#.utf8
        out += String(at.microseconds).utf8
        out += #","level":"#.utf8
        JSONText.append(Array(level.name.utf8), to: &out)
        out += #","stream":"#.utf8
        JSONText.append(Array(stream.rawValue.utf8), to: &out)
        out += #","text":"#.utf8
        JSONText.append(text, to: &out)
        if !fields.isEmpty {
            out += #","fields":"#.utf8
            if let object = JSONText.compactObject(fields) {
                out += object
            } else {
                out += #"{"invalid":"#.utf8
                JSONText.append(fields, to: &out)
                out.append(UInt8(ascii: "}"))
            }
        }
        out += "}\n".utf8
        return out
    }
}

extension LogLevel {
    /// As logs and the API spell it.
    public var name: String {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        case .critical: "critical"
        }
    }
}

/// The little JSON that log lines need: strings out, one object checked.
enum JSONText {
    private static let hex = Array("0123456789abcdef".utf8)

    /// Appends a JSON string with its quotes.
    static func append(_ text: [UInt8], to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        // Well-formed text stays as it is; decoding repairs the rest.
        if String(validating: text, as: UTF8.self) != nil {
            escape(text, to: &out)
        } else {
            escape(Array(String(decoding: text, as: UTF8.self).utf8), to: &out)
        }
        out.append(UInt8(ascii: "\""))
    }

    private static func escape(_ text: [UInt8], to out: inout [UInt8]) {
        text.withUnsafeBufferPointer { text in
            var start = 0
            var index = 0
            while index < text.count {
                let byte = text[index]
                if byte < 0x20 || byte == 0x7f || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                    out.append(contentsOf: text[start..<index])
                    escape(byte, to: &out)
                    start = index + 1
                }
                index += 1
            }
            out.append(contentsOf: text[start...])
        }
    }

    private static func escape(_ byte: UInt8, to out: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            out.append(UInt8(ascii: "\\"))
            out.append(byte)
        case UInt8(ascii: "\n"): out += "\\n".utf8
        case UInt8(ascii: "\t"): out += "\\t".utf8
        default:
            out += "\\u00".utf8
            out.append(hex[Int(byte >> 4)])
            out.append(hex[Int(byte & 15)])
        }
    }

    /// The object without white space between its parts; nil when the bytes are not exactly one
    /// JSON object (RFC 8259) in UTF-8, nested no deeper than 32.
    static func compactObject(_ bytes: [UInt8]) -> [UInt8]? {
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        var parser = JSONCompactor(bytes)
        return parser.object()
    }
}

private struct JSONCompactor {
    private let bytes: [UInt8]
    private var index = 0
    private var out: [UInt8] = []

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func object() -> [UInt8]? {
        skipSpace()
        guard peek == UInt8(ascii: "{"), value(depth: 0) else { return nil }
        skipSpace()
        return index == bytes.count ? out : nil
    }

    private var peek: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = peek, [0x20, 0x09, 0x0a, 0x0d].contains(byte) { index += 1 }
    }

    private mutating func take(_ wanted: Character) -> Bool {
        guard peek == wanted.asciiValue, let byte = peek else { return false }
        out.append(byte)
        index += 1
        return true
    }

    private mutating func value(depth: Int) -> Bool {
        guard depth <= 32 else { return false }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return list(from: "{", to: "}", named: true, depth: depth)
        case UInt8(ascii: "["): return list(from: "[", to: "]", named: false, depth: depth)
        case UInt8(ascii: "\""): return string()
        case UInt8(ascii: "t"): return word("true")
        case UInt8(ascii: "f"): return word("false")
        case UInt8(ascii: "n"): return word("null")
        default: return number()
        }
    }

    private mutating func list(from open: Character, to end: Character, named: Bool, depth: Int) -> Bool {
        guard take(open) else { return false }
        skipSpace()
        if take(end) { return true }
        while true {
            if named {
                skipSpace()
                guard string() else { return false }
                skipSpace()
                guard take(":") else { return false }
            }
            guard value(depth: depth + 1) else { return false }
            skipSpace()
            if take(end) { return true }
            guard take(",") else { return false }
        }
    }

    private mutating func word(_ text: String) -> Bool {
        guard bytes[index...].starts(with: text.utf8) else { return false }
        out += text.utf8
        index += text.utf8.count
        return true
    }

    private mutating func string() -> Bool {
        guard take("\"") else { return false }
        while let byte = peek {
            if byte < 0x20 { return false }
            out.append(byte)
            index += 1
            if byte == UInt8(ascii: "\"") { return true }
            if byte == UInt8(ascii: "\\"), !escape() { return false }
        }
        return false
    }

    private mutating func escape() -> Bool {
        guard let byte = peek else { return false }
        out.append(byte)
        index += 1
        if byte != UInt8(ascii: "u") { return "\"\\/bfnrt".utf8.contains(byte) }
        for _ in 0..<4 {
            guard let digit = peek, Character(UnicodeScalar(digit)).isHexDigit else { return false }
            out.append(digit)
            index += 1
        }
        return true
    }

    private mutating func number() -> Bool {
        _ = take("-")
        if !take("0") { guard digits() else { return false } }
        if take(".") { guard digits() else { return false } }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            guard digits() else { return false }
        }
        return true
    }

    private mutating func digits() -> Bool {
        let start = index
        while let byte = peek, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
            out.append(byte)
            index += 1
        }
        return index > start
    }
}
