import JobCore

/// Something that somebody should hear of.
public struct Alert: Hashable, Sendable {
    public enum Kind: String, Codable, CaseIterable, Sendable {
        case jobCritical = "job_critical"
        case breakerOpened = "breaker_opened"
        case runDiscarded = "run_discarded"
        case firesMissed = "fires_missed"
        case pluginRefused = "plugin_refused"
        case reloadRefused = "reload_refused"
        case storeTrouble = "store_trouble"
        case clockTrouble = "clock_trouble"
        case hostProblem = "host_problem"
        /// `jobhost alert test`.
        case test
    }
    public enum Severity: String, Codable, CaseIterable, Sendable { case warning, critical }

    public var kind: Kind
    /// The job or plugin; "" for the host.
    public var subject: String
    /// A sentence: what is wrong.
    public var text: String
    /// A command that helps.
    public var hint: String
    public init(_ kind: Kind, subject: String = "", _ text: String, hint: String) {
        self.kind = kind
        self.subject = subject
        self.text = text
        self.hint = hint
    }

    /// One thing, however often and in whatever words it is told.
    public var key: String { subject.isEmpty ? kind.rawValue : "\(kind.rawValue):\(subject)" }

    /// nil: it is not about a job.
    public var job: String? {
        switch kind {
        case .jobCritical, .breakerOpened, .runDiscarded, .firesMissed: subject
        case .pluginRefused, .reloadRefused, .storeTrouble, .clockTrouble, .hostProblem, .test: nil
        }
    }

    public var severity: Severity {
        switch kind {
        case .jobCritical, .breakerOpened, .storeTrouble, .clockTrouble: .critical
        case .runDiscarded, .firesMissed, .pluginRefused, .reloadRefused, .hostProblem, .test: .warning
        }
    }
}

extension Alert {
    /// What is wrong at the moment of a snapshot.
    static func conditions(_ host: HostSnapshot) -> [Alert] {
        var alerts = host.hostProblems.filter { $0.grade == .critical }.map { problem in
            let kind: Kind = switch problem.kind {
            case .store: .storeTrouble
            case .clock: .clockTrouble
            case .plugin: .pluginRefused
            case .reload: .reloadRefused
            case .rollback, .removal, .other: .hostProblem
            }
            return Alert(kind, subject: problem.subject, problem.text, hint: problem.kind == .plugin || problem.kind == .reload ? "jobhost plan" : "jobhost status")
        }
        for (name, why) in host.refusedPlugins.sorted(by: { $0.key < $1.key }) {
            alerts.append(Alert(.pluginRefused, subject: name, "plugin \(name) was refused: \(why)", hint: "jobhost plan"))
        }
        for job in host.jobs {
            let isOpen = job.breaker.state == "open" || job.breaker.state == "half_open"
            if isOpen, job.enabled {
                let why = job.breaker.reason.isEmpty ? "" : ": \(job.breaker.reason)"
                alerts.append(Alert(.breakerOpened, subject: job.name, "the breaker of \(job.name) is open\(why)", hint: "jobhost logs \(job.name)"))
            }
            // Of an open breaker there is a line already.
            let reasons = job.health.reasons.filter { $0.grade == .critical && !(isOpen && $0.rule == "breaker") }
            if !reasons.isEmpty {
                let text = "\(job.name) is critical: " + reasons.map(\.text).joined(separator: "; ")
                alerts.append(Alert(.jobCritical, subject: job.name, text, hint: "jobhost show \(job.name)"))
            }
        }
        return alerts
    }

    /// What happened once and has no end; nil: nothing that anybody is told of.
    init?(of event: HostEvent) {
        switch event {
        case .ended(let run) where run.state == .discarded, .endedWaiting(let run) where run.state == .discarded:
            let why = run.reason.isEmpty ? "" : ": \(run.reason)"
            self.init(.runDiscarded, subject: run.job, "run \(run.id) of \(run.job) is a dead letter\(why)", hint: "jobhost retry \(run.id)")
        case .notRun(let job, let reason, let text, _) where reason.state == .missed:
            self.init(.firesMissed, subject: job, "\(job): \(text)", hint: "jobhost runs \(job) --state missed")
        default: return nil
        }
    }
}
