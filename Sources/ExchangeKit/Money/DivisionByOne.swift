/// Division by the units of one, 10¹⁸, which every product of two amounts needs: with two multiplications for each 64
/// bits of the quotient, where the processor's division takes several times as long (Möller and Granlund, "Improved
/// division by invariant integers", IEEE Transactions on Computers 60, 2011, algorithm 4).
enum DivisionByOne {
    /// So many places up, 10¹⁸ begins with the highest of 64 bits.
    private static let shift: UInt64 = 4
    private static let divisor: UInt64 = 16_000_000_000_000_000_000
    /// ⌊(2¹²⁸ − 1) ÷ divisor⌋ − 2⁶⁴.
    private static let reciprocal: UInt64 = 2_820_903_858_849_102_350

    /// `numerator.high` is less than 10¹⁸, so that the quotient fits.
    static func divide(_ numerator: (high: UInt128, low: UInt128)) -> (quotient: UInt128, remainder: UInt128) {
        let high = UInt64(truncatingIfNeeded: numerator.high)
        let middle = UInt64(truncatingIfNeeded: numerator.low >> 64)
        let low = UInt64(truncatingIfNeeded: numerator.low)
        let (upper, carried) = step(high << shift | middle >> (64 - shift), middle << shift | low >> (64 - shift))
        let (lower, rest) = step(carried, low << shift)
        return (UInt128(upper) << 64 | UInt128(lower), UInt128(rest >> shift))
    }

    /// 128 bits by `divisor`; `high` is less than that.
    private static func step(_ high: UInt64, _ low: UInt64) -> (quotient: UInt64, remainder: UInt64) {
        let product = reciprocal.multipliedFullWidth(by: high)
        let (fraction, carry) = product.low.addingReportingOverflow(low)
        // At most one off, either way.
        var quotient = product.high &+ high &+ (carry ? 2 : 1)
        var remainder = low &- quotient &* divisor
        if remainder > fraction {
            quotient &-= 1
            remainder &+= divisor
        }
        if remainder >= divisor {
            quotient &+= 1
            remainder &-= divisor
        }
        return (quotient, remainder)
    }
}
