import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL

@testable import MarginCheck

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// A broker: accounts in USD, pairs, prices, positions.
final class Broker {
    let test: TestExchange
    private var ids: [String: Int64] = [:]
    /// 2026-01-05T12:00:00Z
    static let now: Int64 = 1_767_614_400_000

    var exchange: Exchange { test.exchange }

    init(_ place: TestExchange.Place = .memory) throws {
        test = try TestExchange(place, statements: .marginCheck)
    }

    @discardableResult
    func account(_ name: String, balance: String, currency: String = "USD") throws -> Int64 {
        let wallet = try test.pay(amount(balance), currency, to: "account:" + name)
        let id = try test.insert(
            "INSERT INTO accounts (name, currency, wallet_id) VALUES (?, ?, ?)", [.text(name), .text(currency), .int(wallet)])
        ids[name] = id
        return id
    }

    @discardableResult
    func pair(_ symbol: String, contractSize: String = "1", sizeStep: String = "0") throws -> Int64 {
        try test.pair(symbol, contractSize: contractSize, sizeStep: sizeStep)
    }

    /// - Parameter age: seconds before `now`.
    func price(_ symbol: String, _ bid: String, _ ask: String, age: Int64 = 1) throws {
        try test.quote(try pair(symbol), at: Self.now - age * 1_000, bid: bid, ask: ask)
    }

    @discardableResult
    func position(
        _ account: String, _ symbol: String, _ side: Side = .long, size: String, at open: String, leverage: String
    ) throws -> Int64 {
        try test.insert(
            "INSERT INTO positions (account_id, pair_id, side, size, open_price, leverage, opened_ms) VALUES (?, ?, ?, ?, ?, ?, 0)",
            [.int(ids[account]), .int(try pair(symbol)), .text(side.rawValue), .text(size), .text(open), .text(leverage)])
    }

    @discardableResult
    func run(
        after seconds: Int64 = 0, cause: String = "test:1", _ change: (inout MarginCheckEntry.Settings) -> Void = { _ in }
    ) throws -> MarginReport {
        var settings = MarginCheckEntry.Settings()
        settings.mode = .live
        change(&settings)
        var run = MarginRun(exchange, settings, now: Self.now + seconds * 1_000, cause: cause)
        try run.run(isCancelled: { false })
        return run.report
    }

    func state(_ name: String, _ change: (inout MarginCheckEntry.Settings) -> Void = { _ in }) throws -> MarginState {
        var settings = MarginCheckEntry.Settings()
        change(&settings)
        let tables = MarginTables(exchange: exchange)
        let account = try tables.account(ids[name] ?? 0)
        guard let account else { throw JobFailure.permanent("no account \(name)") }
        return try tables.prices(now: Self.now, settings).value(account)
    }

    /// "open 1", "closed 2": status and size by position.
    func positions() throws -> [String] { try test.texts("SELECT status, size FROM positions ORDER BY id") }
    func open() throws -> [Int64] {
        try exchange.connection.rows("SELECT id FROM positions WHERE status = 'open' ORDER BY id", []) { try $0.int64(0) }
    }
    func balance(_ name: String) throws -> String {
        try test.texts("SELECT available FROM wallets WHERE owner = ?", [.text("account:" + name)]).first ?? ""
    }
    func events() throws -> [String] { try test.events() }
    func count(_ table: String) throws -> Int64 { try test.count(table) }
}
