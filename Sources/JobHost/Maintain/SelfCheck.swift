import JobCore

/// The host watches itself: a job whose next fire lies in the past with nobody owning it is
/// the fault that other schedulers have hidden for months. Pure; run it every few seconds.
public struct SelfCheck: Sendable {
    /// A job as its dispatcher sees it.
    public struct Job: Hashable, Sendable {
        public var name: String
        /// The next fire that nothing has accounted for; nil: none is planned.
        public var nextFire: Instant?
        /// Somebody sees to it: a claim, a run, a transaction under way.
        public var isOwned: Bool
        /// Why nobody has to at present (store away, clock hold, drain); nil: no reason.
        public var excuse: String?
        public init(name: String, nextFire: Instant?, isOwned: Bool = false, excuse: String? = nil) {
            self.name = name
            self.nextFire = nextFire
            self.isOwned = isOwned
            self.excuse = excuse
        }
    }

    public struct Fault: Hashable, Sendable {
        public var job: String
        public var fire: Instant
        /// A sentence for health, log and alert.
        public var sentence: String
        public init(job: String, fire: Instant, sentence: String) {
            self.job = job
            self.fire = fire
            self.sentence = sentence
        }
    }

    public struct Result: Hashable, Sendable {
        /// All present faults, by job name.
        public var faults: [Fault] = []
        /// Those that nobody sees to: to be looked at again now.
        public var repaired: [Fault] = []
        /// Those that are new since the last look.
        public var raised: [Fault] = []
        /// Jobs whose fault is over: their next fire is another one.
        public var cleared: [String] = []
        public init() {}
    }

    /// For how long a fire may be overdue and unowned. On both clocks: a wall clock that was
    /// set forward makes everything overdue at once, which is no fault yet.
    public let patience: Duration
    private var unownedSince: [String: (fire: Instant, since: MonotonicInstant)] = [:]
    private var faulty: [String: Fault] = [:]
    /// How often a fire was looked at again.
    public private(set) var repairs = 0
    /// As of the last look.
    public var faults: [Fault] { faulty.values.sorted { $0.job < $1.job } }

    public init(patience: Duration = .seconds(10)) { self.patience = patience }

    public mutating func look(at jobs: [Job], now: Now) -> Result {
        var result = Result()
        var seen: [String: (fire: Instant, since: MonotonicInstant)] = [:]
        var nowFaulty: [String: Fault] = [:]
        for job in jobs.sorted(by: { $0.name < $1.name }) {
            guard let fire = job.nextFire, fire <= now.wall, job.excuse == nil else { continue }
            let standing = faulty[job.name].flatMap { $0.fire == fire ? $0 : nil }
            guard !job.isOwned || standing != nil else { continue }
            let before = unownedSince[job.name].flatMap { $0.fire == fire ? $0.since : nil }
            let since = before ?? now.monotonic
            seen[job.name] = (fire, since)
            guard standing != nil || now.wall - fire > patience && now.monotonic - since > patience else { continue }
            let fault = standing
                ?? Fault(job: job.name, fire: fire, sentence: "job '\(job.name)' was due at \(fire.rfc3339), and nobody was seeing to it")
            nowFaulty[job.name] = fault
            result.faults.append(fault)
            if standing == nil { result.raised.append(fault) }
            guard !job.isOwned else { continue }
            repairs += 1
            result.repaired.append(fault)
        }
        result.cleared = Set(faulty.keys).subtracting(nowFaulty.keys).sorted()
        faulty = nowFaulty
        unownedSince = seen
        return result
    }
}
