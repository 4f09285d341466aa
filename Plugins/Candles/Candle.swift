import ExchangeKit

/// What the trades of one bucket come to.
///
/// Two candles of the same bucket merge in any order into the candle of all their trades,
/// because each knows which trades gave its open and close. So a late trade, a batch, a roll-up
/// from finer candles and a rebuild are one operation and cannot disagree.
struct Candle: Hashable {
    var open: Amount
    var high: Amount
    var low: Amount
    var close: Amount
    /// In the base currency.
    var volume: Amount
    /// In the quote currency: Σ price × amount, each product rounded half-even to 18 decimals.
    var quoteVolume: Amount
    /// 0: a flat candle, which only repeats the close before it.
    var trades: Int64
    var first: TradeKey
    var last: TradeKey

    /// Of one trade.
    init(price: Amount, amount: Amount, at key: TradeKey) throws(AmountError) {
        (open, high, low, close) = (price, price, price, price)
        volume = amount
        quoteVolume = try price.times(amount, .halfEven)
        trades = 1
        (first, last) = (key, key)
    }

    /// Of no trade.
    init(flatAt price: Amount) {
        (open, high, low, close) = (price, price, price, price)
        (volume, quoteVolume) = (.zero, .zero)
        trades = 0
        (first, last) = (TradeKey(instant: 0, id: 0), TradeKey(instant: 0, id: 0))
    }

    init(
        open: Amount, high: Amount, low: Amount, close: Amount, volume: Amount, quoteVolume: Amount, trades: Int64,
        first: TradeKey, last: TradeKey
    ) {
        (self.open, self.high, self.low, self.close) = (open, high, low, close)
        (self.volume, self.quoteVolume, self.trades) = (volume, quoteVolume, trades)
        (self.first, self.last) = (first, last)
    }

    /// Takes another candle's trades in. Throws without having changed anything.
    mutating func merge(_ other: Candle) throws(AmountError) {
        if other.trades == 0 { return }
        if trades == 0 {
            self = other
            return
        }
        let volume = try self.volume + other.volume
        let quoteVolume = try self.quoteVolume + other.quoteVolume
        let (trades, overflow) = self.trades.addingReportingOverflow(other.trades)
        if overflow { throw .outOfRange }
        (self.volume, self.quoteVolume, self.trades) = (volume, quoteVolume, trades)
        if other.high > high { high = other.high }
        if other.low < low { low = other.low }
        if other.first < first { (open, first) = (other.open, other.first) }
        if other.last > last { (close, last) = (other.close, other.last) }
    }
}

/// A pair's bucket.
struct CandleKey: Hashable {
    var pair: Int64
    var open: Int64
}

extension CandleKey {
    /// Of the minute with this instant.
    init(pair: Int64, minuteOf instant: Int64) {
        let remainder = instant % 60_000
        self.init(pair: pair, open: instant - (remainder < 0 ? remainder + 60_000 : remainder))
    }
}
