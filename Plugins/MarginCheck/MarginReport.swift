import ExchangeKit

/// What a run found and did, for the log and the ledger's sentence.
struct MarginReport {
    struct Line: Hashable {
        enum Kind { case info, warning, error }
        var kind: Kind
        var text: String
    }

    var accounts = 0
    var calls = 0
    var toLiquidate = 0
    var liquidated = 0
    var closingsThisHour: Int64 = 0
    var errors = 0
    var lowestLevel: Amount?
    /// Why the run stopped before its end.
    var halt: String?
    var lines: [Line] = []

    mutating func tell(_ text: String) { lines.append(Line(kind: .info, text: text)) }
    mutating func warn(_ text: String) { lines.append(Line(kind: .warning, text: text)) }
    mutating func fail(_ text: String) {
        errors += 1
        lines.append(Line(kind: .error, text: text))
    }

    mutating func observe(_ level: Amount?) {
        if let level { lowestLevel = min(lowestLevel ?? level, level) }
    }

    mutating func closed(_ closing: Closing, _ state: MarginState, after: MarginState) {
        liquidated += 1
        closingsThisHour += 1
        let position = closing.valued.position
        let profit = (try? closing.profit) ?? .zero
        let result = profit.isNegative ? "loss" : "profit"
        lines.append(Line(
            kind: .warning,
            text: "liquidation: \(state.account.name) at \(percent(state.level)), \(position.side.rawValue) \(closing.size) \(position.symbol)"
                + " closed at \(closing.valued.price), \(result) \(((try? profit.magnitude) ?? profit).readable()) \(state.account.currency),"
                + " \(after.positions.isEmpty ? "nothing is left open" : "now at " + percent(after.level))"))
    }
}
