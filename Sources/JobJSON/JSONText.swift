/// JSON as bytes, without a tree of values.
package enum JSONText {
    /// Which characters of a string become escapes.
    package enum Escapes: Sendable {
        /// What RFC 8259 §7 demands: quote, backslash, U+0000…U+001F.
        case required
        /// Also DEL, U+0080…U+009F, and the line ends U+2028 and U+2029: the text can neither
        /// begin a line of its own nor steer a terminal.
        case controls
    }

    /// Appends a JSON string with its quotes.
    package static func append(_ text: String, to out: inout [UInt8], escaping escapes: Escapes = .required) {
        var text = text
        text.withUTF8 { append(wellFormed: $0, to: &out, escapes) }
    }

    /// `text` is UTF-8.
    package static func append(wellFormed text: UnsafeBufferPointer<UInt8>, to out: inout [UInt8], _ escapes: Escapes) {
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
            let digits = String(code, radix: 16)
            out.append(contentsOf: (String(repeating: "0", count: 4 - digits.utf8.count) + digits).utf8)
        }
    }
}
