import Glibc
import JobConfig
import JobCore
import JobStore

extension Supervisor {
    public func snapshot() -> HostSnapshot {
        var snapshot = hostSnapshot()
        snapshot.problems = problems()
        snapshot.jobs = (dispatcher.jobs.filter { !$0.isRemoved }.map(jobSnapshot) + generation.refused.values.map(jobSnapshot))
            .sorted { $0.name < $1.name }
        snapshot.plugins = generation.plugins.values.map { plugin in
            var snapshot = PluginSnapshot(
                name: plugin.config.name, library: plugin.config.library, libraryHash: plugin.copy.sha256,
                id: plugin.descriptor.id, version: plugin.descriptor.version,
                description: plugin.descriptor.description, entries: plugin.descriptor.entries.map(\.id),
                problem: plugin.problem)
            snapshot.versions = versions(of: plugin)
            snapshot.canary = canaries[plugin.config.name]?.sentence ?? ""
            return snapshot
        }.sorted { $0.name < $1.name }
        snapshot.notes = canaries.values.sorted { $0.plugin < $1.plugin }.map { "plugin \($0.plugin): \($0.sentence)" }
        snapshot.workers = room.snapshot()
        snapshot.lastReload = lastReload
        return snapshot
    }

    /// The host alone, which is quickly told.
    private func hostSnapshot() -> HostSnapshot {
        let now = clock.now().wall
        var snapshot = HostSnapshot(
            name: owner.host, version: Self.version, pid: getpid(), startedAt: startedAt, now: now,
            generation: generation.number, configFile: configFile, stateDir: generation.config.host.stateDir,
            storeURL: generation.config.store.url, control: dispatcher.hostControl, phase: phase.rawValue)
        snapshot.consumes = dispatcher.settings.consumes
        if let storeProblem = storeHealth.problem {
            snapshot.hold = "the store does not answer: \(storeProblem)"
        } else if dispatcher.clock.isHolding {
            snapshot.hold = "the wall clock jumped; starting is held for a minute"
        }
        return snapshot
    }

