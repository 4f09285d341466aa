import JobCore
import JobJSON
import JobStore

/// A command that takes a second person where the job says `approval = 2`, in a form that is kept
/// until somebody agrees: what makes a job run, loses its work, or undoes what holds it. What stops
/// it is one person's at any hour: pause, disable, open its breaker, cancel.
struct AskedCommand: Codable, Hashable, Sendable {
    enum Action: String, Codable, Sendable {
        case trigger, enqueue, retry, discard, enable, resume, backfill
        case enableAsConfigured = "enable as configured"
        case breakerClose = "breaker close"
        case breakerReset = "breaker reset"
        case breakerDisable = "breaker disable"
    }

    var action: Action
    /// nil: that of the run.
    var job: String?
    var run: Int64?
    /// JSON text.
    var payload: String?
    var key: String?
    /// Of enqueueing: not before. Of a backfill: fires at or after, before.
    var at: Instant?
    var from: Instant?
    var to: Instant?
    var delayMicroseconds: Int64?
    /// Of enqueueing: not from then on, or so long after it is due.
    var expires: Instant?
    var expiresMicroseconds: Int64?
    var priority: Int?

    private init(_ action: Action, job: String? = nil, run: RunID? = nil) {
        self.action = action
        self.job = job
        self.run = run?.value
    }

    /// nil: one person may do that.
    init?(_ command: HostCommand) {
        switch command {
        case .trigger(let job, let payload):
            self.init(.trigger, job: job)
            self.payload = payload.map { String(decoding: $0, as: UTF8.self) }
        case .enqueue(let request):
            self.init(.enqueue, job: request.job)
            payload = String(decoding: request.payload, as: UTF8.self)
            key = request.key
            at = request.at
            delayMicroseconds = request.delay?.microseconds
            expires = request.expires
            expiresMicroseconds = request.expiresAfter?.microseconds
            priority = request.priority
        case .retry(let run): self.init(.retry, run: run)
        case .discardDead(let run): self.init(.discard, run: run)
        case .setEnabled(let job, let enabled?):
            guard enabled else { return nil }
            self.init(.enable, job: job)
        case .setEnabled(let job, nil): self.init(.enableAsConfigured, job: job)
        case .setPaused(let job?, false): self.init(.resume, job: job)
        case .breaker(let job, let action):
            switch action {
            case .open: return nil
            case .close: self.init(.breakerClose, job: job)
            case .reset: self.init(.breakerReset, job: job)
            case .disable: self.init(.breakerDisable, job: job)
            }
        case .backfill(let job, let from, let to, dryRun: false):
            self.init(.backfill, job: job)
            self.from = from
            self.to = to
        case .reload, .plan, .cancel, .setPaused, .backfill, .explain, .next, .rollBack, .answer, .testAlerts, .drain, .stop: return nil
        }
    }

    /// What was asked for; nil: this host does not know it (a newer one kept it).
    var command: HostCommand? {
        switch (action, job, run) {
        case (.trigger, let job?, _): .trigger(job: job, payload: payload.map { Array($0.utf8) })
        case (.enqueue, let job?, _):
            .enqueue(
                EnqueueCommand(
                    job: job, payload: Array((payload ?? "{}").utf8), key: key, at: at,
                    delay: delayMicroseconds.map { .microseconds($0) }, expires: expires,
                    expiresAfter: expiresMicroseconds.map { .microseconds($0) }, priority: priority))
        case (.retry, _, let run?): .retry(run: RunID(run))
        case (.discard, _, let run?): .discardDead(run: RunID(run))
        case (.enable, let job?, _): .setEnabled(job: job, true)
        case (.enableAsConfigured, let job?, _): .setEnabled(job: job, nil)
        case (.resume, let job?, _): .setPaused(job: job, false)
        case (.breakerClose, let job?, _): .breaker(job: job, .close)
        case (.breakerReset, let job?, _): .breaker(job: job, .reset)
        case (.breakerDisable, let job?, _): .breaker(job: job, .disable)
        case (.backfill, let job?, _):
            if let from, let to { .backfill(job: job, from: from, to: to, dryRun: false) } else { nil }
        default: nil
        }
    }

    init?(text: String) {
        guard let json = try? JSON(parsing: Array(text.utf8), limits: .init(bytes: 4 << 20)), let command = try? APIJSON.decode(Self.self, from: json)
        else { return nil }
        self = command
    }

    /// The same text for the same command.
    var text: String { (try? APIJSON.value(of: self).canonicalText) ?? "" }

    /// For people: "retry of run 7", "backfill 2026-05-01T00:00:00Z … 2026-05-02T00:00:00Z".
    var sentence: String {
        var text = action.rawValue
        if let run { text += " of run \(run)" }
        if let from, let to { text += " \(from.rfc3339) … \(to.rfc3339)" }
        if let payload, payload != "{}", !payload.isEmpty { text += " with \(payload.prefix(120))\(payload.count > 120 ? " …" : "")" }
        return text
    }
}
