import ExchangeKit
import JobKit
import SQL

/// What a run found and did.
struct SnapshotReport: RunReport {
    var notes = RunNotes()
    /// nil: nothing was done, and `idle` says why.
    var summary: String?
    var idle = ""
    var number: Int64 = 0
    var items = 0
}

/// Keeps a simulation, brings it back, or begins it anew.
struct SnapshotRun {
    static let part = "snapshot"

    let exchange: Exchange
    let settings: SnapshotEntry.Settings
    let driver: ArenaDriver
    private(set) var report = SnapshotReport()

    init(_ exchange: Exchange, _ settings: SnapshotEntry.Settings, _ driver: ArenaDriver) {
        self.exchange = exchange
        self.settings = settings
        self.driver = driver
    }

    private var name: String { settings.simulation }
    private var shelf: any SnapshotShelf { settings.shelf(exchange) }

    mutating func run(_ order: SnapshotOrder) throws {
        // Nothing is taken from under agents that are about to trade.
        let parts = order.action == .save ? [Self.part] : [Self.part, WindowRun.part]
        let guards = parts.map { SimulationGuard(exchange, simulation: name, part: $0, driver, lease: 60_000) }
        var taken: [SimulationGuard] = []
        defer { for part in taken { part.drop() } }
        for part in guards {
            if let other = try exchange.write({ try part.take() }) {
                throw JobFailure.transient("the simulation '\(name)' is in use: '\(other)' is at work on it")
            }
            taken.append(part)
        }
        switch order.action {
        case .save: try save()
        case .resume: try resume(order.number)
        case .reset: try exchange.write { try reset() }
        }
    }

    // MARK: save

    private mutating func save() throws {
        let shelf = shelf
        let numbers = try shelf.numbers()
        let (newest, refused) = try shelf.newest()
        for sentence in refused { report.warn(sentence) }
        if let newest, driver.isRetry, newest.cause == driver.cause {
            report.idle = "snapshot \(newest.number) was taken by the attempt before"
            return
        }
        let number = (numbers.first ?? 0) + 1
        guard let snapshot = try exchange.read({ try take(number) }) else {
            report.idle = "the simulation '\(name)' begins with its first tick"
            return
        }
        if let newest, newest.isSameState(as: snapshot) {
            report.idle = "nothing has happened in '\(name)' since snapshot \(newest.number)"
            return
        }
        // A database that was lost and begun anew is not to push out what is left of the market. A reset or a
        // resume is of a later epoch: who did that meant it.
        if let newest, newest.market.epoch >= snapshot.market.epoch, newest.market.ticks > snapshot.market.ticks {
            throw JobFailure.permanent(
                "\(shelf.place) holds a market that is further on: snapshot \(newest.number) is of its tick \(newest.market.ticks), this one is at "
                    + "\(snapshot.market.ticks); resume it, or choose another id")
        }
        let text = try snapshot.text
        if shelf is TableShelf {
            try exchange.write { try keep(shelf, number, text, newest) }
        } else {
            try keep(shelf, number, text, newest)
        }
        report.number = number
        report.items = 1
        report.summary = "Snapshot \(number) of '\(name)' in \(shelf.place): market \(utcText(snapshot.market.clock / 1_000 * 1_000)), "
            + "\(counted(snapshot.pairs.count, "pair")), \(counted(snapshot.agents.count, "agent")), \(counted(text.utf8.count, "byte"))"
    }

    /// The newest that can be read is kept whatever happens: `keep` counts from it.
    private func keep(_ shelf: any SnapshotShelf, _ number: Int64, _ text: String, _ newest: Snapshot?) throws {
        try shelf.put(number, text, at: driver.now)
        let oldest = number - Int64(settings.keep) + 1
        try shelf.forget(before: min(oldest, newest?.number ?? oldest))
    }

