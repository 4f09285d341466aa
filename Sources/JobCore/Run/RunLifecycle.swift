/// What becomes of a run when an attempt has ended, and which changes of state exist at all.
///
///     (enqueued, delayed)      (enqueued, queued fire)      (due fire, claimed)
///             │                          │                          │
///             ▼        its time          ▼          claim           ▼
///         scheduled ────────────────► available ──────────────► running
///             ▲                          ▲  ▲                    │ │ │
///             │                its time  │  └──── returned ──────┘ │ │
///             │                      retryable ◄──── backoff ──────┘ │
///             └─────────────────────── snoozed ──────────────────────┤
///                                                                    ▼
///          succeeded · cancelled · discarded · skipped (refused before its attempt)
///
/// Waiting states (scheduled, available, retryable) can be cancelled by an operator, and a due
/// scheduled or retryable run may be claimed in one step. An enqueued run may expire: when its time
/// is over, what waits ends (`afterExpiry`), and what runs goes on. A discarded run that an operator
/// takes off the dead letters becomes cancelled. `skipped` and `missed` entries that never
/// were runs live in range rows.
public enum RunLifecycle {
    /// The decision after one attempt.
    public struct Next: Hashable, Sendable {
        public var state: RunState
        /// When the run is due again; nil in terminal states.
        public var availableAt: Instant?
        /// The plugin, or a peer of its, named that instant; else it is a delay from now on.
        public var isInstantNamed: Bool
        /// false: the attempt's number is used again.
        public var countsAttempt: Bool
        /// Why there is, or is not, another attempt: one clause for the ledger. "" when the
        /// outcome says it all.
        public var reason: String
        public init(
            state: RunState, availableAt: Instant? = nil, isInstantNamed: Bool = false, countsAttempt: Bool = true, reason: String = ""
        ) {
            self.state = state
            self.availableAt = availableAt
            self.isInstantNamed = isInstantNamed
            self.countsAttempt = countsAttempt
            self.reason = reason
        }
    }

    /// Decides by the failure rules (DESIGN §8):
    /// - `retry` is tried again by `policy`, whatever the entry;
    /// - `crashed`, `timedOut`, `lost` only if the entry is idempotent: nobody knows how far
    ///   the attempt came, and any other entry is executed at most once;
    /// - `failed` is for good;
    /// - `snoozed` comes back at `snoozeUntil` and costs no attempt;
    /// - what would be tried again after `expiresAt` is not.
    ///
    /// - Parameters:
    ///   - attempt: the number of the attempt that ended, from 1.
    ///   - maxAttempts: of this run (kept with the run, so an edited policy does not cut it short).
    ///   - snoozeUntil: for `snoozed`. One that is missing or not later than `now` becomes
    ///     `now` + the policy's `initial`, at least 1 s: an attempt that costs nothing must not spin.
    ///   - expiresAt: from when on the run is not to be started; nil: it may whenever.
    ///   - retryNotBefore: a peer's "not before"; only ever postpones.
    ///   - seed: of the jitter; the run's id does.
    public static func afterAttempt(
        outcome: Outcome, attempt: Int, maxAttempts: Int, idempotent: Bool, policy: RetryPolicy,
        snoozeUntil: Instant? = nil, retryNotBefore: Instant? = nil, expiresAt: Instant? = nil, seed: UInt64, now: Instant
    ) -> Next {
        switch outcome {
        case .succeeded, .nothingToDo:
            return Next(state: .succeeded)
        case .cancelled:
            return Next(state: .cancelled)
        case .failed:
            return Next(state: .discarded, reason: "failed for good")
        case .snoozed:
            let shortest = now + max(policy.initial, .seconds(1))
            let named = snoozeUntil.flatMap { $0 > now ? $0 : nil }
            return Next(state: .scheduled, availableAt: named ?? shortest, isInstantNamed: named != nil, countsAttempt: false)
        case .crashed, .timedOut, .lost:
            guard idempotent else {
                return Next(state: .discarded, reason: "not tried again: the entry is not idempotent")
            }
        case .retry:
            break
        }
        guard attempt < maxAttempts else {
            let used = maxAttempts <= 1 ? "the only attempt is used" : "all \(maxAttempts) attempts are used"
            return Next(state: .discarded, reason: used)
        }
        let byPolicy = now + policy.delay(afterAttempt: attempt, seed: seed)
        let due = max(byPolicy, retryNotBefore ?? byPolicy)
        if let expiresAt, expiresAt <= due { return Next(state: .discarded, reason: "not tried again: it expires before that") }
        return Next(state: .retryable, availableAt: due, isInstantNamed: due > byPolicy)
    }

    /// Why a run that waited to be tried again was not: a clause for the ledger.
    public static let expired = "not tried again: it has expired"

    /// Of a waiting run whose time is over. One that was never attempted was skipped, as a fire is; one that was has
    /// failed for good, so that somebody hears of it.
    ///
    /// - Parameters:
    ///   - attempts: that were counted.
    ///   - reason: of the last of them; "" none.
    public static func afterExpiry(attempts: Int, reason: String) -> Next {
        guard attempts > 0 else { return Next(state: NoRunReason.expired.state, reason: NoRunReason.expired.rawValue) }
        return Next(state: .discarded, reason: reason.isEmpty ? expired : "\(reason); \(expired)")
    }
}
