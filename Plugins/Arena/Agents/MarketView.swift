import ExchangeKit
import SQL

/// A market as an agent may see it: nothing in it is later than `clock`.
struct MarketView: Hashable, Sendable {
    struct Pair: Hashable, Sendable {
        var id: Int64
        var symbol: ArenaPlan.Symbol
        /// Prices at even steps of the market's time, oldest first; the last one is the present one.
        var history: [Amount]

        var price: Amount { history.last ?? .zero }
        /// 0.01 % around the price.
        var bid: Amount { (try? price - half) ?? price }
        var ask: Amount { (try? price + half) ?? price }
        private var half: Amount { (try? price.over(Amount(10_000), .up).rounded(to: 8, .up)) ?? .zero }
    }

    /// The market's time, milliseconds since 1970 UTC: everything here was known before.
    var clock: Int64
    /// Between two prices of a history, milliseconds.
    var step: Int64
    /// By symbol; those without a price are left out.
    var pairs: [Pair]

    func pair(_ symbol: String) -> Pair? { pairs.first { $0.symbol.text == symbol } }
}

extension Exchange {
    /// The market of a simulation before `clock`: whatever else its tables hold is not seen.
    ///
    /// - Parameters:
    ///   - currency: only pairs that are paid for in it; nil: in that of the first pair.
    ///   - steps: prices of a history, at least 1.
    func marketView(of simulation: String, currency: String?, clock: Int64, steps: Int, step: Int64) throws -> MarketView {
        let all = try rows("simulation_pairs", ["simulation": .text(simulation)]) { row in
            (id: try row.int64(0),
             symbol: ArenaPlan.Symbol(text: try row.text(1), base: try row.text(2), quote: try row.text(3)))
        }
        let wanted = currency ?? all.first?.symbol.quote
        var pairs: [MarketView.Pair] = []
        for pair in all where pair.symbol.quote == wanted {
            var history: [Amount] = []
            for back in (0 ..< Int64(max(1, steps))).reversed() {
                let values: [String: SQLValue] = ["pair": .int(pair.id), "before": .int(clock - back * step)]
                if let price = try first("price_before", values, { try $0.amount(0) }) { history.append(price) }
            }
            if !history.isEmpty { pairs.append(MarketView.Pair(id: pair.id, symbol: pair.symbol, history: history)) }
        }
        return MarketView(clock: clock, step: step, pairs: pairs)
    }
}
