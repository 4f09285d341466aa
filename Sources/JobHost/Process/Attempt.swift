import JobCore

/// One attempt, from being sent to a worker until it ended, exactly once. Pure: events and
/// `now` in, actions out. The limits are counted from the `started` frame.
///
/// sent → started → (flagged → (killed)) → ended
public struct Attempt: Sendable {
    /// What an attempt may take.
    public struct Limits: Hashable, Sendable {
        /// Soft limit from `started`; nil: none.
        public var timeout: Duration?
        /// From the cancel flag to the kill.
        public var killGrace: Duration
        /// No progress for this long counts as the soft limit; nil: not watched.
        public var heartbeat: Duration?
        /// RLIMIT_DATA of the worker, for telling a memory limit from another crash.
        public var memory: UInt64?
        /// CPU time, watched by the supervisor.
        public var cpu: Duration?
        public init(
            timeout: Duration?, killGrace: Duration, heartbeat: Duration? = nil, memory: UInt64? = nil, cpu: Duration? = nil
        ) {
            self.timeout = timeout
            self.killGrace = killGrace
            self.heartbeat = heartbeat
            self.memory = memory
            self.cpu = cpu
        }
    }

    public enum Event: Sendable {
        case started
        /// The plugin showed a sign of life.
        case progress
        /// `deadline` may have come.
        case tick
        /// Flag at once, kill after `grace`. A later one with a shorter grace hastens the kill.
        case cancel(CancelReason, grace: Duration)
        /// Resident size above the limit, bytes.
        case memoryExceeded(resident: UInt64)
        /// More CPU time than `limits.cpu`.
        case cpuExceeded(used: Duration)
        /// The worker talks nonsense; it is being killed.
        case wireBroken(String)
        /// The host's lease on the store has lapsed: whatever it runs is no longer its own.
        case leaseLapsed
        case result(RunResult)
        /// The worker is being killed, because of that run or for a reason of its own (nil): not
        /// of this one.
        case workerKilled(becauseOf: RunID?)
        /// The worker gave the run back, never started.
        case returned
        /// The worker is gone. `lastWords`: the end of what it printed.
        case exited(ChildExit, lastWords: String)
    }

    public enum Action: Equatable, Sendable {
        /// Set the cancel flag.
        case setCancelFlag
        /// Kill the worker's whole tree.
        case kill
        case finish(Ending)
        /// Never started: unattempted, due again.
        case returnUnattempted
    }

    /// The verdict; the shell adds pid, hash, job.
    public struct Ending: Hashable, Sendable {
        public var outcome: Outcome
        public var reason: String
        /// The result frame, nil when there was none.
        public var result: RunResult?
        /// CPU time of the attempt; of the whole worker when it ended without a result.
        public var cpu: Duration
        public var snoozeUntil: Instant?
        public var retryNotBefore: Instant?
        public var badSettings = false
        /// Cancelled only because of a stop, a reload or a lapsed lease: nobody wanted the run itself away.
        public var gaveWay = false
        /// Already chosen between "on success" and "always".
        public var state: StateBlob?
        public init(outcome: Outcome, reason: String, result: RunResult? = nil, cpu: Duration = .zero) {
            self.outcome = outcome
            self.reason = reason
            self.result = result
            self.cpu = cpu
        }
        /// What the run enqueued is committed with it.
        public var commitsEnqueues: Bool { outcome == .succeeded || outcome == .nothingToDo }
    }

    /// Why the cancel flag is up, or the worker killed. The first one stands, except that
    /// memory, a broken wire and a lapsed lease override a flag: they end it at once.
    enum Cause: Hashable, Sendable {
        case timeout(Duration)
        case heartbeat(Duration)
        case cancel(CancelReason)
        case memory(resident: UInt64)
        case cpu(used: Duration)
        case wire(String)

        var isLimit: Bool {
            switch self {
            case .timeout, .heartbeat: true
            case .cancel, .memory, .cpu, .wire: false
            }
        }
    }

    /// The furthest that SNOOZE or a retry's "not before" may reach into the future.
    public static let furthest: Duration = .seconds(366 * 86_400)

