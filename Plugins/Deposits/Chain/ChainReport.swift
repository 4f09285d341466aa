import ExchangeKit
import JobKit

/// What a run over several chains has to say: one that does not answer stops no other.
struct ChainReport: RunReport {
    var notes = RunNotes()
    private var transient: [String] = []
    private var permanent: [String] = []
    private var empty: [String] = []

    /// Notes why a chain was left out. What is no matter of a chain is thrown on.
    mutating func leaveOut(chain: String, _ error: any Error) throws {
        if let trouble = error as? RunTrouble { throw trouble.cause }
        if let none = error as? NoBlockYet { return empty.append("\(none)") }
        guard let failure = error as? JobFailure, failure.kind != .badSettings else { throw error }
        fail(failure.text.hasPrefix("chain \(chain)") ? failure.text : "chain \(chain): \(failure.text)")
        if failure.kind == .transient { transient.append(failure.text) } else { permanent.append(failure.text) }
    }

    /// The outcome of a run in which no chain answered; nil: one did.
    func outcome(chains: Int) -> RunOutcome? {
        guard chains > 0, transient.count + permanent.count + empty.count == chains else { return nil }
        if let first = permanent.first { return .failed(first, code: 2) }
        return transient.first.map { .retry($0) } ?? empty.first.map { .nothingToDo($0) }
    }
}

/// What ends the run, on its way past the chain that was worked on: a locked database says
/// nothing of the chain.
struct RunTrouble: Error {
    var cause: any Error
}

extension Exchange {
    /// As `write`, while a chain is worked on.
    func writeOfChain<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try write(body)
        } catch let error where error.concernsTheRun {
            throw RunTrouble(cause: error)
        }
    }
}
