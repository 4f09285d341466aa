import JobConfig
import JobCore
import JobStore

// Which library serves: versions, rolling back, canaries.
extension Supervisor {
    // MARK: Versions

    /// What this generation serves with is what one may roll back to later.
    func recordLibraries(of next: Generation) async {
        let before = history
        history.record(next, at: clock.now().wall)
        guard history != before else { return }
        let (file, history) = (historyFile, history)
        if let fault = await Task.detached(operation: { () -> String? in
            do { try file.write(history) } catch { return "\(error)" }
            return nil
        }).value {
            log.error("the history of libraries could not be saved, so a restart would not know what serves now: \(fault)")
        }
    }

    /// The newest first; what is to serve but does not before all.
    func versions(of plugin: LoadedPlugin) -> [LibraryVersion] {
        let known = history.plugins[plugin.config.name]?.versions ?? []
        var versions: [LibraryVersion] = known.reversed().map { version in
            LibraryVersion(
                sha256: version.sha256, version: version.version, acceptedAt: version.acceptedAt,
                state: version.sha256 == plugin.copy.sha256 ? "serving" : "kept")
        }
        func mark(_ copy: LibraryCopy, _ state: String, version: String, note: String) {
            let old = versions.firstIndex { $0.sha256 == copy.sha256 }.map { versions.remove(at: $0) }
            versions.insert(
                LibraryVersion(
                    sha256: copy.sha256, version: old?.version ?? version, acceptedAt: old?.acceptedAt, state: state, note: note),
                at: 0)
        }
        if let rollback = plugin.rollback {
            mark(rollback.insteadOf, "rolled_back", version: "", note: "the file's; \(rollback.origin)")
        }
        if let canary = plugin.canary {
            mark(canary.copy, "canary", version: canary.descriptor.version, note: canaries[plugin.config.name]?.sentence ?? "")
        }
        return versions
    }

    // MARK: Rolling back

    /// Returns when it serves, or is refused.
    func rollBack(_ name: String, to wanted: String?, by actor: Actor) async throws -> ReloadReport {
        guard let plugin = generation.plugins[name] else { throw CommandError.unknownPlugin(name, among: generation.plugins.keys) }
        let (choice, sentence) = try self.choice(plugin, wanted, by: actor)
        audit(actor, "plugin rollback", detail: "\(name): \(sentence)")
        log.notice("plugin \(name): \(sentence), by \(actor.name)\(actor.reason.isEmpty ? "" : ": \(actor.reason)")")
        pendingChoices[name] = choice
        let report = await obeyChoices()
        if let why = report.dropped[name] {
            throw CommandError(.conflict, why, hint: "jobhost plugin versions \(name) lists what there is now")
        }
        return report
    }

    private func choice(
        _ plugin: LoadedPlugin, _ wanted: String?, by actor: Actor
    ) throws -> (LibraryChoice, sentence: String) {
        let name = plugin.config.name
        let target = try target(plugin, wanted)
        let files = [plugin.rollback?.insteadOf, plugin.canary?.copy]
        if files.contains(target) { return (.serve(target), "the file's library \(target.sha256.prefix(7)) serves again") }
        guard target != plugin.copy || plugin.canary != nil else {
            throw CommandError(
                .conflict, "library \(target.sha256.prefix(7)) serves already", hint: "jobhost plugin versions \(name) lists what there is")
        }
        let from = plugin.canary?.copy ?? plugin.copy
        return (
            .rollBack(to: target, from: from, by: actor.name, reason: actor.reason),
            "rolled back from library \(from.sha256.prefix(7)) to \(target.sha256.prefix(7))"
        )
    }

