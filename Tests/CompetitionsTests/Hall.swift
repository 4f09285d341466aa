import ExchangeTestKit
import JobKit
import SQL

@testable import Competitions
@testable import ExchangeKit

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// Seconds before (negative) or after the end of the contests.
func instant(_ seconds: Int64) -> Int64 { Hall.end + seconds * 1_000 }

/// Contests in USD that end at noon, a week after they began, with traders who pay in from
/// wallets of their own.
final class Hall {
    /// 2026-01-05T12:00:00Z
    static let end: Int64 = 1_767_614_400_000
    static let start = end - 7 * 86_400_000

    let test: TestExchange
    private var accounts: [String: Int64] = [:]

    init(_ place: TestExchange.Place = .memory) throws {
        test = try TestExchange(place, statements: .competitions)
    }

    /// With 10,000 to trade with, and 1,000 of their own to pay stakes from.
    @discardableResult
    func trader(_ name: String, currency: String = "USD") throws -> Int64 {
        if let known = accounts[name] { return known }
        let wallet = try test.pay(amount("10000"), currency, to: "account:" + name)
        try test.pay(amount("1000"), "USD", to: "user:" + name)
        let id = try test.insert(
            "INSERT INTO accounts (name, currency, wallet_id) VALUES (?, ?, ?)", [.text(name), .text(currency), .int(wallet)])
        accounts[name] = id
        return id
    }

    /// A contest with entrants who have paid their stakes.
    @discardableResult
    func contest(
        _ kind: ContestKind = .competition, stake: String = "100", prizes: String = #"["50","30","20"]"#, fee: String = "0",
        pool: String = "0", minimum: Int64 = 2, ends: Int64 = Hall.end, of entrants: [String]
    ) throws -> Int64 {
        let id = try test.insert(
            """
            INSERT INTO competitions (kind, name, currency, prize_pool, prizes, platform_fee, min_entrants, status, starts_ms, ends_ms)
            VALUES (?, 'Cup', 'USD', ?, ?, ?, ?, 'running', ?, ?)
            """,
            [.text(kind.rawValue), .text(pool), .text(prizes), .text(fee), .int(minimum), .int(Self.start), .int(ends)])
        if try !amount(pool).isZero { try test.pay(amount(pool), "USD", to: "competition:\(id)") }
        for name in entrants { try enter(id, name, stake: stake) }
        return id
    }

    func enter(_ contest: Int64, _ name: String, stake: String) throws {
        let account = try trader(name)
        let stakeAmount = try amount(stake)
        let ledger = Ledger(test.exchange)
        let wallet = try ledger.wallet(owner: "user:" + name, currency: "USD")
        if !stakeAmount.isZero {
            let escrow = try ledger.wallet(owner: "competition:\(contest)", currency: "USD")
            try test.exchange.write {
                _ = try ledger.post(
                    cause: "entry:\(contest):\(account)", kind: "entry",
                    [.init(wallet, .available, try -stakeAmount), .init(escrow, .available, stakeAmount)], at: Self.start)
            }
        }
        _ = try test.insert(
            "INSERT INTO participants (competition_id, account_id, wallet_id, paid, start_equity, start_ms) VALUES (?, ?, ?, ?, '10000', ?)",
            [.int(contest), .int(account), .int(wallet), .text(stake), .int(Self.start)])
    }

    /// A realised result.
    func earn(_ name: String, _ profit: String, at seconds: Int64 = -3_600, kind: String = "close") throws {
        let ledger = Ledger(test.exchange)
        let wallet = try ledger.wallet(owner: "account:" + name, currency: "USD")
        let house = try ledger.wallet(owner: "platform:trading", currency: "USD", mayBeNegative: true)
        try test.exchange.write {
            _ = try ledger.post(
                cause: "\(kind):\(name):\(try test.count("ledger_causes"))", kind: kind,
                [.init(wallet, .available, amount(profit), isOwed: true), .init(house, .available, try -amount(profit))],
                at: instant(seconds))
        }
    }

    func price(_ symbol: String, _ bid: String, _ ask: String, at seconds: Int64) throws {
        try test.quote(try test.pair(symbol), at: instant(seconds), bid: bid, ask: ask)
    }

    @discardableResult
    func position(
        _ name: String, _ symbol: String, _ side: String = "long", size: String, from price: String, at seconds: Int64 = -7_200
    ) throws -> Int64 {
        try test.insert(
            "INSERT INTO positions (account_id, pair_id, side, size, open_price, leverage, opened_ms) VALUES (?, ?, ?, ?, ?, '10', ?)",
            [.int(try trader(name)), .int(try test.pair(symbol)), .text(side), .text(size), .text(price), .int(instant(seconds))])
    }

    func close(_ position: Int64, at seconds: Int64) throws {
        try test.connection.run(
            "UPDATE positions SET status = 'closed', closed_ms = ?, version = version + 1 WHERE id = ?",
            [.int(instant(seconds)), .int(position)])
    }

    @discardableResult
    func run(
        _ kind: ContestKind = .competition, at seconds: Int64 = 60, cancelledAfter questions: Int = .max,
        _ change: (inout ContestSettings) -> Void = { _ in }
    ) throws -> ContestReport {
        try Self.run(test.exchange, kind, at: seconds, cancelledAfter: questions, change)
    }

    /// Over a connection of the run's own, as in a worker.
    @discardableResult
    func runAlone(_ kind: ContestKind = .competition, at seconds: Int64 = 60) throws -> ContestReport {
        try Self.runAlone(test.location, kind, at: seconds)
    }
    static func runAlone(_ location: ExchangeLocation, _ kind: ContestKind, at seconds: Int64) throws -> ContestReport {
        let exchange = try Exchange.open(location, statements: .competitions)
        defer { exchange.close() }
        return try run(exchange, kind, at: seconds, cancelledAfter: .max) { _ in }
    }

    private static func run(
        _ exchange: Exchange, _ kind: ContestKind, at seconds: Int64, cancelledAfter questions: Int,
        _ change: (inout ContestSettings) -> Void
    ) throws -> ContestReport {
        var settings = ContestSettings()
        settings.mode = .live
        change(&settings)
        var run = ContestRun(exchange, kind, settings, actor: "competitions-end", now: instant(seconds))
        var asked = 0
        do {
            try run.run(isCancelled: { asked += 1; return asked > questions })
        } catch is CancellationNotice {}
        return run.report
    }

    func status(_ contest: Int64) throws -> String {
        try test.texts("SELECT status FROM competitions WHERE id = ?", [.int(contest)]).first ?? "gone"
    }
    /// "name place return payout" in the order of places.
    func table(_ contest: Int64) throws -> [String] {
        try test.texts(
            """
            SELECT a.name, p.place, p.return_percent, p.payout FROM participants p JOIN accounts a ON a.id = p.account_id
            WHERE competition_id = ? ORDER BY p.place, a.id
            """, [.int(contest)])
    }
    func equity(_ name: String) throws -> String {
        try test.texts("SELECT final_equity FROM participants WHERE account_id = ?", [.int(try trader(name))]).first ?? "gone"
    }
    /// What their own wallet holds: 1,000 less stakes, with prizes and refunds.
    func purse(_ name: String) throws -> String { try test.money("user:" + name, "USD") }
    func purses(_ names: String...) throws -> [String] { try names.map(purse) }
    func statuses() throws -> [String] { try test.texts("SELECT status FROM competitions ORDER BY id") }
    func platform() throws -> String { try test.money("platform:contests", "USD") }
    func escrow(_ contest: Int64) throws -> String { try test.money("competition:\(contest)", "USD") }
}
