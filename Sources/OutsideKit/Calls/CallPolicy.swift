import JobCore
import JobKit

/// How calls to one peer are made.
public struct CallPolicy: Hashable, Sendable {
    /// Attempts of one call, and the waits between them.
    public var retry: RetryPolicy
    /// Counts calls, not attempts: one that succeeds at the second attempt is a success.
    public var breaker: BreakerPolicy
    public var rate: RateLimit
    /// The longest one attempt may take.
    public var timeLimit: Duration
    /// Calls at the same time; threads of `Peer.map`.
    public var inFlight: Int

    public init(
        retry: RetryPolicy = RetryPolicy(),
        breaker: BreakerPolicy = BreakerPolicy(failures: 5, window: .seconds(60), openFor: .seconds(120), successes: 2),
        rate: RateLimit = .none, timeLimit: Duration = .seconds(10), inFlight: Int = 10
    ) {
        self.retry = retry
        self.breaker = breaker
        self.rate = rate
        self.timeLimit = timeLimit
        self.inFlight = inFlight
    }
}

/// A `CallPolicy` in a plugin's settings: `calls = { retry = { max_attempts = 2 }, in_flight = 4 }`.
/// Words and meanings are those of the host's own config.
public struct CallSettings: Codable, Hashable, Sendable {
    public struct Retry: Codable, Hashable, Sendable {
        public var maxAttempts = 4
        public var initial = Span.milliseconds(300)
        public var max = Span.seconds(2)
        public var multiplier = 2.0
        public var jitter = 0.1
    }
    public struct Breaker: Codable, Hashable, Sendable {
        public var failures = 5
        /// Zero: consecutive failures.
        public var window = Span.seconds(60)
        public var openFor = Span.seconds(120)
        public var successes = 2
    }
    public struct Rate: Codable, Hashable, Sendable {
        /// 0: no limit.
        public var calls = 0
        public var per = Span.minutes(1)
        /// 0: as many as `calls`.
        public var burst = 0
    }

    public var retry = Retry()
    public var breaker = Breaker()
    public var rate = Rate()
    public var timeLimit = Span.seconds(10)
    public var inFlight = 10

    public init() {}

    /// What every plugin says of these settings.
    /// - Parameter key: under which they stand.
    public static func fields(_ key: String = "calls") -> [SettingsField] {
        [
            SettingsField("\(key).retry.max_attempts", "Attempts of one call, the first included.", range: 1 ... 100),
            SettingsField("\(key).retry.initial", "Wait before the second attempt."),
            SettingsField("\(key).retry.max", "Longest wait between two attempts."),
            SettingsField("\(key).retry.multiplier", "Each wait is this many times the one before.", range: 1.0 ... 100.0),
            SettingsField("\(key).retry.jitter", "Waits are spread over ± this part of themselves.", range: 0.0 ... 1.0),
            SettingsField("\(key).breaker.failures", "Failed calls that open the breaker.", range: 1 ... 10_000),
            SettingsField("\(key).breaker.window", "… within this time; 0s: in a row."),
            SettingsField("\(key).breaker.open_for", "How long nothing is called then."),
            SettingsField("\(key).breaker.successes", "Successful probes that close it.", range: 1 ... 10_000),
            SettingsField("\(key).rate.calls", "Calls in each `per`, on average; 0: no limit.", range: 0 ... 1_000_000),
            SettingsField("\(key).rate.per", "The time in which `calls` are allowed."),
            SettingsField("\(key).rate.burst", "Calls at once after a pause; 0: as many as `calls`.", range: 0 ... 1_000_000),
            SettingsField("\(key).time_limit", "The longest one attempt may take."),
            SettingsField("\(key).in_flight", "Calls at the same time.", range: 1 ... 200),
        ]
    }

    public var policy: CallPolicy {
        CallPolicy(
            retry: RetryPolicy(
                maxAttempts: retry.maxAttempts, initial: retry.initial.duration, max: retry.max.duration,
                multiplier: retry.multiplier, jitter: retry.jitter),
            breaker: BreakerPolicy(
                failures: breaker.failures, window: breaker.window == .zero ? nil : breaker.window.duration,
                openFor: breaker.openFor.duration, successes: breaker.successes),
            rate: rate.calls == 0
                ? .none : RateLimit(calls: rate.calls, per: rate.per.duration, burst: rate.burst == 0 ? rate.calls : rate.burst),
            timeLimit: timeLimit.duration, inFlight: inFlight)
    }

    /// What types and ranges cannot say.
    public func validate(_ key: String = "calls") throws {
        if timeLimit == .zero { throw JobFailure.badSettings("\(key).time_limit: 0s leaves no time for an answer") }
        if rate.calls > 0, rate.per == .zero { throw JobFailure.badSettings("\(key).rate.per: has to be longer than 0s") }
    }
}