    private func target(_ plugin: LoadedPlugin, _ wanted: String?) throws -> LibraryCopy {
        let name = plugin.config.name
        let known = history.plugins[name] ?? LibraryHistory.Plugin()
        guard let wanted = wanted?.lowercased() else {
            // While a canary runs, the one before it is the one that serves.
            if plugin.canary != nil { return plugin.copy }
            guard let before = known.previous(to: plugin.copy.sha256) else {
                let instead = plugin.rollback.map { ", \($0.insteadOf.sha256.prefix(7)) apart, which was rolled back" } ?? ""
                throw CommandError(
                    .conflict, "plugin \(name) has served with no other library than \(plugin.copy.sha256.prefix(7))\(instead)",
                    hint: "jobhost plugin rollback \(name) HASH takes any of: jobhost plugin versions \(name)")
            }
            return before.copy
        }
        let all = Set(known.versions.map(\.copy) + [plugin.copy, plugin.rollback?.insteadOf, plugin.canary?.copy].compactMap(\.self))
        let matches = all.filter { $0.sha256.hasPrefix(wanted) }
        guard wanted.utf8.count >= 4, let match = matches.first, matches.count == 1 else {
            let problem = matches.count > 1 && wanted.utf8.count >= 4
                ? "'\(wanted)' begins more than one of them" : "plugin \(name) has no library '\(wanted.prefix(64))'"
            let list = all.map { String($0.sha256.prefix(7)) }.sorted().joined(separator: ", ")
            throw CommandError(.notFound, problem, hint: "at least 4 digits of one of: \(list)")
        }
        return match
    }

    // MARK: Trying again

    /// Refused libraries whose files have changed and are quiet are tried again, without a reload of the config; so are
    /// those that the host itself could not try.
    func lookAtRefused() {
        guard let unserved = generation.unserved else {
            refusedWatch = RefusedWatch()
            return
        }
        // While the store is away nothing can be switched to.
        guard phase == .running, storeHealth.problem == nil, !isLookingAtRefused else { return }
        isLookingAtRefused = true
        let number = generation.number
        Task {
            let files = await builder.stamps(of: unserved)
            isLookingAtRefused = false
            let again = refusedWatch.look(refused: unserved.files, untried: unserved.untried, now: files, at: clock.now().monotonic)
            guard !again.isEmpty, phase == .running, generation.number == number else { return }
            for name in again {
                let why = files[name] == unserved.files[name] ? "could not be tried for a fault of the host's" : "has changed since it was refused"
                log.notice("plugin \(name): \(unserved.config.plugins[name]?.library ?? "its library") \(why): it is tried again")
                audit(Actor(name: "host", via: "host"), "library tried again", detail: "\(name): its file \(why)")
            }
            isRetryAsked = true
            perform(reloads.request(ticket: nil, now: clock.now().monotonic))
        }
    }

    // MARK: Canaries

    /// Trials begin and end with the generations that have them; one that goes on is kept.
    func followCanaries(_ next: Generation) {
        var trials: [String: CanaryTrial] = [:]
        for (name, plugin) in next.plugins {
            guard let canary = plugin.canary else { continue }
            if let trial = canaries[name], trial.isOf(plugin) {
                trials[name] = trial
                continue
            }
            // Of an earlier life, where it died with the trial under way.
            let since = history.plugins[name]?.trialBegan(canary.copy.sha256)
            trials[name] = CanaryTrial(
                plugin: name, old: plugin.copy.sha256, fresh: canary.copy.sha256, wanted: canary.runs, isResumed: since != nil)
            log.notice("plugin \(name): \(Changes.sentence(canary, beside: plugin.copy))")
            // Its first run shall not wait for a process.
            room.prewarm(pool: PoolPlan.canaryKey(of: name), workers: 1)
            Task {
                let jobs = next.jobs.values.filter { $0.config.plugin == name }.map(\.config.name).sorted()
                await rememberRuns(of: plugin, jobs: jobs)
                if let since { await resumeTrial(of: plugin, jobs: jobs, canary.copy.sha256, since: since) }
            }
        }
        canaries = trials
    }

    /// How the old library did lately, from the ledger.
    private func rememberRuns(of plugin: LoadedPlugin, jobs: [String]) async {
        let name = plugin.config.name
        for job in jobs.prefix(50) {
            var filter = RunFilter(job: job)
            filter.limit = 50
            guard let runs = try? await store.runs(filter), canaries[name]?.old == plugin.copy.sha256 else { continue }
            canaries[name]?.remember(runs.filter { $0.libraryHash == plugin.copy.sha256 }.compactMap(\.outcome))
        }
    }

