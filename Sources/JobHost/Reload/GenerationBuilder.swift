import JobConfig
import JobCore
import JobStore

/// Builds whole generations from the config file: the one way for start, reload, `plan` and
/// `check`. It never touches what runs; switching is the caller's.
///
/// A fault of the files themselves refuses the build. A plugin whose library does not load, or
/// refuses its settings, keeps its old library and its old jobs, and the others go on. Where
/// there is nothing old: at start the last accepted copy serves; else a library that loads
/// serves the jobs that are in order, and the others are refused.
public actor GenerationBuilder {
    private let tools: BuildTools
    /// Probes at a time.
    static let probesAtOnce = 4

    /// What was refused, so that the same file is not loaded again and again.
    private struct Refused {
        var stamp: FileStamp
        /// nil: whatever is asked of it.
        var trial: Trial?
        var reason: String
    }
    private var refused: [String: Refused] = [:]
    /// The copy made of a file as it still is.
    private var copies: [String: (stamp: FileStamp, copy: LibraryCopy)] = [:]

    public init(tools: BuildTools) { self.tools = tools }

    /// - Parameters:
    ///   - file: the main config file.
    ///   - environment: the host's own; `${VAR}` of the config and `env` of plugins read it.
    ///   - previous: what serves now; nil at start and for `check`.
    ///   - accepted: the last accepted copies, from the store; looked at only if there is no `previous`.
    ///   - number: of the new generation; nil: one after `previous`, or 1.
    public func build(
        file: String, environment: [String: String], previous: Generation?, accepted: [AcceptedLibrary],
        number: Int64? = nil
    ) async -> BuildOutcome {
        let start = tools.clock.now()
        let next = number ?? (previous?.number ?? 0) + 1
        var report = ReloadReport(generation: previous?.number ?? 0, at: start.wall, accepted: false)
        let config: HostConfig
        do {
            config = try await tools.loadConfig(file, environment)
        } catch {
            report.errors = error.errors.map(\.description)
            return .refused(timed(report, since: start))
        }
        report.errors = Self.needsRestart(config, previous?.config)
        guard report.errors.isEmpty else { return .refused(timed(report, since: start)) }

        let verdicts = await judge(config, environment, previous, accepted)
        let assembly = Assembly(
            number: next, config: config, environment: environment, previous: previous, verdicts: verdicts)
        var outcome = assembly.report(at: start.wall)
        outcome.host = Self.hostChanges(config, previous?.config)
        return .ready(assembly.generation, timed(outcome, since: start))
    }

    private func timed(_ report: ReloadReport, since start: Now) -> ReloadReport {
        var report = report
        report.milliseconds = (tools.clock.now().monotonic - start.monotonic).milliseconds
        return report
    }

    /// Where the host lives and what it remembers cannot change under it.
    static func needsRestart(_ new: HostConfig, _ old: HostConfig?) -> [String] {
        guard let old else { return [] }
        return ConfigDiff.diff(old: old, new: new).restartOnly.map { key in
            let change = key == "host.state_dir" ? " from \(old.host.stateDir) to \(new.host.stateDir)" : ""
            return "\(key) changed\(change), which needs a restart"
        }
    }

    /// Some keys are read once, at start: the reload goes through, and says so.
    static func hostChanges(_ new: HostConfig, _ old: HostConfig?) -> [ReloadReport.HostLine] {
        guard let old else { return [] }
        let readAtStart: Set = ["host.name", "host.log_level", "host.log_file", "host.log_format"]
        return ConfigDiff.diff(old: old, new: new).host.map { key in
            ReloadReport.HostLine(key: key, isApplied: !readAtStart.contains(key))
        }
    }

    // MARK: Plugins

    private func judge(
        _ config: HostConfig, _ environment: [String: String], _ previous: Generation?, _ accepted: [AcceptedLibrary]
    ) async -> [String: PluginVerdict] {
        let byPlugin = Dictionary(grouping: config.jobs.values, by: \.plugin)
        let work = config.plugins.values.sorted { $0.name < $1.name }.map { plugin in
            Work(
                plugin: plugin, jobs: (byPlugin[plugin.name] ?? []).sorted { $0.name < $1.name },
                environment: environment, previous: previous,
                accepted: previous == nil ? accepted.last { $0.plugin == plugin.name } : nil)
        }
        let resolver = JobResolver(config: config, zones: tools.zones)
        return await withTaskGroup(of: (String, PluginVerdict).self) { group in
            var verdicts: [String: PluginVerdict] = [:]
            for (index, item) in work.enumerated() {
                if index >= Self.probesAtOnce, let done = await group.next() { verdicts[done.0] = done.1 }
                group.addTask { (item.plugin.name, await self.verdict(item, resolver)) }
            }
            for await done in group { verdicts[done.0] = done.1 }
            return verdicts
        }
    }

    private struct Work: Sendable {
        var plugin: PluginConfig
        var jobs: [JobConfig]
        var environment: [String: String]
        var previous: Generation?
        var accepted: AcceptedLibrary?
        var old: LoadedPlugin? { previous?.plugins[plugin.name] }
    }

    private func verdict(_ work: Work, _ resolver: JobResolver) async -> PluginVerdict {
        let newest = await newestLibrary(work, resolver)
        if case .loaded(let plugin, let result) = newest, result.isWhole {
            return .serves(plugin, result.jobs, faults: [:])
        }
        if work.old != nil { return .refused(newest.reason, faults: newest.faults) }
        let earlier = await acceptedLibrary(work, resolver, insteadOf: newest)
        if case .loaded(let plugin, let result)? = earlier, result.isWhole {
            return .serves(plugin, result.jobs, faults: [:])
        }
        // Nothing is whole: the newest that loads at all, with the jobs that are in order.
        for trial in [newest, earlier] {
            if case .loaded(let plugin, let result)? = trial { return .serves(plugin, result.jobs, faults: result.faults) }
        }
        return .refused(newest.reason, faults: [:])
    }

    /// How a library did with its jobs.
    private enum Tried {
        case loaded(LoadedPlugin, JobResolver.Result)
        case refused(String)

        var faults: [String: [String]] {
            if case .loaded(_, let result) = self { result.faults } else { [:] }
        }
        var reason: String {
            switch self {
            case .refused(let reason): return reason
            case .loaded(_, let result):
                let names = result.faults.keys.sorted()
                return (names.first.flatMap { result.faults[$0]?.first } ?? "")
                    + (names.count > 1 ? " (and \(names.count - 1) more)" : "")
            }
        }
    }

    /// The file as the operator keeps it.
    private func newestLibrary(_ work: Work, _ resolver: JobResolver) async -> Tried {
        let path = work.plugin.library
        guard let stamp = tools.stamp(path) else { return .refused("there is no library \(path)") }
        let trial = Trial(work.plugin, jobs: work.jobs, environment: work.environment)
        if let before = refused[work.plugin.name], before.stamp == stamp, before.trial == nil || before.trial == trial {
            return .refused("\(before.reason) (as before: the file is unchanged; touch it to have it tried again)")
        }
        let copy: LibraryCopy
        do {
            copy = try await copyOf(path, stamp)
        } catch let refusal as LibraryRefusal where !refusal.isHostFault {
            refused[work.plugin.name] = Refused(stamp: stamp, trial: nil, reason: "\(refusal)")
            return .refused("\(refusal)")
        } catch {
            return .refused("\(error)")
        }
        let answer = await ask(copy, trial, work)
        switch answer {
        case .loaded(let descriptor, let answers):
            refused[work.plugin.name] = nil
            let plugin = LoadedPlugin(config: work.plugin, copy: copy, descriptor: descriptor)
            return .loaded(plugin, resolver.resolve(work.jobs, descriptor: descriptor, copy: copy, answers: trial.byJob(answers)))
        case .refused(let reason):
            refused[work.plugin.name] = Refused(stamp: stamp, trial: trial, reason: "\(path): \(reason)")
            return .refused("\(path): \(reason)")
        case .hostFault(let reason):
            return .refused("the host could not try \(path): \(reason)")
        }
    }

    /// At start: the copy that served before.
    private func acceptedLibrary(_ work: Work, _ resolver: JobResolver, insteadOf newest: Tried) async -> Tried? {
        guard let accepted = work.accepted, tools.stamp(accepted.path) != nil else { return nil }
        if case .loaded(let plugin, _) = newest, plugin.copy.sha256 == accepted.sha256 { return nil }
        let copy = LibraryCopy(sha256: accepted.sha256, path: accepted.path)
        let trial = Trial(work.plugin, jobs: work.jobs, environment: work.environment)
        guard case .loaded(let descriptor, let answers) = await ask(copy, trial, work) else { return nil }
        let problem = "the copy accepted on \(accepted.acceptedAt.rfc3339) serves instead: \(newest.reason)"
        let plugin = LoadedPlugin(config: work.plugin, copy: copy, descriptor: descriptor, problem: problem)
        return .loaded(plugin, resolver.resolve(work.jobs, descriptor: descriptor, copy: copy, answers: trial.byJob(answers)))
    }

    private func copyOf(_ path: String, _ stamp: FileStamp) async throws -> LibraryCopy {
        if let known = copies[path], known.stamp == stamp, tools.stamp(known.copy.path) != nil { return known.copy }
        let copy = try await tools.accept(path)
        // Only if the file did not change meanwhile does the stamp belong to this copy.
        copies[path] = tools.stamp(path) == stamp ? (stamp, copy) : nil
        return copy
    }

    /// The probe, unless the very same question has been answered by the generation that serves.
    private func ask(_ copy: LibraryCopy, _ trial: Trial, _ work: Work) async -> ProbeResult {
        if let old = work.old, let previous = work.previous, old.problem.isEmpty, old.copy == copy,
            trial.isCovered(by: Trial(old, in: previous, environment: work.environment))
        {
            return .loaded(old.descriptor, answers: trial.questions.map { _ in nil })
        }
        let spec = PoolPlan.spec(work.plugin, copy: copy, environment: work.environment)
        return await tools.probe(spec, trial.questions)
    }
}

