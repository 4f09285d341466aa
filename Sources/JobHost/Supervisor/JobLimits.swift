import JobConfig
import JobCore

extension JobConfig.Limits {
    /// Those that hold for every job, and what else this one has, for people.
    var lines: [JobSnapshot.Limit] {
        let breaker = breaker.map { policy in
            counted(policy.failures, "failure") + (policy.window.map { " in \(short($0))" } ?? " in a row")
                + ", open for \(short(policy.openFor)), " + counted(policy.successes, "success", plural: "successes")
                + (policy.successes == 1 ? " closes it" : " close it")
        } ?? "off"
        var lines: [JobSnapshot.Limit] = [
            ("timeout", timeout.map(short) ?? "none"), ("kill_grace", short(killGrace)),
            ("heartbeat", heartbeat.map(short) ?? "not watched"),
            ("concurrency", "\(concurrency)"), ("overlap", overlap.rawValue),
            ("catch_up", "\(catchUp.policy.rawValue), window \(short(catchUp.window))"),
            ("priority", "\(priority)"), ("jitter", short(jitter)),
            ("retry", retry.maxAttempts == 1 ? "none" : "\(retry.maxAttempts) attempts, \(short(retry.initial)) … \(short(retry.max))"),
            ("breaker", breaker), ("calendar", calendar ?? "none"),
            ("retention", "\(short(retention.age)), \(counted(retention.runs, "run"))"),
        ]
        if logLevel != .debug { lines.append(("log_level", "\(logLevel)")) }
        if let rate { lines.append(("rate", Self.text(of: rate))) }
        if let expiresAfter { lines.append(("expires_after", short(expiresAfter))) }
        if !runOn.isEmpty { lines.append(("run_on", runOn.joined(separator: ", "))) }
        if approval == 2 { lines.append(("approval", "2 persons")) }
        return lines
    }

    /// "100 runs in 1m"
    static func text(of rate: RateLimit) -> String { "\(counted(rate.runs, "run")) in \(durationText(rate.per))" }

    private func short(_ duration: Duration) -> String { durationText(duration) }
}
