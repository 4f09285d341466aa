import ExchangeKit
import JobKit

/// Follows deposits from PENDING to CONFIRMED, and watches that the chain does not take them back.
public final class ConfirmationsEntry: ExchangeEntry {
    public static let statements = StatementSet.deposits
    public static let info = EntryInfo(
        id: "confirmations", description: "Counts the confirmations of deposits; finds reorganisations.",
        idempotent: true, defaultSchedule: "every 30s", stateVersion: 1)

    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var statusMap: [String: String] = [:]
        var chains: [String: ChainSettings] = [:]
        public var dropAfter = Span.hours(24)
        public var batch = 500

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                ExchangeLocation.statusField,
                chainsField,
                SettingsField("drop_after", "A transaction that the chain has not known for so long is given up."),
                SettingsField("batch", "Deposits in one transaction; cancellation is looked at between.", range: 1 ... 10_000),
            ]
        }
    }

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.deposits, statuses: DepositStatus.allCases.map(\.rawValue))
        try requireChains(settings.chains)
    }

    private let settings: Settings
    private let chains: ChainSet

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
        chains = try ChainSet(settings.chains)
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .deposits) { exchange in
            let look = DepositsDoctor(exchange: exchange, check: check)
            _ = try look.chains(chains)
            try look.deposits(waitingAfter: .minutes(5), stuckAfter: settings.dropAfter)
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.deposits) { exchange, time in
            var work = ConfirmationRun(exchange, chains.plans, settings, now: time.now) { [chains] in
                try chains.open($0, exchange, mayRecord: true)
            }
            defer { tell(context, work) }
            try chains.outside.run(context) { try work.run { context.isCancelled } }
            if work.checked == 0, work.report.errors == 0 { return .nothingToDo("no deposit is under way") }
            let summary = work.report.summary(
                "Checked \(counted(work.checked, "deposit"))", ["\(work.updated) updated", "\(work.confirmed) confirmed"],
                milliseconds: time.milliseconds)
            return work.report.outcome(chains: work.chains) ?? .succeeded(summary)
        }
    }

    private func tell(_ context: RunContext, _ work: ConfirmationRun) {
        context.tell(work.report)
        context.items(work.checked)
        context.metrics.counter("deposits_checked", Double(work.checked))
        context.metrics.counter("deposits_confirmed", Double(work.confirmed))
        context.metrics.counter("deposits_reversals", Double(work.reversals))
        context.metrics.counter("deposits_errors", Double(work.report.errors))
        for (chain, head) in work.heads { context.metrics.gauge("deposits_chain_head", Double(head), labels: ["chain": chain]) }
    }
}

let chainsField = SettingsField(
    "chains", "Chains by name: { ethereum = { url = \"…\" } }. What is not given follows from the name; see docs/JOBS.md.")

/// - Throws: `JobFailure.badSettings` where there is no chain, or one that cannot work.
func requireChains(_ chains: [String: ChainSettings]) throws {
    guard !chains.isEmpty else {
        throw JobFailure.badSettings("chains: there is none; write chains = { paper = {} }, or see docs/JOBS.md for real ones")
    }
    _ = try ChainPlan.all(chains)
}
