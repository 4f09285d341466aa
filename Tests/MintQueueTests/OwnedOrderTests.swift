import ExchangeKit
import ExchangeTestKit
import JobKit
import Reconciler
import Testing

@testable import MintQueue

/// Orders that hold money of a user: the reconciler settles them, and nobody else ends them.
@Suite struct OwnedOrderTests {
    private let desk: Desk
    init() throws { desk = try Desk(.disk) }

    /// A buy of 10 BTC at 100 USD, its money locked.
    private func order(_ status: String, placed: Bool) throws {
        try money { ledger in
            let wallet = try ledger.wallet(owner: "user:1", currency: "USD")
            let outside = try ledger.wallet(owner: "platform:external", currency: "USD", mayBeNegative: true)
            try ledger.post(
                cause: "exchange-order:1:lock", kind: "order",
                [.init(wallet, .locked, Amount(1_000)), .init(outside, .available, Amount(-1_000))], at: noon)
        }
        try desk.test.connection.run(
            """
            INSERT INTO exchange_orders (exchange, client_id, owner, pair_id, side, price, quantity, locked, status, placed_ms)
            VALUES ('paper', 't', 'user:1', ?, 'buy', '100', '10', '1000', ?, ?)
            """, [.int(try desk.test.pair("BTC/USD")), .text(status), placed ? .int(noon) : .null])
    }

    /// As the platform moves it: the plugin has no statements for that.
    private func money<Result>(_ body: (Ledger) throws -> Result) throws -> Result {
        let exchange = try Exchange.open(desk.test.location, statements: StatementSet([:]))
        defer { exchange.close() }
        return try exchange.write { try body(Ledger(exchange)) }
    }

    private func manage() throws -> RunOutcome { try desk.manage { $0.exchange = "paper" } }

    /// What the gateway and the exchange itself say of it.
    private func truth(_ status: String, _ executed: String, cost: String) throws {
        desk.gateway.orders["t"] = GatewayAnswer(status: status, executed: try amount(executed), reference: "x-1")
        try desk.test.connection.run(
            "INSERT INTO paper_orders (exchange_id, client_id, status, executed, executed_quote) VALUES ('x-1', 't', ?, ?, ?)",
            [.text(status), .text(executed), .text(cost)])
    }

    private func reconcile() {
        let run = TestRun(settings: #"{"database": "\#(desk.test.database)", "mode": "live"}"#)
        #expect(run.run(ReconcilerEntry.self) == .succeeded, "\(run.text)")
    }

    /// "available locked" in USD, and in BTC.
    private func wallets() throws -> [String] { [try desk.test.money("user:1", "USD"), try desk.test.money("user:1", "BTC")] }

    @Test func oneThatIsFilledIsSettledByTheReconciler() throws {
        try order("pending", placed: false)
        try truth("filled", "10", cost: "990")
        #expect(try manage() == .retry(
            "order t is filled at the exchange, its money is not settled yet. Managed 1 order of trade 17: 0 placed again, 0 left as they are"))
        #expect(try desk.orders() == ["t pending 10 0"])
        reconcile()
        #expect(try desk.orders() == ["t filled 10 10"])
        #expect(try wallets() == ["10 0", "10 0"])
        #expect(try money { try $0.differences() } == [])
        #expect(try manage() == .nothingToDo("Managed 1 order of trade 17: 0 placed again, 1 left as they are"))
    }

    @Test func oneThatExpiredGivesBackItsMoneyAndIsNotPlacedAgain() throws {
        try order("unknown", placed: true)
        try truth("expired", "4", cost: "400")
        #expect(try manage() == .retry(
            "order t is expired at the exchange, its money is not settled yet. Managed 1 order of trade 17: 0 placed again, 0 left as they are"))
        // Looked at again before the reconciler was there: it is not left as one that is being placed.
        #expect(try manage() == .retry(
            "order t is expired at the exchange, its money is not settled yet. Managed 1 order of trade 17: 0 placed again, 0 left as they are"))
        reconcile()
        #expect(try desk.orders() == ["t expired 10 4"])
        #expect(try wallets() == ["600 0", "4 0"])
        // Another 6 would be bought with money that nobody has locked.
        #expect(try manage() == .failed(
            "order t is paid with money of user:1, of which a replacement would hold none: not placed again. "
                + "Managed 1 order of trade 17: 0 placed again, 0 left as they are", code: 2))
        #expect(desk.gateway.calls == ["GET t", "GET t"])
        #expect(try money { try $0.differences() } == [])
    }
}
