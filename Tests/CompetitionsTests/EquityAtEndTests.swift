import ExchangeKit
import JobKit
import Testing

@testable import Competitions

/// However late the run is, an account counts as it was when the contest ended.
@Suite struct EquityAtEndTests {
    @Test func pricesAreTheLastAtOrBeforeTheEnd() throws {
        let hall = try Hall()
        try hall.contest(of: ["a", "b"])
        try hall.price("BTC/USD", "110", "111", at: -3)
        try hall.price("BTC/USD", "120", "121", at: 0)
        try hall.price("BTC/USD", "900", "901", at: 1)
        // Arrived last, but is of before.
        try hall.price("BTC/USD", "115", "116", at: -1)
        try hall.position("a", "BTC/USD", size: "10", from: "100")
        try hall.position("b", "BTC/USD", "short", size: "10", from: "100")
        try hall.run()
        // Long at the bid, short at the ask.
        #expect(try hall.equity("a") == "10200")
        #expect(try hall.equity("b") == "9790")
    }

    @Test func itMakesNoDifferenceHowLateTheRunIs() throws {
        func table(lateBy seconds: Int64, _ later: (Hall) throws -> Void) throws -> [String] {
            let hall = try Hall()
            let contest = try hall.contest(of: ["a", "b", "c"])
            try hall.price("BTC/USD", "110", "111", at: -60)
            let first = try hall.position("a", "BTC/USD", size: "10", from: "100")
            try hall.position("b", "BTC/USD", size: "5", from: "100")
            try hall.earn("c", "12.34")
            try later(hall)
            if seconds > 86_400 { try hall.close(first, at: 90_000) }
            try hall.run(at: seconds)
            return try hall.table(contest)
        }
        let prompt = try table(lateBy: 5) { _ in }
        let late = try table(lateBy: 30 * 86_400) { hall in
            try hall.price("BTC/USD", "5000", "5001", at: 1)
            try hall.position("c", "BTC/USD", size: "100", from: "1", at: 2)
            try hall.earn("b", "99999", at: 1)
            try hall.earn("a", "-5000", at: 100, kind: "withdrawal")
        }
        #expect(late == prompt)
        #expect(prompt.first == "a 1 1 150")
    }

    @Test func aPositionClosedLaterWasOpenAndOneClosedBeforeWasNot() throws {
        let hall = try Hall()
        try hall.contest(of: ["a", "b", "c"])
        try hall.price("BTC/USD", "110", "111", at: -60)
        try hall.close(try hall.position("a", "BTC/USD", size: "10", from: "100"), at: 1)
        try hall.close(try hall.position("b", "BTC/USD", size: "10", from: "100"), at: 0)
        try hall.earn("b", "70", at: 0)
        try hall.position("c", "BTC/USD", size: "10", from: "100", at: 0)
        try hall.run()
        #expect(try hall.equity("a") == "10100")
        #expect(try hall.equity("b") == "10070")
        #expect(try hall.equity("c") == "10100")
    }

    @Test func aPositionHasTheSizeItHadAtTheEnd() throws {
        let hall = try Hall()
        try hall.contest(of: ["a", "b"])
        try hall.price("BTC/USD", "110", "111", at: -60)
        let position = try hall.position("a", "BTC/USD", size: "10", from: "100")
        // Reduced before, added to after, closed later still.
        for (size, price, seconds) in [("8", "100", Int64(-100)), ("6", "100", 0), ("20", "105", 1), ("30", "109", 50)] {
            try hall.test.connection.run(
                "UPDATE positions SET size = ?, open_price = ?, changed_ms = ?, version = version + 1 WHERE id = ?",
                [.text(size), .text(price), .int(instant(seconds)), .int(position)])
        }
        try hall.close(position, at: 55)
        try hall.run()
        #expect(try hall.equity("a") == "10060")
    }

    @Test func aWriterThatSaysNoInstantIsTakenAtTheClock() throws {
        let hall = try Hall()
        try hall.contest(of: ["a", "b"])
        try hall.price("BTC/USD", "110", "111", at: -60)
        let position = try hall.position("a", "BTC/USD", size: "10", from: "100")
        // Today, long after the end.
        try hall.test.connection.run("UPDATE positions SET size = '1', version = version + 1 WHERE id = ?", [.int(position)])
        try hall.close(try hall.position("b", "BTC/USD", size: "5", from: "100"), at: 1)
        try hall.test.connection.run("UPDATE positions SET closed_ms = NULL WHERE account_id = 2")
        try hall.run()
        #expect(try hall.equity("a") == "10100")
        #expect(try hall.equity("b") == "10050")
    }

    @Test func whatMovedInTheWalletLaterDoesNotCount() throws {
        let hall = try Hall()
        try hall.contest(of: ["a", "b"])
        try hall.earn("a", "10", at: 0)
        try hall.earn("a", "100", at: 1)
        // Locked money is theirs.
        try hall.test.lock(amount("50"), of: hall.test.number("SELECT wallet_id FROM accounts WHERE name = 'a'"), cause: "l", at: instant(-5))
        try hall.run()
        #expect(try hall.equity("a") == "10010")
    }

    @Test func anOpeningEntryMovesNothing() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b"])
        // The ledger was brought in during the contest for one, after it for the other.
        for (name, seconds) in [("a", Int64(-50)), ("b", 50)] {
            try hall.test.connection.run(
                """
                UPDATE ledger_causes SET created_ms = ? WHERE cause IN
                    (SELECT cause FROM ledger_entries WHERE wallet_id = (SELECT wallet_id FROM accounts WHERE name = ?))
                """,
                [.int(instant(seconds)), .text(name)])
        }
        try hall.run()
        #expect(try hall.table(contest) == ["a 1 0 80", "b 1 0 80"])
    }

    @Test func aDepositIsNoReturn() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b", "c"])
        try hall.earn("a", "5000", at: -50, kind: "deposit")
        try hall.earn("b", "10", at: -50)
        try hall.earn("c", "-9000", at: -50, kind: "withdrawal")
        try hall.run()
        #expect(try hall.table(contest) == ["b 1 0.1 150", "a 2 0 75", "c 2 0 75"])
    }

    @Test func profitsComeIntoTheAccountsCurrency() throws {
        let hall = try Hall()
        try hall.trader("eva", currency: "EUR")
        try hall.contest(of: ["eva", "b"])
        try hall.price("BTC/USD", "110", "111", at: -60)
        try hall.price("EUR/USD", "1.2", "1.25", at: -60)
        try hall.position("eva", "BTC/USD", size: "10", from: "100")
        try hall.run()
        // 100 USD are sold for euros: at the ask.
        #expect(try hall.equity("eva") == "10080")
    }

    @Test func withoutAPriceNothingIsDecidedAndTheOthersGoOn() throws {
        let hall = try Hall()
        let first = try hall.contest(of: ["a", "b"])
        let second = try hall.contest(of: ["c", "d"])
        try hall.price("BTC/USD", "110", "111", at: 1)
        try hall.position("a", "BTC/USD", size: "10", from: "100")
        let report = try hall.run()
        #expect(report.errors == 1)
        #expect(report.lines.contains {
            $0.text == "competition \(first): position 1 of account 1 has no price at or before the end"
        }, "\(report.lines)")
        #expect(try hall.status(first) == "ending")
        #expect(try hall.status(second) == "ended")
        // The price is found later: the run goes on.
        try hall.price("BTC/USD", "110", "111", at: -1)
        try hall.run(at: 120)
        #expect(try hall.status(first) == "ended")
    }
}
