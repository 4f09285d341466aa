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

    /// With what the builds have read: a rule that a reload replaces has still to account for its time, whatever the
    /// host is short of by then.
    nonisolated var zones: any ZoneSource { tools.zones }

    /// - Parameters:
    ///   - file: the main config file.
    ///   - environment: the host's own; `${VAR}` of the config and `env` of plugins read it.
    ///   - previous: what serves now; nil at start and for `check`.
    ///   - accepted: the last accepted copies, from the store; looked at only if there is no `previous`.
    ///   - number: of the new generation; nil: one after `previous`, or 1.
    ///   - history: what each plugin has served with, and which libraries it was taken back from.
    ///   - choices: what has been decided about single plugins since.
    ///   - choicesOnly: the config is that of `previous`, and only the plugins of `choices` are
    ///     looked at: what is on disk for the others waits for a reload.
    ///   - triesAgain: with `choicesOnly`: plugins that were refused are looked at too, with the config
    ///     that asked for them.
    ///   - allowsEmpty: a config without a job may take the place of one that has some.
    public func build(
        file: String, environment: [String: String], previous: Generation?, accepted: [AcceptedLibrary],
        number: Int64? = nil, history: LibraryHistory = LibraryHistory(), choices: [String: LibraryChoice] = [:],
        choicesOnly: Bool = false, triesAgain: Bool = false, allowsEmpty: Bool = false
    ) async -> BuildOutcome {
        let start = tools.clock.now()
        let next = number ?? (previous?.number ?? 0) + 1
        var report = ReloadReport(generation: previous?.number ?? 0, at: start.wall, accepted: false)
        let config: HostConfig
        let again = choicesOnly && triesAgain ? previous?.unserved : nil
        if choicesOnly, let previous {
            config = again?.config ?? previous.config
        } else {
            do {
                config = try await tools.loadConfig(file, environment)
            } catch {
                report.errors = error.errors.map(\.description)
                report = timed(report, since: start)
                // What else was found may be its consequence.
                guard let fault = error.errors.first(where: \.isOfHost) else { return .refused(report) }
                return .unread(report, reason: fault.description)
            }
        }
        let ofHost = previous.map { ConfigDiff.ofHost(old: $0.config, new: config) }
        report.errors = Self.needsRestart(ofHost, config, previous?.config)
        if !allowsEmpty, again == nil, config.jobs.isEmpty, let serving = previous?.jobs.count, serving > 0 {
            report.errors.append(Self.isEmpty(file, serving))
        }
        guard report.errors.isEmpty else { return .refused(timed(report, since: start)) }

        // What was decided about a library that has had to give way meanwhile is not done to its successor.
        let dropped = previous.map { previous in
            Dictionary(uniqueKeysWithValues: choices.compactMap { name, choice in
                choice.objection(of: name, now: previous.plugins[name]).map { (name, $0) }
            })
        } ?? [:]
        let matter = Matter(
            environment: environment, previous: previous, accepted: previous == nil ? accepted : [], history: history,
            choices: choices.filter { dropped[$0.key] == nil }, choicesOnly: choicesOnly, again: Set(again?.files.keys ?? [:].keys), at: start.wall)
        let judged = await judge(config, matter)
        let assembly = Assembly(
            number: next, config: config, environment: environment, previous: previous, verdicts: judged.mapValues(\.verdict))
        var outcome = assembly.report(at: start.wall)
        outcome.host = Self.hostChanges(ofHost)
        outcome.dropped = dropped
        outcome.warnings += dropped.sorted { $0.key < $1.key }.map { "plugin '\($0.key)': \($0.value)" }
        var generation = assembly.generation
        let unserved = assembly.unserved
        if !unserved.isEmpty {
            let judged = judged.filter { unserved.contains($0.key) }
            generation.unserved = .init(
                config: config, files: judged.mapValues(\.file), untried: Set(judged.filter(\.value.isUntried).keys))
        }
        if choicesOnly, again == nil, let previous { generation.keepRefusals(of: previous, &outcome) }
        return .ready(generation, timed(outcome, since: start))
    }

    private func timed(_ report: ReloadReport, since start: Now) -> ReloadReport {
        var report = report
        report.milliseconds = (tools.clock.now().monotonic - start.monotonic).milliseconds
        return report
    }

    // MARK: Plugins

    /// What all plugins of one build have in common.
    private struct Matter: Sendable {
        var environment: [String: String]
        var previous: Generation?
        var accepted: [AcceptedLibrary]
        var history: LibraryHistory
        var choices: [String: LibraryChoice]
        var choicesOnly: Bool
        var again: Set<String>
        var at: Instant
    }

    private struct Judged: Sendable {
        var verdict: PluginVerdict
        /// The host could not try its library: the verdict says nothing of it.
        var isUntried: Bool
        /// Its file, before it was looked at.
        var file: FileStamp?
    }

    private func judge(_ config: HostConfig, _ matter: Matter) async -> [String: Judged] {
        // By name, each of them moved once: jobs are large.
        var byPlugin: [String: [String]] = [:]
        for name in config.jobs.keys.sorted() { byPlugin[config.jobs[name]?.plugin ?? "", default: []].append(name) }
        let work = config.plugins.values.sorted { $0.name < $1.name }.map { plugin in
            Work(plugin, (byPlugin[plugin.name] ?? []).compactMap { config.jobs[$0] }, matter)
        }
        let resolver = JobResolver(config: config, zones: OnceAskedZones(tools.zones), previous: matter.previous)
        return await withTaskGroup(of: (String, Judged).self) { group in
            var judged: [String: Judged] = [:]
            for (index, item) in work.enumerated() {
                if index >= Self.probesAtOnce, let done = await group.next() { judged[done.0] = done.1 }
                group.addTask {
                    let file = self.tools.stamp(item.plugin.library)
                    let (verdict, isUntried) = await self.verdict(item, resolver)
                    return (item.plugin.name, Judged(verdict: verdict, isUntried: isUntried, file: file))
                }
            }
            for await done in group { judged[done.0] = done.1 }
            return judged
        }
    }

    private struct Work: Sendable {
        var plugin: PluginConfig
        var jobs: [JobConfig]
        var matter: Matter
        /// What its library is asked.
        var trial: Trial
        init(_ plugin: PluginConfig, _ jobs: [JobConfig], _ matter: Matter) {
            (self.plugin, self.jobs, self.matter) = (plugin, jobs, matter)
            trial = Trial(plugin, jobs: jobs, environment: matter.environment)
        }
        var environment: [String: String] { matter.environment }
        var previous: Generation? { matter.previous }
        var accepted: AcceptedLibrary? { matter.accepted.last { $0.plugin == plugin.name } }
        var old: LoadedPlugin? { previous?.plugins[plugin.name] }
        var choice: LibraryChoice? { matter.choices[plugin.name] }
        var known: LibraryHistory.Plugin? { matter.history.plugins[plugin.name] }
    }

    private func verdict(_ work: Work, _ resolver: JobResolver) async -> (PluginVerdict, isUntried: Bool) {
        if work.matter.choicesOnly, work.choice == nil, !work.matter.again.contains(work.plugin.name), let previous = work.previous, let old = work.old {
            return (.serves(old, previous.jobs.filter { $0.value.config.plugin == work.plugin.name }, faults: [:]), false)
        }
        let newest = await wantedLibrary(work, resolver)
        if case .loaded(let plugin, let result) = newest, result.isWhole {
            return (.serves(plugin, result.jobs, faults: [:]), false)
        }
        return (await verdict(work, resolver, insteadOf: newest), newest.isUntried)
    }

    /// What goes on where the wanted library does not serve all that it was asked for.
    private func verdict(_ work: Work, _ resolver: JobResolver, insteadOf newest: Tried) async -> PluginVerdict {
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
        /// A fault of the host's kept it from trying.
        case untried(String)

        var isUntried: Bool { if case .untried = self { true } else { false } }
        /// The same for this reason, which is made of that one.
        func because(_ reason: String) -> Tried { isUntried ? .untried(reason) : .refused(reason) }

        var faults: [String: [String]] {
            if case .loaded(_, let result) = self { result.faults } else { [:] }
        }
        var reason: String {
            switch self {
            case .refused(let reason), .untried(let reason): return reason
            case .loaded(_, let result):
                let names = result.faults.keys.sorted()
                return (names.first.flatMap { result.faults[$0]?.first } ?? "")
                    + (names.count > 1 ? " (and \(names.count - 1) more)" : "")
            }
        }
    }

    /// The file's library, unless it has been decided that another one is to serve.
    private func wantedLibrary(_ work: Work, _ resolver: JobResolver) async -> Tried {
        switch work.choice {
        case .rollBack(let copy, let from, let by, let reason)?:
            // What was rolled back from already is still what the file holds.
            let rollback = LibraryHistory.Rollback(
                serving: copy, insteadOf: work.old?.rollback?.insteadOf ?? from, at: work.matter.at, by: by, reason: reason)
            if await holds(of: rollback.insteadOf, work) { return await earlier(rollback, work, resolver) }
        case .serve(let copy)?, .takeOver(let copy)?:
            if await holds(of: copy, work) { return await load(copy, work, resolver) }
        case nil:
            if let rollback = work.known?.rollback, await fileCopy(work)?.sha256 == rollback.insteadOf.sha256 {
                return await earlier(rollback, work, resolver)
            }
        }
        let newest = await newestLibrary(work, resolver)
        guard let canary = work.plugin.canary, case .loaded(let plugin, let result) = newest, result.isWhole,
            let base = baseline(work), base.sha256 != plugin.copy.sha256
        else { return newest }
        return await canaried(plugin, canary, beside: base, work, resolver)
    }

    /// A choice about the file's library holds until the file is known to be another one: then it is as if the choice
    /// had been obeyed before the reload that found that. Without a reload nobody looks at the file.
    private func holds(of file: LibraryCopy, _ work: Work) async -> Bool {
        if work.matter.choicesOnly { return true }
        return await fileCopy(work).map { $0.sha256 == file.sha256 } ?? true
    }

    /// What served before the file's library, where it is still there.
    private func baseline(_ work: Work) -> LibraryCopy? {
        switch work.choice {
        case .rollBack(let copy, _, _, _)?, .serve(let copy)?, .takeOver(let copy)?: return copy
        case nil: break
        }
        if let old = work.old { return old.copy }
        return work.known?.versions.last { tools.stamp($0.path) != nil }?.copy
    }

    /// Both libraries serve the new config: the old one everything but a few runs.
    private func canaried(
        _ fresh: LoadedPlugin, _ canary: PluginConfig.Canary, beside base: LibraryCopy, _ work: Work, _ resolver: JobResolver
    ) async -> Tried {
        let tried = await load(base, work, resolver)
        guard case .loaded(var plugin, let result) = tried, result.isWhole else {
            return tried.because(
                "its library changed to \(fresh.copy.sha256.prefix(7)), and a canary needs the old one, \(base.sha256.prefix(7)), "
                    + "beside it; but that does not serve the new config: \(tried.reason). Change the library first and the "
                    + "config when it has taken over, or take out `canary` for this reload")
        }
        plugin.canary = CanaryLibrary(copy: fresh.copy, descriptor: fresh.descriptor, runs: canary.runs)
        return .loaded(plugin, result)
    }

    private func earlier(_ rollback: LibraryHistory.Rollback, _ work: Work, _ resolver: JobResolver) async -> Tried {
        guard tools.stamp(rollback.serving.path) != nil else {
            return .refused("the copy \(rollback.serving.path) that was rolled back to is gone")
        }
        let tried = await load(rollback.serving, work, resolver)
        guard case .loaded(var plugin, let result) = tried else {
            return tried.because("library \(rollback.serving.sha256.prefix(7)), which was rolled back to: \(tried.reason)")
        }
        if work.choice != nil, let canary = work.old?.canary, canary.copy != rollback.insteadOf {
            // What is left is not what is on trial: that goes on, beside another one.
            plugin.canary = canary
        } else {
            plugin.rollback = rollback
        }
        return .loaded(plugin, result)
    }

    /// A copy that the host has, with the config as it is now.
    private func load(_ copy: LibraryCopy, _ work: Work, _ resolver: JobResolver) async -> Tried {
        let trial = work.trial
        switch await ask(copy, trial, work) {
        case .loaded(let descriptor, let answers): return fitted(copy, descriptor, answers, work, resolver)
        case .refused(let reason), .late(let reason): return .refused(reason)
        case .hostFault(let reason): return .untried("the host could not try it: \(reason)")
        }
    }

    /// A library that loads, with its jobs.
    private func fitted(
        _ copy: LibraryCopy, _ descriptor: PluginDescriptor, _ answers: [String?], _ work: Work, _ resolver: JobResolver
    ) -> Tried {
        let result = resolver.resolve(work.jobs, descriptor: descriptor, copy: copy, answers: work.trial.byJob(answers))
        if let fault = result.hostFault { return .untried("the host could not try its jobs: \(fault)") }
        return .loaded(LoadedPlugin(config: work.plugin, copy: copy, descriptor: descriptor), result)
    }

    /// nil: the file is not there, or no library.
    private func fileCopy(_ work: Work) async -> LibraryCopy? {
        guard let stamp = tools.stamp(work.plugin.library) else { return nil }
        return try? await copyOf(work.plugin, stamp)
    }

    /// The file as the operator keeps it.
    private func newestLibrary(_ work: Work, _ resolver: JobResolver) async -> Tried {
        let path = work.plugin.library
        guard let stamp = tools.stamp(path) else { return .refused("there is no library \(path)") }
        if !work.plugin.allowWorldWritable, let exposed = tools.exposed(path) {
            return .refused(
                "\(path) is not safe: \(exposed), so anybody on this machine could have put code of theirs into the host. "
                    + "Take that right away (chmod o-w \(exposed.path)), or set allow_world_writable = true")
        }
        let trial = work.trial
        if let before = refused[work.plugin.name], before.stamp == stamp, before.trial == nil || before.trial == trial {
            return .refused("\(before.reason) (as before: the file is unchanged; touch it to have it tried again)")
        }
        let copy: LibraryCopy
        do {
            copy = try await copyOf(work.plugin, stamp)
        } catch let refusal as LibraryRefusal where !refusal.isHostFault {
            refused[work.plugin.name] = Refused(stamp: stamp, trial: nil, reason: "\(refusal)")
            return .refused("\(refusal)")
        } catch {
            return .untried("\(error)")
        }
        if let pin = work.plugin.sha256, pin != copy.sha256 {
            return .refused("\(path) has the sha256 \(copy.sha256), but \(work.plugin.place(of: "sha256")) allows only \(pin)")
        }
        let answer = await ask(copy, trial, work)
        switch answer {
        case .loaded(let descriptor, let answers):
            refused[work.plugin.name] = nil
            return fitted(copy, descriptor, answers, work, resolver)
        case .refused(let reason):
            refused[work.plugin.name] = Refused(stamp: stamp, trial: trial, reason: "\(path): \(reason)")
            return .refused("\(path): \(reason)")
        case .late(let reason):
            return .refused("\(path): \(reason)")
        case .hostFault(let reason):
            return .untried("the host could not try \(path): \(reason)")
        }
    }

    /// At start: the copy that served before.
    private func acceptedLibrary(_ work: Work, _ resolver: JobResolver, insteadOf newest: Tried) async -> Tried? {
        // A file that cannot be read now is not known to be another one than what was rolled back from.
        if let rollback = work.known?.rollback, await fileCopy(work) == nil,
            case .loaded(var plugin, let result) = await earlier(rollback, work, resolver)
        {
            plugin.problem = "library \(rollback.serving.sha256.prefix(7)), which was rolled back to, serves on: \(newest.reason)"
            return .loaded(plugin, result)
        }
        guard let accepted = work.accepted, tools.stamp(accepted.path) != nil else { return nil }
        // Whoever allows one content alone would rather have none than another one.
        if let pin = work.plugin.sha256, pin != accepted.sha256 { return nil }
        if case .loaded(let plugin, _) = newest, plugin.copy.sha256 == accepted.sha256 { return nil }
        let copy = LibraryCopy(sha256: accepted.sha256, path: accepted.path)
        guard case .loaded(var plugin, let result) = await load(copy, work, resolver) else { return nil }
        plugin.problem = "the copy accepted on \(accepted.acceptedAt.rfc3339) serves instead: \(newest.reason)"
        return .loaded(plugin, result)
    }

    /// The files of refused plugins, as they are now.
    func stamps(of unserved: Generation.Unserved) -> [String: FileStamp?] {
        Dictionary(uniqueKeysWithValues: unserved.files.keys.map { name in
            (name, unserved.config.plugins[name].flatMap { tools.stamp($0.library) })
        })
    }

    private func copyOf(_ plugin: PluginConfig, _ stamp: FileStamp) async throws -> LibraryCopy {
        let path = plugin.library
        if let known = copies[path], known.stamp == stamp, tools.stamp(known.copy.path) != nil { return known.copy }
        let copy = try await tools.accept(path)
        // Only if the file did not change meanwhile does the stamp belong to this copy.
        copies[path] = tools.stamp(path) == stamp ? (stamp, copy) : nil
        return copy
    }

    /// The probe, unless the very same question has been answered by the generation that serves.
    private func ask(_ copy: LibraryCopy, _ trial: Trial, _ work: Work) async -> ProbeResult {
        if let old = work.old, let previous = work.previous, old.problem.isEmpty {
            let isKnown = trial.isCovered(by: Trial(old, in: previous, environment: work.environment))
            // A canary was asked the same as the library beside it.
            let descriptor = old.copy == copy ? old.descriptor : old.canary?.copy == copy ? old.canary?.descriptor : nil
            if isKnown, let descriptor { return .loaded(descriptor, answers: []) }
        }
        let spec = PoolPlan.spec(work.plugin, copy: copy, environment: work.environment)
        return await tools.probe(spec, trial.questions)
    }
}
