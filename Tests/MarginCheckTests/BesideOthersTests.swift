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

    private func run(_ broker: Broker, _ more: String = "") throws {
        let test = TestRun(settings: #"""
            {"database": "\#(broker.test.database)", "mode": "live", "max_price_age": "100000d", "halt_percent": 100\#(more)}
            """#)
        let code = test.run(MarginCheckEntry.self)
        guard code == .succeeded || code == .nothingToDo else { throw JobFailure.permanent("\(code): \(test.text)") }
    }

    @Test func cutAnywhereItClosesOnceAndMovesMoneyOnce() throws {
        let cuts = try cutAtEveryStatement(broker, run: { try run($0) }) { (broker, place) throws in
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

    /// A part of a position is closed by size, not as a whole: twice would be twice the money.
    @Test func cutAnywhereAPartIsClosedOnce() throws {
        let whole = try broker()
        try run(whole, #", "order": "partial""#)
        let (positions, balances) = (try whole.positions(), [try whole.balance("a"), try whole.balance("b")])
        #expect(positions[1].hasPrefix("open ") && positions[1] != "open 30", "\(positions)")
        try cutAtEveryStatement(broker, run: { try run($0, #", "order": "partial""#) }) { (broker, place) throws in
            #expect(try broker.positions() == positions, "\(place)")
            #expect(try [broker.balance("a"), broker.balance("b")] == balances, "\(place)")
            #expect(try broker.count("liquidations") == 2, "\(place)")
            #expect(try broker.test.differences() == [], "\(place)")
        }
    }

    @Test func cutAnywhereARequestIsMadeOnceAndNoMoneyMoves() throws {
        try cutAtEveryStatement(broker, run: { try run($0, #", "close": "request""#) }) { (broker, place) throws in
            #expect(try broker.positions() == ["open 50", "open 30", "open 20", "open 100"], "\(place)")
            #expect(try [broker.balance("a"), broker.balance("b")] == ["570", "400"], "\(place)")
            #expect(try broker.events().sorted() == [
                "LiquidationRequested", "LiquidationRequested", "MarginCallIssued", "MarginCallIssued",
            ], "\(place)")
            #expect(try broker.test.texts("SELECT state, size FROM liquidations ORDER BY position_id") == ["requested 30", "requested 100"], "\(place)")
        }
    }

    /// Money that comes in at the worst moment saves the account or comes too late; it is never lost.
    @Test func aDepositAtTheWorstMomentIsInTimeOrTooLate() throws {
        var inTime = 0
        try besideAWriterAtEveryStatement({
            let broker = try broker()
            try broker.test.pay(amount("1000"), "USD", to: "bank")
            return (broker, broker.test)
        }, write: { other in
            try other.run("INSERT INTO ledger_causes (cause, kind, created_ms) VALUES ('deposit', 'deposit', 0)")
            for (owner, text) in [("account:a", "500"), ("bank", "-500")] {
                try other.run(
                    "INSERT INTO ledger_entries (cause, wallet_id, bucket, amount) SELECT 'deposit', id, 'available', ? FROM wallets WHERE owner = ?",
                    [.text(text), .text(owner)])
                let held = try other.first("SELECT available FROM wallets WHERE owner = ?", [.text(owner)]) { try $0.amount(0) } ?? .zero
                try other.run("UPDATE wallets SET available = ? WHERE owner = ?", [.amount(try held + amount(text)), .text(owner)])
            }
        }, run: { try run($0) }) { (broker, place) throws in
            let positions = try broker.positions()
            #expect(positions[1] == "open 30" || positions[1] == "closed 30", "\(place)")
            if positions[1] == "open 30" { inTime += 1 }
            #expect(try broker.balance("a") == (positions[1] == "open 30" ? "1070" : "980"), "\(place)")
            #expect(try broker.test.differences() == [], "\(place)")
        }
        #expect(inTime > 2)
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
        }, run: { try run($0) }) { (broker, place) throws in
            #expect(try broker.positions() == ["open 50", "closed 30", "open 20", "closed 100"], "\(place)")
            let own = try broker.test.number("SELECT count(*) FROM liquidations WHERE position_id = 2")
            #expect(try broker.balance("a") == (own == 1 ? "480" : "570"), "\(place)")
            #expect(try broker.test.differences() == [], "\(place)")
        }
        #expect(moments > 10)
        #expect(byApplication > 10)
    }
}
