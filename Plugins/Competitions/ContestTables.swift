import ExchangeKit
import JobKit
import SQL

/// An entrant on record.
struct Entrant: Hashable, Sendable {
    var account: String
    var name: String
    var paid: Amount
    var startEquity: Amount
    /// nil until frozen.
    var finalEquity: Amount?
    var transferred: Amount?
}

/// A prize or refund that is to be paid.
struct Payout: Hashable, Sendable {
    var account: String
    var name: String
    var wallet: Int64
    var amount: Amount
    /// As stored: what the compare-and-set compares with.
    var amountText: String
}

/// What the job reads.
struct ContestTables {
    let exchange: Exchange

    func due(_ kind: ContestKind, until due: Int64) throws -> [String] {
        try exchange.rows("due_contests", ["kind": .text(kind.rawValue), "due": .int(due)]) { try $0.text(0) }
    }

    func nextEnd(_ kind: ContestKind) throws -> Int64? {
        try exchange.first("next_end", ["kind": .text(kind.rawValue)]) { try $0.int64OrNil(0) } ?? nil
    }

    /// nil: gone.
    func contest(_ id: String) throws -> Contest? {
        try exchange.first("contest", ["competition": .text(id)]) { row in
            guard let kind = ContestKind(rawValue: try row.text(1)), let status = ContestStatus(rawValue: try row.text(9)) else {
                throw JobFailure.permanent("the kind '\(try row.text(1))' or the status '\(try row.text(9))' is unknown")
            }
            let (fee, step) = (try row.amount(7), try row.amount(6))
            let plan = kind == .challenge
                ? PrizePlan.winnerTakesAll(platformFee: fee, step: step)
                : PrizePlan(shares: try Self.shares(row.text(5)), platformFee: fee, step: step)
            if let fault = plan.fault { throw JobFailure.permanent(fault) }
            return Contest(
                id: try row.text(0), kind: kind, name: try row.text(2), currency: try row.text(3),
                prizePool: try row.amount(4), plan: plan, minEntrants: try row.int64(8), status: status,
                version: try row.int64(10), pot: try row.amountOrNil(11), endsAt: try row.int64(12))
        }
    }

    private static func shares(_ text: String) throws -> [Amount] {
        do {
            return try JSON(parsing: text).decode([Amount].self)
        } catch {
            throw JobFailure.permanent("prizes: '\(text)' is no list of percentages such as [\"50\", \"30\", \"20\"]")
        }
    }

    func counts(_ id: String) throws -> EntrantCounts {
        try exchange.first("entrant_counts", ["competition": .text(id)]) {
            EntrantCounts(
                entrants: try $0.int64(0), unfrozen: try $0.int64(1), unsettled: try $0.int64(2), settled: try $0.int64(3),
                lastPlace: try $0.int64OrNil(4))
        } ?? EntrantCounts(entrants: 0, unfrozen: 0, unsettled: 0)
    }

    func entrants(_ id: String) throws -> [Entrant] {
        try exchange.rows("entrants", ["competition": .text(id)]) { row in
            Entrant(
                account: try row.text(0), name: try row.text(1), paid: try row.amount(2), startEquity: try row.amount(3),
                finalEquity: try row.amountOrNil(4), transferred: try row.amountOrNil(5))
        }
    }

    func unsettled(_ id: String) throws -> [Payout] {
        try exchange.rows("unsettled", ["competition": .text(id)]) { row in
            Payout(
                account: try row.text(0), name: try row.text(1), wallet: try row.int64(2), amount: try row.amount(3),
                amountText: try row.text(3))
        }
    }
}
