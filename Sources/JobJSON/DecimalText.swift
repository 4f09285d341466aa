/// The exact value of a JSON number, for comparing. Two texts of one value are equal:
/// `1`, `1.0`, `10e-1`.
package struct DecimalText: Hashable, Comparable, Sendable {
    private var isNegative: Bool
    /// Without zeros at either end; empty for zero.
    private var digits: [UInt8]
    /// The value is 0.d₁d₂d₃… · 10^point.
    private var point: Int

    /// nil when `literal` is not a number by RFC 8259 §6 (a leading `+` is taken too).
    package init?(_ literal: String) {
        let text = Array(literal.utf8)
        var at = 0
        isNegative = DecimalText.sign(text, &at)
        digits = DecimalText.digits(text, &at)
        guard !digits.isEmpty else { return nil }
        point = digits.count
        if at < text.count, text[at] == UInt8(ascii: ".") {
            at += 1
            let fraction = DecimalText.digits(text, &at)
            guard !fraction.isEmpty else { return nil }
            digits += fraction
        }
        if at < text.count, text[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            let isBelow = DecimalText.sign(text, &at)
            let power = DecimalText.digits(text, &at)
            guard !power.isEmpty else { return nil }
            // Saturates: past that, texts of our size no longer differ by their digits' count.
            let exponent = power.reduce(0) { min($0 * 10 + Int($1 - UInt8(ascii: "0")), 1_000_000_000_000_000) }
            point += isBelow ? -exponent : exponent
        }
        guard at == text.count else { return nil }
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(zeros)
        point = digits.isEmpty ? 0 : point - zeros
        if digits.isEmpty { isNegative = false }
    }

    /// Whether there is a minus.
    private static func sign(_ text: [UInt8], _ at: inout Int) -> Bool {
        guard at < text.count, text[at] == UInt8(ascii: "-") || text[at] == UInt8(ascii: "+") else { return false }
        at += 1
        return text[at - 1] == UInt8(ascii: "-")
    }

    private static func digits(_ text: [UInt8], _ at: inout Int) -> [UInt8] {
        let start = at
        while at < text.count, text[at] >= UInt8(ascii: "0"), text[at] <= UInt8(ascii: "9") { at += 1 }
        return Array(text[start..<at])
    }

    /// No digit other than 0 stands after the point: `5`, `5.0` and `5e3`, not `5.5`.
    package var isInteger: Bool { digits.count <= max(point, 0) }

    /// The value, exactly; nil: it is no integer, or does not fit.
    package var integer: Int128? {
        // An Int128 has no more digits.
        guard isInteger, point <= 39 else { return nil }
        if digits.isEmpty { return 0 }
        let text = (isNegative ? "-" : "") + String(decoding: digits, as: UTF8.self)
        return Int128(text + String(repeating: "0", count: point - digits.count))
    }

    package static func < (a: DecimalText, b: DecimalText) -> Bool {
        if a.isNegative != b.isNegative { return a.isNegative }
        return a.isNegative ? magnitude(b, isLessThan: a) : magnitude(a, isLessThan: b)
    }

    private static func magnitude(_ a: DecimalText, isLessThan b: DecimalText) -> Bool {
        if a.digits.isEmpty || b.digits.isEmpty { return a.digits.isEmpty && !b.digits.isEmpty }
        if a.point != b.point { return a.point < b.point }
        return a.digits.lexicographicallyPrecedes(b.digits)
    }
}
