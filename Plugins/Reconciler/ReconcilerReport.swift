import ExchangeKit
import JobKit

/// What a cycle found and did, for the log, the metrics and the ledger's sentence.
struct ReconcilerReport: RunReport {
    struct Transition: Hashable {
        var from: OrderStatus
        var to: OrderStatus
    }

    /// Chosen in this cycle.
    var selected = 0
    /// … of which the exchange has said something.
    var reconciled = 0
    /// … that was not what we had.
    var discrepancies = 0
    var updated = 0
    /// The application was faster.
    var left = 0
    /// Not asked for: breaker, rate, time.
    var postponed = 0
    var transitions: [Transition: Int] = [:]
    var updatesThisHour: Int64 = 0
    /// Why the exchange answers none of our requests.
    var refusal: String?
    /// The first of the calls that failed for a reason that is not the order's.
    var outage: String?
    var notes = RunNotes()

    mutating func fail(order id: String, _ text: String, _ level: RunNotes.Level = .error) { fail("order \(id): \(text)", level) }

    func outcome(_ mode: MoneyMode, milliseconds: Int64) -> RunOutcome {
        if selected == 0, errors == 0 { return .nothingToDo("no order is due for a sync") }
        var parts = ["\(updated) updated"]
        var ended: [OrderStatus: Int] = [:]
        for (transition, count) in transitions where transition.to.isFinal { ended[transition.to, default: 0] += count }
        parts += ended.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.value) \($0.key.rawValue)" }
        if left > 0 { parts.append("\(left) left to the application") }
        if postponed > 0 { parts.append("\(postponed) postponed") }
        let summary = summary("Checked \(counted(reconciled, "order"))", parts, mode, milliseconds: milliseconds)
        if halt == nil, let refusal { return .failed("\(refusal). \(summary)", code: 3) }
        // One order's trouble is its own; an exchange that answers nothing is the run's.
        if halt == nil, reconciled == 0, let outage { return .failed("\(outage). \(summary)", code: 2) }
        return outcome(summary)
    }
}
