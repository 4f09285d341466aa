import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// Asks another exchange what became of the orders placed there, and corrects what we have.
public final class ReconcilerEntry: ExchangeEntry {
    public static let statements = StatementSet.reconciler
    public static let info = EntryInfo(
        id: "reconcile", description: "Asks other exchanges what became of the orders placed there.",
        idempotent: true, defaultSchedule: "every 45s", stateVersion: 1)

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.reconciler, statuses: OrderStatus.allCases.map(\.rawValue))
        try settings.calls.validate()
        try AmountRules.positive(["max_settlement": settings.maxSettlement])
        guard settings.maxFailureDelay >= settings.failureDelay else {
            throw JobFailure.badSettings(
                "max_failure_delay (\(settings.maxFailureDelay)) is shorter than failure_delay (\(settings.failureDelay))")
        }
        if settings.exchange == .binance {
            try HTTPClient.origin(of: settings.url, key: "url")
            try Secret.validate(settings.apiKey, key: "api_key")
            try Secret.validate(settings.apiSecret, key: "api_secret")
            guard settings.recvWindow > .zero, settings.recvWindow <= .seconds(60) else {
                throw JobFailure.badSettings("recv_window: \(settings.recvWindow) is not above 0 and at most 60s")
            }
        }
    }

    /// What is kept from one run to the next.
    private struct State: Codable {
        var outside = OutsideState()
        /// When the last run ended, milliseconds since 1970 UTC.
        var ended: Int64?
        /// Of each run within the hour that had errors.
        var errors: [Errors] = []
        struct Errors: Codable {
            var at: Int64
            var count: Int
        }
    }

    private let settings: Settings
    private let peer: Peer
    private let outside: Outside
    private let adapter: any ExchangeAdapter

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
        peer = Peer(settings.exchange.rawValue, settings.calls.policy)
        outside = Outside([peer])
        adapter = switch settings.exchange {
        case .paper: PaperExchange()
        case .binance:
            try Binance(
                peer, url: settings.url,
                Binance.Credentials(
                    apiKey: Secret(from: settings.apiKey, key: "api_key"),
                    apiSecret: Secret(from: settings.apiSecret, key: "api_secret")),
                window: settings.recvWindow)
        }
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .reconciler) { exchange in
            try ReconcilerDoctor(exchange: exchange, settings: settings, check: check).look(adapter, outside)
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.reconciler) { exchange, time in
            if settings.exchange == .paper, try exchange.purpose() != .simulation {
                throw JobFailure.badSettings("exchange = \"paper\": \(exchange.place) was not created as a simulation")
            }
            // A state that cannot be read is a state that is lost, not a reason to stop.
            var state = (try? context.state(as: State.self)) ?? State()
            var work = ReconcilerRun(exchange, adapter, settings, now: time.now)
            let end = Result {
                try outside.run(context, &state.outside) { try work.run(isCancelled: { context.isCancelled }) }
            }
            let milliseconds = time.milliseconds
            let health = measure(work.report, &state, began: time.now, milliseconds: milliseconds)
            tell(context, work.report, health, ended: time.now + milliseconds)
            try context.putState(state, when: .always)
            try end.get()
            return work.report.outcome(settings.mode, milliseconds: milliseconds)
        }
    }

    private func measure(_ report: ReconcilerReport, _ state: inout State, began: Int64, milliseconds: Int64) -> Health {
        state.errors.removeAll { $0.at <= began - 3_600_000 || $0.at > began }
        if report.errors > 0 { state.errors.append(.init(at: began, count: report.errors)) }
        // A schedule of a second has 3,600 runs an hour; the state has room for that.
        if state.errors.count > 3_600 { state.errors.removeFirst(state.errors.count - 3_600) }
        let age = state.ended.map { max(0, began - $0) }
        state.ended = began + milliseconds
        return Health(
            breaker: peer.mode, cycleMilliseconds: milliseconds, checked: report.reconciled,
            discrepancies: report.discrepancies, errorsThisHour: state.errors.reduce(0) { $0 + $1.count }, ageMilliseconds: age)
    }

    private func tell(_ context: RunContext, _ report: ReconcilerReport, _ health: Health, ended: Int64) {
        context.tell(report)
        for transition in peer.tally.transitions {
            context.log.warning("\(peer.name): breaker \(Self.word(transition.to)), \(transition.reason)")
        }
        if let complaint = health.complaint {
            if health.level == .critical { context.log.error(complaint) } else { context.log.warning(complaint) }
        }
        context.items(report.updated)
        let metrics = context.metrics
        metrics.counter("reconciler_total_reconciled", Double(report.reconciled))
        metrics.counter("reconciler_discrepancies", Double(report.discrepancies))
        metrics.counter("reconciler_errors", Double(report.errors))
        for (transition, count) in report.transitions.sorted(by: { $0.value > $1.value }) {
            metrics.counter(
                "reconciler_transitions", Double(count),
                labels: ["from": transition.from.rawValue, "to": transition.to.rawValue])
        }
        metrics.gauge("reconciler_last_run_seconds", Double(ended) / 1_000)
        metrics.gauge("reconciler_duration_seconds", Double(health.cycleMilliseconds) / 1_000)
        metrics.gauge("reconciler_health", Double(health.level.rawValue))
        for rule in health.rules {
            metrics.gauge("reconciler_health_rule", Double(rule.level.rawValue), labels: ["rule": rule.name])
        }
        metrics.gauge("reconciler_errors_last_hour", Double(health.errorsThisHour))
        if let age = health.ageMilliseconds { metrics.gauge("reconciler_last_run_age_seconds", Double(age) / 1_000) }
    }

    private static func word(_ mode: Breaker.Mode) -> String {
        switch mode {
        case .closed: "closed"
        case .open, .forcedOpen: "opened"
        case .halfOpen: "half open"
        case .disabled: "disabled"
        }
    }
}
