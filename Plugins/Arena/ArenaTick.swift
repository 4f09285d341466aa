import ExchangeKit
import JobKit
import SQL

/// A simulation's row.
struct SimulationRow {
    var mode: String
    var seed: Int64
    var ticks: Int64
    var clock: Int64
    var owner: String
    var tickedAt: Int64
    var cause: String
    var file: String
    var fileOffset: Int64
    var fileLine: Int64
    var finished: Bool
    /// The market began with this tick, or begins with it.
    var firstTick: Int64
    /// How often it was reset or resumed.
    var epoch: Int64

    /// Nothing of this market is there yet.
    var isBeginning: Bool { ticks == firstTick }
    /// The tick's number in this market, from 0: the same seed makes the same market again.
    var marketTick: Int64 { ticks - firstTick }
}

extension SimulationRow {
    static func load(_ exchange: Exchange, _ name: String) throws -> SimulationRow? {
        try exchange.first("simulation", ["name": .text(name)]) { row in
            SimulationRow(
                mode: try row.text(0), seed: try row.int64(1), ticks: try row.int64(2), clock: try row.int64(3),
                owner: try row.text(4), tickedAt: try row.int64(5), cause: try row.text(6), file: try row.text(7),
                fileOffset: try row.int64(8), fileLine: try row.int64(9), finished: try row.bool(10),
                firstTick: try row.int64(11), epoch: try row.int64(12))
        }
    }
}

/// One tick of one named simulation.
struct ArenaTick {
    let exchange: Exchange
    let plan: ArenaPlan
    let driver: ArenaDriver
    var result = TickResult()
    /// Of the simulation, when this tick began.
    var epoch: Int64 = 0

    /// A simulation that nobody has moved for so long may be taken over by another job.
    static let ownership: Int64 = 120_000

    init(_ exchange: Exchange, _ plan: ArenaPlan, _ driver: ArenaDriver) {
        self.exchange = exchange
        self.plan = plan
        self.driver = driver
    }

    mutating func run(
        quotes: QuoteDesk.Answer? = nil, isCancelled: () -> Bool, progress: (_ done: Int, _ total: Int, _ text: String) -> Void
    ) throws -> TickResult {
        switch plan.settings.mode {
        case .simulated: try exchange.write { try simulate() }
        case .historical: try replay(isCancelled: isCancelled, progress: progress)
        case .realtime: if let quotes { try exchange.write { try realtime(quotes) } }
        }
        return result
    }

    // MARK: The simulation's row

    func load() throws -> SimulationRow? { try SimulationRow.load(exchange, plan.settings.simulation) }

    /// The row, made where it is missing. Two jobs cannot drive one simulation.
    func claim(startingAt clock: Int64) throws -> SimulationRow {
        let settings = plan.settings
        if var row = try load() {
            guard row.mode == settings.mode.rawValue else {
                throw JobFailure.badSettings(
                    "simulation: '\(settings.simulation)' is \(row.mode) and cannot become \(settings.mode.rawValue); "
                        + "give this one another name")
            }
            let age = driver.now - row.tickedAt
            guard row.owner == driver.job || age >= Self.ownership else {
                throw JobFailure.permanent(
                    "the simulation '\(settings.simulation)' is driven by the job '\(row.owner)' "
                        + "(last tick \(age / 1_000) s ago); give this one another name")
            }
            if row.isBeginning { (row.clock, row.seed) = (clock, settings.seed) }
            return row
        }
        try exchange.run("create_simulation", [
            "name": .text(settings.simulation), "mode": .text(settings.mode.rawValue), "seed": .int(settings.seed),
            "clock_ms": .int(clock), "owner": .text(driver.job), "now": .int(driver.now),
        ])
        guard let row = try load() else { throw JobFailure.permanent("the simulation '\(settings.simulation)' vanished") }
        return row
    }

    func save(_ row: SimulationRow) throws {
        let changed = try exchange.run("save_simulation", [
            "name": .text(plan.settings.simulation), "old_ticks": .int(row.ticks), "epoch": .int(row.epoch), "ticks": .int(row.ticks + 1),
            "clock_ms": .int(row.clock), "owner": .text(driver.job), "ticked_ms": .int(driver.now),
            "cause": .text(row.cause), "file": .text(row.file), "file_offset": .int(row.fileOffset),
            "file_line": .int(row.fileLine), "finished": .bool(row.finished),
        ])
        guard changed == 1 else {
            throw JobFailure.transient("the simulation '\(plan.settings.simulation)' was moved by another program")
        }
    }

    func alreadyDone(_ row: SimulationRow) -> Bool { driver.isRetry && row.cause == driver.cause }

    // MARK: Pairs

    func pair(_ symbol: ArenaPlan.Symbol, clock: Int64?) throws -> Int64 {
        try exchange.pair(symbol, of: plan.settings.simulation, clock: clock, at: driver.now)
    }

    /// Prices are stamped with real time: what reads them asks whether the feed lives.
    func quote(_ pair: Int64, _ price: Amount) throws -> (bid: Amount, ask: Amount) {
        let places = price >= Amount(1_000) ? 2 : price >= .one ? 4 : 8
        let half = try price.over(Amount(10_000), .up).rounded(to: places, .up)
        let quote = (bid: try price - half, ask: try price + half)
        try exchange.run("put_quote", [
            "pair": .int(pair), "now": .int(driver.now), "bid": .amount(quote.bid), "ask": .amount(quote.ask),
        ])
        return quote
    }
}

extension Exchange {
    /// The pair's id; made where it is missing, refused where it is another simulation's.
    func pair(_ symbol: ArenaPlan.Symbol, of simulation: String, clock: Int64?, at now: Int64) throws -> Int64 {
        if let (id, owner) = try first("pair", ["symbol": .text(symbol.text)], { (try $0.int64(0), try $0.textOrNil(1)) }) {
            guard owner == simulation else {
                let whose = owner.map { "belongs to the simulation '\($0)'" } ?? "was not made by a simulation"
                throw JobFailure.permanent("the pair \(symbol.text) \(whose), '\(simulation)' keeps away from it")
            }
            return id
        }
        try run("create_pair", [
            "symbol": .text(symbol.text), "base": .text(symbol.base), "quote": .text(symbol.quote),
            "simulation": .text(simulation), "clock_ms": .int(clock), "now": .int(now),
        ])
        return try pair(symbol, of: simulation, clock: clock, at: now)
    }
}

/// `put_trade` with its parameters looked up once.
struct TradeWriter {
    private let statement: any SQLStatement
    private let slots: [String]

    init(_ exchange: Exchange) throws {
        statement = try exchange.statement("put_trade")
        slots = try statement.parameterNames.map { name in
            guard let name, ["pair", "id", "ts_ms", "side", "price", "amount"].contains(name) else {
                throw JobFailure.badSettings("sql.put_trade: unknown parameter :\(name ?? "?")")
            }
            return name
        }
    }

    /// false: it was there already.
    func write(pair: Int64, id: Int64, instant: Int64, side: String, price: Amount, amount: Amount) throws -> Bool {
        for (index, slot) in slots.enumerated() {
            let value: SQLValue = switch slot {
            case "pair": .int(pair)
            case "id": .int(id)
            case "ts_ms": .int(instant)
            case "side": .text(side)
            case "price": .amount(price)
            default: .amount(amount)
            }
            try statement.bind(value, at: index + 1)
        }
        return try statement.run() == 1
    }
}
