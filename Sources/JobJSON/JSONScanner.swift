/// The grammar of RFC 8259 over bytes, once for all that reads JSON here. Builds nothing: what
/// to make of the parts is the caller's.
///
/// Each function begins at the first byte of its part and ends behind the last one.
package struct JSONScanner {
    /// A string: what stands between its quotes, well-formed but for the escapes' meaning and
    /// the UTF-8.
    package struct Quoted {
        let start: Int
        let end: Int
        let hasEscapes: Bool
    }

    let bytes: UnsafeBufferPointer<UInt8>
    /// Deepest array or object; 1 is the outermost.
    let depth: Int
    package private(set) var at = 0

    package init(bytes: UnsafeBufferPointer<UInt8>, depth: Int) {
        self.bytes = bytes
        self.depth = depth
    }

    package var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    func fault(_ message: String) -> JSONError { JSONError(offset: at, message: message + ", found " + found) }

    private var found: String {
        guard let byte = next else { return "the end of the text" }
        return (0x21...0x7E).contains(byte) ? "'\(Character(UnicodeScalar(byte)))'" : "byte 0x" + String(byte, radix: 16)
    }

    package mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        at += 1
        return true
    }

    /// After the value, nothing may follow.
    package mutating func end() throws(JSONError) {
        skipSpace()
        guard at == bytes.count else { throw fault("expected the end of the text") }
    }

    package mutating func word(_ text: StaticString) throws(JSONError) {
        let length = text.utf8CodeUnitCount
        guard at + length <= bytes.count else { throw fault("expected '\(text)'") }
        for index in 0..<length where bytes[at + index] != text.utf8Start[index] { throw fault("expected '\(text)'") }
        at += length
    }

    private mutating func enter(depth: Int) throws(JSONError) {
        guard depth < self.depth else { throw JSONError(offset: at, message: "nested deeper than \(self.depth)") }
        at += 1
        skipSpace()
    }

    /// An array; `element` takes one value.
    package mutating func elements(depth: Int, _ element: (inout JSONScanner) throws(JSONError) -> Void) throws(JSONError) {
        try enter(depth: depth)
        if take("]") { return }
        while true {
            try element(&self)
            skipSpace()
            if take("]") { return }
            guard take(",") else { throw fault("expected ',' or ']'") }
        }
    }

    /// An object; `member` takes one value, with its name given.
    package mutating func members(depth: Int, _ member: (inout JSONScanner, Quoted) throws(JSONError) -> Void) throws(JSONError) {
        try enter(depth: depth)
        if take("}") { return }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw fault("expected a member's name in quotes") }
            let name = try string()
            skipSpace()
            guard take(":") else { throw fault("expected ':'") }
            try member(&self, name)
            skipSpace()
            if take("}") { return }
            guard take(",") else { throw fault("expected ',' or '}'") }
        }
    }

    private mutating func digits() -> Int {
        let start = at
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { at += 1 }
        return at - start
    }

    package mutating func number() throws(JSONError) -> Range<Int> {
        let start = at
        guard take("-") || next.map({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) == true else {
            throw fault("expected a value")
        }
        let leadingZero = next == UInt8(ascii: "0")
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
        return start..<at
    }

    package mutating func string() throws(JSONError) -> Quoted {
        at += 1
        let start = at
        var hasEscapes = false
        while let byte = next {
            if byte == UInt8(ascii: "\"") {
                at += 1
                return Quoted(start: start, end: at - 1, hasEscapes: hasEscapes)
            }
            if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                at += 1
                try escape()
            } else if byte < 0x20 {
                throw fault("a control character must be escaped")
            } else {
                at += 1
            }
        }
        throw fault("expected '\"' at the end of a string")
    }

    private mutating func escape() throws(JSONError) {
        guard let byte = next else { throw fault("expected an escape") }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            at += 1
        case UInt8(ascii: "u"):
            at += 1
            for _ in 0..<4 {
                guard let digit = next, JSONScanner.hexValue(digit) != nil else {
                    throw fault("expected four hexadecimal digits")
                }
                at += 1
            }
        default: throw fault("expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
    }

    static func hexValue(_ byte: UInt8) -> UInt16? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }
}
