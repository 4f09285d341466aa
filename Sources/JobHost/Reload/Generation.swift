import JobConfig
import JobCore

/// One whole applied config: everything Dispatch and the process room need, resolved and
/// checked. Immutable; a reload builds a new one and switches.
public struct Generation: Sendable {
    public var number: Int64
    public var config: HostConfig
    public var plugins: [String: LoadedPlugin]
    public var jobs: [String: ResolvedJob]
    public var pools: [PoolSpec]
    /// Jobs that the config asks for and that do not serve, by name.
    public var refused: [String: RefusedJob]
    /// Why jobs that serve do so as they were, and not as the config has them now: by name.
    public var kept: [String: String]
    /// Why plugins do not serve as the config asks for them, and what goes on instead: by name.
    public var refusedPlugins: [String: String] = [:]
    /// nil: all that the config asks for serves.
    public var unserved: Unserved?
    public init(
        number: Int64, config: HostConfig, plugins: [String: LoadedPlugin], jobs: [String: ResolvedJob], pools: [PoolSpec],
        refused: [String: RefusedJob] = [:], kept: [String: String] = [:]
    ) {
        self.number = number
        self.config = config
        self.plugins = plugins
        self.jobs = jobs
        self.pools = pools
        self.refused = refused
        self.kept = kept
    }
}

extension Generation {
    /// Plugins whose file's library was refused, for all or some of their jobs: it is tried again when the file changes,
    /// and without that where it was the host that could not try it.
    public struct Unserved: Sendable {
        /// The one that asked for them.
        public var config: HostConfig
        /// By plugin: its file as it was when it was refused; nil: it was not there.
        public var files: [String: FileStamp?]
        /// Of these: what the host could not try (no process, no descriptor, a full disk), so that nothing is known of it.
        public var untried: Set<String> = []
    }
}

/// A job that the config asks for and that does not serve: its library or its settings were
/// refused, and there was nothing older that could go on.
public struct RefusedJob: Sendable {
    /// As the config has it; its schedule may be missing.
    public var config: JobConfig
    /// Sentences, with the place in the config where there is one.
    public var reason: String
    /// JSON Schema of its payloads; "": none, or its library could not be asked.
    public var payloadSchema: String
    /// nil: its library could not be asked.
    public var isIdempotent: Bool?
    public init(config: JobConfig, reason: String, payloadSchema: String = "", isIdempotent: Bool? = nil) {
        self.config = config
        self.reason = reason
        self.payloadSchema = payloadSchema
        self.isIdempotent = isIdempotent
    }
}

public struct LoadedPlugin: Sendable {
    public var config: PluginConfig
    public var copy: LibraryCopy
    public var descriptor: PluginDescriptor
    /// Why an older copy serves although the file on disk is another one; "": it is the newest.
    public var problem: String
    /// Why an earlier library serves although the file is a sound one; nil: it does not.
    public var rollback: LibraryHistory.Rollback?
    /// The file's library, which first serves a few runs beside `copy`; nil: none.
    public var canary: CanaryLibrary?
    public init(config: PluginConfig, copy: LibraryCopy, descriptor: PluginDescriptor, problem: String = "") {
        self.config = config
        self.copy = copy
        self.descriptor = descriptor
        self.problem = problem
    }
}

/// A changed library on trial.
public struct CanaryLibrary: Equatable, Sendable {
    public var copy: LibraryCopy
    public var descriptor: PluginDescriptor
    /// Runs that it serves before it takes over.
    public var runs: Int
    public init(copy: LibraryCopy, descriptor: PluginDescriptor, runs: Int) {
        self.copy = copy
        self.descriptor = descriptor
        self.runs = runs
    }
}

/// One job with everything that its config leaves to others filled in. An object: it is looked at
/// with every fire, and never changes.
public final class ResolvedJob: Sendable {
    /// `config.schedule` is never nil here: the entry's default has been filled in.
    public let config: JobConfig
    public let entry: EntryDescriptor
    public let pool: String
    public let libraryHash: String
    /// JSON object, canonical.
    public let settings: [UInt8]
    /// The same with secrets masked, for people.
    public let maskedSettings: String
    public let schedule: ScheduleSpec
    public let zone: Zone
    public let calendar: BusinessCalendar?
    public let calendarZone: Zone
    public init(
        config: JobConfig, entry: EntryDescriptor, pool: String, libraryHash: String, settings: [UInt8],
        maskedSettings: String, schedule: ScheduleSpec, zone: Zone, calendar: BusinessCalendar?, calendarZone: Zone
    ) {
        self.config = config
        self.entry = entry
        self.pool = pool
        self.libraryHash = libraryHash
        self.settings = settings
        self.maskedSettings = maskedSettings
        self.schedule = schedule
        self.zone = zone
        self.calendar = calendar
        self.calendarZone = calendarZone
    }
}

