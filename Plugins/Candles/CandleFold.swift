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

    /// Where the candle of this key is; nil: nowhere yet.
    mutating func place(of key: CandleKey) -> Int? {
        let guess = recent[slot(of: key)]
        if guess < keys.count, keys[guess] == key { return guess }
        guard let place = places[key] else { return nil }
        recent[slot(of: key)] = place
        return place
    }

    /// - Parameter place: what `place(of:)` has just said of the key.
    mutating func add(_ trade: Candle, to key: CandleKey, at place: Int?) throws(AmountError) {
        if let place { return try candles[place].merge(trade) }
        recent[slot(of: key)] = keys.count
        places[key] = keys.count
        keys.append(key)
        candles.append(trade)
    }

    private func slot(of key: CandleKey) -> Int { Int(truncatingIfNeeded: (key.open / 60_000) ^ (key.pair << 3)) & 1_023 }

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
