// Amounts as text: the only form in which they travel and in which SQLite keeps them.

extension Amount: LosslessStringConvertible {
    /// `[+-]digits[.digits]`; zeros beyond 18 decimals are allowed, they carry nothing.
    public init(parsing text: some StringProtocol) throws(AmountError) {
        var copy = String(text)
        self = try copy.withUTF8 { Self.parsed(UnsafeRawBufferPointer($0)) }.get()
    }

    /// The same from bytes, without a copy: for reading millions of rows.
    static func parsed(_ bytes: UnsafeRawBufferPointer) -> Result<Amount, AmountError> {
        if let amount = short(bytes) { return .success(amount) }
        return Result { () throws(AmountError) in try Amount(long: bytes) }
    }

    public init?(_ description: String) {
        guard let amount = try? Amount(parsing: description) else { return nil }
        self = amount
    }

    /// As almost every price and amount is written: digits and at most one point, 19 characters in all. nil: in
    /// another way, or none at all.
    private static func short(_ bytes: UnsafeRawBufferPointer) -> Amount? {
        // 19 digits fit into 64 bits, and with 18 decimals into 128.
        guard bytes.count <= 19 else { return nil }
        var mantissa: UInt64 = 0
        var point: Int?
        for index in bytes.indices {
            let digit = bytes[index] &- UInt8(ascii: "0")
            if digit <= 9 {
                mantissa = mantissa &* 10 &+ UInt64(digit)
            } else if bytes[index] == UInt8(ascii: "."), point == nil {
                point = index
            } else {
                return nil
            }
        }
        guard bytes.count > (point == nil ? 0 : 1) else { return nil }
        let fraction = point.map { bytes.count - 1 - $0 } ?? 0
        return Amount(units: Int128(mantissa) * powerOfTen(decimals - fraction))
    }

    /// Of any length.
    private init(long bytes: UnsafeRawBufferPointer) throws(AmountError) {
        var index = 0
        var negative = false
        if let first = bytes.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            negative = first == UInt8(ascii: "-")
            index = 1
        }
        // The first 19 digits fit into 64 bits; almost every price and amount ends there.
        var short: UInt64 = 0
        var long: UInt128 = 0
        var digits = 0
        var fraction = 0
        var point = false
        let start = index
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "."), !point {
                point = true
                continue
            }
            let digit = byte &- UInt8(ascii: "0")
            guard digit <= 9 else { throw Self.notADecimal(bytes) }
            if point {
                if fraction == Self.decimals {
                    if digit != 0 { throw try Self.refusal(of: bytes, after: index) }
                    continue
                }
                fraction += 1
            }
            // Leading zeros are no digits.
            if digits == 0 && digit == 0 { continue }
            digits += 1
            if digits <= 19 {
                short = short &* 10 &+ UInt64(digit)
                if digits == 19 { long = UInt128(short) }
            } else {
                if digits > 39 { throw .outOfRange }
                let (tenfold, overflow) = long.multipliedReportingOverflow(by: 10)
                let (sum, carry) = tenfold.addingReportingOverflow(UInt128(digit))
                if overflow || carry { throw .outOfRange }
                long = sum
            }
        }
        guard index > start + (point ? 1 : 0) else { throw Self.notADecimal(bytes) }
        let mantissa = digits > 19 ? long : UInt128(short)
        let (magnitude, overflow) = mantissa.multipliedReportingOverflow(
            by: UInt128(Self.powerOfTen(Self.decimals - fraction)))
        guard !overflow, magnitude <= UInt128(Int128.max) else { throw .outOfRange }
        units = negative ? -Int128(magnitude) : Int128(magnitude)
    }

    /// Too precise, unless the rest is not a number at all.
    private static func refusal(of bytes: UnsafeRawBufferPointer, after index: Int) throws(AmountError) -> AmountError {
        for byte in bytes[index...] where byte &- UInt8(ascii: "0") > 9 { throw notADecimal(bytes) }
        return .tooPrecise
    }

    private static func notADecimal(_ bytes: UnsafeRawBufferPointer) -> AmountError {
        .notADecimal(String(decoding: bytes.prefix(60), as: UTF8.self))
    }

    /// The canonical text: no sign but "-", no leading and no trailing zeros. Equal amounts
    /// have equal text.
    public var description: String { text(minimumDecimals: 0) }

    /// With at least that many digits after the point (0 … 18).
    public func text(minimumDecimals: Int) -> String {
        let (whole, fraction) = units.magnitude.quotientAndRemainder(dividingBy: Self.unitsPerOne.magnitude)
        var tail = Array(String(fraction).utf8)
        tail.insert(contentsOf: repeatElement(UInt8(ascii: "0"), count: Self.decimals - tail.count), at: 0)
        let least = min(max(0, minimumDecimals), Self.decimals)
        while tail.count > least, tail.last == UInt8(ascii: "0") { tail.removeLast() }
        let head = (isNegative ? "-" : "") + String(whole)
        return tail.isEmpty ? head : head + "." + String(decoding: tail, as: UTF8.self)
    }

    /// For people: rounded to `places`, exactly that many, with thousands separated: "28,556.64".
    public func readable(_ places: Int = 2) -> String {
        guard let rounded = try? rounded(to: places, .halfEven) else { return description }
        let parts = rounded.text(minimumDecimals: places).split(separator: ".", maxSplits: 1)
        var digits = Array(parts[0].utf8)
        var position = digits.count - 3
        let first = rounded.isNegative ? 1 : 0
        while position > first {
            digits.insert(UInt8(ascii: ","), at: position)
            position -= 3
        }
        let head = String(decoding: digits, as: UTF8.self)
        guard places > 0, parts.count == 2 else { return head }
        return head + "." + parts[1].prefix(places)
    }
}
