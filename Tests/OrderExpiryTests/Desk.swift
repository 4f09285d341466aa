import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL

@testable import OrderExpiry

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// A spot market: traders with money, orders that hold it, an engine that answers.
final class Desk {
    let test: TestExchange
    /// 2026-01-05T12:00:00Z
    static let now: Int64 = 1_767_614_400_000

    init(_ place: TestExchange.Place = .memory) throws {
        test = try TestExchange(place, statements: .orderExpiry)
        try test.pair("ETH/USD")
    }

    /// An order of 2 ETH at 100 USD; a buy with a fee of 0.5 USD on top.
    ///
    /// - Parameters:
    ///   - late: seconds by which it is past its time; nil: it has none.
    ///   - locked: what it holds; nil: what it should.
    @discardableResult
    func order(
        _ side: String = "buy", late: Int64? = 1, filled: String = "0", charged: String = "0", locked: String? = nil,
        status: String = "open", owner: String = "user:1"
    ) throws -> Int64 {
        let remaining = try Amount(2) - amount(filled)
        let fee = side == "buy" ? "0.5" : "0"
        let should = side == "buy" ? try remaining.times(Amount(100), .up) + amount(fee) - amount(charged) : remaining
        let holds = try locked.map(amount) ?? should
        let currency = side == "buy" ? "USD" : "ETH"
        let id = try test.insert(
            """
            INSERT INTO orders (owner, pair_id, side, price, amount, filled, locked, fee, fee_charged, status, created_ms, expires_ms)
            VALUES (?, 1, ?, '100', '2', ?, ?, ?, ?, ?, 0, ?)
            """,
            [
                .text(owner), .text(side), .text(filled), .amount(holds), .text(fee), .text(charged), .text(status),
                .int(late.map { Self.now - $0 * 1_000 }),
            ])
        let wallet = try test.pay(Amount(1_000), currency, to: owner)
        try test.lock(holds, of: wallet, cause: "order:\(id):lock")
        return id
    }

    /// What a matching engine writes.
    func answer(_ id: Int64, removed filled: String? = nil, refused reason: String? = nil, at seconds: Int64 = 0) throws {
        try test.connection.run(
            "UPDATE order_expiries SET answer = ?, final_filled = ?, reason = ?, answered_ms = ? WHERE order_id = ?",
            [
                .text(reason == nil ? "removed" : "refused"), .text(filled), .text(reason), .int(Self.now + seconds * 1_000),
                .text(String(id)),
            ])
    }

    @discardableResult
    func run(
        after seconds: Int64 = 0, on exchange: Exchange? = nil,
        _ change: (inout OrderExpiryEntry.Settings) -> Void = { _ in }
    ) throws -> ExpiryReport {
        var settings = OrderExpiryEntry.Settings()
        settings.mode = .live
        change(&settings)
        var run = ExpiryRun(exchange ?? test.exchange, settings, now: Self.now + seconds * 1_000)
        try run.run(isCancelled: { false })
        return run.report
    }

    /// "expired 0" by order: status and what it still holds.
    func orders() throws -> [String] { try test.texts("SELECT status, locked FROM orders ORDER BY id") }
    func expiries() throws -> [String] { try test.texts("SELECT order_id, state, released FROM order_expiries ORDER BY order_id") }
    /// "available locked" of user:1.
    func money(_ currency: String = "USD", of owner: String = "user:1") throws -> String { try test.money(owner, currency) }
}

func ack(_ settings: inout OrderExpiryEntry.Settings) { settings.engine = .ack }
