import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import OrderExpiry

@Suite struct AckEngineTests {
    /// A buy of 2 ETH at 100 USD that is past its time, its removal asked for.
    private func asked() throws -> Desk {
        let desk = try Desk()
        try desk.order()
        #expect(try desk.run(ack).requested == 1)
        return desk
    }

    @Test func theOrderIsMarkedAndItsRemovalAskedFor() throws {
        let desk = try asked()
        #expect(try desk.orders() == ["expiring 200.5"])
        #expect(try desk.money() == "799.5 200.5")
        #expect(try desk.test.events() == ["OrderRemovalRequested"])
        #expect(try desk.test.texts("SELECT action FROM activity_log") == ["order.request_removal"])
        // Asked once, however often the run comes.
        let again = try desk.run(after: 10, ack)
        #expect((again.requested, again.waiting, again.unanswered) == (0, 1, 0))
        #expect(try desk.test.count("outbox_events") == 1)
    }

    /// Numbers of 8 bytes, as in tables that other programs have filled.
    @Test func aRemovalOfAnOrderWithALargeNumberIsFollowed() throws {
        let desk = try Desk()
        try desk.order()
        try desk.test.connection.run("UPDATE orders SET id = 3000000001")
        #expect(try desk.run(ack).requested == 1)
        #expect(try desk.run(after: 1, ack).waiting == 1)
        try desk.answer(3_000_000_001, removed: "0")
        #expect(try desk.run(after: 10, ack).expired == 1)
        #expect(try desk.money() == "1000 0")
    }

    @Test func confirmedWithItsFinalFillItExpires() throws {
        let desk = try asked()
        try desk.answer(1, removed: "0")
        #expect(try desk.run(after: 10, ack).expired == 1)
        #expect(try desk.orders() == ["expired 0"])
        #expect(try desk.money() == "1000 0")
        #expect(try desk.test.events() == ["OrderRemovalRequested", "BalanceUnlocked", "OrderExpired"])
        #expect(try desk.expiries() == ["1 expired 200.5"])
        #expect(try desk.run(after: 20, ack).expired == 0)
        #expect(try desk.test.differences() == [])
    }

    @Test func aFillBeforeTheRemovalIsSettledFirst() throws {
        let desk = try asked()
        try desk.answer(1, removed: "0.50")
        #expect(try desk.run(after: 10, ack).expired == 0)
        // The application books the fill: 0.5 at 100, and 0.125 of the fee.
        try desk.test.connection.run(
            "UPDATE orders SET filled = '0.5', fee_charged = '0.125', locked = '150.375', version = version + 1")
        let market = try desk.test.exchange.write { try Ledger(desk.test.exchange).wallet(owner: "market", currency: "USD") }
        try desk.test.exchange.write {
            _ = try Ledger(desk.test.exchange).post(
                cause: "fill:1", kind: "fill",
                [.init(1, .locked, try amount("-50.125")), .init(market, .available, try amount("50.125"))], at: 0)
        }
        #expect(try desk.run(after: 20, ack).expired == 1)
        #expect(try desk.money() == "949.875 0")
        #expect(try desk.test.differences() == [])
    }

    @Test(arguments: [("filled", "2"), ("cancelled", "0")])
    func anOrderThatTheApplicationEndsMeanwhileIsLeftToIt(_ status: String, _ filled: String) throws {
        let desk = try asked()
        try desk.test.connection.run(
            "UPDATE orders SET status = ?, filled = ?, version = version + 1", [.text(status), .text(filled)])
        let report = try desk.run(after: 10, ack)
        #expect((report.expired, report.left, report.waiting) == (0, 1, 0))
        #expect(try desk.expiries() == ["1 left 0"])
        #expect(try desk.run(after: 20, ack).left == 0)
        #expect(try desk.money() == "799.5 200.5")
    }

