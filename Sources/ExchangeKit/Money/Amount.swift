/// An exact amount of money or of a good, a price, a rate: a decimal with up to 38 digits, 18
/// of them after the point. Never a binary float, on no way in or out.
///
/// Held as a whole number of 10⁻¹⁸ in 128 bits: ±170,141,183,460,469,231,731 and 18 decimals,
/// so everything a `NUMERIC(38,18)` holds fits. Sums are exact or `AmountError.outOfRange`;
/// products and quotients are computed at 256 bits and rounded once, by a rule the caller
/// names. Nothing here traps.
public struct Amount: Hashable, Comparable, Sendable {
    /// The amount in units of 10⁻¹⁸.
    public var units: Int128

    public init(units: Int128) { self.units = units }
    public init(_ whole: Int32) { units = Int128(whole) * Self.unitsPerOne }

    /// Digits after the point.
    public static let decimals = 18
    public static let unitsPerOne: Int128 = 1_000_000_000_000_000_000
    public static let zero = Amount(units: 0)
    public static let one = Amount(1)
    public static let hundred = Amount(100)

    public var isZero: Bool { units == 0 }
    public var isNegative: Bool { units < 0 }
    public var isPositive: Bool { units > 0 }

    public static func < (a: Amount, b: Amount) -> Bool { a.units < b.units }

    public static func + (a: Amount, b: Amount) throws(AmountError) -> Amount {
        let (sum, overflow) = a.units.addingReportingOverflow(b.units)
        if overflow { throw .outOfRange }
        return Amount(units: sum)
    }
    public static func - (a: Amount, b: Amount) throws(AmountError) -> Amount {
        let (difference, overflow) = a.units.subtractingReportingOverflow(b.units)
        if overflow { throw .outOfRange }
        return Amount(units: difference)
    }
    public static prefix func - (a: Amount) throws(AmountError) -> Amount { try .zero - a }

    public var magnitude: Amount {
        get throws(AmountError) { isNegative ? try -self : self }
    }

    /// The product, rounded to 18 decimals.
    public func times(_ other: Amount, _ rounding: Rounding) throws(AmountError) -> Amount {
        let negative = isNegative != other.isNegative
        let product = units.magnitude.multipliedFullWidth(by: other.units.magnitude)
        return try Self.quotient(
            (product.high, product.low), Self.unitsPerOne.magnitude, negative: negative, rounding)
    }

    /// The quotient, rounded to 18 decimals.
    public func over(_ divisor: Amount, _ rounding: Rounding) throws(AmountError) -> Amount {
        if divisor.isZero { throw .dividedByZero }
        let negative = isNegative != divisor.isNegative
        let scaled = units.magnitude.multipliedFullWidth(by: Self.unitsPerOne.magnitude)
        return try Self.quotient((scaled.high, scaled.low), divisor.units.magnitude, negative: negative, rounding)
    }

    /// self × factor ÷ divisor, rounded once.
    public func times(_ factor: Amount, over divisor: Amount, _ rounding: Rounding) throws(AmountError) -> Amount {
        if divisor.isZero { throw .dividedByZero }
        let negative = (isNegative != factor.isNegative) != divisor.isNegative
        let product = units.magnitude.multipliedFullWidth(by: factor.units.magnitude)
        return try Self.quotient((product.high, product.low), divisor.units.magnitude, negative: negative, rounding)
    }

    /// Rounded to `places` (0 … 18) after the point.
    public func rounded(to places: Int, _ rounding: Rounding) throws(AmountError) -> Amount {
        guard places < Self.decimals else { return self }
        return try roundedToMultiple(of: Amount(units: Self.powerOfTen(Self.decimals - max(0, places))), rounding)
    }

    /// Rounded to a multiple of `step`, as lot and tick sizes ask. A step ≤ 0 changes nothing.
    public func roundedToMultiple(of step: Amount, _ rounding: Rounding) throws(AmountError) -> Amount {
        guard step.isPositive else { return self }
        let count = try Self.quotient((0, units.magnitude), step.units.magnitude, negative: isNegative, rounding)
        let (result, overflow) = count.units.multipliedReportingOverflow(by: step.units)
        if overflow { throw .outOfRange }
        return Amount(units: result)
    }

