import JobJSON

/// What a text holds that passes through unread.
package enum JSONKind: Sendable { case object, other }

/// JSON that the host and its workers pass on without a tree of values. Not in JobJSON, because
/// no plugin needs it.
extension JSONText {
    /// Appends a JSON string, with its quotes, of bytes that are meant as UTF-8; what is not becomes U+FFFD.
    package static func append(_ bytes: [UInt8], to out: inout [UInt8], escaping escapes: Escapes = .required) {
        // Well-formed text stays as it is; decoding repairs the rest.
        if String(validating: bytes, as: UTF8.self) != nil {
            bytes.withUnsafeBufferPointer { append(wellFormed: $0, to: &out, escapes) }
        } else {
            append(String(decoding: bytes, as: UTF8.self), to: &out, escaping: escapes)
        }
    }

    /// Checks bytes for being one JSON value in UTF-8, nested no deeper than `depth`; nil: they
    /// are not. Builds nothing. Repeated names and half surrogate pairs pass.
    package static func kind(of bytes: UnsafeRawBufferPointer, depth: Int = 128) -> JSONKind? {
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        return bytes.withMemoryRebound(to: UInt8.self) { bytes in
            var scanner = JSONScanner(bytes: bytes, depth: depth)
            scanner.skipSpace()
            let kind: JSONKind = scanner.next == UInt8(ascii: "{") ? .object : .other
            do {
                try scanner.skipValue(depth: 0)
                try scanner.end()
            } catch { return nil }
            return kind
        }
    }

    /// The object without white space between its parts; nil when the bytes are not exactly one
    /// JSON object in UTF-8, nested no deeper than 32.
    package static func compactObject(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.withUnsafeBytes({ kind(of: $0, depth: 32) }) == .object else { return nil }
        return withoutSpace(bytes)
    }

    /// The value without white space between its parts, on one line; nil when the bytes are not JSON.
    package static func compact(_ bytes: [UInt8]) -> [UInt8]? {
        bytes.withUnsafeBytes { kind(of: $0) } == nil ? nil : withoutSpace(bytes)
    }

    /// Of valid JSON, where white space outside of strings is only ever between parts.
    private static func withoutSpace(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var isInString = false
        var isEscaped = false
        for byte in bytes {
            if !isInString, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { continue }
            out.append(byte)
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString.toggle()
            }
        }
        return out
    }
}

extension JSONScanner {
    /// One value of any kind. `depth` is that of what holds it, 0 outside of everything.
    mutating func skipValue(depth: Int) throws(JSONError) {
        skipSpace()
        switch next {
        case UInt8(ascii: "{"):
            try members(depth: depth) { (scanner, _) throws(JSONError) in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["):
            try elements(depth: depth) { (scanner) throws(JSONError) in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: _ = try number()
        }
    }
}
