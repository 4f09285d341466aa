import ExchangeKit
import JobKit

extension OrderExpiryEntry {
    /// Where an order lives besides the database.
    public enum Engine: String, CaseIterable, Codable, Sendable {
        /// Nowhere: who matches orders reads them from the database.
        case database
        /// In a matching engine's book: it has to confirm that the order is out of it.
        case ack
    }

    /// What becomes of an order that holds another amount than it should.
    public enum Mismatch: String, CaseIterable, Codable, Sendable {
        /// It is left as it is, and counted.
        case hold
        /// What is locked is given back, with a warning.
        case release
    }

    public struct Settings: MoneySettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var statusMap: [String: String] = [:]
        public var mode = MoneyMode.shadow
        public var engine = Engine.database
        public var ackTimeout = Span.seconds(30)
        public var mismatch = Mismatch.hold
        /// In the currency that is locked: what rounding each fill may add up to. 10⁻⁸.
        public var tolerance = Amount(units: Amount.unitsPerOne / 100_000_000)
        /// By currency; none: no cap.
        public var maxRelease: [String: Amount] = [:]
        public var maxOrdersPerRun = 5_000
        public var maxOrdersPerHour = 50_000
        /// Orders in one transaction.
        public var batch = 200

        public init() {}

        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                ExchangeLocation.statusField,
                MoneyMode.field,
                SettingsField("engine", "database: expired at once; ack: a matching engine has to confirm the removal first."),
                SettingsField("ack_timeout", "With engine = \"ack\": no answer for this long is an alert; funds stay locked."),
                SettingsField("mismatch", "An order that holds another amount than it should: hold (leave it) or release."),
                SettingsField("tolerance", "How far the two amounts may be apart; in the currency that is locked."),
                SettingsField("max_release", "By currency: an order that holds more stops the run."),
                SettingsField("batch", "Orders in one transaction.", range: 1 ... 10_000),
            ] + CountCaps.fields("orders")
        }

        var caps: CountCaps { CountCaps("orders", perRun: maxOrdersPerRun, perHour: maxOrdersPerHour) }
    }
}
