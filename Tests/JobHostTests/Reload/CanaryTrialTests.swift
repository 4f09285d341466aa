import JobCore
import Testing

@testable import JobHost

@Suite("A changed library on trial")
struct CanaryTrialTests {
    private let trial = Trial()

    /// The machine, for a test that asks it within its expectations.
    private final class Trial {
        var machine: CanaryTrial
        init(isResumed: Bool = false) {
            machine = CanaryTrial(plugin: "bank", old: "aaaaaaaa", fresh: "bbbbbbbb", wanted: 5, isResumed: isResumed)
        }
        var decision: CanaryTrial.Decision? { machine.decision }
        var tally: CanaryTrial.Tally { machine.tally }
        func takes(_ run: Int64) -> Bool { machine.takes(RunID(run)) }
        func returned(_ run: Int64) { machine.returned(RunID(run)) }
        func remember(_ outcomes: [Outcome]) { machine.remember(outcomes) }
        func resume(_ outcomes: Outcome...) -> CanaryTrial.Decision? { machine.resume(outcomes) }
        func refused(_ message: String) -> CanaryTrial.Decision? { machine.refused(message) }
        func ended(_ run: Int64, _ outcome: Outcome, library: String = "aaaaaaaa") -> CanaryTrial.Decision? {
            machine.ended(RunID(run), job: "credit", library: library, outcome, reason: "")
        }

        /// Ends runs that the new library serves, one after the other; the decision that comes of it.
        func serves(_ outcomes: Outcome...) -> CanaryTrial.Decision? {
            var decision: CanaryTrial.Decision?
            for outcome in outcomes {
                let run = Int64(1_000 + tally.ended)
                guard takes(run) else { return decision }
                if let made = ended(run, outcome) { decision = made }
            }
            return decision
        }
    }
    private var isRolledBack: Bool {
        if case .rollBack = trial.decision { true } else { false }
    }

    @Test("it serves so many runs and no more, however many are under way at once")
    func serves5() {
        let taken = (1...8).filter { trial.takes(Int64($0)) }
        #expect(taken == [1, 2, 3, 4, 5])
        trial.returned(2)
        #expect(trial.takes(9), "one that was given back unattempted is not counted")
        #expect(!trial.takes(10))
    }

    @Test("it takes over when all of them have ended well")
    func takesOver() {
        #expect(trial.serves(.succeeded, .nothingToDo, .succeeded, .snoozed) == nil)
        #expect(trial.serves(.succeeded) == .takeOver("5 runs, none of them bad"))
        #expect(!trial.takes(1), "everything after the decision goes to the old one")
    }

