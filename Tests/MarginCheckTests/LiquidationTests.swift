import ExchangeKit
import JobKit
import Testing

@testable import MarginCheck

@Suite struct LiquidationTests {
    /// Three positions of an account at 40 %: used margin 1,000 (500, 300, 200), losses 50, 90, 30.
    private func broker() throws -> Broker {
        let broker = try Broker()
        try broker.account("a", balance: "570")
        for (symbol, size, open) in [("X/USD", "50", "101"), ("Y/USD", "30", "103"), ("Z/USD", "20", "101.5")] {
            try broker.price(symbol, "100", "100")
            try broker.position("a", symbol, size: size, at: open, leverage: "10")
        }
        return broker
    }

    @Test func largestLossFirstAndRecomputedAfterEach() throws {
        let broker = try broker()
        let report = try broker.run()
        // 400 / 1,000 = 40 %; without Y 400 / 700 = 57.14 %: enough.
        #expect(try broker.open() == [1, 3])
        #expect(report.liquidated == 1)
        #expect(report.lines.contains { $0.text == "liquidation: a at 40.00 %, long 30 Y/USD closed at 100, loss 90.00 USD, now at 57.14 %" })
        #expect(try broker.state("a").level?.readable() == "57.14")
        #expect(try Ledger(broker.exchange).differences() == [])
    }

    @Test func largestMarginFirst() throws {
        let broker = try broker()
        try broker.run { $0.order = .largestMargin }
        #expect(try broker.open() == [2, 3])
    }

    @Test func partialClosesAsLittleAsReachesStopOutPlus5Points() throws {
        let broker = try broker()
        try broker.run { $0.order = .partial }
        // 400 ÷ 55 % = 727.27…: 272.73 of Y's margin of 300 have to go.
        let state = try broker.state("a")
        #expect(try broker.positions() == ["open 50", "open 2.727272727272727272", "open 20"])
        #expect(!state.isBelow(Amount(55)))
        #expect(state.level?.readable() == "55.00")
        #expect(try Ledger(broker.exchange).differences() == [])
    }

    @Test func partialKeepsToTheSizeStep() throws {
        let broker = try Broker()
        try broker.account("a", balance: "450")
        try broker.pair("X/USD", sizeStep: "1")
        try broker.price("X/USD", "100", "100")
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        try broker.run { $0.order = .partial }
        // 450 ÷ 55 % = 818.18: 18.18 … contracts, so 19.
        #expect(try broker.positions() == ["open 81"])
    }

    @Test func atStopOutItCloses() throws {
        let broker = try Broker()
        try broker.price("X/USD", "100", "100")
        for (name, balance) in [("at", "500"), ("above", "500.01")] {
            try broker.account(name, balance: balance)
            try broker.position(name, "X/USD", size: "100", at: "100", leverage: "10")
        }
        #expect(try broker.run().liquidated == 1)
        #expect(try broker.open() == [2])
    }

    @Test func everythingIsClosedWhenNothingElseHelps() throws {
        let broker = try broker()
        for symbol in ["X/USD", "Y/USD", "Z/USD"] { try broker.price(symbol, "91", "91", age: 0) }
        let report = try broker.run()
        #expect(report.liquidated == 3)
        #expect(try broker.open() == [])
        #expect(try broker.balance("a") == "-500")
        #expect(report.lines.last?.text == "a owes 500.00 USD after its last position")
        #expect(try Ledger(broker.exchange).differences() == [])
    }

    @Test func aClosingIsMoneyEventRecordAndNoteInOneTransaction() throws {
        let broker = try broker()
        try broker.run()
        #expect(try broker.balance("a") == "480")
        #expect(try broker.events() == ["MarginCallIssued", "PositionLiquidated"])
        #expect(try broker.count("liquidations") == 1)
        #expect(try broker.count("activity_log") == 1)
        let row = try broker.exchange.connection.first(
            "SELECT status, close_price, version FROM positions WHERE id = 2", []
        ) { "\(try $0.text(0)) \(try $0.text(1)) \(try $0.int64(2))" }
        #expect(row == "closed 100 2")
    }

    @Test func whatTheApplicationClosedMeanwhileIsLeftAlone() throws {
        let broker = try broker()
        // Between the valuation and the transaction, the application closes Y itself.
        try interfere(broker, before: "INSERT INTO margin_calls") {
            // 490 on 700 is above stop-out: nothing is left to do.
            let report = try broker.run()
            #expect(report.liquidated == 0)
        }
        #expect(try broker.open() == [1, 3])
        #expect(try broker.count("liquidations") == 0)
    }

