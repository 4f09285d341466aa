import ExchangeKit
import JobKit

/// Ends orders past their time and unlocks what they hold.
public final class OrderExpiryEntry: JobEntry {
    public static let info = EntryInfo(
        id: "expire", description: "Ends orders past their time and unlocks what they hold.",
        idempotent: true, defaultSchedule: "every 10s")

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.orderExpiry)
        if settings.tolerance.isNegative { throw JobFailure.badSettings("tolerance: \(settings.tolerance) is below 0") }
        for (currency, cap) in settings.maxRelease.sorted(by: { $0.key < $1.key }) where !cap.isPositive {
            throw JobFailure.badSettings("max_release.\(currency): \(cap) is not above 0")
        }
    }

    private let settings: Settings
    private let clock = ExchangeClock.system

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .orderExpiry) { exchange in
            try ExpiryDoctor(exchange: exchange, settings: settings, check: check).look()
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        if settings.mode == .off { return .nothingToDo("mode is off") }
        let began = clock.elapsed()
        let exchange = try Exchange.open(settings.location, statements: .orderExpiry)
        defer { exchange.close() }
        var work = ExpiryRun(exchange, settings, now: clock.now())
        do {
            try work.run(isCancelled: { context.isCancelled }) { report in
                context.progress(done: report.expired + report.requested, report.actions)
            }
        } catch {
            tell(context, work.report)
            throw error
        }
        tell(context, work.report)
        return work.report.outcome(settings.mode, milliseconds: clock.elapsed() - began)
    }

    private func tell(_ context: RunContext, _ report: ExpiryReport) {
        for line in report.lines {
            switch line.kind {
            case .debug: context.log.debug(line.text)
            case .warning: context.log.warning(line.text)
            case .error: context.log.error(line.text)
            case .critical: context.log.critical(line.text)
            }
        }
        if let halt = report.halt { context.log.critical("halted: " + halt) }
        context.items(report.expired + report.requested)
        context.metrics.counter("order_expiry_expired", Double(report.expired))
        context.metrics.counter("order_expiry_removals_requested", Double(report.requested))
        context.metrics.counter("order_expiry_left", Double(report.left))
        context.metrics.counter("order_expiry_unlock_failures", Double(report.unlockFailures))
        context.metrics.counter("order_expiry_removal_failures", Double(report.removalFailures))
        context.metrics.counter("order_expiry_errors", Double(report.errors))
        context.metrics.gauge("order_expiry_waiting", Double(report.waiting))
        context.metrics.gauge("order_expiry_unanswered", Double(report.unanswered))
    }
}
