import ExchangeKit
import JobKit

/// What a run found and did, for the log and the ledger's sentence.
struct ExpiryReport: RunReport {
    var expired = 0
    /// Removals that the engine was asked for.
    var requested = 0
    /// Somebody else was faster: filled, cancelled or changed meanwhile.
    var left = 0
    /// Asked for and not ended, before this run asked for more.
    var waiting = 0
    /// … of these, for longer than `ack_timeout`.
    var unanswered = 0
    var unlockFailures = 0
    var removalFailures = 0
    /// Errors because the database refused a write.
    var refused = 0
    /// By currency.
    var released: [String: Amount] = [:]
    var ordersThisHour: Int64 = 0
    var notes = RunNotes()

    /// Counts a failing order; it stops no other.
    mutating func fail(_ id: String, _ error: any Error) {
        switch error {
        case ExpiryProblem.removal: removalFailures += 1
        case is ExpiryProblem, is LedgerError, is AmountError: unlockFailures += 1
        default: break
        }
        fail("order \(id): \(error)")
    }

    mutating func add(_ amount: Amount, _ currency: String) {
        // A sum that does not fit is only told wrongly, never booked wrongly.
        released[currency] = (try? (released[currency] ?? .zero) + amount) ?? released[currency]
    }

    /// "Expired 2 orders, asked to remove 1"
    var actions: String {
        var text = "Expired \(counted(expired, "order"))"
        if requested > 0 { text += ", asked to remove \(requested)" }
        return text
    }

    func outcome(_ mode: MoneyMode, milliseconds: Int64) -> RunOutcome {
        let acted = expired + requested + left + errors
        if acted == 0, halt == nil {
            return .nothingToDo("no order is due" + (waiting > 0 ? ", \(waiting) wait for the engine" : ""))
        }
        var parts: [String] = []
        let sums = released.sorted { $0.key < $1.key }.filter { !$0.value.isZero }
        if !sums.isEmpty {
            parts.append(sums.map { "\($0.value.readable()) \($0.key)" }.joined(separator: " and ") + " unlocked")
        }
        if waiting > 0 {
            parts.append("\(waiting) waiting for the engine" + (unanswered > 0 ? " (\(unanswered) unanswered)" : ""))
        }
        if left > 0 { parts.append("\(left) left to the application") }
        if removalFailures > 0 { parts.append(counted(removalFailures, "removal failure")) }
        if unlockFailures > 0 { parts.append(counted(unlockFailures, "unlock failure")) }
        // One order's trouble is its own; a database that takes nothing is the run's.
        return outcome(
            summary(actions, parts, mode, milliseconds: milliseconds), hasFailed: refused > 0 && expired + requested + left == 0)
    }
}
