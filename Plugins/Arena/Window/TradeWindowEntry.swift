import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// The settings of `trade-window`, understood.
struct WindowPlan {
    let settings: TradeWindowEntry.Settings
    let agents: [String: AgentSettings]
    let fees: FeeSchedule
    /// nil: by the mode.
    private let length: Int64?
    /// nil: that of the first pair.
    let currency: String?

    init(_ settings: TradeWindowEntry.Settings) throws {
        self.settings = settings
        agents = settings.agents
        fees = FeeSchedule(basisPoints: settings.feeBps, minimum: settings.feeMinimum)
        currency = settings.currency.isEmpty ? nil : settings.currency
        guard !settings.simulation.isEmpty else { throw JobFailure.badSettings("simulation: the name is empty") }
        if settings.window.isEmpty {
            length = nil
        } else {
            guard let span = Span(settings.window), span >= .minutes(1), span <= .days(31) else {
                throw JobFailure.badSettings("window: \"\(settings.window)\" is not between \"1m\" and \"31d\"; empty: by the mode")
            }
            length = span.milliseconds
        }
        guard !agents.isEmpty else { throw JobFailure.badSettings("agents: there is none; write { trend = { strategy = \"momentum\" } }") }
        for name in agents.keys.sorted() where !Self.isName(name) {
            throw JobFailure.badSettings("agents: \"\(name.prefix(60))\" is no name: up to 40 letters, digits, '-', '_' and '.'")
        }
        try settings.model.validate(agents: agents)
        try settings.quotes.validate()
        guard settings.prefetchGuard > .zero else { throw JobFailure.badSettings("prefetch_guard: 0s leaves no time for an answer") }
        guard settings.capital.isPositive else { throw JobFailure.badSettings("capital: \(settings.capital) is not above 0") }
        try AmountRules.notNegative(["fee_minimum": settings.feeMinimum])
        guard settings.feeMinimum <= settings.capital else {
            throw JobFailure.badSettings("fee_minimum: \(settings.feeMinimum) is above the capital, \(settings.capital): nobody could trade")
        }
    }

    static func isName(_ name: String) -> Bool {
        (1 ... 40).contains(name.utf8.count) && name.first != "." && name.utf8.allSatisfy { byte in
            (UInt8(ascii: "a") ... UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "A") ... UInt8(ascii: "Z")).contains(byte)
                || (UInt8(ascii: "0") ... UInt8(ascii: "9")).contains(byte) || "-_.".utf8.contains(byte)
        }
    }

    /// Agents that ask a model.
    var asking: Int { agents.values.count { $0.strategy == .model } }

    /// Milliseconds of market time.
    func length(_ row: SimulationRow) -> Int64 {
        length ?? (row.mode == TickEntry.Mode.realtime.rawValue ? 30 * 60_000 : 2 * 3_600_000)
    }

    /// Between two prices that agents see: a window's length, so that each sees what came since the last one.
    func step(_ window: TradeWindow) -> Int64 { window.length }
}

