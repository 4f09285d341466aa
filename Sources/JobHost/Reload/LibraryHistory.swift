import JobCore

/// Which libraries a plugin has served with, and which one it was taken back from. Pure; kept in
/// `<state_dir>/plugins/versions.json`, beside the copies that it speaks of: other hosts of one
/// store have copies of their own.
public struct LibraryHistory: Codable, Equatable, Sendable {
    /// A copy that the whole plugin has served with.
    public struct Version: Codable, Hashable, Sendable {
        public var sha256: String
        /// Absolute path of the host's copy.
        public var path: String
        /// The plugin's own word for it.
        public var version: String
        /// When it last began to serve.
        public var acceptedAt: Instant
        public init(sha256: String, path: String, version: String, acceptedAt: Instant) {
            self.sha256 = sha256
            self.path = path
            self.version = version
            self.acceptedAt = acceptedAt
        }
        var copy: LibraryCopy { LibraryCopy(sha256: sha256, path: path) }
    }

    /// An earlier library serves although the file is another one, because somebody (or a
    /// canary) decided so. Ends when the file is neither of the two any more and serves, or by rolling
    /// forward; not when the file cannot be read.
    public struct Rollback: Codable, Hashable, Sendable {
        /// The copy that serves.
        public var serving: LibraryCopy
        /// What the file holds, and what is not to serve.
        public var insteadOf: LibraryCopy
        public var at: Instant
        /// Who; "canary": the host itself.
        public var by: String
        public var reason: String
        public init(serving: LibraryCopy, insteadOf: LibraryCopy, at: Instant, by: String, reason: String) {
            self.serving = serving
            self.insteadOf = insteadOf
            self.at = at
            self.by = by
            self.reason = reason
        }

        var isByCanary: Bool { by == "canary" }

        /// "rolled back on 2026-11-21T03:00:00Z by root (wrong sums)"
        var origin: String {
            "rolled back on \(Instant(seconds: at.secondsFloor).rfc3339) by \(by)" + (reason.isEmpty ? "" : " (\(reason))")
        }

        /// What serves, why, until when, and how to go forward.
        func sentence(of plugin: String) -> String {
            "library \(serving.sha256.prefix(7)) serves instead of the file's \(insteadOf.sha256.prefix(7)), \(origin); "
                + "it stays until the file changes, or: jobhost plugin rollback \(plugin) \(insteadOf.sha256.prefix(7))"
        }
    }

    /// A library that is on trial, and since when: what it has served is in the ledger, so that a restart goes on with it.
    public struct Trial: Codable, Hashable, Sendable {
        public var sha256: String
        public var since: Instant
        public init(sha256: String, since: Instant) {
            self.sha256 = sha256
            self.since = since
        }
    }

    public struct Plugin: Codable, Equatable, Sendable {
        /// The one that served last is last.
        public var versions: [Version]
        public var rollback: Rollback?
        public var trial: Trial?
        public init(versions: [Version] = [], rollback: Rollback? = nil, trial: Trial? = nil) {
            self.versions = versions
            self.rollback = rollback
            self.trial = trial
        }

        /// When the trial of that library began; nil: it is not on trial.
        func trialBegan(_ sha256: String) -> Instant? { trial.flatMap { $0.sha256 == sha256 ? $0.since : nil } }

        /// What served before that library did; never one that was just rolled back from.
        func previous(to sha256: String) -> Version? {
            versions.last { $0.sha256 != sha256 && $0.sha256 != rollback?.insteadOf.sha256 }
        }
    }

    public var plugins: [String: Plugin]

    public init(plugins: [String: Plugin] = [:]) { self.plugins = plugins }

    /// Takes over what a generation serves with. Plugins that are gone from the config are
    /// remembered as they were: they may come back.
    public mutating func record(_ generation: Generation, at instant: Instant) {
        for (name, plugin) in generation.plugins {
            var known = plugins[name] ?? Plugin()
            // What serves for want of the file's library says nothing about the file.
            if plugin.problem.isEmpty || plugin.rollback != nil { known.rollback = plugin.rollback }
            known.trial = plugin.canary.map { canary in
                Trial(sha256: canary.copy.sha256, since: known.trialBegan(canary.copy.sha256) ?? instant)
            }
            if known.versions.last?.sha256 != plugin.copy.sha256 {
                known.versions.removeAll { $0.sha256 == plugin.copy.sha256 }
                known.versions.append(Version(
                    sha256: plugin.copy.sha256, path: plugin.copy.path, version: plugin.descriptor.version, acceptedAt: instant))
            }
            known.versions = Self.kept(known.versions, most: plugin.config.keepVersions)
            plugins[name] = known
        }
    }

    /// The newest so many, and always the one before the newest.
    private static func kept(_ versions: [Version], most: Int) -> [Version] { Array(versions.suffix(max(2, most))) }

    /// Copies that must stay on disk.
    public var copies: Set<String> {
        Set(plugins.values.flatMap { plugin in
            plugin.versions.map(\.sha256) + (plugin.rollback.map { [$0.serving.sha256, $0.insteadOf.sha256] } ?? [])
        })
    }
}
