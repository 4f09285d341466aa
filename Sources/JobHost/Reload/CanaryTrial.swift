import JobCore

/// A changed library on trial: which runs it serves, and whether it takes over or goes. Pure:
/// events in, at most one decision out; after it everything goes to the old library.
///
/// It goes at once if it crashes or times out where the old one does not, and as soon as it
/// fails clearly more often than the old one. It takes over when it has ended its runs without.
///
/// "Clearly": if it were as bad as the old one, so many failures among its runs would come by
/// chance less than once in 20 times. The old one's rate is what its latest runs in the ledger
/// and those beside the trial say, the worse of the two: an outage that hits both is nobody's
/// fault.
struct CanaryTrial {
    enum Decision: Equatable {
        /// With what was seen, in a sentence.
        case takeOver(String)
        case rollBack(String)
    }

    /// How runs ended, as far as it tells one library from another.
    struct Tally: Equatable {
        var ended = 0
        /// failed, retry
        var failed = 0
        /// crashed, timed out
        var broke = 0

        mutating func add(_ outcome: Outcome) {
            switch outcome {
            case .succeeded, .nothingToDo, .snoozed: break
            case .failed, .retry: failed += 1
            case .crashed, .timedOut: broke += 1
            // Somebody else's doing.
            case .cancelled, .lost: return
            }
            ended += 1
        }
    }

    let plugin: String
    /// The old library, and the one on trial.
    let old: String
    let fresh: String
    let wanted: Int
    private(set) var decision: Decision?
    private(set) var tally = Tally()
    private(set) var underway: Set<RunID> = []
    /// Of the old library: before the trial, and beside it.
    private var before = Tally()
    private var beside = Tally()

    /// Of its workers, since one of its runs ended.
    private var failedStarts = 0
    /// How far it was in an earlier life of the host is being looked up: until then it is given no run.
    private var isRecalling: Bool

    /// Chance below which worse is called clearly worse.
    static let level = 0.05
    static let mostFailedStarts = 3

    /// - Parameter isResumed: an earlier life of the host began the trial; `resume` is to say how far it came.
    init(plugin: String, old: String, fresh: String, wanted: Int, isResumed: Bool = false) {
        self.plugin = plugin
        self.old = old
        self.fresh = fresh
        self.wanted = max(1, wanted)
        isRecalling = isResumed
    }

    func isOf(_ plugin: LoadedPlugin) -> Bool {
        plugin.canary.map { $0.copy.sha256 == fresh && plugin.copy.sha256 == old && $0.runs == wanted } ?? false
    }

    /// The plugin whose trial hears of the end of a run: that which serves it, wherever its job is by now, else that of
    /// the job's plugin.
    static func plugin(hearing run: RunID, jobOf plugin: String?, among trials: [String: CanaryTrial]) -> String? {
        trials.first { $0.value.underway.contains(run) }?.key ?? plugin
    }

    /// A run is about to be sent to a worker. true: to one of the library on trial.
    mutating func takes(_ run: RunID) -> Bool {
        guard decision == nil, !isRecalling, underway.count + tally.ended < wanted else { return false }
        underway.insert(run)
        return true
    }

    /// It was given back unattempted.
    mutating func returned(_ run: RunID) { underway.remove(run) }

    /// Any run of the plugin has ended. `library`: what served it; of one from before the trial it may be a third one,
    /// which says nothing of these two.
    mutating func ended(_ run: RunID, job: String, library: String, _ outcome: Outcome, reason: String) -> Decision? {
        guard underway.remove(run) != nil else {
            if library == old { beside.add(outcome) }
            return nil
        }
        guard decision == nil else { return nil }
        failedStarts = 0
        tally.add(outcome)
        return decide(last: "run \(run) of \(job) \(outcome.rawValue)" + (reason.isEmpty ? "" : ": \(reason)"))
    }

    /// How the old library did before the trial.
    mutating func remember(_ outcomes: some Sequence<Outcome>) {
        for outcome in outcomes { before.add(outcome) }
    }

