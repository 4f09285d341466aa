import ExchangeKit
import JobCore

/// Spot traders of a simulation: they place limit orders, which lock their money, and the
/// market fills them, or they are cancelled, or they stay until they expire.
struct OrderCrowd {
    let exchange: Exchange
    let driver: ArenaDriver
    let simulation: String
    let tick: Int64
    private(set) var placed = 0
    private(set) var filled = 0
    private(set) var cancelled = 0

    private static let traders = 8

    init(exchange: Exchange, driver: ArenaDriver, simulation: String, tick: Int64) {
        self.exchange = exchange
        self.driver = driver
        self.simulation = simulation
        self.tick = tick
    }

    private struct Order {
        var id: Int64
        var owner: String
        var isBuy: Bool
        var price: Amount
        var amount: Amount
        var locked: Amount
        var version: Int64
    }

    mutating func act(_ pair: LivePair, _ random: inout SeededGenerator) throws {
        let orders = try exchange.rows("open_orders", ["pair": .int(pair.id)]) { row in
            Order(
                id: try row.int64(0), owner: try row.text(1), isBuy: try row.text(2) == "buy", price: try row.amount(3),
                amount: try row.amount(4), locked: try row.amount(5), version: try row.int64(6))
        }
        for order in orders {
            let isCrossed = order.isBuy ? order.price >= pair.ask : order.price <= pair.bid
            if isCrossed {
                try fill(order, pair)
            } else if Int.random(in: 0 ..< 8, using: &random) == 0 {
                try cancel(order, pair)
            }
        }
        for _ in 0 ..< 2 { try place(pair, &random) }
    }

    /// Locks the money and places a limit order up to 0.5 % away from the market.
    private mutating func place(_ pair: LivePair, _ random: inout SeededGenerator) throws {
        let owner = "user:\(simulation)-trader-\(Int.random(in: 1 ... Self.traders, using: &random))"
        let isBuy = Bool.random(using: &random)
        let away = try pair.price.times(Amount(Int32.random(in: 5 ... 50, using: &random)), over: Amount(10_000), .up)
        let price = try (isBuy ? pair.price - away : pair.price + away).rounded(to: 8, .halfEven)
        let amount = try Amount(Int32.random(in: 100 ... 5_000, using: &random)).over(pair.price, .up).rounded(to: 4, .up)
        let expires = driver.now + Int64.random(in: 15_000 ... 120_000, using: &random)
        let locked = isBuy ? try price.times(amount, .up) : amount
        let wallet = try funded(owner, isBuy ? pair.symbol.quote : pair.symbol.base, at: locked)
        let id = try exchange.first("put_order", [
            "owner": .text(owner), "pair": .int(pair.id), "side": .text(isBuy ? "buy" : "sell"), "price": .amount(price),
            "amount": .amount(amount), "locked": .amount(locked), "now": .int(driver.now), "expires_ms": .int(expires),
        ]) { try $0.int64(0) }
        guard let id else { return }
        try Ledger(exchange).post(
            cause: "order:\(id):lock", kind: "order",
            [.init(wallet, .available, try -locked), .init(wallet, .locked, locked)], at: driver.now)
        placed += 1
    }

    /// A trader's wallet, with money paid in where it has too little.
    private func funded(_ owner: String, _ currency: String, at least: Amount) throws -> Int64 {
        let ledger = Ledger(exchange)
        let id = try ledger.wallet(owner: owner, currency: currency)
        guard let wallet = try ledger.wallet(id), wallet.available < least else { return id }
        let outside = try ledger.wallet(owner: "platform:external", currency: currency, mayBeNegative: true)
        let amount = try least.times(Amount(20), .up)
        try ledger.post(
            cause: "simulation:\(simulation):deposit:\(id):\(tick):\(placed)", kind: "deposit",
            [.init(id, .available, amount), .init(outside, .available, try -amount)], at: driver.now)
        return id
    }

    private mutating func fill(_ order: Order, _ pair: LivePair) throws {
        guard try end(order, "filled", filled: order.amount) else { return }
        let ledger = Ledger(exchange)
        let (paid, got) = order.isBuy ? (pair.symbol.quote, pair.symbol.base) : (pair.symbol.base, pair.symbol.quote)
        let received = order.isBuy ? order.amount : try order.price.times(order.amount, .down)
        let from = try ledger.wallet(owner: order.owner, currency: paid)
        let to = try ledger.wallet(owner: order.owner, currency: got)
        let marketPaid = try ledger.wallet(owner: "platform:market", currency: paid, mayBeNegative: true)
        let marketGot = try ledger.wallet(owner: "platform:market", currency: got, mayBeNegative: true)
        try ledger.post(
            cause: "order:\(order.id):fill", kind: "fill",
            [
                .init(from, .locked, try -order.locked), .init(marketPaid, .available, order.locked),
                .init(marketGot, .available, try -received), .init(to, .available, received),
            ], at: driver.now)
        filled += 1
    }

    private mutating func cancel(_ order: Order, _ pair: LivePair) throws {
        guard try end(order, "cancelled", filled: .zero) else { return }
        let ledger = Ledger(exchange)
        let wallet = try ledger.wallet(owner: order.owner, currency: order.isBuy ? pair.symbol.quote : pair.symbol.base)
        try ledger.post(
            cause: "order:\(order.id):unlock", kind: "order",
            [.init(wallet, .locked, try -order.locked), .init(wallet, .available, order.locked)], at: driver.now)
        cancelled += 1
    }

    private func end(_ order: Order, _ status: String, filled: Amount) throws -> Bool {
        try exchange.run("end_order", [
            "id": .int(order.id), "version": .int(order.version), "status": .text(status), "filled": .amount(filled),
        ]) == 1
    }
}
