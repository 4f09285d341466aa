import JobCore
import Testing

@Suite("What becomes of a run after an attempt")
struct RunLifecycleTests {
    static let now = Instant(seconds: 1_700_000_000)
    /// What a running run may become when its attempt ends.
    static let ends: Set<RunState> = [.succeeded, .cancelled, .discarded, .retryable, .scheduled]
    static let policy = RetryPolicy(maxAttempts: 3, initial: .seconds(4), max: .seconds(60), multiplier: 2, jitter: 0)

    private func after(
        _ outcome: Outcome, attempt: Int = 1, of maxAttempts: Int = 3, idempotent: Bool = true,
        snoozeUntil: Instant? = nil, notBefore: Instant? = nil, expires: Instant? = nil
    ) -> RunLifecycle.Next {
        RunLifecycle.afterAttempt(
            outcome: outcome, attempt: attempt, maxAttempts: maxAttempts, idempotent: idempotent, policy: Self.policy,
            snoozeUntil: snoozeUntil, retryNotBefore: notBefore, expiresAt: expires, seed: 1, now: Self.now
        )
    }

    struct Row: Sendable, CustomTestStringConvertible {
        var outcome: Outcome
        var idempotent: Bool
        var attempt: Int
        var state: RunState
        var seconds: Int64?
        init(_ outcome: Outcome, idempotent: Bool, attempt: Int, _ state: RunState, _ seconds: Int64? = nil) {
            (self.outcome, self.idempotent, self.attempt, self.state, self.seconds) = (outcome, idempotent, attempt, state, seconds)
        }
        var testDescription: String { "\(outcome) attempt \(attempt) of 3, idempotent \(idempotent) → \(state)" }
    }

    @Test("every outcome, first and last attempt, idempotent and not", arguments: [
        Row(.succeeded, idempotent: true, attempt: 1, .succeeded), Row(.succeeded, idempotent: false, attempt: 3, .succeeded),
        Row(.nothingToDo, idempotent: true, attempt: 1, .succeeded), Row(.nothingToDo, idempotent: false, attempt: 3, .succeeded),
        Row(.failed, idempotent: true, attempt: 1, .discarded), Row(.failed, idempotent: false, attempt: 1, .discarded),
        Row(.cancelled, idempotent: true, attempt: 1, .cancelled), Row(.cancelled, idempotent: false, attempt: 3, .cancelled),
        Row(.retry, idempotent: true, attempt: 1, .retryable, 4), Row(.retry, idempotent: false, attempt: 1, .retryable, 4),
        Row(.retry, idempotent: false, attempt: 2, .retryable, 8), Row(.retry, idempotent: true, attempt: 3, .discarded),
        Row(.crashed, idempotent: true, attempt: 1, .retryable, 4), Row(.crashed, idempotent: false, attempt: 1, .discarded),
        Row(.crashed, idempotent: true, attempt: 3, .discarded),
        Row(.timedOut, idempotent: true, attempt: 2, .retryable, 8), Row(.timedOut, idempotent: false, attempt: 1, .discarded),
        Row(.timedOut, idempotent: true, attempt: 4, .discarded),
        Row(.lost, idempotent: true, attempt: 1, .retryable, 4), Row(.lost, idempotent: false, attempt: 1, .discarded),
        Row(.lost, idempotent: true, attempt: 3, .discarded),
    ])
    func table(row: Row) {
        let next = after(row.outcome, attempt: row.attempt, idempotent: row.idempotent)
        #expect(next.state == row.state)
        #expect(next.availableAt == row.seconds.map { Self.now + .seconds($0) })
        #expect(next.countsAttempt)
        #expect(Self.ends.contains(next.state))
        #expect((next.reason == "") == (next.state != .discarded), "a discarded run says why")
    }

    @Test("a discarded run names the reason")
    func reasons() {
        #expect(after(.failed).reason == "failed for good")
        #expect(after(.retry, attempt: 3).reason == "all 3 attempts are used")
        #expect(after(.retry, attempt: 1, of: 1).reason == "the only attempt is used")
        #expect(after(.crashed, idempotent: false).reason == "not tried again: the entry is not idempotent")
    }

