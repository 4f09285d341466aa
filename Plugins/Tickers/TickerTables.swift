import ExchangeKit
import JobKit
import SQL

/// What the job reads and writes.
struct TickerTables {
    let exchange: Exchange

    // MARK: Trades

    func newestSeq() throws -> Int64 { try exchange.first("newest_seq") { try $0.int64(0) } ?? 0 }

    /// id, ts_ms, price, amount.
    static func trade(_ row: any SQLStatement) throws -> Trade {
        try Trade(
            TradeKey(instant: row.int64(1), id: row.int64(0)), price: row.amount(2), amount: row.amount(3))
    }

    /// Trades of a pair in [from, until) that had arrived by a seq, oldest first. What makes no
    /// sense is left out: it was never added, so it is not removed either.
    func forEachTrade(
        _ pair: Int64, _ from: Int64, _ until: Int64, upTo seq: Int64, _ body: (Trade) throws -> Void
    ) throws {
        try exchange.forEach("trades_between", [
            "pair": .int(pair), "from": .int(from), "until": .int(until), "upto": .int(seq), "limit": .int(Int64.max),
        ]) { row in
            if let trade = try? Self.trade(row) { try body(trade) }
        }
    }

    func first(_ pair: Int64, _ from: Int64, _ until: Int64, upTo seq: Int64) throws -> TickerWindow.Print? {
        try edge("trades_between", ["pair": .int(pair), "from": .int(from), "until": .int(until), "upto": .int(seq)])
    }

    func last(_ pair: Int64, before until: Int64, upTo seq: Int64) throws -> TickerWindow.Print? {
        try edge("trades_before", ["pair": .int(pair), "until": .int(until), "upto": .int(seq)])
    }

    /// The first row that makes sense.
    private func edge(_ statement: String, _ values: [String: SQLValue]) throws -> TickerWindow.Print? {
        var limit: Int64 = 1
        while true {
            var count: Int64 = 0
            var found: Trade?
            try exchange.forEach(statement, values.merging(["limit": .int(limit)]) { $1 }) { row in
                count += 1
                if found == nil { found = try? Self.trade(row) }
            }
            if let found { return TickerWindow.Print(found) }
            if count < limit { return nil }
            limit *= 16
        }
    }

    func newest(_ pair: Int64, from: Int64, upTo seq: Int64) throws -> Int64? {
        try exchange.first("trades_from", ["pair": .int(pair), "from": .int(from), "upto": .int(seq)]) { try $0.int64(0) }
    }

    // MARK: Windows

    struct Known {
        var window: TickerWindow
        /// Made from all trades up to this one …
        var builtSeq: Int64
        /// … then.
        var built: Int64
    }

    func window(_ pair: Int64) throws -> Known? {
        try exchange.first("window", ["pair": .int(pair)]) { row in
            func print(_ column: Int) throws -> TickerWindow.Print? {
                guard let price = try row.amountOrNil(column + 2) else { return nil }
                return TickerWindow.Print(
                    key: TradeKey(instant: try row.int64(column), id: try row.int64(column + 1)), price: price)
            }
            let window = TickerWindow(
                from: try row.int64(0), until: try row.int64(1), trades: try row.int64(2), volume: try row.amount(3),
                quoteVolume: try row.amount(4), first: try print(5), last: try print(8), newest: try row.int64OrNil(11))
            return Known(window: window, builtSeq: try row.int64(12), built: try row.int64(13))
        }
    }

    func put(_ known: Known, _ pair: Int64) throws {
        let window = known.window
        try exchange.run("put_window", [
            "pair": .int(pair), "from_ms": .int(window.from), "until_ms": .int(window.until),
            "trades": .int(window.trades), "volume": .amount(window.volume), "quote_volume": .amount(window.quoteVolume),
            "first_ms": .int(window.first?.key.instant), "first_id": .int(window.first?.key.id),
            "first_price": .text(window.first?.price.description), "last_ms": .int(window.last?.key.instant),
            "last_id": .int(window.last?.key.id), "last_price": .text(window.last?.price.description),
            "newest_ms": .int(window.newest), "built_seq": .int(known.builtSeq), "built_ms": .int(known.built),
        ])
    }

    /// The next run makes it anew.
    func drop(_ pair: Int64) throws {
        try exchange.run("drop_window", ["pair": .int(pair)])
        try dropExtremes(pair, before: .max)
    }

    // MARK: Highest and lowest

    func dropExtremes(_ pair: Int64, before instant: Int64) throws {
        for kind in Extreme.allCases {
            try exchange.run("drop_extremes", ["pair": .int(pair), "kind": .text(kind.rawValue), "before": .int(instant)])
        }
    }

    /// Lets trades compete with those stored.
    func addExtremes(_ pair: Int64, _ candidates: Candidates) throws {
        for kind in Extreme.allCases {
            for trade in candidates[kind] { try add(kind, pair, trade) }
        }
    }

    private func add(_ kind: Extreme, _ pair: Int64, _ trade: Trade) throws {
        let key: [String: SQLValue] = [
            "pair": .int(pair), "kind": .text(kind.rawValue), "ts_ms": .int(trade.key.instant), "id": .int(trade.key.id),
        ]
        let after = try exchange.first("extreme_after", key) { try $0.amount(0) }
        if let after, kind.isEnough(after, for: trade.price) { return }
        while let before = try exchange.first("extreme_before", key, { (try $0.amount(0), try $0.int64(1), try $0.int64(2)) }) {
            guard kind.isEnough(trade.price, for: before.0) else { break }
            try exchange.run("drop_extreme", [
                "pair": .int(pair), "kind": .text(kind.rawValue), "ts_ms": .int(before.1), "id": .int(before.2),
            ])
        }
        try exchange.run("put_extreme", key.merging(["price": .amount(trade.price)]) { $1 })
    }

    func extreme(_ kind: Extreme, _ pair: Int64) throws -> Amount? {
        try exchange.first("extreme", ["pair": .int(pair), "kind": .text(kind.rawValue)]) { try $0.amount(0) }
    }

    // MARK: Tickers

    func put(_ ticker: Ticker, _ pair: Int64, validUntil: Int64) throws {
        try exchange.run("put_ticker", [
            "pair": .int(pair), "last": .amount(ticker.last), "open": .amount(ticker.open), "high": .amount(ticker.high),
            "low": .amount(ticker.low), "change": .amount(ticker.change), "change_percent": .amount(ticker.changePercent),
            "volume": .amount(ticker.volume), "quote_volume": .amount(ticker.quoteVolume), "trades": .int(ticker.trades),
            "valid_until": .int(validUntil),
        ])
    }
}

/// What one reads in the table.
struct Ticker: Hashable {
    var last: Amount
    /// Of the first trade in the window; without trades, as high and low, the last price.
    var open: Amount
    var high: Amount
    var low: Amount
    var change: Amount
    /// Change ÷ open × 100, rounded half-even to 18 decimals.
    var changePercent: Amount
    var volume: Amount
    var quoteVolume: Amount
    var trades: Int64

    init(last: Amount, open: Amount, high: Amount, low: Amount, volume: Amount, quoteVolume: Amount, trades: Int64) throws {
        (self.last, self.open, self.high, self.low) = (last, open, high, low)
        (self.volume, self.quoteVolume, self.trades) = (volume, quoteVolume, trades)
        change = try last - open
        changePercent = try change.times(.hundred, over: open, .halfEven)
    }

    /// Of a pair without a trade in the last 24 hours.
    init(quietAt last: Amount) throws {
        try self.init(last: last, open: last, high: last, low: last, volume: .zero, quoteVolume: .zero, trades: 0)
    }
}
