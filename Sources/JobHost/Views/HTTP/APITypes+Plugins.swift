import JobCore

/// Plugins, the versions of their libraries, and the workers that carry them.
extension API {
    public struct Plugins: Codable, Sendable {
        public var plugins: [Plugin]
    }

    public struct Plugin: Codable, Sendable {
        public var name: String
        public var library: String
        public var libraryHash: String
        public var id: String
        public var version: String
        public var description: String
        public var entries: [String]
        public var problem: String
        /// A changed library on trial, in a sentence; "": none.
        public var canary: String
    }

    public struct PluginVersions: Codable, Sendable {
        public var plugin: String
        /// The newest first.
        public var versions: [PluginVersion]
    }

    public struct PluginVersion: Codable, Sendable {
        public var sha256: String
        /// The plugin's own word for it; "": it never served.
        public var version: String
        /// When it last began to serve all runs; `null`: it never did.
        public var acceptedAt: Instant?
        /// serving, canary, rolled_back (the file's, which is not to serve), kept
        public var state: String
        public var note: String
    }

    public struct Workers: Codable, Sendable {
        public var workers: [Worker]
    }

    public struct Worker: Codable, Sendable {
        public var pid: Int32
        public var pool: String
        public var plugin: String
        public var libraryHash: String
        public var state: String
        public var run: Int64?
        public var runs: Int
        public var startedAt: Instant
        public var residentBytes: UInt64
    }
}