    public func waiting(for run: RunRecord) -> WaitingFor? {
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
    func problems() -> [String] {
        var problems: [String] = []
        if let storeProblem = storeHealth.problem { problems.append("the store does not answer: \(storeProblem); nothing new starts") }
        if dispatcher.clock.isHolding { problems.append("the wall clock jumped; firing is held for a minute") }
        problems += poolHealth.sentences
        if let problem = room.problem { problems.append(problem) }
        for plugin in generation.plugins.values.sorted(by: { $0.config.name < $1.config.name }) {
            if !plugin.problem.isEmpty { problems.append("plugin \(plugin.config.name): \(plugin.problem)") }
            if let rollback = plugin.rollback {
                problems.append("plugin \(plugin.config.name): \(rollback.sentence(of: plugin.config.name))")
            }
        }
        if let apiProblem { problems.append(apiProblem) }
        if let lastReload, lastReload.accepted, lastReload.removesMany {
            problems.append(
                "\(lastReload.removedJobs.count) of \(lastReload.jobsBefore) jobs were removed by the reload at \(TimeText.absolute(lastReload.at))")
        }
        if let lastReload, !lastReload.accepted {
            problems.append("the last reload was refused: \(lastReload.errors.first ?? "see jobhost plan")")
        }
        return problems + selfCheckFaults
    }

    private func jobSnapshot(_ job: DispatchedJob) -> JobSnapshot {
        let config = job.plan.config
        var snapshot = JobSnapshot(name: job.name, plugin: config.plugin, entry: config.entry)
        snapshot.description = config.description.isEmpty ? job.plan.entry.description : config.description
        snapshot.labels = config.labels
        snapshot.schedule = ScheduleText.describe(job.plan)
        snapshot.timezone = job.plan.zone.name
        snapshot.enabled = job.isEnabled
        snapshot.disabledReason = job.isEnabled ? "" : disabledReason(job)
        snapshot.control = job.control
        snapshot.nextFire = nextFire(job)
        snapshot.nextProbe = nextProbe(job, after: snapshot.nextFire)
        snapshot.concurrency = config.concurrency
        snapshot.workers = dispatcher.pools[job.plan.pool]?.maxWorkers ?? 0
        snapshot.busyWorkers = dispatcher.pools[job.plan.pool]?.busy ?? 0
        snapshot.workerProblem = poolHealth.message(of: job.plan.pool) ?? ""
        snapshot.running = job.active.values.filter { !$0.isHeld }.map(runningRun).sorted { $0.run < $1.run }
        let depth = depths[job.name]
        snapshot.waiting = depth?.waiting ?? 0
        snapshot.dead = depth?.dead ?? 0
        snapshot.last = job.lastRun
        snapshot.recent = job.recent.attempts
        snapshot.failingSince = job.recent.failingSince
        snapshot.lastSuccess = job.recent.lastSuccess
        snapshot.pool = job.plan.pool
        snapshot.breaker = breakerSnapshot(job)
        snapshot.counters = counters[job.name] ?? [:]
        snapshot.endedLastMinute = job.ends.lastMinute(clock.now().monotonic)
        snapshot.libraryHash = job.plan.libraryHash
        snapshot.settings = job.plan.maskedSettings
        snapshot.limits = limits(config) + memoryLimit(of: config.plugin)
        snapshot.metrics = pluginMetrics.lines(job: job.name)
        if let bad = job.badSettings { snapshot.problems.append("the entry refused its settings: \(bad)") }
        if let why = generation.kept[job.name] { snapshot.problems.append("what the config says of it now is refused: \(why)") }
        return snapshot
    }

    /// The held fire counts as next: it has been claimed, not started.
    private func nextFire(_ job: DispatchedJob) -> Instant? {
        guard job.isEnabled, dispatcher.settings.schedules else { return nil }
        let held = job.active.values.compactMap { active -> Instant? in
            if case .held(let until) = active.phase { until } else { nil }
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
        snapshot.state = switch breaker.mode {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half_open"
        case .forcedOpen: "forced_open"
        case .disabled: "disabled"
        }
        return snapshot
    }

    private func limits(_ config: JobConfig) -> [(name: String, value: String)] {
        let retry = config.retry
        let breaker = config.breaker.map { policy in
            counted(policy.failures, "failure") + (policy.window.map { " in \(short($0))" } ?? " in a row")
                + ", open for \(short(policy.openFor)), " + counted(policy.successes, "success", plural: "successes")
                + (policy.successes == 1 ? " closes it" : " close it")
        } ?? "off"
        return [
            ("timeout", config.timeout.map(short) ?? "none"), ("kill_grace", short(config.killGrace)),
            ("heartbeat", config.heartbeat.map(short) ?? "not watched"),
            ("concurrency", "\(config.concurrency)"), ("overlap", config.overlap.rawValue),
            ("catch_up", "\(config.catchUp.policy.rawValue), window \(short(config.catchUp.window))"),
            ("priority", "\(config.priority)"), ("jitter", short(config.jitter)),
            ("retry", retry.maxAttempts == 1 ? "none" : "\(retry.maxAttempts) attempts, \(short(retry.initial)) … \(short(retry.max))"),
            ("breaker", breaker), ("calendar", config.calendar ?? "none"),
            ("retention", "\(short(config.retention.age)), \(counted(config.retention.runs, "run"))"),
        ]
    }

    /// Of a worker of the plugin, which all of its jobs share.
    private func memoryLimit(of plugin: String) -> [(name: String, value: String)] {
        guard let limit = generation.plugins[plugin]?.config.memoryLimit else { return [] }
        return [("memory_limit", "\(sizeText(limit)) each worker of \(plugin)")]
    }

    private func short(_ duration: Duration) -> String { durationText(duration) }
}
