/// A field of a cron expression, and what may stand in it.
public enum CronField: Int, CaseIterable, Hashable, Sendable {
    case second, minute, hour, dayOfMonth, month, dayOfWeek

    public var name: String {
        switch self {
        case .second: "second"
        case .minute: "minute"
        case .hour: "hour"
        case .dayOfMonth: "day-of-month"
        case .month: "month"
        case .dayOfWeek: "day-of-week"
        }
    }

    /// Values as numbers. Sunday is 0 and also 7.
    var range: ClosedRange<Int> {
        switch self {
        case .second, .minute: 0...59
        case .hour: 0...23
        case .dayOfMonth: 1...31
        case .month: 1...12
        case .dayOfWeek: 0...7
        }
    }

    /// The values that `*` means, each once.
    var distinct: ClosedRange<Int> { self == .dayOfWeek ? 0...6 : range }

    /// Names, the first of them for the lowest value.
    var names: [String] {
        switch self {
        case .month: ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
        case .dayOfWeek: ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
        default: []
        }
    }

    /// For messages: what a value may be.
    var allowed: String {
        switch self {
        case .second, .minute: "0-59"
        case .hour: "0-23"
        case .dayOfMonth: "1-31, L, LW, L-n and nW"
        case .month: "1-12 and JAN-DEC"
        case .dayOfWeek: "0-7 (0 and 7 are Sunday), SUN-SAT, FRIL (the last Friday) and MON#2 (the second Monday)"
        }
    }
}

/// Why a cron expression was refused: which field, what was found, what is allowed.
public struct CronError: Error, Hashable, Sendable, CustomStringConvertible {
    /// nil: the expression as a whole.
    public var field: CronField?
    /// What was found, as it was written; cut off when long.
    public var found: String
    /// A sentence without the hint.
    public var message: String
    /// What was probably meant; nil: no guess.
    public var hint: String?

    public var description: String { message + (hint.map { " (\($0))" } ?? "") }

    init(_ field: CronField?, found: String, _ problem: String, hint: String? = nil) {
        self.field = field
        let length = found.unicodeScalars.count
        self.found = Self.printable(length > 40 ? String(found.prefix(40)) + "..." : found)
        let place = field.map { "the \($0.name) field" } ?? "the cron expression"
        message = "\(place) has \"\(self.found)\": \(Self.printable(problem))"
        self.hint = hint.map(Self.printable)
    }

    /// Without anything that a terminal would obey.
    private static func printable(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            let category = scalar.properties.generalCategory
            result.unicodeScalars.append(category == .control || category == .format ? "?" : scalar)
        }
        return result
    }
}
