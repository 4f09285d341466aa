import ExchangeKit
import JobKit

/// Finds deposits that a listener missed, and listeners that are not there.
public final class ScanEntry: ExchangeEntry {
    public static let statements = StatementSet.deposits
    public static let info = EntryInfo(
        id: "scan", description: "Finds deposits that the listener missed; watches the listener.",
        idempotent: true, defaultSchedule: "every 1m", stateVersion: 1)

    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var statusMap: [String: String] = [:]
        var chains: [String: ChainSettings] = [:]
        public var maxBlocks = 2_000
        public var monitorStale = Span.minutes(5)
        /// Blocks.
        public var monitorLag: Int64 = 100
        public var restart: [String] = []
        public var restartEvery = Span.minutes(10)
        public var restartTimeout = Span.seconds(10)

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                ExchangeLocation.statusField,
                chainsField,
                SettingsField("max_blocks", "Blocks of a chain in one run; more come with the next.", range: 1 ... 1_000_000),
                SettingsField("monitor_stale", "A listener that has not been heard of for so long is not active."),
                SettingsField("monitor_lag", "A listener that is so many blocks behind is warned of.", range: 1 ... 1_000_000),
                SettingsField(
                    "restart", "Program and arguments that bring a listener back, no shell; \"{chain}\": the chain's name."),
                SettingsField("restart_every", "At most once in this time for each chain."),
                SettingsField("restart_timeout", "The command is killed after this time."),
            ]
        }
    }

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.deposits, statuses: DepositStatus.allCases.map(\.rawValue))
        try requireChains(settings.chains)
        if let first = settings.restart.first, first.isEmpty {
            throw JobFailure.badSettings("restart: the program's name is empty; write [\"systemctl\", \"restart\", \"listener\"]")
        }
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
            let heads = try look.chains(chains)
            try look.listeners(chains.plans, heads, stale: settings.monitorStale, lag: settings.monitorLag)
            try look.scans(chains.plans, heads, blocks: settings.maxBlocks)
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.deposits) { exchange, time in
            var work = ScanRun(
                exchange, chains.plans, settings, now: time.now,
                open: { [chains] in try chains.open($0, exchange, mayRecord: true) }, restart: { $0.run() })
            defer { tell(context, work) }
            try chains.outside.run(context) { try work.run { context.isCancelled } }
            return outcome(work, milliseconds: time.milliseconds)
        }
    }

    private func outcome(_ work: ScanRun, milliseconds: Int64) -> RunOutcome {
        if let outcome = work.report.outcome(chains: chains.plans.count) { return outcome }
        if work.blocks == 0, work.stale == 0, work.report.errors == 0 { return .nothingToDo("no new block") }
        var parts = ["\(work.found) found", "\(work.known) known"]
        if work.stale > 0 { parts.append("\(counted(work.stale, "listener")) not active") }
        let did = "Scanned \(counted(work.blocks, "block")) of \(counted(chains.plans.count, "chain"))"
        return .succeeded(work.report.summary(did, parts, milliseconds: milliseconds))
    }

    private func tell(_ context: RunContext, _ work: ScanRun) {
        context.tell(work.report)
        context.items(work.found)
        context.metrics.counter("deposits_scanned_blocks", Double(work.blocks))
        context.metrics.counter("deposits_found", Double(work.found))
        context.metrics.counter("deposits_errors", Double(work.report.errors))
        context.metrics.gauge("deposits_listeners_stale", Double(work.stale))
        for (chain, left) in work.behind {
            context.metrics.gauge("deposits_scan_behind_blocks", Double(left), labels: ["chain": chain])
        }
    }
}
