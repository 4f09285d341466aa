import ExchangeKit
import JobKit
import SQL

/// What the job reads.
struct MarginTables {
    let exchange: Exchange

    /// Accounts with open positions. Rows that make no sense are left out and reported.
    func accounts(_ problems: inout [String]) throws -> [MarginAccount] {
        var positions: [Int64: [Position]] = [:]
        var broken: [Int64: String] = [:]
        try exchange.forEach("positions") { row in
            let account = try row.int64(1)
            do {
                positions[account, default: []].append(try Self.position(row))
            } catch {
                broken[account] = "position \((try? row.int64(0)) ?? 0): \(error)"
            }
        }
        var result: [MarginAccount] = []
        try exchange.forEach("accounts") { row in
            let id = try row.int64(0)
            do {
                if let reason = broken[id] { throw ValuationProblem(reason) }
                result.append(try Self.account(row, positions[id] ?? []))
            } catch {
                problems.append("account \(id): \(error)")
            }
        }
        return result
    }

    /// One account as it is now; nil: gone or closed.
    func account(_ id: Int64) throws -> MarginAccount? {
        // The account first: what locks it keeps positions from being added.
        guard var account = try exchange.first("account", ["account": .int(id)], { try Self.account($0, []) }) else { return nil }
        account.positions = try exchange.rows("account_positions", ["account": .int(id)], Self.position)
        return account
    }

    private static func account(_ row: any SQLStatement, _ positions: [Position]) throws -> MarginAccount {
        MarginAccount(
            id: try row.int64(0), name: try row.text(1), currency: try row.text(2), wallet: try row.int64(3),
            balance: try row.amount(4) + row.amount(5), positions: positions)
    }

    private static func position(_ row: any SQLStatement) throws -> Position {
        guard let side = Side(rawValue: try row.text(7)) else {
            throw JobFailure.permanent("the side '\(try row.text(7))' is neither long nor short")
        }
        return Position(
            id: try row.int64(0), pair: try row.int64(2), symbol: try row.text(3), quote: try row.text(4),
            contractSize: try row.amount(5), sizeStep: try row.amount(6), side: side, size: try row.amount(8),
            openPrice: try row.amount(9), leverage: try row.amount(10), version: try row.int64(11))
    }

    func prices(now: Int64, _ settings: MarginCheckEntry.Settings) throws -> PriceBook {
        var pairs: [Int64: PairPrices] = [:]
        var newest: [Int64: Quote] = [:]
        var previous: [Int64: Quote] = [:]
        try exchange.forEach("prices") { row in
            let pair = try row.int64(0)
            let quote = Quote(instant: try row.int64(4), bid: try row.amount(5), ask: try row.amount(6))
            if newest[pair] == nil {
                newest[pair] = quote
                pairs[pair] = PairPrices(
                    symbol: try row.text(1), base: try row.text(2), quote: try row.text(3), newest: quote)
            } else if previous[pair] == nil {
                previous[pair] = quote
            }
        }
        for (pair, quote) in newest {
            guard let doubt = PairPrices.doubt(
                newest: quote, previous: previous[pair], now: now, maxAge: settings.maxPriceAge.milliseconds,
                maxJump: settings.maxJump)
            else { continue }
            var (bestBid, bestAsk): (Amount?, Amount?)
            let since = now - min(settings.bestPriceWindow.milliseconds, now)
            try exchange.forEach("prices_since", ["pair": .int(pair), "since": .int(since)]) { row in
                let (bid, ask) = (try row.amount(0), try row.amount(1))
                bestBid = max(bestBid ?? bid, bid)
                bestAsk = min(bestAsk ?? ask, ask)
            }
            pairs[pair]?.doubt = doubt
            pairs[pair]?.bestBid = bestBid
            pairs[pair]?.bestAsk = bestAsk
        }
        return PriceBook(pairs)
    }

    /// Sizes that the application was asked to close and has not, by position.
    func requested(since: Int64) throws -> [Int64: Amount] {
        var sizes: [Int64: Amount] = [:]
        try exchange.forEach("requested", ["since": .int(since)]) { sizes[try $0.int64(0)] = try $0.amount(1) }
        return sizes
    }

    func lastCall(_ account: Int64) throws -> (level: Amount, instant: Int64)? {
        try exchange.first("last_call", ["account": .int(account)]) { (try $0.amount(0), try $0.int64(1)) }
    }
}
