import JobConfig
import JobCore

@testable import JobHost

/// The rules of a job's breaker told a second time, without its code: what the dispatcher's is held to.
struct BreakerModel {
    enum State: Equatable {
        case counting([Instant])
        case open(until: Instant)
        case probing(successes: Int, isUnderWay: Bool)
        /// By an operator; nil: until an operator says otherwise.
        case forced(until: Instant?)
    }
    struct Permit: Equatable {
        var number: Int
        var isProbe: Bool
    }

    var policy: BreakerPolicy
    var state = State.counting([])
    /// What began before the last change counts no more.
    private var number = 0

    init(policy: BreakerPolicy) { self.policy = policy }

    /// The word for its mode, as the breaker's own is compared.
    var word: String {
        switch state {
        case .counting: "closed"
        case .open: "open"
        case .probing: "half-open"
        case .forced: "forced open"
        }
    }

    static func word(_ mode: Breaker.Mode) -> String {
        switch mode {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half-open"
        case .forcedOpen: "forced open"
        case .disabled: "disabled"
        }
    }

    /// An attempt begins. nil: it may not.
    mutating func begin(_ now: Instant) -> Permit? {
        switch state {
        case .counting: return Permit(number: number, isProbe: false)
        case .open(let until) where now < until: return nil
        case .forced(let until) where until.map { now < $0 } ?? true: return nil
        case .probing(_, isUnderWay: true): return nil
        case .probing(let successes, isUnderWay: false): state = .probing(successes: successes, isUnderWay: true)
        case .open, .forced: state = .probing(successes: 0, isUnderWay: true)
        }
        number += 1
        return Permit(number: number, isProbe: true)
    }

    /// It never began.
    mutating func giveBack(_ permit: Permit) {
        guard permit.isProbe, permit.number == number, case .probing(let successes, _) = state else { return }
        state = .probing(successes: successes, isUnderWay: false)
    }

    mutating func end(_ outcome: Outcome, _ permit: Permit, _ now: Instant) {
        guard permit.number == number else { return }
        let isBad = [.failed, .retry, .timedOut, .crashed].contains(outcome)
        let isGood = [.succeeded, .nothingToDo].contains(outcome)
        switch state {
        case .counting(let remembered):
            // None lies ahead, where the clock was set back.
            var failures = remembered.map { min($0, now) }
            if isGood, policy.window == nil { failures = [] }
            if isBad { failures.append(now) }
            if let window = policy.window { failures.removeAll { $0 < now - window } }
            change(isBad && failures.count >= policy.failures ? .open(until: now + policy.openFor) : .counting(failures))
        case .probing(let successes, _):
            if isBad {
                change(.open(until: now + policy.openFor))
            } else if isGood, successes + 1 >= policy.successes {
                change(.counting([]))
            } else {
                state = .probing(successes: successes + (isGood ? 1 : 0), isUnderWay: false)
            }
        case .open, .forced: break
        }
    }

    /// An operator, or a new life of the host.
    mutating func change(_ next: State) {
        if case .counting = state, case .counting = next {} else { number += 1 }
        state = next
    }

    /// As an operator leaves it.
    mutating func decide(_ next: State) {
        number += 1
        state = next
    }

    /// Nothing is under way in a life that begins.
    func afterDeath(policy: BreakerPolicy) -> BreakerModel {
        var next = self
        next.policy = policy
        next.number += 1
        if case .probing(let successes, _) = state { next.state = .probing(successes: successes, isUnderWay: false) }
        return next
    }

    /// No opening lasts longer than it was meant to from now.
    mutating func clockWasSet(_ now: Instant) {
        if case .open(let until) = state { state = .open(until: min(until, now + policy.openFor)) }
    }
}
