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