    public let limits: Limits
    public private(set) var startedAt: Instant?
    public private(set) var ended = false
    private(set) var cause: Cause?
    private var startedMonotonic: MonotonicInstant?
    private var lastSign: MonotonicInstant?
    private var flaggedAt: MonotonicInstant?
    private var killAt: MonotonicInstant?
    private var killedAt: MonotonicInstant?
    /// Why its worker is killed, which is no fault of this run.
    private var bystanding: String?

    public init(limits: Limits) { self.limits = limits }

    /// When an attempt ran. What the worker says of it is believed where it can be true: not
    /// before the run was sent, not later than it was heard of. What the supervisor itself saw
    /// also depends on what else it had to do.
    static func times(
        said result: RunResult?, sent: Instant, heard: Instant?, ended: Instant
    ) -> (startedAt: Instant?, finishedAt: Instant) {
        guard let result, let heard, result.startedAt >= sent, result.startedAt <= heard, heard <= ended,
            result.took >= .zero, result.took <= ended - result.startedAt
        else { return (heard, ended) }
        return (result.startedAt, result.startedAt + result.took)
    }

    /// The cancel flag is up.
    public var isFlagged: Bool { flaggedAt != nil }

    /// When to send the next `tick`; nil: nothing is due by itself.
    public var deadline: MonotonicInstant? {
        // A run that has not started holds up nothing: killing its worker would hurt another's.
        guard let started = startedMonotonic, !ended, killedAt == nil else { return nil }
        if flaggedAt != nil { return killAt }
        let soft = limits.timeout.map { started + $0 }
        let silent = limits.heartbeat.flatMap { heartbeat in lastSign.map { $0 + heartbeat } }
        return [soft, silent].compactMap { $0 }.min()
    }

    public mutating func handle(_ event: Event, now: Now) -> [Action] {
        guard !ended else { return [] }
        switch event {
        case .started: return start(now)
        case .progress:
            if startedAt != nil { lastSign = now.monotonic }
            return []
        case .tick: return tick(now)
        case .cancel(let reason, let grace): return cancel(reason, grace, now)
        case .memoryExceeded(let resident): return overrule(.memory(resident: resident), now)
        case .cpuExceeded(let used): return overrule(.cpu(used: used), now)
        case .workerKilled(let run):
            bystanding = bystanding ?? "its worker was killed by this host" + (run.map { " because of run \($0)" } ?? "")
            return []
        case .wireBroken(let problem): return overrule(.wire(problem), now)
        case .leaseLapsed: return overrule(.cancel(.leaseLost), now)
        case .result(let result): return finish(Self.judge(result, cause: cause, limits: limits, now: now))
        case .returned: return returned()
        case .exited(let status, let lastWords): return exited(status, lastWords, now)
        }
    }

    // MARK: Events

    private mutating func start(_ now: Now) -> [Action] {
        guard startedAt == nil else { return [] }
        startedAt = now.wall
        startedMonotonic = now.monotonic
        lastSign = now.monotonic
        return []
    }

    private mutating func tick(_ now: Now) -> [Action] {
        guard let due = deadline, due <= now.monotonic else { return [] }
        if flaggedAt != nil {
            killedAt = now.monotonic
            return [.kill]
        }
        guard let started = startedMonotonic else { return [] }
        if let timeout = limits.timeout, started + timeout <= now.monotonic {
            return flag(.timeout(timeout), grace: limits.killGrace, now)
        }
        return flag(.heartbeat(limits.heartbeat ?? .zero), grace: limits.killGrace, now)
    }

    private mutating func flag(_ cause: Cause, grace: Duration, _ now: Now) -> [Action] {
        self.cause = cause
        flaggedAt = now.monotonic
        killAt = now.monotonic + grace
        return [.setCancelFlag]
    }

    private mutating func cancel(_ reason: CancelReason, _ grace: Duration, _ now: Now) -> [Action] {
        guard flaggedAt != nil else { return flag(.cancel(reason), grace: grace, now) }
        killAt = min(killAt ?? .distantFuture, now.monotonic + grace)
        return []
    }

    private mutating func overrule(_ cause: Cause, _ now: Now) -> [Action] {
        guard killedAt == nil else { return [] }
        self.cause = cause
        // It executes nothing: whoever does has its worker killed.
        guard startedAt != nil else { return [] }
        killedAt = now.monotonic
        return [.kill]
    }

