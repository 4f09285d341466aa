import JobCore
import JobStore

/// What a run that has not started waits for, and what to press. Pure: from snapshots.
public struct WaitingFor: Codable, Hashable, Sendable {
    public enum Cause: String, Codable, CaseIterable, Sendable {
        /// Its time has not come: a delay, a backoff, a snooze.
        case time
        /// The job does not serve: refused, or not in the config.
        case refused, removed
        case disabled, paused
        case hostPaused = "host_paused"
        case breaker
        /// The host stops; the run waits for its next start.
        case draining
        /// The host claims nothing now: its store is away, the clock jumped, `consume = false`.
        case host
        /// No worker starts.
        case worker
        /// As many runs of the job have started lately as its rate allows.
        case rate
        /// Other hosts serve the job.
        case elsewhere
        /// As many runs of the job are under way as may be.
        case concurrency
        /// Every worker of its pool is busy.
        case workers
        /// Nothing: it is next.
        case turn
    }
    public var cause: Cause
    /// A clause: "the job is paused: exchange maintenance".
    public var sentence: String
    /// When it may start by itself; nil: unknown, or not before somebody acts.
    public var until: Instant?
    /// What to type; nil: nothing helps but waiting.
    public var command: String?

    init(_ cause: Cause, _ sentence: String, until: Instant? = nil, command: String? = nil) {
        self.cause = cause
        self.sentence = sentence
        self.until = until
        self.command = command
    }

    /// - Parameter job: nil: it is not in the config.
    static func of(_ run: RunRecord, job: JobSnapshot?, host: HostSnapshot) -> WaitingFor? {
        switch run.state {
        case .running: return job.flatMap { ofClaimed(run, $0, host.now) }
        case .scheduled, .available, .retryable: break
        case .succeeded, .cancelled, .discarded, .skipped, .missed: return nil
        }
        if job == nil, let labels = host.elsewhere[run.job] { return ofAbsent(run, labels) }
        guard let job else { return WaitingFor(.removed, "\(run.job) is not in the config", command: "jobhost explain \(run.job) --at now") }
        let time = ofTime(run, host.now)
        guard var lasting = ofJob(job, host) ?? ofHost(host) else { return time ?? ofPlaces(run, job) }
        if let time {
            lasting.sentence += "; and \(time.sentence)"
            lasting.until = lasting.until.map { max($0, time.until ?? $0) }
        }
        return lasting
    }

    /// Of a job that this host knows and does not serve.
    static func ofAbsent(_ run: RunRecord, _ runOn: [String]) -> WaitingFor? {
        guard run.state != .running else { return nil }
        return WaitingFor(
            .elsewhere, runOn.isEmpty
                ? "\(run.job) is not among this host's jobs (host.only): another host runs it"
                : "\(run.job) runs on hosts with the label \(runOn.joined(separator: " or ")), and this is none of them",
            command: "jobhost hosts")
    }

    /// Claimed, and not yet begun.
    private static func ofClaimed(_ run: RunRecord, _ job: JobSnapshot, _ now: Instant) -> WaitingFor? {
        if let running = job.running.first(where: { $0.run == run.id }) {
            guard running.startedAt == nil else { return nil }
            return running.problem.isEmpty
                ? WaitingFor(.workers, "it is claimed and waits for its worker")
                : WaitingFor(.worker, "no worker starts: \(running.problem)", command: "jobhost doctor \(job.name)")
        }
        return run.fireTime > now
            ? WaitingFor(.time, "it is claimed for its time", until: run.fireTime)
            : WaitingFor(.turn, "it is claimed and waits for its turn")
    }

    private static func ofTime(_ run: RunRecord, _ now: Instant) -> WaitingFor? {
        guard run.availableAt > now else { return nil }
        let at = TimeText.absolute(run.availableAt)
        let what =
            switch run.state {
            case .retryable: "attempt \(run.attempt + 1) of \(run.maxAttempts) comes at \(at)"
            case _ where run.outcome == .snoozed: "it snoozes until \(at)"
            default: "it is not to start before \(at)"
            }
        return WaitingFor(.time, what, until: run.availableAt)
    }

    /// What keeps every run of the job.
    private static func ofJob(_ job: JobSnapshot, _ host: HostSnapshot) -> WaitingFor? {
        if !job.refused.isEmpty {
            return WaitingFor(.refused, "\(job.name) is refused: \(job.refused)", command: "jobhost plan")
        }
        if !job.enabled {
            return WaitingFor(.disabled, "\(job.name) is disabled: \(job.disabledReason)", command: "jobhost enable \(job.name)")
        }
        if host.control.paused {
            return WaitingFor(.hostPaused, "the whole host is paused" + why(host.control), command: "jobhost resume")
        }
        if job.control.paused {
            return WaitingFor(.paused, "\(job.name) is paused" + why(job.control), command: "jobhost resume \(job.name)")
        }
        return ofBreaker(job, host.now)
    }

