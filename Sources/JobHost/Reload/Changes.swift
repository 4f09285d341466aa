import JobConfig
import JobCore

/// What differs between two versions of a plugin or a job, in the words of the config. Pure.
enum Changes {
    /// "schedule, settings; library 1a2b3c4 → 4d5e6f7"; nil: the same.
    static func of(_ old: ResolvedJob, _ new: ResolvedJob) -> String? {
        var parts: [String] = []
        let keys = keys(old.config, new.config) + (old.zone == new.zone ? [] : ["time zone data"])
            + (old.calendar == new.calendar && old.calendarZone == new.calendarZone || old.config.calendar != new.config.calendar
                ? [] : ["calendar's days"])
            + (old.entry == new.entry || old.config.entry != new.config.entry ? [] : ["entry's description"])
        if !keys.isEmpty { parts.append(keys.joined(separator: ", ")) }
        if old.libraryHash != new.libraryHash { parts.append(library(old.libraryHash, new.libraryHash)) }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    /// The keys of the config that differ; places in the file do not count.
    static func keys(_ old: JobConfig, _ new: JobConfig) -> [String] {
        let checks: [(String, Bool)] = [
            ("plugin", old.plugin == new.plugin), ("entry", old.entry == new.entry),
            ("description", old.description == new.description), ("labels", old.labels == new.labels),
            ("schedule", old.schedule == new.schedule), ("enabled", old.enabled == new.enabled),
            ("on_start", old.onStart == new.onStart), ("timeout", old.timeout == new.timeout),
            ("kill_grace", old.killGrace == new.killGrace), ("heartbeat", old.heartbeat == new.heartbeat),
            ("overlap", old.overlap == new.overlap), ("concurrency", old.concurrency == new.concurrency),
            ("isolate", old.isolate == new.isolate), ("catch_up", old.catchUp == new.catchUp),
            ("priority", old.priority == new.priority), ("jitter", old.jitter == new.jitter),
            ("calendar", old.calendar == new.calendar), ("retry", old.retry == new.retry),
            ("breaker", old.breaker == new.breaker), ("retention", old.retention == new.retention),
            ("settings", old.settings == new.settings),
        ]
        return checks.filter { !$0.1 }.map(\.0)
    }

    /// nil: the same.
    static func of(_ old: LoadedPlugin, _ new: LoadedPlugin) -> String? {
        var parts: [String] = []
        let keys = keys(old.config, new.config)
        if !keys.isEmpty { parts.append(keys.joined(separator: ", ")) }
        if old.copy.sha256 != new.copy.sha256 {
            let versions = old.descriptor.version == new.descriptor.version
                ? "" : " (version \(old.descriptor.version) → \(new.descriptor.version))"
            parts.append(library(old.copy.sha256, new.copy.sha256) + versions)
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    static func keys(_ old: PluginConfig, _ new: PluginConfig) -> [String] {
        let checks: [(String, Bool)] = [
            ("library", old.library == new.library), ("memory_limit", old.memoryLimit == new.memoryLimit),
            ("file_limit", old.fileLimit == new.fileLimit), ("env", old.environment == new.environment),
            ("max_workers", old.maxWorkers == new.maxWorkers), ("min_workers", old.minWorkers == new.minWorkers),
            ("idle_timeout", old.idleTimeout == new.idleTimeout), ("recycle", old.recycle == new.recycle),
            ("start_timeout", old.startTimeout == new.startTimeout), ("user", old.user == new.user),
            ("settings", old.settings == new.settings),
        ]
        return checks.filter { !$0.1 }.map(\.0)
    }

    static func library(_ old: String, _ new: String) -> String { "library \(old.prefix(7)) → \(new.prefix(7))" }
}
