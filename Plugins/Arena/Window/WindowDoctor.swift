import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// What one looks at by hand when agents do not trade.
struct WindowDoctor {
    let exchange: Exchange
    let plan: WindowPlan
    let check: DoctorContext

    func look() throws {
        guard try exchange.purpose() == .simulation else {
            return check.error("purpose", "this is a live exchange: agents trade in simulations only")
        }
        let name = plan.settings.simulation
        guard let row = try SimulationRow.load(exchange, name), !row.isBeginning else {
            return check.warning("market", "simulation '\(name)' begins with the first tick of its own job; until then nobody trades")
        }
        try window(row)
        try agents()
    }

    private func window(_ row: SimulationRow) throws {
        let name = plan.settings.simulation
        let newest = try exchange.first("window", ["simulation": .text(name)]) {
            (opens: try $0.int64(0), isOpen: try $0.text(2) == "open", changed: try $0.int64(5))
        }
        let clock = utcText(row.clock / 1_000 * 1_000)
        guard let newest else { return check.ok("window", "none was traded yet; the market's clock says \(clock)") }
        let text = "the newest opened at \(utcText(newest.opens)) of the market's time, its clock says \(clock)"
        if newest.isOpen {
            return check.warning("window", "\(text); it was not finished since \(check.age(of: newest.changed)): jobhost runs \(check.job)")
        }
        switch TradeWindow.next(clock: row.clock, length: plan.length(row), last: newest.opens) {
        case .wait(let until): check.ok("window", "\(text); the next one opens at \(utcText(until))")
        case .trade(_, 0): check.ok("window", "\(text); the next run trades")
        case .trade(_, let missed):
            check.warning("window", "\(text); \(counted(missed, "window")) went by: run this job more often, or make the window longer")
        }
    }

    private func agents() throws {
        let found = try exchange.rows("agents", ["simulation": .text(plan.settings.simulation)]) { row in
            (name: try row.text(0), strategy: try row.text(1), currency: try row.text(2), capital: try row.amount(3),
             trades: try row.int64(4), equity: try row.amount(6))
        }
        let idle = found.filter { plan.agents[$0.name] == nil }.map(\.name)
        for agent in found where plan.agents[agent.name] != nil {
            check.ok(
                "agent \(agent.name)", "\(agent.strategy): \(agent.equity.readable(2)) \(agent.currency) of \(agent.capital.readable(2)), "
                    + counted(agent.trades, "trade"))
        }
        if !idle.isEmpty {
            check.warning("agents", "no longer in the settings, they keep what they have: \(idle.joined(separator: ", "))")
        }
    }

    /// Asks for the list of models, which costs nothing.
    func model(_ http: HTTPClient) throws {
        let settings = plan.settings.model
        let book = SpendingBook(exchange: exchange, simulation: plan.settings.simulation, settings: settings, now: check.now)
        let meter = try book.meter()
        let spent = "\(meter.spent) of \(settings.maxSpend) spent today in \(counted(meter.calls, "request"))"
        if meter.spent >= settings.maxSpend {
            check.warning("spending", "\(spent): models are not asked before midnight UTC")
        } else if settings.priceIn.isZero, settings.priceOut.isZero {
            check.warning("spending", "model.price_in and price_out are 0: the spending cap does not hold anything back")
        } else {
            check.ok("spending", spent)
        }
        try check.look(at: "model") {
            let response = try http.send(HTTPRequest("GET", "/models"), CallAttempt("list of models", timeLimit: .seconds(10))).checked()
            let known = Set((try response.json()["data"]?.arrayValue ?? []).compactMap { $0["id"]?.stringValue })
            let wanted = Set(plan.agents.values.filter { $0.strategy == .model }.map(settings.model(of:)))
            let unknown = wanted.subtracting(known).sorted()
            if unknown.isEmpty || known.isEmpty {
                check.ok("model", "\(http.origin) answers: \(wanted.sorted().joined(separator: ", "))")
            } else {
                check.error("model", "\(http.origin) has no model \(unknown.joined(separator: ", "))")
            }
        }
    }
}
