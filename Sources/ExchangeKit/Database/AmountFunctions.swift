import SQL

extension SQLiteConnection {
    /// What a platform's own statements and views need where amounts are integers in a smallest
    /// unit: SQLite's arithmetic is binary. (PostgreSQL's is exact: `units * 0.00000001`.)
    ///
    /// - `amount_of(units, digits)`: 150000000 and 8 are '1.5'; a fraction of a unit is an error.
    /// - `units_of(amount, digits)`: '1.5' and 8 are 150000000; what has more digits is an error.
    /// - `rounded(amount, digits)`: half-even, as text.
    ///
    /// NULL stays NULL.
    func defineAmounts() throws(SQLError) {
        try define("amount_of", arguments: 2) { values in
            try Self.amount(values) { text, digits in
                let (units, overflow) = try Self.whole(text).multipliedReportingOverflow(by: Amount.powerOfTen(Amount.decimals - digits))
                if overflow { throw AmountError.outOfRange }
                return .amount(Amount(units: units))
            }
        }
        try define("units_of", arguments: 2) { values in
            try Self.amount(values) { text, digits in
                let (units, rest) = try Amount(parsing: text).units
                    .quotientAndRemainder(dividingBy: Amount.powerOfTen(Amount.decimals - digits))
                guard rest == 0 else { throw AmountFunctionError("\(text) has more than \(digits) decimals; rounded() says how to round") }
                return Int64(exactly: units).map { .int($0) } ?? .text(String(units))
            }
        }
        try define("rounded", arguments: 2) { values in
            try Self.amount(values) { text, digits in .amount(try Amount(parsing: text).rounded(to: digits, .halfEven)) }
        }
    }

    /// Units, which may be more than an amount: 200 with 18 digits are 2 · 10²⁰.
    private static func whole(_ text: String) throws -> Int128 {
        if let units = Int128(text) { return units }
        let (units, rest) = try Amount(parsing: text).units.quotientAndRemainder(dividingBy: Amount.unitsPerOne)
        guard rest == 0 else { throw AmountFunctionError("\(text) is no whole number of units") }
        return units
    }

    private static func amount(_ values: [SQLValue], _ body: (_ text: String, _ digits: Int) throws -> SQLValue) throws -> SQLValue {
        guard values.count == 2, case .int(let number) = values[1], let digits = Int(exactly: number), 0 ... Amount.decimals ~= digits else {
            throw AmountFunctionError("the digits after the point are a number from 0 to \(Amount.decimals)")
        }
        switch values[0] {
        case .null: return .null
        case .int(let number): return try body(String(number), digits)
        case .text(let text): return try body(text, digits)
        case .double: throw AmountError.notExact
        case .bytes, .bool: throw AmountFunctionError("an amount is text or an integer")
        }
    }
}

private struct AmountFunctionError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
