/// Why a text is not JSON that we take, and where.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Bytes before the fault.
    public let offset: Int
    public let message: String
    public var description: String { "not valid JSON at byte \(offset + 1): \(message)" }
}

extension JSON {
    /// Bounds of what is parsed. Past them the text is refused, never cut.
    public struct Limits: Sendable {
        /// For a text whose length something else has bounded (an answer over HTTP, a state): any
        /// length, 128 deep, U+0000 taken.
        public static let wide = Limits(bytes: .max, depth: 128, allowsNUL: true)

        /// Longest text in bytes. Default 1 MiB, a frame on the wire.
        public let bytes: Int
        /// Deepest array or object; 1 is the outermost. Default 64.
        public let depth: Int
        /// true: the last of several members of one name counts. Default: refused.
        public let allowsDuplicateKeys: Bool
        /// true: strings may contain U+0000, which the ledger's texts cannot. Default: refused.
        public let allowsNUL: Bool
        public init(bytes: Int = 1 << 20, depth: Int = 64, allowsDuplicateKeys: Bool = false, allowsNUL: Bool = false) {
            self.bytes = bytes
            self.depth = depth
            self.allowsDuplicateKeys = allowsDuplicateKeys
            self.allowsNUL = allowsNUL
        }
    }

    /// Parses exactly one value (RFC 8259). Refused besides what the RFC refuses: U+0000 in
    /// strings, half surrogate pairs, UTF-8 that is not valid, repeated names.
    /// - Throws: `JSONError` with the place and what was found there.
    public init(parsing bytes: [UInt8], limits: Limits = Limits()) throws(JSONError) {
        guard bytes.count <= limits.bytes else {
            throw JSONError(offset: limits.bytes, message: "the text has \(bytes.count) bytes, allowed are \(limits.bytes)")
        }
        self = try bytes.withUnsafeBufferPointer { (bytes) throws(JSONError) in
            var scanner = JSONScanner(bytes: bytes, depth: limits.depth)
            let value = try JSONParser(limits: limits).value(&scanner, depth: 0)
            try scanner.end()
            return value
        }
    }

    public init(parsing text: String, limits: Limits = Limits()) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }
}

/// Makes values of what the scanner finds.
private struct JSONParser {
    let limits: JSON.Limits

    func value(_ scanner: inout JSONScanner, depth: Int) throws(JSONError) -> JSON {
        scanner.skipSpace()
        switch scanner.next {
        case UInt8(ascii: "{"): return .object(try object(&scanner, depth: depth))
        case UInt8(ascii: "["):
            var elements: [JSON] = []
            try scanner.elements(depth: depth) { (scanner) throws(JSONError) in
                elements.append(try value(&scanner, depth: depth + 1))
            }
            return .array(elements)
        case UInt8(ascii: "\""):
            let quoted = try scanner.string()
            return .string(try text(quoted, scanner.bytes))
        case UInt8(ascii: "t"):
            try scanner.word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try scanner.word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try scanner.word("null")
            return .null
        default:
            let literal = try scanner.number()
            return .number(String(decoding: scanner.bytes[literal], as: UTF8.self))
        }
    }

    private func object(_ scanner: inout JSONScanner, depth: Int) throws(JSONError) -> JSONObject {
        var object = JSONObject()
        try scanner.members(depth: depth) { (scanner, quoted) throws(JSONError) in
            let name = try text(quoted, scanner.bytes)
            let isNew = object.set(name, try value(&scanner, depth: depth + 1))
            guard isNew || limits.allowsDuplicateKeys else {
                throw JSONError(offset: quoted.start - 1, message: "the member \"\(name.prefix(60))\" is there twice")
            }
        }
        return object
    }

    private func text(_ quoted: JSONScanner.Quoted, _ bytes: UnsafeBufferPointer<UInt8>) throws(JSONError) -> String {
        // Most strings have no escapes: one copy, one validation.
        let text =
            quoted.hasEscapes
            ? String(validating: try unescaped(quoted, bytes), as: UTF8.self)
            : String(validating: bytes[quoted.start..<quoted.end], as: UTF8.self)
        guard let text else { throw JSONError(offset: quoted.start, message: "a string is not valid UTF-8") }
        return text
    }

    /// The scanner has seen that the escapes are complete.
    private func unescaped(_ quoted: JSONScanner.Quoted, _ bytes: UnsafeBufferPointer<UInt8>) throws(JSONError) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(quoted.end - quoted.start)
        var at = quoted.start
        while at < quoted.end {
            guard bytes[at] == UInt8(ascii: "\\") else {
                out.append(bytes[at])
                at += 1
                continue
            }
            switch bytes[at + 1] {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                let (scalar, length) = try scalar(at, bytes)
                out.append(contentsOf: String(Character(scalar)).utf8)
                at += length
                continue
            case let itself: out.append(itself)
            }
            at += 2
        }
        return out
    }

    /// The character of the escape at `at`, or of the two escapes of a surrogate pair.
    private func scalar(_ at: Int, _ bytes: UnsafeBufferPointer<UInt8>) throws(JSONError) -> (Unicode.Scalar, length: Int) {
        func unit(_ at: Int) -> UInt16 {
            bytes[at + 2..<at + 6].reduce(0) { $0 << 4 | (JSONScanner.hexValue($1) ?? 0) }
        }
        let first = unit(at)
        var code = UInt32(first)
        var length = 6
        // A string ends with a quote, so that looking one byte on is always allowed.
        if (0xD800...0xDBFF).contains(first), bytes[at + 6] == UInt8(ascii: "\\"), bytes[at + 7] == UInt8(ascii: "u") {
            let second = unit(at + 6)
            if (0xDC00...0xDFFF).contains(second) {
                code = 0x10000 + ((UInt32(first) - 0xD800) << 10) + (UInt32(second) - 0xDC00)
                length = 12
            }
        }
        guard code != 0 || limits.allowsNUL else { throw JSONError(offset: at, message: "a string may not contain U+0000") }
        guard let scalar = Unicode.Scalar(code) else { throw JSONError(offset: at, message: "half of a surrogate pair") }
        return (scalar, length)
    }
}
