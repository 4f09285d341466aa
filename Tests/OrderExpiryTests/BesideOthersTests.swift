import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import ExchangeKit
@testable import OrderExpiry

/// The entry as a worker runs it, killed at any moment and beside an application that writes.
@Suite struct BesideOthersTests {
    /// A buy and a sell, both past their time.
    private func desk() throws -> Desk {
        let desk = try Desk(.disk)
        try desk.order("buy", filled: "0.5", charged: "0.125", status: "partial")
        try desk.order("sell")
        return desk
    }

    /// With an engine that has confirmed the removal of both.
    private func confirmed() throws -> Desk {
        let desk = try desk()
        try desk.run(ack)
        try desk.answer(1, removed: "0.5")
        try desk.answer(2, removed: "0")
        return desk
    }

    private func run(_ desk: Desk, engine: String) throws {
        let test = TestRun(settings: #"{"database": "\#(desk.test.database)", "mode": "live", "engine": "\#(engine)", "batch": 1}"#)
        let code = test.run(OrderExpiryEntry.self)
        guard code == .succeeded || code == .nothingToDo else { throw JobFailure.permanent("\(code): \(test.text)") }
    }

    private func checkExpired(_ desk: Desk, _ place: String) throws {
        #expect(try desk.orders() == ["expired 0", "expired 0"], "\(place)")
        #expect(try desk.money() == "1000 0", "\(place)")
        #expect(try desk.money("ETH") == "1000 0", "\(place)")
        let events = try desk.test.events().filter { $0 != "OrderRemovalRequested" }
        #expect(events == ["BalanceUnlocked", "OrderExpired", "BalanceUnlocked", "OrderExpired"], "\(place)")
        #expect(try desk.expiries() == ["1 expired 150.375", "2 expired 2"], "\(place)")
        #expect(try desk.test.number("SELECT count(*) FROM activity_log WHERE action = 'order.expire'") == 2, "\(place)")
        #expect(try desk.test.differences() == [], "\(place)")
    }

    @Test func cutAnywhereMoneyIsUnlockedOnce() throws {
        let cuts = try cutAtEveryStatement(desk, run: { try run($0, engine: "database") }, check: checkExpired)
        #expect(cuts > 30)
    }

    @Test func cutAnywhereARemovalIsAskedForOnceAndNothingIsUnlocked() throws {
        let cuts = try cutAtEveryStatement(desk, run: { try run($0, engine: "ack") }) { (desk, place) throws in
            #expect(try desk.orders() == ["expiring 150.375", "expiring 2"], "\(place)")
            #expect(try desk.test.events() == ["OrderRemovalRequested", "OrderRemovalRequested"], "\(place)")
            #expect(try desk.money() == "849.625 150.375", "\(place)")
            #expect(try desk.test.differences() == [], "\(place)")
        }
        #expect(cuts > 20)
    }

    @Test func cutAnywhereAConfirmedOrderIsUnlockedOnce() throws {
        let cuts = try cutAtEveryStatement(confirmed, run: { try run($0, engine: "ack") }, check: checkExpired)
        #expect(cuts > 30)
    }

    /// What an application does that fills or cancels the buy, if it still may.
    private func end(_ status: String, _ other: any SQLConnection) throws {
        let locked = try other.first(
            "SELECT locked FROM orders WHERE id = 1 AND status IN ('open', 'partial', 'expiring')") { try $0.text(0) }
        guard let locked else { return }
        try other.run("UPDATE orders SET status = ?, locked = '0', version = version + 1 WHERE id = 1", [.text(status)])
        // The ledger's cause is the same as ours: once.
        let cause = status == "cancelled" ? "order:1:unlock" : "order:1:fill"
        try other.run("INSERT INTO ledger_causes (cause, kind, created_ms) VALUES (?, 'order', 0)", [.text(cause)])
        for (wallet, bucket, amount) in [
            (Int64(1), "locked", "-" + locked),
            status == "cancelled" ? (1, "available", locked) : (2, "available", locked),
        ] {
            try other.run(
                "INSERT INTO ledger_entries (cause, wallet_id, bucket, amount) VALUES (?, ?, ?, ?)",
                [.text(cause), .int(wallet), .text(bucket), .text(amount)])
            let money = try other.first("SELECT \(bucket) FROM wallets WHERE id = ?", [.int(wallet)]) {
                try Amount(parsing: $0.text(0))
            }
            guard let money else { continue }
            try other.run(
                "UPDATE wallets SET \(bucket) = ? WHERE id = ?",
                [.amount(try money + Amount(parsing: amount)), .int(wallet)])
        }
    }

    @Test(arguments: ["cancelled", "filled"])
    func whatTheApplicationEndsAtTheWorstMomentIsEndedOnce(_ status: String) throws {
        for (fresh, engine) in [(desk, "database"), (confirmed, "ack")] {
            var first: Set<String> = []
            let moments = try besideAWriterAtEveryStatement({
                let desk = try fresh()
                return (desk, desk.test)
            }, write: { try end(status, $0) }, run: { try run($0, engine: engine) }) { (desk, place) throws in
                let winner = try desk.test.texts("SELECT status FROM orders WHERE id = 1").first ?? ""
                first.insert(winner)
                #expect(try desk.money() == (winner == "filled" ? "849.625 0" : "1000 0"), "\(place)")
                let expired = try desk.test.number("SELECT count(*) FROM outbox_events WHERE key = 'order-expired:1'")
                #expect(expired == (winner == "expired" ? 1 : 0), "\(place)")
                #expect(try desk.test.differences() == [], "\(place)")
                #expect(try desk.test.texts("SELECT status FROM orders WHERE id = 2") == ["expired"], "\(place)")
            }
            #expect(moments > 10)
            #expect(first == [status, "expired"])
        }
    }

    /// `jobhost schema print --grants`, to a role that owns nothing.
    @Test(.enabled(if: TestExchange.dialect == .postgresql)) func theRightsThatArePrintedAreEnough() throws {
        let desk = try desk()
        let schema = try #require(try desk.test.connection.first("SELECT current_schema()") { try $0.text(0) })
        let role = "role_" + schema
        try desk.test.connection.execute("CREATE ROLE \(role); GRANT USAGE ON SCHEMA \(schema) TO \(role)")
        defer { try? desk.test.connection.execute("DROP OWNED BY \(role); DROP ROLE \(role)") }
        let test = TestRun(settings: #"{"database": "\#(desk.test.database)%20-crole%3D\#(role)", "mode": "live"}"#)
        #expect(test.run(OrderExpiryEntry.self) == .retry)
        #expect(test.text.contains("permission denied"))
        let plan = try SchemaPlan(.orderExpiry, .postgresql, simulation: false)
        for grant in plan.grants(to: role) { try desk.test.connection.execute(grant.sql) }
        #expect(test.run(OrderExpiryEntry.self) == .succeeded, "\(test.text) \(test.log)")
        #expect(test.schema(OrderExpiryEntry.self, SchemaRequest(.check)) == .succeeded)
        #expect(!test.findings.contains { $0.level == .error }, "\(test.findings)")
    }

    @Test func aLockThatIsNotLetGoIsTriedAgain() throws {
        let desk = try desk()
        let other = try desk.test.otherProgram()
        try other.begin(.immediate)
        try other.run("UPDATE orders SET version = version")
        let test = TestRun(settings: #"{"database": "\#(desk.test.database)", "mode": "live", "lock_timeout": "10ms"}"#)
        #expect(test.run(OrderExpiryEntry.self) == .retry)
        try other.control("ROLLBACK")
        #expect(test.run(OrderExpiryEntry.self) == .succeeded)
    }
}
