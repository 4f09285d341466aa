import ExchangeKit
import JobKit

/// What to close first.
public enum ClosingOrder: String, CaseIterable, Codable, Sendable {
    case largestLoss = "largest_loss"
    case largestMargin = "largest_margin"
    /// By loss, but of each only as little as reaches stop-out plus `partial_points`.
    case partial
}

/// Who closes.
public enum ClosingWay: String, CaseIterable, Codable, Sendable {
    /// This job, by compare-and-set.
    case direct
    /// The application, asked through the outbox.
    case request
}

extension MarginCheckEntry {
    public struct Settings: MoneySettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var mode = MoneyMode.shadow
        /// Percent.
        public var callLevel = Amount(100)
        public var repeatAfter = Span.hours(24)
        /// Points of the level.
        public var repeatWorse = Amount(10)
        /// Percent.
        public var stopOutLevel = Amount(50)
        public var order = ClosingOrder.largestLoss
        /// Points above stop-out.
        public var partialPoints = Amount(5)
        public var close = ClosingWay.direct
        public var requestAgain = Span.minutes(10)
        public var maxPriceAge = Span.seconds(60)
        /// Percent.
        public var maxJump = Amount(10)
        public var bestPriceWindow = Span.hours(24)
        /// Percent of the accounts.
        public var haltPercent = Amount(5)
        /// In the account's currency; 0: no cap.
        public var maxNotional = Amount.zero
        public var maxClosingsPerRun = 100
        public var maxClosingsPerHour = 500

        public init() {}

        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                MoneyMode.field,
                SettingsField("call_level", "A level below this is a margin call; percent."),
                SettingsField("repeat_after", "A margin call is repeated after this time."),
                SettingsField("repeat_worse", "… or when the level has fallen this many points further."),
                SettingsField("stop_out_level", "At this level or below positions are closed; percent."),
                SettingsField("order", "What is closed first."),
                SettingsField("partial_points", "With order = \"partial\": points above stop-out to reach."),
                SettingsField("close", "direct: this job closes; request: the application is asked to."),
                SettingsField("request_again", "A request that was not followed is repeated after this time."),
                SettingsField("max_price_age", "Nothing is closed on an older price."),
                SettingsField("max_jump", "Nothing is closed on a price that moved more than this at once; percent."),
                SettingsField("best_price_window", "How far back to look for the best price of a pair without a usable one."),
                SettingsField("halt_percent", "More than this part of the accounts to liquidate: close nothing, alert; percent."),
                SettingsField("max_notional", "A larger closing stops the run; in the account's currency, 0: no cap."),
            ] + CountCaps.fields("closings", perHour: 1_000_000)
        }

        var caps: CountCaps { CountCaps("closings", perRun: maxClosingsPerRun, perHour: maxClosingsPerHour) }
    }
}
