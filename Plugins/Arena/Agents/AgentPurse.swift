import ExchangeKit

/// The wallets of an agent, and how its money moves: by the ledger, each cause once.
struct AgentPurse {
    private let exchange: Exchange
    private let simulation: String
    private let agent: String
    private var owner: String { "agent:\(simulation):\(agent)" }

    init(_ exchange: Exchange, simulation: String, agent: String) {
        self.exchange = exchange
        self.simulation = simulation
        self.agent = agent
    }

    private var wallets: [(id: Int64, currency: String, available: Amount)] {
        get throws {
            try exchange.rows("agent_wallets", ["owner": .text(owner)]) {
                (id: try $0.int64(0), currency: try $0.text(1), available: try $0.amount(2))
            }
        }
    }

    func portfolio(_ currency: String) throws -> Portfolio {
        var portfolio = Portfolio(currency: currency, cash: .zero)
        for wallet in try wallets {
            if wallet.currency == currency {
                portfolio.cash = wallet.available
            } else if !wallet.available.isZero {
                portfolio.holdings[wallet.currency] = wallet.available
            }
        }
        return portfolio
    }

    /// By currency, those that are not empty.
    func amounts() throws -> [String: Amount] {
        Dictionary(uniqueKeysWithValues: try wallets.filter { !$0.available.isZero }.map { ($0.currency, $0.available) })
    }

    /// From outside.
    /// - Parameter cause: unique in the simulation, for this agent.
    func pay(_ amount: Amount, _ currency: String, cause: String, at now: Int64) throws {
        try set([currency: amount], cause: cause, at: now)
    }

    /// To what is given, from and to outside; all other wallets to nothing.
    func set(_ amounts: [String: Amount], cause: String, at now: Int64) throws {
        let ledger = Ledger(exchange)
        let present = Dictionary(uniqueKeysWithValues: try wallets.map { ($0.currency, $0.available) })
        var legs: [Ledger.Leg] = []
        for currency in Set(amounts.keys).union(present.keys).sorted() {
            let change = try (amounts[currency] ?? .zero) - (present[currency] ?? .zero)
            if change.isZero { continue }
            let wallet = try ledger.wallet(owner: owner, currency: currency)
            let outside = try ledger.wallet(owner: "platform:external", currency: currency, mayBeNegative: true)
            legs += [.init(wallet, .available, change), .init(outside, .available, try -change)]
        }
        guard !legs.isEmpty else { return }
        try ledger.post(cause: "\(owner):\(cause)", kind: "agent", legs, at: now)
    }

    /// What trades have moved, as one cause.
    func settle(_ fills: [AgentFill], currency: String, cause: String, at now: Int64) throws {
        guard !fills.isEmpty else { return }
        let ledger = Ledger(exchange)
        let cash = try ledger.wallet(owner: owner, currency: currency)
        let market = try ledger.wallet(owner: "platform:market", currency: currency, mayBeNegative: true)
        let fees = try ledger.wallet(owner: "platform:fees", currency: currency)
        var legs: [Ledger.Leg] = []
        for fill in fills {
            let goods = try ledger.wallet(owner: owner, currency: fill.base)
            let store = try ledger.wallet(owner: "platform:market", currency: fill.base, mayBeNegative: true)
            let isBuy = fill.order.side == .buy
            let (paid, received) = isBuy ? (try -(fill.worth + fill.fee), fill.order.amount) : (try fill.worth - fill.fee, try -fill.order.amount)
            legs += [
                .init(cash, .available, paid), .init(market, .available, isBuy ? fill.worth : try -fill.worth),
                .init(fees, .available, fill.fee), .init(goods, .available, received), .init(store, .available, try -received),
            ]
        }
        try ledger.post(cause: "\(owner):\(cause)", kind: "agent", legs, at: now)
    }

    func save(strategy: Strategy, _ fills: [AgentFill], equity: Amount) throws {
        let found = try exchange.rows("agents", ["simulation": .text(simulation)]) {
            (name: try $0.text(0), trades: try $0.int64(4), fees: try $0.amount(5))
        }.first { $0.name == agent }
        guard let found else { return }
        var fees = found.fees
        for fill in fills { fees = try fees + fill.fee }
        try exchange.run("save_agent", [
            "simulation": .text(simulation), "name": .text(agent), "strategy": .text(strategy.rawValue),
            "trades": .int(found.trades + Int64(fills.count)), "fees": .amount(fees), "equity": .amount(equity),
        ])
    }
}
