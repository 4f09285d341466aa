/// The rule that yields a job's fire times.
public enum ScheduleSpec: Hashable, Sendable {
    /// Cron in a zone of the system's tz database ("UTC" by default).
    case cron(CronExpression, timeZone: String)
    /// Fixed rate: epoch + n·interval + phase.
    case every(Duration, phase: Duration)
    /// Fixed delay: `interval` after the previous run has finished.
    case afterFinish(Duration)
    /// Between `min` and `max`: halves after a run with items, doubles after nothing_to_do.
    case adaptive(min: Duration, max: Duration)
    case once(Instant)
    /// When a run of another job has succeeded.
    case after(job: String)
    /// Only by hand or by enqueueing.
    case none

    /// Canonical text, stored with the cursor: a changed text is a changed schedule.
    public var text: String {
        switch self {
        case .cron(let expression, let zone): "cron \(expression.text) \(zone)"
        case .every(let interval, let phase):
            "every \(interval.microseconds)us" + (phase == .zero ? "" : " phase \(phase.microseconds)us")
        case .afterFinish(let interval): "every \(interval.microseconds)us after finish"
        case .adaptive(let min, let max): "adaptive \(min.microseconds)us \(max.microseconds)us"
        case .once(let instant): "at \(instant.microseconds)us"
        case .after(let job): "after \(job)"
        case .none: "none"
        }
    }
}

/// Exponential backoff. The delay before attempt n+1 is
/// `initial · multiplier^(n−1)`, at most `max`, then spread by ± `jitter` of itself.
public struct RetryPolicy: Hashable, Sendable {
    /// Attempts in all, the first included. 1: no retry.
    public var maxAttempts: Int = 4
    public var initial: Duration = .milliseconds(300)
    public var max: Duration = .seconds(2)
    public var multiplier: Double = 2
    /// 0 … 1.
    public var jitter: Double = 0.1
    public init(
        maxAttempts: Int = 4, initial: Duration = .milliseconds(300), max: Duration = .seconds(2),
        multiplier: Double = 2, jitter: Double = 0.1
    ) {
        self.maxAttempts = maxAttempts
        self.initial = initial
        self.max = max
        self.multiplier = multiplier
        self.jitter = jitter
    }
}

/// When a job's breaker opens, and how it closes again.
public struct BreakerPolicy: Hashable, Sendable {
    /// Consecutive failures, or failures inside `window`, that open it.
    public var failures: Int = 5
    /// nil: consecutive.
    public var window: Duration?
    public var openFor: Duration = .seconds(120)
    /// Successful probes that close it.
    public var successes: Int = 2
    public init(failures: Int = 5, window: Duration? = nil, openFor: Duration = .seconds(120), successes: Int = 2) {
        self.failures = failures
        self.window = window
        self.openFor = openFor
        self.successes = successes
    }
}

/// What happens to fires found overdue, after downtime for one.
public struct CatchUp: Hashable, Sendable {
    public var policy: CatchUpPolicy = .latest
    /// Fires later than this are recorded as missed, whatever the policy.
    public var window: Duration = .seconds(86_400)
    /// Upper bound of what `all` runs. Default 100.
    public var limit = 100
    public init(policy: CatchUpPolicy = .latest, window: Duration = .seconds(86_400), limit: Int = 100) {
        self.policy = policy
        self.window = window
        self.limit = limit
    }
}
