import JobConfig
import JobCore

/// What became of one plugin of a new config.
enum PluginVerdict: Sendable {
    /// Serves these jobs; `faults`: its other jobs are refused (only where nothing old could go on).
    case serves(LoadedPlugin, [String: ResolvedJob], faults: [String: [String]])
    /// With what serves now, if anything does, it goes on. `faults`: of single jobs, with the reasons.
    case refused(String, faults: [String: [String]])
}

/// Puts a generation together from the plugins' verdicts, and says what changed. Pure.
struct Assembly {
    private(set) var generation: Generation
    private let previous: Generation?
    private let config: HostConfig
    /// Refused plugins, whatever goes on in their place.
    private var refusals: [String: (reason: String, faults: [String: [String]])] = [:]
    /// Plugins whose file's library does not serve all that it was asked for.
    private(set) var unserved: Set<String> = []
    /// Refused jobs of plugins that serve.
    private var jobFaults: [String: [String]] = [:]
    private var warnings: [String] = []
    /// Of every job of either config.
    private var lines: [String: ReloadReport.JobLine] = [:]

    init(
        number: Int64, config: HostConfig, environment: [String: String], previous: Generation?,
        verdicts: [String: PluginVerdict]
    ) {
        self.previous = previous
        self.config = config
        let verdicts = Self.tied(verdicts, config, previous)
        var plugins: [String: LoadedPlugin] = [:]
        var jobs: [String: ResolvedJob] = [:]
        for (name, verdict) in verdicts {
            switch verdict {
            case .serves(let plugin, let served, let faults):
                plugins[name] = plugin
                jobs.merge(served) { _, new in new }
                jobFaults.merge(faults) { _, new in new }
                if !faults.isEmpty || !plugin.problem.isEmpty { unserved.insert(name) }
            case .refused(let reason, let faults):
                refusals[name] = (reason, faults)
                unserved.insert(name)
            }
        }
        // The old ones go on, but for jobs that another plugin has taken over.
        for name in refusals.keys {
            guard let old = previous?.plugins[name] else { continue }
            plugins[name] = old
            for job in previous?.jobs.values ?? [:].values where job.config.plugin == name && jobs[job.config.name] == nil {
                jobs[job.config.name] = job
            }
        }
        generation = Generation(
            number: number, config: Self.effective(config, plugins: plugins, jobs: jobs), plugins: plugins, jobs: jobs,
            pools: PoolPlan.pools(
                plugins: plugins, jobs: jobs, hostLimit: config.host.maxWorkers, environment: environment))
        warnings = Self.warnings(generation, environment)
        lines = Dictionary(uniqueKeysWithValues: jobNames.map { ($0, line(job: $0)) })
        for (name, line) in lines where line.change == .refused && config.jobs[name] != nil {
            if generation.jobs[name] == nil { generation.refused[name] = refused(name, line.detail) } else { generation.kept[name] = line.detail }
        }
        generation.refusedPlugins = Dictionary(uniqueKeysWithValues: refusals.keys.map { ($0, line(plugin: $0).detail) })
    }

    private func refused(_ name: String, _ reason: String) -> RefusedJob? {
        guard let job = config.jobs[name] else { return nil }
        let entries = generation.plugins[job.plugin]?.descriptor.entries ?? []
        let entry = entries.first { $0.id == job.entry }
        return RefusedJob(
            config: job, reason: reason, payloadSchema: entry?.payloadSchema ?? "", isIdempotent: entry?.idempotent)
    }

    /// A job that moves to a refused plugin would be nowhere: the plugin it leaves is refused
    /// with it.
    private static func tied(
        _ verdicts: [String: PluginVerdict], _ config: HostConfig, _ previous: Generation?
    ) -> [String: PluginVerdict] {
        guard let previous else { return verdicts }
        let moved = config.jobs.values.filter { job in previous.jobs[job.name].map { $0.config.plugin != job.plugin } ?? false }
            .sorted { $0.name < $1.name }
        var verdicts = verdicts
        var isStable = moved.isEmpty
        while !isStable {
            isStable = true
            for job in moved {
                guard let old = previous.jobs[job.name]?.config.plugin, case .refused = verdicts[job.plugin],
                    case .serves = verdicts[old], previous.plugins[old] != nil
                else { continue }
                let reason = "its job '\(job.name)' moves to plugin '\(job.plugin)', which was refused"
                verdicts[old] = .refused(reason, faults: [:])
                isStable = false
            }
        }
        return verdicts
    }

    /// The config as it is in force: refused plugins and their jobs as they were.
    private static func effective(
        _ config: HostConfig, plugins: [String: LoadedPlugin], jobs: [String: ResolvedJob]
    ) -> HostConfig {
        var config = config
        config.plugins = plugins.mapValues(\.config)
        config.jobs = jobs.mapValues(\.config)
        return config
    }

    private static func warnings(_ generation: Generation, _ environment: [String: String]) -> [String] {
        var warnings: [String] = []
        for (name, plugin) in generation.plugins.sorted(by: { $0.key < $1.key }) {
            if let rollback = plugin.rollback { warnings.append("plugin '\(name)': \(rollback.sentence(of: name))") }
            if !plugin.problem.isEmpty { warnings.append("plugin '\(name)': \(plugin.problem)") }
            for variable in plugin.config.environment where environment[variable] == nil {
                warnings.append("plugin '\(name)': \(variable) of its env is not set in the host's environment")
            }
        }
        let lonely = generation.jobs.compactMap { name, job -> (job: String, other: String)? in
            guard case .after(let other) = job.schedule, generation.jobs[other] == nil else { return nil }
            return (name, other)
        }
        for (name, other) in lonely.sorted(by: { $0.job < $1.job }) {
            warnings.append("job '\(name)' runs after '\(other)', which is not there now: it will not run")
        }
        return warnings
    }

