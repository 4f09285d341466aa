import Glibc
import JobConfig
import JobCore
import JobStore

extension Supervisor {
    public func snapshot() -> HostSnapshot {
        var snapshot = hostSnapshot()
        snapshot.hostProblems = hostProblems()
        // One list, put in order where it is: with thousands of jobs each further one is megabytes.
        snapshot.jobs.reserveCapacity(dispatcher.jobs.count + generation.refused.count)
        for job in dispatcher.jobs where !job.isRemoved { snapshot.jobs.append(jobSnapshot(job)) }
        for job in generation.refused.values { snapshot.jobs.append(jobSnapshot(job)) }
        snapshot.jobs.sort { $0.name < $1.name }
        snapshot.plugins = generation.plugins.values.map { plugin in
            var snapshot = PluginSnapshot(
                name: plugin.config.name, library: plugin.config.library, libraryHash: plugin.copy.sha256,
                id: plugin.descriptor.id, version: plugin.descriptor.version,
                description: plugin.descriptor.description, entries: plugin.descriptor.entries.map(\.id),
                problem: plugin.problem.isEmpty ? generation.refusedPlugins[plugin.config.name] ?? "" : plugin.problem)
            snapshot.versions = versions(of: plugin)
            snapshot.canary = canaries[plugin.config.name]?.sentence ?? ""
            return snapshot
        }.sorted { $0.name < $1.name }
        snapshot.notes = snapshot.hostProblems.filter { $0.grade < .critical }.map(\.text)
            + canaries.values.sorted { $0.plugin < $1.plugin }.map { "plugin \($0.plugin): \($0.sentence)" } + differences
        for job in generation.jobs.values where !job.config.isServed(by: generation.config.host) {
            snapshot.elsewhere[job.config.name] = job.config.runOn
        }
        snapshot.workers = room.snapshot()
        snapshot.refusedPlugins = generation.refusedPlugins
        snapshot.lastReload = lastReload
        snapshot.asks = asks.filter { $0.state(now: snapshot.now) == .waiting }
        snapshot.isStoreAway = storeHealth.problem != nil
        snapshot.unwrittenResults = storeHealth.unwritten
        snapshot.droppedPluginMetrics = pluginMetrics.dropped
        snapshot.repairs = repairs
        return snapshot
    }

    /// The host alone, which is quickly told.
    private func hostSnapshot() -> HostSnapshot {
        let now = clock.now().wall
        var snapshot = HostSnapshot(
            name: owner.host, version: Self.version, pid: getpid(), startedAt: startedAt, now: now,
            generation: generation.number, configFile: configFile, stateDir: generation.config.host.stateDir,
            storeURL: generation.config.store.shown, control: dispatcher.hostControl, phase: phase.rawValue)
        snapshot.consumes = dispatcher.settings.consumes
        if let storeProblem = storeHealth.problem {
            snapshot.hold = "the store does not answer: \(storeProblem)"
        } else if dispatcher.clock.isHolding {
            snapshot.hold = "the wall clock jumped; starting is held for a minute"
        } else if let sentence = holdSentence {
            snapshot.hold = sentence
        }
        return snapshot
    }

    public func waiting(for run: RunRecord) -> WaitingFor? {
        if let config = generation.jobs[run.job]?.config, !run.state.isTerminal, !config.isServed(by: generation.config.host) {
            return WaitingFor.ofAbsent(run, config.runOn)
        }
        let job = generation.refused[run.job].map(jobSnapshot)
            ?? dispatcher.index[run.job].flatMap { dispatcher.jobs[$0].isRemoved ? nil : jobSnapshot(dispatcher.jobs[$0]) }
        return WaitingFor.of(run, job: job, host: hostSnapshot())
    }

    /// Of a job that does not serve only what the config says of it is known.
    private func jobSnapshot(_ job: RefusedJob) -> JobSnapshot {
        var snapshot = JobSnapshot(name: job.config.name, plugin: job.config.plugin, entry: job.config.entry)
        snapshot.description = job.config.description
        snapshot.labels = job.config.labels
        snapshot.schedule = job.config.schedule.map(ScheduleText.describe) ?? "its plugin's own"
        snapshot.enabled = false
        snapshot.refused = job.reason
        snapshot.health = JobHealth(refused: job.reason)
        snapshot.health.reasons = [JobHealth.Reason(grade: .critical, rule: "refused", text: "it does not serve: \(job.reason)")]
        snapshot.disabledReason = "refused: \(job.reason)"
        snapshot.waiting = depths[job.config.name]?.waiting ?? 0
        snapshot.dead = depths[job.config.name]?.dead ?? 0
        snapshot.counters = counters[job.config.name] ?? [:]
        snapshot.settings = job.config.settings.maskedJSON
        snapshot.limits = limits(job.config)
        snapshot.concurrency = job.config.concurrency
        return snapshot
    }

