import JobConfig
import JobCore
import Synchronization

// What of a new config is nobody's plugin.
extension GenerationBuilder {
    /// A file that was just emptied, or cut off before its first job, is valid: nobody means it.
    static func isEmpty(_ file: String, _ serving: Int) -> String {
        ConfigError(
            position: nil, message: "\(file) has no jobs, and \(counted(serving, "job")) would be removed",
            hint: "if that is meant: jobhost reload --allow-empty"
        ).description
    }

    /// Where the host lives and what it remembers cannot change under it.
    static func needsRestart(_ diff: ConfigDiff?, _ new: HostConfig, _ old: HostConfig?) -> [String] {
        guard let diff, let old else { return [] }
        return diff.restartOnly.map { key in
            let change = key == "host.state_dir" ? " from \(old.host.stateDir) to \(new.host.stateDir)" : ""
            return "\(key) changed\(change), which needs a restart"
        }
    }

    /// Some keys are read once, at start: the reload goes through, and says so.
    static func hostChanges(_ diff: ConfigDiff?) -> [ReloadReport.HostLine] {
        let readAtStart: Set = ["host.name", "host.log_level", "host.log_file", "host.log_format"]
        return (diff?.host ?? []).map { key in
            ReloadReport.HostLine(key: key, isApplied: !readAtStart.contains(key))
        }
    }
}

/// Asks for each zone once: thousands of jobs of one build share a few.
final class OnceAskedZones: ZoneSource {
    private let zones: any ZoneSource
    private let known = Mutex<[String: Zone]>([:])
    init(_ zones: any ZoneSource) { self.zones = zones }

    func zone(named name: String) throws(ZoneError) -> Zone {
        if let zone = known.withLock({ $0[name] }) { return zone }
        let zone = try zones.zone(named: name)
        known.withLock { $0[name] = zone }
        return zone
    }
}
