import JobConfig
import JobCore
import JobStore

extension Supervisor {
    // MARK: Asking

    /// SIGHUP: nobody waits for the report.
    func reloadBySignal() {
        log.notice("reload asked for (SIGHUP)")
        isFileAsked = true
        perform(reloads.request(ticket: askReload(Actor(name: "SIGHUP", via: "signal")), now: clock.now().monotonic))
    }

    /// Returns when the new state is applied, or refused.
    func reload(by actor: Actor, allowsEmpty: Bool = false) async -> ReloadReport {
        isFileAsked = true
        if allowsEmpty { isEmptyAllowed = true }
        return await report(for: askReload(actor))
    }

    /// Obeys what has been chosen about single libraries; returns as `reload` does.
    func obeyChoices() async -> ReloadReport {
        nextTicket += 1
        return await report(for: nextTicket)
    }

    private func report(for ticket: ReloadMachine.Ticket) async -> ReloadReport {
        await withCheckedContinuation { continuation in
            reloadWaiters[ticket] = continuation
            perform(reloads.request(ticket: ticket, now: clock.now().monotonic))
        }
    }

    func askReload(_ actor: Actor) -> ReloadMachine.Ticket {
        nextTicket += 1
        reloadActors[nextTicket] = actor
        return nextTicket
    }

    /// What a reload would do: the same build, thrown away; and where this host would differ from others then.
    func plan() async -> ReloadReport {
        await pruning?.value
        plansUnderWay += 1
        defer { plansUnderWay -= 1 }
        let outcome = await builder.build(file: configFile, environment: environment, previous: generation, accepted: [], history: history)
        guard case .ready(let next, var report) = outcome else { return outcome.report }
        report.warnings += await differences(after: next)
        return report
    }

    // MARK: Performing the machine's actions

    func perform(_ actions: [ReloadMachine.Action]) {
        for action in actions {
            switch action {
            case .build(let reload): build(reload)
            case .switchOver(let reload): switchOver(reload)
            case .answer(let tickets, let reload): answer(tickets, with: reloadReports[reload])
            case .turnAway(let tickets): answer(tickets, with: failure("the host is stopping"))
            case .giveUp(let tickets, _):
                let report = failure("building the next generation took too long and was given up")
                finishReload(report)
                chooseAgain(withoutFile: false)
                isTryingToRead = false
                readAgainLater()
                answer(tickets, with: report)
            }
        }
        updatePhase()
    }

    private func build(_ reload: Int64) {
        notifier.send(.reloading, .status("reloading \(configFile)"))
        let allowsEmpty = isEmptyAllowed
        isEmptyAllowed = false
        let (choices, choicesOnly, triesAgain) = (pendingChoices, !isFileAsked, isRetryAsked)
        (pendingChoices, isFileAsked, isRetryAsked) = ([:], false, false)
        choicesInBuild = choices
        Task {
            let outcome = await builder.build(
                file: configFile, environment: environment, previous: generation, accepted: [], history: history,
                choices: choices, choicesOnly: choicesOnly, triesAgain: triesAgain, allowsEmpty: allowsEmpty)
            // Given up, or the host stops: nobody waits for it any more.
            guard case .building(reload, _) = reloads.phase else { return }
            if !choicesOnly { noteReading(outcome) }
            switch outcome {
            case .ready(let next, let report):
                builtGenerations[reload] = (generation: next, readsFile: !choicesOnly)
                reloadReports[reload] = report
                perform(reloads.built(reload: reload, ready: true, now: clock.now().monotonic))
            case .refused(var report), .unread(var report, _):
                if case .unread = outcome { report.errors.append(UnreadConfig.promise(allowsEmpty: allowsEmpty)) }
                reloadReports[reload] = report
                finishReload(report)
                chooseAgain(withoutFile: !choicesOnly)
                perform(reloads.built(reload: reload, ready: false, now: clock.now().monotonic))
            }
        }
        if let deadline = reloads.deadline {
            loop.timer(at: deadline) { [weak self] in
                self?.assumeIsolated { $0.perform($0.reloads.timePassed(now: $0.clock.now().monotonic)) }
            }
        }
    }

