import JobConfig
import JobCore
import JobStore

/// What the hosts of one store serve by the same names. Pure.
enum Definitions {
    /// A sentence for each job of which hosts run different configs or libraries, by name.
    static func differences(_ rows: [DefinitionRow]) -> [String] {
        Dictionary(grouping: rows, by: \.job).sorted { $0.key < $1.key }.compactMap { job, rows in
            if let sides = sides(rows, \.digest) { return "job \(job): \(sides) run different configs of it" }
            if let sides = sides(rows, \.library) { return "job \(job): \(sides) run different libraries of it" }
            return nil
        }
    }

    /// A sentence for each job only hosts with some label serve, and that none of those that live does.
    static func unserved(_ jobs: some Sequence<JobConfig>, _ rows: [DefinitionRow]) -> [String] {
        let served = Set(rows.map(\.job))
        return jobs.filter { !$0.runOn.isEmpty && !served.contains($0.name) }.sorted { $0.name < $1.name }.map { job in
            "job \(job.name): no host that lives has a label of its run_on (\(job.runOn.joined(separator: ", "))): its runs wait, and its fires are decided by its catch_up when one comes"
        }
    }

    /// "a, b and c"; nil: all agree.
    private static func sides(_ rows: [DefinitionRow], _ part: (DefinitionRow) -> String) -> String? {
        guard Set(rows.map(part)).count > 1 else { return nil }
        let hosts = rows.map(\.host).sorted()
        return hosts.dropLast().joined(separator: ", ") + " and " + (hosts.last ?? "")
    }
}

extension PluginConfig {
    /// What its workers are bounded by, and which variables they get, not what is in them; "": by nothing of its own.
    ///
    /// - Parameter file: the config's. What lies beside it is the same on hosts that have it in another folder.
    func bounds(in file: String) -> String {
        let folder = file.lastIndex(of: "/").map { file[...$0] } ?? ""
        var parts: [String] = []
        if let memoryLimit { parts.append("memory_limit \(memoryLimit)") }
        if let fileLimit { parts.append("file_limit \(fileLimit)") }
        if let user { parts.append("user \(user)") }
        if !environment.isEmpty { parts.append("env " + environment.sorted().joined(separator: " ")) }
        if let sandbox {
            func text(_ paths: [String]?) -> String {
                guard let paths else { return "anything" }
                return paths.map { $0.hasPrefix(folder) ? String($0.dropFirst(folder.count)) : $0 }.sorted().joined(separator: " ")
            }
            parts += [
                "read \(text(sandbox.read))", "write \(text(sandbox.write))", "network \(sandbox.network)", "nice \(sandbox.nice)",
                "cpu_time \(sandbox.cpuTime.map { "\($0.microseconds)" } ?? "none")",
            ]
        }
        return parts.joined(separator: "\n")
    }
}

extension ResolvedJob {
    /// Of what the config says of it, as far as it decides what runs, when, and what becomes of it: equal on hosts that agree.
    ///
    /// - Parameter workers: what its plugin's workers are bounded by.
    func digest(_ workers: String) -> String {
        var parts: [String] = [
            config.plugin, config.entry, schedule.text, "\(config.enabled)", "\(config.concurrency)", config.overlap.rawValue,
            config.rate.map { "\($0.runs) in \($0.per.microseconds)" } ?? "", config.runOn.joined(separator: " "),
            "\(config.timeout.map(\.microseconds) ?? 0)", "\(config.retry.maxAttempts)", "\(config.priority)", maskedSettings,
        ]
        // Most jobs have none of their own. What is kept of a log, and how a job is graded, is each host's own affair.
        var limits = config.allLimits
        (limits.logLevel, limits.health) = (JobConfig.Limits().logLevel, HealthPolicy())
        if limits != JobConfig.Limits() { parts.append(Self.text(of: limits)) }
        if config.onStart { parts.append("on start") }
        if let calendar { parts.append(Self.text(of: calendar, calendarZone)) }
        if !config.labels.isEmpty { parts.append("labels " + config.labels.sorted().joined(separator: " ")) }
        if !workers.isEmpty { parts.append(workers) }
        return SHA256.hex(of: Array(parts.joined(separator: "\n").utf8))
    }

    private static func text(of limits: JobConfig.Limits) -> String {
        let (retry, breaker, retention, catchUp) = (limits.retry, limits.breaker, limits.retention, limits.catchUp)
        func text(_ span: Duration?) -> String { span.map { "\($0.microseconds)" } ?? "none" }
        return [
            "kill_grace \(text(limits.killGrace))", "heartbeat \(text(limits.heartbeat))", "isolate \(limits.isolate)",
            "catch_up \(catchUp.policy.rawValue) \(text(catchUp.window)) \(catchUp.limit)", "expires after \(text(limits.expiresAfter))",
            "jitter \(text(limits.jitter))", "retry \(text(retry.initial)) \(text(retry.max)) \(retry.multiplier) \(retry.jitter)",
            "breaker " + (breaker.map { "\($0.failures) \(text($0.window)) \(text($0.openFor)) \($0.successes)" } ?? "none"),
            "retention \(text(retention.age)) \(retention.runs)", "approval \(limits.approval)",
        ].joined(separator: "\n")
    }

    private static func text(of calendar: BusinessCalendar, _ zone: Zone) -> String {
        func text(_ sessions: [BusinessCalendar.Session]) -> String { sessions.map { "\($0.open)-\($0.close)" }.joined(separator: " ") }
        let halfDays = calendar.halfDays.sorted { $0.key < $1.key }.map { day, half in
            switch half {
            case .closesAt(let second): "\(day) until \(second)"
            case .sessions(let sessions): "\(day) \(text(sessions))"
            }
        }
        let days = calendar.weekly.map(text) + calendar.holidays.sorted().map { "\($0)" } + halfDays
        return "calendar in \(zone.name)\n" + days.joined(separator: "\n")
    }
}
