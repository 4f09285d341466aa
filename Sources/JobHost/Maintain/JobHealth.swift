import JobConfig
import JobCore

/// How well one job does, and why: sentences, those of the worse grade first. Pure.
public struct JobHealth: Hashable, Sendable {
    public struct Reason: Hashable, Sendable {
        public var grade: HealthGrade
        /// The key of `health` that speaks: "success_age", "breaker", "metrics"; "settings".
        public var rule: String
        public var text: String
    }

    public var reasons: [Reason] = []
    public var grade: HealthGrade { reasons.map(\.grade).max() ?? .healthy }
    public init() {}

    /// Of a job that does not serve: its library or its settings were refused.
    public init(refused reason: String) {
        reasons = [Reason(grade: .critical, rule: "settings", text: "refused: \(reason)")]
    }

    /// What is known of a job that its rules look at.
    public struct Facts: Sendable {
        public var isEnabled: Bool
        /// The entry refused its settings; nil: it did not.
        public var badSettings: String?
        public var lastSuccess: Instant?
        /// nil: it does not fail.
        public var failingSince: Instant?
        public var lastDuration: Duration?
        /// Starts of the attempts under way.
        public var running: [Instant]
        public var errorsLastHour: Int
        /// As in `BreakerSnapshot.state`.
        public var breaker: String
        /// As in `BreakerSnapshot.reason`.
        public var breakerReason = ""
        /// By name; of several series the highest.
        public var metrics: [String: Double]
        /// Since when the host has known the job: before that, no success is missed.
        public var since: Instant
    }

    public init(of facts: Facts, by policy: HealthPolicy, now: Instant) {
        if let bad = facts.badSettings {
            reasons = [Reason(grade: .critical, rule: "settings", text: "the entry refused its settings: \(bad)")]
            return
        }
        // Somebody wanted it so.
        guard facts.isEnabled else { return }
        for (grade, bounds) in [(HealthGrade.critical, policy.critical), (.warning, policy.warning)] {
            for (rule, text) in Self.breaches(facts, bounds, now) where !reasons.contains(where: { $0.rule == rule }) {
                reasons.append(Reason(grade: grade, rule: rule, text: text))
            }
        }
        // Somebody wanted that so too, and may forget it: it is said, and nobody is woken.
        if facts.breaker == "forced_open", policy.warning.breaker != nil || policy.critical.breaker != nil {
            let why = facts.breakerReason
            let by = why.isEmpty ? "" : why.hasPrefix("by ") ? " \(why)" : ": \(why)"
            reasons.append(Reason(grade: .warning, rule: "breaker", text: "its breaker is held open\(by)"))
        }
    }

    private static func breaches(_ facts: Facts, _ bounds: HealthBounds, _ now: Instant) -> [(rule: String, text: String)] {
        var found: [(String, String)] = []
        switch (bounds.breaker, facts.breaker) {
        case (.open?, "open"), (.halfOpen?, "open"), (.halfOpen?, "half_open"):
            found.append(("breaker", "its breaker is \(facts.breaker.replacing("_", with: "-"))"))
        default: break
        }
        if let bound = bounds.failingFor, let since = facts.failingSince, now - since >= bound {
            found.append(("failing_for", "it has been failing for \(brief(now - since))"))
        }
        if let bound = bounds.successAge {
            let age = now - (facts.lastSuccess ?? facts.since)
            if age >= bound {
                found.append(("success_age", facts.lastSuccess == nil ? "it has not succeeded since the start \(brief(age)) ago" : "its last success was \(brief(age)) ago"))
            }
        }
        if let bound = bounds.duration {
            if let longest = facts.running.map({ now - $0 }).max(), longest >= bound {
                found.append(("duration", "a run has taken \(brief(longest)) so far"))
            } else if let last = facts.lastDuration, last >= bound {
                found.append(("duration", "its last run took \(brief(last))"))
            }
        }
        if let bound = bounds.errorsPerHour, facts.errorsLastHour >= bound {
            found.append(("errors_per_hour", "\(counted(facts.errorsLastHour, "attempt")) failed within the last hour"))
        }
        for (name, bound) in bounds.metrics.sorted(by: { $0.key < $1.key }) {
            guard let value = facts.metrics[name], value > bound else { continue }
            found.append(("metrics.\(name)", "\(name) is \(plain(value)), above \(plain(bound))"))
        }
        return found
    }
}

/// "5" for 5.0.
private func plain(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
}
