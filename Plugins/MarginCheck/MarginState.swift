import ExchangeKit

/// Long or short.
enum Side: String, Sendable {
    case long, short
}

struct Position: Hashable, Sendable {
    var id: Int64
    var pair: Int64
    var symbol: String
    /// The currency its prices are in.
    var quote: String
    var contractSize: Amount
    var sizeStep: Amount
    var side: Side
    /// In contracts.
    var size: Amount
    var openPrice: Amount
    var leverage: Amount
    var version: Int64
}

struct MarginAccount: Hashable, Sendable {
    var id: Int64
    var name: String
    var currency: String
    var wallet: Int64
    /// What is locked, for orders that rest, included: it is the account's all the same.
    var balance: Amount
    var positions: [Position]
}

/// A position at a price, in the account's currency.
struct ValuedPosition: Hashable, Sendable {
    var position: Position
    /// What it would be closed at: the bid for a long one, the ask for a short one.
    var price: Amount
    /// Fresh and confirmed: it may be closed at this price.
    var isClosable: Bool
    var profit: Amount
    var notional: Amount
    var margin: Amount
}

/// An account at the market's prices.
///
/// Equity = balance + unrealised profit; used margin = Σ notional ÷ leverage, both at the price
/// at which each position would be closed; level = equity ÷ used margin × 100, undefined
/// without used margin (the terms and the arithmetic of the retail brokers' published examples).
struct MarginState: Hashable, Sendable {
    var account: MarginAccount
    var positions: [ValuedPosition]
    var equity: Amount
    var usedMargin: Amount

    init(account: MarginAccount, positions: [ValuedPosition]) throws(AmountError) {
        self.account = account
        self.positions = positions
        equity = account.balance
        usedMargin = .zero
        for position in positions {
            equity = try equity + position.profit
            usedMargin = try usedMargin + position.margin
        }
    }

    /// What is left for new positions: equity − used margin.
    var available: Amount { get throws(AmountError) { try equity - usedMargin } }

    /// Percent, four decimals; nil without used margin.
    var level: Amount? {
        guard usedMargin.isPositive else { return nil }
        return try? equity.times(.hundred, over: usedMargin, .halfEven).rounded(to: 4, .halfEven)
    }

    /// level < percent, without rounding.
    func isBelow(_ percent: Amount) -> Bool {
        usedMargin.isPositive && Amount.product(equity, .hundred, isLessThan: percent, usedMargin)
    }
    /// level ≤ percent, without rounding.
    func isAtOrBelow(_ percent: Amount) -> Bool {
        usedMargin.isPositive && !Amount.product(percent, usedMargin, isLessThan: equity, .hundred)
    }
}

/// What to close of which position.
struct Closing: Hashable, Sendable {
    var valued: ValuedPosition
    /// At most the position's size.
    var size: Amount
    var isWhole: Bool { size >= valued.position.size }

    /// Its part of the position's profit.
    var profit: Amount {
        get throws(AmountError) {
            isWhole ? valued.profit : try valued.profit.times(size, over: valued.position.size, .halfEven)
        }
    }
    var notional: Amount {
        get throws(AmountError) {
            isWhole ? valued.notional : try valued.notional.times(size, over: valued.position.size, .halfEven)
        }
    }
}

extension MarginState {
    /// The next closing on the way above stop-out; nil: above it, or nothing may be closed.
    func nextClosing(
        _ order: ClosingOrder, stopOut: Amount, partialPoints: Amount
    ) throws(AmountError) -> Closing? {
        guard isAtOrBelow(stopOut) else { return nil }
        let closable = positions.filter(\.isClosable)
        let first = order == .largestMargin
            ? closable.max { ($0.margin, $1.position.id) < ($1.margin, $0.position.id) }
            : closable.min { ($0.profit, $0.position.id) < ($1.profit, $1.position.id) }
        guard let first else { return nil }
        guard order == .partial, equity.isPositive else { return Closing(valued: first, size: first.position.size) }
        // Closing at the price of the valuation leaves equity as it is, so the margin has to
        // come down to equity ÷ target.
        let target = try stopOut + partialPoints
        let allowed = try equity.times(.hundred, over: target, .down)
        let excess = try usedMargin - allowed
        guard first.margin > excess else { return Closing(valued: first, size: first.position.size) }
        let size = try first.position.size.times(excess, over: first.margin, .up)
            .roundedToMultiple(of: first.position.sizeStep, .up)
        return Closing(valued: first, size: min(size, first.position.size))
    }

    /// As it would be after a closing.
    func after(_ closing: Closing) throws(AmountError) -> MarginState {
        var account = account
        account.balance = try account.balance + closing.profit
        var rest: [ValuedPosition] = []
        for valued in positions {
            guard valued.position.id == closing.valued.position.id else {
                rest.append(valued)
                continue
            }
            if closing.isWhole { continue }
            var smaller = valued
            smaller.position.size = try valued.position.size - closing.size
            smaller.profit = try valued.profit - closing.profit
            smaller.notional = try valued.notional - closing.notional
            smaller.margin = try valued.margin.times(smaller.position.size, over: valued.position.size, .halfEven)
            rest.append(smaller)
        }
        account.positions = rest.map(\.position)
        return try MarginState(account: account, positions: rest)
    }

    /// All closings until above stop-out, one at a time, each from the state after the last.
    func closings(_ order: ClosingOrder, stopOut: Amount, partialPoints: Amount) throws(AmountError) -> [Closing] {
        var state = self
        var result: [Closing] = []
        // Each closing ends a position or reaches the target, so this ends; the bound says so.
        while result.count <= positions.count,
            let next = try state.nextClosing(order, stopOut: stopOut, partialPoints: partialPoints)
        {
            result.append(next)
            state = try state.after(next)
        }
        return result
    }
}
