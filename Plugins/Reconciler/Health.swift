import JobCore

/// How well reconciliation is, as an operator would say.
enum HealthLevel: Int, Comparable, Sendable {
    case healthy = 0
    case warning = 1
    case critical = 2
    static func < (a: HealthLevel, b: HealthLevel) -> Bool { a.rawValue < b.rawValue }
    var word: String {
        switch self {
        case .healthy: "healthy"
        case .warning: "warning"
        case .critical: "critical"
        }
    }
}

/// The measurements of a cycle and what they say.
struct Health: Hashable, Sendable {
    var breaker = Breaker.Mode.closed
    var cycleMilliseconds: Int64 = 0
    var checked = 0
    var discrepancies = 0
    var errorsThisHour = 0
    /// From the end of the last run to the beginning of this one; nil: there was none.
    var ageMilliseconds: Int64?

    /// Name and level of each rule, in the order of the documentation.
    var rules: [(name: String, level: HealthLevel, finding: String)] {
        let seconds = Double(cycleMilliseconds) / 1_000
        let percent = checked == 0 ? 0 : 100 * Double(discrepancies) / Double(checked)
        let age = Double(ageMilliseconds ?? 0) / 1_000
        return [
            ("breaker", breakerLevel, "the breaker is \(breakerWord)"),
            (
                "cycle", seconds < 10 ? .healthy : seconds <= 30 ? .warning : .critical,
                "the cycle took \(Int(seconds.rounded())) s"
            ),
            (
                "discrepancies", percent < 1 ? .healthy : percent <= 5 ? .warning : .critical,
                "\(discrepancies) of \(checked) orders differed"
            ),
            (
                "errors", errorsThisHour < 5 ? .healthy : errorsThisHour <= 20 ? .warning : .critical,
                "\(errorsThisHour) errors within the hour"
            ),
            (
                "age", age <= 60 ? .healthy : age <= 300 ? .warning : .critical,
                "the last run ended \(Int(age.rounded())) s before"
            ),
        ]
    }

    var level: HealthLevel { rules.map(\.level).max() ?? .healthy }

    /// What is not well, the worst first; nil: all is.
    var complaint: String? {
        let found = rules.filter { $0.level > .healthy }.sorted { $0.level > $1.level }
        return found.isEmpty ? nil : "health \(level.word): \(found.map(\.finding).joined(separator: ", "))"
    }

    private var breakerLevel: HealthLevel {
        switch breaker {
        case .closed, .disabled: .healthy
        case .halfOpen: .warning
        case .open, .forcedOpen: .critical
        }
    }
    private var breakerWord: String {
        switch breaker {
        case .closed, .disabled: "closed"
        case .halfOpen: "half open"
        case .open, .forcedOpen: "open"
        }
    }
}
