import ExchangeKit
import JobCore
import JobKit
import SQL

/// An agent before its decision.
struct AgentQuestion: Hashable, Sendable {
    var agent: String
    var settings: AgentSettings
    var portfolio: Portfolio
}

/// Whoever decides for agents that ask somebody.
protocol AgentMind {
    /// Decides for each question, and tells each decision as soon as it is there. An agent without one
    /// does not trade in this window.
    func decide(
        _ questions: [AgentQuestion], _ view: MarketView, _ fees: FeeSchedule,
        tell: (_ agent: String, _ decision: AgentDecision) throws -> Void
    ) throws
}

/// What a run found and did.
struct WindowReport: RunReport {
    var notes = RunNotes(mostErrors: 20, mostDetails: 200)
    /// nil: there was nothing to do, and `idle` says why.
    var window: TradeWindow?
    var idle = ""
    var clock: Int64 = 0
    var missed: Int64 = 0
    var decided = 0
    var traded = 0
    var fills = 0
    var refused = 0
    var fees = Amount.zero
    var currency = ""
    /// By agent, at the window's prices.
    var equities: [String: Amount] = [:]
}

/// One trade window of one simulation: all agents decide on what is there at one instant of the
/// market, and what they decided is executed at its prices, once.
struct WindowRun {
    /// At most so many windows are remembered.
    private static let remembered: Int64 = 1_000
    static let part = "trade-window"

    let exchange: Exchange
    let plan: WindowPlan
    let driver: ArenaDriver
    let mind: (any AgentMind)?
    /// How long nobody else may begin, milliseconds.
    let lease: Int64
    private(set) var report = WindowReport()

    init(_ exchange: Exchange, _ plan: WindowPlan, _ driver: ArenaDriver, mind: (any AgentMind)?, lease: Int64 = 300_000) {
        self.exchange = exchange
        self.plan = plan
        self.driver = driver
        self.mind = mind
        self.lease = lease
    }

    private var name: String { plan.settings.simulation }

    /// - Parameter fetch: fresh prices of these pairs, of a realtime market, before agents look; nil: they see
    ///   what the last tick has brought.
    mutating func run(
        fetch: ((_ pairs: [String], _ clock: Int64, _ isDelayed: Bool) throws -> QuoteBoard)? = nil, isCancelled: () -> Bool
    ) throws {
        let guarded = SimulationGuard(exchange, simulation: name, part: Self.part, driver, lease: lease)
        if let other = try exchange.write({ try guarded.take() }) {
            report.idle = "'\(other)' is at work on this window of '\(name)'"
            return
        }
        defer { guarded.drop() }
        if let fetch { try refresh(fetch) }
        guard let opened = try exchange.read({ try find() }) else { return }
        report.clock = opened.clock
        let view = try exchange.read {
            try exchange.marketView(
                of: name, currency: plan.currency, clock: opened.clock, steps: plan.settings.history, step: plan.step(opened.window))
        }
        guard let currency = view.pairs.first?.symbol.quote else {
            report.idle = "'\(name)' has no pair with a price\(plan.currency.map { " in \($0)" } ?? "") yet"
            // What was opened stays at its clock, and no price comes to that any more.
            if !opened.isNew { try exchange.write { try close(opened) } }
            return
        }
        report.window = opened.window
        report.missed = opened.missed
        if opened.missed > 0 { report.warn("\(counted(opened.missed, "window")) went by without a run: agents decide on what is there now") }
        report.currency = currency
        try exchange.write { try open(opened, currency) }
        try decide(view, opened)
        for agent in plan.agents.keys.sorted() {
            if isCancelled() { throw CancellationNotice() }
            try exchange.write { try trade(agent, view, opened) }
        }
        try exchange.write { try close(opened) }
    }

    /// Where a window of a realtime market is due. Those that agents hold first, as they may want to sell.
    private func refresh(_ fetch: (_ pairs: [String], _ clock: Int64, _ isDelayed: Bool) throws -> QuoteBoard) throws {
        guard let row = try SimulationRow.load(exchange, name), row.mode == TickEntry.Mode.realtime.rawValue, !row.isBeginning else { return }
        let clock = max(row.clock, driver.now - behind(row))
        let newest = try exchange.first("window", ["simulation": .text(name)]) { (opens: try $0.int64(0), isOpen: try $0.text(2) == "open") }
        if let newest {
            guard !newest.isOpen, case .trade = TradeWindow.next(clock: clock, length: plan.length(row), last: newest.opens) else { return }
        }
        var held: Set<String> = []
        for agent in plan.agents.keys { held.formUnion(try AgentPurse(exchange, simulation: name, agent: agent).amounts().keys) }
        let pairs = try exchange.rows("simulation_pairs", ["simulation": .text(name)]) { (symbol: try $0.text(1), base: try $0.text(2)) }
        let order = pairs.filter { held.contains($0.base) } + pairs.filter { !held.contains($0.base) }
        let board = try fetch(order.map(\.symbol), clock, behind(row) > 0)
        try exchange.write { _ = try exchange.putQuotes(board, of: name, at: driver.now) }
    }