    /// What was chosen about single libraries is not lost with a file that cannot be taken.
    private func chooseAgain(withoutFile: Bool) {
        guard !choicesInBuild.isEmpty else { return }
        pendingChoices.merge(choicesInBuild) { newer, _ in newer }
        choicesInBuild = [:]
        if withoutFile { return perform(reloads.request(ticket: nil, now: clock.now().monotonic)) }
        // Nothing else may ask for a build for days.
        let pause = min(Self.choiceBackoff * (1 << min(choiceFailures, 10)), .seconds(600))
        choiceFailures += 1
        loop.timer(after: pause) { [weak self] in self?.assumeIsolated { $0.obeyAgain() } }
    }

    static var choiceBackoff: Duration { .seconds(15) }

    /// What was chosen about single libraries could not be built, or not be switched to.
    func obeyAgain() {
        guard !pendingChoices.isEmpty, reloads.phase == .idle else { return }
        perform(reloads.request(ticket: nil, now: clock.now().monotonic))
    }

    private func switchOver(_ reload: Int64) {
        guard let (next, readsFile) = builtGenerations.removeValue(forKey: reload), var report = reloadReports[reload] else {
            perform(reloads.switched(reload: reload, now: clock.now().monotonic))
            return
        }
        Task {
            do {
                // Rows are for jobs that appear for the first time.
                let isNew = next.jobs.keys.contains { dispatcher.index[$0] == nil }
                let rows = isNew ? try await store.jobStates() : [:]
                let waiting = isNew ? try await store.waitingFires(upTo: clock.now().wall + JobSchedule.preclaimReach) : []
                let states = try await stateBlobs(of: next)
                // The host stops: whoever asked has been turned away.
                guard case .switching(reload) = reloads.phase else { return }
                let before = generation
                (choicesInBuild, choiceFailures) = ([:], 0)
                apply(next, rows: rows, states: states, waitingFires: waiting)
                if readsFile { unread = nil }
                startsOwed.forget { dispatcher.index[$0] == nil }
                await recordLibraries(of: next)
                await pruneLibraries(before: before)
                await saveAccepted(next)
                await saveDefinitions()
                await enqueueStartRuns(of: report.jobs.filter { $0.change == .added }.map(\.job))
            } catch {
                storeFailed(error)
                guard case .switching(reload) = reloads.phase else { return }
                report.accepted = false
                report.generation = generation.number
                report.errors = ["the store does not answer, so the jobs' cursors cannot be read: \(error)"]
                reloadReports[reload] = report
                chooseAgain(withoutFile: false)
                if readsFile { unread?.couldNotBeSwitchedTo("\(error)") }
                readAgainLater()
            }
            finishReload(report)
            // Before the answer: whoever reloaded to rotate a token finds it rotated.
            await lookAfterAPI()
            perform(reloads.switched(reload: reload, now: clock.now().monotonic))
        }
    }

    /// Makes a generation the serving one.
    func apply(
        _ next: Generation, rows: [String: JobStateRow], states: [String: StateBlob], waitingFires: [WaitingFire] = []
    ) {
        room.hide(next.config.secrets)
        generation = next
        knownLimits = [:]
        pluginMetrics.keep(jobs: next.jobs.keys)
        poolHealth = PoolHealth()
        dispatcher.settings.schedules = next.config.host.schedule
        dispatcher.settings.consumes = next.config.host.consume
        room.setMaxWorkers(next.config.host.maxWorkers)
        room.configure(pools: next.pools, drain: next.config.host.grace)
        sayAliveRegularly()
        followCanaries(next)
        perform(dispatcher.apply(next, rows: rows, states: states, waitingFires: waitingFires, now: clock.now()))
    }

