import ExchangeKit
import JobKit
import SQL

/// A removal that the matching engine was asked for, and what it has answered.
struct Removal: Hashable {
    enum Answer: Hashable {
        /// It is out of the book; nil: the engine did not say how much of it was ever filled.
        case removed(finalFilled: Amount?)
        case refused(reason: String)
    }

    var order: ExpiringOrder
    /// The application has ended the order by itself: filled or cancelled.
    var isEnded: Bool
    /// How often it was asked for, from 1.
    var asks: Int64
    /// Milliseconds since 1970 UTC.
    var asked: Int64
    var isAlerted: Bool
    var answer: Answer?
    var answered: Int64

    enum Step: Hashable {
        /// `alert`: why somebody should look; once for each request.
        case wait(alert: String?)
        case leave
        case expire
        case askAgain(reason: String)
    }

    /// What follows from all this. Pure.
    ///
    /// Money is only given back when the final fill is known and settled: until then the order
    /// may still be filled, or has been and is not booked.
    func step(now: Int64, timeout: Int64) throws -> Step {
        if isEnded { return .leave }
        switch answer {
        case nil:
            return .wait(alert: now - asked >= timeout ? "the engine has not answered for \((now - asked) / 1_000) s" : nil)
        case .refused(let reason):
            return now - answered >= timeout ? .askAgain(reason: reason) : .wait(alert: nil)
        case .removed(nil):
            throw ExpiryProblem.removal("the engine has removed it without saying what was filled (final_filled)")
        case .removed(let final?):
            if final == order.filled { return .expire }
            if final < order.filled {
                throw ExpiryProblem.removal("the engine says \(final) were filled, \(order.filled) are booked")
            }
            let isLate = now - answered >= timeout
            return .wait(alert: isLate ? "the engine says \(final) were filled, only \(order.filled) are booked" : nil)
        }
    }

    static func read(_ row: any SQLStatement) throws -> Removal {
        let answer: Answer?
        switch try row.textOrNil(17) {
        case nil: answer = nil
        case "removed": answer = .removed(finalFilled: try row.amountOrNil(18))
        case "refused": answer = .refused(reason: try row.textOrNil(19) ?? "no reason given")
        case let other?: throw ExpiryProblem.removal("the answer '\(other)' is neither removed nor refused")
        }
        return Removal(
            order: try ExpiringOrder.read(row), isEnded: !["open", "partial", "expiring"].contains(try row.text(13)),
            asks: try row.int64(14), asked: try row.int64(15), isAlerted: !row.isNull(16), answer: answer,
            answered: try row.int64OrNil(20) ?? 0)
    }
}
