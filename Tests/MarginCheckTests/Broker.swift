import JobKit
import SQL

@testable import ExchangeKit
@testable import MarginCheck

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// A broker in memory: accounts in USD, pairs, prices, positions.
final class Broker {
    let exchange: Exchange
    private var ids: [String: Int64] = [:]
    /// 2026-01-05T12:00:00Z
    static let now: Int64 = 1_767_614_400_000

    init() throws {
        exchange = Exchange(
            connection: try SQLiteConnection(path: ":memory:"), place: "memory", statements: .marginCheck)
        try exchange.createIfEmpty(.simulation, at: 0)
    }

    private func insert(_ sql: String, _ values: [SQLValue]) throws -> Int64 {
        try exchange.connection.run(sql, values)
        return try exchange.connection.first("SELECT last_insert_rowid()", []) { try $0.int64(0) } ?? 0
    }

    @discardableResult
    func account(_ name: String, balance: String, currency: String = "USD") throws -> Int64 {
        let ledger = Ledger(exchange)
        let wallet = try ledger.wallet(owner: "account:" + name, currency: currency)
        let outside = try ledger.wallet(owner: "platform:external", currency: currency, mayBeNegative: true)
        try ledger.post(
            cause: "opening:" + name, kind: "opening",
            [.init(wallet, .available, amount(balance)), .init(outside, .available, try -amount(balance))], at: 0)
        let id = try insert("INSERT INTO accounts (name, currency, wallet_id) VALUES (?, ?, ?)", [.text(name), .text(currency), .int(wallet)])
        ids[name] = id
        return id
    }

    @discardableResult
    func pair(_ symbol: String, contractSize: String = "1", sizeStep: String = "0") throws -> Int64 {
        if let id = ids[symbol] { return id }
        let sides = symbol.split(separator: "/").map(String.init)
        let id = try insert(
            "INSERT INTO pairs (symbol, base, quote, contract_size, size_step, created_ms) VALUES (?, ?, ?, ?, ?, 0)",
            [.text(symbol), .text(sides[0]), .text(sides[1]), .text(contractSize), .text(sizeStep)])
        ids[symbol] = id
        return id
    }

    /// - Parameter age: seconds before `now`.
    func price(_ symbol: String, _ bid: String, _ ask: String, age: Int64 = 1) throws {
        let pair = try pair(symbol)
        _ = try insert(
            "INSERT INTO quotes (pair_id, ts_ms, bid, ask) VALUES (?, ?, ?, ?)",
            [.int(pair), .int(Self.now - age * 1_000), .text(bid), .text(ask)])
    }

    @discardableResult
    func position(
        _ account: String, _ symbol: String, _ side: Side = .long, size: String, at open: String, leverage: String
    ) throws -> Int64 {
        try insert(
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
    func positions() throws -> [String] {
        try exchange.connection.rows("SELECT status, size FROM positions ORDER BY id", []) {
            try $0.text(0) + " " + $0.text(1)
        }
    }
    func open() throws -> [Int64] {
        try exchange.connection.rows("SELECT id FROM positions WHERE status = 'open' ORDER BY id", []) { try $0.int64(0) }
    }
    func balance(_ name: String) throws -> String {
        try exchange.connection.first("SELECT available FROM wallets WHERE owner = ?", [.text("account:" + name)]) {
            try $0.text(0)
        } ?? ""
    }
    func events() throws -> [String] {
        try exchange.connection.rows("SELECT event FROM outbox_events ORDER BY seq", []) { try $0.text(0) }
    }
    func count(_ table: String) throws -> Int64 {
        try exchange.connection.first("SELECT count(*) FROM " + table, []) { try $0.int64(0) } ?? -1
    }
}
