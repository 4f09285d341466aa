import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import Candles

/// Foreign schema (a): `trading_pairs` with uuids, `trades` with timestamps.
@Suite struct CandlesForeignSchemaTests {
    private let platform: UUIDPlatform
    init() throws { platform = try UUIDPlatform() }

    @discardableResult
    private func run(lookback: Span = .zero, at now: Int64) throws -> CandleReport {
        let location = try platform.location(["pairs": "pairs", "new_trades": "new_trades.candles"])
        let exchange = try Exchange.open(location, statements: .candles)
        defer { exchange.close() }
        var settings = CandlesEntry.Settings()
        settings.lookback = lookback
        var run = try CandleRun(exchange, CandlePlan(settings), now: now)
        try run.run(isCancelled: { false })
        return run.report
    }

    private func candles(_ interval: String) throws -> [String] {
        try platform.test.connection.rows(
            """
            SELECT k.key, c.open_ms, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.trades, c.closed
            FROM candles c JOIN pair_keys k ON k.id = c.pair_id WHERE c.interval = ? ORDER BY c.pair_id, c.open_ms
            """, [.text(interval)]
        ) { row in
            let amounts = try (2 ... 7).map { try row.amount($0).description }.joined(separator: " ")
            let key = try row.text(0) == UUIDPlatform.ethereum ? "ETH" : "BTC"
            return "\(key) \(try row.int64(1) - at(0)) \(amounts) \(try row.int64(8))"
        }
    }

    @Test func candlesOfPairsThatHaveAUUIDAndTimesAsTimestamps() throws {
        defer { platform.remove() }
        try platform.trade(1, at: at(0) + 1, "10.50", "2")
        try platform.trade(2, at: at(0) + 59_999, "11", "1")
        try platform.trade(3, at: at(1), "9", "1")
        let first = try run(at: at(5))
        #expect((first.trades, first.written, first.activePairs, first.errors) == (3, 10, 1, 0))
        #expect(try candles("1m") == ["ETH 0 10.5 11 10.5 11 3 32 2", "ETH 60000 9 9 9 9 1 9 1"])
        #expect(try candles("1h") == ["ETH 0 10.5 11 9 9 4 41 3"])
        // Each pair has its number for ever, the halted one too; another one gets the next.
        let numbers = try platform.test.texts("SELECT key, id FROM pair_keys ORDER BY id")
        #expect(numbers.count == 2)
        try platform.trade(4, at: at(2), "8", "1", pair: UUIDPlatform.halted)
        #expect(try run(at: at(5)).trades == 1)
        #expect(try platform.test.texts("SELECT key, id FROM pair_keys ORDER BY id") == numbers)
        #expect(try candles("1m").contains("BTC 120000 8 8 8 8 1 8 1"))
        #expect(try run(at: at(5)).isIdle)
    }

    /// Number 100 commits after 101 was read.
    @Test func aTradeThatCommitsLateIsFoundByComparing() throws {
        defer { platform.remove() }
        try platform.trade(99, at: at(0), "10", "1")
        try platform.trade(101, at: at(0) + 2_000, "12", "1")
        try run(lookback: .minutes(10), at: at(5))
        try platform.trade(100, at: at(0) + 1_000, "14", "1")
        #expect(try run(at: at(5)).isIdle)
        let compared = try run(lookback: .minutes(10), at: at(5))
        #expect((compared.trades, compared.written, compared.corrected) == (0, 9, 2))
        #expect(try candles("1m") == ["ETH 0 10 14 10 12 3 36 3"])
        #expect(try candles("1d") == ["ETH 0 10 14 10 12 3 36 3"])
        #expect(try platform.test.events() == ["CandleCorrected", "CandleCorrected"])
        let again = try run(lookback: .minutes(10), at: at(5))
        #expect((again.written, again.corrected) == (0, 0))
    }

    /// What is older than the lookback is compared once a day.
    @Test func onceADayAWholeDayIsCompared() throws {
        defer { platform.remove() }
        try platform.trade(101, at: at(0), "12", "1")
        try run(lookback: .minutes(10), at: at(5))
        try platform.trade(100, at: at(0) + 1_000, "14", "1")
        try run(lookback: .minutes(10), at: at(60))
        #expect(try candles("1m") == ["ETH 0 12 12 12 12 1 12 1"])
        try run(lookback: .minutes(10), at: at(5 + 1_440))
        #expect(try candles("1m") == ["ETH 0 12 14 12 14 2 26 2"])
        #expect(try candles("1M").first?.hasSuffix(" 12 14 12 14 2 26 2") == true)
    }
}