    // MARK: Report

    func report(at instant: Instant) -> ReloadReport {
        var report = ReloadReport(
            generation: generation.number, at: instant, accepted: true, warnings: warnings,
            plugins: pluginNames.sorted().map(line(plugin:)), jobs: lines.values.sorted { $0.job < $1.job })
        for index in report.jobs.indices { report.jobs[index].serves = serves(report.jobs[index].job, in: generation) }
        report.jobsBefore = previous?.jobs.count ?? 0
        if let warning = report.removalWarning { report.warnings.insert(warning, at: 0) }
        return report
    }

    private var pluginNames: Set<String> { Set(config.plugins.keys).union(previous?.plugins.keys ?? [:].keys) }
    private var jobNames: Set<String> { Set(config.jobs.keys).union(previous?.jobs.keys ?? [:].keys) }

    private func line(plugin name: String) -> ReloadReport.PluginLine {
        let old = previous?.plugins[name]
        if let refusal = refusals[name] {
            let goesOn = old.map { "; library \($0.copy.sha256.prefix(7)) goes on\(jobsThatGoOn(with: name))" } ?? ""
            return .init(plugin: name, change: .refused, detail: refusal.reason + goesOn)
        }
        guard let new = generation.plugins[name] else { return .init(plugin: name, change: .removed) }
        // The file that was asked for does not serve, though an earlier copy does.
        if !new.problem.isEmpty, old?.problem != new.problem { return .init(plugin: name, change: .refused, detail: new.problem) }
        guard let old else {
            return .init(plugin: name, change: .added, detail: "\(new.descriptor.id) \(new.descriptor.version), library \(new.copy.sha256.prefix(7))")
        }
        return Changes.of(old, new).map { .init(plugin: name, change: .changed, detail: $0) } ?? .init(plugin: name, change: .kept)
    }

    /// A refused plugin keeps all of its jobs, also those that nothing is wrong with: each is named.
    private func jobsThatGoOn(with plugin: String) -> String {
        let names = generation.jobs.values.filter { $0.config.plugin == plugin }.map(\.config.name).sorted()
        guard !names.isEmpty else { return "" }
        let shown = names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
        return " with \(names.count == 1 ? "its job" : "all its \(names.count) jobs") as before: \(shown)"
    }

    private func serves(_ job: String, in generation: Generation) -> Bool {
        generation.jobs[job]?.config.isServed(by: generation.config.host) ?? false
    }

    /// Why it does not run here.
    private func absence(_ job: ResolvedJob, _ host: HostSettings) -> String {
        guard job.config.isServed(by: HostSettings(name: host.name, stateDir: host.stateDir, pluginDirs: [], only: host.only, labels: job.config.runOn))
        else { return "not among host.only: it does not run here" }
        let own = host.labels.isEmpty ? "none" : host.labels.joined(separator: ", ")
        return "run_on = \(job.config.runOn.joined(separator: ", ")), and this host's labels are \(own): it does not run here"
    }

    private func line(job name: String) -> ReloadReport.JobLine {
        let old = previous?.jobs[name]
        if let faults = jobFaults[name] { return .init(job: name, change: .refused, detail: faults.joined(separator: "; ")) }
        if let wanted = config.jobs[name], let refusal = refusals[wanted.plugin] {
            return line(job: name, wanted, old, refusal.reason, refusal.faults[name])
        }
        guard let new = generation.jobs[name] else { return .init(job: name, change: .removed) }
        // To `only` a job that is not chosen is not there, and comes and goes as if the config did it.
        guard serves(name, in: generation) else {
            let isLeaving = previous.map { serves(name, in: $0) } ?? false
            return .init(job: name, change: isLeaving ? .removed : .kept, detail: absence(new, generation.config.host))
        }
        guard let old, previous.map({ serves(name, in: $0) }) == true else {
            return .init(job: name, change: .added, detail: ScheduleText.describe(new))
        }
        if config.jobs[name] == nil {
            return .init(job: name, change: .kept, detail: "its removal waits: plugin '\(new.config.plugin)' was refused")
        }
        return Changes.of(old, new).map { .init(job: name, change: .changed, detail: $0) } ?? .init(job: name, change: .kept)
    }

    /// A job of a refused plugin: kept if nothing but its library could have changed.
    private func line(
        job name: String, _ wanted: JobConfig, _ old: ResolvedJob?, _ reason: String, _ faults: [String]?
    ) -> ReloadReport.JobLine {
        let why = faults?.joined(separator: "; ") ?? "plugin '\(wanted.plugin)' was refused: \(reason)"
        guard let old else { return .init(job: name, change: .refused, detail: why) }
        var wanted = wanted
        if wanted.schedule == nil { wanted.schedule = old.config.schedule }
        let keys = wanted.changedKeys(from: old.config)
        if keys.isEmpty, faults == nil {
            return .init(job: name, change: .kept, detail: "with library \(old.libraryHash.prefix(7))")
        }
        let changes = keys.isEmpty ? "" : " (\(keys.joined(separator: ", ")))"
        return .init(job: name, change: .refused, detail: "\(why); it goes on as it was\(changes)")
    }
}
