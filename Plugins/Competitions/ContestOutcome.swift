import ExchangeKit
import JobKit

/// Who gets what of a contest whose equity is frozen.
struct ContestOutcome: Hashable, Sendable {
    struct Row: Hashable, Sendable {
        var entrant: Entrant
        var place: Int
        var returnPercent: Amount
        var payout: Amount
    }

    /// The best first.
    var rows: [Row]
    /// What all have paid, with what the platform added. Payouts never exceed it.
    var pot: Amount
    /// A challenge that nobody won: payouts are refunds.
    var isTie: Bool

    init(_ contest: Contest, _ entrants: [Entrant]) throws {
        if contest.kind == .challenge, entrants.count != 2 {
            throw JobFailure.permanent("a challenge is one against one, this one has \(counted(entrants.count, "entrant"))")
        }
        var performances: [String: Performance] = [:]
        var byAccount: [String: Entrant] = [:]
        for entrant in entrants {
            guard let equity = entrant.finalEquity, let transferred = entrant.transferred else {
                throw JobFailure.permanent("the equity of \(entrant.name) at the end is not known")
            }
            guard entrant.startEquity.isPositive else {
                throw JobFailure.permanent("\(entrant.name) began with \(entrant.startEquity): there is no return on that")
            }
            performances[entrant.account] = Performance(start: entrant.startEquity, equity: equity, transferred: transferred)
            byAccount[entrant.account] = entrant
        }
        let standings = try Standings(entrants.compactMap { entrant in
            performances[entrant.account].map { (entrant.account, $0) }
        })
        pot = try entrants.reduce(contest.prizePool) { try $0 + $1.paid }
        isTie = contest.kind == .challenge && standings.isTiedAtTheTop
        let prizes = try contest.plan.share(pot, among: standings).prizes
        rows = []
        for (row, prize) in zip(standings.rows, prizes) {
            guard let entrant = byAccount[row.account], let performance = performances[row.account] else { continue }
            rows.append(Row(
                entrant: entrant, place: row.place, returnPercent: try performance.returnPercent,
                payout: isTie ? entrant.paid : prize))
        }
    }
}
