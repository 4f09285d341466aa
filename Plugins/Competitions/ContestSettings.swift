import ExchangeKit
import JobKit

/// Settings of both entries.
public struct ContestSettings: MoneySettings {
    public var database = ExchangeLocation.defaultDatabase
    public var lockTimeout = ExchangeLocation.defaultLockTimeout
    public var sql: [String: String] = [:]
    public var statusMap: [String: String] = [:]
    public var mode = MoneyMode.shadow
    /// So that what was under way at the end has been written when it is read.
    public var settleAfter = Span.seconds(5)
    public var platformWallet = "platform:contests"
    /// In the contest's currency; 0: no cap.
    public var maxPayout = Amount.zero
    public var maxPayoutsPerRun = 10_000
    public var maxPayoutsPerHour = 50_000
    public var batch = 500

    public init() {}

    public static var fields: [SettingsField] {
        ExchangeLocation.fields + [
            ExchangeLocation.statusField,
            MoneyMode.field,
            SettingsField("settle_after", "A contest is settled this long after its end, on the prices of its end."),
            SettingsField("platform_wallet", "The owner of the wallet that gets fees and remainders."),
            SettingsField("max_payout", "A larger prize or refund stops the run; in the contest's currency, 0: no cap."),
            SettingsField("batch", "Entrants whose equity is frozen in one transaction.", range: 1 ... 100_000),
        ] + CountCaps.fields("payouts")
    }

    var caps: CountCaps { CountCaps("payouts", perRun: maxPayoutsPerRun, perHour: maxPayoutsPerHour) }

    func validate() throws {
        try location.validate(.competitions, statuses: ContestStatus.allCases.map(\.rawValue))
        try AmountRules.notNegative(["max_payout": maxPayout])
        if platformWallet.isEmpty { throw JobFailure.badSettings("platform_wallet: the name is empty") }
    }
}
