import ExchangeKit
import JobCore
import Testing

@testable import Candles

/// Whatever order trades come in and whenever candles are made of them: the result is what one
/// computes from all trades at once.
@Suite struct CandlePropertyTests {
    @Test(arguments: [UInt64](1 ... 24))
    func incrementalEqualsComputedAtOnce(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let fill: CandlesEntry.Fill = seed % 2 == 0 ? .flat : .omit
        let dayStart = seed % 3 == 0 ? "17:00 America/New_York" : "UTC"
        let change: (inout CandlesEntry.Settings) -> Void = {
            $0.fill = fill
            $0.dayStart = dayStart
            $0.batch = 7
        }
        let market = try Market(pairs: ["A/B", "C/D"])
        var now = at(0)
        var id: Int64 = 0
        for _ in 0 ..< 30 {
            now += Int64.random(in: 0 ..< 400_000, using: &random)
            for _ in 0 ..< Int.random(in: 0 ..< 12, using: &random) {
                id += 1
                // Mostly just now, sometimes long ago; often the same second.
                let age = Int64.random(in: 0 ..< 10, using: &random) == 0 ? Int64(5_000_000) : 90_000
                let instant = (now - Int64.random(in: 0 ..< age, using: &random)) / 1_000 * 1_000
                try market.trade(
                    id, at: instant, "\(Int.random(in: 1 ..< 50, using: &random)).5",
                    "0.\(Int.random(in: 1 ..< 999, using: &random))", pair: Int64.random(in: 1 ... 2, using: &random))
            }
            try market.run(now: now, change)
        }
        try market.run(now: now, change)

        let day = try TradingDay(parsing: dayStart)
        for interval in CandleInterval.allCases {
            let rows = try market.rows(interval.rawValue)
            let expected = try expectedCandles(market, interval, day, fill, now: now)
            #expect(rows == expected, "seed \(seed), \(interval.rawValue)")
        }
    }

    /// From the definition, without anything that the plugin does.
    private func expectedCandles(
        _ market: Market, _ interval: CandleInterval, _ day: TradingDay, _ fill: CandlesEntry.Fill, now: Int64
    ) throws -> [Market.Row] {
        var result: [Market.Row] = []
        for pair in Int64(1) ... 2 {
            let trades = market.arrived.filter { $0.pair == pair }.map(\.trade)
                .sorted { ($0.instant, $0.id) < ($1.instant, $1.id) }
            let buckets = Dictionary(grouping: trades) { interval.bucket(containing: $0.instant, day) }
            guard var bucket = buckets.keys.min(by: { $0.open < $1.open }) else { continue }
            let last = buckets.keys.map(\.open).max() ?? 0
            var before: Amount?
            while bucket.open <= last || (fill == .flat && bucket.close <= now) {
                if let found = buckets[bucket] {
                    let candle = try candle(of: found)
                    result.append(Market.Row(
                        pair: pair, interval: interval.rawValue, open: bucket.open, candle: candle, closed: bucket.close <= now))
                    before = candle.close
                } else if fill == .flat, let before {
                    result.append(Market.Row(
                        pair: pair, interval: interval.rawValue, open: bucket.open, candle: Candle(flatAt: before), closed: true))
                }
                bucket = interval.bucket(containing: bucket.close, day)
            }
        }
        return result
    }

    private func candle(of trades: [Market.Trade]) throws -> Candle {
        let prices = try trades.map { try Amount(parsing: $0.price) }
        let amounts = try trades.map { try Amount(parsing: $0.amount) }
        var (volume, quote) = (Amount.zero, Amount.zero)
        for (price, amount) in zip(prices, amounts) {
            volume = try volume + amount
            quote = try quote + price.times(amount, .halfEven)
        }
        return Candle(
            open: try #require(prices.first), high: try #require(prices.max()), low: try #require(prices.min()),
            close: try #require(prices.last), volume: volume, quoteVolume: quote, trades: Int64(trades.count),
            first: TradeKey(instant: trades[0].instant, id: trades[0].id),
            last: TradeKey(instant: trades[trades.count - 1].instant, id: trades[trades.count - 1].id))
    }
}
