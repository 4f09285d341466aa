import ExchangeKit
import JobKit

/// Names the deposits that have come to no end.
public final class StuckEntry: ExchangeEntry {
    public static let statements = StatementSet.deposits
    public static let info = EntryInfo(
        id: "stuck", description: "Names deposits that have come to no end for a day.",
        idempotent: true, defaultSchedule: "every 1h")

    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var statusMap: [String: String] = [:]
        var chains: [String: ChainSettings] = [:]
        public var olderThan = Span.hours(24)
        public var limit = 100

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                ExchangeLocation.statusField,
                SettingsField("chains", "Not used here; so that it can be set once for the plugin."),
                SettingsField("older_than", "How long a deposit may take."),
                SettingsField("limit", "How many are named in one run, the oldest first.", range: 1 ... 10_000),
            ]
        }
    }

    public static func validate(_ settings: Settings) throws { try settings.location.validate(.deposits, statuses: DepositStatus.allCases.map(\.rawValue)) }

    private let settings: Settings

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .deposits) { exchange in
            try DepositsDoctor(exchange: exchange, check: check)
                .deposits(waitingAfter: .minutes(5), stuckAfter: settings.olderThan)
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.deposits) { exchange, time in
            // One more than is named: whether there are more.
            let before = time.now - settings.olderThan.milliseconds
            let stuck = try StuckDeposit.all(exchange, before: before, limit: settings.limit + 1)
            for deposit in stuck.prefix(settings.limit) {
                context.log.warning(deposit.line(now: time.now), fields: deposit.fields(now: time.now))
            }
            let more = stuck.count > settings.limit
            if more { context.log.warning("… and more: only the \(settings.limit) oldest are named") }
            let count = min(stuck.count, settings.limit)
            context.items(count)
            context.metrics.gauge("deposits_stuck", Double(count))
            guard count > 0 else { return .nothingToDo("no deposit is older than \(settings.olderThan) and under way") }
            let oldest = stuck.first.map { Span.seconds((time.now - $0.created) / 1_000).description } ?? ""
            return .succeeded(
                "\(more ? "More than " : "")\(counted(count, "deposit")) stuck for more than \(settings.olderThan), "
                    + "the oldest for \(oldest) (\(time.milliseconds)ms)")
        }
    }
}

struct StuckDeposit: Hashable {
    var id: String
    var chain: String
    var transaction: String
    var status: String
    var confirmations: Int64
    /// Milliseconds.
    var created: Int64
    var reason: String

    /// - Parameter before: created before this instant, milliseconds.
    static func all(_ exchange: Exchange, before: Int64, limit: Int) throws -> [StuckDeposit] {
        try exchange.read {
            try exchange.rows("stuck", ["before": .int(before), "limit": .int(limit)]) { row in
                StuckDeposit(
                    id: try row.text(0), chain: try row.text(1), transaction: try row.text(2), status: try row.text(3),
                    confirmations: try row.int64(4), created: try row.int64(5), reason: try row.text(6))
            }
        }
    }

    func line(now: Int64) -> String { "stuck: " + description(now: now) }

    func description(now: Int64) -> String {
        "deposit \(id), \(chain) \(transaction), \(status), \(counted(confirmations, "confirmation")), "
            + "\((now - created) / 3_600_000) h old\(reason.isEmpty ? "" : ": " + reason)"
    }

    func fields(now: Int64) -> [String: LogValue] {
        [
            "id": .string(id), "chain": .string(chain), "tx_hash": .string(transaction), "status": .string(status),
            "confirmations": .int(confirmations), "age_seconds": .int((now - created) / 1_000),
        ]
    }
}
