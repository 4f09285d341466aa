import ExchangeKit
import JobKit

/// Ends orders past their time and unlocks what they hold.
public final class OrderExpiryEntry: ExchangeEntry {
    public static let statements = StatementSet.orderExpiry
    public static let info = EntryInfo(
        id: "expire", description: "Ends orders past their time and unlocks what they hold.",
        idempotent: true, defaultSchedule: "every 10s")

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.orderExpiry, statuses: ["open", "partial", "filled", "cancelled", "expiring", "expired"])
        try AmountRules.notNegative(["tolerance": settings.tolerance])
        try AmountRules.positive(["max_release": settings.maxRelease])
    }

    private let settings: Settings

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
        try settings.onExchange(.orderExpiry) { exchange, time in
            var work = ExpiryRun(exchange, settings, now: time.now)
            defer { tell(context, work.report) }
            try work.run(isCancelled: { context.isCancelled }) { report in
                context.progress(done: report.expired + report.requested, report.actions)
            }
            return work.report.outcome(settings.mode, milliseconds: time.milliseconds)
        }
    }

    private func tell(_ context: RunContext, _ report: ExpiryReport) {
        context.tell(report)
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
