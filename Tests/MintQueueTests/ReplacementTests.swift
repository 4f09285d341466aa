import ExchangeKit
import Testing

@testable import MintQueue

@Suite struct ReplacementTests {
    private func order(_ id: String, _ status: String, _ executed: String = "0", of quantity: String = "10", placed: Bool = true) throws -> PlacedOrder {
        PlacedOrder(
            clientID: id, pair: 1, symbol: "BTC/USD", side: "buy", price: Amount(100), quantity: try amount(quantity),
            executed: try amount(executed), status: status, isPlaced: placed, version: 1)
    }
    private func decide(_ chain: [PlacedOrder], age: Int64 = 0) throws -> Replacement {
        try Replacement.decide(chain, age: age, maxAge: 1_000)
    }

    @Test(arguments: ["new", "pending", "partial", "filled", "cancelled"])
    func anOrderThatIsWellIsLeft(_ status: String) throws {
        guard case .leave = try decide([order("k", status, "1")]) else {
            Issue.record("\(status) is not left")
            return
        }
    }

    @Test func onlyTheRemainderOfAFailedOrderIsPlacedAgain() throws {
        #expect(try decide([order("k", "rejected")]) == .place(clientID: "k-1", quantity: Amount(10)))
        #expect(try decide([order("k", "expired", "3.5")]) == .place(clientID: "k-1", quantity: amount("6.5")))
        #expect(try decide([order("k", "expired", "10")]) == .leave(reason: "is filled"))
        // Of the last in the chain, which was for the remainder itself.
        #expect(try decide([order("k", "expired", "3"), order("k-1", "expired", "2", of: "7")]) == .place(clientID: "k-2", quantity: Amount(5)))
    }

    @Test func threeTimesAreEnough() throws {
        let chain = [try order("k", "rejected"), try order("k-1", "rejected"), try order("k-2", "rejected")]
        #expect(try decide(chain) == .place(clientID: "k-3", quantity: Amount(10)))
        #expect(try decide(chain + [order("k-3", "rejected")]) == .giveUp(reason: "was placed again 3 times"))
        #expect(try decide(chain + [order("k-3", "filled", "10")]) == .leave(reason: "is filled"))
    }

    @Test func anOldTradesOrdersAreLeftToAHuman() throws {
        #expect(try decide([order("k", "rejected")], age: 1_000) == .place(clientID: "k-1", quantity: Amount(10)))
        #expect(try decide([order("k", "rejected")], age: 1_001) == .giveUp(reason: "is of a trade older than max_age: not placed again"))
        // What is well is well at any age.
        #expect(try decide([order("k", "filled")], age: 1_001) == .leave(reason: "is filled"))
    }

    @Test(arguments: ["unknown", "", "NEW", "lost"])
    func whatIsNotKnownIsAskedForNeverPlaced(_ status: String) throws {
        #expect(try decide([order("k", status)]) == .ask)
        #expect(try decide([order("k", "rejected"), order("k-1", status)]) == .ask)
    }

    /// Its replacement would be filled at the exchange, and nobody here would have paid for it.
    @Test func anOrderThatHoldsMoneyIsLeftToAHuman() throws {
        var owned = try order("k", "expired", "4")
        owned.owner = "user:1"
        let reason = "is paid with money of user:1, of which a replacement would hold none: not placed again"
        #expect(try decide([owned]) == .giveUp(reason: reason))
        #expect(try decide([owned, order("k-1", "rejected", of: "6")]) == .giveUp(reason: reason))
        owned.executed = Amount(10)
        #expect(try decide([owned]) == .leave(reason: "is filled"))
    }

    @Test func oneThatWasSentAndNeverConfirmedIsAskedFor() throws {
        #expect(try decide([order("k", "rejected"), order("k-1", "pending", placed: false)]) == .ask)
    }
}