/// Lets the agents of a simulation trade, once in each window of its time.
public final class TradeWindowEntry: ExchangeEntry {
    public static let statements = StatementSet.arena
    public static let info = EntryInfo(
        id: "trade-window", description: "Lets the agents of a simulation decide and trade, once in each window of its time.",
        idempotent: true, defaultSchedule: "every 2m", stateVersion: 1)

    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var simulation = "main"
        /// Market time; "": 2h, in real time 30m.
        public var window = ""
        var agents = AgentSettings.standard
        public var capital = Amount(100_000)
        /// "": that of the first pair.
        public var currency = ""
        public var history = 12
        public var feeBps = 5
        public var feeMinimum = FeeSchedule.standard.minimum
        var model = ModelSettings()
        var quotes = QuoteSettings()
        public var prefetch = 25
        public var prefetchGuard = Span.seconds(1)

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                SettingsField("simulation", "Whose agents: the name that its tick has."),
                SettingsField("window", "Market time from one window to the next; empty: 2h, 30m with mode = \"realtime\"."),
                SettingsField("agents", "Who trades, by name: strategy is hold, momentum, reversion, random or model."),
                SettingsField("capital", "What an agent begins with, in `currency`."),
                SettingsField("currency", "Agents trade pairs that are paid for in it; empty: in that of the first pair."),
                SettingsField("history", "Prices that an agent sees of each pair, a window apart.", range: 1 ... 500),
                SettingsField("fee_bps", "Fee of a trade, in 1/100 % of its worth …", range: 0 ... 1_000),
                SettingsField("fee_minimum", "… and at least so much, in `currency`."),
                SettingsField("prefetch", "With `quotes` of a realtime market: so many pairs are asked for anew before a window.", range: 0 ... 500),
                SettingsField("prefetch_guard", "… in requests no longer than this, of which none begins later than this."),
            ] + ModelSettings.fields + QuoteSettings.fields()
        }
    }

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.arena)
        _ = try WindowPlan(settings)
    }

    private let settings: Settings
    private let plan: WindowPlan
    /// nil: no agent asks a model.
    private let http: HTTPClient?
    /// nil: nothing is fetched before a window.
    private let desk: QuoteDesk?
    private let clock = ExchangeClock.system

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
        plan = try WindowPlan(settings)
        http = plan.asking > 0 ? try settings.model.client() : nil
        desk = settings.quotes.providers.isEmpty || settings.prefetch == 0 ? nil : try settings.quotes.desk(limit: settings.prefetchGuard)
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .arena) { exchange in
            let look = WindowDoctor(exchange: exchange, plan: plan, check: check)
            try look.look()
            if let http { try look.model(http) }
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.arena) { exchange, time in
            try exchange.checkSimulation()
            let driver = ArenaDriver(context, now: time.now)
            let lease = context.remaining.map { $0.milliseconds + 10_000 } ?? 300_000
            let peer = settings.model.peer(requests: plan.asking, remaining: context.remaining?.milliseconds)
            let mind = http.map { http in
                ModelMind(
                    settings: settings.model, http: http, peer: peer,
                    book: SpendingBook(exchange: exchange, simulation: settings.simulation, settings: settings.model, now: time.now),
                    log: RunLogging { context.log.warning($0) })
            }
            var work = WindowRun(exchange, plan, driver, mind: mind, lease: lease)
            let end = Result {
                try Outside([peer] + (desk?.peers ?? [])).run(context) {
                    try work.run(fetch: desk.map { desk in { [self] in try prefetch(desk, $0, clock: $1, isDelayed: $2, context) } }, isCancelled: { context.isCancelled })
                }
            }
            if http != nil { try tellSpending(context, exchange, now: time.now) }
            tell(context, work.report)
            try end.get()
            guard let window = work.report.window else { return .nothingToDo(work.report.idle) }
            return work.report.outcome(summary(work.report, window, milliseconds: time.milliseconds))
        }
    }

    /// At most `prefetch` pairs, for no longer than the guard.
    private func prefetch(_ desk: QuoteDesk, _ pairs: [String], clock market: Int64, isDelayed: Bool, _ context: RunContext) throws -> QuoteBoard {
        let began = clock.elapsed()
        let limit = settings.prefetchGuard.milliseconds
        let answer = try desk.fetch(
            Array(pairs.prefix(settings.prefetch)), clock: market, isDelayed: isDelayed, isOver: { clock.elapsed() - began >= limit },
            elapsed: clock.elapsed)
        desk.tell(answer, context)
        return answer.board
    }

    private func tellSpending(_ context: RunContext, _ exchange: Exchange, now: Int64) throws {
        let meter = try SpendingBook(exchange: exchange, simulation: settings.simulation, settings: settings.model, now: now).meter()
        let labels = ["simulation": settings.simulation]
        context.metrics.gauge("arena_model_spent_today", Double(meter.spent.description) ?? 0, labels: labels)
        context.metrics.gauge("arena_model_calls_today", Double(meter.calls), labels: labels)
    }

    private func tell(_ context: RunContext, _ report: WindowReport) {
        context.tell(report)
        context.items(report.decided)
        let labels = ["simulation": settings.simulation]
        if report.window != nil {
            context.metrics.counter("arena_windows", labels: labels)
            context.metrics.counter("arena_windows_missed", Double(report.missed), labels: labels)
            context.metrics.counter("arena_agent_trades", Double(report.fills), labels: labels)
            context.metrics.counter("arena_agent_orders_refused", Double(report.refused), labels: labels)
        }
        for (agent, equity) in report.equities {
            context.metrics.gauge(
                "arena_agent_equity", Double(equity.description) ?? 0, labels: labels.merging(["agent": agent]) { $1 })
        }
    }

    private func summary(_ report: WindowReport, _ window: TradeWindow, milliseconds: Int64) -> String {
        var results = ["\(report.traded) traded", counted(report.fills, "order") + " filled"]
        if report.refused > 0 { results.append("\(report.refused) refused") }
        if report.fees.isPositive { results.append("fees \(report.fees.readable(2)) \(report.currency)") }
        if let best = report.equities.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }) {
            results.append("\(best.key) leads with \(best.value.readable(2))")
        }
        let agents = counted(report.decided, "agent")
        return report.summary("Window \(utcText(window.opens)): \(agents) decided", results, milliseconds: milliseconds)
    }
}

extension ArenaDriver {
    init(_ context: RunContext, now: Int64) {
        self.init(
            job: context.job, cause: context.idempotencyKey, isRetry: context.attempt > 1 || context.trigger == .retryOf, now: now)
    }
}

extension Exchange {
    /// Whatever writes invented trades or money keeps away from real ones.
    func checkSimulation() throws {
        guard try purpose() == .simulation else {
            throw JobFailure.permanent("\(place) was not created as a simulation: nothing invented is written there")
        }
    }
}
