/// Which pair converts one currency into another.
public struct CurrencyPairs: Sendable {
    private var byCurrencies: [String: Int64] = [:]

    /// Where two pairs have the same currencies, the one with the lower id converts.
    public init(_ pairs: some Sequence<(id: Int64, base: String, quote: String)>) {
        for pair in pairs.sorted(by: { $0.id < $1.id }) where byCurrencies[pair.base + "/" + pair.quote] == nil {
            byCurrencies[pair.base + "/" + pair.quote] = pair.id
        }
    }

    /// `value` in another currency. What one would get is sold at the bid, what one owes is
    /// bought at the ask.
    ///
    /// - Parameter price: of a pair; nil where it has none.
    /// - Throws: `ValuationProblem` where no pair links the two; what `price` throws.
    public func convert(
        _ value: Amount, from: String, to: String, price: (Int64) throws -> (bid: Amount, ask: Amount)?
    ) throws -> Amount {
        if from == to || value.isZero { return value }
        if let id = byCurrencies[from + "/" + to], let price = try price(id) {
            return try value.times(value.isNegative ? price.ask : price.bid, .halfEven)
        }
        if let id = byCurrencies[to + "/" + from], let price = try price(id) {
            return try value.over(value.isNegative ? price.bid : price.ask, .halfEven)
        }
        throw ValuationProblem("there is no pair to convert \(from) into \(to)")
    }
}

/// Why something cannot be valued; a sentence for a human.
public struct ValuationProblem: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}