    /// Copies of libraries that neither this generation nor the one before uses, and that nobody
    /// may want to roll back to, go. Within a reload, so that no other one has just made a copy; where a plan
    /// is looking at one, they go with the next.
    func pruneLibraries(before: Generation) async {
        let used = (Array(before.plugins.values) + Array(generation.plugins.values)).flatMap { [$0.copy, $0.canary?.copy].compactMap(\.self) }
        let kept = history.copies.union(used.map(\.sha256))
        guard plansUnderWay == 0 else { return }
        let libraries = libraries
        let task = Task.detached { libraries.prune(keeping: kept) }
        pruning = task
        await task.value
        pruning = nil
    }

    /// State blobs of jobs that this life of the host has not asked for yet: those that are new to it, or whose
    /// entry keeps state since now. Without its state no job may begin: it would write an empty one over it.
    func stateBlobs(of next: Generation) async throws -> [String: StateBlob] {
        let jobs = next.jobs.values.filter { $0.entry.stateVersion > 0 }.map(\.config.name).filter { job in
            dispatcher.index[job].map { dispatcher.jobs[$0].plan.entry.stateVersion } ?? 0 == 0
        }
        guard !jobs.isEmpty else { return [:] }
        return try await store.stateBlobs(of: jobs.sorted()).mapValues { StateBlob(version: $0.version, bytes: $0.bytes) }
    }

    func saveAccepted(_ next: Generation) async {
        for library in next.acceptedLibraries(at: clock.now().wall) {
            do { try await store.saveAcceptedLibrary(library) } catch { storeFailed(error) }
        }
    }

    func finishReload(_ report: ReloadReport) {
        lastReload = report
        events.emit(.reload(report))
        let row = ReloadRow(
            generation: report.generation, at: report.at, accepted: report.accepted, report: report.jsonText)
        Task {
            do { try await store.saveReload(row) } catch { storeFailed(error) }
        }
        logReload(report)
        // A host that drains is ready for nothing.
        if phase != .draining { notifier.send(.ready, .status(statusLine())) }
    }

    private func logReload(_ report: ReloadReport) {
        for warning in report.warnings { log.warning("\(warning)") }
        guard report.accepted else {
            for error in report.errors { log.error("\(error)") }
            log.error("reload refused: generation \(generation.number) goes on untouched")
            return
        }
        for line in report.host { log.log(level: line.isApplied ? .notice : .warning, "\(line.key) changed: \(line.detail)") }
        for line in report.plugins where line.change == .refused {
            log.error("plugin \(line.plugin) refused: \(line.detail)")
        }
        for line in report.jobs where line.change != .kept {
            let detail = line.detail.isEmpty ? "" : ": \(line.detail)"
            log.log(level: line.change == .refused ? .error : .notice, "\(line.job) \(line.change.rawValue)\(detail)")
        }
        log.notice("generation \(report.generation) serves: \(report.counts) (\(report.milliseconds)ms)")
    }

    /// "19 jobs", "18 of 19 jobs, 1 switched off".
    func jobsOn() -> String {
        let jobs = dispatcher.jobs.filter { !$0.isRemoved }
        let (off, refused) = (jobs.count { !$0.isEnabled }, generation.refused.count)
        let total = counted(jobs.count + refused, "job")
        guard off + refused > 0 else { return total }
        let why = (off > 0 ? ["\(off) switched off"] : []) + (refused > 0 ? ["\(refused) refused"] : [])
        return "\(jobs.count - off) of \(total), \(why.joined(separator: ", "))"
    }

    func statusLine() -> String {
        return "generation \(generation.number), \(jobsOn())" + (problems().first.map { "; \($0)" } ?? "")
    }

    private func answer(_ tickets: [ReloadMachine.Ticket], with report: ReloadReport?) {
        let report = report ?? failure("the reload left no report")
        // However often each asked for it.
        var actors: [Actor: Int] = [:]
        for ticket in tickets {
            if let actor = reloadActors.removeValue(forKey: ticket) { actors[actor, default: 0] += 1 }
            reloadWaiters.removeValue(forKey: ticket)?.resume(returning: report)
        }
        for (actor, times) in actors.sorted(by: { $0.key.name < $1.key.name }) {
            audit(actor, "reload", detail: report.auditText + (times > 1 ? "; asked for \(times) times" : ""))
        }
    }

