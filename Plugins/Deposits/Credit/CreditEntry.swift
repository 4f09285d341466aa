import ExchangeKit
import JobKit

/// Credits confirmed deposits, each once.
public final class CreditEntry: ExchangeEntry {
    public static let statements = StatementSet.deposits
    public static let info = EntryInfo(
        id: "credit", description: "Credits confirmed deposits to their wallets, each once.",
        idempotent: true, defaultSchedule: "every 10s", stateVersion: 1, payloadSchema: JSONSchema.text(of: Request.self))

    /// What one can ask for by hand.
    public struct Request: Codable, Sendable {
        /// Ids of deposits that are FAILED, DROPPED, AMOUNT_UNSUPPORTED or HELD, to be looked at again.
        public var retry: [String]?
    }

    public struct Settings: MoneySettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var statusMap: [String: String] = [:]
        var chains: [String: ChainSettings] = [:]
        public var mode = MoneyMode.shadow
        public var batch = 200
        /// By currency.
        public var maxAmount: [String: Amount] = [:]
        public var maxPerRun: [String: Amount] = [:]
        public var maxPerHour: [String: Amount] = [:]
        public var maxCreditsPerRun = 1_000
        public var maxCreditsPerHour = 10_000

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                ExchangeLocation.statusField,
                chainsField,
                MoneyMode.field,
                SettingsField("batch", "Deposits whose blocks are asked for at once.", range: 1 ... 10_000),
                SettingsField("max_amount", "A larger deposit stops the run; by currency, { BTC = \"10\" }."),
                SettingsField("max_per_run", "More in one run stops it; by currency."),
                SettingsField("max_per_hour", "More in one hour stops the run; by currency."),
            ] + CountCaps.fields("credits", perHour: 1_000_000)
        }
    }

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.deposits, statuses: DepositStatus.allCases.map(\.rawValue))
        try requireChains(settings.chains)
        try AmountRules.positive([
            "max_amount": settings.maxAmount, "max_per_run": settings.maxPerRun, "max_per_hour": settings.maxPerHour,
        ])
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
            check.mode(settings.mode)
            _ = try look.chains(chains)
            try look.deposits(waitingAfter: .minutes(5), stuckAfter: .hours(24))
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        try settings.onExchange(.deposits) { exchange, time in
            if !context.payload.isEmpty {
                try retry(try context.payload.decode(Request.self).retry ?? [], exchange, time.now, context)
            }
            // In shadow not even the genesis is written down.
            let mayRecord = settings.mode == .live
            var work = try CreditRun(exchange, chains.plans, settings, now: time.now) { [chains] in
                try chains.open($0, exchange, mayRecord: mayRecord)
            }
            defer { tell(context, work) }
            try chains.outside.run(context) { try work.run { context.isCancelled } }
            return outcome(work, milliseconds: time.milliseconds)
        }
    }

    private func retry(_ ids: [String], _ exchange: Exchange, _ now: Int64, _ context: RunContext) throws {
        for id in ids {
            guard settings.mode == .live else {
                context.log.info("deposit \(id): would be looked at again (shadow, nothing written)")
                continue
            }
            let isRetried = try exchange.write {
                guard try exchange.run("retry_deposit", ["id": .text(id)]) == 1 else { return false }
                let detail = JSONObject([("run_id", .number(String(context.runID)))])
                try exchange.note(actor: "deposits", action: "deposit.retry", subject: "deposit:\(id)", detail, at: now)
                return true
            }
            if isRetried {
                context.log.info("deposit \(id): will be looked at again")
            } else {
                context.log.warning("deposit \(id): is not there, or neither FAILED, DROPPED, AMOUNT_UNSUPPORTED nor HELD")
            }
        }
    }

    private func tell(_ context: RunContext, _ work: CreditRun) {
        context.tell(work.report)
        context.items(work.credited)
        context.metrics.counter("deposits_credited", Double(work.credited))
        context.metrics.counter("deposits_held", Double(work.held))
        context.metrics.counter("deposits_failed", Double(work.failed))
        context.metrics.counter("deposits_errors", Double(work.report.errors))
    }

    private func outcome(_ work: CreditRun, milliseconds: Int64) -> RunOutcome {
        if work.found == 0, work.report.errors == 0 { return .nothingToDo("no deposit is confirmed and not credited") }
        var parts = ["\(work.credited) credited"]
        for (count, what) in [(work.held, "held"), (work.failed, "failed"), (work.waiting, "waiting")] where count > 0 {
            parts.append("\(count) \(what)")
        }
        let summary = work.report.summary(
            "Looked at \(counted(work.found, "deposit"))", parts, settings.mode, milliseconds: milliseconds)
        if work.report.halt == nil, let outcome = work.report.outcome(chains: work.chains) { return outcome }
        return work.report.outcome(summary)
    }
}
