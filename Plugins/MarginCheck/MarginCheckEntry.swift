import ExchangeKit
import JobKit

/// Values every margin account at the market's prices, calls and liquidates.
public final class MarginCheckEntry: JobEntry {
    public static let info = EntryInfo(
        id: "check", description: "Values every margin account; margin calls, liquidations.",
        idempotent: true, defaultSchedule: "every 5m")

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.marginCheck)
        guard settings.stopOutLevel.isPositive, settings.stopOutLevel < settings.callLevel else {
            throw JobFailure.badSettings(
                "stop_out_level (\(settings.stopOutLevel)) has to lie above 0 and below call_level (\(settings.callLevel))")
        }
        let notNegative = [
            ("repeat_worse", settings.repeatWorse), ("partial_points", settings.partialPoints),
            ("max_jump", settings.maxJump), ("halt_percent", settings.haltPercent), ("max_notional", settings.maxNotional),
        ]
        for (name, value) in notNegative where value.isNegative {
            throw JobFailure.badSettings("\(name): \(value) is below 0")
        }
    }

    private let settings: Settings
    private let clock = ExchangeClock.system

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
        if settings.mode == .off { return .nothingToDo("mode is off") }
        let began = clock.elapsed()
        let exchange = try Exchange.open(settings.location, statements: .marginCheck)
        defer { exchange.close() }
        var work = MarginRun(exchange, settings, now: clock.now(), cause: context.idempotencyKey)
        do {
            try work.run(isCancelled: { context.isCancelled })
        } catch {
            tell(context, work.report)
            throw error
        }
        tell(context, work.report)
        return outcome(work.report, milliseconds: clock.elapsed() - began)
    }

    private func tell(_ context: RunContext, _ report: MarginReport) {
        for line in report.lines {
            switch line.kind {
            case .info: context.log.info(line.text)
            case .warning: context.log.warning(line.text)
            case .error: context.log.error(line.text)
            }
        }
        if let halt = report.halt { context.log.critical("halted: " + halt) }
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
        let shadow = settings.mode == .shadow
        let done = settings.close == .request && !shadow ? "requested to close" : "closed"
        let text = "Checked \(counted(report.accounts, "account"))\(shadow ? " (shadow, nothing written)" : ""): "
            + "\(counted(report.calls, "margin call")), \(counted(report.liquidated, "position")) \(done), "
            + "\(counted(report.errors, "error")) (\(milliseconds)ms)"
        if let halt = report.halt { return .failed("Halted: \(halt). \(text)", code: 1) }
        if report.errors > 0, report.errors >= report.accounts { return .failed(text, code: 2) }
        return .succeeded(text)
    }
}
