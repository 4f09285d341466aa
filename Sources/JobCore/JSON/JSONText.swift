/// JSON as bytes that are passed on without a tree of values: strings out, values checked.
public enum JSONText {
    /// Which characters of a string become escapes.
    public enum Escapes: Sendable {
        /// What RFC 8259 §7 demands: quote, backslash, U+0000…U+001F.
        case required
        /// Also DEL, U+0080…U+009F, and the line ends U+2028 and U+2029: the text can neither
        /// begin a line of its own nor steer a terminal.
        case controls
    }

    /// What a checked text holds.
    public enum Kind: Sendable { case object, other }

    /// Appends a JSON string with its quotes.
    public static func append(_ text: String, to out: inout [UInt8], escaping escapes: Escapes = .required) {
        var text = text
        text.withUTF8 { append(wellFormed: $0, to: &out, escapes) }
    }

    /// The same of bytes that are meant as UTF-8; what is not becomes U+FFFD.
    public static func append(_ bytes: [UInt8], to out: inout [UInt8], escaping escapes: Escapes = .required) {
        // Well-formed text stays as it is; decoding repairs the rest.
        if String(validating: bytes, as: UTF8.self) != nil {
            bytes.withUnsafeBufferPointer { append(wellFormed: $0, to: &out, escapes) }
        } else {
            append(String(decoding: bytes, as: UTF8.self), to: &out, escaping: escapes)
        }
    }

    private static func append(wellFormed text: UnsafeBufferPointer<UInt8>, to out: inout [UInt8], _ escapes: Escapes) {
        out.append(UInt8(ascii: "\""))
        var kept = 0
        var at = 0
        while at < text.count {
            let byte = text[at]
            if byte >= 0x20, byte < 0x7F, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                at += 1
                continue
            }
            guard let (code, length) = escaped(text, at, escapes) else {
                at += 1
                continue
            }
            out.append(contentsOf: UnsafeBufferPointer(rebasing: text[kept..<at]))
            append(escapeOf: code, to: &out)
            at += length
            kept = at
        }
        out.append(contentsOf: UnsafeBufferPointer(rebasing: text[kept...]))
        out.append(UInt8(ascii: "\""))
    }

    /// The character at `at` and its bytes, if it must become an escape.
    private static func escaped(
        _ text: UnsafeBufferPointer<UInt8>, _ at: Int, _ escapes: Escapes
    ) -> (code: UInt16, length: Int)? {
        let byte = text[at]
        if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { return (UInt16(byte), 1) }
        guard escapes == .controls else { return nil }
        if byte == 0x7F { return (0x7F, 1) }
        if byte == 0xC2, at + 1 < text.count, text[at + 1] < 0xA0 { return (UInt16(text[at + 1]), 2) }
        if byte == 0xE2, at + 2 < text.count, text[at + 1] == 0x80, text[at + 2] == 0xA8 || text[at + 2] == 0xA9 {
            return (text[at + 2] == 0xA8 ? 0x2028 : 0x2029, 3)
        }
        return nil
    }

    private static func append(escapeOf code: UInt16, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\\"))
        switch code {
        case 0x22, 0x5C: out.append(UInt8(code))
        case 0x0A: out.append(UInt8(ascii: "n"))
        case 0x0D: out.append(UInt8(ascii: "r"))
        case 0x09: out.append(UInt8(ascii: "t"))
        default:
            out.append(UInt8(ascii: "u"))
            for shift in [12, 8, 4, 0] {
                let digit = UInt8(code >> UInt16(shift) & 15)
                out.append(digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10))
            }
        }
    }

    /// Checks bytes for being one JSON value in UTF-8, nested no deeper than `depth`; nil: they
    /// are not. Builds nothing. Repeated names and half surrogate pairs pass.
    public static func kind(of bytes: UnsafeRawBufferPointer, depth: Int = 128) -> Kind? {
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        return bytes.withMemoryRebound(to: UInt8.self) { bytes in
            var scanner = JSONScanner(bytes: bytes, depth: depth)
            scanner.skipSpace()
            let kind: Kind = scanner.next == UInt8(ascii: "{") ? .object : .other
            do {
                try scanner.skipValue(depth: 0)
                try scanner.end()
            } catch { return nil }
            return kind
        }
    }

    /// The object without white space between its parts; nil when the bytes are not exactly one
    /// JSON object in UTF-8, nested no deeper than 32.
    public static func compactObject(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.withUnsafeBytes({ kind(of: $0, depth: 32) }) == .object else { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var isInString = false
        var isEscaped = false
        for byte in bytes {
            // In valid JSON, white space outside of strings is only ever between parts.
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
