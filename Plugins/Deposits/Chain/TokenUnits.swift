import ExchangeKit

/// A number of a coin's or token's smallest units, of up to 256 bits, as a chain counts them.
struct TokenUnits: Hashable, Sendable, CustomStringConvertible {
    /// Without leading zeros: "0", "1500000000000000000".
    let description: String

    static let zero = TokenUnits(digits: "0")
    var isZero: Bool { description == "0" }

    private init(digits: String) { description = digits }

    /// From decimal digits.
    init?(decimal text: String) {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 &- UInt8(ascii: "0") <= 9 }), text.utf8.count <= 78 else { return nil }
        let digits = text.drop { $0 == "0" }
        self.init(digits: digits.isEmpty ? "0" : String(digits))
    }

    /// A number of whole coins. nil: it is below zero, or finer than the smallest unit.
    init?(_ amount: Amount, decimals: Int) {
        let text = amount.text(minimumDecimals: decimals)
        let parts = text.split(separator: ".")
        let fraction = parts.count == 2 ? parts[1] : ""
        guard fraction.utf8.count == decimals else { return nil }
        self.init(decimal: String(parts[0]) + fraction)
    }

    init(_ value: UInt64) { self.init(digits: String(value)) }

    /// From hexadecimal digits, at most 64, with or without "0x"; leading zeros allowed.
    init?(hex text: some StringProtocol) {
        let digits = text.hasPrefix("0x") ? text.dropFirst(2) : text[...]
        guard !digits.isEmpty, digits.utf8.count <= 64 else { return nil }
        // Base 10⁹, the lowest first: each hexadecimal digit multiplies by 16 and adds.
        var parts: [UInt64] = [0]
        for digit in digits {
            guard digit.isASCII, let value = digit.hexDigitValue else { return nil }
            var carry = UInt64(value)
            for index in parts.indices {
                let sum = parts[index] * 16 + carry
                parts[index] = sum % 1_000_000_000
                carry = sum / 1_000_000_000
            }
            if carry > 0 { parts.append(carry) }
        }
        let lower = parts.dropLast().reversed().map { part in
            let text = String(part)
            return String(repeating: "0", count: 9 - text.utf8.count) + text
        }
        self.init(digits: String(parts.last ?? 0) + lower.joined())
    }

    /// What that is in whole coins.
    ///
    /// - Parameter decimals: how many digits of the units stand after the point, 0 … 77.
    /// - Throws: `AmountError` for what does not fit: nothing is rounded or cut.
    func amount(decimals: Int) throws(AmountError) -> Amount {
        guard decimals > 0 else { return try Amount(parsing: description) }
        let missing = max(0, decimals + 1 - description.utf8.count)
        let padded = String(repeating: "0", count: missing) + description
        return try Amount(parsing: padded.dropLast(decimals) + "." + padded.suffix(decimals))
    }
}