    @Test func losingTheCompareAndSetMovesNoMoney() throws {
        let broker = try broker()
        try interfere(broker, before: "UPDATE positions") {
            let report = try broker.run()
            #expect(report.liquidated == 0)
            #expect(report.lines.last?.text == "position 2 of a was changed by the application, left alone")
        }
        #expect(try broker.balance("a") == "570")
        #expect(try broker.events() == ["MarginCallIssued"])
    }

    /// The application closes position 2 right before our first statement of that text.
    private func interfere(_ broker: Broker, before text: String, _ body: () throws -> Void) throws {
        var done = false
        broker.exchange.connection.faultPoint = { point in
            guard case .before(let sql) = point, sql.contains(text), !done else { return }
            done = true
            _ = try? broker.exchange.connection.run("UPDATE positions SET status = 'closed', version = 2 WHERE id = 2")
        }
        try body()
        broker.exchange.connection.faultPoint = nil
    }

    @Test func requestAsksTheApplicationAndWaits() throws {
        let broker = try broker()
        let request: (inout MarginCheckEntry.Settings) -> Void = { $0.close = .request; $0.maxPriceAge = .hours(1) }
        #expect(try broker.run(cause: "1", request).liquidated == 1)
        #expect(try broker.events() == ["MarginCallIssued", "LiquidationRequested"])
        #expect(try broker.positions() == ["open 50", "open 30", "open 20"])
        #expect(try broker.run(after: 300, cause: "2", request).liquidated == 0)
        // Not done after 10 minutes: asked again.
        #expect(try broker.run(after: 601, cause: "3", request).liquidated == 1)
        #expect(try broker.events().filter { $0 == "LiquidationRequested" }.count == 2)
    }

    /// What rests in an order is the account's all the same.
    @Test func moneyThatIsLockedCounts() throws {
        let broker = try Broker()
        try broker.account("a", balance: "600")
        try broker.price("X/USD", "100", "100")
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        try broker.test.lock(Amount(200), of: broker.test.number("SELECT wallet_id FROM accounts"), cause: "order:1:lock")
        // 600 on 1,000; without the order's 200 it would be at 40 %.
        let report = try broker.run()
        #expect((report.calls, report.liquidated) == (1, 0))
        #expect(try broker.state("a").level?.readable() == "60.00")
    }

    // MARK: Prices in doubt