    @Test("a snooze comes back when it said, and costs no attempt, even the last one")
    func snooze() {
        let until = Self.now + .seconds(3_600)
        #expect(after(.snoozed, attempt: 3, idempotent: false, snoozeUntil: until)
            == RunLifecycle.Next(state: .scheduled, availableAt: until, isInstantNamed: true, countsAttempt: false))
    }

    @Test("a snooze into the past, or without a time, cannot spin", arguments: [nil, now, Instant.distantPast])
    func snoozeIntoThePast(until: Instant?) {
        #expect(after(.snoozed, snoozeUntil: until).availableAt == Self.now + .seconds(4))
        #expect(!after(.snoozed, snoozeUntil: until).isInstantNamed)
    }

    @Test("not-before postpones a retry and never hastens it")
    func notBefore() {
        #expect(after(.retry, notBefore: Self.now + .seconds(30)).availableAt == Self.now + .seconds(30))
        #expect(after(.retry, notBefore: Self.now + .seconds(1)).availableAt == Self.now + .seconds(4))
        #expect(after(.retry, notBefore: .distantPast).availableAt == Self.now + .seconds(4))
        #expect(after(.retry, notBefore: Self.now + .seconds(30)).isInstantNamed && !after(.retry, notBefore: Self.now + .seconds(1)).isInstantNamed)
    }

    @Test("what would be tried again at its expiry or later is not, however the next attempt comes to be so late")
    func expiry() {
        let due = Self.now + .seconds(4)
        #expect(after(.retry, expires: due + .microseconds(1)) == RunLifecycle.Next(state: .retryable, availableAt: due))
        for next in [after(.retry, expires: due), after(.lost, expires: .distantPast), after(.retry, notBefore: due + .seconds(9), expires: due + .seconds(5))] {
            #expect(next == RunLifecycle.Next(state: .discarded, reason: "not tried again: it expires before that"))
        }
        // What says more stands.
        #expect(after(.failed, expires: .distantPast).reason == "failed for good")
        #expect(after(.retry, attempt: 3, expires: .distantPast).reason == "all 3 attempts are used")
        #expect(after(.crashed, idempotent: false, expires: .distantPast).reason == "not tried again: the entry is not idempotent")
        #expect(after(.succeeded, expires: .distantPast).state == .succeeded)
        // A snooze waits, and expires where it waits.
        #expect(after(.snoozed, snoozeUntil: due, expires: Self.now).state == .scheduled)
    }

    @Test("what waits when its time is over was skipped if it was never tried, else it has failed for good")
    func afterExpiry() {
        #expect(RunLifecycle.afterExpiry(attempts: 0, reason: "") == RunLifecycle.Next(state: .skipped, reason: "expired"))
        #expect(RunLifecycle.afterExpiry(attempts: 0, reason: "snoozed") == RunLifecycle.Next(state: .skipped, reason: "expired"))
        #expect(RunLifecycle.afterExpiry(attempts: 1, reason: "") == RunLifecycle.Next(state: .discarded, reason: "not tried again: it has expired"))
        #expect(RunLifecycle.afterExpiry(attempts: 2, reason: "away").reason == "away; not tried again: it has expired")
    }

    @Test("near the end of time an instant saturates")
    func endOfTime() {
        let next = RunLifecycle.afterAttempt(
            outcome: .retry, attempt: 1, maxAttempts: 2, idempotent: true, policy: Self.policy, seed: 1, now: .distantFuture)
        #expect(next.availableAt == .distantFuture)
    }

    @Test("any inputs whatever lead to a state that a running run may become")
    func property() {
        var random = SeededGenerator(seed: 99)
        for _ in 0..<5_000 {
            let outcome = Outcome.allCases.randomElement(using: &random)!
            let next = RunLifecycle.afterAttempt(
                outcome: outcome, attempt: Int.random(in: .min ... .max, using: &random),
                maxAttempts: Int.random(in: -1...5, using: &random), idempotent: Bool.random(using: &random),
                policy: RetryPolicy(initial: .microseconds(Int64.random(in: .min ... .max, using: &random)), jitter: 7),
                snoozeUntil: Instant(microseconds: Int64.random(in: .min ... .max, using: &random)),
                retryNotBefore: Bool.random(using: &random) ? .distantFuture : nil, seed: random.next(), now: Self.now)
            #expect(Self.ends.contains(next.state))
            #expect((next.availableAt == nil) == next.state.isTerminal)
            #expect(next.availableAt.map { $0 >= Self.now } ?? true)
        }
    }
}