    @Test func noAnswerIn30SecondsIsAnAlertAndFundsStayLocked() throws {
        let desk = try asked()
        #expect(try desk.run(after: 29, ack).unanswered == 0)
        let report = try desk.run(after: 30, ack)
        #expect((report.expired, report.waiting, report.unanswered, report.removalFailures) == (0, 1, 1, 1))
        #expect(report.lines == [
            .init(level: .critical, text: "order 1 of user:1: the engine has not answered for 30 s; 200.5 USD stay locked")
        ])
        // Said once, counted as long as it lasts.
        let later = try desk.run(after: 40, ack)
        #expect((later.unanswered, later.removalFailures, later.lines) == (1, 0, []))
        #expect(try desk.orders() == ["expiring 200.5"])
        #expect(try desk.money() == "799.5 200.5")
        #expect(try desk.test.events() == ["OrderRemovalRequested", "OrderRemovalUnanswered"])
        // It may still be filled, and it may still be confirmed.
        try desk.answer(1, removed: "0", at: 50)
        #expect(try desk.run(after: 50, ack).expired == 1)
    }

    @Test func aConfirmedFillThatIsNotBookedIn30SecondsIsAnAlertToo() throws {
        let desk = try asked()
        try desk.answer(1, removed: "1", at: 5)
        #expect(try desk.run(after: 34, ack).unanswered == 0)
        #expect(try desk.run(after: 35, ack).lines.map(\.text) == [
            "order 1 of user:1: the engine says 1 were filled, only 0 are booked; 200.5 USD stay locked"
        ])
    }

    @Test func aRefusalIsCountedAndAskedAgain() throws {
        let desk = try asked()
        try desk.answer(1, refused: "the book is halted", at: 5)
        #expect(try desk.run(after: 34, ack).removalFailures == 0)
        let report = try desk.run(after: 35, ack)
        #expect((report.removalFailures, report.errors, report.waiting) == (1, 1, 1))
        #expect(report.lines.map(\.text) == ["order 1: the engine has refused to remove it: the book is halted; asked again"])
        #expect(try desk.test.events() == ["OrderRemovalRequested", "OrderRemovalRequested"])
        #expect(try desk.run(after: 64, ack).unanswered == 0)
        #expect(try desk.run(after: 65, ack).unanswered == 1)
        #expect(try desk.money() == "799.5 200.5")
        try desk.answer(1, removed: "0", at: 66)
        #expect(try desk.run(after: 70, ack).expired == 1)
    }

    @Test func answersThatCannotBeTrueChangeNothing() throws {
        for (change, sentence) in [
            ("answer = 'removed'", "the engine has removed it without saying what was filled (final_filled)"),
            ("answer = 'removed', final_filled = 'NaN'", "column final_filled: 'NaN' is not a decimal number"),
            ("answer = 'removed', final_filled = '-1'", "the engine says -1 were filled, 0 are booked"),
        ] {
            let desk = try asked()
            try desk.test.connection.run("UPDATE order_expiries SET answered_ms = 0, " + change)
            let report = try desk.run(after: 10, ack)
            #expect((report.expired, report.errors) == (0, 1), "\(change)")
            #expect(report.lines.first?.text == "order 1: " + sentence)
            #expect(try desk.orders() == ["expiring 200.5"])
        }
    }

    @Test func theAmountIsCheckedAtTheEndToo() throws {
        let desk = try asked()
        try desk.test.connection.run("UPDATE orders SET locked = '300'")
        try desk.answer(1, removed: "0")
        let report = try desk.run(after: 10, ack)
        #expect((report.expired, report.unlockFailures) == (0, 1))
        #expect(try desk.orders() == ["expiring 300"])
    }

    @Test func requestsAreEndedThoughTheEngineSettingHasChanged() throws {
        let desk = try asked()
        try desk.answer(1, removed: "0")
        #expect(try desk.run(after: 10).expired == 1)
        #expect(try desk.expiries() == ["1 expired 200.5"])
    }

    @Test func theCapOfAnHourDoesNotKeepConfirmedOrdersFromEnding() throws {
        let desk = try asked()
        try desk.order()
        try desk.answer(1, removed: "0")
        let report = try desk.run(after: 10) { $0.engine = .ack; $0.maxOrdersPerHour = 1 }
        #expect((report.expired, report.requested) == (1, 0))
        #expect(report.halt == "max_orders_per_hour (1) is reached: stopped there")
    }

    @Test func anOrderMarkedOpenAgainByAFillIsNotAskedForTwice() throws {
        let desk = try asked()
        try desk.test.connection.run(
            "UPDATE orders SET status = 'partial', filled = '1', fee_charged = '0.25', locked = '100.25', version = version + 1")
        #expect(try desk.run(after: 10, ack).requested == 0)
        try desk.answer(1, removed: "1")
        #expect(try desk.run(after: 20, ack).expired == 1)
        #expect(try desk.expiries() == ["1 expired 100.25"])
    }
}
