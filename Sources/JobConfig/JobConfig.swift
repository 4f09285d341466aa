import JobCore

/// One job of the config. A copy costs two pointers, whatever stands in it, since files, generations and views each keep one
/// of thousands of jobs; jobs that have the same limits have them together. Setting a part makes a new one: whoever sets
/// many does it in `Own` and `Limits`.
@dynamicMemberLookup
public struct JobConfig: Equatable, Sendable {
    /// What a job seldom has in common with another one.
    public struct Own: Equatable, Sendable {
        public var name: String
        public var plugin: String
        public var entry: String
        public var description: String = ""
        public var labels: [String] = []
        public var position: SourcePosition
        /// nil: the entry's default schedule (resolved when the plugin has been probed).
        public var schedule: ScheduleSpec?
        public var enabled = true
        /// Also once when the host starts.
        public var onStart = false
        /// Plugin settings overlaid with the job's own: what the entry gets.
        public var settings: ConfigTable
        /// Where each key that is set stands, for messages: "entry" → its value's place.
        public var places: [String: SourcePosition] = [:]
        public init(name: String, plugin: String, entry: String, position: SourcePosition, settings: ConfigTable = ConfigTable()) {
            self.name = name
            self.plugin = plugin
            self.entry = entry
            self.position = position
            self.settings = settings
        }

        /// Where `key` stands (in the job's own table or in `[defaults]`), or else where the
        /// job's table begins.
        public func place(of key: String) -> SourcePosition { places[key] ?? position }
    }

    /// What bounds its runs, and what becomes of them.
    public struct Limits: Hashable, Sendable {
        /// The soft limit of an attempt. nil: none.
        public var timeout: Duration? = .seconds(30)
        public var killGrace: Duration = .seconds(5)
        /// No progress for this long is a timeout; nil: not watched.
        public var heartbeat: Duration?
        /// Of what its runs log, less is not kept.
        public var logLevel = LogLevel.debug
        public var overlap: OverlapPolicy = .skip
        public var concurrency = 1
        /// nil: any number.
        public var rate: RateLimit?
        /// Labels of the hosts that serve it; empty: every host.
        public var runOn: [String] = []
        /// A pool of its own.
        public var isolate = false
        public var catchUp = CatchUp()
        /// How long after it was due an enqueued run may be started that says nothing of it; nil: whenever.
        public var expiresAfter: Duration?
        public var priority = 0
        public var jitter: Duration = .zero
        public var calendar: String?
        public var retry = RetryPolicy()
        /// nil: `breaker = false`.
        public var breaker: BreakerPolicy? = BreakerPolicy()
        public var retention = Retention()
        public var health = HealthPolicy()
        /// How many persons it takes to make it run, or to undo what holds it: 1 or 2.
        public var approval = 1
        public init() {}
    }

    @usableFromInline var own: Shared<Own>
    @usableFromInline var limits: Shared<Limits>

    init(_ own: Own, _ limits: Shared<Limits>) {
        self.own = Shared(own)
        self.limits = limits
    }

    public init(name: String, plugin: String, entry: String, position: SourcePosition, settings: ConfigTable = ConfigTable()) {
        self.init(Own(name: name, plugin: plugin, entry: entry, position: position, settings: settings), Shared(Limits()))
    }

    // Inlined, so that reading a part is a load and no walk along a key path.
    @inlinable public subscript<Part>(dynamicMember part: WritableKeyPath<Own, Part>) -> Part {
        get { own.value[keyPath: part] }
        set { own.set(part, newValue) }
    }
    @inlinable public subscript<Part>(dynamicMember part: WritableKeyPath<Limits, Part>) -> Part {
        get { limits.value[keyPath: part] }
        set { limits.set(part, newValue) }
    }

    /// As a whole, for those who tell jobs apart by nothing else.
    public var allLimits: Limits { limits.value }

    public func place(of key: String) -> SourcePosition { own.value.place(of: key) }
}

extension JobConfig: CustomReflectable {
    public var customMirror: Mirror {
        let parts = Array(Mirror(reflecting: own.value).children) + Array(Mirror(reflecting: limits.value).children)
        return Mirror(self, children: parts, displayStyle: .struct)
    }
}

extension JobConfig {
    /// Until when an enqueued run of it may be started of which nobody has said otherwise; nil: whenever. One that was due
    /// before it came has as long as any other.
    public func expiry(due: Instant, now: Instant) -> Instant? { self.expiresAfter.map { max(due, now) + $0 } }

    /// The host serves it: by its `only`, and by the job's `run_on`.
    public func isServed(by host: HostSettings) -> Bool {
        (host.only.isEmpty || host.only.contains(self.name) || self.labels.contains(where: host.only.contains))
            && (self.runOn.isEmpty || self.runOn.contains(where: host.labels.contains))
    }
}
