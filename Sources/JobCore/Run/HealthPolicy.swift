/// How well a job does, as its rules judge it.
public enum HealthGrade: String, Codable, CaseIterable, Sendable, Comparable {
    case healthy, warning, critical

    public var rank: Int {
        switch self {
        case .healthy: 0
        case .warning: 1
        case .critical: 2
        }
    }
    public static func < (a: HealthGrade, b: HealthGrade) -> Bool { a.rank < b.rank }
}

/// What a job may not reach without a grade. nil: not looked at.
public struct HealthBounds: Hashable, Sendable {
    public enum BreakerState: String, CaseIterable, Sendable {
        /// Anything but closed.
        case halfOpen = "half_open"
        case open
    }
    /// Since the last success.
    public var successAge: Duration?
    /// Since the first failure after the last success.
    public var failingFor: Duration?
    /// Of the last attempt, or of one under way.
    public var duration: Duration?
    /// Failed attempts within the last hour.
    public var errorsPerHour: Int?
    public var breaker: BreakerState?
    /// By name of a metric that the plugin reports for the job: above it.
    public var metrics: [String: Double] = [:]
    public init(
        successAge: Duration? = nil, failingFor: Duration? = nil, duration: Duration? = nil, errorsPerHour: Int? = nil,
        breaker: BreakerState? = nil, metrics: [String: Double] = [:]
    ) {
        self.successAge = successAge
        self.failingFor = failingFor
        self.duration = duration
        self.errorsPerHour = errorsPerHour
        self.breaker = breaker
        self.metrics = metrics
    }
}

/// `health` of a job: from which bounds on it is a warning, and from which on critical.
public struct HealthPolicy: Hashable, Sendable {
    public var warning = HealthBounds(failingFor: .seconds(60), errorsPerHour: 5, breaker: .halfOpen)
    public var critical = HealthBounds(failingFor: .seconds(3_600), errorsPerHour: 20, breaker: .open)
    public init() {}
}
