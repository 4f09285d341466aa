import JobCore
import JobStore

/// What becomes of a run whose host died, or lost its lease, while it had it. Pure.
enum Rescue {
    /// Whether its claim is given back, since certainly nothing of it was executed. Without such a proof it counts as
    /// lost, which no entry is executed twice by.
    ///
    /// - Parameters:
    ///   - isUnseen: its host's last sign of life was before its instant: it was claimed ahead, and never started.
    ///   - isUnbegun: each worker of that life would have left word of having begun it, and none has.
    static func givesBack(_ run: RunRecord, isUnseen: Bool, isUnbegun: Bool, now: Instant) -> Bool {
        // What was made later than now was made by a clock that has been set back: its instant proves nothing.
        isUnbegun || isUnseen && run.startedAt == nil && run.createdAt <= now
    }

    /// An attempt whose end nobody will tell.
    ///
    /// - Parameters:
    ///   - reason: why, a clause.
    ///   - isIdempotent: of the job's entry, as it is now; nil: it does not serve now.
    static func lost(_ run: RunRecord, _ reason: String, isIdempotent: Bool?, policy: RetryPolicy, now: Instant) -> Completion {
        // As it was when the attempt was claimed, and as it is now: whatever executes it again must be so too.
        let known = [run.isIdempotent, isIdempotent].compactMap(\.self)
        let next = RunLifecycle.afterAttempt(
            outcome: .lost, attempt: run.attempt, maxAttempts: run.maxAttempts, idempotent: !known.isEmpty && known.allSatisfy(\.self),
            policy: policy, expiresAt: run.expiresAt, seed: UInt64(bitPattern: run.id.value), now: now)
        var completion = Completion(run: run.id, fence: run.fence, outcome: .lost, state: next.state, finishedAt: now)
        completion.availableAt = next.availableAt
        completion.startedAt = run.startedAt
        let why = known.isEmpty ? "whether it may be tried again is not known, for its job does not serve now" : next.reason
        completion.reason = reason + (why.isEmpty ? "" : "; \(why)")
        return completion
    }
}
