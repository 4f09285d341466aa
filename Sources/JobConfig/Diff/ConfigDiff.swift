import JobCore

/// What a reload would change. Places do not count: a moved or reformatted line is no change.
public struct ConfigDiff: Equatable, Sendable {
    public enum Change: Equatable, Sendable {
        case added, removed, kept
        /// The keys whose values differ, in the order of the documentation.
        case changed([String])
    }

    /// Every job of either config.
    public var jobs: [String: Change] = [:]
    /// Every plugin of either config. A plugin's settings are part of its jobs; they count here
    /// too, but need no new worker.
    public var plugins: [String: Change] = [:]
    /// Changed keys of `[host]` and `[http]` ("host.max_workers") that can be applied at once.
    public var host: [String] = []
    /// Changed keys that need a restart ("host.state_dir", "store.url"): a reload refuses them.
    public var restartOnly: [String] = []

    /// Nothing differs.
    public var isEmpty: Bool {
        host.isEmpty && restartOnly.isEmpty && jobs.values.allSatisfy { $0 == .kept } && plugins.values.allSatisfy { $0 == .kept }
    }

    public static func diff(old: HostConfig, new: HostConfig) -> ConfigDiff {
        var diff = ConfigDiff()
        for name in Set(old.jobs.keys).union(new.jobs.keys) {
            diff.jobs[name] = change(old.jobs[name], new.jobs[name]) { a, b in
                var keys = a.differences(from: b, by: JobConfig.comparisons)
                // The name is the same, its meaning is not.
                if let calendar = b.calendar, !keys.contains("calendar"), old.calendars[calendar] != new.calendars[calendar] {
                    keys.append("calendar")
                }
                return keys
            }
        }
        for name in Set(old.plugins.keys).union(new.plugins.keys) {
            diff.plugins[name] = change(old.plugins[name], new.plugins[name]) { $0.differences(from: $1, by: PluginConfig.comparisons) }
        }
        let ofHost = ofHost(old: old, new: new)
        (diff.host, diff.restartOnly) = (ofHost.host, ofHost.restartOnly)
        return diff
    }

    /// `host` and `restartOnly` alone: however many jobs there are, they are not looked at.
    public static func ofHost(old: HostConfig, new: HostConfig) -> ConfigDiff {
        var diff = ConfigDiff()
        diff.host = old.host.differences(from: new.host, by: HostSettings.comparisons).map { "host." + $0 }
        diff.host += old.http.differences(from: new.http, by: HTTPSettings.comparisons).map { "http." + $0 }
        diff.host += old.alerts.differences(from: new.alerts, by: AlertSettings.comparisons).map { "alerts." + $0 }
        diff.restartOnly = diff.host.filter { $0 == "host.state_dir" }
        diff.host.removeAll { $0 == "host.state_dir" }
        if old.store != new.store { diff.restartOnly.append("store.url") }
        return diff
    }

    private static func change<Value>(_ old: Value?, _ new: Value?, _ differences: (Value, Value) -> [String]) -> Change {
        guard let old else { return .added }
        guard let new else { return .removed }
        let keys = differences(old, new)
        return keys.isEmpty ? .kept : .changed(keys)
    }
}

/// A key and whether two values agree in it.
struct Comparison<Value>: Sendable {
    let key: String
    let property: String
    let agree: @Sendable (Value, Value) -> Bool

    /// `property` is the Swift name of what `path` leads to: a test compares the list of them
    /// with the struct, so that no new property is forgotten here.
    init<Part: Equatable & SendableMetatype>(_ key: String, _ property: String, _ path: KeyPath<Value, Part> & Sendable) {
        self.key = key
        self.property = property
        agree = { $0[keyPath: path] == $1[keyPath: path] }
    }
}

protocol Compared {}
extension Compared {
    func differences(from other: Self, by comparisons: [Comparison<Self>]) -> [String] {
        comparisons.filter { !$0.agree(self, other) }.map(\.key)
    }
}

extension JobConfig: Compared {
    /// The keys whose values differ; places do not count.
    public func changedKeys(from old: JobConfig) -> [String] { differences(from: old, by: Self.comparisons) }