    private static func why(_ control: ControlRow) -> String {
        (control.pausedSince.map { " since \(TimeText.absolute($0))" } ?? "") + (control.pauseReason.isEmpty ? "" : ": \(control.pauseReason)")
    }

    private static func ofBreaker(_ job: JobSnapshot, _ now: Instant) -> WaitingFor? {
        let breaker = job.breaker
        let why = breaker.reason.isEmpty ? "" : ": \(breaker.reason)"
        let close = "jobhost breaker \(job.name) close"
        switch breaker.state {
        case "open", "forced_open":
            let isForced = breaker.state == "forced_open"
            guard breaker.until.map({ $0 > now }) ?? true else { return nil }
            let end = breaker.until.map { " until \(TimeText.absolute($0))" } ?? (isForced ? " until somebody closes it" : "")
            return WaitingFor(
                .breaker, "the breaker of \(job.name) is \(isForced ? "forced open" : "open")\(end)\(why)", until: breaker.until, command: close)
        case "half_open" where !job.running.isEmpty:
            return WaitingFor(.breaker, "the breaker of \(job.name) tries one run at a time\(why)", command: close)
        default: return nil
        }
    }

    private static func ofHost(_ host: HostSnapshot) -> WaitingFor? {
        if host.phase == "draining" { return WaitingFor(.draining, "the host is stopping; it runs after the next start") }
        if !host.hold.isEmpty { return WaitingFor(.host, host.hold, command: "jobhost status") }
        if !host.consumes { return WaitingFor(.host, "this host starts no waiting runs (consume = false)") }
        return nil
    }

    private static func ofPlaces(_ run: RunRecord, _ job: JobSnapshot) -> WaitingFor {
        if job.running.count >= job.concurrency {
            let under = job.running.count == 1 ? "run \(job.running[0].run) is" : "\(job.running.count) runs are"
            return WaitingFor(
                .concurrency, "\(under) under way, and its concurrency is \(job.concurrency)",
                command: "jobhost runs \(job.name) --state running")
        }
        if let until = job.ratedUntil {
            return WaitingFor(.rate, "as many have started as its rate allows (\(job.rate)); the next may at \(TimeText.absolute(until))", until: until)
        }
        if !job.workerProblem.isEmpty {
            return WaitingFor(.worker, "no worker starts: \(job.workerProblem)", command: "jobhost doctor \(job.name)")
        }
        if job.workers > 0, job.busyWorkers >= job.workers {
            return WaitingFor(.workers, "every worker of plugin \(job.plugin) is busy (\(job.busyWorkers) of \(job.workers))")
        }
        return WaitingFor(.turn, "it is next")
    }
}

/// What starts next of a job, in one word and an instant: what `status`, `show`, `next` and
/// `--json` agree on. Pure.
public struct NextStart: Codable, Hashable, Sendable {
    public enum What: String, Codable, CaseIterable, Sendable {
        /// A fire of its schedule, at `at`.
        case fire
        /// The run that tries whether the breaker can close, at `at`; `null`: the next one that is enqueued.
        case probe
        /// It does not serve, is switched off, is paused, its breaker is held open, the host stops.
        case refused, off, paused, held, stopping
        /// Nothing by itself: it runs when it is enqueued, after another job, or never again.
        case nothing
    }
    public var what: What
    public var at: Instant?

    static func of(_ job: JobSnapshot, host: HostSnapshot) -> NextStart {
        if !job.refused.isEmpty { return NextStart(what: .refused, at: nil) }
        if !job.enabled { return NextStart(what: .off, at: nil) }
        if host.phase == "draining" { return NextStart(what: .stopping, at: nil) }
        if job.control.paused || host.control.paused { return NextStart(what: .paused, at: nil) }
        switch job.breaker.state {
        case "forced_open" where job.breaker.until == nil: return NextStart(what: .held, at: nil)
        case "open", "forced_open": return NextStart(what: .probe, at: job.nextProbe)
        case "half_open": return NextStart(what: .probe, at: job.nextFire)
        default: return job.nextFire.map { NextStart(what: .fire, at: $0) } ?? NextStart(what: .nothing, at: nil)
        }
    }
}
