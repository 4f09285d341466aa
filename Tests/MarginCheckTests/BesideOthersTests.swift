import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import MarginCheck

/// The entry as a worker runs it, killed at any moment and beside an application that writes.
@Suite struct BesideOthersTests {
    /// Two accounts at 40 %: "a" loses Y and is above stop-out, "b" loses all it has.
    private func broker() throws -> Broker {
        let broker = try Broker(.disk)
        try broker.account("a", balance: "570")
        for (symbol, size, open) in [("X/USD", "50", "101"), ("Y/USD", "30", "103"), ("Z/USD", "20", "101.5")] {
            try broker.price(symbol, "100", "100")
            try broker.position("a", symbol, size: size, at: open, leverage: "10")
        }
        try broker.account("b", balance: "400")
        try broker.position("b", "X/USD", size: "100", at: "100", leverage: "10")
        return broker
    }

    private func run(_ broker: Broker) throws {
        let test = TestRun(settings: #"""
            {"database": "\#(broker.test.database)", "mode": "live", "max_price_age": "100000d", "halt_percent": 100}
            """#)
        let code = test.run(MarginCheckEntry.self)
        guard code == .succeeded || code == .nothingToDo else { throw JobFailure.permanent("\(code): \(test.text)") }
    }

    @Test func cutAnywhereItClosesOnceAndMovesMoneyOnce() throws {
        let cuts = try cutAtEveryStatement(broker, run: run) { (broker, place) throws in
            #expect(try broker.positions() == ["open 50", "closed 30", "open 20", "closed 100"], "\(place)")
            #expect(try broker.balance("a") == "480", "\(place)")
            #expect(try broker.balance("b") == "400", "\(place)")
            #expect(try broker.test.texts("SELECT available FROM wallets WHERE owner = 'platform:trading'") == ["90"], "\(place)")
            #expect(try broker.events().sorted() == [
                "MarginCallIssued", "MarginCallIssued", "PositionLiquidated", "PositionLiquidated",
            ], "\(place)")
            #expect(try broker.count("liquidations") == 2, "\(place)")
            #expect(try broker.count("activity_log") == 2, "\(place)")
            #expect(try broker.test.differences() == [], "\(place)")
        }
        #expect(cuts > 40)
    }

    @Test func whatTheApplicationClosesAtTheWorstMomentIsClosedByItAlone() throws {
        var byApplication = 0
        let moments = try besideAWriterAtEveryStatement({
            let broker = try broker()
            return (broker, broker.test)
        }, write: { other in
            let closed = try other.run(
                "UPDATE positions SET status = 'closed', version = version + 1 WHERE id = 2 AND status = 'open'")
            if closed == 1 { byApplication += 1 }
        }, run: run) { (broker, place) throws in
            #expect(try broker.positions() == ["open 50", "closed 30", "open 20", "closed 100"], "\(place)")
            let own = try broker.test.number("SELECT count(*) FROM liquidations WHERE position_id = 2")
            #expect(try broker.balance("a") == (own == 1 ? "480" : "570"), "\(place)")
            #expect(try broker.test.differences() == [], "\(place)")
        }
        #expect(moments > 10)
        #expect(byApplication > 10)
    }
}
