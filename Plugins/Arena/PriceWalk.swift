import ExchangeKit
import JobCore

/// A price that walks at random around where it began. Whole numbers only, so that a seed makes
/// the same market on every machine.
struct PriceWalk {
    struct Trade: Hashable {
        var instant: Int64
        var isBuy: Bool
        var price: Amount
        var amount: Amount
    }

    private let home: Int64
    private var ticks: Int64
    /// A tick in units of 10⁻¹⁸.
    private let tickUnits: Int128
    private let amountDecimals: Int
    private let meanGap: Int64
    /// Of one trade, in millionths of the price.
    private let deviation: Int64
    private var random: SeededGenerator

    /// - Parameters:
    ///   - home: the price around which it moves; `last`: where it is, nil: at home.
    ///   - tradesPerMinute: on average; 1 … 1,000.
    ///   - volatilityBps: standard deviation over a minute, in 1/100 %.
    init(
        home: Amount, last: Amount?, tradesPerMinute: Int, volatilityBps: Int, random: SeededGenerator
    ) throws(AmountError) {
        let decimals = home >= Amount(1_000) ? 2 : home >= Amount(10) ? 3 : home >= .one ? 4 : 8
        var units = Amount.unitsPerOne
        for _ in 0 ..< decimals { units /= 10 }
        tickUnits = units
        self.home = max(1, Int64(clamping: home.units / units))
        ticks = max(1, Int64(clamping: (last ?? home).units / units))
        amountDecimals = home >= Amount(1_000) ? 5 : home >= .one ? 3 : 0
        let rate = Int64(min(max(1, tradesPerMinute), 1_000))
        meanGap = 60_000 / rate
        deviation = Int64(volatilityBps) * 100 * 1_000 / Self.squareRoot(rate * 1_000_000)
        self.random = random
    }

    var price: Amount { Amount(units: Int128(ticks) * tickUnits) }

    /// The trades in `[from, to)`.
    mutating func trades(from: Int64, to: Int64) throws(AmountError) -> [Trade] {
        var result: [Trade] = []
        var instant = from
        while true {
            instant += Int64.random(in: 1 ... 2 * meanGap, using: &random)
            guard instant < to else { return result }
            let before = ticks
            step()
            let isBuy = ticks == before ? Bool.random(using: &random) : ticks > before
            result.append(Trade(instant: instant, isBuy: isBuy, price: price, amount: try amount()))
        }
    }

    private mutating func step() {
        // Three uniform numbers have very nearly a normal sum, with a deviation of 100.
        var draw: Int64 = 0
        for _ in 0 ..< 3 { draw += Int64.random(in: -100 ... 100, using: &random) }
        let move = Int128(ticks) * Int128(deviation) * Int128(draw) / 100_000_000
        let pull = Int128(home - ticks) / 20_000
        let next = Int128(ticks) + move + pull
        ticks = Int64(clamping: min(max(next, Int128(max(1, home / 4))), Int128(home) * 4))
    }

    /// Worth between 5 and 7,500 of the quote currency; small ones are many.
    private mutating func amount() throws(AmountError) -> Amount {
        let classes: [Int32] = [10, 10, 20, 20, 50, 50, 100, 100, 200, 500, 1_000, 5_000]
        let worth = classes[Int.random(in: 0 ..< classes.count, using: &random)]
        let percent = Int32.random(in: 50 ... 150, using: &random)
        return try Amount(worth).times(Amount(percent), over: .hundred, .up)
            .over(price, .up).rounded(to: amountDecimals, .up)
    }

    private static func squareRoot(_ value: Int64) -> Int64 {
        var root: Int64 = 1
        while (root + 1) * (root + 1) <= value { root += 1 }
        return root
    }
}