    /// The market's time. A realtime market's moves by itself; its tick only brings the prices.
    private func clock(_ row: SimulationRow) -> Int64 {
        guard row.mode == TickEntry.Mode.realtime.rawValue, !plan.settings.quotes.providers.isEmpty else { return row.clock }
        return max(row.clock, driver.now - behind(row))
    }

    /// How far a realtime market stands behind the real time, milliseconds: as its own tick has it, whatever
    /// is written here, so that nobody sees what is later.
    private func behind(_ row: SimulationRow) -> Int64 { max(plan.settings.quotes.behind, row.tickedAt - row.clock) }

    // MARK: The window

    private struct Opened {
        var window: TradeWindow
        /// What agents see ends here.
        var clock: Int64
        var missed: Int64
        var simulation: SimulationRow
        /// It is not in the database yet.
        var isNew: Bool
    }

    /// nil: there is none to trade now.
    private mutating func find() throws -> Opened? {
        guard let row = try SimulationRow.load(exchange, name), !row.isBeginning else {
            report.idle = "the simulation '\(name)' begins with its first tick"
            return nil
        }
        let clock = clock(row)
        report.clock = clock
        let length = plan.length(row)
        let newest = try exchange.first("window", ["simulation": .text(name)]) { row in
            (opens: try row.int64(0), clock: try row.int64(1), isOpen: try row.text(2) == "open", missed: try row.int64(3))
        }
        if let newest, newest.isOpen {
            return Opened(
                window: TradeWindow(opens: newest.opens, length: length), clock: newest.clock, missed: newest.missed,
                simulation: row, isNew: false)
        }
        switch TradeWindow.next(clock: clock, length: length, last: newest?.opens) {
        case .wait(let until):
            report.idle = row.finished
                ? "the replay of '\(name)' is finished"
                : "the next window of '\(name)' opens at \(utcText(until)) of its time, in \(Span(milliseconds: until - clock))"
            return nil
        case .trade(let window, let missed):
            return Opened(window: window, clock: clock, missed: missed, simulation: row, isNew: true)
        }
    }

    /// From here on the window is traded at its clock, by whichever attempt.
    private func open(_ opened: Opened, _ currency: String) throws {
        try checkEpoch(opened)
        if opened.isNew {
            try exchange.run("put_window", [
                "simulation": .text(name), "opens_ms": .int(opened.window.opens), "clock_ms": .int(opened.clock), "state": .text("open"),
                "missed": .int(opened.missed), "trades": .int(0), "now": .int(driver.now),
            ])
        }
        try settle(currency, opened)
    }

    private func close(_ opened: Opened) throws {
        try checkEpoch(opened)
        try exchange.run("close_window", [
            "simulation": .text(name), "opens_ms": .int(opened.window.opens), "trades": .int(report.fills), "now": .int(driver.now),
        ])
        let before = opened.window.opens - Self.remembered * opened.window.length
        for statement in ["forget_windows", "forget_decisions"] {
            try exchange.run(statement, ["simulation": .text(name), "before": .int(before)])
        }
    }

    /// A reset in between has taken the window away.
    private func checkEpoch(_ opened: Opened) throws {
        guard try SimulationRow.load(exchange, name)?.epoch == opened.simulation.epoch else {
            throw JobFailure.transient("the simulation '\(name)' was reset while its agents traded")
        }
    }

    // MARK: Agents

    /// Who is new gets a wallet with the capital in it.
    private func settle(_ currency: String, _ opened: Opened) throws {
        let known = Set(try exchange.rows("agents", ["simulation": .text(name)]) { try $0.text(0) })
        for (agent, settings) in plan.agents.sorted(by: { $0.key < $1.key }) where !known.contains(agent) {
            let capital = plan.settings.capital
            let purse = AgentPurse(exchange, simulation: name, agent: agent)
            try purse.pay(capital, currency, cause: "\(opened.simulation.epoch):capital", at: driver.now)
            try exchange.run("put_agent", [
                "simulation": .text(name), "name": .text(agent), "strategy": .text(settings.strategy.rawValue),
                "currency": .text(currency), "capital": .amount(capital), "trades": .int(0), "fees": .amount(.zero),
                "equity": .amount(capital), "joined_ms": .int(opened.clock),
            ])
        }
    }

