import JobCore

/// One call from its first question to its end: what to do next, given what happened and the
/// time. Performs nothing itself.
struct CallMachine: Sendable {
    enum Step: Hashable {
        /// Make attempt number n (from 1) and report it by `ended`.
        case attempt(Int)
        case wait(Duration)
        /// Until another call has ended.
        case waitForOthers
        case giveUp(CallError)
    }
    private enum Stage: Hashable, Sendable {
        case outside
        case inside(PeerGate.Permit, notBefore: MonotonicInstant?)
        case over
    }

    /// A peer that wants to be left alone for longer is not waited for, however long the run may take.
    static let patience = Duration.seconds(30)

    private let name: String
    private let retry: RetryPolicy
    private let seed: UInt64
    /// When the run has to stop.
    private let deadline: MonotonicInstant
    private var stage = Stage.outside
    private var attempts = 0
    private var failure: CallError?

    init(name: String, retry: RetryPolicy, seed: UInt64, deadline: MonotonicInstant) {
        self.name = name
        self.retry = retry
        self.seed = seed
        self.deadline = deadline
    }

    mutating func next(_ gate: inout PeerGate, now: Now) -> Step {
        if case .outside = stage {
            switch gate.enter(now: now.wall) {
            case .entered(let permit): stage = .inside(permit, notBefore: nil)
            case .full:
                return now.monotonic < deadline ? .waitForOthers : giveUp(&gate, now, noTime())
            case .refused(let until):
                let why = "\(name): not called, its breaker is open (\(gate.breaker.reason))"
                return giveUp(&gate, now, CallError(.breakerOpen(until: until), why))
            }
        }
        guard case .inside(let permit, let notBefore) = stage else { return .giveUp(failure ?? noTime()) }
        if attempts > 0, gate.isOutdated(permit), let failure { return giveUp(&gate, now, failure) }
        if let notBefore, now.monotonic < notBefore { return .wait(notBefore - now.monotonic) }
        if let later = gate.take(now: now.wall) {
            let delay = later - now.wall
            let isPatient = gate.pausedUntil == nil || delay <= Self.patience
            guard isPatient, now.monotonic + delay < deadline else {
                let paused = gate.pausedUntil.map { CallError(.throttled(until: $0), "\(name): it asked to be left alone") }
                return giveUp(&gate, now, failure ?? paused ?? noTime())
            }
            return .wait(delay)
        }
        attempts += 1
        return .attempt(attempts)
    }

    /// The attempt gave its result. The change of the breaker, if there was one.
    mutating func succeeded(_ gate: inout PeerGate, now: Now) -> Breaker.Transition? {
        leave(&gate, .succeeded, now)
    }

    /// The attempt failed, or (nil) was broken off by the run's end.
    mutating func failed(_ error: CallError?, _ gate: inout PeerGate, now: Now) -> Breaker.Transition? {
        guard case .inside(let permit, _) = stage else { return nil }
        failure = error
        guard let error else { return leave(&gate, .cancelled, now) }
        if case .throttled(let until) = error.kind { gate.pause(until: until, now: now.wall) }
        let delay = retry.delay(afterAttempt: attempts, seed: seed)
        // A probe is one attempt: the peer may still be ill.
        guard error.isRepeatable, attempts < retry.maxAttempts, !permit.isProbe, now.monotonic + delay < deadline else {
            return leave(&gate, error.outcome, now)
        }
        stage = .inside(permit, notBefore: now.monotonic + delay)
        return nil
    }

    /// nil: it goes on; otherwise the error it has ended with.
    var end: CallError? {
        guard case .over = stage else { return nil }
        return failure
    }

    private func noTime() -> CallError { CallError(.noTime, "\(name): not called, the run has no time left") }

    private mutating func giveUp(_ gate: inout PeerGate, _ now: Now, _ error: CallError) -> Step {
        failure = error
        _ = leave(&gate, error.outcome, now)
        return .giveUp(error)
    }

    private mutating func leave(_ gate: inout PeerGate, _ outcome: Outcome, _ now: Now) -> Breaker.Transition? {
        defer { stage = .over }
        guard case .inside(let permit, _) = stage else { return nil }
        return gate.leave(permit, outcome, now: now.wall)
    }
}
