import ExchangeKit
import SQL

/// Trades on their way into 1m candles. One pass, no allocation per trade.
struct CandleFold {
    private(set) var keys: [CandleKey] = []
    private(set) var candles: [Candle] = []
    private var places: [CandleKey: Int] = [:]
    /// Where a key was found last, by the low bits of its pair and minute: neighbouring trades
    /// share a few buckets, and hashing each of them would be the dearest part of reading it.
    private var recent = [Int](repeating: 0, count: 1_024)

    mutating func add(pair: Int64, instant: Int64, id: Int64, price: Amount, amount: Amount) throws(AmountError) {
        let remainder = instant % 60_000
        let key = CandleKey(pair: pair, open: instant - (remainder < 0 ? remainder + 60_000 : remainder))
        let trade = try Candle(price: price, amount: amount, at: TradeKey(instant: instant, id: id))
        let slot = Int(truncatingIfNeeded: (key.open / 60_000) ^ (pair << 3)) & 1_023
        let guess = recent[slot]
        if guess < keys.count, keys[guess] == key {
            try candles[guess].merge(trade)
        } else if let place = places[key] {
            recent[slot] = place
            try candles[place].merge(trade)
        } else {
            recent[slot] = keys.count
            places[key] = keys.count
            keys.append(key)
            candles.append(trade)
        }
    }

    /// Pair by pair, oldest first.
    func sorted() -> [(key: CandleKey, candle: Candle)] {
        zip(keys, candles).map { (key: $0, candle: $1) }
            .sorted { $0.key.pair != $1.key.pair ? $0.key.pair < $1.key.pair : $0.key.open < $1.key.open }
    }

    /// 1m candles, sorted, as candles of a longer interval.
    static func rollUp(
        _ minutes: [(key: CandleKey, candle: Candle)], to interval: CandleInterval, _ day: TradingDay
    ) throws(AmountError) -> [(pair: Int64, bucket: Bucket, candle: Candle)] {
        var result: [(pair: Int64, bucket: Bucket, candle: Candle)] = []
        for (key, candle) in minutes {
            if let last = result.last, last.pair == key.pair, key.open < last.bucket.close, key.open >= last.bucket.open {
                try result[result.count - 1].candle.merge(candle)
            } else {
                result.append((key.pair, interval.bucket(containing: key.open, day), candle))
            }
        }
        return result
    }
}
