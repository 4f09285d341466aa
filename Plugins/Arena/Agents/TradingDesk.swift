import ExchangeKit

/// What a trade costs: a part of its worth, and at least so much.
struct FeeSchedule: Hashable, Sendable {
    /// In 1/100 %.
    var basisPoints: Int
    /// In the quote currency.
    var minimum: Amount

    static let standard = FeeSchedule(basisPoints: 5, minimum: Amount(units: Amount.unitsPerOne / 4))

    /// Rounded up to 8 decimals.
    func fee(on worth: Amount) throws(AmountError) -> Amount {
        let part = try worth.times(Amount(Int32(clamping: basisPoints)), over: Amount(10_000), .up)
        return try max(part, minimum).rounded(to: 8, .up)
    }

    /// The most that can be bought, of what there is to pay it and its fee with.
    func affordable(with money: Amount) throws(AmountError) -> Amount {
        let byPart = try money.times(Amount(10_000), over: Amount(Int32(clamping: 10_000 + basisPoints)), .down)
        let most = try min(byPart, money - minimum)
        // Fees are rounded up.
        return try max(.zero, most - Amount(units: Amount.unitsPerOne / 100_000_000))
    }
}

/// What an agent owns, all of it available.
struct Portfolio: Hashable, Sendable {
    var currency: String
    var cash: Amount
    /// By currency, `cash` apart; none is zero.
    var holdings: [String: Amount] = [:]

    func amount(of currency: String) -> Amount { holdings[currency] ?? .zero }

    /// At what one would get for it.
    func equity(_ view: MarketView) throws(AmountError) -> Amount {
        var sum = cash
        for pair in view.pairs { sum = try sum + pair.bid.times(amount(of: pair.symbol.base), .down) }
        return sum
    }
}

/// What an agent wants: so much of a pair's base currency, at the market's price.
struct AgentOrder: Codable, Hashable, Sendable {
    enum Side: String, Codable, CaseIterable, Sendable { case buy, sell }
    /// "BTC/USD".
    var pair: String
    var side: Side
    var amount: Amount
}

/// What became of an order.
struct AgentFill: Hashable, Sendable {
    var order: AgentOrder
    var base: String
    var price: Amount
    /// Without the fee.
    var worth: Amount
    var fee: Amount
}

/// Fills agents' orders at the market's price. Nobody goes short, nobody owes anything.
struct TradingDesk: Sendable {
    var fees = FeeSchedule.standard

    enum Answer: Hashable {
        case filled(AgentFill)
        /// One sentence.
        case refused(String)
    }

    /// Changes `portfolio` if the order is filled, and only then. Bought at the ask, sold at the bid; what
    /// is paid is rounded up, what is received down.
    ///
    /// - Throws: `AmountError` for an order whose worth is no amount; `portfolio` is as before.
    func execute(_ order: AgentOrder, _ portfolio: inout Portfolio, _ view: MarketView) throws(AmountError) -> Answer {
        guard let pair = view.pair(order.pair) else { return .refused("there is no pair \(order.pair.prefix(40)) with a price") }
        guard order.amount.isPositive else { return .refused("\(order.amount) is not above 0") }
        let base = pair.symbol.base
        let held = portfolio.amount(of: base)
        switch order.side {
        case .buy:
            let worth = try pair.ask.times(order.amount, .up).rounded(to: 8, .up)
            let fee = try fees.fee(on: worth)
            let price = try worth + fee
            guard price <= portfolio.cash else {
                return .refused("\(order.amount) \(base) cost \(price) \(portfolio.currency) with the fee, there are \(portfolio.cash)")
            }
            let (cash, goods) = (try portfolio.cash - price, try held + order.amount)
            portfolio.cash = cash
            portfolio.holdings[base] = goods
            return .filled(AgentFill(order: order, base: base, price: pair.ask, worth: worth, fee: fee))
        case .sell:
            guard order.amount <= held else { return .refused("\(order.amount) \(base) are more than the \(held) there are") }
            let worth = try pair.bid.times(order.amount, .down).rounded(to: 8, .down)
            let fee = try fees.fee(on: worth)
            guard fee < worth else { return .refused("\(order.amount) \(base) are worth \(worth) \(portfolio.currency), the fee is \(fee)") }
            let (cash, rest) = (try portfolio.cash + (worth - fee), try held - order.amount)
            portfolio.cash = cash
            portfolio.holdings[base] = rest.isZero ? nil : rest
            return .filled(AgentFill(order: order, base: base, price: pair.bid, worth: worth, fee: fee))
        }
    }
}
