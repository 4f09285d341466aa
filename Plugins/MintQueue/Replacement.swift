import ExchangeKit

/// An order on an exchange, as it is on record.
struct PlacedOrder: Hashable, Sendable {
    var clientID: String
    var pair: Int64
    var symbol: String
    var side: String
    var price: Amount
    var quantity: Amount
    var executed: Amount
    /// new, pending, partial, filled, cancelled, rejected, expired; `unsent`; whatever else is not known.
    var status: String
    /// The exchange has confirmed it, one way or the other.
    var isPlaced: Bool
    var version: Int64
    /// Whose money it holds; nil: nothing is settled here.
    var owner: String?

    /// Its client order id is taken, and it has certainly not left: the gateway was down.
    static let unsent = "unsent"
}

/// What to do about an order of a position.
enum Replacement: Hashable, Sendable {
    /// It is well, or was meant to end.
    case leave(reason: String)
    /// What became of it is not known: asked for, never placed again on a guess.
    case ask
    case place(clientID: String, quantity: Amount)
    /// Its number is taken and it has certainly not left: sent now, under the same number.
    case send
    /// For a human.
    case giveUp(reason: String)

    /// An order is placed again this often at most.
    static let most = 3
    private static let tooOld = "is of a trade older than max_age: not placed again"

    /// - Parameters:
    ///   - chain: the original and what was placed in its stead, in that order; not empty.
    ///   - age: of the trade, milliseconds.
    static func decide(_ chain: [PlacedOrder], age: Int64, maxAge: Int64) throws(AmountError) -> Replacement {
        guard let original = chain.first, let last = chain.last else { return .leave(reason: "there is no such order") }
        switch last.status {
        case "new", "partial": return .leave(reason: "is open")
        // One that holds money may have ended at the exchange: it stays pending until the reconciler has settled it.
        case "pending" where last.isPlaced && last.owner == nil: return .leave(reason: "is being placed")
        case "filled": return .leave(reason: "is filled")
        case "cancelled": return .leave(reason: "was cancelled")
        case "rejected", "expired": break
        case PlacedOrder.unsent:
            return age <= maxAge ? .send : .giveUp(reason: tooOld)
        default: return .ask
        }
        let remainder = try last.quantity - last.executed
        guard remainder.isPositive else { return .leave(reason: "is filled") }
        guard chain.count <= most else { return .giveUp(reason: "was placed again \(most) times") }
        guard age <= maxAge else { return .giveUp(reason: tooOld) }
        if let owner = last.owner ?? original.owner {
            return .giveUp(reason: "is paid with money of \(owner), of which a replacement would hold none: not placed again")
        }
        return .place(clientID: "\(original.clientID)-\(chain.count)", quantity: remainder)
    }
}
