import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL

@testable import Tickers

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// 2026-01-05T12:00:00Z plus seconds.
func at(_ seconds: Int64) -> Int64 { 1_767_614_400_000 + seconds * 1_000 }

/// Pairs that are traded, and their tickers.
final class Market {
    let test: TestExchange
    var trades: [(pair: Int64, trade: Trade)] = []
    static let day: Int64 = 86_400

    init(_ place: TestExchange.Place = .memory, pairs: [String] = ["XRP/ETH"]) throws {
        test = try TestExchange(place, statements: .tickers)
        for symbol in pairs { try test.pair(symbol) }
    }

    /// - Parameter instant: milliseconds since 1970 UTC.
    func trade(_ id: Int64, at instant: Int64, _ price: String, _ size: String, pair: Int64 = 1) throws {
        try test.trade(pair, id, at: instant, price, size)
        if let price = try? amount(price), let size = try? amount(size),
            let trade = try? Trade(TradeKey(instant: instant, id: id), price: price, amount: size)
        {
            trades.append((pair, trade))
        }
    }

    @discardableResult
    func run(_ now: Int64, on exchange: Exchange? = nil, _ change: (inout TickersEntry.Settings) -> Void = { _ in }) throws -> TickerReport {
        var settings = TickersEntry.Settings()
        change(&settings)
        var run = TickerRun(exchange ?? test.exchange, settings, now: now)
        try run.run(isCancelled: { false })
        return run.report
    }

    func setClock(_ instant: Int64?, pair: Int64 = 1) throws {
        try test.connection.run("UPDATE pairs SET clock_ms = ? WHERE id = ?", [.int(instant), .int(pair)])
    }

    /// The table, as one reads it; nil: no ticker.
    func ticker(_ pair: Int64 = 1) throws -> String? {
        try test.texts(
            """
            SELECT 'last ' || last || ' open ' || open || ' high ' || high || ' low ' || low || ' change ' || change || ' '
                   || change_percent || ' volume ' || volume || ' ' || quote_volume || ' trades ' || trades
            FROM tickers WHERE pair_id = ?
            """, [.int(pair)]).first
    }

    /// What it has to be, computed from all trades.
    func expected(_ pair: Int64 = 1, now: Int64) throws -> String? {
        let before = trades.filter { $0.pair == pair && $0.trade.key.instant < now }.map(\.trade).sorted { $0.key < $1.key }
        guard let last = before.last else { return nil }
        let window = before.filter { $0.key.instant >= now - TickerWindow.length }
        var ticker = try Ticker(quietAt: last.price)
        if let first = window.first {
            ticker = try Ticker(
                last: last.price, open: first.price, high: window.map(\.price).max() ?? .zero,
                low: window.map(\.price).min() ?? .zero, volume: window.reduce(.zero) { try $0 + $1.amount },
                quoteVolume: window.reduce(.zero) { try $0 + $1.quote }, trades: Int64(window.count))
        }
        return "last \(ticker.last) open \(ticker.open) high \(ticker.high) low \(ticker.low) change \(ticker.change) "
            + "\(ticker.changePercent) volume \(ticker.volume) \(ticker.quoteVolume) trades \(ticker.trades)"
    }

    func validUntil(_ pair: Int64 = 1) throws -> Int64 {
        try test.number("SELECT valid_until_ms FROM tickers WHERE pair_id = ?", [.int(pair)])
    }
}
