import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import Tickers

/// Foreign schema (a): `trading_pairs` with uuids, `trades` with timestamps.
@Suite struct TickersForeignSchemaTests {
    @discardableResult
    private func run(_ platform: UUIDPlatform, at now: Int64, recount: Span = .hours(24)) throws -> TickerReport {
        let files = ["pairs": "pairs", "new_trades": "new_trades.tickers", "newest_seq": "newest_seq"]
        let exchange = try Exchange.open(try platform.location(files), statements: .tickers)
        defer { exchange.close() }
        var settings = TickersEntry.Settings()
        settings.recount = recount
        var run = TickerRun(exchange, settings, now: now)
        try run.run(isCancelled: { false })
        return run.report
    }

    private func tickers(_ platform: UUIDPlatform) throws -> [String] {
        try platform.test.connection.rows(
            """
            SELECT t.last, t.open, t.high, t.low, t.volume, t.quote_volume, t.trades, k.key
            FROM tickers t JOIN pair_keys k ON k.id = t.pair_id ORDER BY k.key
            """, []
        ) { row in
            try (0 ... 5).map { try row.amount($0).description }.joined(separator: " ") + " \(try row.int64(6))"
        }
    }

    @Test func tickersOfPairsThatHaveAUUIDAndTimesAsTimestamps() throws {
        let platform = try UUIDPlatform()
        defer { platform.remove() }
        try platform.trade(1, at: at(-90_000), "7", "1")
        try platform.trade(2, at: at(-3_600), "100.50", "1")
        try platform.trade(3, at: at(-60), "110", "2", pair: UUIDPlatform.halted)
        let first = try run(platform, at: at(0))
        #expect((first.activePairs, first.updated, first.built) == (1, 1, 1))
        #expect(try tickers(platform) == ["100.5 100.5 100.5 100.5 1 100.5 1"])
        try platform.trade(5, at: at(1), "99", "2")
        let second = try run(platform, at: at(5))
        #expect((second.came, second.went, second.updated) == (1, 0, 1))
        #expect(try tickers(platform) == ["99 100.5 100.5 99 3 298.5 2"])
        // Number 4 commits after 5 was read: passed by the reading, found by counting again.
        try platform.trade(4, at: at(0), "120", "1")
        try run(platform, at: at(10))
        #expect(try tickers(platform) == ["99 100.5 100.5 99 3 298.5 2"])
        #expect(try run(platform, at: at(605), recount: .minutes(10)).corrected == 1)
        #expect(try tickers(platform) == ["99 100.5 120 99 4 418.5 3"])
    }
}
