import ExchangeKit
import JobCore

/// The desk that places a simulation's orders at another exchange, the paper one, and that
/// exchange itself. Its listener hears of most that becomes of them, but misses one change in
/// three: those are what reconciliation finds.
struct ExchangeDesk {
    let exchange: Exchange
    let driver: ArenaDriver
    let simulation: String
    let tick: Int64
    private(set) var placed = 0

    private struct Order {
        var id: Int64
        var clientID: String
        var owner: String
        var isBuy: Bool
        var price: Amount
        var quantity: Amount
        var version: Int64
        var isUntouched: Bool
    }

    init(exchange: Exchange, driver: ArenaDriver, simulation: String, tick: Int64) {
        self.exchange = exchange
        self.driver = driver
        self.simulation = simulation
        self.tick = tick
    }

    mutating func act(_ pair: LivePair, _ random: inout SeededGenerator) throws {
        let orders = try exchange.rows("live_paper_orders", ["pair": .int(pair.id)]) { row in
            Order(
                id: try row.int64(0), clientID: try row.text(1), owner: try row.text(2), isBuy: try row.text(3) == "buy",
                price: try row.amount(4), quantity: try row.amount(5), version: try row.int64(6), isUntouched: try row.bool(7))
        }
        for order in orders { try move(order, pair, &random) }
        try place(pair, &random)
    }

    private mutating func place(_ pair: LivePair, _ random: inout SeededGenerator) throws {
        let isBuy = Bool.random(using: &random)
        let owner = "user:\(simulation)-desk"
        let quantity = try Amount(Int32.random(in: 100 ... 2_000, using: &random)).over(pair.price, .up).rounded(to: 4, .up)
        let locked = isBuy ? try pair.price.times(quantity, .up) : quantity
        let currency = isBuy ? pair.symbol.quote : pair.symbol.base
        let clientID = "\(simulation)-\(tick)-\(pair.id)"
        let id = try exchange.first("put_exchange_order", [
            "client_id": .text(clientID), "owner": .text(owner), "pair": .int(pair.id), "side": .text(isBuy ? "buy" : "sell"),
            "price": .amount(pair.price), "quantity": .amount(quantity), "locked": .amount(locked), "now": .int(driver.now),
        ]) { try $0.int64(0) }
        guard let id else { return }
        try exchange.run("put_paper_order", ["client_id": .text(clientID)])
        let ledger = Ledger(exchange)
        let wallet = try ledger.wallet(owner: owner, currency: currency)
        let outside = try ledger.wallet(owner: "platform:external", currency: currency, mayBeNegative: true)
        try ledger.post(
            cause: "simulation:\(simulation):desk:\(id)", kind: "deposit",
            [.init(wallet, .available, locked), .init(outside, .available, try -locked)], at: driver.now)
        try ledger.post(
            cause: "exchange-order:\(id):lock", kind: "order",
            [.init(wallet, .available, try -locked), .init(wallet, .locked, locked)], at: driver.now)
        placed += 1
    }

    /// One in two is filled, one in six filled in part, one in six cancelled with what it has.
    private func move(_ order: Order, _ pair: LivePair, _ random: inout SeededGenerator) throws {
        let fate = Int.random(in: 0 ..< 6, using: &random)
        let isHeard = Int.random(in: 0 ..< 3, using: &random) > 0
        let status = fate < 3 ? "filled" : fate == 3 ? "partial" : fate == 4 ? "cancelled" : ""
        if status.isEmpty { return }
        let executed = status == "filled" ? order.quantity : try order.quantity.over(Amount(2), .down).rounded(to: 4, .down)
        let quote = try order.price.times(executed, .down)
        try exchange.run("move_paper_order", [
            "client_id": .text(order.clientID), "status": .text(status), "executed": .amount(executed),
            "executed_quote": .amount(quote),
        ])
        if status == "filled", isHeard, order.isUntouched { try hear(order, pair, quote) }
    }

    /// The listener books a fill as the application would.
    private func hear(_ order: Order, _ pair: LivePair, _ quote: Amount) throws {
        let changed = try exchange.run("fill_exchange_order", [
            "id": .int(order.id), "version": .int(order.version), "price": .amount(order.price),
            "quantity": .amount(order.quantity), "quote": .amount(quote), "now": .int(driver.now),
        ])
        guard changed == 1 else { return }
        let ledger = Ledger(exchange)
        let (paid, got) = order.isBuy ? (pair.symbol.quote, pair.symbol.base) : (pair.symbol.base, pair.symbol.quote)
        let (taken, received) = order.isBuy ? (quote, order.quantity) : (order.quantity, quote)
        let from = try ledger.wallet(owner: order.owner, currency: paid)
        let to = try ledger.wallet(owner: order.owner, currency: got)
        let theirPaid = try ledger.wallet(owner: "exchange:paper", currency: paid, mayBeNegative: true)
        let theirGot = try ledger.wallet(owner: "exchange:paper", currency: got, mayBeNegative: true)
        var legs: [Ledger.Leg] = [
            .init(from, .locked, try -taken), .init(theirPaid, .available, taken), .init(theirGot, .available, try -received),
            .init(to, .available, received),
        ]
        // Rounding left a little in the lock of a buy.
        let rest = order.isBuy ? try order.price.times(order.quantity, .up) - quote : .zero
        if !rest.isZero { legs += [.init(from, .locked, try -rest), .init(from, .available, rest)] }
        try ledger.post(cause: "exchange-order:\(order.id):fill:\(order.quantity)", kind: "fill", legs, at: driver.now)
    }
}
