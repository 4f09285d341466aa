import ExchangeKit
import ExchangeTestKit
import JobKit
import OutsideKit
import Testing

@testable import Reconciler

@Suite struct CycleTests {
    @Test func `Chosen are orders placed, not final, not synced for five minutes or never, oldest first`() throws {
        let shop = try Shop()
        let orders = [
            try shop.order(synced: 6), try shop.order(synced: 4), try shop.order(), try shop.order(status: "filled", executed: "2", synced: 60),
            try shop.order(isPlaced: false), try shop.order(synced: 90), try shop.order(synced: 5), try shop.order(status: "pending"),
        ]
        var asked: [String] = []
        try shop.run(ScriptedExchange { order in
            asked.append(order.id)
            return ExchangeAnswer(status: order.status, executed: order.executed, executedQuote: .zero)
        })
        #expect(asked == [orders[2], orders[7], orders[5], orders[0], orders[6]].map(String.init))
        asked = []
        try shop.run(ScriptedExchange { order in
            asked.append(order.id)
            throw CallError(.unavailable, "down")
        })
        #expect(asked.isEmpty)
    }

    @Test func `A cycle is 200 orders, the rest comes with the next`() throws {
        let shop = try Shop()
        for _ in 0 ..< 230 { try shop.truth(shop.order(owner: nil), "new", "0") }
        #expect(try shop.run().reconciled == 200)
        #expect(try shop.run().reconciled == 30)
        #expect(try shop.run().selected == 0)
    }

