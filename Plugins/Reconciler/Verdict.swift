import ExchangeKit

/// What an exchange says of an order.
struct ExchangeAnswer: Hashable, Sendable {
    /// nil: as it was.
    var status: OrderStatus?
    var executed: Amount
    /// Paid or received for it in all; nil: the exchange does not know (any more).
    var executedQuote: Amount?
}

/// What the answer means for the order that we have. Pure.
enum Verdict: Hashable {
    /// It is as we have it.
    case same
    case change(Change)
    /// An older state than ours: the answer came from a copy that lags behind, or was overtaken.
    case stale(String)
    /// It cannot be: nothing is written, somebody has to look.
    case impossible(String)

    struct Change: Hashable {
        var status: OrderStatus
        var executed: Amount
        var averagePrice: Amount?
        var settlement: Settlement?
    }

    init(_ order: PlacedOrder, _ answer: ExchangeAnswer) throws {
        let status = answer.status ?? order.status
        guard !answer.executed.isNegative else {
            self = .impossible("executed \(answer.executed) is below 0")
            return
        }
        if let quantity = order.quantity, answer.executed > quantity {
            self = .impossible("executed \(answer.executed) of \(quantity)")
            return
        }
        if status == .filled, let quantity = order.quantity, answer.executed < quantity {
            self = .impossible("filled, but executed only \(answer.executed) of \(quantity)")
            return
        }
        // Executed quantity never falls; what was ended stays ended with what it had.
        guard answer.executed >= order.executed, status.rank >= order.status.rank else {
            let text = "it says \(status.rawValue) with \(answer.executed) executed, we have \(order.status.rawValue) "
                + "with \(order.executed)"
            self = status.isFinal ? .impossible(text) : .stale(text)
            return
        }
        var average = try Self.averagePrice(answer)
        // A quote quantity that is not known takes nothing away from what is.
        if average == nil, answer.executed == order.executed { average = order.averagePrice }
        let settlement = try order.holding.map { try Settlement($0, answer, isFinal: status.isFinal) }
        let isSame = status == order.status && answer.executed == order.executed && average == order.averagePrice
            && settlement?.isNothing ?? true
        self = isSame
            ? .same : .change(Change(status: status, executed: answer.executed, averagePrice: average, settlement: settlement))
    }

    /// Unknown where nothing was executed and where the quote quantity is.
    static func averagePrice(_ answer: ExchangeAnswer) throws -> Amount? {
        guard answer.executed.isPositive, let quote = answer.executedQuote, !quote.isNegative else { return nil }
        return try quote.over(answer.executed, .halfEven)
    }
}

/// What the ledger has to move for an answer: new fills, and at the end what is still locked.
struct Settlement: Hashable {
    /// Filled since the last settlement.
    var base = Amount.zero
    var quote = Amount.zero
    /// Given back.
    var released = Amount.zero
    /// The holding afterwards.
    var after: Holding
    /// Why the fills cannot be settled; nothing is released then either.
    var doubt: String?

    var isNothing: Bool { base.isZero && quote.isZero && released.isZero }
    /// What the fills take out of the lock, and what they take beyond it.
    let spent: Amount
    let beyond: Amount

    init(_ holding: Holding, _ answer: ExchangeAnswer, isFinal: Bool) throws {
        after = holding
        if answer.executed > holding.settled {
            guard let quote = answer.executedQuote, !quote.isNegative, quote >= holding.settledQuote else {
                doubt = "what its fills cost is not known: not settled, \(holding.locked) \(holding.lockedCurrency) stay locked"
                (spent, beyond) = (.zero, .zero)
                return
            }
            base = try answer.executed - holding.settled
            self.quote = try quote - holding.settledQuote
            (after.settled, after.settledQuote) = (answer.executed, quote)
        }
        let taken = holding.isBuy ? quote : base
        spent = min(taken, holding.locked)
        beyond = try taken - spent
        after.locked = try holding.locked - spent
        if isFinal {
            released = after.locked
            after.locked = .zero
        }
    }
}