    private mutating func decide(_ view: MarketView, _ opened: Opened) throws {
        let key: [String: SQLValue] = ["simulation": .text(name), "opens_ms": .int(opened.window.opens)]
        let decided = Set(try exchange.rows("decisions", key) { try $0.text(0) })
        var asked: [AgentQuestion] = []
        try exchange.write {
            try checkEpoch(opened)
            for (index, (agent, settings)) in plan.agents.sorted(by: { $0.key < $1.key }).enumerated() where !decided.contains(agent) {
                let portfolio = try AgentPurse(exchange, simulation: name, agent: agent).portfolio(report.currency)
                if settings.strategy == .model {
                    asked.append(AgentQuestion(agent: agent, settings: settings, portfolio: portfolio))
                    continue
                }
                var random = ArenaTick.generator(
                    seed: opened.simulation.seed, tick: opened.window.opens, stream: 10_000 + UInt64(index))
                try put(agent, try settings.strategy.decide(view, portfolio, plan.fees, &random), opened)
            }
        }
        guard !asked.isEmpty, let mind else { return }
        try mind.decide(asked, view, plan.fees) { agent, decision in
            try exchange.write {
                try checkEpoch(opened)
                try put(agent, decision, opened)
            }
        }
    }

    private func put(_ agent: String, _ decision: AgentDecision, _ opened: Opened) throws {
        try exchange.run("put_decision", [
            "simulation": .text(name), "opens_ms": .int(opened.window.opens), "agent": .text(agent),
            "decision": .text(decision.text), "now": .int(driver.now),
        ])
    }

    /// Executes what an agent has decided, in the transaction that notes it as done.
    private mutating func trade(_ agent: String, _ view: MarketView, _ opened: Opened) throws {
        try checkEpoch(opened)
        let key: [String: SQLValue] = ["simulation": .text(name), "opens_ms": .int(opened.window.opens)]
        let purse = AgentPurse(exchange, simulation: name, agent: agent)
        var portfolio = try purse.portfolio(report.currency)
        let found = try exchange.rows("decisions", key) { (agent: try $0.text(0), text: try $0.text(1), state: try $0.text(2)) }
            .first { $0.agent == agent }
        guard let found else { return }
        report.decided += 1
        var decision = try JSON(parsing: found.text, limits: .wide).decode(AgentDecision.self)
        guard found.state == "decided" else {
            // By an attempt whose end was lost.
            report.equities[agent] = try portfolio.equity(view)
            return
        }
        var fills: [AgentFill] = []
        decision.results = []
        for order in decision.orders {
            switch execute(order, &portfolio, view) {
            case .filled(let fill):
                fills.append(fill)
                decision.results?.append("filled at \(fill.price), fee \(fill.fee)")
                report.fees = try report.fees + fill.fee
            case .refused(let why):
                decision.results?.append("refused: \(why)")
                report.refused += 1
                report.info("\(agent): \(order.side.rawValue) \(order.amount) \(order.pair.prefix(40)) is refused: \(why)")
            }
        }
        try purse.settle(
            fills, currency: report.currency, cause: "\(opened.simulation.epoch):\(opened.window.opens)", at: driver.now)
        let equity = try portfolio.equity(view)
        try purse.save(strategy: plan.agents[agent]?.strategy ?? .hold, fills, equity: equity)
        try exchange.run("finish_decision", key.merging(["agent": .text(agent), "decision": .text(decision.text)]) { $1 })
        report.fills += fills.count
        report.traded += fills.isEmpty ? 0 : 1
        report.equities[agent] = equity
        tell(agent, decision, fills, equity)
    }

    /// A model may ask for more than any amount can say.
    private func execute(_ order: AgentOrder, _ portfolio: inout Portfolio, _ view: MarketView) -> TradingDesk.Answer {
        do throws(AmountError) {
            return try TradingDesk(fees: plan.fees).execute(order, &portfolio, view)
        } catch {
            return .refused("\(error)")
        }
    }

    private mutating func tell(_ agent: String, _ decision: AgentDecision, _ fills: [AgentFill], _ equity: Amount) {
        let did = fills.map { "\($0.order.side.rawValue) \($0.order.amount) \($0.order.pair) at \($0.price)" }
        let note = decision.note.isEmpty ? "" : " (\(decision.note))"
        report.debug(
            "\(agent), \(decision.by): \(did.isEmpty ? "no trade" : did.joined(separator: ", "))\(note); "
                + "equity \(equity.readable(2)) \(report.currency)")
    }
}
