/// The exact value of a JSON number, for comparing. Two texts of one value are equal:
/// `1`, `1.0`, `10e-1`.
public struct DecimalText: Hashable, Comparable, Sendable {
    private var isNegative: Bool
    /// Without zeros at either end; empty for zero.
    private var digits: [UInt8]
    /// The value is 0.d₁d₂d₃… · 10^point.
    private var point: Int

    /// nil when `literal` is not a number by RFC 8259 §6 (a leading `+` is taken too).
    public init?(_ literal: String) {
        var rest = Substring(literal).utf8[...]
        isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let mantissa = rest.prefix { $0 != UInt8(ascii: "e") && $0 != UInt8(ascii: "E") }
        var exponent = 0
        if mantissa.endIndex != rest.endIndex {
            guard let parsed = DecimalText.exponent(rest[mantissa.endIndex...].dropFirst()) else { return nil }
            exponent = parsed
        }
        let whole = mantissa.prefix { $0 != UInt8(ascii: ".") }
        let fraction = mantissa.dropFirst(whole.count + 1)
        guard !whole.isEmpty, whole.count == mantissa.count || !fraction.isEmpty else { return nil }
        var digits = Array(whole) + Array(fraction)
        guard digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(leadingZeros)
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        self.digits = digits
        point = digits.isEmpty ? 0 : whole.count - leadingZeros + exponent
        if digits.isEmpty { isNegative = false }
    }

    /// Saturates at ±10¹⁵: past that, texts of our size no longer differ by their digits' count.
    private static func exponent(_ text: Substring.UTF8View.SubSequence) -> Int? {
        var rest = text
        let isNegative = rest.first == UInt8(ascii: "-")
        if isNegative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        guard !rest.isEmpty else { return nil }
        var value = 0
        for byte in rest {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = min(value * 10 + Int(byte - UInt8(ascii: "0")), 1_000_000_000_000_000)
        }
        return isNegative ? -value : value
    }

    /// No digit other than 0 stands after the point: `5`, `5.0` and `5e3`, not `5.5`.
    public var isInteger: Bool { digits.count <= max(point, 0) }

    public static func < (a: DecimalText, b: DecimalText) -> Bool {
        if a.isNegative != b.isNegative { return a.isNegative }
        return a.isNegative ? magnitude(b, isLessThan: a) : magnitude(a, isLessThan: b)
    }

    private static func magnitude(_ a: DecimalText, isLessThan b: DecimalText) -> Bool {
        if a.digits.isEmpty || b.digits.isEmpty { return a.digits.isEmpty && !b.digits.isEmpty }
        if a.point != b.point { return a.point < b.point }
        return a.digits.lexicographicallyPrecedes(b.digits)
    }
}
