import ExchangeTestKit
import JobCore
import JobKit
import SQL

@testable import Candles
@testable import ExchangeKit

/// A market in memory.
final class Market {
    let test: TestExchange
    var exchange: Exchange { test.exchange }
    private(set) var arrived: [(pair: Int64, trade: Trade)] = []

    struct Trade: Hashable {
        var id: Int64
        var instant: Int64
        var price: String
        var amount: String
    }

    /// What one reads in the table.
    struct Row: Hashable, CustomStringConvertible {
        var pair: Int64
        var interval: String
        var open: Int64
        var candle: Candle
        var closed: Bool
        var description: String {
            "\(pair) \(interval) \(utcText(open)) \(candle.open) \(candle.high) \(candle.low) \(candle.close) "
                + "\(candle.volume) \(candle.quoteVolume) \(candle.trades) \(closed ? "closed" : "forming")"
        }
    }

    init(pairs: [String] = ["XRP/ETH"]) throws {
        test = try TestExchange(statements: .candles)
        let connection = test.connection
        for (index, symbol) in pairs.enumerated() {
            try connection.run(
                "INSERT INTO pairs (id, symbol, base, quote, created_ms) VALUES (?, ?, 'B', 'Q', 0)",
                [.int(index + 1), .text(symbol)])
        }
    }

    func trade(_ id: Int64, at instant: Int64, _ price: String, _ amount: String, pair: Int64 = 1) throws {
        try exchange.connection.run(
            "INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (?, ?, ?, 'buy', ?, ?)",
            [.int(pair), .int(id), .int(instant), .text(price), .text(amount)])
        arrived.append((pair, Trade(id: id, instant: instant, price: price, amount: amount)))
    }

    func setClock(_ instant: Int64?, pair: Int64 = 1) throws {
        try exchange.connection.run("UPDATE pairs SET clock_ms = ? WHERE id = ?", [.int(instant), .int(pair)])
    }

    @discardableResult
    func run(now: Int64, _ change: (inout CandlesEntry.Settings) -> Void = { _ in }) throws -> CandleReport {
        var settings = CandlesEntry.Settings()
        change(&settings)
        var run = try CandleRun(exchange, CandlePlan(settings), now: now)
        try run.run(isCancelled: { false })
        return run.report
    }

    func rows(_ interval: String? = nil) throws -> [Row] {
        try exchange.connection.rows(
            """
            SELECT pair_id, interval, open_ms, open, high, low, close, volume, quote_volume, trades,
                   first_ms, first_id, last_ms, last_id, closed
            FROM candles ORDER BY pair_id, interval, open_ms
            """, []
        ) { row in
            Row(
                pair: try row.int64(0), interval: try row.text(1), open: try row.int64(2),
                candle: Candle(
                    open: try row.amount(3), high: try row.amount(4), low: try row.amount(5), close: try row.amount(6),
                    volume: try row.amount(7), quoteVolume: try row.amount(8), trades: try row.int64(9),
                    first: TradeKey(instant: try row.int64(10), id: try row.int64(11)),
                    last: TradeKey(instant: try row.int64(12), id: try row.int64(13))),
                closed: try row.bool(14))
        }.filter { interval == nil || $0.interval == interval }
    }

    func events() throws -> [JSONObject] {
        try exchange.connection.rows("SELECT payload FROM outbox_events WHERE event = 'CandleCorrected' ORDER BY seq", []) {
            try JSON(parsing: $0.text(0)).objectValue ?? JSONObject()
        }
    }
}

/// 2019-10-11T00:00:00Z plus minutes and seconds.
func at(_ minutes: Int64, _ seconds: Int64 = 0) -> Int64 { 1_570_752_000_000 + minutes * 60_000 + seconds * 1_000 }

func instant(_ text: String) -> Int64 { Instant(rfc3339: text)?.milliseconds ?? .min }
