import JobCore

// What hosts that share one store say to each other through it.

/// A host as the others see it.
public struct HostRow: Hashable, Codable, Sendable {
    public var name: String
    /// Since when this life of it serves the store, by the store's clock.
    public var since: Instant
    /// When it last renewed its lease, by the store's clock.
    public var seen: Instant
    /// Its lease holds.
    public var isAlive: Bool
    public var version: String
    public var labels: [String]
    /// Attempts that it has under way.
    public var running: Int64
    /// An operator has taken it out: it starts nothing new.
    public var isDrained: Bool
    public var drainReason: String
    /// Its clock against the store's; positive: ahead.
    public var skew: Duration
    public init(
        name: String, since: Instant, seen: Instant, isAlive: Bool, version: String, labels: [String] = [], running: Int64 = 0,
        isDrained: Bool = false, drainReason: String = "", skew: Duration = .zero
    ) {
        self.name = name
        self.since = since
        self.seen = seen
        self.isAlive = isAlive
        self.version = version
        self.labels = labels
        self.running = running
        self.isDrained = isDrained
        self.drainReason = drainReason
        self.skew = skew
    }
}

/// What a host says of itself when it begins to serve a store.
public struct HostIntroduction: Hashable, Sendable {
    /// Machine and state folder: an earlier life there is known to have ended.
    public var place: String
    public var version: String
    public var labels: [String]
    public init(place: String, version: String = "", labels: [String] = []) {
        self.place = place
        self.version = version
        self.labels = labels
    }
}

/// The answer to a renewed lease.
public struct Standing: Hashable, Sendable {
    /// This machine's clock against the store's; positive: ahead.
    public var skew: Duration
    /// A host whose clock differs by more claims nothing: its fire times would be other instants than
    /// everybody else's.
    public static let skewLimit = Duration.seconds(5)
    /// The store has a format that this program does not know, a sentence; nil: it knows it. What the host has
    /// under way is recorded, and it claims nothing.
    public var formatProblem: String?

    public init(skew: Duration = .zero, formatProblem: String? = nil) {
        self.skew = skew
        self.formatProblem = formatProblem
    }

    /// What is wrong with the clock, a sentence; nil: nothing.
    public var skewProblem: String? {
        guard max(skew, .zero - skew) > Self.skewLimit else { return nil }
        let seconds = abs(skew.microseconds) / 1_000_000
        return
            "this machine's clock is \(seconds) s \(skew > .zero ? "ahead of" : "behind") the database's: nothing starts here beyond \(Self.skewLimit.microseconds / 1_000_000) s; is its time synchronised?"
    }
}

/// What operators and other hosts have decided, as it stands now.
public struct SharedState: Sendable {
    public var isDrained = false
    public var drainReason = ""
    /// Of all hosts together.
    public var hostControl = ControlRow()
    public var controls: [String: ControlRow] = [:]
    /// This host's own among them: what it wrote may have been joined with what others did.
    public var breakers: [String: BreakerRow] = [:]
    /// Attempts of this host that somebody wants cancelled, with the reason.
    public var cancels: [(run: RunID, reason: String)] = []
    public init() {}
}

/// An attempt that is claimed and has not ended.
public struct HeldClaim: Hashable, Sendable {
    public var run: RunID
    public var job: String
    public var fence: Int64
    public var taken: Taken
    public init(run: RunID, job: String, fence: Int64, taken: Taken = .unknown) {
        self.run = run
        self.job = job
        self.fence = fence
        self.taken = taken
    }

    /// Whether it counts towards its job's rate.
    public enum Taken: Hashable, Sendable {
        case never
        /// By the store's clock, as it is noted there.
        case at(Instant)
        /// It was found in the store: whoever made it was not told of it, or lives no more.
        case unknown
    }
}

/// What a host serves of a job.
public struct DefinitionRow: Hashable, Sendable {
    public var host: String
    public var job: String
    /// Of what the config says of it.
    public var digest: String
    /// SHA-256 of its library.
    public var library: String
    public init(host: String, job: String, digest: String, library: String) {
        self.host = host
        self.job = job
        self.digest = digest
        self.library = library
    }
}

/// How many waiting runs of a job to claim.
public struct WaitingLimit: Hashable, Sendable {
    public var most: Int
    /// While other hosts have attempts of the job under way: how many those and the new ones may be
    /// together. (A host that is alone with the job keeps its concurrency itself, and may claim ahead.)
    /// nil: any number.
    public var room: Int?
    /// The newest attempt whose state this host has; nil: the job keeps none.
    public var stateFence: Int64?
    /// Of the config that they run by; one for all jobs of a question.
    public var generation: Int64
    /// As in `FireClaim`.
    public var isIdempotent: Bool?
    /// How many attempts of the job may be claimed in a span of time, by whomever; nil: any number.
    public var rate: RateLimit?
    /// Fires of the job that are believed to wait.
    public var fires: Set<RunID> = []
    public init(most: Int, room: Int? = nil, stateFence: Int64? = nil, generation: Int64 = 0, rate: RateLimit? = nil) {
        self.most = most
        self.room = room
        self.stateFence = stateFence
        self.generation = generation
        self.rate = rate
    }
}

