import ExchangeKit

/// What a run found and did, for the log and the ledger's sentence.
struct MarginReport: RunReport {
    var accounts = 0
    var calls = 0
    var toLiquidate = 0
    var liquidated = 0
    var closingsThisHour: Int64 = 0
    var lowestLevel: Amount?
    var notes = RunNotes()

    mutating func observe(_ level: Amount?) {
        if let level { lowestLevel = min(lowestLevel ?? level, level) }
    }

    mutating func closed(_ closing: Closing, _ state: MarginState, after: MarginState) {
        liquidated += 1
        closingsThisHour += 1
        let position = closing.valued.position
        let profit = (try? closing.profit) ?? .zero
        let size = ((try? profit.magnitude) ?? profit).readable()
        warn(
            "liquidation: \(state.account.name) at \(percent(state.level)), "
                + "\(position.side.rawValue) \(closing.size) \(position.symbol) closed at \(closing.valued.price), "
                + "\(profit.isNegative ? "loss" : "profit") \(size) \(state.account.currency), "
                + (after.positions.isEmpty ? "nothing is left open" : "now at " + percent(after.level)))
    }
}