    /// What is wrong with the host itself, in sentences.
    func problems() -> [String] { hostProblems().filter { $0.grade == .critical }.map(\.text) }

    /// Records that the store refuses, told one by one.
    private static var mostStuck: Int { 5 }

    func hostProblems() -> [HostProblem] {
        var problems: [HostProblem] = []
        func say(_ kind: HostProblem.Kind, _ text: String, subject: String = "", _ grade: HealthGrade = .critical, since: Instant? = nil) {
            problems.append(HostProblem(kind: kind, subject: subject, text: text, grade: grade, since: since))
        }
        if let storeProblem = storeHealth.problem { say(.store, "the store does not answer: \(storeProblem); nothing new starts") }
        for record in refusedRecords.filter(\.isStuck).prefix(Self.mostStuck) {
            if let sentence = record.sentence { say(.store, sentence, subject: record.operation.words) }
        }
        for start in startsOwed.refused.prefix(Self.mostStuck) { say(.store, start.sentence, subject: "start of \(start.job)") }
        if let sentence = holdSentence { say(holds.contains(.clock) ? .clock : .store, "\(sentence); nothing new starts here") }
        if dispatcher.clock.isHolding { say(.clock, "the wall clock jumped; firing is held for a minute") }
        for (pool, sentence) in poolHealth.sentences { say(.other, sentence, subject: "pool \(pool)") }
        if let problem = room.problem { say(.other, problem, subject: "room") }
        for plugin in generation.plugins.values.sorted(by: { $0.config.name < $1.config.name }) {
            let name = plugin.config.name
            if !plugin.problem.isEmpty { say(.plugin, "plugin \(name): \(plugin.problem)", subject: name) }
            if let rollback = plugin.rollback {
                let grade: HealthGrade = rollback.isByCanary ? .critical : .warning
                say(.rollback, "plugin \(name): \(rollback.sentence(of: name))", subject: name, grade, since: rollback.at)
            }
        }
        if let apiProblem { say(.other, apiProblem, subject: "http") }
        if let lastReload, lastReload.accepted, lastReload.removesMany {
            say(
                .removal,
                "\(lastReload.removedJobs.count) of \(lastReload.jobsBefore) jobs were removed by the reload at \(TimeText.absolute(lastReload.at))",
                .warning, since: lastReload.at)
        }
        if let unread {
            say(.reload, unread.sentence, since: unread.since)
        } else if let lastReload, !lastReload.accepted {
            say(.reload, "the last reload was refused: \(lastReload.errors.first ?? "see jobhost plan")", since: lastReload.at)
        }
        for (subject, sentence) in standstills { say(.other, sentence, subject: subject) }
        return problemTimes.dated(problems, now: clock.now().wall)
    }

    private func jobSnapshot(_ job: DispatchedJob) -> JobSnapshot {
        let unchanging = job.unchanging ?? Shared(self.unchanging(job.plan))
        job.unchanging = unchanging
        var snapshot = JobSnapshot(unchanging)
        snapshot.enabled = job.isEnabled
        snapshot.disabledReason = job.isEnabled ? "" : disabledReason(job)
        snapshot.control = job.control
        snapshot.nextFire = nextFire(job)
        snapshot.nextProbe = nextProbe(job, after: snapshot.nextFire)
        snapshot.workers = dispatcher.pools[job.plan.pool]?.maxWorkers ?? 0
        snapshot.busyWorkers = dispatcher.pools[job.plan.pool]?.busy ?? 0
        let now = clock.now().wall
        snapshot.ratedUntil = job.ratedUntil(now)
        snapshot.workerProblem = poolHealth.message(of: job.plan.pool) ?? ""
        snapshot.running = job.active.values.filter { $0.isUnderWay(at: now) }.map(runningRun).sorted { $0.run < $1.run }
        let depth = depths[job.name]
        snapshot.waiting = depth?.waiting ?? 0
        snapshot.dead = depth?.dead ?? 0
        snapshot.newestRun = job.newestRun
        snapshot.recent = job.recent.attempts
        snapshot.failingSince = job.recent.failingSince
        snapshot.lastSuccess = job.recent.lastSuccess
        snapshot.breaker = breakerSnapshot(job)
        snapshot.counters = counters[job.name] ?? [:]
        snapshot.endedLastMinute = job.ends.count(clock.now().monotonic)
        snapshot.shrinksPerMinute = queueTrend.shrinksPerMinute(job.name)
        snapshot.workerLimits = memoryLimit(of: job.plan.config.plugin)
        snapshot.pluginMetrics = pluginMetrics.of(job: job.name)
        snapshot.oldestWaiting = depth?.oldestWaiting
        snapshot.health = health(of: job, snapshot)
        if let bad = job.badSettings { snapshot.problems.append("the entry refused its settings: \(bad)") }
        if let why = generation.kept[job.name] { snapshot.problems.append("what the config says of it now is refused: \(why)") }
        return snapshot
    }

