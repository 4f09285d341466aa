import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL

@testable import Deposits

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// 2026-01-05T12:00:00Z
let noon: Int64 = 1_767_614_400_000
let alice = "0xa11ce00000000000000000000000000000000001"

/// A platform in a test: users, deposits, and a paper chain that mines on command.
final class Platform {
    let test: TestExchange
    let wallet: Int64
    var chains: [String: ChainSettings] = ["paper": ChainSettings()]

    /// Of a run that opens its own connection, as in a worker.
    private var other: Exchange?
    var exchange: Exchange { other ?? test.exchange }

    /// The runs in `body` have a connection of their own.
    func alone<Result>(lockTimeout: Span? = nil, _ body: (Platform) throws -> Result) throws -> Result {
        var location = test.location
        location.lockTimeout = lockTimeout ?? location.lockTimeout
        let exchange = try Exchange.open(location, statements: .deposits)
        other = exchange
        defer {
            exchange.close()
            other = nil
        }
        return try body(self)
    }

    /// - Parameter confirmations: of the chain.
    init(_ place: TestExchange.Place = .memory, purpose: Exchange.Purpose = .simulation, confirmations: Int = 3) throws {
        test = try TestExchange(place, purpose: purpose, statements: .deposits, at: noon)
        chains["paper"]?.confirmations = confirmations
        wallet = try Ledger(test.exchange).wallet(owner: "user:alice", currency: "ETH")
        try sql("INSERT INTO chains (name, confirmations) VALUES ('paper', 12)")
        try sql("INSERT INTO deposit_addresses (chain, address, owner) VALUES ('paper', ?, 'user:alice')", [.text(alice)])
        try mine()
    }

    func sql(_ text: String, _ values: [SQLValue] = []) throws { try exchange.connection.run(text, values) }

    // MARK: The chain

    func head() throws -> Int64 { try test.number("SELECT coalesce(max(height), 99) FROM paper_blocks WHERE chain = 'paper'") }

    /// Blocks on top, from 100 on; waiting transactions stay waiting.
    @discardableResult
    func mine(_ count: Int = 1, fork: String = "a") throws -> Int64 {
        for _ in 0 ..< count {
            let height = try head() + 1
            try sql(
                "INSERT INTO paper_blocks (chain, height, hash) VALUES ('paper', ?, ?)",
                [.int(height), .text("\(height)\(fork)")])
        }
        return try head()
    }

    /// A transaction with one transfer. nil: it waits for a block.
    func pay(
        _ hash: String, _ units: String = "1500000000000000000", block: Int64?, ordinal: Int = 0, token: String = "",
        to address: String = alice, failed: Bool = false
    ) throws {
        try sql(
            "INSERT INTO paper_transactions (chain, hash, block, failed) VALUES ('paper', ?, ?, ?) ON CONFLICT DO NOTHING",
            [.text(hash), .int(block), .bool(failed)])
        try sql(
            "INSERT INTO paper_transfers (chain, tx_hash, ordinal, address, token, units) VALUES ('paper', ?, ?, ?, ?, ?)",
            [.text(hash), .int(ordinal), .text(address), .text(token), .text(units)])
    }

    func include(_ hash: String, in block: Int64?) throws {
        try sql("UPDATE paper_transactions SET block = ? WHERE hash = ?", [.int(block), .text(hash)])
    }

    func forget(_ hash: String) throws { try sql("DELETE FROM paper_transactions WHERE hash = ?", [.text(hash)]) }

    /// Takes blocks from `height` on away; their transactions wait again.
    func rewind(to height: Int64) throws {
        try sql("UPDATE paper_transactions SET block = NULL WHERE block >= ?", [.int(height)])
        try sql("DELETE FROM paper_blocks WHERE height >= ?", [.int(height)])
    }

    // MARK: Deposits

    /// As a listener writes it.
    @discardableResult
    func deposit(
        _ hash: String, _ amount: String = "1.5", ordinal: Int = 0, token: String = "", wallet: Int64? = nil,
        at created: Int64 = noon, status: String = "PENDING", chain: String = "paper"
    ) throws -> String {
        let id = try test.insert(
            """
            INSERT INTO deposits (wallet_id, chain, tx_hash, ordinal, token, amount, status, created_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                .int(wallet ?? self.wallet), .text(chain), .text(hash), .int(ordinal), .text(token), .text(amount),
                .text(status), .int(created),
            ])
        return String(id)
    }

    /// "CONFIRMED 102 3": status, block, confirmations.
    func rows() throws -> [String] { try test.texts("SELECT status, block, confirmations FROM deposits ORDER BY id") }
    func statuses() throws -> [String] { try test.texts("SELECT status FROM deposits ORDER BY id") }
    func reason(_ id: String = "1") throws -> String {
        try test.texts("SELECT reason FROM deposits WHERE id = ?", [.text(id)])[0]
    }
    func available() throws -> String { try test.texts("SELECT available FROM wallets WHERE id = ?", [.int(wallet)])[0] }

    // MARK: Runs

    @discardableResult
    func confirm(
        at now: Int64 = noon, _ change: (inout ConfirmationsEntry.Settings) -> Void = { _ in }
    ) throws -> ConfirmationRun {
        var settings = ConfirmationsEntry.Settings()
        settings.chains = chains
        change(&settings)
        let (exchange, set) = (exchange, try ChainSet(settings.chains))
        var run = ConfirmationRun(exchange, set.plans, settings, now: now) { try set.open($0, exchange, mayRecord: true) }
        try run.run { false }
        return run
    }

    @discardableResult
    func credit(
        at now: Int64 = noon, _ change: (inout CreditEntry.Settings) -> Void = { _ in }
    ) throws -> CreditRun {
        var settings = CreditEntry.Settings()
        settings.chains = chains
        settings.mode = .live
        change(&settings)
        let (exchange, set) = (exchange, try ChainSet(settings.chains))
        var run = try CreditRun(exchange, set.plans, settings, now: now) { try set.open($0, exchange, mayRecord: true) }
        try run.run { false }
        return run
    }

    @discardableResult
    func scan(
        at now: Int64 = noon, _ change: (inout ScanEntry.Settings) -> Void = { _ in },
        restart: @escaping (RestartCommand) -> RestartCommand.Outcome = { _ in .succeeded }
    ) throws -> ScanRun {
        var settings = ScanEntry.Settings()
        settings.chains = chains
        change(&settings)
        let (exchange, set) = (exchange, try ChainSet(settings.chains))
        var run = ScanRun(
            exchange, set.plans, settings, now: now, open: { try set.open($0, exchange, mayRecord: true) }, restart: restart)
        try run.run { false }
        return run
    }

    /// A deposit that is CONFIRMED: in block 101, the head at 103.
    @discardableResult
    func confirmed(_ hash: String = "0x1", _ text: String = "1.5") throws -> String {
        if try head() < 101 { try mine() }
        try pay(hash, try amount(text).units.description, block: 101)
        let id = try deposit(hash, text)
        if try head() < 103 { try mine(2) }
        try confirm()
        return id
    }
}