/// All that a probe's answer may depend on, the library apart.
struct Trial: Hashable, Sendable {
    private struct Question: Hashable, Sendable {
        var entry: String
        var settings: [UInt8]
    }
    private var jobs: [String] = []
    private var asked: [Question] = []
    private var environment: [String: String]
    private var memoryLimit: UInt64?
    private var fileLimit: UInt64?
    private var user: String?

    init(_ plugin: PluginConfig, jobs: [JobConfig], environment: [String: String]) {
        self.environment = environment.filter { plugin.environment.contains($0.key) }
        (memoryLimit, fileLimit, user) = (plugin.memoryLimit, plugin.fileLimit, plugin.user)
        for job in jobs {
            self.jobs.append(job.name)
            asked.append(Question(entry: job.entry, settings: Array(job.settings.canonicalJSON.utf8)))
        }
    }

    /// What a serving plugin has accepted.
    init(_ plugin: LoadedPlugin, in generation: Generation, environment: [String: String]) {
        let jobs = generation.jobs.values.filter { $0.config.plugin == plugin.config.name && $0.libraryHash == plugin.copy.sha256 }
        self.init(plugin.config, jobs: jobs.map(\.config), environment: environment)
    }

    var questions: [SettingsQuestion] { asked.map { SettingsQuestion(entry: $0.entry, settings: $0.settings) } }

    /// Answers in the order of `questions`; missing ones count as accepted.
    func byJob(_ answers: [String?]) -> [String: String] {
        var refusals: [String: String] = [:]
        for (job, answer) in zip(jobs, answers) {
            if let answer { refusals[job] = answer }
        }
        return refusals
    }

    func isCovered(by other: Trial) -> Bool {
        environment == other.environment && memoryLimit == other.memoryLimit && fileLimit == other.fileLimit
            && user == other.user && Set(asked).isSubset(of: other.asked)
    }
}
