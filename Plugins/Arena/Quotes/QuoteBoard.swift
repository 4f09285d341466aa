import ExchangeKit

/// What a provider says of a pair.
struct Quote: Hashable, Sendable {
    var pair: String
    var bid: Amount
    var ask: Amount
    /// The last price, or the middle.
    var price: Amount
    /// When it was so, milliseconds since 1970 UTC.
    var instant: Int64
}

/// Which pairs still need a price, and which prices are believed.
struct QuoteBoard: Hashable, Sendable {
    /// The market's clock: nothing that is later is taken.
    let clock: Int64
    /// Milliseconds.
    let maxAge: Int64
    /// A provider's clock may be ahead of ours by so much.
    private static let tolerance: Int64 = 5_000
    private let isDelayed: Bool
    private(set) var missing: [String]
    private(set) var quotes: [String: Quote] = [:]

    init(_ pairs: [String], clock: Int64, maxAge: Int64, isDelayed: Bool) {
        missing = pairs
        self.clock = clock
        self.maxAge = maxAge
        self.isDelayed = isDelayed
    }

    /// nil: taken, or not asked for; else why it is refused.
    ///
    /// - Parameter passed: milliseconds since the clock was read, in which other providers may have kept us waiting: a price
    ///   of now is that much later. Where the market is behind, prices are asked for as of its clock.
    mutating func offer(_ quote: Quote, passed: Int64 = 0) -> String? {
        let latest = isDelayed ? clock : clock + passed + Self.tolerance
        guard let index = missing.firstIndex(of: quote.pair) else { return nil }
        guard quote.bid.isPositive, quote.price.isPositive, quote.bid <= quote.ask else {
            return "\(quote.pair): bid \(quote.bid), ask \(quote.ask), price \(quote.price) cannot be"
        }
        guard quote.instant > 0 else { return "\(quote.pair): its price is of no time, ts_ms \(quote.instant)" }
        guard quote.instant <= latest else {
            return "\(quote.pair): its price is of \(utcText(quote.instant / 1_000 * 1_000)), later than the market's clock"
        }
        guard clock - quote.instant <= maxAge else {
            return "\(quote.pair): its price is \(counted((clock - quote.instant) / 1_000, "second")) old"
        }
        missing.remove(at: index)
        var quote = quote
        // Before the clock: what is of this instant is seen from this instant on.
        quote.instant = min(quote.instant, clock - 1)
        quotes[quote.pair] = quote
        return nil
    }

    /// What is missing, in batches.
    func batches(of size: Int) -> [[String]] {
        stride(from: 0, to: missing.count, by: max(1, size)).map { Array(missing[$0 ..< min(missing.count, $0 + max(1, size))]) }
    }
}
