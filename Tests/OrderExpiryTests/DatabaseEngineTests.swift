import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import OrderExpiry

@Suite struct DatabaseEngineTests {
    @Test func openAndPartiallyFilledOrdersPastTheirTimeExpire() throws {
        let desk = try Desk()
        try desk.order(late: 0)
        try desk.order(late: 3_600, filled: "0.5", charged: "0.1", status: "partial")
        try desk.order(late: -1)
        try desk.order(late: nil)
        for status in ["filled", "cancelled", "expired"] { try desk.order(locked: "0", status: status) }
        let report = try desk.run()
        #expect(report.expired == 2)
        #expect(try desk.orders() == [
            "expired 0", "expired 0", "open 200.5", "open 200.5", "filled 0", "cancelled 0", "expired 0",
        ])
        #expect(try desk.test.texts("SELECT version FROM orders WHERE id <= 3 ORDER BY id") == ["2", "2", "1"])
    }

    @Test func releasedIsWhatIsStillLocked() throws {
        let desk = try Desk()
        try desk.order("buy")
        try desk.order("buy", filled: "0.5", charged: "0.125", status: "partial")
        try desk.order("sell", filled: "0.5", status: "partial")
        #expect(try desk.run().released == ["USD": amount("350.875"), "ETH": amount("1.5")])
        #expect(try desk.money() == "2000 0")
        #expect(try desk.money("ETH") == "1000 0")
        #expect(try desk.expiries() == ["1 expired 200.5", "2 expired 150.375", "3 expired 1.5"])
        #expect(try desk.test.differences() == [])
    }

    @Test func anOrderIsStatusMoneyEventsAndNoteInOneTransaction() throws {
        let desk = try Desk()
        try desk.order()
        try desk.run()
        #expect(try desk.test.events() == ["BalanceUnlocked", "OrderExpired"])
        let payloads = try desk.test.texts("SELECT payload FROM outbox_events ORDER BY seq")
        #expect(payloads.first == #"{"owner":"user:1","currency":"USD","amount":"200.5","order_id":"1"}"#)
        #expect(payloads.last == #"{"order_id":"1","owner":"user:1","pair":"ETH/USD","side":"buy","price":"100","amount":"2","#
            + #""filled":"0","expires_ms":1767614399000,"released":"200.5","currency":"USD"}"#)
        #expect(try desk.test.texts("SELECT actor, action, subject FROM activity_log") == ["order-expiry order.expire order:1"])
        #expect(try desk.test.texts("SELECT cause FROM ledger_causes WHERE kind = 'order' ORDER BY cause") == [
            "order:1:lock", "order:1:unlock",
        ])
    }

    @Test func anOrderThatHoldsNothingExpiresWithoutMoney() throws {
        let desk = try Desk()
        try desk.order("sell", filled: "2", status: "partial")
        #expect(try desk.run().expired == 1)
        #expect(try desk.test.events() == ["OrderExpired"])
    }

    @Test func moneyThatWasUnlockedBeforeIsNotUnlockedAgain() throws {
        let desk = try Desk()
        try desk.order()
        try desk.order()
        // A cancellation that died half way on a platform without transactions.
        try desk.test.lock(amount("-200.5"), of: 1, cause: "order:1:unlock")
        let report = try desk.run()
        #expect(report.expired == 2)
        #expect(report.lines.contains { $0.text == "order 1: its money was unlocked before, nothing more is released" })
        #expect(try desk.money() == "2000 0")
        #expect(try desk.expiries() == ["1 expired 0", "2 expired 200.5"])
        #expect(try desk.test.differences() == [])
    }

    // MARK: The check

    @Test(arguments: [("buy", "200.50000001"), ("buy", "200.49999999"), ("sell", "1.99999999"), ("sell", "2.00000001")])
    func roundingIsTolerated(_ side: String, _ locked: String) throws {
        let desk = try Desk()
        try desk.order(side, locked: locked)
        #expect(try desk.run().expired == 1)
        #expect(try desk.expiries() == ["1 expired \(locked)"])
    }

    @Test(arguments: [
        ("buy", "200", "it holds 200 USD, remaining × price + fee not yet charged is 200.5"),
        ("buy", "200.500000011", "it holds 200.500000011 USD, remaining × price + fee not yet charged is 200.5"),
        ("sell", "2.5", "it holds 2.5 ETH, the remaining amount is 2"),
    ])
    func whatDoesNotAgreeIsHeldAndCounted(_ side: String, _ locked: String, _ sentence: String) throws {
        let desk = try Desk()
        try desk.order(side, locked: locked)
        try desk.order(side)
        let report = try desk.run()
        #expect((report.expired, report.unlockFailures, report.errors) == (1, 1, 1))
        #expect(report.lines.first?.text == "order 1: \(sentence): left as it is")
        #expect(try desk.orders() == ["open \(locked)", "expired 0"])
        #expect(try desk.test.differences() == [])
    }

    @Test func whatDoesNotAgreeIsReleasedOnRequest() throws {
        let desk = try Desk()
        try desk.order(locked: "210")
        let report = try desk.run { $0.mismatch = .release }
        #expect((report.expired, report.unlockFailures) == (1, 0))
        #expect(report.lines.first?.text
            == "order 1: it holds 210 USD, remaining × price + fee not yet charged is 200.5; released all the same")
        #expect(try desk.money() == "1000 0")
    }

    @Test func aWalletThatDoesNotHoldItIsAnUnlockFailureAndStopsNoOther() throws {
        let desk = try Desk()
        try desk.order(owner: "user:1")
        try desk.order(owner: "user:2")
        try desk.test.lock(amount("-100"), of: 1, cause: "mistake")
        let report = try desk.run()
        #expect((report.expired, report.unlockFailures, report.errors) == (1, 1, 1))
        #expect(report.lines.first?.text == "order 1: order:1:unlock: wallet 1 does not hold that much")
        #expect(try desk.orders() == ["open 200.5", "expired 0"])
        #expect(try desk.expiries() == ["2 expired 200.5"])
        #expect(try desk.test.differences() == [])
    }

    /// PostgreSQL keeps such a row out.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func anOrderThatCannotBeReadStopsNoOther() throws {
        let desk = try Desk()
        for _ in 0 ..< 3 { try desk.order() }
        try desk.test.connection.run("UPDATE orders SET price = 'dear' WHERE id = 1")
        try desk.test.connection.run("UPDATE orders SET filled = '3' WHERE id = 2")
        let report = try desk.run { $0.batch = 1 }
        #expect((report.expired, report.errors, report.unlockFailures) == (1, 2, 1))
        #expect(report.lines.map(\.text).prefix(2) == [
            "order 1: column price: 'dear' is not a decimal number", "order 2: 3 of 2 are filled, which is more than all",
        ])
    }

    // MARK: Modes, caps, batches

    @Test func shadowDecidesAndWritesNothing() throws {
        let desk = try Desk()
        try desk.order()
        for engine in OrderExpiryEntry.Engine.allCases {
            let report = try desk.run { $0.mode = .shadow; $0.engine = engine }
            #expect(report.expired + report.requested == 1)
        }
        #expect(try desk.orders() == ["open 200.5"])
        for table in ["order_expiries", "outbox_events", "activity_log"] { #expect(try desk.test.count(table) == 0, "\(table)") }
    }

    @Test func capsStopTheRunAndKeepWhatIsDone() throws {
        let desk = try Desk()
        for _ in 0 ..< 5 { try desk.order() }
        try desk.order("sell")
        let run = try desk.run { $0.maxOrdersPerRun = 2 }
        #expect((run.expired, run.halt) == (2, "max_orders_per_run (2) is reached: stopped there"))
        let hour = try desk.run { $0.maxOrdersPerHour = 3 }
        #expect((hour.expired, hour.halt) == (1, "max_orders_per_hour (3) is reached: stopped there"))
        let single = try desk.run { $0.maxRelease = ["USD": Amount(200)] }
        #expect((single.expired, single.halt) == (0, "order 4 holds 200.50 USD, above max_release.USD (200.00): stopped there"))
        #expect(try desk.run(after: 3_601) { $0.maxRelease = ["USD": Amount(201)]; $0.maxOrdersPerHour = 4 }.expired == 3)
        #expect(try desk.test.differences() == [])
    }

    @Test func batchesGoThroughAllOldestFirst() throws {
        let desk = try Desk()
        for late in [5, 9, 5, 7, 5] as [Int64] { try desk.order(late: late) }
        var seen: [Int] = []
        var settings = OrderExpiryEntry.Settings()
        (settings.mode, settings.batch) = (.live, 2)
        var run = ExpiryRun(desk.test.exchange, settings, now: Desk.now)
        try run.run(isCancelled: { false }) { seen.append($0.expired) }
        #expect(seen == [0, 2, 4, 5])
        #expect(run.report.lines.map { $0.text.prefix(7) } == ["order 2", "order 4", "order 1", "order 3", "order 5"])
    }

    @Test func cancelledBetweenBatchesItKeepsWhatIsDone() throws {
        let desk = try Desk()
        for _ in 0 ..< 3 { try desk.order() }
        var settings = OrderExpiryEntry.Settings()
        (settings.mode, settings.batch) = (.live, 1)
        var run = ExpiryRun(desk.test.exchange, settings, now: Desk.now)
        var asked = 0
        #expect(throws: CancellationNotice.self) { try run.run(isCancelled: { asked += 1; return asked > 3 }) }
        #expect(run.report.expired == 2)
        #expect(try desk.orders() == ["expired 0", "expired 0", "open 200.5"])
    }

    /// However many orders are open: the plan names the index of those that can be due, and the
    /// desk's table only that of waiting requests.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func costFollowsTheExpiredOrdersNotTheTable() throws {
        let desk = try Desk()
        for (name, index) in [("due_orders", "orders_due"), ("waiting_orders", "order_expiries_waiting")] {
            let sql = try #require(StatementSet.orderExpiry.files(.sqlite)[name])
            let statement = try desk.test.connection.prepare("EXPLAIN QUERY PLAN " + sql)
            try statement.bind(["now": 0, "after_ms": 0, "after_id": "", "limit": 1], ignoringUnused: true)
            var plan: [String] = []
            while try statement.step() { plan.append(try statement.text(3)) }
            #expect(plan.first?.contains("INDEX \(index) (") == true, "\(plan)")
            #expect(!plan.contains { $0.contains("SCAN") || $0.contains("TEMP B-TREE") }, "\(plan)")
        }
    }
}