/// What a reload did, or would do.
public struct ReloadReport: Codable, Sendable {
    public enum Change: String, Codable, CaseIterable, Sendable { case added, removed, changed, kept, refused }
    public struct JobLine: Codable, Sendable {
        public var job: String
        public var change: Change
        /// What changed ("schedule, settings; library 1a2b3c → 4d5e6f"), or why it was refused.
        public var detail: String
        /// The job serves afterwards; a refused one, as it was.
        public var serves: Bool
        public init(job: String, change: Change, detail: String = "", serves: Bool? = nil) {
            self.job = job
            self.change = change
            self.detail = detail
            self.serves = serves ?? (change != .removed && change != .refused)
        }
    }
    public struct PluginLine: Codable, Sendable {
        public var plugin: String
        public var change: Change
        public var detail: String
        public init(plugin: String, change: Change, detail: String = "") {
            self.plugin = plugin
            self.change = change
            self.detail = detail
        }
    }
    /// A changed key of `[host]` or `[http]`.
    public struct HostLine: Codable, Sendable {
        /// "host.max_workers"
        public var key: String
        /// false: only at the next start of the host.
        public var isApplied: Bool
        public init(key: String, isApplied: Bool) {
            self.key = key
            self.isApplied = isApplied
        }
        public var detail: String { isApplied ? "takes effect with the reload" : "takes effect at the next start of the host" }
    }
    /// The generation that serves now.
    public var generation: Int64
    public var at: Instant
    /// false: the whole reload was refused and the old generation goes on.
    public var accepted: Bool
    /// Errors that refused it whole (`file:line:column: …`), or warnings.
    public var errors: [String]
    public var warnings: [String]
    public var host: [HostLine] = []
    public var plugins: [PluginLine]
    public var jobs: [JobLine]
    /// Why what had been decided about a plugin's library was not done: by plugin. Among the warnings too.
    public var dropped: [String: String] = [:]
    /// How many jobs served before; at a start: in the host's last life.
    public var jobsBefore = 0
    public var milliseconds: Int64
    public init(generation: Int64, at: Instant, accepted: Bool, errors: [String] = [], warnings: [String] = [],
                plugins: [PluginLine] = [], jobs: [JobLine] = [], milliseconds: Int64 = 0) {
        self.generation = generation
        self.at = at
        self.accepted = accepted
        self.errors = errors
        self.warnings = warnings
        self.plugins = plugins
        self.jobs = jobs
        self.milliseconds = milliseconds
    }
    /// "2 added, 1 changed, 14 kept"; "nothing" for no jobs.
    public var counts: String {
        let counts = [Change.added, .changed, .removed, .kept, .refused].compactMap { change in
            let count = jobs.count { $0.change == change }
            return count == 0 ? nil : "\(count) \(change.rawValue)"
        }
        return counts.isEmpty ? "nothing" : counts.joined(separator: ", ")
    }

    /// One line for the audit: the counts and the reasons of refusals, the first few in full.
    var auditText: String {
        guard accepted else { return "refused, generation \(generation) goes on: \(Self.few(errors))" }
        let refusals = plugins.filter { $0.change == .refused }.map { "plugin \($0.plugin): \($0.detail)" }
            + jobs.filter { $0.change == .refused }.map { "\($0.job): \($0.detail)" }
        return "generation \(generation): \(counts)" + (refusals.isEmpty ? "" : "; refused: \(Self.few(refusals))")
    }

    private static func few(_ sentences: [String]) -> String {
        let shown = sentences.prefix(5).map { $0.count > 300 ? $0.prefix(300) + "…" : $0 }
        return (shown.isEmpty ? ["no reason was given"] : shown).joined(separator: "; ")
            + (sentences.count > 5 ? "; and \(sentences.count - 5) more" : "")
    }

    /// Nothing was refused.
    public var isClean: Bool {
        accepted && !jobs.contains { $0.change == .refused } && !plugins.contains { $0.change == .refused }
    }
}
