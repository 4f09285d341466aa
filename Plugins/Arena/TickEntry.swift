import ExchangeKit
import Glibc
import JobKit

/// Moves a simulated or replayed market on by one tick.
public final class TickEntry: ExchangeEntry {
    public static let statements = StatementSet.arena
    public enum Mode: String, CaseIterable, Codable, Sendable {
        /// Trades are invented, from a seed.
        case simulated
        /// Trades come from a file.
        case historical
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
        public var pair = ""
        public var end = ""

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                SettingsField("simulation", "Its name; several may live in one database, each with its own pairs."),
                SettingsField("mode", "simulated: trades are invented; historical: they come from a file."),
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
                SettingsField("pair", "The pair to replay them into, \"XRP/ETH\"."),
                SettingsField("end", "Where a replay ends, exclusive; empty: with the file."),
            ]
        }
    }

    public static let info = EntryInfo(
        id: "tick", description: "Moves a simulated or replayed market on by one tick.",
        idempotent: true, defaultSchedule: "every 30s")

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.arena)
        _ = try ArenaPlan(settings)
    }

    private let plan: ArenaPlan
    private let location: ExchangeLocation
    private let clock = ExchangeClock.system

    public init(settings: Settings) throws {
        try Self.validate(settings)
        plan = try ArenaPlan(settings)
        location = settings.location
    }

    public func doctor(_ check: DoctorContext) throws {
        if case .sqlite(let path) = try location.address(), access(path, F_OK) != 0 {
            return check.ok("database", "\(path) is not there yet: the first tick creates it")
        }
        try check.exchange(location, statements: .arena) { try ArenaDoctor(exchange: $0, plan: plan, check: check).look() }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        let began = clock.elapsed()
        let now = clock.now()
        let (exchange, created) = try Exchange.openSimulation(location, statements: .arena, at: now)
        defer { exchange.close() }
        if created { context.log.info("created the simulated exchange \(exchange.place)") }
        let isRetry = context.attempt > 1 || context.trigger == .retryOf
        let driver = ArenaDriver(job: context.job, cause: context.idempotencyKey, isRetry: isRetry, now: now)
        var tick = ArenaTick(exchange, plan, driver)
        let result = try tick.run(isCancelled: { context.isCancelled }) { done, total, text in
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
}