    /// It would never be too old.
    @Test(arguments: [(60, true), (61, false)])
    func aPriceFromTheFutureClosesNothing(_ ahead: Int64, _ closes: Bool) throws {
        let broker = try Broker()
        try broker.account("a", balance: "400")
        try broker.price("X/USD", "100", "100", age: -ahead)
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        let report = try broker.run()
        #expect(report.liquidated == (closes ? 1 : 0))
        #expect(report.lines.contains {
            $0.text == "X/USD is not used for closing: its newest price is dated 61 s ahead of the clock"
        } == !closes)
    }

    @Test func onePrintThatIsDeliveredTwiceDoesNotConfirmItself() throws {
        let broker = try Broker()
        try broker.account("a", balance: "1400")
        try broker.price("X/USD", "100", "100", age: 20)
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        for _ in 0 ..< 3 { try broker.price("X/USD", "89.9", "89.9", age: 10) }
        #expect(try broker.run().liquidated == 0)
        // The next print says the same.
        try broker.price("X/USD", "89.9", "89.9", age: 5)
        #expect(try broker.run().liquidated == 1)
    }

    @Test(arguments: [(60, true), (61, false)])
    func aPriceOlderThan60SecondsClosesNothing(_ age: Int64, _ closes: Bool) throws {
        let broker = try Broker()
        try broker.account("a", balance: "400")
        try broker.price("X/USD", "100", "100", age: age)
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        #expect(try broker.run().liquidated == (closes ? 1 : 0))
    }

    @Test func aJumpOfMoreThan10PercentNeedsASecondPrint() throws {
        let broker = try Broker()
        try broker.account("a", balance: "1400")
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        try broker.price("X/USD", "100", "100", age: 20)
        try broker.price("X/USD", "89.9", "89.9", age: 10)
        let report = try broker.run(cause: "1")
        #expect((report.liquidated, report.calls) == (0, 0))
        #expect(report.lines.map(\.text) == ["X/USD is not used for closing: its price jumped from 100 to 89.9 and was not confirmed"])
        try broker.price("X/USD", "90", "90", age: 0)
        #expect(try broker.run(cause: "2").liquidated == 1)
    }

    @Test func aMoveOfExactly10PercentIsBelieved() throws {
        let broker = try Broker()
        try broker.account("a", balance: "1400")
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        try broker.price("X/USD", "100", "100", age: 20)
        try broker.price("X/USD", "90", "90", age: 10)
        #expect(try broker.run().liquidated == 1)
    }

    @Test func othersAreClosedIfEvenTheBestPriceOf24HoursDoesNotHelp() throws {
        for (best, closed) in [("120", [Int64]()), ("100", [2])] {
            let broker = try Broker()
            try broker.account("a", balance: "400")
            try broker.price("OLD/USD", best, best, age: 86_000)
            try broker.price("OLD/USD", "100", "100", age: 3_600)
            try broker.price("X/USD", "100", "100")
            try broker.position("a", "OLD/USD", size: "50", at: "100", leverage: "10")
            try broker.position("a", "X/USD", size: "50", at: "100", leverage: "10")
            try broker.run()
            // Best 120: equity 1,400 on margin 1,100. Best 100: 400 on 1,000, at or below 50 %.
            #expect(try [1, 2].filter { try !broker.open().contains($0) } == closed, "best \(best)")
        }
    }

    // MARK: Caps

    @Test func moreThan5PercentOfTheAccountsHaltsAndClosesNothing() throws {
        for (accounts, halted) in [(20, true), (40, false)] {
            let broker = try Broker()
            try broker.price("X/USD", "100", "100")
            for index in 0 ..< accounts {
                try broker.account("a\(index)", balance: index < 2 ? "400" : "5000")
                try broker.position("a\(index)", "X/USD", size: "100", at: "100", leverage: "10")
            }
            let report = try broker.run()
            #expect((report.halt != nil) == halted)
            #expect(report.liquidated == (halted ? 0 : 2))
            #expect(try broker.open().count == accounts - report.liquidated)
            #expect(report.calls == 2)
        }
    }

    @Test func capsStopTheRunAndKeepWhatIsDone() throws {
        let broker = try broker()
        for symbol in ["X/USD", "Y/USD", "Z/USD"] { try broker.price(symbol, "91", "91", age: 0) }
        let report = try broker.run { $0.maxClosingsPerRun = 2 }
        #expect(report.halt == "max_closings_per_run (2) is reached: stopped there")
        #expect(try broker.open().count == 1)
        let hourly = try broker.run(cause: "2") { $0.maxClosingsPerHour = 2 }
        #expect(hourly.halt == "max_closings_per_hour (2) is reached: stopped there")
        let single = try broker.run(cause: "3") { $0.maxNotional = Amount(100) }
        #expect(single.halt?.hasPrefix("closing position 3 of a is worth 1,820.00 USD, above max_notional (100.00)") == true)
        #expect(try broker.open().count == 1)
    }

    /// Not valued at nothing: an account that cannot be valued is neither called nor closed.
    @Test func aPriceThatIsNotThereIsAnErrorOfItsAccountAlone() throws {
        let broker = try broker()
        try broker.account("blind", balance: "1")
        try broker.pair("NEW/USD")
        try broker.position("blind", "NEW/USD", size: "100", at: "1", leverage: "1")
        let report = try broker.run()
        #expect((report.errors, report.liquidated) == (1, 1))
        #expect(report.lines.map(\.text).contains("account blind: NEW/USD has no price"), "\(report.lines)")
        #expect(try broker.positions().last == "open 100")
        #expect(try broker.test.number("SELECT count(*) FROM margin_calls WHERE account_id = 2") == 0)
    }

    @Test func aBrokenAccountStopsNoOther() throws {
        let broker = try broker()
        try broker.account("broken", balance: "1")
        try broker.position("broken", "X/USD", size: "NaN", at: "1", leverage: "1")
        let report = try broker.run()
        #expect((report.errors, report.liquidated) == (1, 1))
        #expect(report.lines.first?.text == "account 2: position 4: column size: 'NaN' is not a decimal number")
    }
}
