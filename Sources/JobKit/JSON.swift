/// A JSON value. Numbers keep their text, so that a decimal amount never passes through
/// binary floating point; objects keep their order.
public indirect enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    /// A number's literal, as RFC 8259 writes it.
    case number(String)
    case string(String)
    case array([JSON])
    case object(JSONObject)

    /// `null` for what JSON cannot say: NaN and infinities.
    public init(_ value: Double) {
        guard value.isFinite else {
            self = .null
            return
        }
        let text = value.description
        self = .number(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }

    /// - Throws: `JSONError` with the place.
    public init(parsing bytes: [UInt8]) throws {
        self = try bytes.withUnsafeBufferPointer { buffer in
            var parser = JSONParser(bytes: buffer)
            return try parser.document()
        }
    }
    public init(parsing text: String) throws { try self.init(parsing: Array(text.utf8)) }
    public init(encoding value: some Encodable) throws { self = try ValueEncoder.encode(value) }

    public func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T {
        try ValueDecoder(value: self, codingPath: []).unwrap(type)
    }

    /// Compact, UTF-8.
    public var utf8: [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        return out
    }
    public var text: String { String(decoding: utf8, as: UTF8.self) }

    public var objectValue: JSONObject? {
        if case .object(let object) = self { object } else { nil }
    }

    /// What it is, for messages.
    var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    private func write(to out: inout [UInt8]) {
        switch self {
        case .null: out += "null".utf8
        case .bool(let flag): out += (flag ? "true" : "false").utf8
        case .number(let text): out += text.utf8
        case .string(let text): JSON.quote(text, to: &out)
        case .array(let elements):
            out.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                element.write(to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object(let object):
            out.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { out.append(UInt8(ascii: ",")) }
                JSON.quote(member.key, to: &out)
                out.append(UInt8(ascii: ":"))
                member.value.write(to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    private static func quote(_ text: String, to out: inout [UInt8]) {
        let hex = Array("0123456789abcdef".utf8)
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): out += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\\"): out += [byte, byte]
            case 0x0A: out += "\\n".utf8
            case 0x0D: out += "\\r".utf8
            case 0x09: out += "\\t".utf8
            case 0 ..< 0x20: out += "\\u00".utf8 + [hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}

/// Members in the order they were written; keys are unique.
public struct JSONObject: Hashable, Sendable {
    public struct Member: Hashable, Sendable {
        public var key: String
        public var value: JSON
    }
    public private(set) var members: [Member] = []
    private var places: [String: Int] = [:]

    public init() {}
    public init(_ members: [(String, JSON)]) {
        for (key, value) in members { self[key] = value }
    }
    public var keys: [String] { members.map(\.key) }
    public subscript(key: String) -> JSON? {
        get { places[key].map { members[$0].value } }
        set {
            if let newValue {
                if let place = places[key] {
                    members[place].value = newValue
                } else {
                    places[key] = members.count
                    members.append(Member(key: key, value: newValue))
                }
            } else if let place = places.removeValue(forKey: key) {
                members.remove(at: place)
                for (key, other) in places where other > place { places[key] = other - 1 }
            }
        }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .number(String(value)) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    public var offset: Int
    public var message: String
    public var description: String { "not JSON: \(message) at byte \(offset)" }
}

/// RFC 8259, strictly: one value, valid UTF-8, no duplicate keys, at most 128 levels deep.
struct JSONParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var offset = 0
    private var depth = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func document() throws -> JSON {
        let value = try value()
        skipSpace()
        guard offset == bytes.count else { throw error("something follows the value") }
        return value
    }

    private func error(_ message: String) -> JSONError { JSONError(offset: offset, message: message) }
    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
    }
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private mutating func value() throws -> JSON {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try nested { try $0.object() }
        case UInt8(ascii: "["): return try nested { try $0.array() }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw error("a value is missing")
        case let byte? where byte == UInt8(ascii: "-") || isDigit(byte): return try number()
        default: throw error("a value was expected")
        }
    }

    private mutating func nested(_ body: (inout JSONParser) throws -> JSON) throws -> JSON {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 128 else { throw error("nested too deep") }
        offset += 1
        return try body(&self)
    }

    private mutating func word(_ text: StaticString, _ value: JSON) throws -> JSON {
        let end = offset + text.utf8CodeUnitCount
        guard end <= bytes.count else { throw error("a value was expected") }
        for index in 0 ..< text.utf8CodeUnitCount where bytes[offset + index] != text.utf8Start[index] {
            throw error("a value was expected")
        }
        offset = end
        return value
    }

    private mutating func array() throws -> JSON {
        var elements: [JSON] = []
        skipSpace()
        if take("]") { return .array(elements) }
        while true {
            elements.append(try value())
            skipSpace()
            if take("]") { return .array(elements) }
            guard take(",") else { throw error("',' or ']' was expected") }
        }
    }

    private mutating func object() throws -> JSON {
        var object = JSONObject()
        skipSpace()
        if take("}") { return .object(object) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error("a key was expected") }
            let start = offset
            let key = try string()
            guard object[key] == nil else {
                throw JSONError(offset: start, message: "the key '\(key)' comes twice")
            }
            skipSpace()
            guard take(":") else { throw error("':' was expected") }
            object[key] = try value()
            skipSpace()
            if take("}") { return .object(object) }
            guard take(",") else { throw error("',' or '}' was expected") }
        }
    }

    private mutating func digits() throws {
        let start = offset
        while let byte = next, isDigit(byte) { offset += 1 }
        guard offset > start else { throw error("a digit was expected") }
    }

    private mutating func number() throws -> JSON {
        let start = offset
        _ = take("-")
        if take("0") {
            if let byte = next, isDigit(byte) { throw error("a number with a leading zero") }
        } else {
            try digits()
        }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("-") { _ = take("+") }
            try digits()
        }
        return .number(String(decoding: bytes[start ..< offset], as: UTF8.self))
    }

    private mutating func string() throws -> String {
        offset += 1
        let start = offset
        // Most strings have no escapes: one copy, one validation.
        while let byte = next, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { offset += 1 }
        var text: [UInt8] = []
        var piece = start
        while true {
            guard let byte = next else { throw error("the string does not end") }
            if byte == UInt8(ascii: "\"") { break }
            guard byte >= 0x20 else { throw error("a control character in a string") }
            offset += 1
            guard byte == UInt8(ascii: "\\") else { continue }
            text += bytes[piece ..< offset - 1]
            try escape(into: &text)
            piece = offset
        }
        text += bytes[piece ..< offset]
        guard let string = String(validating: text, as: UTF8.self) else { throw error("invalid UTF-8 in a string") }
        offset += 1
        return string
    }

    private mutating func escape(into text: inout [UInt8]) throws {
        guard let byte = next else { throw error("the string does not end") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text += try scalar().utf8
        default: throw error("an unknown escape")
        }
    }

    private mutating func scalar() throws -> String {
        let high = try hexUnit()
        if let scalar = Unicode.Scalar(high) { return String(Character(scalar)) }
        guard (0xD800 ..< 0xDC00).contains(high), take("\\"), take("u") else { throw error("half a surrogate pair") }
        let low = try hexUnit()
        guard (0xDC00 ..< 0xE000).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
        else { throw error("half a surrogate pair") }
        return String(Character(scalar))
    }

    private mutating func hexUnit() throws -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0 ..< 4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("four hexadecimal digits were expected")
            }
            unit = unit << 4 | UInt32(digit)
            offset += 1
        }
        return unit
    }
}
