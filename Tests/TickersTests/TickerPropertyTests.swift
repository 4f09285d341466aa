import ExchangeKit
import ExchangeTestKit
import JobCore
import JobKit
import SQL
import Testing

@testable import Tickers

@Suite struct TickerPropertyTests {
    /// Trades that arrive late, early and in any order, several in a millisecond, runs at any
    /// time, small batches, a pair that comes and goes: after every run each ticker is what one
    /// computes from all trades.
    @Test(arguments: 1 ... 12)
    func incrementalIsWhatAllTradesGive(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let market = try Market(pairs: ["A/B", "C/D", "E/F"])
        var now = at(0)
        var ids: [Int64: [Int64]] = [:]
        for pair in Int64(1) ... 3 { ids[pair] = Array(1 ... 2_000).shuffled(using: &random) }
        var listed = true
        for _ in 0 ..< 60 {
            now += [5_000, 5_000, 5_000, 60_000, 3_600_000, 40_000_000, 90_000_000].randomElement(using: &random) ?? 0
            for _ in 0 ..< Int.random(in: 0 ... 25, using: &random) {
                let pair = Int64.random(in: 1 ... 3, using: &random)
                // Mostly just now, sometimes hours ago, at the window's edges, or ahead.
                let away = [
                    Int64.random(in: 0 ... 5_000, using: &random), .random(in: 0 ... 90_000_000, using: &random),
                    .random(in: 86_390_000 ... 86_400_001, using: &random), .random(in: -20_000 ... 0, using: &random),
                    1_000,
                ].randomElement(using: &random) ?? 0
                let price = Int64.random(in: 1 ... 30, using: &random)
                let size = "\(Int.random(in: 0 ... 9, using: &random)).\(Int.random(in: 0 ... 999, using: &random))"
                guard let id = ids[pair]?.popLast() else { continue }
                try market.trade(id, at: now - away, "\(price).5", size, pair: pair)
            }
            if Int.random(in: 0 ..< 10, using: &random) == 0 {
                listed.toggle()
                try market.test.connection.run("UPDATE pairs SET active = ? WHERE id = 3", [.bool(listed)])
            }
            let report = try market.run(now) { $0.batch = 7; $0.recount = .hours(10) }
            #expect((report.errors, report.corrected) == (0, 0), "\(report.lines)")
            for pair in Int64(1) ... (listed ? 3 : 2) {
                #expect(try market.ticker(pair) == market.expected(pair, now: now), "pair \(pair), seed \(seed)")
            }
        }
    }

    /// A few trades come, wait and go: what a run does, in all its kinds.
    private func market() throws -> Market {
        let market = try Market(.disk, pairs: ["A/B", "C/D", "E/F"])
        for (id, seconds, price) in [(1, 0, "3"), (2, 60, "1"), (3, Market.day + 100, "7")] as [(Int64, Int64, String)] {
            for pair in [Int64(1), 2] { try market.trade(id, at: at(seconds), price, "1", pair: pair) }
        }
        try market.run(at(90))
        try market.trade(4, at: at(80), "2", "1")
        try market.trade(5, at: at(Market.day + 20), "4", "1")
        try market.trade(6, at: at(50), "9", "1", pair: 3)
        try market.test.connection.run("DELETE FROM ticker_windows WHERE pair_id = 3")
        return market
    }

    private let now = at(Market.day + 30)

    private func runOnItsOwn(_ market: Market) throws {
        let own = try Exchange.open(market.test.location, statements: .tickers)
        defer { own.close() }
        try market.run(now, on: own) { $0.batch = 1 }
    }

    @Test func cutAnywhereNothingIsCountedTwiceAndNothingIsLost() throws {
        let cuts = try cutAtEveryStatement(market, run: runOnItsOwn) { (market, place) throws in
            for pair in Int64(1) ... 3 {
                #expect(try market.ticker(pair) == market.expected(pair, now: now), "\(place)")
            }
            // … also later, when what was counted has to leave again.
            try market.run(at(2 * Market.day))
            #expect(try market.ticker() == market.expected(now: at(2 * Market.day)), "\(place)")
        }
        #expect(cuts > 60)
    }

    @Test func aTradeThatIsWrittenAtTheWorstMomentIsCountedOnce() throws {
        let moments = try besideAWriterAtEveryStatement({
            let market = try market()
            return (market, market.test)
        }, write: { other in
            try other.run(
                "INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (1, 99, ?, 'buy', '8', '1'), (3, 99, ?, 'buy', '8', '1')",
                [.int(at(70)), .int(at(70))])
        }, run: runOnItsOwn) { (market, place) throws in
            for pair in [Int64(1), 3] {
                market.trades.append((pair, try Trade(TradeKey(instant: at(70), id: 99), price: Amount(8), amount: .one)))
            }
            for later in [now + 5_000, at(Market.day + 75), at(2 * Market.day)] {
                try market.run(later)
                for pair in Int64(1) ... 3 {
                    #expect(try market.ticker(pair) == market.expected(pair, now: later), "\(place)")
                }
            }
        }
        #expect(moments > 30)
    }
}
