import ExchangeKit
import JobKit

/// Values every margin account at the market's prices, calls and liquidates.
public final class MarginCheckEntry: ExchangeEntry {
    public static let statements = StatementSet.marginCheck
    public static let info = EntryInfo(
        id: "check", description: "Values every margin account; margin calls, liquidations.",
        idempotent: true, defaultSchedule: "every 5m")

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.marginCheck)
        guard settings.stopOutLevel.isPositive, settings.stopOutLevel < settings.callLevel else {
            throw JobFailure.badSettings(
                "stop_out_level (\(settings.stopOutLevel)) has to lie above 0 and below call_level (\(settings.callLevel))")
        }
        try AmountRules.notNegative([
            "repeat_worse": settings.repeatWorse, "partial_points": settings.partialPoints, "max_jump": settings.maxJump,
            "halt_percent": settings.haltPercent, "max_notional": settings.maxNotional,
        ])
    }

    private let settings: Settings

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .marginCheck) { exchange in
            try MarginDoctor(exchange: exchange, settings: settings, check: check).look()
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.marginCheck) { exchange, time in
            var work = MarginRun(exchange, settings, now: time.now, cause: context.idempotencyKey)
            defer { tell(context, work.report) }
            try work.run(isCancelled: { context.isCancelled })
            return outcome(work.report, milliseconds: time.milliseconds)
        }
    }

    private func tell(_ context: RunContext, _ report: MarginReport) {
        context.tell(report)
        context.items(report.accounts)
        context.metrics.gauge("margin_accounts", Double(report.accounts))
        context.metrics.counter("margin_calls", Double(report.calls))
        context.metrics.counter("margin_liquidations", Double(report.liquidated))
        context.metrics.counter("margin_errors", Double(report.errors))
        if let lowest = report.lowestLevel, let level = Double(lowest.description) {
            context.metrics.gauge("margin_lowest_level_percent", level)
        }
    }

    private func outcome(_ report: MarginReport, milliseconds: Int64) -> RunOutcome {
        if report.accounts == 0, report.errors == 0 { return .nothingToDo("no account has an open position") }
        let done = settings.close == .request && settings.mode == .live ? "requested to close" : "closed"
        let summary = report.summary(
            "Checked \(counted(report.accounts, "account"))",
            [counted(report.calls, "margin call"), "\(counted(report.liquidated, "position")) \(done)"],
            settings.mode, milliseconds: milliseconds)
        return report.outcome(summary, hasFailed: report.errors > 0 && report.errors >= report.accounts)
    }
}