    /// A run that was started and is given back all the same (a worker that errs) was attempted.
    private mutating func returned() -> [Action] {
        guard startedAt == nil else { return finish(Ending(outcome: .crashed, reason: "its worker gave it back half-done")) }
        return unattempted()
    }

    private mutating func unattempted() -> [Action] {
        ended = true
        // An operator's cancel holds for a run that had not begun, too; a drain's does not.
        if case .cancel(.operatorAsked) = cause {
            return [.finish(Ending(outcome: .cancelled, reason: CancelReason.operatorAsked.rawValue))]
        }
        return [.returnUnattempted]
    }

    private mutating func exited(_ status: ChildExit, _ lastWords: String, _ now: Now) -> [Action] {
        guard startedAt == nil else { return finish(judge(status, lastWords)) }
        // What the worker said after it broke the wire was not heard: it may have begun.
        guard case .wire(let problem) = cause else { return unattempted() }
        return finish(Ending(outcome: .lost, reason: "its worker broke the wire, perhaps after it had begun: \(problem)"))
    }

    private mutating func finish(_ ending: Ending) -> [Action] {
        ended = true
        var ending = ending
        ending.gaveWay = ending.outcome == .cancelled && (cause == .cancel(.drain) || cause == .cancel(.leaseLost))
        return [.finish(ending)]
    }

    // MARK: Verdict on an exit without a result

    private func judge(_ status: ChildExit, _ lastWords: String) -> Ending {
        let fate = killedAt == nil ? status.sentence : killedSentence
        let (outcome, reason): (Outcome, String) =
            switch cause {
            case .timeout(let limit): (.timedOut, "no result within \(brief(limit)); \(fate)")
            case .heartbeat(let limit): (.timedOut, "no progress for \(brief(limit)); \(fate)")
            case .cancel(let reason): (.cancelled, "\(reason.rawValue); \(fate)")
            case .memory(let resident): (.crashed, memorySentence(resident))
            case .cpu(let used):
                (.crashed, "CPU limit\(limits.cpu.map { " of \(brief($0))" } ?? ""): \(brief(used)) used; killed")
            case .wire(let problem): (.crashed, "its worker broke the wire: \(problem)")
            case nil: bystanding.map { (.lost, $0) } ?? (.crashed, crashSentence(status, lastWords))
            }
        return Ending(outcome: outcome, reason: reason, cpu: status.cpu)
    }

    private var killedSentence: String {
        guard let flaggedAt, let killAt else { return "killed" }
        let grace = killAt - flaggedAt
        return grace.milliseconds == 0 ? "killed" : "killed \(brief(grace)) later"
    }

    private func memorySentence(_ resident: UInt64) -> String {
        let limit = limits.memory.map { " of \(brief(bytes: $0))" } ?? ""
        let units = limits.memory.map(SizeUnits.init) ?? .thousands
        return "memory limit\(limit): \(brief(bytes: resident, units: units)) resident; killed"
    }

    private func crashSentence(_ status: ChildExit, _ lastWords: String) -> String {
        if let limit = limits.memory, Self.ranOutOfMemory(status, limit: limit, lastWords: lastWords) {
            return "memory limit of \(brief(bytes: limit)): \(status.sentence)"
        }
        switch status.way {
        case .code, .unknown: return "\(status.sentence) before a result"
        case .signal(9): return "\(status.sentence), not sent by this host: perhaps the machine ran out of memory"
        case .signal: return status.sentence + (Confession.first(in: lastWords).map { ": \($0)" } ?? "")
        }
    }

    /// An allocation refused by RLIMIT_DATA ends a program in its own way (a null pointer, an
    /// abort, an exception). It counts as the memory limit when the worker had come near it, or
    /// said so with its last words, in the phrases of C, C++, Rust, Go and Swift's runtimes.
    static func ranOutOfMemory(_ status: ChildExit, limit: UInt64, lastWords: String) -> Bool {
        guard status.way != .code(0) else { return false }
        if status.maxResident >= limit - limit / 8 { return true }
        let phrases = ["bad_alloc", "memory allocation of", "out of memory", "Out of memory", "Cannot allocate memory"]
        return phrases.contains { lastWords.contains($0) }
    }
}
