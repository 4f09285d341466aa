import JobKit
import SQL

extension MoneyMode {
    /// What every entry with a `mode` says of it.
    public static let field = SettingsField("mode", "off, shadow (decides and logs, writes nothing) or live.")
}

/// How much a run, and all runs of an hour, may do before somebody is called: the settings
/// `max_THINGS_per_run` and `max_THINGS_per_hour`.
public struct CountCaps: Hashable, Sendable {
    /// "orders".
    public var things: String
    public var perRun: Int
    public var perHour: Int

    public init(_ things: String, perRun: Int, perHour: Int) {
        self.things = things
        self.perRun = perRun
        self.perHour = perHour
    }

    public static func fields(_ things: String, perRun: Int = 1_000_000, perHour: Int = 10_000_000) -> [SettingsField] {
        [
            SettingsField("max_\(things)_per_run", "More stop the run.", range: 1 ... perRun),
            SettingsField("max_\(things)_per_hour", "More stop the run.", range: 1 ... perHour),
        ]
    }

    /// Which cap stands against one more; nil: none.
    ///
    /// - Parameters:
    ///   - inRun: done in this run.
    ///   - inHour: done in the hour before, this run included.
    public func reached(inRun: Int, inHour: Int64) -> String? {
        if inRun >= perRun { return "max_\(things)_per_run (\(perRun)) is reached" }
        if inHour >= Int64(perHour) { return "max_\(things)_per_hour (\(perHour)) is reached" }
        return nil
    }
}

extension Exchange {
    /// What a statement with `:since` counts in the hour before `now` (milliseconds).
    public func count(_ name: String, inHourBefore now: Int64) throws -> Int64 {
        try first(name, ["since": .int(now - 3_600_000)]) { try $0.int64(0) } ?? 0
    }
}

/// Rules for amounts in settings. All throw `JobFailure.badSettings` with the setting's name.
public enum AmountRules {
    public static func notNegative(_ settings: KeyValuePairs<String, Amount>) throws {
        for (name, value) in settings where value.isNegative { throw JobFailure.badSettings("\(name): \(value) is below 0") }
    }

    /// Of caps by currency: a cap of 0 would let nothing through.
    public static func positive(_ settings: KeyValuePairs<String, [String: Amount]>) throws {
        for (name, caps) in settings {
            for (currency, cap) in caps.sorted(by: { $0.key < $1.key }) where !cap.isPositive {
                throw JobFailure.badSettings("\(name).\(currency): \(cap) is not above 0")
            }
        }
    }
}