/// Waiting runs that were claimed, best first.
public struct WaitingClaims: Sendable {
    public var runs: [ClaimedRun]
    /// Jobs of which the rate allows no more for now, and when it does again, by the asker's clock.
    public var rated: [String: Instant]
    /// Of those jobs: what was believed to wait, and does not. (Of any other job all that waits is claimed.)
    public var gone: Set<RunID>
    /// What was taken from the inbox and not claimed.
    public var inbox = InboxResult()
    public init(_ runs: [ClaimedRun] = [], rated: [String: Instant] = [:], gone: Set<RunID> = []) {
        self.runs = runs
        self.rated = rated
        self.gone = gone
    }
}

/// A run under way, and how far it is, as its entry says.
public struct RunProgress: Hashable, Sendable {
    public var run: RunID
    /// Of the attempt.
    public var fence: Int64
    public var startedAt: Instant
    public var pid: Int32
    public var done: UInt64
    /// 0: not known.
    public var total: UInt64
    public var text: String
    public init(run: RunID, fence: Int64, startedAt: Instant, pid: Int32, done: UInt64 = 0, total: UInt64 = 0, text: String = "") {
        self.run = run
        self.fence = fence
        self.startedAt = startedAt
        self.pid = pid
        self.done = done
        self.total = total
        self.text = text
    }
}

/// A job's state as another host's attempt left it.
public struct KeptState: Hashable, Sendable {
    public var version: UInt32
    public var bytes: [UInt8]
    /// Of that attempt.
    public var fence: Int64
    public init(version: UInt32, bytes: [UInt8], fence: Int64) {
        self.version = version
        self.bytes = bytes
        self.fence = fence
    }
}

extension Store {
    /// A store with one host: a file, whose lock is that host's.
    public var isShared: Bool { false }
    public func enter(owner: Owner, as host: HostIntroduction, for length: Duration, now: Instant) async throws -> Bool { true }
    public func leave(owner: Owner) async throws {}
    public func abandonedRuns(seenBy owner: Owner) async throws -> [RunRecord] { [] }
    public func sharedState(owner: Owner) async throws -> SharedState { SharedState() }
    public func hosts() async throws -> [HostRow] { [] }
    public func setDrained(host: String, _ isDrained: Bool, by actor: Actor, now: Instant) async throws -> Bool { false }
    public func cancelElsewhere(_ run: RunID, reason: String, by actor: Actor, now: Instant) async throws -> Bool { false }
    public func saveProgress(_ rows: [RunProgress], owner: Owner) async throws {}
    public func progress(of run: RunID) async throws -> RunProgress? { nil }
    public func saveDefinitions(_ definitions: [DefinitionRow], labels: [String], host: String) async throws {}
    public func definitions() async throws -> [DefinitionRow] { [] }
    /// What waits is found by asking.
    public func listen(_ heard: @escaping @Sendable (_ inbox: [String]?) -> Void) {}

    public func stateBlobs(of jobs: [String]) async throws -> [String: (version: UInt32, bytes: [UInt8])] {
        var found: [String: (version: UInt32, bytes: [UInt8])] = [:]
        for job in jobs { found[job] = try await stateBlob(job: job) }
        return found
    }

    /// One by one: asking a file costs no way.
    public func newestRuns(of jobs: [String], each limit: Int) async throws -> [String: [RunRecord]] {
        var found: [String: [RunRecord]] = [:]
        for job in jobs {
            var filter = RunFilter(job: job)
            filter.limit = limit
            found[job] = try await runs(filter).map { run in
                var run = run
                run.payload = ""
                return run
            }
        }
        return found
    }

    /// Without a look at the inbox.
    public func claimWaiting(_ limits: [String: WaitingLimit], owner: Owner, now: Instant) async throws -> WaitingClaims {
        try await claimWaiting(limits, taking: nil, owner: owner, now: now)
    }

    /// Without a look at other hosts.
    public func claimWaiting(limits: [String: Int], owner: Owner, now: Instant) async throws -> [ClaimedRun] {
        try await claimWaiting(limits.mapValues { WaitingLimit(most: $0) }, owner: owner, now: now).runs
    }
}
