import ExchangeKit
import JobKit
import SQL

/// An order past its time, as one run has read it.
struct ExpiringOrder: Hashable {
    enum Side: String, Sendable { case buy, sell }

    /// The platform's own, whatever form it has.
    var id: String
    var owner: String
    var symbol: String
    /// What it holds money of.
    var currency: String
    var side: Side
    var price: Amount
    var amount: Amount
    var filled: Amount
    /// As stored: what the compare-and-set compares with.
    var filledText: String
    var locked: Amount
    /// Locked for fees when it was placed, and what of that was charged.
    var fee: Amount
    var feeCharged: Amount
    var version: String
    /// Milliseconds since 1970 UTC.
    var expires: Int64

    /// What it should still hold: a sell its remaining amount, a buy what that costs, a product
    /// rounded up to 18 decimals, and the fee that was not charged yet.
    var expected: Amount {
        get throws {
            let remaining = try amount - filled
            guard !remaining.isNegative else {
                throw ExpiryProblem.unlock("\(filled) of \(amount) are filled, which is more than all")
            }
            switch side {
            case .sell: return remaining
            case .buy: return try remaining.times(price, .up) + fee - feeCharged
            }
        }
    }

    /// What giving back releases: what is locked, once that agrees with `expected`.
    ///
    /// - Parameter tolerance: how far the two may be apart.
    func release(tolerance: Amount, _ policy: OrderExpiryEntry.Mismatch) throws -> (amount: Amount, warning: String?) {
        guard !locked.isNegative else { throw ExpiryProblem.unlock("it holds \(locked) \(currency), which is below zero") }
        let expected = try expected
        guard try (locked - expected).magnitude > tolerance else { return (locked, nil) }
        let rule = side == .sell ? "the remaining amount" : "remaining × price + fee not yet charged"
        let sentence = "it holds \(locked) \(currency), \(rule) is \(expected)"
        guard policy == .release else { throw ExpiryProblem.unlock(sentence + ": left as it is") }
        return (locked, sentence)
    }

    static func read(_ row: any SQLStatement) throws -> ExpiringOrder {
        guard let side = Side(rawValue: try row.text(4)) else {
            throw JobFailure.permanent("the side '\(try row.text(4))' is neither buy nor sell")
        }
        return ExpiringOrder(
            id: try row.text(0), owner: try row.text(1), symbol: try row.text(2), currency: try row.text(3), side: side,
            price: try row.amount(5), amount: try row.amount(6), filled: try row.amount(7), filledText: try row.text(7),
            locked: try row.amount(8), fee: try row.amount(9), feeCharged: try row.amount(10), version: try row.text(11),
            expires: try row.int64(12))
    }

    /// For events and the activity log.
    var facts: [(String, JSON)] {
        [
            ("order_id", .string(id)), ("owner", .string(owner)), ("pair", .string(symbol)), ("side", .string(side.rawValue)),
            ("price", .string(price.description)), ("amount", .string(amount.description)),
            ("filled", .string(filled.description)), ("expires_ms", .number(String(expires))),
        ]
    }
}

/// Why an order cannot be ended.
enum ExpiryProblem: Error, Hashable, CustomStringConvertible {
    /// What it holds cannot be given back.
    case unlock(String)
    /// The engine did not take it out of the book.
    case removal(String)

    var description: String {
        switch self {
        case .unlock(let text), .removal(let text): text
        }
    }
}