    static let comparisons: [Comparison<JobConfig>] = [
        .init("plugin", "plugin", \.own.value.plugin), .init("entry", "entry", \.own.value.entry),
        .init("description", "description", \.own.value.description), .init("labels", "labels", \.own.value.labels),
        .init("schedule", "schedule", \.own.value.schedule), .init("enabled", "enabled", \.own.value.enabled),
        .init("on_start", "onStart", \.own.value.onStart), .init("timeout", "timeout", \.limits.value.timeout),
        .init("kill_grace", "killGrace", \.limits.value.killGrace), .init("heartbeat", "heartbeat", \.limits.value.heartbeat),
        .init("log_level", "logLevel", \.limits.value.logLevel),
        .init("overlap", "overlap", \.limits.value.overlap), .init("concurrency", "concurrency", \.limits.value.concurrency),
        .init("rate", "rate", \.limits.value.rate), .init("run_on", "runOn", \.limits.value.runOn), .init("isolate", "isolate", \.limits.value.isolate), .init("catch_up", "catchUp", \.limits.value.catchUp),
        .init("expires_after", "expiresAfter", \.limits.value.expiresAfter),
        .init("priority", "priority", \.limits.value.priority), .init("jitter", "jitter", \.limits.value.jitter),
        .init("calendar", "calendar", \.limits.value.calendar), .init("retry", "retry", \.limits.value.retry),
        .init("breaker", "breaker", \.limits.value.breaker), .init("retention", "retention", \.limits.value.retention),
        .init("health", "health", \.limits.value.health), .init("approval", "approval", \.limits.value.approval),
        .init("settings", "settings", \.own.value.settings),
    ]
}

extension PluginConfig: Compared {
    /// The keys whose values differ; places do not count.
    public func changedKeys(from old: PluginConfig) -> [String] { differences(from: old, by: Self.comparisons) }

    static let comparisons: [Comparison<PluginConfig>] = [
        .init("library", "library", \.library), .init("memory_limit", "memoryLimit", \.memoryLimit),
        .init("file_limit", "fileLimit", \.fileLimit), .init("env", "environment", \.environment),
        .init("max_workers", "maxWorkers", \.maxWorkers), .init("min_workers", "minWorkers", \.minWorkers),
        .init("idle_timeout", "idleTimeout", \.idleTimeout), .init("recycle", "recycle", \.recycle),
        .init("start_timeout", "startTimeout", \.startTimeout), .init("user", "user", \.user),
        .init("keep_versions", "keepVersions", \.keepVersions), .init("canary", "canary", \.canary),
        .init("sha256", "sha256", \.sha256), .init("allow_world_writable", "allowWorldWritable", \.allowWorldWritable),
        .init("sandbox", "sandbox", \.sandbox), .init("settings", "settings", \.settings),
    ]
}

extension HTTPSettings: Compared {
    static let comparisons: [Comparison<HTTPSettings>] = [
        .init("listen", "listen", \.listen), .init("read_token", "readTokens", \.readTokens),
        .init("act_token", "actTokens", \.actTokens), .init("allowed_origins", "allowedOrigins", \.allowedOrigins),
        .init("outbox", "outboxes", \.outboxes),
    ]
}

extension AlertSettings: Compared {
    static let comparisons: [Comparison<AlertSettings>] = [
        .init("webhooks", "webhooks", \.webhooks), .init("ca_file", "caFile", \.caFile), .init("secret", "secret", \.secret), .init("command", "command", \.command),
        .init("level", "level", \.level), .init("gather", "gather", \.gather), .init("again", "again", \.again),
    ]
}

extension HostSettings: Compared {
    static let comparisons: [Comparison<HostSettings>] = [
        .init("name", "name", \.name), .init("state_dir", "stateDir", \.stateDir), .init("plugin_dirs", "pluginDirs", \.pluginDirs),
        .init("max_workers", "maxWorkers", \.maxWorkers), .init("schedule", "schedule", \.schedule),
        .init("consume", "consume", \.consume), .init("only", "only", \.only), .init("labels", "labels", \.labels),
        .init("grace", "grace", \.grace),
        .init("log_level", "logLevel", \.logLevel), .init("log_file", "logFile", \.logFile),
        .init("log_format", "logFormat", \.logFormat), .init("heartbeat", "heartbeat", \.heartbeat),
    ]
}
