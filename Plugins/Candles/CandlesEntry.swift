import ExchangeKit
import JobKit

/// Makes candles of what was traded since the last run, closes those that are over.
public final class CandlesEntry: ExchangeEntry {
    public static let statements = StatementSet.candles
    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        /// Which candles this job closes, fills and reports on: a name such as "5m", or "all".
        public var interval = "all"
        /// Which intervals exist. The same for all jobs on one database; 1m is always there.
        public var keep = CandleInterval.allCases
        /// When days, weeks and months begin.
        public var dayStart = "UTC"
        public var fill = Fill.omit
        /// Flat candles made in one run for each pair and interval.
        public var fillLimit = 10_000
        /// How far back candles are compared with their trades; zero: not at all.
        public var lookback = Span.zero
        /// Trades read in one transaction.
        public var batch = 200_000

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                SettingsField(
                    "interval", "Which candles this job closes, fills and reports on.",
                    allowed: (["all"] + CandleInterval.allCases.map(\.rawValue)).map { .string($0) }),
                SettingsField("keep", "Which intervals exist; the same for all jobs on one database."),
                SettingsField("day_start", "When days, weeks and months begin: \"UTC\" or \"17:00 America/New_York\"."),
                SettingsField("fill", "What becomes of a bucket without trades: omitted, or a flat candle."),
                SettingsField("fill_limit", "Flat candles made in one run for each pair and interval.", range: 1 ... 1_000_000),
                SettingsField(
                    "lookback", "For trades in tables of your own, where one may commit late: how far back each run compares."),
                SettingsField("batch", "Trades read in one transaction.", range: 1 ... 5_000_000),
            ]
        }
    }

    /// What becomes of a bucket without trades.
    public enum Fill: String, CaseIterable, Codable, Sendable {
        case omit, flat
    }

    public static let info = EntryInfo(
        id: "candles", description: "Makes candles of new trades and closes those that are over.",
        idempotent: true, defaultSchedule: "cron 0 * * * * *")

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.candles)
        _ = try CandlePlan(settings)
    }

    private let settings: Settings
    private let plan: CandlePlan

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
        plan = try CandlePlan(settings)
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .candles) { try CandlesDoctor.look($0, check) }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.candles) { exchange, time in
            var work = try CandleRun(exchange, plan, now: time.now)
            defer { tell(context, work.report) }
            try work.run(isCancelled: { context.isCancelled }) { work in
                context.progress(done: Int(work.trades), "read \(work.trades) trades")
            }
            return outcome(work.report, milliseconds: time.milliseconds)
        }
    }

    private func tell(_ context: RunContext, _ report: CandleReport) {
        context.tell(report)
        context.items(Int(clamping: report.trades) + report.closed + report.filled)
        context.metrics.counter("candles_trades_read", Double(report.trades))
        context.metrics.counter("candles_written", Double(report.written))
        context.metrics.counter("candles_corrected", Double(report.corrected))
        context.metrics.counter("candles_errors", Double(report.errors))
        for (interval, missing) in report.missing {
            context.metrics.gauge("candles_missing", Double(missing), labels: ["interval": interval.rawValue])
        }
    }

    private func outcome(_ report: CandleReport, milliseconds: Int64) -> RunOutcome {
        if report.activePairs == 0 { return .nothingToDo("0 active pairs") }
        let which = plan.own.count == 1 ? plan.own[0].rawValue + " " : ""
        if report.isIdle { return .nothingToDo("no new trades, no \(which)candle due") }
        var parts = [counted(report.trades, "new trade")]
        if report.written > 0 { parts.append(counted(report.written, "candle") + " written") }
        if report.corrected > 0 { parts.append("\(report.corrected) corrected") }
        if report.filled > 0 { parts.append("\(report.filled) filled flat") }
        let did = "Closed \(counted(report.closed, which + "candle")) of \(counted(report.activePairs, "pair"))"
        return .succeeded(report.summary(did, parts, milliseconds: milliseconds))
    }
}

/// The settings, understood.
struct CandlePlan {
    /// Longer than 1m, in order.
    var longer: [CandleInterval]
    /// What this job closes.
    var own: [CandleInterval]
    var day: TradingDay
    var fill: CandlesEntry.Fill
    var fillLimit: Int
    /// Milliseconds; 0: nothing is compared.
    var lookback: Int64
    var batch: Int

    init(_ settings: CandlesEntry.Settings) throws {
        let kept = Set(settings.keep).union([.minute])
        longer = kept.subtracting([.minute]).sorted()
        if settings.interval == "all" {
            own = kept.sorted()
        } else {
            guard let one = CandleInterval(rawValue: settings.interval), kept.contains(one) else {
                let names = kept.sorted().map(\.rawValue).joined(separator: ", ")
                throw JobFailure.badSettings("interval: \"\(settings.interval)\" is not among those in keep (\(names))")
            }
            own = [one]
        }
        do {
            day = try TradingDay(parsing: settings.dayStart)
        } catch {
            throw JobFailure.badSettings(error.description)
        }
        fill = settings.fill
        fillLimit = settings.fillLimit
        lookback = settings.lookback.milliseconds
        batch = settings.batch
    }
}

/// What a run did.
struct CandleReport: RunReport {
    var activePairs = 0
    var trades: Int64 = 0
    var written = 0
    var corrected = 0
    var closed = 0
    var filled = 0
    var notes = RunNotes(mostErrors: 20, mostDetails: 1_000)
    /// Closed buckets of the last day without a candle, over all active pairs.
    var missing: [(interval: CandleInterval, count: Int64)] = []

    var isIdle: Bool { trades == 0 && closed == 0 && filled == 0 && errors == 0 }
}