    private func failure(_ sentence: String) -> ReloadReport {
        ReloadReport(generation: generation.number, at: clock.now().wall, accepted: false, errors: [sentence])
    }

    func updatePhase() {
        guard phase != .draining, phase != .starting else { return }
        phase = switch reloads.phase {
        case .building, .switching: .reloading
        case .starting, .idle, .stopped: .running
        }
        // Reports of reloads that everybody has heard of.
        if reloadReports.count > 8 { reloadReports = reloadReports.filter { $0.key > (reloadReports.keys.max() ?? 0) - 4 } }
    }

    // MARK: Stopping

    /// First call: drain within the grace period. Second: kill.
    func stop(by actor: Actor) {
        guard phase != .draining else {
            // A terminal's Ctrl-C or a wrapper may deliver one wish twice.
            guard clock.now().monotonic - stoppingSince > .milliseconds(100) else { return }
            audit(actor, "stop", detail: "asked again: what still runs is killed")
            log.warning("second stop: killing what still runs")
            areChildrenEnding = true
            room.shutdown(grace: .zero) { [weak self] in
                self?.assumeIsolated { supervisor in
                    supervisor.areChildrenGone = true
                    supervisor.giveUpOnStoreLater()
                    supervisor.endIfDrained()
                }
            }
            return
        }
        phase = .draining
        notifier.send(.stopping, .status("draining"))
        perform(reloads.stop())
        let now = clock.now().wall
        let running = dispatcher.jobs.reduce(0) { $0 + $1.active.values.count { $0.isUnderWay(at: now) } }
        let runs = running == 1 ? "1 run" : "\(running) runs"
        audit(actor, "stop", detail: running == 0 ? "nothing runs" : "\(runs) may finish within \(durationText(generation.config.host.grace))")
        log.notice("stopping (\(actor.name)): \(running == 0 ? "nothing runs" : "\(runs) may finish within \(durationText(generation.config.host.grace))")")
        stoppingSince = clock.now().monotonic
        loop.timer(after: generation.config.host.grace) { [weak self] in
            self?.assumeIsolated { $0.endChildren() }
        }
        perform(dispatcher.drain(now: clock.now()))
        endIfDrained()
    }

    /// Looked at after every turn while draining: the last run has ended, or the last result
    /// has been recorded.
    func endIfDrained() {
        guard phase == .draining else { return }
        if !areChildrenEnding {
            if dispatcher.isDrained { endChildren() }
        } else if areChildrenGone && isEverythingRecorded && !isSavingWorkers {
            forgetRecorded()
            finish()
        }
    }

    /// What still runs is cancelled now and killed a second later.
    private func endChildren() {
        guard !areChildrenEnding else { return }
        areChildrenEnding = true
        room.shutdown(grace: .seconds(1)) { [weak self] in
            self?.assumeIsolated { supervisor in
                supervisor.areChildrenGone = true
                supervisor.giveUpOnStoreLater()
                supervisor.endIfDrained()
            }
        }
    }

    /// Programs that were to tell the last alerts, and still run.
    func endErrands() { room.shutdown(grace: .zero) {} }

    /// A store that does not answer keeps results for so long; after the next start those runs are lost.
    private func giveUpOnStoreLater() {
        // What was to be tried again in a minute would not be tried again at all.
        for i in refusedRecords.indices { refusedRecords[i].hurry() }
        flushRecords()
        loop.timer(after: .seconds(5)) { [weak self] in
            self?.assumeIsolated { supervisor in
                guard !supervisor.isFinished else { return }
                supervisor.log.critical(
                    "\(counted(supervisor.unrecorded.count, "result")) could not be recorded: the store \(supervisor.storeHealth.problem == nil ? "refuses" : "does not answer")")
                supervisor.finish()
            }
        }
    }
}
