import ExchangeKit
import JobCore
import JobKit

/// Ways to trade that need nobody outside.
enum Strategy: String, CaseIterable, Codable, Sendable {
    /// Buys the same worth of everything once, and keeps it: what the others are measured by.
    case hold
    /// Buys what has risen most, sells what falls.
    case momentum
    /// Buys what is furthest below its mean, sells what is above.
    case reversion
    /// Throws dice, seeded.
    case random
    /// Asks a model (`model`).
    case model

    /// Price changes below this are noise: 0.1 %.
    private static let threshold = Amount(units: Amount.unitsPerOne / 1_000)

    func decide(
        _ view: MarketView, _ portfolio: Portfolio, _ fees: FeeSchedule, _ random: inout SeededGenerator
    ) throws(AmountError) -> AgentDecision {
        switch self {
        case .hold: try hold(view, portfolio, fees)
        case .momentum: try follow(view, portfolio, fees, sign: 1)
        case .reversion: try follow(view, portfolio, fees, sign: -1)
        case .random: try gamble(view, portfolio, fees, &random)
        case .model: AgentDecision(by: rawValue, note: "nobody was asked")
        }
    }

    private func hold(_ view: MarketView, _ portfolio: Portfolio, _ fees: FeeSchedule) throws(AmountError) -> AgentDecision {
        guard portfolio.holdings.isEmpty, !view.pairs.isEmpty else { return AgentDecision(by: rawValue, note: "holds") }
        let share = try portfolio.cash.over(Amount(Int32(clamping: view.pairs.count)), .down)
        var orders: [AgentOrder] = []
        for pair in view.pairs { if let order = try Self.buy(pair, with: share, fees) { orders.append(order) } }
        return AgentDecision(by: rawValue, orders: orders, note: "buys the same worth of \(counted(orders.count, "pair"))")
    }

    /// - Parameter sign: 1: with the move since the history began; -1: against the distance from the mean.
    private func follow(
        _ view: MarketView, _ portfolio: Portfolio, _ fees: FeeSchedule, sign: Int32
    ) throws(AmountError) -> AgentDecision {
        var orders: [AgentOrder] = []
        var best: (pair: MarketView.Pair, score: Amount)?
        let below = try -Self.threshold
        for pair in view.pairs {
            let measure = sign > 0 ? try Self.move(pair) : try Self.distance(pair)
            let score = try measure.times(Amount(sign), .halfEven)
            let held = portfolio.amount(of: pair.symbol.base)
            if held.isPositive, score < below {
                orders.append(AgentOrder(pair: pair.symbol.text, side: .sell, amount: held))
            } else if score > Self.threshold, score > best?.score ?? .zero {
                best = (pair, score)
            }
        }
        if let best, let order = try Self.buy(best.pair, with: portfolio.cash.over(Amount(2), .down), fees) { orders.append(order) }
        return AgentDecision(by: rawValue, orders: orders, note: orders.isEmpty ? "sees no move worth its fee" : "")
    }

    private func gamble(
        _ view: MarketView, _ portfolio: Portfolio, _ fees: FeeSchedule, _ random: inout SeededGenerator
    ) throws(AmountError) -> AgentDecision {
        guard let pair = view.pairs.randomElement(using: &random) else { return AgentDecision(by: rawValue, note: "no prices") }
        let held = portfolio.amount(of: pair.symbol.base)
        let percent = Amount(Int32.random(in: 10 ... 40, using: &random))
        if held.isPositive, Bool.random(using: &random) {
            return AgentDecision(by: rawValue, orders: [AgentOrder(pair: pair.symbol.text, side: .sell, amount: held)])
        }
        let order = try Self.buy(pair, with: portfolio.cash.times(percent, over: .hundred, .down), fees)
        return AgentDecision(by: rawValue, orders: order.map { [$0] } ?? [])
    }

    // MARK: Arithmetic

    /// (last - first) ÷ first.
    private static func move(_ pair: MarketView.Pair) throws(AmountError) -> Amount {
        guard let first = pair.history.first, first.isPositive else { return .zero }
        return try (pair.price - first).over(first, .halfEven)
    }

    /// (last - mean) ÷ mean.
    private static func distance(_ pair: MarketView.Pair) throws(AmountError) -> Amount {
        var sum = Amount.zero
        for price in pair.history { sum = try sum + price }
        let mean = try sum.over(Amount(Int32(clamping: max(1, pair.history.count))), .halfEven)
        guard mean.isPositive else { return .zero }
        return try (pair.price - mean).over(mean, .halfEven)
    }

    /// For `money`, fee included; nil: it is not enough for anything.
    private static func buy(_ pair: MarketView.Pair, with money: Amount, _ fees: FeeSchedule) throws(AmountError) -> AgentOrder? {
        guard pair.ask.isPositive else { return nil }
        let worth = try fees.affordable(with: money)
        // Nothing whose fee is a tenth of it.
        guard try worth > fees.minimum.times(Amount(10), .up) else { return nil }
        let amount = try worth.over(pair.ask, .down).rounded(to: 8, .down)
        return amount.isPositive ? AgentOrder(pair: pair.symbol.text, side: .buy, amount: amount) : nil
    }
}

/// What an agent wants in a window, and why; later, what came of it.
struct AgentDecision: Codable, Hashable, Sendable {
    /// The strategy, or the model.
    var by: String
    var orders: [AgentOrder] = []
    /// For people.
    var note = ""
    /// For each order one sentence, once it was executed.
    var results: [String]?

    var text: String { (try? JSON(encoding: self).text) ?? "{}" }
}
