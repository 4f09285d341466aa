import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import Reconciler

/// A platform's own table: ids as text, its own words, decimals with zeros, an ISO timestamp.
@Suite struct ForeignSchemaTests {
    private static let table = """
        CREATE TABLE their_orders (id TEXT PRIMARY KEY, symbol TEXT, external_order_id TEXT, status TEXT, executed_qty TEXT,
                                   avg_price TEXT, last_synced_at TEXT);
        INSERT INTO their_orders VALUES
            ('a-1', 'ETHUSD', '1001', 'new', '0.000', NULL, NULL),
            ('a-2', 'ETHUSD', '1002', 'partial', '0.500', '100.00', '2020-01-01T00:00:00Z'),
            ('a-3', 'ETHUSD', '1003', 'filled', '2.000', '100.00', '2020-01-01T00:00:00Z'),
            ('a-4', 'ETHUSD', NULL, 'new', '0.000', NULL, NULL);
        """
    private static let statements = [
        "due_orders": """
            SELECT o.id, o.symbol, o.external_order_id, NULL, o.status, o.executed_qty, NULL, o.avg_price, '', coalesce(s.failures, 0),
                   coalesce(s.not_found, 0), NULL, NULL, NULL, NULL, NULL, NULL, NULL
            FROM their_orders o LEFT JOIN exchange_order_syncs s ON s.order_id = o.id
            WHERE :exchange = 'paper' AND o.status IN ('pending', 'new', 'partial') AND o.external_order_id IS NOT NULL
              AND coalesce(unixepoch(o.last_synced_at), 0) * 1000 <= :synced_before AND coalesce(s.next_sync_ms, 0) <= :now
            ORDER BY o.last_synced_at IS NOT NULL, o.last_synced_at, o.id LIMIT :limit
            """,
        "update_order": """
            UPDATE their_orders SET status = :status, executed_qty = :executed, avg_price = :average_price,
                last_synced_at = strftime('%Y-%m-%dT%H:%M:%SZ', :now / 1000, 'unixepoch')
            WHERE id = :id AND status = :old_status AND executed_qty = :old_executed
            """,
        "mark_synced": """
            UPDATE their_orders SET last_synced_at = strftime('%Y-%m-%dT%H:%M:%SZ', :now / 1000, 'unixepoch')
            WHERE id = :id AND status = :old_status AND executed_qty = :old_executed
            """,
    ]

    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func `Replaced statements reconcile a platform's own table`() throws {
        let test = try TestExchange(.disk)
        try test.connection.execute(Self.table)
        for (id, status, executed) in [("1001", "cancelled", "1"), ("1002", "partial", "0.5")] {
            try test.connection.run(
                "INSERT INTO paper_orders VALUES (?, ?, ?, ?, ?)",
                [.text(id), .text("c" + id), .text(status), .text(executed), .text("100")])
        }
        try test.connection.run("UPDATE paper_orders SET executed_quote = '50' WHERE exchange_id = '1002'")
        let sql = try JSON(encoding: Self.statements).text
        let run = TestRun(settings: #"{"database": "\#(test.database)", "mode": "live", "sql": \#(sql)}"#)
        #expect(run.run(ReconcilerEntry.self) == .succeeded)
        #expect(run.text.hasPrefix("Checked 2 orders: 1 updated, 1 cancelled, 0 errors"))
        #expect(try test.texts("SELECT status, executed_qty, avg_price FROM their_orders ORDER BY id")
            == ["cancelled 1 100", "partial 0.500 100.00", "filled 2.000 100.00", "new 0.000 -"])
        #expect(try test.number("SELECT count(*) FROM their_orders WHERE last_synced_at > '2026'") == 2)
        #expect(try test.events() == ["OrderReconciled"])
        #expect(try test.texts("SELECT subject FROM activity_log") == ["exchange-order:a-1"])
        #expect(run.run(ReconcilerEntry.self) == .nothingToDo)
    }

