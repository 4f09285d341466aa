/// Why a text is not JSON that we take, and where.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Bytes before the fault.
    public var offset: Int
    public var message: String
    public var description: String { "not valid JSON at byte \(offset + 1): \(message)" }
}

extension JSONValue {
    /// Bounds of what is parsed. Past them the text is refused, never cut.
    public struct Limits: Sendable {
        /// Longest text in bytes. Default 1 MiB, a frame on the wire.
        public var bytes: Int
        /// Deepest array or object; 1 is the outermost. Default 64.
        public var depth: Int
        /// true: the last of several members of one name counts. Default: refused.
        public var allowsDuplicateKeys: Bool
        public init(bytes: Int = 1 << 20, depth: Int = 64, allowsDuplicateKeys: Bool = false) {
            self.bytes = bytes
            self.depth = depth
            self.allowsDuplicateKeys = allowsDuplicateKeys
        }
    }

    /// Parses exactly one value (RFC 8259). Refused besides what the RFC refuses: U+0000 in
    /// strings, half surrogate pairs, UTF-8 that is not valid, repeated names.
    public init(parsing bytes: [UInt8], limits: Limits = Limits()) throws(JSONError) {
        guard bytes.count <= limits.bytes else {
            throw JSONError(offset: limits.bytes, message: "the text has \(bytes.count) bytes, allowed are \(limits.bytes)")
        }
        var parser = JSONParser(bytes: bytes, limits: limits)
        self = try parser.document()
    }

    public init(parsing text: String, limits: Limits = Limits()) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }
}

private struct JSONParser {
    let bytes: [UInt8]
    let limits: JSONValue.Limits
    var at = 0

    init(bytes: [UInt8], limits: JSONValue.Limits) {
        self.bytes = bytes
        self.limits = limits
    }

    mutating func document() throws(JSONError) -> JSONValue {
        let value = try value(depth: 0)
        skipSpace()
        guard at == bytes.count else { throw fault("expected the end of the text") }
        return value
    }

    private func fault(_ message: String) -> JSONError {
        JSONError(offset: at, message: message + ", found " + found)
    }

    private var found: String {
        guard at < bytes.count else { return "the end of the text" }
        let byte = bytes[at]
        return (0x21...0x7E).contains(byte) ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x" + String(byte, radix: 16)
    }

    private mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        skipSpace()
        guard at < bytes.count else { throw fault("expected a value") }
        switch bytes[at] {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: throw fault("expected a value")
        }
    }

    private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let length = text.utf8CodeUnitCount
        guard at + length <= bytes.count else { throw fault("expected '\(text)'") }
        for index in 0..<length where bytes[at + index] != text.utf8Start[index] { throw fault("expected '\(text)'") }
        at += length
        return value
    }

    private mutating func enter(depth: Int) throws(JSONError) {
        guard depth <= limits.depth else {
            throw JSONError(offset: at, message: "nested deeper than \(limits.depth)")
        }
        at += 1
    }

    private mutating func array(depth: Int) throws(JSONError) -> JSONValue {
        try enter(depth: depth)
        skipSpace()
        var elements: [JSONValue] = []
        if take("]") { return .array(elements) }
        while true {
            elements.append(try value(depth: depth))
            skipSpace()
            if take("]") { return .array(elements) }
            guard take(",") else { throw fault("expected ',' or ']'") }
        }
    }

    private mutating func object(depth: Int) throws(JSONError) -> JSONValue {
        try enter(depth: depth)
        skipSpace()
        var members: [String: JSONValue] = [:]
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            let start = at
            guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") else { throw fault("expected a member's name in quotes") }
            let name = try string()
            skipSpace()
            guard take(":") else { throw fault("expected ':'") }
            let previous = members.updateValue(try value(depth: depth), forKey: name)
            guard previous == nil || limits.allowsDuplicateKeys else {
                throw JSONError(offset: start, message: "the member \"\(name.prefix(60))\" is there twice")
            }
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw fault("expected ',' or '}'") }
        }
    }

    private mutating func digits() -> Int {
        let start = at
        while at < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[at]) { at += 1 }
        return at - start
    }

    private mutating func number() throws(JSONError) -> String {
        let start = at
        _ = take("-")
        let leadingZero = at < bytes.count && bytes[at] == UInt8(ascii: "0")
        let whole = digits()
        guard whole > 0 else { throw fault("expected a digit") }
        if leadingZero, whole > 1 {
            throw JSONError(offset: start, message: "a number may not begin with 0 before other digits")
        }
        if take(".") {
            guard digits() > 0 else { throw fault("expected a digit after '.'") }
        }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            guard digits() > 0 else { throw fault("expected a digit in the exponent") }
        }
        return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    private mutating func string() throws(JSONError) -> String {
        at += 1
        let start = at
        while at < bytes.count, bytes[at] != UInt8(ascii: "\""), bytes[at] != UInt8(ascii: "\\"), bytes[at] >= 0x20 { at += 1 }
        if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
            let text = try validated(bytes[start..<at], from: start)
            at += 1
            return text
        }
        return try stringWithEscapes(from: start)
    }

    private mutating func stringWithEscapes(from start: Int) throws(JSONError) -> String {
        var out = Array(bytes[start..<at])
        while at < bytes.count {
            let byte = bytes[at]
            if byte == UInt8(ascii: "\"") {
                let text = try validated(out[...], from: start)
                at += 1
                return text
            }
            if byte == UInt8(ascii: "\\") {
                try escape(into: &out)
            } else if byte < 0x20 {
                throw fault("a control character must be escaped")
            } else {
                out.append(byte)
                at += 1
            }
        }
        throw fault("expected '\"' at the end of a string")
    }

    private func validated(_ text: ArraySlice<UInt8>, from start: Int) throws(JSONError) -> String {
        guard let string = String(validating: text, as: UTF8.self) else {
            throw JSONError(offset: start, message: "a string is not valid UTF-8")
        }
        return string
    }

    private mutating func escape(into out: inout [UInt8]) throws(JSONError) {
        at += 1
        guard at < bytes.count else { throw fault("expected an escape") }
        switch bytes[at] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(bytes[at])
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"):
            at += 1
            out.append(contentsOf: String(try unicodeEscape()).utf8)
            return
        default: throw fault("expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
        at += 1
    }

    private mutating func unicodeEscape() throws(JSONError) -> Character {
        let start = at - 2
        let first = try fourHexDigits()
        var code = UInt32(first)
        if (0xD800...0xDBFF).contains(first), at + 1 < bytes.count, bytes[at] == UInt8(ascii: "\\"), bytes[at + 1] == UInt8(ascii: "u") {
            at += 2
            let second = try fourHexDigits()
            if (0xDC00...0xDFFF).contains(second) {
                code = 0x10000 + ((UInt32(first) - 0xD800) << 10) + (UInt32(second) - 0xDC00)
            }
        }
        guard code != 0 else { throw JSONError(offset: start, message: "a string may not contain U+0000") }
        guard let scalar = Unicode.Scalar(code) else {
            throw JSONError(offset: start, message: "half of a surrogate pair")
        }
        return Character(scalar)
    }

    private mutating func fourHexDigits() throws(JSONError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard at < bytes.count, let digit = Character(UnicodeScalar(bytes[at])).hexDigitValue, bytes[at] < 0x80 else {
                throw fault("expected four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            at += 1
        }
        return value
    }
}
