import JobConfig

/// What differs between two versions of a plugin or a job, in the words of the config. Pure.
enum Changes {
    /// "schedule, settings; library 1a2b3c4 → 4d5e6f7"; nil: the same.
    static func of(_ old: ResolvedJob, _ new: ResolvedJob) -> String? {
        if old === new { return nil }
        var parts: [String] = []
        let keys = new.config.changedKeys(from: old.config) + (old.zone == new.zone ? [] : ["time zone data"])
            + (old.calendar == new.calendar && old.calendarZone == new.calendarZone || old.config.calendar != new.config.calendar
                ? [] : ["calendar's days"])
            + (old.entry == new.entry || old.config.entry != new.config.entry ? [] : ["entry's description"])
        if !keys.isEmpty { parts.append(keys.joined(separator: ", ")) }
        if old.libraryHash != new.libraryHash { parts.append(library(old.libraryHash, new.libraryHash)) }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    /// nil: the same.
    static func of(_ old: LoadedPlugin, _ new: LoadedPlugin) -> String? {
        var parts: [String] = []
        let keys = new.config.changedKeys(from: old.config)
        if !keys.isEmpty { parts.append(keys.joined(separator: ", ")) }
        if old.copy.sha256 != new.copy.sha256 {
            let versions = old.descriptor.version == new.descriptor.version
                ? "" : " (version \(old.descriptor.version) → \(new.descriptor.version))"
            parts.append(library(old.copy.sha256, new.copy.sha256) + versions)
        }
        if let canary = new.canary, canary != old.canary { parts.append(sentence(canary, beside: new.copy)) }
        if let rollback = new.rollback, rollback != old.rollback {
            parts.append("rolled back by \(rollback.by)" + (rollback.reason.isEmpty ? "" : ": \(rollback.reason)"))
        } else if new.rollback == nil, old.rollback != nil {
            parts.append("no longer rolled back")
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }

    static func sentence(_ canary: CanaryLibrary, beside copy: LibraryCopy) -> String {
        "canary: library \(canary.copy.sha256.prefix(7)) (version \(canary.descriptor.version)) serves the next "
            + "\(counted(canary.runs, "run")), \(copy.sha256.prefix(7)) all others, until it is known to be no worse"
    }

    static func library(_ old: String, _ new: String) -> String { "library \(old.prefix(7)) → \(new.prefix(7))" }
}