    @Test("one crash or one timeout ends it at once, if the old library has none", arguments: [Outcome.crashed, .timedOut])
    func crash(outcome: Outcome) {
        trial.remember(Array(repeating: Outcome.succeeded, count: 50))
        let decision = trial.serves(.succeeded, outcome)
        #expect(isRolledBack)
        #expect(decision == .rollBack(
            "run 1001 of credit \(outcome.rawValue); 1 of 2 runs crashed or timed out, of the old library's 50 0"))
    }

    @Test("what the old library does too is no reason: one in five of its runs times out")
    func asBadAsBefore() {
        trial.remember(Array(repeating: .succeeded, count: 40) + Array(repeating: .timedOut, count: 10))
        #expect(trial.serves(.succeeded, .timedOut, .succeeded, .succeeded, .succeeded) == .takeOver("5 runs (1 crashed or timed out)"))
    }

    @Test("failures beside a long good record end it, a single one beside a short record does not")
    func failures() {
        trial.remember(Array(repeating: .succeeded, count: 10))
        #expect(trial.serves(.failed) == nil)
        #expect(trial.serves(.failed) == .rollBack("run 1001 of credit failed; 2 of 2 runs failed, of the old library's 10 0"))
    }

    @Test("an outage that the old library's runs beside it meet too is not its fault")
    func outage() {
        trial.remember(Array(repeating: .succeeded, count: 100))
        for run in 1...4 { #expect(trial.ended(Int64(run), .retry) == nil) }
        #expect(trial.serves(.retry, .retry, .retry, .retry, .retry) == .takeOver("5 runs (5 failed)"))
    }

    @Test("what runs of a third library do, which began before the trial, says nothing of the two")
    func stragglers() {
        trial.remember(Array(repeating: .succeeded, count: 50))
        for run in 1...20 { #expect(trial.ended(Int64(run), .crashed, library: "cccccccc") == nil) }
        #expect(trial.serves(.crashed) == .rollBack("run 1000 of credit crashed; 1 of 1 run crashed or timed out, of the old library's 50 0"))
    }

    @Test("with nothing to compare, all failing is bad and some failing is not")
    func nothingKnown() {
        let other = Trial()
        #expect(other.serves(.failed, .failed, .succeeded, .failed, .succeeded) == .takeOver("5 runs (3 failed)"))
        _ = trial.serves(.failed, .failed, .failed, .failed, .failed)
        #expect(isRolledBack)
    }

    @Test("what others did to a run says nothing about the library: it gets another one")
    func cancelled() {
        #expect(trial.serves(.cancelled, .lost, .cancelled) == nil)
        #expect(trial.tally.ended == 0)
    }

    @Test("a worker that does not come up three times in a row ends it, once: once or twice it may be the machine")
    func refused() {
        for _ in 0..<2 { #expect(trial.refused("not ready within 10s") == nil) }
        #expect(trial.serves(.succeeded) == nil)
        for _ in 0..<2 { #expect(trial.refused("not ready within 10s") == nil) }
        #expect(trial.refused("not ready within 10s") == .rollBack("its worker does not start: not ready within 10s"))
        #expect(trial.refused("not ready within 10s") == nil)
    }

    @Test("after a restart it goes on where it was: nothing is given to it before that is known, then what is left of its runs")
    func resumes() {
        let other = Trial(isResumed: true)
        #expect(!other.takes(1), "how many there were is not known yet")
        #expect(other.resume(.succeeded, .lost, .failed, .nothingToDo) == nil)
        #expect(other.tally.ended == 3)
        #expect((1...5).filter { other.takes(Int64($0)) } == [1, 2])
        #expect(other.ended(1, .succeeded) == nil)
        #expect(other.ended(2, .succeeded) == .takeOver("5 runs (1 failed)"))
    }

    @Test("a verdict that the host did not live to obey is given again; a trial of which nothing had ended begins")
    func resumesJudged() {
        let crashed = Trial(isResumed: true)
        crashed.remember(Array(repeating: .succeeded, count: 10))
        #expect(crashed.resume(.succeeded, .crashed) == .rollBack(
            "as the ledger has it from before the host's start; 1 of 2 runs crashed or timed out, of the old library's 10 0"))
        #expect(!crashed.takes(1))
        let ended = Trial(isResumed: true)
        #expect(ended.resume(.succeeded, .succeeded, .succeeded, .succeeded, .succeeded) == .takeOver("5 runs, none of them bad"))
        let empty = Trial(isResumed: true)
        #expect(empty.resume() == nil && empty.takes(1))
    }

    @Test("the end of a run is heard by the trial that serves it, also where a reload has taken its job out or moved it to another plugin")
    func hearing() {
        var bank = CanaryTrial(plugin: "bank", old: "a", fresh: "b", wanted: 2)
        _ = bank.takes(RunID(1))
        let trials = ["bank": bank, "shop": CanaryTrial(plugin: "shop", old: "c", fresh: "d", wanted: 2)]
        #expect(CanaryTrial.plugin(hearing: RunID(1), jobOf: "bank", among: trials) == "bank")
        #expect(CanaryTrial.plugin(hearing: RunID(1), jobOf: nil, among: trials) == "bank", "its job is gone")
        #expect(CanaryTrial.plugin(hearing: RunID(1), jobOf: "shop", among: trials) == "bank", "its job is of another plugin by now")
        #expect(CanaryTrial.plugin(hearing: RunID(2), jobOf: "shop", among: trials) == "shop", "of the old library, beside the trial")
        #expect(CanaryTrial.plugin(hearing: RunID(2), jobOf: nil, among: trials) == nil)
    }

    @Test("the chance of so many among so many, against figures from tables of the binomial distribution")
    func chances() {
        func close(_ a: Double, _ b: Double) -> Bool { abs(a - b) < 0.0005 }
        #expect(close(CanaryTrial.chance(of: 1, in: 5, at: 0.1), 0.4095))
        #expect(close(CanaryTrial.chance(of: 3, in: 10, at: 0.2), 0.3222))
        #expect(close(CanaryTrial.chance(of: 10, in: 20, at: 0.5), 0.5881))
        #expect(CanaryTrial.chance(of: 0, in: 5, at: 0) == 1 && CanaryTrial.chance(of: 1, in: 5, at: 0) == 0)
        #expect(CanaryTrial.chance(of: 5, in: 5, at: 1) == 1)
    }
}
