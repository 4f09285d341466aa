import ExchangeKit

/// One price of a pair.
struct Quote: Hashable, Sendable {
    var instant: Int64
    var bid: Amount
    var ask: Amount
}

/// What is wrong with a pair's newest price.
enum PriceDoubt: Hashable, Sendable, CustomStringConvertible {
    /// Milliseconds.
    case stale(age: Int64)
    /// Of a time that has not come: it would never grow old. Milliseconds.
    case ahead(by: Int64)
    /// It moved more than allowed and nothing has confirmed it yet.
    case jumped(from: Amount, to: Amount)

    var description: String {
        switch self {
        case .stale(let age): "its newest price is \(age / 1_000) s old"
        case .ahead(let time): "its newest price is dated \(time / 1_000) s ahead of the clock"
        case .jumped(let from, let to): "its price jumped from \(from) to \(to) and was not confirmed"
        }
    }
}

/// A pair's prices as one run sees them.
struct PairPrices: Hashable, Sendable {
    var symbol: String
    var base: String
    var quote: String
    var newest: Quote
    var doubt: PriceDoubt?
    /// Of the last 24 hours; looked up only where the newest is in doubt.
    var bestBid: Amount?
    var bestAsk: Amount?

    /// - Parameter previous: the print before the newest; a second print near the first
    ///   confirms a jump.
    static func doubt(
        newest: Quote, previous: Quote?, now: Int64, maxAge: Int64, maxJump: Amount
    ) -> PriceDoubt? {
        let (age, overflow) = now.subtractingReportingOverflow(newest.instant)
        if overflow || age > maxAge { return .stale(age: overflow ? .max : age) }
        if age < -maxAge { return .ahead(by: Int64(clamping: age.magnitude)) }
        guard let previous else { return nil }
        for (before, after) in [(previous.bid, newest.bid), (previous.ask, newest.ask)] {
            guard let change = try? (after - before).magnitude else { return .jumped(from: before, to: after) }
            // change ÷ before > maxJump %
            if Amount.product(maxJump, before, isLessThan: change, .hundred) { return .jumped(from: before, to: after) }
        }
        return nil
    }
}

/// All prices of a run.
struct PriceBook: Sendable {
    var pairs: [Int64: PairPrices]
    private let links: CurrencyPairs

    init(_ pairs: [Int64: PairPrices]) {
        self.pairs = pairs
        links = CurrencyPairs(pairs.map { ($0.key, $0.value.base, $0.value.quote) })
    }

    /// Throws where no pair, or no usable price, links the two currencies.
    func convert(_ value: Amount, from: String, to: String) throws -> Amount {
        try links.convert(value, from: from, to: to) { id in
            guard let pair = pairs[id] else { return nil }
            if let doubt = pair.doubt {
                throw ValuationProblem("\(pair.symbol) converts its currency, and \(doubt)")
            }
            return (pair.newest.bid, pair.newest.ask)
        }
    }

    /// An account at these prices. A pair whose price is in doubt is taken at its best price of
    /// the last 24 hours for the account, and its position is not closable.
    func value(_ account: MarginAccount) throws -> MarginState {
        var valued: [ValuedPosition] = []
        for position in account.positions { valued.append(try value(position, currency: account.currency)) }
        return try MarginState(account: account, positions: valued)
    }

    private func value(_ position: Position, currency: String) throws -> ValuedPosition {
        guard let pair = pairs[position.pair] else {
            throw ValuationProblem("\(position.symbol) has no price")
        }
        guard position.leverage.isPositive, position.size.isPositive, position.contractSize.isPositive else {
            throw ValuationProblem("position \(position.id): size, contract size or leverage is not above zero")
        }
        let usable = pair.doubt == nil
        let best = position.side == .long ? pair.bestBid : pair.bestAsk
        guard let price = usable ? (position.side == .long ? pair.newest.bid : pair.newest.ask) : best else {
            throw ValuationProblem("\(position.symbol) has no price of the last 24 hours")
        }
        guard price.isPositive else { throw ValuationProblem("\(position.symbol) has the price \(price)") }
        let units = try position.size.times(position.contractSize, .halfEven)
        let move = position.side == .long ? try price - position.openPrice : try position.openPrice - price
        let profit = try convert(move.times(units, .halfEven), from: position.quote, to: currency)
        // Negated: the notional is what one would have to pay for.
        let notional = try -convert(-price.times(units, .halfEven), from: position.quote, to: currency)
        return ValuedPosition(
            position: position, price: price, isClosable: usable, profit: profit, notional: notional,
            margin: try notional.over(position.leverage, .halfEven))
    }
}