    /// What the library on trial had served before this life of the host, from the ledger: it is judged by that too, and
    /// serves as many runs fewer. Until the ledger has answered it serves none: it is asked again each second.
    private func resumeTrial(of plugin: LoadedPlugin, jobs: [String], _ fresh: String, since: Instant) async {
        let name = plugin.config.name
        func isOn() -> Bool { canaries[name].map { $0.old == plugin.copy.sha256 && $0.fresh == fresh } ?? false }
        do {
            let served = try await outcomes(of: fresh, jobs: jobs, since: since)
            guard isOn() else { return }
            let decision = canaries[name]?.resume(served)
            if let sentence = canaries[name]?.sentence { log.notice("plugin \(name): \(sentence): its trial goes on") }
            if let decision { obey(decision, name) }
        } catch {
            storeFailed(error)
            if isOn() { inASecond { await $0.resumeTrial(of: plugin, jobs: jobs, fresh, since: since) } }
        }
    }

    /// How attempts on this host ended that the library has served since then, also those that were followed by another
    /// one. Of each job the newest thousand runs are looked at.
    func outcomes(of library: String, jobs: [String], since: Instant) async throws -> [Outcome] {
        var outcomes: [Outcome] = []
        for job in jobs {
            var filter = RunFilter(job: job)
            (filter.limit, filter.withoutPayloads) = (1_000, true)
            for run in try await store.runs(filter) where run.owner == owner.host {
                if run.attempt > 1 || run.state == .retryable {
                    let earlier = try await store.attempts(of: run.id)
                    outcomes += earlier.filter { $0.libraryHash == library && $0.finishedAt >= since }.map(\.outcome)
                }
                // What is to be tried again is among those; what runs has not ended.
                guard run.state.isTerminal || run.state == .scheduled, run.libraryHash == library, let outcome = run.outcome,
                    let startedAt = run.startedAt, startedAt >= since
                else { continue }
                outcomes.append(outcome)
            }
        }
        return outcomes
    }

    /// Some of these runs go to a library on trial.
    func onTrial(_ requests: [AttemptRequest]) -> [AttemptRequest] {
        guard !canaries.isEmpty else { return requests }
        return requests.map { request in
            guard let plugin = generation.jobs[request.job]?.config.plugin, canaries[plugin]?.takes(request.run) == true else {
                return request
            }
            var request = request
            request.pool = PoolPlan.canaryKey(of: request.pool)
            return request
        }
    }

    func canaryHears(_ end: AttemptEnd) {
        guard !canaries.isEmpty,
            let plugin = CanaryTrial.plugin(hearing: end.run, jobOf: generation.jobs[end.job]?.config.plugin, among: canaries)
        else { return }
        let decision = canaries[plugin]?.ended(end.run, job: end.job, library: end.libraryHash, end.outcome, reason: end.reason)
        if let decision { obey(decision, plugin) }
    }

    func canaryRefused(_ pool: String, _ message: String) {
        guard !canaries.isEmpty, let spec = generation.pools.first(where: { $0.key == pool }),
            generation.plugins[spec.plugin]?.canary?.copy == spec.library
        else { return }
        if let decision = canaries[spec.plugin]?.refused(message) { obey(decision, spec.plugin) }
    }

    private func obey(_ decision: CanaryTrial.Decision, _ name: String) {
        guard let plugin = generation.plugins[name], let canary = plugin.canary else { return }
        let fresh = canary.copy.sha256.prefix(7)
        let host = Actor(name: "canary", via: "host")
        switch decision {
        case .takeOver(let seen):
            log.notice("plugin \(name): canary: library \(fresh) takes over after \(seen)")
            audit(host, "canary takes over", detail: "\(name): library \(fresh) after \(seen)")
            choose(.takeOver(canary.copy), name)
        case .rollBack(let why):
            log.error("plugin \(name): canary: library \(fresh) is rolled back to \(plugin.copy.sha256.prefix(7)): \(why)")
            // Sent ahead to what has just been judged: they begin elsewhere.
            if let trial = canaries[name] { room.takeBack(trial.underway.sorted()) }
            audit(host, "canary rolled back", detail: "\(name): library \(fresh): \(why)")
            choose(.rollBack(to: plugin.copy, from: canary.copy, by: "canary", reason: why), name)
        }
        perform(reloads.request(ticket: nil, now: clock.now().monotonic))
    }
    /// What an operator has chosen and is still waiting to be obeyed stands.
    private func choose(_ choice: LibraryChoice, _ name: String) {
        if pendingChoices[name] == nil { pendingChoices[name] = choice }
    }
}
