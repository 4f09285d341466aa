import ExchangeKit
import Testing

@testable import MarginCheck

@Suite struct MarginCallTests {
    /// Used margin 1,000 at any price near 100; equity = balance.
    private func broker(balance: String) throws -> Broker {
        let broker = try Broker()
        try broker.account("a", balance: balance)
        try broker.price("X/USD", "100", "100")
        try broker.position("a", "X/USD", size: "100", at: "100", leverage: "10")
        return broker
    }

    @Test func belowTheCallLevelItIsRecordedAndAnnounced() throws {
        let broker = try broker(balance: "999.99")
        let report = try broker.run()
        #expect(report.calls == 1)
        #expect(report.lines.map(\.text) == ["margin call: a at 100.00 %, equity 999.99 USD on margin 1,000.00 USD"])
        #expect(try broker.events() == ["MarginCallIssued"])
        #expect(try broker.exchange.connection.rows("SELECT level FROM margin_calls", []) { try $0.text(0) } == ["99.999"])
    }

    @Test func atTheCallLevelThereIsNone() throws {
        #expect(try broker(balance: "1000").run().calls == 0)
    }

    @Test func itIsRepeatedAfter24Hours() throws {
        let broker = try broker(balance: "900")
        let patient: (inout MarginCheckEntry.Settings) -> Void = { $0.maxPriceAge = .days(3) }
        #expect(try broker.run(cause: "1", patient).calls == 1)
        #expect(try broker.run(after: 86_399, cause: "2", patient).calls == 0)
        #expect(try broker.run(after: 86_400, cause: "3", patient).calls == 1)
        #expect(try broker.count("margin_calls") == 2)
    }

    @Test func itIsRepeatedWhen10PointsWorse() throws {
        let broker = try broker(balance: "900")
        #expect(try broker.run(cause: "1").calls == 1)
        // 1 % down: equity 800.1 on margin 990 is 80.82 %; then 90 % less a hair above 80.
        try broker.price("X/USD", "99", "99", age: 0)
        #expect(try broker.run(cause: "2").calls == 0)
        try broker.price("X/USD", "98.8", "98.8", age: 0)
        #expect(try broker.run(cause: "3").calls == 1)
    }

    @Test func aRetryOfTheSameRunAnnouncesNothingTwice() throws {
        let broker = try broker(balance: "900")
        try broker.run(cause: "same") { $0.repeatAfter = .zero }
        #expect(try broker.run(cause: "same") { $0.repeatAfter = .zero }.calls == 0)
        #expect(try broker.count("outbox_events") == 1)
    }

    @Test func shadowDecidesAndWritesNothing() throws {
        let broker = try broker(balance: "400")
        let report = try broker.run { $0.mode = .shadow }
        #expect((report.calls, report.liquidated) == (1, 1))
        for table in ["margin_calls", "liquidations", "outbox_events", "activity_log"] {
            #expect(try broker.count(table) == 0, "\(table)")
        }
        #expect(try broker.positions() == ["open 100"])
        #expect(try broker.balance("a") == "400")
    }
}
