import ExchangeKit
import JobKit

/// Keeps the 24-hour statistics of every active pair.
public final class TickersEntry: ExchangeEntry {
    public static let statements = StatementSet.tickers
    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var validFor = Span.seconds(15)
        /// A pair is counted again from all its trades when that was longer ago.
        public var recount = Span.hours(24)
        /// Trades read in one transaction.
        public var batch = 20_000

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                SettingsField("valid_for", "How long a ticker may be shown; longer than the time between two runs."),
                SettingsField("recount", "Each pair is counted again from all its trades this often, one pair a run."),
                SettingsField("batch", "Trades read in one transaction.", range: 1 ... 1_000_000),
            ]
        }
    }

    public static let info = EntryInfo(
        id: "tickers", description: "Keeps the 24-hour statistics of every active pair.",
        idempotent: true, defaultSchedule: "every 5s")

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.tickers)
        if settings.validFor == .zero { throw JobFailure.badSettings("valid_for: 0s would show no ticker at all") }
        if settings.recount == .zero {
            throw JobFailure.badSettings("recount: 0s would count a pair again in every run; write how often, \"24h\"")
        }
    }

    private let settings: Settings

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .tickers) { try TickersDoctor.look($0, check) }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.tickers, durability: .derived) { exchange, time in
            var work = TickerRun(exchange, settings, now: time.now)
            defer { tell(context, work.report) }
            try work.run(isCancelled: { context.isCancelled }) { report in
                context.progress(done: report.updated, "updated \(report.updated) tickers")
            }
            return work.report.outcome(milliseconds: time.milliseconds, validFor: settings.validFor)
        }
    }

    private func tell(_ context: RunContext, _ report: TickerReport) {
        context.tell(report)
        context.items(report.updated)
        context.metrics.counter("tickers_updated", Double(report.updated))
        context.metrics.counter("tickers_trades_came", Double(report.came))
        context.metrics.counter("tickers_trades_went", Double(report.went))
        context.metrics.counter("tickers_counted_again", Double(report.built))
        context.metrics.counter("tickers_corrected", Double(report.corrected))
        context.metrics.counter("tickers_errors", Double(report.errors))
        context.metrics.gauge("tickers_active_pairs", Double(report.activePairs))
    }
}

/// What a run did.
struct TickerReport: RunReport {
    var activePairs = 0
    /// Pairs whose tickers were written; one may be written twice, when its clock moves meanwhile.
    var updatedPairs: Set<Int64> = []
    var updated: Int { updatedPairs.count }
    /// Trades that came into windows, and that left them.
    var came: Int64 = 0
    var went: Int64 = 0
    /// Pairs counted from all their trades.
    var built = 0
    /// … which gave another result than was known.
    var corrected = 0
    var delisted = 0
    var notes = RunNotes(mostErrors: 20, mostDetails: 1_000)

    func outcome(milliseconds: Int64, validFor: Span) -> RunOutcome {
        if activePairs == 0 { return .nothingToDo("0 active pairs") }
        if updated + errors + delisted == 0 {
            return .nothingToDo("no trade came or went; \(counted(activePairs, "pair")) valid for another \(validFor)")
        }
        var parts = ["\(counted(came, "trade")) came, \(went) went"]
        if built > 0 { parts.append("\(counted(built, "pair")) counted from all trades") }
        if corrected > 0 { parts.append("\(corrected) corrected") }
        if delisted > 0 { parts.append("\(delisted) delisted") }
        let did = "Updated \(updated) of \(counted(activePairs, "ticker"))"
        return .succeeded(summary(did, parts, milliseconds: milliseconds))
    }
}