    /// Whether a × b < c × d, exactly: no product is rounded and none overflows.
    public static func product(_ a: Amount, _ b: Amount, isLessThan c: Amount, _ d: Amount) -> Bool {
        let left = a.units.multipliedFullWidth(by: b.units)
        let right = c.units.multipliedFullWidth(by: d.units)
        return (left.high, left.low) < (right.high, right.low)
    }

    /// `numerator` ÷ `divisor` (not 0) with the sign applied after rounding.
    static func quotient(
        _ numerator: (high: UInt128, low: UInt128), _ divisor: UInt128, negative: Bool, _ rounding: Rounding
    ) throws(AmountError) -> Amount {
        guard numerator.high < divisor else { throw .outOfRange }
        let (whole, remainder) = numerator.high == 0
            ? numerator.low.quotientAndRemainder(dividingBy: divisor)
            : divisor.dividingFullWidth(numerator)
        let up = remainder != 0 && rounding.goesUp(
            odd: whole & 1 == 1, negative: negative, comparedToHalf: remainder.comparedToHalf(of: divisor))
        let (magnitude, overflow) = whole.addingReportingOverflow(up ? 1 : 0)
        if overflow { throw .outOfRange }
        if negative {
            guard magnitude <= Int128.min.magnitude else { throw .outOfRange }
            return Amount(units: Int128(truncatingIfNeeded: ~magnitude &+ 1))
        }
        guard let units = Int128(exactly: magnitude) else { throw .outOfRange }
        return Amount(units: units)
    }

    /// `exponent` in 0 … 38.
    static func powerOfTen(_ exponent: Int) -> Int128 { powersOfTen[exponent] }
    private static let powersOfTen: [Int128] = {
        var powers: [Int128] = [1]
        while powers.count <= 38 { powers.append(powers[powers.count - 1] * 10) }
        return powers
    }()
}

extension UInt128 {
    /// -1, 0, 1: this remainder against half of its divisor.
    fileprivate func comparedToHalf(of divisor: UInt128) -> Int {
        let rest = divisor - self
        return self < rest ? -1 : (self == rest ? 0 : 1)
    }
}

/// Which neighbour a result takes that has more digits than fit.
public enum Rounding: Hashable, Sendable {
    /// Toward zero.
    case down
    /// Away from zero.
    case up
    /// Toward negative infinity.
    case floor
    /// Toward positive infinity.
    case ceiling
    /// To the nearest; a tie goes to the even neighbour. Without bias over many: for sums.
    case halfEven
    /// To the nearest; a tie goes away from zero. What invoices do.
    case halfUp

    /// Whether the magnitude is rounded up, for a result that is not exact.
    func goesUp(odd: Bool, negative: Bool, comparedToHalf: Int) -> Bool {
        switch self {
        case .down: false
        case .up: true
        case .floor: negative
        case .ceiling: !negative
        case .halfEven: comparedToHalf > 0 || (comparedToHalf == 0 && odd)
        case .halfUp: comparedToHalf >= 0
        }
    }
}

/// Why an amount does not exist.
public enum AmountError: Error, Hashable, Sendable, CustomStringConvertible {
    /// More than 38 digits or beyond ±1.7 · 10²⁰, such as a 256-bit token amount.
    case outOfRange
    /// More than 18 digits after the point that are not 0.
    case tooPrecise
    /// Not `[+-]digits[.digits]`.
    case notADecimal(String)
    /// A number that went through a binary float on its way.
    case notExact
    case dividedByZero

    public var description: String {
        switch self {
        case .outOfRange: "the amount does not fit into 38 digits with 18 after the point"
        case .tooPrecise: "the amount has more than 18 digits after the point"
        case .notADecimal(let text): "'\(text)' is not a decimal number"
        case .notExact: "the amount is a binary float; write it as text, \"0.1\""
        case .dividedByZero: "division by zero"
        }
    }
}
