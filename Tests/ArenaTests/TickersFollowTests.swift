import ExchangeKit
import SQL
import Testing

@testable import Arena
@testable import ExchangeKit
@testable import Tickers

@Suite struct TickersFollowTests {
    /// Three days of a market that is faster than the clock: what the table says is what its
    /// trades say.
    @Test func tickersFollowTheSimulatedMarket() throws {
        let stage = try Stage()
        let tickers = Exchange(connection: stage.exchange.connection, place: "memory", statements: .tickers)
        for index in Int64(0) ..< 60 {
            let now = noon + index * 3_000
            try stage.tick(at: now) { $0.speed = "72m" }
            var run = TickerRun(tickers, TickersEntry.Settings(), now: now)
            try run.run(isCancelled: { false })
            #expect((run.report.errors, run.report.corrected, run.report.updated) == (0, 0, 3))
        }
        let window = "t.pair_id = p.id AND t.ts_ms >= p.clock_ms - 86400000 AND t.ts_ms < p.clock_ms"
        let expected = try stage.texts("""
            SELECT p.id, (SELECT count(*) FROM trades t WHERE \(window)),
                   (SELECT price FROM trades t WHERE \(window) ORDER BY ts_ms, id LIMIT 1),
                   (SELECT price FROM trades t WHERE \(window) ORDER BY CAST(price AS REAL) DESC LIMIT 1),
                   (SELECT price FROM trades t WHERE \(window) ORDER BY CAST(price AS REAL) LIMIT 1)
            FROM pairs p ORDER BY p.id
            """)
        #expect(expected.count == 3)
        #expect(try stage.texts("SELECT pair_id, trades, open, high, low FROM tickers ORDER BY pair_id") == expected)
    }
}
