import ExchangeKit
import Glibc
import JobKit
import OutsideKit

/// Moves a market on by one tick: simulated, replayed, or of real prices.
public final class TickEntry: ExchangeEntry {
    public static let statements = StatementSet.arena
    public enum Mode: String, CaseIterable, Codable, Sendable {
        /// Trades are invented, from a seed.
        case simulated
        /// Trades come from a file or a table.
        case historical
        /// Prices come from quote providers.
        case realtime
    }

    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var simulation = "main"
        public var mode = Mode.simulated
        /// Market time that passes in one tick, "30m"; or "max", for a replay: all of it at once.
        public var speed = "30m"
        /// Where the market begins; "": `back` before now, or with the file.
        public var start = ""
        public var back = Span.days(7)
        // Simulated.
        public var seed: Int64 = 1
        public var pairs: [String: Amount] = ["BTC/USD": Amount(64_000), "ETH/USD": Amount(3_200), "SOL/USD": Amount(150)]
        public var tradesPerMinute = 6
        public var volatilityBps = 4
        public var accounts = 90
        public var mintJob = ""
        public var positionJob = ""
        // Historical.
        public var file = ""
        public var sourcePair = ""
        public var pair = ""
        public var end = ""
        // Realtime.
        var quotes = QuoteSettings()

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                SettingsField("simulation", "Its name; several may live in one database, each with its own pairs."),
                SettingsField("mode", "simulated: trades are invented; historical: they come from a file or a table; realtime: prices come from quote providers."),
                SettingsField("speed", "Market time that passes in one tick, \"30m\"; \"max\": the whole file at once."),
                SettingsField("start", "Where the market begins, RFC 3339 or a date; empty: `back` ago, or with the file."),
                SettingsField("back", "How long ago a simulated market begins. Having caught up it goes on in real time."),
                SettingsField("seed", "The same seed makes the same market."),
                SettingsField("pairs", "Simulated pairs and the price around which each moves."),
                SettingsField(
                    "trades_per_minute", "Trades of a pair in a minute of market time, on average.", range: 1 ... 1_000),
                SettingsField("volatility_bps", "How much a price moves in a minute, in 1/100 %.", range: 1 ... 500),
                SettingsField("accounts", "Margin accounts; four of them are reckless.", range: 0 ... 10_000),
                SettingsField("mint_job", "The job into which sales are enqueued; empty: none are."),
                SettingsField("position_job", "The job into which trades with failed orders are enqueued; empty: none are."),
                SettingsField("file", "Trades to replay: a CSV file with the header id,ts_ms,side,price,amount."),
                SettingsField("source_pair", "… or the pair of this database whose trades are replayed (statement replay_trades)."),
                SettingsField("pair", "The pair to replay them into, \"XRP/ETH\"."),
                SettingsField("end", "Where a replay ends, exclusive; empty: with the file."),
            ] + QuoteSettings.fields()
        }
    }

    public static let info = EntryInfo(
        id: "tick", description: "Moves a market on by one tick: simulated, replayed, or of real prices.",
        idempotent: true, defaultSchedule: "every 30s", stateVersion: 1)

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.arena)
        _ = try ArenaPlan(settings)
    }

    private let plan: ArenaPlan
    private let location: ExchangeLocation
    private let clock = ExchangeClock.system
    /// With mode = "realtime".
    private let desk: QuoteDesk?
    private let outside: Outside

    public init(settings: Settings) throws {
        try Self.validate(settings)
        plan = try ArenaPlan(settings)
        location = settings.location
        desk = settings.mode == .realtime ? try settings.quotes.desk() : nil
        outside = Outside(desk?.peers ?? [])
    }

    public func doctor(_ check: DoctorContext) throws {
        if case .sqlite(let path) = try location.address(), access(path, F_OK) != 0 {
            return check.ok("database", "\(path) is not there yet: the first tick creates it")
        }
        try check.exchange(location, statements: .arena) { exchange in
            let look = ArenaDoctor(exchange: exchange, plan: plan, check: check)
            try look.look()
            if let desk { try look.providers(desk, outside) }
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        let began = clock.elapsed()
        let now = clock.now()
        let (exchange, created) = try Exchange.openSimulation(location, statements: .arena, at: now)
        defer { exchange.close() }
        if created { context.log.info("created the simulated exchange \(exchange.place)") }
        var tick = ArenaTick(exchange, plan, ArenaDriver(context, now: now))
        let quotes = try desk.map { try prices($0, context, now: now) }
        let result = try tick.run(quotes: quotes, isCancelled: { context.isCancelled }) { done, total, text in
            context.progress(done: done, total: total, text)
        }
        for line in result.notes { context.log.info(line) }
        for item in result.enqueued { try context.enqueue(job: item.job, json: JSON.object(item.payload).bytes, key: item.key) }
        context.items(result.trades)
        context.metrics.counter("arena_trades", Double(result.trades))
        context.metrics.gauge("arena_market_clock_seconds", Double(result.clock / 1_000))
        guard let text = result.summary else { return .nothingToDo(result.idle) }
        return .succeeded("\(text) (\(clock.elapsed() - began)ms)")
    }

    private func prices(_ desk: QuoteDesk, _ context: RunContext, now: Int64) throws -> QuoteDesk.Answer {
        let quotes = plan.settings.quotes
        let answer = try outside.run(context) { try desk.fetch(quotes.pairs, clock: now - quotes.behind) }
        desk.tell(answer, context)
        return answer
    }
}
