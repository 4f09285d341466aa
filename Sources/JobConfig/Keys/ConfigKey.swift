import JobCore

/// One key of the config: what the reader accepts and what `docs/CONFIG.md` says, from one
/// place, so that neither can drift from the other.
public struct ConfigKey: Sendable {
    public enum Kind: Sendable {
        case boolean
        case integer(ClosedRange<Int>)
        case number(ClosedRange<Double>)
        /// `orNone`: the word "none" is allowed too.
        case duration(ClosedRange<Duration>, orNone: Bool = false)
        case size(ClosedRange<UInt64>)
        /// Not empty, at most so many characters.
        case string(Int)
        case choice([String])
        /// An array of strings, at most so many; one string alone is a list of one.
        case strings(Int)
        case table
        /// Forms of its own, said in words.
        case special(String)
    }

    /// "host", "plugins.NAME.recycle".
    public let section: String
    public let name: String
    public let kind: Kind
    /// As one would write it in the file, or in words: "required", "unset".
    public let defaultText: String
    public let doc: String

    init(_ section: String, _ name: String, _ kind: Kind, _ defaultText: String, _ doc: String) {
        self.section = section
        self.name = name
        self.kind = kind
        self.defaultText = defaultText
        self.doc = doc
    }

    /// "duration, 1ms … 366d", "integer, 1 … 10000", "\"skip\", \"queue\" or \"allow\"".
    public var type: String {
        switch kind {
        case .boolean: "true or false"
        case .integer(let range): "integer, \(rangeText(range))"
        case .number(let range): "number, \(numberText(range.lowerBound)) … \(numberText(range.upperBound))"
        case .duration(let range, let orNone): "duration, \(rangeText(range))" + (orNone ? ", or \"none\"" : "")
        case .size(let range): "size, \(rangeText(range))"
        case .string(let most): "string, 1 … \(most) characters"
        case .choice(let words): choiceText(words)
        case .strings(let most): "array of strings, at most \(most)"
        case .table: "table"
        case .special(let words): words
        }
    }

    /// The default as it may stand in the file; nil when it is said in words.
    public var defaultLiteral: String? {
        let isLiteral = ["true", "false"].contains(defaultText) || defaultText.first.map { "\"[{0123456789".contains($0) } ?? false
        return isLiteral ? defaultText : nil
    }

    /// The key's row in CONFIG.md.
    public var documentationRow: String {
        "| `\(name)` | \(type) | \(defaultLiteral.map { "`\($0)`" } ?? defaultText) | \(doc) |"
    }
}

func rangeText(_ range: ClosedRange<Int>) -> String { "\(range.lowerBound) … \(range.upperBound)" }
func rangeText(_ range: ClosedRange<Duration>) -> String { "\(durationText(range.lowerBound)) … \(durationText(range.upperBound))" }
func rangeText(_ range: ClosedRange<UInt64>) -> String { "\(sizeText(range.lowerBound)) … \(sizeText(range.upperBound))" }

/// "1" for 1.0.
func numberText(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
}

func choiceText(_ words: [String]) -> String {
    let quoted = words.map { "\"\($0)\"" }
    guard let last = quoted.last, quoted.count > 1 else { return quoted.joined() }
    return quoted.dropLast().joined(separator: ", ") + " or " + last
}

/// All keys, by section, in the order of the documentation.
public enum ConfigKeys {
    public static let all: [ConfigKey] =
        HostKeys.all + StoreKeys.all + HTTPKeys.all + AlertKeys.all + PluginKeys.all + RecycleKeys.all + CanaryKeys.all + SandboxKeys.all
        + JobKeys.all + EveryKeys.all + AdaptiveKeys.all + RateKeys.all + CatchUpKeys.all + RetryKeys.all + BreakerKeys.all + RetentionKeys.all
        + HealthKeys.all + HealthKeys.ofWarning + HealthKeys.ofCritical + CalendarKeys.all

    /// Tables of the top level. `[defaults]` takes every key of a job.
    public static let sections = ["host", "store", "http", "alerts", "defaults", "calendars", "plugins", "jobs"]
    /// Those that a drop-in file may hold.
    public static let dropInSections = ["calendars", "plugins", "jobs"]

    /// Most entries of `[jobs]`, of `[plugins]` and of `[calendars]`, over all files.
    public static let mostNames = 10_000
}
