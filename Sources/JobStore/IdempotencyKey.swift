import JobCore

/// The idempotency key belongs to the cause of a run, so that everything that executes for one
/// cause carries one key: all attempts, a retry by an operator, a backfill of the same fire.
public enum IdempotencyKey {
    /// A fire time of a job: "candles-1m@1764547200000000" (microseconds since the epoch).
    public static func fire(job: String, at fireTime: Instant) -> String { "\(job)@\(fireTime.microseconds)" }

    /// An enqueued run without a unique key: "run-17".
    public static func run(_ id: RunID) -> String { "run-\(id.value)" }

    /// The key of `request` when it becomes the run `id`.
    static func of(_ request: NewRun, id: RunID) -> String {
        if let key = request.idempotencyKey { return key }
        switch request.trigger {
        case .schedule, .catchUp, .backfill: return fire(job: request.job, at: request.fireTime)
        case .manual, .enqueued, .retryOf, .start, .after: return request.uniqueKey ?? run(id)
        }
    }
}
