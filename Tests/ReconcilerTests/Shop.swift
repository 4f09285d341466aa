import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL

@testable import Reconciler

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// A broker whose users' orders were placed at another exchange.
final class Shop {
    let test: TestExchange
    /// 2026-01-05T12:00:00Z
    static let now: Int64 = 1_767_614_400_000
    static let minute: Int64 = 60_000

    init(_ place: TestExchange.Place = .memory, at exchange: String = "paper") throws {
        test = try TestExchange(place, statements: .reconciler)
        try test.pair("ETH/USD")
        self.exchange = exchange
    }
    private let exchange: String

    /// An order of 2 ETH at 100 USD, by user:1, whose money is locked; never synced.
    /// - Parameters:
    ///   - synced: minutes before now; nil: never.
    ///   - settled: what the ledger has of what was executed; "executed quote".
    @discardableResult
    func order(
        _ side: String = "buy", status: String = "new", executed: String = "0", synced: Int64? = nil, isPlaced: Bool = true,
        owner: String? = "user:1"
    ) throws -> Int64 {
        let isBuy = side == "buy"
        let done = try amount(executed)
        let quote = try done.times(Amount(100), .halfEven)
        let locked = owner == nil ? Amount.zero : isBuy ? try Amount(200) - quote : try Amount(2) - done
        let number = try test.count("exchange_orders") + 1
        if let owner {
            let currency = isBuy ? "USD" : "ETH"
            let wallet = try test.pay(Amount(isBuy ? 200 : 2), currency, to: owner)
            try test.lock(Amount(isBuy ? 200 : 2), of: wallet, cause: "exchange-order:\(number):lock")
            if done.isPositive { try fill(owner, number, isBuy, done, quote) }
        }
        return try test.insert(
            """
            INSERT INTO exchange_orders (exchange, client_id, exchange_id, owner, pair_id, side, price, quantity, executed,
                average_price, settled, settled_quote, locked, status, placed_ms, last_synced_ms)
            VALUES (?, ?, ?, ?, 1, ?, '100', '2', ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .text(exchange), .text("c\(number)"), .text("\(1_000 + number)"), .text(owner), .text(side),
                .text(executed), .text(done.isZero ? nil : "100"), .text(executed), .amount(quote), .amount(locked),
                .text(status), .int(isPlaced ? 1 : nil), .int(synced.map { Self.now - $0 * Self.minute }),
            ])
    }

    private func fill(_ owner: String, _ number: Int64, _ isBuy: Bool, _ base: Amount, _ quote: Amount) throws {
        try test.exchange.write {
            let ledger = Ledger(test.exchange)
            let (paid, got) = isBuy ? ("USD", "ETH") : ("ETH", "USD")
            let (taken, received) = isBuy ? (quote, base) : (base, quote)
            let theirs = "exchange:" + exchange
            _ = try ledger.post(
                cause: "exchange-order:\(number):fill:\(base)", kind: "fill",
                [
                    .init(ledger.wallet(owner: owner, currency: paid), .locked, -taken),
                    .init(ledger.wallet(owner: theirs, currency: paid, mayBeNegative: true), .available, taken),
                    .init(ledger.wallet(owner: theirs, currency: got, mayBeNegative: true), .available, -received),
                    .init(ledger.wallet(owner: owner, currency: got), .available, received),
                ], at: 0)
        }
    }

    /// What the paper exchange has of the order of that id.
    func truth(_ id: Int64, _ status: String, _ executed: String, quote: String? = nil) throws {
        let worth = try quote ?? amount(executed).times(Amount(100), .halfEven).description
        try test.connection.run(
            """
            INSERT INTO paper_orders (exchange_id, client_id, status, executed, executed_quote) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (exchange_id) DO UPDATE
            SET status = excluded.status, executed = excluded.executed, executed_quote = excluded.executed_quote
            """,
            [.text("\(1_000 + id)"), .text("c\(id)"), .text(status), .text(executed), .text(worth)])
    }

    @discardableResult
    func run(
        after minutes: Int64 = 0, _ adapter: any ExchangeAdapter = PaperExchange(),
        _ change: (inout ReconcilerEntry.Settings) -> Void = { _ in }
    ) throws -> ReconcilerReport {
        var settings = ReconcilerEntry.Settings()
        settings.mode = .live
        settings.exchange = ReconcilerEntry.ExchangeName(rawValue: exchange) ?? .paper
        change(&settings)
        var run = ReconcilerRun(test.exchange, adapter, settings, now: Self.now + minutes * Self.minute)
        try run.run(isCancelled: { false })
        return run.report
    }

    /// "status executed average" of an order.
    func state(_ id: Int64) throws -> String {
        try test.texts("SELECT status, executed, average_price FROM exchange_orders WHERE id = ?", [.int(id)]).first ?? "gone"
    }
    /// "available locked" of the user in USD and in ETH.
    func money(_ owner: String = "user:1") throws -> String {
        "\(try test.money(owner, "USD")) USD, \(try test.money(owner, "ETH")) ETH"
    }
    func synced(_ id: Int64) throws -> Int64? {
        try test.connection.first("SELECT last_synced_ms FROM exchange_orders WHERE id = ?", [.int(id)]) { try $0.int64OrNil(0) } ?? nil
    }
}

/// Answers as a test says.
struct ScriptedExchange: ExchangeAdapter {
    func greeting() -> String { "is scripted" }

    var answer: (PlacedOrder) throws -> ExchangeAnswer
    func ask(_ orders: [PlacedOrder], _ exchange: Exchange) throws -> [Result<ExchangeAnswer, any Error>] {
        orders.map { order in Result { try answer(order) } }
    }
}
