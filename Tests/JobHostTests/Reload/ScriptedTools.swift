import JobConfig
import JobCore
import JobStore
import Synchronization

@testable import JobHost

/// A world for the builder: files that are names for contents, libraries that behave as
/// scripted, and a record of what was asked.
final class ScriptedTools: Sendable {
    struct World {
        var config: Result<HostConfig, ConfigErrors> = .failure(ConfigErrors([]))
        /// Content of each library file; its letters stand for its hash.
        var files: [String: String] = [:]
        /// Counts up whenever a file is written.
        var writes: [String: Int64] = [:]
        /// What a content does in a probe; none: it does not load.
        var libraries: [String: PluginDescriptor] = [:]
        /// Settings (canonical JSON) that a content refuses, with what it says.
        var dislikes: [String: [String: String]] = [:]
        var hostFault: String?
        /// Why the host cannot read the file of Asia/Tokyo.
        var zoneFault: String?
        /// Contents that take too long in a probe.
        var slow: Set<String> = []
        var unacceptable: [String: LibraryRefusal] = [:]
        var probed: [String] = []
        /// How many questions each of those probes asked.
        var asked: [Int] = []
        var accepted: [String] = []
    }
    let world = Mutex(World())

    func change(_ body: @Sendable (inout World) -> Void) { world.withLock { body(&$0) } }
    func write(_ path: String, _ content: String) {
        world.withLock { world in
            world.files[path] = content
            world.writes[path, default: 0] += 1
        }
    }
    func set(_ config: HostConfig) { world.withLock { $0.config = .success(config) } }
    /// Contents probed since the last look.
    func takeProbed() -> [String] {
        world.withLock { world in
            defer { world.probed = [] }
            return world.probed.sorted()
        }
    }

    var tools: BuildTools {
        BuildTools(
            loadConfig: { (_, _) async throws(ConfigErrors) in try self.world.withLock { $0.config }.get() },
            accept: { path in try self.accept(path) },
            probe: { spec, questions in self.probe(spec, questions) },
            stamp: { path in
                self.world.withLock { world in
                    // Copies are always there.
                    if path.hasPrefix("/copies/") { return FileStamp(device: 0, inode: 0, size: 1, modified: 0, changed: 0) }
                    guard let content = world.files[path], let write = world.writes[path] else { return nil }
                    return FileStamp(device: 1, inode: 1, size: Int64(content.utf8.count), modified: write, changed: write)
                }
            },
            zones: Zones(tools: self), clock: FixedClock())
    }

    private struct Zones: ZoneSource {
        let tools: ScriptedTools
        func zone(named name: String) throws(ZoneError) -> Zone {
            guard name == "Asia/Tokyo" else { return try FixedZones().zone(named: name) }
            if let reason = tools.world.withLock({ $0.zoneFault }) { throw .unreadable(name: name, reason: reason) }
            return .utc
        }
    }

    private func accept(_ path: String) throws -> LibraryCopy {
        try world.withLock { world in
            world.accepted.append(path)
            let content = world.files[path] ?? ""
            if let refusal = world.unacceptable[content] { throw refusal }
            return LibraryCopy(sha256: content, path: "/copies/\(content)")
        }
    }

    private func probe(_ spec: PoolSpec, _ questions: [SettingsQuestion]) -> ProbeResult {
        world.withLock { world in
            let content = spec.library.sha256
            world.probed.append(content)
            world.asked.append(questions.count)
            if let fault = world.hostFault { return .hostFault(fault) }
            if world.slow.contains(content) { return .late("not loaded within 10s") }
            guard let descriptor = world.libraries[content] else { return .refused("killed by signal 11 (SIGSEGV) while loading") }
            return .loaded(descriptor, answers: questions.map { world.dislikes[content]?[String(decoding: $0.settings, as: UTF8.self)] })
        }
    }
}

struct FixedClock: TimeSource {
    func now() -> Now { Now(wall: Instant(seconds: 1_800_000_000), monotonic: MonotonicInstant(microseconds: 5)) }
}

struct FixedZones: ZoneSource {
    func zone(named name: String) throws(ZoneError) -> Zone {
        guard name == "UTC" else { throw .unknown(name: name, nearest: "UTC") }
        return .utc
    }
}

// MARK: Short ways to say things

func place(_ line: Int) -> SourcePosition { SourcePosition(file: "jobs.toml", line: line, column: 1) }

func entry(
    _ id: String, schedule: String = "every 10s", settings: String = "", payload: String = "", state: UInt32 = 0
) -> EntryDescriptor {
    EntryDescriptor(
        id: id, description: "", idempotent: true, cancellable: true, defaultSchedule: schedule,
        settingsSchema: settings, payloadSchema: payload, stateVersion: state)
}

func library(_ version: String = "1.0", _ entries: EntryDescriptor...) -> PluginDescriptor {
    PluginDescriptor(
        id: "org.example.test", version: version, description: "", abi: 1,
        entries: entries.isEmpty ? [entry("credit"), entry("debit")] : entries)
}

func config(
    plugins: [String: String] = ["bank": "/lib/libBank.so"], _ jobs: JobConfig..., stateDir: String = "/state",
    store: String = "sqlite:/state/db", change: (inout HostConfig) -> Void = { _ in }
) -> HostConfig {
    var config = HostConfig(
        file: "/etc/jobs.toml", host: HostSettings(name: "h", stateDir: stateDir, pluginDirs: []),
        store: StoreSettings(url: store), http: HTTPSettings())
    for (index, plugin) in plugins.sorted(by: { $0.key < $1.key }).enumerated() {
        config.plugins[plugin.key] = PluginConfig(name: plugin.key, library: plugin.value, position: place(index + 1))
    }
    for job in jobs { config.jobs[job.name] = job }
    change(&config)
    return config
}

func job(
    _ name: String, plugin: String = "bank", entry: String = "credit", line: Int = 10,
    settings: [String: Int64] = [:], change: (inout JobConfig) -> Void = { _ in }
) -> JobConfig {
    let entries = settings.mapValues {
        ConfigTable.Entry(keyPosition: place(line + 1), value: ConfigValue(.integer($0), at: place(line + 1)))
    }
    var job = JobConfig(
        name: name, plugin: plugin, entry: entry, position: place(line), settings: ConfigTable(entries, position: place(line + 1)))
    change(&job)
    return job
}

extension BuildOutcome {
    var generation: Generation? {
        if case .ready(let generation, _) = self { generation } else { nil }
    }
    /// What kept the host from reading; nil: it has read.
    var unreadReason: String? { if case .unread(_, let reason) = self { reason } else { nil } }
}

extension ReloadReport {
    func job(_ name: String) -> String { jobs.first { $0.job == name }.map { "\($0.change): \($0.detail)" } ?? "none" }
    func plugin(_ name: String) -> String { plugins.first { $0.plugin == name }.map { "\($0.change): \($0.detail)" } ?? "none" }
}
