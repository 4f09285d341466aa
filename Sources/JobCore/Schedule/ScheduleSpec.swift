/// The rule that yields a job's fire times.
public enum ScheduleSpec: Hashable, Sendable {
    /// Cron in a zone of the system's tz database ("UTC" by default).
    /// (`indirect`: it is by far the largest, and most jobs have another one.)
    indirect case cron(CronExpression, timeZone: String)
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
