/// Whether bytes are one JSON value (RFC 8259), so that a plugin hears at once of a payload
/// that could never be delivered. Builds nothing; at most 128 levels deep.
struct JSONCheck {
    enum Kind { case object, other }

    /// nil: not JSON.
    static func kind(of bytes: UnsafeRawBufferPointer) -> Kind? {
        guard String(validating: bytes, as: UTF8.self) != nil else { return nil }
        var check = JSONCheck(bytes: bytes)
        check.skipSpace()
        let kind: Kind = check.next == UInt8(ascii: "{") ? .object : .other
        guard check.value(depth: 0) else { return nil }
        check.skipSpace()
        return check.offset == bytes.count ? kind : nil
    }

    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }
    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
    }

    private mutating func value(depth: Int) -> Bool {
        skipSpace()
        guard depth <= 128, let byte = next else { return false }
        switch byte {
        case UInt8(ascii: "{"): return list(until: "}", depth: depth, hasKeys: true)
        case UInt8(ascii: "["): return list(until: "]", depth: depth, hasKeys: false)
        case UInt8(ascii: "\""): return string()
        case UInt8(ascii: "t"): return word("true")
        case UInt8(ascii: "f"): return word("false")
        case UInt8(ascii: "n"): return word("null")
        default: return number()
        }
    }

    private mutating func list(until end: Unicode.Scalar, depth: Int, hasKeys: Bool) -> Bool {
        offset += 1
        skipSpace()
        if take(end) { return true }
        while true {
            if hasKeys {
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

    private mutating func word(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - offset >= count else { return false }
        for index in 0 ..< count where bytes[offset + index] != text.utf8Start[index] { return false }
        offset += count
        return true
    }

    private mutating func digits() -> Bool {
        let start = offset
        while let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { offset += 1 }
        return offset > start
    }

    private mutating func number() -> Bool {
        _ = take("-")
        if !take("0") {
            guard digits() else { return false }
        }
        if take(".") {
            guard digits() else { return false }
        }
        guard take("e") || take("E") else { return true }
        if !take("+") { _ = take("-") }
        return digits()
    }

    private mutating func string() -> Bool {
        guard take("\"") else { return false }
        while let byte = next {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return true
            case 0 ..< 0x20: return false
            case UInt8(ascii: "\\"):
                guard escape() else { return false }
            default: continue
            }
        }
        return false
    }

    private mutating func escape() -> Bool {
        guard let byte = next else { return false }
        offset += 1
        if byte != UInt8(ascii: "u") { return Array("\"\\/bfnrt".utf8).contains(byte) }
        for _ in 0 ..< 4 {
            guard let digit = next, Character(Unicode.Scalar(digit)).isHexDigit else { return false }
            offset += 1
        }
        return true
    }
}
