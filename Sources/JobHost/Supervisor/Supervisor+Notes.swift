import JobCore
import JobStore
import Logging

extension Supervisor {
    /// One line in the host's log for what an operator should be able to read.
    func write(_ note: DispatchNote) {
        let job = note.job
        tell(note)
        switch note.kind {
        case .ended(let outcome, let state): writeEnd(note, outcome, state)
        case .breaker(let mode):
            writeBreaker(note, mode)
            let run = note.run.map { ", by run \($0)" } ?? ""
            audit(Actor(name: "host", via: "host"), mode == .closed ? "breaker close" : "breaker open", job: job, detail: note.text + run)
        case .adoptedBreaker(let mode): writeBreaker(note, mode)
        case .skipped(let reason):
            // A lasting reason is in the ledger and on the status page; each fire is detail.
            log.log(level: reason == .overlap ? .info : .debug, "\(job): \(note.text)")
        case .missed: log.warning("\(job): \(note.text)", metadata: ["said.job": "\(job)"])
        case .badSettings: log.error("\(job): \(note.text)", metadata: ["said.job": "\(job)"])
        case .rewound: log.warning("\(job.isEmpty ? "" : "\(job): ")\(note.text)")
        case .badEnqueue: log.error("\(job)\(note.run.map { " run \($0)" } ?? ""): \(note.text)")
        }
    }

    /// The same for views.
    private func tell(_ note: DispatchNote) {
        let now = clock.now().wall
        switch note.kind {
        case .ended:
            if let run = note.record?.value { events.emit(.ended(run)) }
        case .breaker(let mode), .adoptedBreaker(let mode):
            events.emit(.breaker(job: note.job, mode: Self.word(mode), text: note.text, at: now))
        case .skipped(let reason), .missed(let reason): events.emit(.notRun(job: note.job, reason: reason, text: note.text, at: now))
        case .badSettings, .rewound, .badEnqueue: break
        }
    }

    private func writeBreaker(_ note: DispatchNote, _ mode: Breaker.Mode) {
        log.warning("\(note.job): \(note.text)", metadata: ["said.job": "\(note.job)", "said.breaker": "\(Self.word(mode))"])
    }

    private func writeEnd(_ note: DispatchNote, _ outcome: Outcome, _ state: RunState) {
        let mark: String
        let level: Logger.Level
        switch outcome {
        case .succeeded: (mark, level) = ("✓", .info)
        case .nothingToDo: (mark, level) = ("·", .debug)
        case .snoozed: (mark, level) = ("z", .info)
        case .cancelled: (mark, level) = ("◌", .info)
        case .retry: (mark, level) = ("↻", .warning)
        case .failed, .timedOut, .crashed, .lost: (mark, level) = ("✗", .error)
        }
        guard level >= log.logLevel else { return }
        let run = note.run.map { " run \($0)" } ?? ""
        let text = note.text.isEmpty ? "" : ": \(note.text)"
        let word = outcome == .succeeded ? "" : " \(outcome.rawValue)"
        let fate = state == .discarded ? " — dead letter, `jobhost retry\(note.run.map { " \($0)" } ?? "")` runs it again" : ""
        var fields: Logger.Metadata = ["said.job": "\(note.job)", "said.outcome": "\(outcome.rawValue)", "said.state": "\(state.rawValue)"]
        if let run = note.run { fields["said.run"] = "\(run)" }
        log.log(level: level, "\(mark) \(note.job)\(run)\(word)\(text)\(fate)", metadata: fields)
    }
}