    private func unchanging(_ plan: ResolvedJob) -> JobSnapshot.Unchanging {
        let config = plan.config
        var unchanging = JobSnapshot.Unchanging(name: config.name, plugin: config.plugin, entry: config.entry)
        unchanging.description = config.description.isEmpty ? plan.entry.description : config.description
        unchanging.labels = config.labels
        unchanging.schedule = ScheduleText.describe(plan)
        unchanging.timezone = plan.zone.name
        unchanging.pool = plan.pool
        unchanging.concurrency = config.concurrency
        unchanging.rate = config.rate.map(JobConfig.Limits.text) ?? ""
        unchanging.libraryHash = plan.libraryHash
        unchanging.settings = plan.maskedSettings
        unchanging.limits = limits(config)
        unchanging.retention = RetentionRule(age: config.retention.age, runs: config.retention.runs)
        return unchanging
    }

    private func limits(_ config: JobConfig) -> [JobSnapshot.Limit] {
        let limits = config.allLimits
        if let known = knownLimits[limits] { return known }
        let lines = limits.lines
        knownLimits[limits] = lines
        return lines
    }

    private func health(of job: DispatchedJob, _ snapshot: JobSnapshot) -> JobHealth {
        let facts = JobHealth.Facts(
            isEnabled: job.isEnabled, badSettings: job.badSettings, lastSuccess: snapshot.lastSuccess, failingSince: snapshot.failingSince,
            lastDuration: snapshot.recent.last?.duration, running: snapshot.running.compactMap(\.startedAt),
            errorsLastHour: job.errors.count(clock.now().monotonic), breaker: snapshot.breaker.state, breakerReason: snapshot.breaker.reason,
            metrics: Dictionary(snapshot.pluginMetrics.map { ($0.name, $0.value) }, uniquingKeysWith: max), since: startedAt)
        return JobHealth(of: facts, by: job.plan.config.health, now: clock.now().wall)
    }

    /// The held fire counts as next, wherever it is kept: it has been claimed, not started.
    private func nextFire(_ job: DispatchedJob) -> Instant? {
        guard job.isEnabled, dispatcher.settings.schedules else { return nil }
        let now = clock.now().wall
        let held = job.active.values.compactMap { active in
            active.heldUntil ?? active.sentUntil.flatMap { $0 > now ? $0 : nil }
        }.min()
        return held ?? job.schedule.nextFire()
    }

    /// The first fire once an open breaker lets one through; with runs waiting, that very instant.
    private func nextProbe(_ job: DispatchedJob, after fire: Instant?) -> Instant? {
        guard let breaker = job.breaker, let until = breaker.nextChange else { return nil }
        if (depths[job.name]?.waiting ?? 0) > 0 { return until }
        guard let fire else { return nil }
        guard fire < until else { return fire }
        // A rule that counts from the end of runs holds its fire until it may go.
        guard !job.isRelative else { return until }
        return Schedule(spec: job.plan.schedule, zone: job.plan.zone).next(after: until - .microseconds(1))
    }

    private func runningRun(_ active: ActiveRun) -> RunningRun {
        var run = RunningRun(run: active.claim.id, attempt: active.claim.attempt, startedAt: nil, pid: 0)
        if case .running(let since, let pid) = active.phase {
            run.startedAt = since
            run.pid = pid
        } else {
            run.problem = poolHealth.message(of: active.pool) ?? ""
        }
        run.done = active.done
        run.total = active.total
        run.text = active.text
        return run
    }

    func disabledReason(_ job: DispatchedJob) -> String {
        if let bad = job.badSettings { return "the entry refused its settings: \(bad)" }
        if job.control.enabled == false {
            return "switched off by an operator" + (job.control.reason.isEmpty ? "" : ": \(job.control.reason)")
        }
        return "`enabled = false` in the config"
    }

    private func breakerSnapshot(_ job: DispatchedJob) -> BreakerSnapshot {
        var snapshot = BreakerSnapshot()
        guard let breaker = job.breaker else {
            snapshot.state = "off"
            return snapshot
        }
        snapshot.failures = breaker.failures
        snapshot.since = breaker.since
        snapshot.until = breaker.nextChange
        snapshot.reason = breaker.reason
        snapshot.state = Self.word(breaker.mode)
        return snapshot
    }

    static func word(_ mode: Breaker.Mode) -> String {
        switch mode {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half_open"
        case .forcedOpen: "forced_open"
        case .disabled: "disabled"
        }
    }

    /// Of a worker of the plugin, which all of its jobs share.
    private func memoryLimit(of plugin: String) -> [JobSnapshot.Limit] {
        guard let limit = generation.plugins[plugin]?.config.memoryLimit else { return [] }
        return [("memory_limit", "\(sizeText(limit)) each worker of \(plugin)")]
    }
}