    /// Of one state of the database; nil: there is no market yet.
    private func take(_ number: Int64) throws -> Snapshot? {
        guard let row = try SimulationRow.load(exchange, name), !row.isBeginning else { return nil }
        let pairs = try exchange.rows("simulation_pairs", ["simulation": .text(name)]) { row in
            (id: try row.int64(0), symbol: try row.text(1), base: try row.text(2), quote: try row.text(3))
        }
        let agents = try exchange.rows("agents", ["simulation": .text(name)]) { row in
            Snapshot.Agent(
                name: try row.text(0), strategy: try row.text(1), currency: try row.text(2), capital: try row.amount(3),
                trades: try row.int64(4), fees: try row.amount(5), equity: try row.amount(6), joined: try row.int64(7), wallets: [:])
        }
        let window = try exchange.first("window", ["simulation": .text(name)]) { row in
            Snapshot.Window(opens: try row.int64(0), clock: try row.int64(1), missed: try row.int64(3), trades: try row.int64(4))
        }
        return Snapshot(
            number: number, taken: driver.now, cause: driver.cause,
            market: Snapshot.Market(
                name: name, mode: row.mode, seed: row.seed, ticks: row.ticks, firstTick: row.firstTick, epoch: row.epoch,
                clock: row.clock, file: row.file, fileOffset: row.fileOffset, fileLine: row.fileLine, finished: row.finished),
            pairs: try pairs.map { pair in
                Snapshot.Pair(symbol: pair.symbol, base: pair.base, quote: pair.quote, trades: try trades(of: pair.id, row.clock))
            },
            agents: try agents.map { agent in
                var agent = agent
                agent.wallets = try AgentPurse(exchange, simulation: name, agent: agent.name).amounts()
                return agent
            },
            window: window)
    }

    /// What agents look back on, and the newest, from which the price goes on.
    private func trades(of pair: Int64, _ clock: Int64) throws -> [Snapshot.Trade] {
        func trade(_ statement: String, _ values: [String: SQLValue]) throws -> Snapshot.Trade? {
            try exchange.first(statement, values) { row in
                Snapshot.Trade(
                    id: try row.int64(0), instant: try row.int64(1), side: try row.text(2), price: try row.amount(3),
                    amount: try row.amount(4))
            }
        }
        var found: [Int64: Snapshot.Trade] = [:]
        for back in Int64(0) ... 48 {
            let before = try trade("trade_before", ["pair": .int(pair), "before": .int(clock - back * 1_800_000)])
            if let before { found[before.id] = before }
        }
        if let newest = try trade("last_trade", ["pair": .int(pair)]) { found[newest.id] = newest }
        return found.values.sorted { $0.id < $1.id }
    }

    // MARK: resume

    private mutating func resume(_ number: Int64?) throws {
        let shelf = shelf
        let (found, refused) = try shelf.newest(number)
        for sentence in refused { report.warn(sentence) }
        guard let snapshot = found else {
            let what = number.map { "snapshot \($0)" } ?? "snapshot"
            throw JobFailure.permanent(
                refused.first ?? "there is no \(what) in \(shelf.place)")
        }
        guard snapshot.market.name == name else {
            throw JobFailure.permanent("\(shelf.place) holds the simulation '\(snapshot.market.name)', not '\(name)'")
        }
        try exchange.write { try restore(snapshot) }
    }

    private mutating func restore(_ snapshot: Snapshot) throws {
        let market = snapshot.market
        if let row = try SimulationRow.load(exchange, name), !row.isBeginning {
            if row.cause == driver.cause, driver.isRetry {
                report.idle = "this was done by the attempt before"
                return
            }
            throw JobFailure.permanent(
                "the simulation '\(name)' is alive, at \(utcText(row.clock / 1_000 * 1_000)) of its time; to go back to snapshot "
                    + "\(snapshot.number) (\(utcText(market.clock / 1_000 * 1_000))) reset it first: {\"action\": \"reset\"}")
        }
        if try SimulationRow.load(exchange, name) == nil {
            try exchange.run("create_simulation", [
                "name": .text(name), "mode": .text(market.mode), "seed": .int(market.seed), "clock_ms": .int(market.clock),
                "owner": .text(""), "now": .int(0),
            ])
        }
        guard let row = try SimulationRow.load(exchange, name) else { return }
        guard row.mode == market.mode else {
            throw JobFailure.permanent("the simulation '\(name)' is \(row.mode) here and \(market.mode) in the snapshot")
        }
        // Ticks number causes and never come back here, whatever the market's own count is.
        let ticks = max(row.ticks, market.ticks)
        try put(row, ticks: ticks, firstTick: ticks - (market.ticks - market.firstTick), epoch: max(row.epoch, market.epoch) + 1, market)
        for pair in snapshot.pairs { try restore(pair, market) }
        for agent in snapshot.agents { try restore(agent, epoch: max(row.epoch, market.epoch) + 1) }
        if let window = snapshot.window {
            try exchange.run("put_window", [
                "simulation": .text(name), "opens_ms": .int(window.opens), "clock_ms": .int(window.clock), "state": .text("traded"),
                "missed": .int(window.missed), "trades": .int(window.trades), "now": .int(driver.now),
            ])
        }
        report.number = snapshot.number
        report.items = 1
        report.summary = "Resumed '\(name)' from snapshot \(snapshot.number), taken \(utcText(snapshot.taken / 1_000 * 1_000)): market "
            + "\(utcText(market.clock / 1_000 * 1_000)), \(counted(snapshot.pairs.count, "pair")), "
            + counted(snapshot.agents.count, "agent")
    }