    /// The files of Examples/foreign-schema: amounts as integers, words of its own by status_map.
    @Test func `Amounts in smallest units and statuses in other words are translated, on both databases`() throws {
        let platform = try UUIDPlatform()
        defer { platform.remove() }
        let test = platform.test
        let isSQLite = TestExchange.dialect == .sqlite
        let (table, instant) = isSQLite ? ("external_orders", "TEXT") : ("app_external_orders", "timestamptz")
        try test.connection.execute("""
            CREATE TABLE \(table) (id \(isSQLite ? "TEXT" : "uuid") PRIMARY KEY, symbol TEXT, external_order_id TEXT, status TEXT,
                                   executed_qty bigint, avg_price \(isSQLite ? "TEXT" : "numeric"), last_synced_at \(instant))
            """)
        func id(_ number: Int) -> String { "0a000000-0000-4000-8000-00000000000\(number)" }
        for (number, status, executed) in [(1, "NEW", 0), (2, "PARTIALLY_FILLED", 50_000_000), (3, "PARTIALLY_FILLED", 1), (4, "FILLED", 7)] {
            try test.connection.run(
                "INSERT INTO \(table) VALUES (\(isSQLite ? "?" : "CAST(? AS uuid)"), 'ETHUSD', ?, ?, ?, NULL, NULL)",
                [.text(id(number)), .text("100\(number)"), .text(status), .int(Int64(executed))])
        }
        var location = try platform.location([
            "due_orders": "due_exchange_orders", "update_order": "update_exchange_order", "mark_synced": "mark_exchange_order",
        ])
        location.statusMap = ["NEW": "new", "PENDING": "pending", "PARTIALLY_FILLED": "partial", "FILLED": "filled", "CANCELED": "cancelled"]
        let exchange = try Exchange.open(location, statements: .reconciler)
        defer { exchange.close() }
        var settings = ReconcilerEntry.Settings()
        (settings.mode, settings.exchange) = (.live, .binance)
        func run(at now: Int64) throws -> ReconcilerReport {
            var run = ReconcilerRun(exchange, ScriptedExchange { order in
                switch order.exchangeID {
                case "1001": ExchangeAnswer(status: .filled, executed: try amount("3"), executedQuote: Amount(100))
                case "1002": ExchangeAnswer(status: .partial, executed: try amount("0.5"))
                // One digit more than the platform keeps.
                default: ExchangeAnswer(status: .partial, executed: try amount("0.123456789"), executedQuote: Amount(1))
                }
            }, settings, now: now)
            try run.run(isCancelled: { false })
            return run.report
        }
        let report = try run(at: Shop.now)
        #expect((report.updated, report.reconciled) == (1, 3))
        // Never cut to fit.
        #expect((report.errors, report.left) == (1, 0))
        // SQLite keeps what `rounded` says, numeric all of the quotient.
        let average = isSQLite ? "33.33333333" : "33.333333333333333333"
        #expect(try test.texts("SELECT status, executed_qty, avg_price FROM \(table) ORDER BY id")
            == ["FILLED 300000000 \(average)", "PARTIALLY_FILLED 50000000 -", "PARTIALLY_FILLED 1 -", "FILLED 7 -"])
        #expect(try test.texts("SELECT change FROM reconciliations") == ["new 0 -> filled 3"])
        #expect(try test.number("SELECT count(*) FROM \(table) WHERE last_synced_at IS NOT NULL") == 2)
        // None is asked for again so soon.
        #expect(try run(at: Shop.now + Shop.minute).reconciled == 0)
    }

    @Test func `A map of statuses that cannot work is refused with a reason`() {
        func problem(_ map: String) -> String? { TestRun(settings: #"{"status_map": \#(map)}"#).validate(ReconcilerEntry.self) }
        #expect(problem(#"{"OPEN": "new", "CANCELED": "cancelled"}"#) == nil)
        #expect(problem(#"{"OPEN": "opne"}"#) == """
            status_map.OPEN: "opne" is no status of ours; there are: pending, new, partial, filled, cancelled, rejected, expired
            """)
        #expect(problem(#"{"OPEN": "new", "LIVE": "new"}"#)
            == "status_map: LIVE and OPEN both mean new; one of them has to be told apart in the statement")
    }
}
