import ExchangeKit

/// What a ticker needs to know of a trade.
struct Trade: Hashable {
    var key: TradeKey
    var price: Amount
    var amount: Amount
    /// Price × amount, rounded half-even to 18 decimals.
    var quote: Amount

    init(_ key: TradeKey, price: Amount, amount: Amount) throws {
        guard price.isPositive, !amount.isNegative else { throw TradeFault(price: price, amount: amount) }
        (self.key, self.price, self.amount) = (key, price, amount)
        quote = try price.times(amount, .halfEven)
    }
}

struct TradeFault: Error, Hashable, CustomStringConvertible {
    var price: Amount
    var amount: Amount
    var description: String { "price \(price) or amount \(amount) makes no sense" }
}

/// The trades of [from, until), summed up so that one can come or go without the others being
/// looked at. Pure.
///
/// High and low are not here: what may still become one is kept apart (`Candidates`).
struct TickerWindow: Hashable {
    struct Print: Hashable {
        var key: TradeKey
        var price: Amount
        init(_ trade: Trade) { (key, price) = (trade.key, trade.price) }
        init(key: TradeKey, price: Amount) { (self.key, self.price) = (key, price) }
    }

    static let length: Int64 = 86_400_000

    /// Milliseconds since 1970 UTC; `until` is exclusive.
    private(set) var from: Int64
    private(set) var until: Int64
    private(set) var trades: Int64 = 0
    private(set) var volume = Amount.zero
    private(set) var quoteVolume = Amount.zero
    /// The oldest in the window; nil while it has to be looked up: `needsFirst`.
    var first: Print?
    /// The newest before `until`, in the window or not.
    var last: Print?
    /// Of all that were ever added; not before `until`: some wait for their time.
    private(set) var newest: Int64?

    init(until: Int64) {
        self.until = until
        from = until - Self.length
    }

    init(
        from: Int64, until: Int64, trades: Int64, volume: Amount, quoteVolume: Amount, first: Print?, last: Print?,
        newest: Int64?
    ) {
        (self.from, self.until, self.trades, self.volume) = (from, until, trades, volume)
        (self.quoteVolume, self.first, self.last, self.newest) = (quoteVolume, first, last, newest)
    }

    var needsFirst: Bool { trades > 0 && first == nil }
    /// Trades wait behind `until`.
    var hasFuture: Bool { newest.map { $0 >= until } ?? false }
    func hasBefore(_ instant: Int64) -> Bool { first.map { $0.key.instant < instant } ?? false }

    /// true: it is in the window. Throws without having changed anything.
    mutating func add(_ trade: Trade) throws -> Bool {
        let instant = trade.key.instant
        let isInside = instant >= from && instant < until
        if isInside {
            let volume = try self.volume + trade.amount
            quoteVolume = try quoteVolume + trade.quote
            self.volume = volume
            // Unknown stays unknown: an older one may be there.
            if trades == 0 || first.map({ trade.key < $0.key }) ?? false { first = Print(trade) }
            trades += 1
        }
        if instant < until, last.map({ trade.key > $0.key }) ?? true { last = Print(trade) }
        newest = max(newest ?? instant, instant)
        return isInside
    }

    /// Notes that a trade behind `until` waits.
    mutating func wait(for instant: Int64) { newest = max(newest ?? instant, instant) }

    /// Moves on. What lies before the new beginning has to be removed, what lies before the new
    /// end and was waiting has to be added.
    mutating func move(until: Int64) {
        self.until = until
        from = until - Self.length
    }

    mutating func remove(_ trade: Trade) throws {
        trades -= 1
        volume = try volume - trade.amount
        quoteVolume = try quoteVolume - trade.quote
        first = nil
    }

    /// false: what was removed is not what had been added.
    var isSound: Bool {
        trades > 0 ? !volume.isNegative && !quoteVolume.isNegative : trades == 0 && volume.isZero && quoteVolume.isZero
    }
}

/// A side on which a trade can stand out.
enum Extreme: String, CaseIterable {
    case high, low

    /// A later trade at `a` makes an earlier one at `b` unnecessary.
    func isEnough(_ a: Amount, for b: Amount) -> Bool { self == .high ? a >= b : a <= b }
}

/// Of trades in their order those that may still become the highest or lowest when older ones
/// leave: no later one is as high (low). The oldest of them is it now. Pure.
struct Candidates {
    private var kept: [Extreme: [Trade]] = [:]

    subscript(kind: Extreme) -> [Trade] { kept[kind] ?? [] }

    mutating func add(_ trade: Trade) {
        for kind in Extreme.allCases {
            while let last = kept[kind]?.last, kind.isEnough(trade.price, for: last.price) { kept[kind]?.removeLast() }
            kept[kind, default: []].append(trade)
        }
    }
}
