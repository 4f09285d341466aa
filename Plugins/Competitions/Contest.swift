import ExchangeKit

enum ContestKind: String, Sendable {
    case competition, challenge
}

enum ContestStatus: String, CaseIterable, Sendable {
    case open, running, ending, paying, ended, refunding, refunded
}

/// A competition, or a challenge of one against one.
struct Contest: Hashable, Sendable {
    var id: String
    var kind: ContestKind
    var name: String
    var currency: String
    var prizePool: Amount
    var plan: PrizePlan
    var minEntrants: Int64
    var status: ContestStatus
    var version: Int64
    /// What was there to win, once that is decided.
    var pot: Amount?
    /// Milliseconds since 1970 UTC; what happens at that instant still counts.
    var endsAt: Int64

    /// The owner of the wallet in which stakes and prizes wait.
    var escrow: String { "competition:\(id)" }
    var title: String { "\(kind.rawValue) \(id) '\(name)'" }
}

/// How far a contest's entrants are.
struct EntrantCounts: Hashable, Sendable {
    var entrants: Int64
    /// Without their equity at the end.
    var unfrozen: Int64
    /// With a payout that was not paid yet.
    var unsettled: Int64
    /// Who were paid.
    var settled: Int64 = 0
    /// nil: nobody has a place, nothing was won.
    var lastPlace: Int64?
}

/// What is to be done next.
enum ContestStep: Hashable, Sendable {
    /// It is not over yet.
    case wait
    /// No more entrants: it is over.
    case begin
    case freeze
    /// Rank, and say who gets what.
    case decide
    /// Say that everybody gets back what was paid.
    case giveBack(RefundReason)
    case pay
    /// The rest to the platform.
    case close
    /// For a human.
    case giveUp(reason: String)
    case done
}

enum RefundReason: Hashable, Sendable, CustomStringConvertible {
    case tooFew(entrants: Int64, needed: Int64)
    case tie
    case cancelled

    var description: String {
        switch self {
        case .tooFew(let entrants, let needed): "\(counted(entrants, "entrant")), \(needed) needed"
        case .tie: "a tie"
        case .cancelled: "cancelled by the application"
        }
    }
}

extension Contest {
    /// What is on record for its entrants are prizes, no refunds: of these only those of a tie have a place, the first.
    private func hasPrizes(_ counts: EntrantCounts) -> Bool {
        guard let last = counts.lastPlace else { return false }
        return kind == .competition || last > 1
    }

    /// The way of a contest, from what is on record alone: whatever was interrupted goes on
    /// where it is.
    ///
    /// - Parameter dueUntil: contests that ended at or before this instant are settled.
    func nextStep(_ counts: EntrantCounts, dueUntil: Int64) -> ContestStep {
        switch status {
        case .open, .running:
            guard endsAt <= dueUntil else { return .wait }
            let needed = kind == .challenge ? 2 : minEntrants
            return counts.entrants < needed ? .giveBack(.tooFew(entrants: counts.entrants, needed: needed)) : .begin
        case .ending: return counts.unfrozen > 0 ? .freeze : .decide
        case .refunding where pot == nil: return .giveBack(.cancelled)
        case .refunding where hasPrizes(counts):
            guard counts.settled > 0 else { return .giveBack(.cancelled) }
            return .giveUp(
                reason: "it was cancelled after \(counted(counts.settled, "prize")) had been paid: nothing more is paid; "
                    + "set its status to paying, or settle it by hand")
        case .paying, .refunding: return counts.unsettled > 0 ? .pay : .close
        case .ended, .refunded: return .done
        }
    }
}
