import ExchangeKit
import JobKit
import OutsideKit

extension ReconcilerEntry {
    public enum ExchangeName: String, CaseIterable, Codable, Sendable {
        /// Of a simulation, in its database.
        case paper
        /// Spot, over REST.
        case binance
    }

    public struct Settings: MoneySettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var statusMap: [String: String] = [:]
        public var mode = MoneyMode.shadow
        public var exchange = ExchangeName.paper
        public var url = "https://api.binance.com"
        public var apiKey = "env:BINANCE_API_KEY"
        public var apiSecret = "env:BINANCE_API_SECRET"
        public var recvWindow = Span.seconds(5)
        public var syncAfter = Span.minutes(5)
        public var batch = 200
        public var failureDelay = Span.minutes(5)
        public var maxFailureDelay = Span.hours(1)
        public var alertAfter = 3
        /// By currency; none: no cap.
        public var maxSettlement: [String: Amount] = [:]
        public var maxUpdatesPerRun = 200
        public var maxUpdatesPerHour = 5_000
        public var calls = Settings.defaultCalls

        /// 1,200 calls of weight 4 in the worst minute, below Binance's 6,000.
        private static var defaultCalls: CallSettings {
            var calls = CallSettings()
            calls.rate.calls = 600
            return calls
        }

        public init() {}

        public static var fields: [SettingsField] {
            ExchangeLocation.fields + CallSettings.fields() + [
                ExchangeLocation.statusField,
                MoneyMode.field,
                SettingsField("exchange", "Who is asked: paper (a simulation's own) or binance (spot)."),
                SettingsField("url", "Binance's address."),
                SettingsField("api_key", "Binance's key: \"file:\" and a path or \"env:\" and a variable's name."),
                SettingsField("api_secret", "Its secret: \"file:\" and a path or \"env:\" and a variable's name."),
                SettingsField("recv_window", "For how long Binance accepts a request after its stamp."),
                SettingsField("sync_after", "An order is asked for again after this time."),
                SettingsField("batch", "Orders in one cycle.", range: 1 ... 10_000),
                SettingsField("failure_delay", "An order that failed is asked for after this time, doubling with each failure …"),
                SettingsField("max_failure_delay", "… up to this."),
                SettingsField("alert_after", "\"No such order\" so often in a row is an alert.", range: 1 ... 1_000),
                SettingsField("max_settlement", "By currency: an order that would move more stops the run."),
            ] + CountCaps.fields("updates")
        }

        var caps: CountCaps { CountCaps("updates", perRun: maxUpdatesPerRun, perHour: maxUpdatesPerHour) }
    }
}