    /// It goes on: so the runs ended that it had served in an earlier life of the host. Call it after `remember`.
    mutating func resume(_ outcomes: some Sequence<Outcome>) -> Decision? {
        guard isRecalling else { return nil }
        isRecalling = false
        for outcome in outcomes { tally.add(outcome) }
        guard decision == nil, tally.ended > 0 else { return nil }
        return decide(last: "as the ledger has it from before the host's start")
    }

    /// Its worker does not come up, though its probe did. The machine may be the reason once or twice; three times in a
    /// row it is the library.
    mutating func refused(_ message: String) -> Decision? {
        guard decision == nil else { return nil }
        failedStarts += 1
        guard failedStarts >= Self.mostFailedStarts else { return nil }
        return decided(.rollBack("its worker does not start: \(message)"))
    }

    /// "canary: library def5678 has served 3 of 5 runs (1 failed) beside abc1234"
    var sentence: String {
        "canary: library \(fresh.prefix(7)) has served \(tally.ended) of \(counted(wanted, "run"))\(troubles) beside \(old.prefix(7))"
    }

    private var troubles: String {
        let parts = [(tally.failed, "failed"), (tally.broke, "crashed or timed out")].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        return parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))"
    }

    private mutating func decide(last: String) -> Decision? {
        if tally.broke > 0, isWorse(tally.broke, than: \.broke, expecting: 0) {
            return decided(.rollBack("\(last); \(comparison(\.broke, "crashed or timed out"))"))
        }
        if tally.failed > 0, isWorse(tally.failed, than: \.failed, expecting: 1) {
            return decided(.rollBack("\(last); \(comparison(\.failed, "failed"))"))
        }
        guard tally.ended >= wanted else { return nil }
        return decided(.takeOver("\(counted(tally.ended, "run"))\(troubles.isEmpty ? ", none of them bad" : troubles)"))
    }

    private mutating func decided(_ decision: Decision) -> Decision {
        self.decision = decision
        return decision
    }

    private func comparison(_ kind: KeyPath<Tally, Int>, _ word: String) -> String {
        let own = "\(tally[keyPath: kind]) of \(counted(tally.ended, "run")) \(word)"
        let reference = [before, beside].max { share($0, kind) < share($1, kind) } ?? before
        guard reference.ended > 0 else { return "\(own); the old library has no runs to compare with" }
        return "\(own), of the old library's \(reference.ended) \(reference[keyPath: kind])"
    }

    private func share(_ tally: Tally, _ kind: KeyPath<Tally, Int>) -> Double {
        tally.ended == 0 ? 0 : Double(tally[keyPath: kind]) / Double(tally.ended)
    }

    /// `expecting`: failures that are taken for granted of a library of which nothing is known,
    /// with one run more (Laplace's rule), so that little history proves little.
    private func isWorse(_ count: Int, than kind: KeyPath<Tally, Int>, expecting prior: Int) -> Bool {
        let rate = [before, beside].map { tally in
            Double(tally[keyPath: kind] + prior) / Double(max(1, tally.ended + 2 * prior))
        }
        // A tally without runs says nothing: the other one counts.
        let known = zip([before, beside], rate).filter { $0.0.ended > 0 }.map(\.1)
        let worst = known.max() ?? (prior == 0 ? 0 : 0.5)
        return Self.chance(of: count, in: tally.ended, at: worst) < Self.level
    }

    /// Of at least so many events among so many runs, each with this probability.
    static func chance(of count: Int, in runs: Int, at rate: Double) -> Double {
        guard count > 0 else { return 1 }
        guard rate > 0 else { return 0 }
        guard rate < 1 else { return 1 }
        // The terms one after the other, each from the one before it.
        var term = power(1 - rate, runs)
        var below = term
        var index = 0
        while index < count - 1 {
            term *= Double(runs - index) / Double(index + 1) * rate / (1 - rate)
            below += term
            index += 1
        }
        return max(0, 1 - below)
    }

    private static func power(_ base: Double, _ exponent: Int) -> Double {
        var result = 1.0
        for _ in 0..<exponent { result *= base }
        return result
    }
}
