import ExchangeKit

/// What asking costs. Reserved at its highest before a request is sent, so that the cap holds even if
/// nobody is left to hear the answer; put right when its price is known.
struct SpendingMeter: Hashable, Sendable {
    let cap: Amount
    /// For a million tokens.
    let priceIn: Amount
    let priceOut: Amount
    private(set) var spent: Amount
    private(set) var calls: Int64

    init(cap: Amount, priceIn: Amount, priceOut: Amount, spent: Amount = .zero, calls: Int64 = 0) {
        self.cap = cap
        self.priceIn = priceIn
        self.priceOut = priceOut
        self.spent = spent
        self.calls = calls
    }

    private static let million = Amount(1_000_000)

    func cost(tokensIn: Int64, tokensOut: Int64) throws(AmountError) -> Amount {
        let input = try Amount(Int32(clamping: tokensIn)).times(priceIn, over: Self.million, .up)
        return try input + Amount(Int32(clamping: tokensOut)).times(priceOut, over: Self.million, .up)
    }

    /// The most that requests of so many bytes can cost: no token is shorter than a byte.
    func most(bytes: Int, maxTokens: Int, attempts: Int) throws(AmountError) -> Amount {
        try cost(tokensIn: Int64(bytes), tokensOut: Int64(maxTokens)).times(Amount(Int32(clamping: attempts)), .up)
    }

    /// false: it could exceed the cap, and nothing is to be sent.
    mutating func reserve(_ amount: Amount) throws(AmountError) -> Bool {
        let next = try spent + amount
        guard next <= cap else { return false }
        spent = next
        calls += 1
        return true
    }

    /// What was reserved has cost this.
    mutating func settle(_ reserved: Amount, cost: Amount) throws(AmountError) {
        spent = try max(.zero, spent - reserved + cost)
    }
}

/// A meter that a database keeps, by day.
struct SpendingBook {
    let exchange: Exchange
    let simulation: String
    let settings: ModelSettings
    /// Real time, milliseconds since 1970 UTC.
    let now: Int64

    func meter() throws -> SpendingMeter {
        let found = try exchange.first("spending", ["simulation": .text(simulation), "day_ms": .int(day)]) {
            (spent: try $0.amount(0), calls: try $0.int64(1))
        }
        return SpendingMeter(
            cap: settings.maxSpend, priceIn: settings.priceIn, priceOut: settings.priceOut, spent: found?.spent ?? .zero,
            calls: found?.calls ?? 0)
    }

    /// Changes the meter in a transaction of its own.
    func change<Result>(_ body: (inout SpendingMeter) throws -> Result) throws -> Result {
        try exchange.write {
            var meter = try meter()
            let result = try body(&meter)
            try exchange.run("put_spending", [
                "simulation": .text(simulation), "day_ms": .int(day), "spent": .amount(meter.spent), "calls": .int(meter.calls),
            ])
            return result
        }
    }

    private var day: Int64 { now / 86_400_000 * 86_400_000 }
}
