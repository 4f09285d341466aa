import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import Reconciler

/// Beside the application, and cut anywhere.
@Suite struct BesideOthersTests {
    /// Through the entry, as in a worker: it opens its own connection.
    private func run(_ shop: Shop) throws {
        let test = TestRun(settings: #"{"database": "\#(shop.test.database)", "mode": "live"}"#)
        let code = test.run(ReconcilerEntry.self)
        if code != .succeeded, code != .nothingToDo { throw JobFailure.permanent(test.text) }
    }

    private func fresh() throws -> Shop {
        let shop = try Shop(.disk)
        try shop.truth(shop.order(status: "partial", executed: "0.5"), "cancelled", "1")
        try shop.truth(shop.order("sell", owner: "user:2"), "filled", "2")
        try shop.truth(shop.order(owner: "user:3"), "new", "0")
        return shop
    }

    @Test func `Cut at every statement and run again: nothing twice, nothing lost`() throws {
        let cuts = try cutAtEveryStatement(fresh, run: run) { (shop: Shop, place: String) throws in
            #expect(try shop.state(1) == "cancelled 1 100", "\(place)")
            #expect(try shop.state(2) == "filled 2 100", "\(place)")
            #expect(try shop.money() == "100 0 USD, 1 0 ETH", "\(place)")
            #expect(try shop.money("user:2") == "200 0 USD, 0 0 ETH", "\(place)")
            #expect(try shop.synced(3) != nil, "\(place)")
            #expect(try shop.test.events().sorted() == ["BalanceUnlocked", "OrderReconciled", "OrderReconciled"], "\(place)")
            #expect(try shop.test.count("activity_log") == 2, "\(place)")
            #expect(try shop.test.differences().isEmpty, "\(place)")
        }
        #expect(cuts > 20)
    }

    @Test func `The application ends the order at any moment: one of the two settles it, once`() throws {
        let moments = try besideAWriterAtEveryStatement { () throws -> (Shop, TestExchange) in
            let shop = try Shop(.disk)
            try shop.truth(shop.order(), "cancelled", "0")
            return (shop, shop.test)
        } write: { other in
            // As the application would: only if it is still open.
            let won = try other.run(
                "UPDATE exchange_orders SET status = 'cancelled', locked = '0', version = version + 1 WHERE id = 1 AND status = 'new'") == 1
            guard won else { return }
            try other.run("INSERT INTO ledger_causes VALUES ('exchange-order:1:unlock', 'order', 0)")
            try other.run(
                """
                INSERT INTO ledger_entries (cause, wallet_id, bucket, amount)
                SELECT 'exchange-order:1:unlock', id, 'locked', -200 FROM wallets WHERE owner = 'user:1' AND currency = 'USD'
                UNION ALL
                SELECT 'exchange-order:1:unlock', id, 'available', 200 FROM wallets WHERE owner = 'user:1' AND currency = 'USD'
                """)
            try other.run("UPDATE wallets SET available = '200', locked = '0' WHERE owner = 'user:1' AND currency = 'USD'")
        } run: { shop in
            try run(shop)
        } check: { (shop: Shop, place: String) throws in
            #expect(try shop.state(1) == "cancelled 0 -", "\(place)")
            #expect(try shop.money() == "200 0 USD, no wallet ETH", "\(place)")
            #expect(try shop.test.differences().isEmpty, "\(place)")
        }
        #expect(moments > 5)
    }

    @Test func `A fill that the application books while the exchange is asked wins; a terminal order is not reopened`() throws {
        for (status, executed) in [("partial", "1.5"), ("filled", "2")] {
            let shop = try Shop()
            let id = try shop.order(owner: nil)
            let report = try shop.run(ScriptedExchange { _ in
                try shop.test.connection.run(
                    "UPDATE exchange_orders SET status = ?, executed = ?, version = version + 1 WHERE id = ?",
                    [.text(status), .text(executed), .int(id)])
                return ExchangeAnswer(status: .partial, executed: .one, executedQuote: Amount(100))
            })
            #expect(report.left == 1)
            #expect(report.updated == 0)
            #expect(try shop.state(id) == "\(status) \(executed) -")
        }
    }
}
