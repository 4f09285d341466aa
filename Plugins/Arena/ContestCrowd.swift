import ExchangeKit
import JobCore

/// Competitions and challenges of a simulation, so that they end while one looks on: some are
/// won, some have too few entrants, in some challenges nobody is better.
struct ContestCrowd {
    let exchange: Exchange
    let driver: ArenaDriver
    let simulation: String
    let tick: Int64
    let currency: String
    private(set) var begun = 0

    private static let stake = Amount(100)
    private static let entrants = 6

    init(exchange: Exchange, driver: ArenaDriver, simulation: String, tick: Int64, currency: String) {
        self.exchange = exchange
        self.driver = driver
        self.simulation = simulation
        self.tick = tick
        self.currency = currency
    }

    /// Begins the next ones when the last ones are settled.
    mutating func act(_ random: inout SeededGenerator) throws {
        let running = try exchange.first("open_contests", ["prefix": .text(simulation + " ")]) { try $0.int64(0) } ?? 0
        guard running == 0 else { return }
        // Now and then there are too few: everybody gets the stake back.
        let isFull = Int.random(in: 0 ..< 4, using: &random) > 0
        try begin("cup", kind: "competition", lasting: 8_000, entrants: isFull ? Self.entrants : 2, minimum: 3, &random)
        try begin("duel", kind: "challenge", lasting: 5_000, entrants: 2, minimum: 2, &random)
    }

    private mutating func begin(
        _ what: String, kind: String, lasting: Int64, entrants: Int, minimum: Int64, _ random: inout SeededGenerator
    ) throws {
        let accounts = try exchange.rows("contest_accounts", ["prefix": .text(simulation + "-margin-")]) {
            (id: try $0.int64(0), equity: try $0.amount(1))
        }.filter { $0.equity.isPositive }.shuffled(using: &random).prefix(entrants)
        guard accounts.count == entrants else { return }
        let name = "\(simulation) \(what) \(tick)"
        try exchange.run("create_contest", [
            "name": .text(name), "kind": .text(kind), "currency": .text(currency), "prizes": .text(#"["50", "30", "20"]"#),
            "fee": .amount(Amount(5)), "minimum": .int(minimum), "now": .int(driver.now), "ends": .int(driver.now + lasting),
        ])
        guard let contest = try exchange.first("contest_by_name", ["name": .text(name)], { try $0.int64(0) }) else { return }
        for account in accounts { try enter(contest, account.id, equity: account.equity) }
        begun += 1
    }

    /// From outside into the entrant's own wallet, and from there into the contest's.
    private func enter(_ contest: Int64, _ account: Int64, equity: Amount) throws {
        let ledger = Ledger(exchange)
        let outside = try ledger.wallet(owner: "platform:external", currency: currency, mayBeNegative: true)
        let purse = try ledger.wallet(owner: "user:\(simulation)-entrant-\(account)", currency: currency)
        let escrow = try ledger.wallet(owner: "competition:\(contest)", currency: currency)
        try ledger.post(
            cause: "simulation:\(simulation):stake:\(contest):\(account)", kind: "deposit",
            [.init(outside, .available, try -Self.stake), .init(purse, .available, Self.stake)], at: driver.now)
        try ledger.post(
            cause: "entry:\(contest):\(account)", kind: "entry",
            [.init(purse, .available, try -Self.stake), .init(escrow, .available, Self.stake)], at: driver.now)
        try exchange.run("enter_contest", [
            "competition": .int(contest), "account": .int(account), "wallet": .int(purse), "paid": .amount(Self.stake),
            "equity": .amount(equity), "now": .int(driver.now),
        ])
    }
}