    private func put(_ row: SimulationRow, ticks: Int64, firstTick: Int64, epoch: Int64, _ market: Snapshot.Market) throws {
        let changed = try exchange.run("restore_simulation", [
            "name": .text(name), "old_epoch": .int(row.epoch), "seed": .int(market.seed), "ticks": .int(ticks),
            "first_tick": .int(firstTick), "epoch": .int(epoch), "clock_ms": .int(market.clock), "cause": .text(driver.cause),
            "file": .text(market.file), "file_offset": .int(market.fileOffset), "file_line": .int(market.fileLine),
            "finished": .bool(market.finished),
        ])
        guard changed == 1 else { throw JobFailure.transient("the simulation '\(name)' was changed by another program") }
    }

    private func restore(_ pair: Snapshot.Pair, _ market: Snapshot.Market) throws {
        let symbol = ArenaPlan.Symbol(text: pair.symbol, base: pair.base, quote: pair.quote)
        let id = try exchange.pair(symbol, of: name, clock: market.finished ? nil : market.clock, at: driver.now)
        try exchange.run("set_pair_clock", ["pair": .int(id), "clock_ms": market.finished ? .null : .int(market.clock)])
        let writer = try TradeWriter(exchange)
        for trade in pair.trades {
            _ = try writer.write(
                pair: id, id: trade.id, instant: trade.instant, side: trade.side, price: trade.price, amount: trade.amount)
        }
    }

    private func restore(_ agent: Snapshot.Agent, epoch: Int64) throws {
        try exchange.run("put_agent", [
            "simulation": .text(name), "name": .text(agent.name), "strategy": .text(agent.strategy),
            "currency": .text(agent.currency), "capital": .amount(agent.capital), "trades": .int(agent.trades),
            "fees": .amount(agent.fees), "equity": .amount(agent.equity), "joined_ms": .int(agent.joined),
        ])
        try AgentPurse(exchange, simulation: name, agent: agent.name).set(agent.wallets, cause: "\(epoch):resume", at: driver.now)
    }

    // MARK: reset

    /// The market's past goes, agents leave with nothing; ledger, orders, accounts, deposits and
    /// what models have cost stay.
    private mutating func reset() throws {
        guard let row = try SimulationRow.load(exchange, name), !row.isBeginning else {
            report.idle = "the simulation '\(name)' has not begun: there is nothing to reset"
            return
        }
        let pairs = try exchange.rows("simulation_pairs", ["simulation": .text(name)]) { try $0.int64(0) }
        for pair in pairs {
            for table in ["trades", "candles", "tickers", "ticker_windows", "ticker_extremes", "quotes"] {
                try exchange.run("reset_" + table, ["pair": .int(pair)])
            }
        }
        let agents = try exchange.rows("agents", ["simulation": .text(name)]) { try $0.text(0) }
        for agent in agents {
            try AgentPurse(exchange, simulation: name, agent: agent).set([:], cause: "\(row.epoch):reset", at: driver.now)
        }
        try exchange.run("forget_agents", ["simulation": .text(name)])
        for statement in ["forget_windows", "forget_decisions"] {
            try exchange.run(statement, ["simulation": .text(name), "before": .int(Int64.max)])
        }
        let fresh = Snapshot.Market(
            name: name, mode: row.mode, seed: row.seed, ticks: row.ticks, firstTick: row.ticks, epoch: row.epoch, clock: 0, file: "",
            fileOffset: 0, fileLine: 0, finished: false)
        try put(row, ticks: row.ticks, firstTick: row.ticks, epoch: row.epoch + 1, fresh)
        report.items = 1
        report.summary = "Reset '\(name)' at \(utcText(row.clock / 1_000 * 1_000)) of its time: \(counted(pairs.count, "pair")) and "
            + "\(counted(agents.count, "agent")) begin anew with the next tick"
    }
}
