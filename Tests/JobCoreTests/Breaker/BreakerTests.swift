import Testing

@testable import JobCore

/// Seconds after an arbitrary start.
private func at(_ seconds: Int64) -> Instant { Instant(seconds: 1_700_000_000) + .seconds(seconds) }

private let usual = BreakerPolicy(failures: 3, window: nil, openFor: .seconds(120), successes: 2)

extension Breaker {
    /// Starts and ends an attempt; nil: it was refused.
    @discardableResult
    fileprivate mutating func attempt(_ outcome: Outcome, now: Instant) -> Transition? {
        guard case .granted(let generation, let isProbe) = acquire(now: now) else { return nil }
        return record(outcome, generation: generation, wasProbe: isProbe, now: now)
    }

    fileprivate static func opened() -> Breaker {
        var breaker = Breaker(policy: usual)
        for second in [-2, -1, 0] as [Int64] { breaker.attempt(.failed, now: at(second)) }
        return breaker
    }
}

@Suite("Breaker")
struct BreakerTests {
    @Test("as many failures in a row as the policy says open it")
    func opens() {
        var breaker = Breaker(policy: usual)
        #expect(breaker.attempt(.failed, now: at(0)) == nil)
        #expect(breaker.attempt(.timedOut, now: at(3_600)) == nil)
        #expect(breaker.failures == 2)
        let transition = breaker.attempt(.crashed, now: at(7_200))
        #expect(transition == Breaker.Transition(
            from: .closed, to: .open(until: at(7_320)), at: at(7_200), reason: "3 failures in a row, the last: crashed"))
        #expect(breaker.mode == .open(until: at(7_320)))
        #expect(breaker.since == at(7_200))
        #expect(breaker.nextChange == at(7_320))
    }

    @Test("what the last attempt said is part of the reason, on one line and bounded, and is persisted with it")
    func saysWhy() throws {
        func opened(_ text: String) -> Breaker {
            var breaker = Breaker(policy: BreakerPolicy(failures: 1, openFor: .seconds(120)))
            _ = breaker.record(.retry, generation: breaker.generation, wasProbe: false, text: text, now: at(0))
            return breaker
        }
        #expect(opened("no answer\n  within 5s").reason == "1 failure, the last: retry: no answer within 5s")
        #expect(opened(" ").reason == "1 failure, the last: retry")
        let long = opened(String(repeating: "ü", count: 100_000))
        #expect(long.reason.utf8.count <= Breaker.longestReason && long.reason.hasSuffix("ü…"))
        let restored = try #require(Breaker(encoded: long.encoded, policy: long.policy))
        #expect(restored.reason == long.reason)

        var probed = opened("down")
        guard case .granted(let generation, true) = probed.acquire(now: at(120)) else { return #expect(Bool(false)) }
        #expect(probed.record(.crashed, generation: generation, wasProbe: true, text: "SIGSEGV", now: at(121))?.reason
            == "the probe ended: crashed: SIGSEGV")
    }

    @Test("what counts, what clears, and what says nothing", arguments: [
        (.failed, 2), (.retry, 2), (.timedOut, 2), (.crashed, 2),
        (.succeeded, 0), (.nothingToDo, 0),
        (.snoozed, 1), (.cancelled, 1), (.lost, 1),
    ] as [(Outcome, Int)])
    func counting(outcome: Outcome, failures: Int) {
        var breaker = Breaker(policy: usual)
        breaker.attempt(.failed, now: at(0))
        breaker.attempt(outcome, now: at(1))
        #expect(breaker.failures == failures)
    }

    @Test("the table above is about every outcome there is")
    func everyOutcome() { #expect(Outcome.allCases.count == 9) }

    @Test("a success in between starts the count anew")
    func consecutive() {
        var breaker = Breaker(policy: usual)
        for outcome in [Outcome.failed, .failed, .nothingToDo, .failed, .failed] { breaker.attempt(outcome, now: at(0)) }
        #expect(breaker.mode == .closed)
        #expect(breaker.attempt(.failed, now: at(0)) != nil)
    }

    @Test("with a window, failures inside it count, successes or not")
    func window() {
        var breaker = Breaker(policy: BreakerPolicy(failures: 3, window: .seconds(60), openFor: .seconds(120)))
        breaker.attempt(.failed, now: at(0))
        breaker.attempt(.failed, now: at(50))
        breaker.attempt(.succeeded, now: at(55))
        #expect(breaker.attempt(.failed, now: at(61)) == nil, "the first is 61 s ago")
        #expect(breaker.failures == 2)
        #expect(breaker.attempt(.retry, now: at(110))?.reason == "3 failures within 60s, the last: retry")
    }

    @Test("a failure exactly one window ago still counts")
    func windowEdge() {
        var breaker = Breaker(policy: BreakerPolicy(failures: 2, window: .seconds(60)))
        breaker.attempt(.failed, now: at(0))
        #expect(breaker.attempt(.failed, now: at(60)) != nil)
    }

    @Test("an hourly job trips too: no minimum of calls")
    func hourly() {
        var breaker = Breaker(policy: BreakerPolicy(failures: 5))
        for hour in 0..<5 { breaker.attempt(.failed, now: at(Int64(hour) * 3_600)) }
        #expect(breaker.mode == .open(until: at(4 * 3_600 + 120)))
    }

    @Test("open: refused until open_for is over, then one probe at a time")
    func halfOpen() {
        var breaker = Breaker.opened()
        #expect(breaker.acquire(now: at(119)) == .refused(until: at(120)))
        #expect(!breaker.peek(now: at(119)))
        #expect(breaker.peek(now: at(120)))
        guard case .granted(let generation, true) = breaker.acquire(now: at(120)) else {
            Issue.record("no probe at \(breaker)")
            return
        }
        #expect(breaker.mode == .halfOpen)
        #expect(breaker.acquire(now: at(121)) == .refused(until: nil))
        #expect(!breaker.peek(now: at(121)))
        #expect(breaker.record(.succeeded, generation: generation, wasProbe: true, now: at(130)) == nil)
        #expect(breaker.peek(now: at(130)))
        let closed = breaker.attempt(.nothingToDo, now: at(131))
        #expect(closed == Breaker.Transition(from: .halfOpen, to: .closed, at: at(131), reason: "2 probes succeeded"))
        #expect(breaker.failures == 0)
    }

    @Test("a failed probe opens it again for the whole of open_for", arguments: [Outcome.failed, .retry, .timedOut, .crashed])
    func probeFails(outcome: Outcome) {
        var breaker = Breaker.opened()
        breaker.attempt(.succeeded, now: at(120))
        let transition = breaker.attempt(outcome, now: at(150))
        #expect(transition?.to == .open(until: at(270)))
        #expect(breaker.acquire(now: at(269)) == .refused(until: at(270)))
        #expect(breaker.attempt(.succeeded, now: at(270)) == nil, "the success before the failure no longer counts")
        #expect(breaker.mode == .halfOpen)
    }

    @Test("a probe that ended without a verdict gives its permit back", arguments: [Outcome.cancelled, .lost, .snoozed])
    func probeWithoutVerdict(outcome: Outcome) {
        var breaker = Breaker.opened()
        #expect(breaker.attempt(outcome, now: at(120)) == nil)
        #expect(breaker.mode == .halfOpen)
        #expect(breaker.peek(now: at(121)))
    }

    @Test("a probe that never started gives its permit back")
    func release() {
        var breaker = Breaker.opened()
        let permit = breaker.acquire(now: at(120))
        breaker.release(permit)
        guard case .granted(_, true) = breaker.acquire(now: at(121)) else {
            Issue.record("the permit is lost")
            return
        }
        // Given back twice: the second probe keeps its own.
        breaker.release(permit)
        #expect(!breaker.peek(now: at(122)))
    }

    @Test("results of an earlier generation are ignored")
    func staleResults() {
        var breaker = Breaker(policy: usual)
        guard case .granted(let old, false) = breaker.acquire(now: at(-10)) else {
            Issue.record("refused while closed")
            return
        }
        breaker = { var copy = breaker; for _ in 0..<3 { copy.attempt(.failed, now: at(0)) }; return copy }()
        guard case .granted(let probe, true) = breaker.acquire(now: at(120)) else {
            Issue.record("no probe")
            return
        }
        let before = breaker
        #expect(breaker.record(.succeeded, generation: old, wasProbe: false, now: at(121)) == nil)
        #expect(breaker.record(.failed, generation: old, wasProbe: true, now: at(121)) == nil)
        #expect(breaker == before)
        #expect(breaker.record(.failed, generation: probe, wasProbe: true, now: at(122)) != nil)
        #expect(breaker.record(.succeeded, generation: probe, wasProbe: true, now: at(123)) == nil, "told twice")
    }

    @Test("forced open with an end: refused until then, half-open after it")
    func forcedUntil() {
        var breaker = Breaker(policy: usual)
        let transition = breaker.forceOpen(until: at(600), reason: "exchange in maintenance", now: at(0))
        #expect(transition.to == .forcedOpen(until: at(600)))
        #expect(breaker.reason == "exchange in maintenance")
        #expect(breaker.acquire(now: at(599)) == .refused(until: at(600)))
        #expect(breaker.nextChange == at(600))
        guard case .granted(_, true) = breaker.acquire(now: at(600)) else {
            Issue.record("still refused")
            return
        }
        #expect(breaker.mode == .halfOpen)
    }

    @Test("forced open without an end stays, until closed")
    func forcedForGood() {
        var breaker = Breaker(policy: usual)
        breaker.forceOpen(until: nil, reason: "bad ledger", now: at(0))
        #expect(breaker.acquire(now: at(1_000_000_000)) == .refused(until: nil))
        #expect(!breaker.peek(now: .distantFuture))
        #expect(breaker.nextChange == nil)
        breaker.close(reason: "ledger repaired", now: at(10))
        #expect(breaker.peek(now: at(10)))
        #expect(breaker.reason == "ledger repaired")
    }

    @Test("an attempt under way when an operator acts changes nothing by its end")
    func operatorWins() {
        var breaker = Breaker(policy: BreakerPolicy(failures: 1))
        guard case .granted(let generation, false) = breaker.acquire(now: at(0)) else {
            Issue.record("a new breaker refused")
            return
        }
        breaker.close(reason: "", now: at(1))
        #expect(breaker.record(.failed, generation: generation, wasProbe: false, now: at(2)) == nil)
        #expect(breaker.mode == .closed)
    }

    @Test("disabled: lets everything through and never opens")
    func disabled() {
        var breaker = Breaker.opened()
        breaker.disable(reason: "known flaky", now: at(0))
        for second in 0..<50 { #expect(breaker.attempt(.failed, now: at(Int64(second))) == nil) }
        #expect(breaker.mode == .disabled)
        #expect(breaker.peek(now: at(60)))
        breaker.reset(now: at(61))
        #expect(breaker.mode == .closed && breaker.failures == 0 && breaker.reason == "" && breaker.since == nil)
    }

    @Test("a clock that was set back holds it open for open_for from now, not longer")
    func clockSteppedBack() {
        var breaker = Breaker.opened()
        let earlier = at(-86_400)
        #expect(breaker.acquire(now: earlier) == .refused(until: earlier + .seconds(120)))
        #expect(!breaker.peek(now: earlier + .seconds(119)))
        #expect(breaker.peek(now: earlier + .seconds(120)))
    }

    @Test("a clock set back does not hide it for good from those who only look")
    func clockSteppedBackPeek() {
        var breaker = Breaker.opened()
        #expect(breaker.peek(now: at(-86_400)), "acquire is to decide")
        breaker.settleOpening(now: at(-86_400))
        #expect(!breaker.peek(now: at(-86_400)))
    }

    @Test("a clock set back: failures of the future count as of now, and leave the window in its time")
    func windowSteppedBack() {
        var breaker = Breaker(policy: BreakerPolicy(failures: 3, window: .seconds(60)))
        breaker.attempt(.failed, now: at(1_000))
        breaker.attempt(.succeeded, now: at(0))
        #expect(breaker.failures == 1)
        breaker.attempt(.succeeded, now: at(61))
        #expect(breaker.failures == 0)
    }

    @Test("a clock set back: an attempt that begins leaves what is remembered as it is stored")
    func beginningSteppedBack() {
        var breaker = Breaker(policy: BreakerPolicy(failures: 3, window: .seconds(60)))
        breaker.attempt(.failed, now: at(1_000))
        let stored = breaker.encoded
        #expect(breaker.acquire(now: at(0)) == .granted(generation: breaker.generation, isProbe: false))
        #expect(breaker.encoded == stored)
    }

    @Test("another policy keeps mode, memory and generation; a shorter open_for holds from now")
    func adopt() {
        var counting = Breaker(policy: usual)
        counting.attempt(.failed, now: at(0))
        counting.adopt(policy: BreakerPolicy(failures: 2))
        #expect(counting.attempt(.failed, now: at(1)) != nil)

        var open = Breaker.opened()
        let generation = open.generation
        open.adopt(policy: BreakerPolicy(failures: 3, openFor: .seconds(30)))
        #expect(open.mode == .open(until: at(120)) && open.generation == generation)
        #expect(open.acquire(now: at(10)) == .refused(until: at(40)))
    }

    @Test("counts below 1 mean 1, negative times mean none")
    func strangePolicies() {
        var breaker = Breaker(policy: BreakerPolicy(failures: 0, window: .seconds(-5), openFor: .seconds(-5), successes: -1))
        #expect(breaker.attempt(.failed, now: at(0))?.to == .open(until: at(0)))
        #expect(breaker.attempt(.succeeded, now: at(0))?.to == .closed)
    }

    @Test("memory is bounded however large the policy")
    func bounded() {
        var breaker = Breaker(policy: BreakerPolicy(failures: .max, window: .seconds(1 << 40)))
        for second in 0..<9_999 { #expect(breaker.attempt(.failed, now: at(Int64(second))) == nil) }
        #expect(breaker.attempt(.failed, now: at(9_999)) != nil)
    }
}
