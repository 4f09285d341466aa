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

extension ResolvedJob {
    /// Of what the config says of it, as far as it decides what runs and when: equal on hosts that agree.
    var digest: String {
        var parts: [String] = [
            config.plugin, config.entry, schedule.text, "\(config.enabled)", "\(config.concurrency)", config.overlap.rawValue,
            config.rate.map { "\($0.runs) in \($0.per.microseconds)" } ?? "", config.runOn.joined(separator: " "),
            "\(config.timeout.map(\.microseconds) ?? 0)", "\(config.retry.maxAttempts)", "\(config.priority)", maskedSettings,
        ]
        if let limit = config.expiresAfter { parts.append("expires after \(limit.microseconds)") }
        return SHA256.hex(of: Array(parts.joined(separator: "\n").utf8))
    }
}
