import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import OrderExpiry

@Suite struct OrderExpiryEntryTests {
    @Test(arguments: [
        (#"{"mode": "dry"}"#, #"mode: "dry" is not allowed (one of "off", "shadow", "live")"#),
        (#"{"engine": "none"}"#, #"engine: "none" is not allowed (one of "database", "ack")"#),
        (#"{"tolerance": "-1"}"#, "tolerance: -1 is below 0"),
        (#"{"max_release": {"USD": "0"}}"#, "max_release.USD: 0 is not above 0"),
        (#"{"ack_timout": "1m"}"#, "unknown setting 'ack_timout' (did you mean 'ack_timeout'?)"),
        (#"{"batch": 0}"#, "batch: 0 is out of range (at least 1, at most 10000)"),
        (#"{"sql": {"due_order": "SELECT 1"}}"#, "sql.due_order: there is no such statement"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        let said = try #require(TestRun(settings: settings).validate(OrderExpiryEntry.self))
        #expect(said.hasPrefix(sentence), "\(said)")
    }

    @Test func defaultsAreTheSpecifiedOnes() {
        let settings = OrderExpiryEntry.Settings()
        #expect(OrderExpiryEntry.info.defaultSchedule == "every 10s")
        #expect((settings.mode, settings.engine, settings.ackTimeout) == (.shadow, .database, .seconds(30)))
        #expect(settings.tolerance.description == "0.00000001")
    }

    @Test func offDoesNothing() {
        let test = TestRun(settings: #"{"mode": "off"}"#)
        #expect(test.run(OrderExpiryEntry.self) == .nothingToDo)
        #expect(test.text == "mode is off")
    }

    @Test func aRunTellsWhatItDid() throws {
        let desk = try Desk(.disk)
        let settings = #"{"database": "\#(desk.test.database)", "mode": "live"}"#
        let test = TestRun(settings: settings)
        #expect(test.run(OrderExpiryEntry.self) == .nothingToDo)
        #expect(test.text == "no order is due")
        try desk.order()
        try desk.order("sell")
        try desk.order(locked: "7")
        #expect(test.run(OrderExpiryEntry.self) == .succeeded)
        #expect(test.text.hasPrefix("Expired 2 orders: 2.00 ETH and 200.50 USD unlocked, 1 unlock failure, 1 error ("))
        #expect(test.items == 2)
        #expect(test.samples.contains { $0.name == "order_expiry_unlock_failures" && $0.value == 1 })
        #expect(test.log.map(\.level) == [1, 1, 4])
        #expect(test.log.first?.text == "order 1 of user:1: expired, 200.5 USD unlocked")
    }

    @Test func aCapIsACriticalLineAndAFailedRun() throws {
        let desk = try Desk(.disk)
        try desk.order()
        let test = TestRun(settings: #"{"database": "\#(desk.test.database)", "mode": "live", "max_release": {"USD": 1}}"#)
        #expect(test.run(OrderExpiryEntry.self) == .failed)
        #expect(test.text.hasPrefix("Halted: order 1 holds 200.50 USD, above max_release.USD (1.00): stopped there. Expired 0 orders"))
        #expect(test.log.last?.text == "halted: order 1 holds 200.50 USD, above max_release.USD (1.00): stopped there")
    }

    /// Not one failure for each order.
    @Test func aStatementThatDoesNotFitEndsTheRun() throws {
        let desk = try Desk(.disk)
        try desk.order()
        let test = TestRun(settings: """
            {"database": "\(desk.test.database)", "mode": "live", "sql": {"expire_order": "UPDATE nowhere SET status = 'expired'"}}
            """)
        #expect(test.run(OrderExpiryEntry.self) == .badSettings)
        #expect(test.text.hasPrefix("sql.expire_order: ") && test.text.contains("nowhere"), "\(test.text)")
        #expect(try desk.orders() == ["open 200.5"])
    }

    @Test func waitingForTheEngineIsSaid() throws {
        let desk = try Desk(.disk)
        try desk.order()
        let test = TestRun(settings: #"{"database": "\#(desk.test.database)", "mode": "live", "engine": "ack"}"#)
        #expect(test.run(OrderExpiryEntry.self) == .succeeded)
        #expect(test.text.hasPrefix("Expired 0 orders, asked to remove 1: 0 errors ("))
        #expect(test.run(OrderExpiryEntry.self) == .nothingToDo)
        #expect(test.text == "no order is due, 1 wait for the engine")
    }

    /// Foreign schema (a) of the specification: its own names, ids as text, its own words.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func statementsOfOnesOwnReplaceOurs() throws {
        let desk = try Desk(.disk)
        try desk.test.connection.execute("""
            CREATE TABLE trading_pairs (id TEXT PRIMARY KEY, symbol TEXT, status TEXT);
            INSERT INTO trading_pairs VALUES ('6f1c', 'ETH/USD', 'ACTIVE');
            CREATE TABLE their_orders (id TEXT PRIMARY KEY, user_id TEXT, pair TEXT, side TEXT, price TEXT, quantity TEXT,
                filled TEXT, held TEXT, status TEXT, expires_at TEXT);
            INSERT INTO their_orders VALUES
                ('0a-b1', '1', '6f1c', 'SELL', '100', '2', '0', '2', 'OPEN', '2026-01-05T11:59:00Z'),
                ('0a-b2', '1', '6f1c', 'SELL', '100', '2', '1', '1', 'PARTIALLY_FILLED', '2026-01-05T11:59:00Z'),
                ('0a-b3', '1', '6f1c', 'SELL', '100', '2', '0', '2', 'OPEN', '2999-01-05T12:01:00Z');
            """)
        let wallet = try desk.test.pay(Amount(10), "ETH", to: "user:1")
        try desk.test.lock(Amount(5), of: wallet, cause: "locks")
        let due = """
            SELECT o.id, 'user:' || o.user_id, p.symbol, substr(p.symbol, 1, 3), lower(o.side), o.price, o.quantity, o.filled,
                   o.held, '0', '0', o.filled || o.status, unixepoch(o.expires_at) * 1000
            FROM their_orders o JOIN trading_pairs p ON p.id = o.pair
            WHERE o.status IN ('OPEN', 'PARTIALLY_FILLED') AND unixepoch(o.expires_at) * 1000 <= :now
              AND (unixepoch(o.expires_at) * 1000, o.id) > (:after_ms, :after_id)
            ORDER BY 13, 1 LIMIT :limit
            """
        let expire = "UPDATE their_orders SET status = 'EXPIRED', held = '0' WHERE id = :id AND filled || status = :version"
        let settings = JSON.object(JSONObject([
            ("database", .string(desk.test.database)), ("mode", "live"), ("batch", .number("1")),
            ("sql", .object(JSONObject([("due_orders", .string(due)), ("expire_order", .string(expire))]))),
        ]))
        let test = TestRun(settings: settings.text)
        #expect(test.run(OrderExpiryEntry.self) == .succeeded)
        #expect(try desk.test.texts("SELECT id, status, held FROM their_orders ORDER BY id") == [
            "0a-b1 EXPIRED 0", "0a-b2 EXPIRED 0", "0a-b3 OPEN 2",
        ])
        #expect(try desk.money("ETH") == "8 2")
        #expect(try desk.expiries() == ["0a-b1 expired 2", "0a-b2 expired 1"])
    }

    /// The same in PostgreSQL, with its types: uuid, numeric(38, 18), timestamptz.
    @Test(.enabled(if: TestExchange.dialect == .postgresql)) func ordersOfAPlatformInPostgreSQLAreExpired() throws {
        let platform = try UUIDPlatform()
        defer { platform.remove() }
        let (user, test) = ("7e570000-0000-4000-8000-000000000001", platform.test)
        for (number, side, filled, locked, status, seconds) in [
            (1, "SELL", "0", "2", "OPEN", -60), (2, "BUY", "0.5", "150", "PARTIALLY_FILLED", -60), (3, "SELL", "0", "2", "OPEN", 60),
            (4, "SELL", "2", "0", "FILLED", -60),
        ] as [(Int, String, String, String, String, Int64)] {
            try test.connection.run(
                "INSERT INTO app_orders VALUES (CAST(? AS uuid), CAST(? AS uuid), CAST(? AS uuid), ?, 100, 2, ?, ?, ?, to_timestamp(CAST(? AS bigint)))",
                [
                    .text("0a000000-0000-4000-8000-00000000000\(number)"), .text(user), .text(UUIDPlatform.ethereum), .text(side), .text(filled),
                    .text(locked), .text(status), .int(Desk.now / 1_000 + seconds),
                ])
        }
        for (currency, held) in [("ETH", Amount(4)), ("USD", Amount(150))] {
            let wallet = try test.pay(Amount(200), currency, to: "user:\(user)")
            try test.lock(held, of: wallet, cause: "locks:\(currency)")
        }
        let location = try platform.location(["due_orders": "due_orders", "expire_order": "expire_order", "waiting_orders": "waiting_orders"])
        let exchange = try Exchange.open(location, statements: .orderExpiry)
        defer { exchange.close() }
        var settings = OrderExpiryEntry.Settings()
        (settings.mode, settings.batch) = (.live, 1)
        var run = ExpiryRun(exchange, settings, now: Desk.now)
        try run.run(isCancelled: { false })
        #expect((run.report.expired, run.report.errors) == (2, 0))
        #expect(try test.texts("SELECT right(id::text, 1), status, trim_scale(locked_amount) FROM app_orders ORDER BY id")
            == ["1 EXPIRED 0", "2 EXPIRED 0", "3 OPEN 2", "4 FILLED 0"])
        #expect(try test.money("user:\(user)", "ETH") == "198 2")
        #expect(try test.money("user:\(user)", "USD") == "200 0")
        #expect(try test.differences() == [])
    }
}