    @Test func `A fill is settled: paid from the lock, received, average exact, announced and noted`() throws {
        let shop = try Shop()
        let id = try shop.order()
        try shop.truth(id, "partial", "0.5", quote: "49.75")
        let report = try shop.run()
        #expect(try shop.state(id) == "partial 0.5 99.5")
        #expect(try shop.money() == "0 150.25 USD, 0.5 0 ETH")
        #expect(try shop.synced(id) == Shop.now)
        #expect(report.updated == 1)
        #expect(report.discrepancies == 1)
        #expect(report.transitions == [.init(from: .new, to: .partial): 1])
        #expect(try shop.test.events() == ["OrderReconciled"])
        #expect(try shop.test.texts("SELECT actor, action, subject FROM activity_log")
            == ["reconciler reconciliation.update exchange-order:\(id)"])
        #expect(try shop.test.differences().isEmpty)
    }

    @Test(arguments: ["filled", "cancelled", "rejected", "expired"])
    func `A final order settles its last fill and gives the rest of its lock back, once`(status: String) throws {
        let shop = try Shop()
        let id = try shop.order(status: "partial", executed: "0.5", synced: 10)
        let executed = status == "filled" ? "2" : "1"
        try shop.truth(id, status, executed, quote: status == "filled" ? "198" : "99")
        try shop.run()
        #expect(try shop.state(id) == "\(status) \(executed) 99")
        #expect(try shop.money() == (status == "filled" ? "2 0 USD, 2 0 ETH" : "101 0 USD, 1 0 ETH"))
        #expect(try shop.test.events() == ["BalanceUnlocked", "OrderReconciled"])
        try shop.run(after: 10)
        #expect(try shop.test.count("ledger_causes") == 5)
        #expect(try shop.test.differences().isEmpty)
    }

    @Test func `A sell pays in base and receives quote`() throws {
        let shop = try Shop()
        let id = try shop.order("sell")
        try shop.truth(id, "cancelled", "0.5", quote: "50.5")
        try shop.run()
        #expect(try shop.state(id) == "cancelled 0.5 101")
        #expect(try shop.money() == "50.5 0 USD, 1.5 0 ETH")
        #expect(try shop.test.differences().isEmpty)
    }

    @Test func `What an exchange took beyond the lock is owed`() throws {
        let shop = try Shop()
        let id = try shop.order()
        try shop.truth(id, "filled", "2", quote: "203")
        try shop.run()
        #expect(try shop.money() == "-3 0 USD, 2 0 ETH")
        #expect(try shop.test.differences().isEmpty)
    }

    @Test func `An order without owner is synced and no money is touched`() throws {
        let shop = try Shop()
        let id = try shop.order(owner: nil)
        try shop.truth(id, "filled", "2")
        try shop.run()
        #expect(try shop.state(id) == "filled 2 100")
        #expect(try shop.test.count("ledger_causes") == 0)
    }

    @Test func `Executed quantity never falls and an order goes back to no earlier status`() throws {
        let shop = try Shop()
        let id = try shop.order(status: "partial", executed: "1", synced: 10)
        for (status, executed) in [("partial", "0.5"), ("new", "1"), ("pending", "1")] {
            try shop.truth(id, status, executed)
            let report = try shop.run(after: status == "partial" ? 0 : status == "new" ? 60 : 200)
            #expect(report.updated == 0)
            #expect(report.lines.map(\.level) == [.warning], "\(report.lines)")
            #expect(try shop.state(id) == "partial 1 100")
        }
        // An end with less than we have settled cannot be: somebody has to look.
        try shop.truth(id, "cancelled", "0.5")
        #expect(try shop.run(after: 500).lines.map(\.level) == [.critical])
        #expect(try shop.state(id) == "partial 1 100")
    }

    @Test(arguments: [("new", "-1"), ("partial", "3"), ("filled", "1")])
    func `Amounts that cannot be are not written`(status: String, executed: String) throws {
        let shop = try Shop()
        let id = try shop.order()
        try shop.truth(id, status, executed)
        let report = try shop.run()
        #expect(report.errors == 1)
        #expect(report.lines.map(\.level) == [.critical])
        #expect(try shop.state(id) == "new 0 -")
        #expect(try shop.run().selected == 0)
    }

    @Test func `An unknown quote quantity leaves the average unknown and the lock in place`() throws {
        let shop = try Shop()
        let id = try shop.order()
        let report = try shop.run(ScriptedExchange { _ in ExchangeAnswer(status: .cancelled, executed: .one, executedQuote: nil) })
        #expect(try shop.state(id) == "cancelled 1 -")
        #expect(try shop.money() == "0 200 USD, no wallet ETH")
        #expect(report.lines.map(\.level) == [.debug, .critical])
        #expect(try shop.test.differences().isEmpty)
    }

    @Test func `Average: quote by executed, unknown at 0 and where the quote is`() throws {
        func average(_ executed: String, _ quote: String?) throws -> String? {
            try Verdict.averagePrice(.init(status: .new, executed: amount(executed), executedQuote: quote.map(amount)))?.description
        }
        #expect(try average("3", "1") == "0.333333333333333333")
        #expect(try average("0", "0") == nil)
        #expect(try average("1", nil) == nil)
        #expect(try average("1", "-1") == nil)
        #expect(try average("2", "0") == "0")
    }

    @Test func `A failure moves the next sync, doubling, so that the rest is not starved`() throws {
        let shop = try Shop()
        let bad = try shop.order(owner: nil)
        for _ in 0 ..< 3 { try shop.truth(shop.order(owner: nil), "new", "0") }
        var asked: [String] = []
        let adapter = ScriptedExchange { order in
            asked.append(order.id)
            if order.id == "\(bad)" { throw CallError(.unavailable, "down") }
            return ExchangeAnswer(status: .new, executed: .zero, executedQuote: .zero)
        }
        func run(_ minute: Int64) throws -> [String] {
            asked = []
            try shop.run(after: minute, adapter) { $0.batch = 2 }
            return asked
        }
        #expect(try run(0) == ["1", "2"])
        #expect(try run(1) == ["3", "4"])
        #expect(try run(4) == [])
        #expect(try run(5) == ["1", "2"])
        #expect(try shop.test.texts("SELECT failures, next_sync_ms FROM exchange_order_syncs") == ["2 \(Shop.now + 15 * Shop.minute)"])
        for minute in [15, 35, 75, 135, 195] as [Int64] { #expect(try run(minute).first == "1") }
        #expect(try shop.test.texts("SELECT failures, next_sync_ms FROM exchange_order_syncs") == ["7 \(Shop.now + 255 * Shop.minute)"])
        try shop.run(after: 255, ScriptedExchange { _ in ExchangeAnswer(status: .new, executed: .zero, executedQuote: .zero) })
        #expect(try shop.test.count("exchange_order_syncs") == 0)
    }

    @Test func `An order that the exchange does not know is not written; the third time is an alert`() throws {
        let shop = try Shop()
        let id = try shop.order()
        for (minute, kind) in [(0, .warning), (5, .warning), (15, .critical)] as [(Int64, RunNotes.Level)] {
            let report = try shop.run(after: minute)
            #expect(report.lines.map(\.level) == [kind])
            #expect(report.errors == 1)
        }
        #expect(try shop.state(id) == "new 0 -")
        #expect(try shop.money() == "0 200 USD, no wallet ETH")
    }

    @Test func `Orders that were not asked for stay where they are in the queue`() throws {
        for kind in [CallError.Kind.breakerOpen(until: nil), .noTime, .throttled(until: nil), .denied] {
            let shop = try Shop()
            try shop.order()
            let report = try shop.run(ScriptedExchange { _ in throw CallError(kind, "not now") })
            #expect(report.postponed == 1)
            #expect(try shop.test.count("exchange_order_syncs") == 0)
            guard case .failed = report.outcome(.live, milliseconds: 1) else { Issue.record("\(report)"); continue }
        }
    }

    @Test func `A failing order stops no other`() throws {
        let shop = try Shop()
        let ids = try (0 ..< 5).map { _ in try shop.order(owner: nil) }
        let report = try shop.run(ScriptedExchange { order in
            switch order.id {
            case "2": throw OrderProblem.strange("its status at the exchange is 'HALTED'")
            case "4": throw CallError(.business, "order 4: invalid symbol")
            default: return ExchangeAnswer(status: .filled, executed: Amount(2), executedQuote: Amount(200))
            }
        })
        #expect(try ids.map(shop.state) == ["filled 2 100", "new 0 -", "filled 2 100", "new 0 -", "filled 2 100"])
        #expect(report.errors == 2)
        #expect(report.outcome(.live, milliseconds: 12)
            == .succeeded("Checked 5 orders: 3 updated, 3 filled, 2 errors (12ms)"))
    }

    /// PostgreSQL keeps such a row out.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func `Rows that cannot be read are told and put off, the others go on`() throws {
        let shop = try Shop()
        let ids = [try shop.order(owner: nil), try shop.order(owner: nil)]
        try shop.test.connection.run("UPDATE exchange_orders SET executed = 'x' WHERE id = ?", [.int(ids[0])])
        try shop.truth(ids[1], "filled", "2")
        let report = try shop.run()
        #expect(report.updated == 1)
        #expect(report.errors == 1)
        #expect(try shop.run().selected == 0)
    }

    @Test func `Shadow decides and writes nothing, off does nothing`() throws {
        let shop = try Shop()
        let id = try shop.order()
        try shop.truth(id, "filled", "2")
        let report = try shop.run { $0.mode = .shadow }
        #expect(report.updated == 1)
        #expect(try shop.state(id) == "new 0 -")
        #expect(try shop.test.count("exchange_order_syncs") == 0)
        #expect(try shop.synced(id) == nil)
        #expect(TestRun(settings: #"{"mode": "off"}"#).run(ReconcilerEntry.self) == .nothingToDo)
    }

    @Test func `Caps of an order, of a run and of an hour stop and alert`() throws {
        let shop = try Shop()
        for _ in 0 ..< 3 { try shop.truth(shop.order(), "filled", "2") }
        var report = try shop.run { $0.maxSettlement = ["USD": Amount(199)] }
        #expect(report.halt == "order 1 would move 200.00 USD, above max_settlement.USD (199.00): stopped there")
        #expect(report.updated == 0)
        report = try shop.run { $0.maxUpdatesPerRun = 1 }
        #expect(report.halt == "max_updates_per_run (1) is reached: stopped there")
        #expect(report.updated == 1)
        report = try shop.run(after: 59) { $0.maxUpdatesPerHour = 2 }
        #expect(report.updated == 1)
        #expect(report.halt == "max_updates_per_hour (2) is reached: stopped there")
        report = try shop.run(after: 61) { $0.maxUpdatesPerHour = 2 }
        #expect(report.updated == 1)
        #expect(report.halt == nil)
        report.halt = "because"
        #expect(report.outcome(.live, milliseconds: 1)
            == .failed("Halted: because. Checked 1 order: 1 updated, 1 filled, 0 errors (1ms)", code: 1))
    }
}
