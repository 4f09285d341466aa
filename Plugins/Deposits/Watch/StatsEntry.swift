import ExchangeKit
import JobKit

/// Counts deposits by status, and warns of those that nobody credits.
public final class StatsEntry: ExchangeEntry {
    public static let statements = StatementSet.deposits
    public static let info = EntryInfo(
        id: "stats", description: "Counts deposits by status; warns of deposits waiting to be credited.",
        idempotent: true, defaultSchedule: "every 5m")

    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var statusMap: [String: String] = [:]
        var chains: [String: ChainSettings] = [:]
        public var waitingAfter = Span.minutes(5)

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                ExchangeLocation.statusField,
                SettingsField("chains", "Not used here; so that it can be set once for the plugin."),
                SettingsField("waiting_after", "A deposit that was confirmed so long ago and is not credited is warned of."),
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
                .deposits(waitingAfter: settings.waitingAfter, stuckAfter: .hours(24))
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.deposits) { exchange, time in
            let before = time.now - settings.waitingAfter.milliseconds
            let stats = try exchange.read { try DepositStats(exchange, before: before) }
            for (key, count) in stats.counts.sorted(by: { ($0.key.chain, $0.key.status) < ($1.key.chain, $1.key.status) }) {
                context.log.debug("\(key.chain): \(count) \(key.status)")
                context.metrics.gauge("deposits_status", Double(count), labels: ["chain": key.chain, "status": key.status])
            }
            context.metrics.gauge("deposits_waiting", Double(stats.waiting))
            context.items(Int(stats.total))
            for line in stats.warnings(now: time.now) { context.log.warning(line) }
            guard stats.total > 0 else { return .nothingToDo("there are no deposits") }
            return .succeeded("\(stats.summary) (\(time.milliseconds)ms)")
        }
    }
}

/// Deposits by status, at one moment.
struct DepositStats {
    struct Key: Hashable {
        var chain: String
        var status: String
    }
    private(set) var counts: [Key: Int64] = [:]
    /// Confirmed and not credited for too long.
    private(set) var waiting: Int64 = 0
    /// Milliseconds; of the oldest of these.
    private var oldest: Int64?

    /// - Parameter before: confirmed before this instant, milliseconds, is waiting for too long.
    init(_ exchange: Exchange, before: Int64) throws {
        try exchange.forEach("status_counts") { row in
            counts[Key(chain: try row.text(0), status: try row.text(1))] = try row.int64(2)
        }
        let late = try exchange.first("waiting", ["before": .int(before)]) { (try $0.int64(0), try $0.int64OrNil(1)) }
        (waiting, oldest) = late ?? (0, nil)
    }

    var total: Int64 { counts.values.reduce(0, +) }

    private func count(_ status: DepositStatus) -> Int64 {
        counts.filter { $0.key.status == status.rawValue }.values.reduce(0, +)
    }

    /// "12 deposits: 3 CONFIRMING, 9 CREDITED", in the order of a deposit's life.
    var summary: String {
        let known = DepositStatus.allCases.map { ($0.rawValue, count($0)) }
        let other = counts.filter { DepositStatus(rawValue: $0.key.status) == nil }
        let foreign = Dictionary(grouping: other, by: \.key.status).mapValues { $0.reduce(0) { $0 + $1.value } }
        let parts = (known + foreign.sorted { $0.key < $1.key }).filter { $0.1 > 0 }.map { "\($0.1) \($0.0)" }
        return "\(counted(total, "deposit")): \(parts.joined(separator: ", "))"
    }

    func warnings(now: Int64) -> [String] {
        var lines: [String] = []
        if waiting > 0 {
            let age = oldest.map { ", the oldest for \(Span.seconds((now - $0) / 1_000))" } ?? ""
            lines.append("\(counted(waiting, "deposit")) confirmed and waiting to be credited\(age)")
        }
        let undecided = [(DepositStatus.held, "held by credit_guard"), (.reversalRequired, "credited and gone from the chain")]
        for (status, what) in undecided {
            let number = count(status)
            if number > 0 { lines.append("\(counted(number, "deposit")) \(what): somebody has to decide") }
        }
        return lines
    }
}
