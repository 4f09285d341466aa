import ExchangeKit
import SQL

/// What every entrant's account was worth when the contest ended, and what had been paid in or
/// out by then. Computed from what is on record of that instant: the balance without what moved
/// later, the positions as they were, the last prices at or before it. So it does not matter
/// how late one asks.
struct EquityAtEnd {
    struct Value: Hashable, Sendable {
        var equity: Amount
        var transferred: Amount
    }

    private struct Price {
        var symbol: String
        var bid: Amount
        var ask: Amount
    }

    /// By account.
    private(set) var values: [String: Value] = [:]

    /// Call it in one read transaction: the wallets and what moved since belong together.
    /// - Throws: `ValuationProblem` when a position has no price at that time.
    init(_ exchange: Exchange, _ contest: Contest) throws {
        let at: [String: SQLValue] = ["competition": .text(contest.id), "at": .int(contest.endsAt)]
        var currencies: [String: String] = [:]
        try exchange.forEach("contest_accounts", ["competition": .text(contest.id)]) { row in
            let account = try row.text(0)
            currencies[account] = try row.text(1)
            values[account] = Value(equity: try row.amount(3) + row.amount(4), transferred: .zero)
        }
        try exchange.forEach("moved_after", at) { row in
            let account = try row.text(0)
            guard var value = values[account] else { return }
            value.equity = try value.equity - row.amount(1)
            values[account] = value
        }
        try exchange.forEach("transferred", at) { row in
            let account = try row.text(0)
            guard var value = values[account] else { return }
            value.transferred = try value.transferred + row.amount(1)
            values[account] = value
        }
        try addPositions(exchange, at, currencies)
    }

    private mutating func addPositions(
        _ exchange: Exchange, _ at: [String: SQLValue], _ currencies: [String: String]
    ) throws {
        var prices: [Int64: Price] = [:]
        var pairs: [(id: Int64, base: String, quote: String)] = []
        try exchange.forEach("prices_at", at.filter { $0.key == "at" }) { row in
            let id = try row.int64(0)
            prices[id] = Price(symbol: try row.text(1), bid: try row.amount(5), ask: try row.amount(6))
            pairs.append((id, try row.text(2), try row.text(3)))
        }
        let links = CurrencyPairs(pairs)
        try exchange.forEach("positions_at", at) { row in
            let account = try row.text(0)
            guard var value = values[account], let currency = currencies[account] else { return }
            guard let price = prices[try row.int64(2)] else {
                throw ValuationProblem("position \(try row.text(1)) of account \(account) has no price at or before the end")
            }
            let open = try row.amount(7)
            let move = switch try row.text(5) {
            case "long": try price.bid - open
            case "short": try open - price.ask
            case let side: throw ValuationProblem("position \(try row.text(1)): the side '\(side)' is neither long nor short")
            }
            let units = try row.amount(6).times(row.amount(4), .halfEven)
            let profit = try links.convert(try move.times(units, .halfEven), from: row.text(3), to: currency) { id in
                prices[id].map { ($0.bid, $0.ask) }
            }
            value.equity = try value.equity + profit
            values[account] = value
        }
    }
}
