import CLinux
import Glibc
import JobCore
import JobStore

extension Supervisor {
    // What recurs, each with its own period. All on the loop.

    func startHousekeeping() {
        repeats(every: .milliseconds(500)) { $0.drainInbox() }
        store.listen { [weak self, loop] jobs in
            loop.post { [weak self] in self?.assumeIsolated { $0.inboxHinted(jobs) } }
        }
        repeats(every: .seconds(2)) { supervisor in
            supervisor.refreshCounts()
            supervisor.lookAtRefused()
            supervisor.expireWaiting()
            supervisor.tellSettled()
        }
        repeats(every: .seconds(5)) { supervisor in
            supervisor.sweep()
            supervisor.checkSelf()
            supervisor.forgetRecorded()
            supervisor.tellProblems()
            supervisor.releaseMemory()
            Task { await supervisor.lookAfterAPI() }
        }
        repeats(every: Heartbeat.period) { $0.beatIfDue() }
        if store.isShared {
            startSharing()
        } else {
            repeats(every: .seconds(20)) { $0.renewLeases() }
            repeats(every: .seconds(5)) { $0.releaseStrays() }
        }
        repeats(every: .seconds(60)) { $0.prune() }
        if let interval = notifier.watchdogInterval { repeats(every: interval) { $0.notifier.send(.watchdog) } }
        loop.onClockSet = { [weak self] in
            self?.assumeIsolated { supervisor in
                supervisor.dispatch(.tick)
                // Whether it is right now is known by another one alone.
                if supervisor.store.isShared { supervisor.renewLeases() }
            }
        }
    }

    private func releaseMemory() {
        guard phase == .running, memoryRelease.isDue(bytes: Self.ownBytes, generation: generation.number, now: clock.now().monotonic) else { return }
        Task.detached(priority: .background) {
            cl_release_memory()
            await self.memoryIsReleased(Self.ownBytes)
        }
    }

    private func memoryIsReleased(_ bytes: UInt64) { memoryRelease.isDone(bytes: bytes) }

    private static var ownBytes: UInt64 { ProcFS.unbacked(getpid()) ?? 0 }

    /// So that silence in the log means something. Its period may change with each reload, and counts from then.
    func sayAliveRegularly() {
        var line = aliveLine ?? AliveLine(ended: attemptsEnded, now: clock.now().monotonic)
        let isNew = aliveLine == nil || line.period != generation.config.host.heartbeat
        line.period = generation.config.host.heartbeat
        aliveLine = line
        guard isNew else { return }
        if let aliveTimer { loop.cancel(aliveTimer) }
        armAliveTimer()
    }

    private func armAliveTimer() {
        aliveTimer = aliveLine?.period.map { period in
            loop.timer(after: period) { [weak self] in
                self?.assumeIsolated { supervisor in
                    guard !supervisor.isFinished else { return }
                    supervisor.sayAlive()
                    supervisor.armAliveTimer()
                }
            }
        }
    }

    private func sayAlive() {
        let now = clock.now()
        let jobs = dispatcher.jobs.filter { !$0.isRemoved }
        let status = AliveLine.Status(
            jobs: jobs.count, running: jobs.reduce(0) { $0 + $1.active.values.count { $0.isUnderWay(at: now.wall) } },
            waiting: depths.values.reduce(0) { $0 + $1.waiting }, generation: generation.number, problems: problems())
        if let text = aliveLine?.text(status, ended: attemptsEnded, now: now.monotonic) { log.info("\(text)") }
    }

    /// Of all jobs on all hosts, ever, as last read.
    private var attemptsEnded: AttemptCount {
        counters.values.reduce(into: AttemptCount()) { $0.add(AttemptCount($1)) }
    }

    private func tellProblems() {
        let problems = problems()
        guard problems != toldProblems else { return }
        toldProblems = problems
        events.emit(.problems(problems, at: clock.now().wall))
    }

    /// Also after each reload, whose tokens count from then on.
    func lookAfterAPI() async {
        await tending.enter()
        defer { tending.leave() }
        guard let tendAPI else { return }
        let problem = await tendAPI(generation.config.http, generation.config.alerts)
        if let problem, problem != apiProblem { log.error("\(problem); it is tried again every 5s") }
        apiProblem = problem
    }

    /// What the store did not take is tried again then, unless the host drains.
    func inASecond(_ body: @escaping @Sendable (isolated Supervisor) async -> Void) {
        loop.timer(after: .seconds(1)) { [weak self] in
            self?.assumeIsolated { supervisor in
                guard supervisor.phase != .draining else { return }
                Task { await body(supervisor) }
            }
        }
    }

    func repeats(every period: Duration, _ body: @escaping @Sendable (isolated Supervisor) -> Void) {
        loop.timer(after: period) { [weak self] in
            self?.assumeIsolated { supervisor in
                guard !supervisor.isFinished else { return }
                body(supervisor)
                supervisor.repeats(every: period, body)
            }
        }
    }

    /// Rows that other programs inserted become runs: with the claim of their jobs' runs where one can be made now, so
    /// that one commit stands between a row and its start, else by themselves.
    ///
    /// `hinted`: whose rows are there; nil: the store is asked.
    func drainInbox(of hinted: [String]? = nil) {
        // By a wrong clock rows would wait that are due, or be refused: other hosts take them.
        guard !isDrainingInbox, phase != .draining, holds.isDisjoint(with: [.format, .clock]) else { return }
        isDrainingInbox = true
        isInboxHinted = false
        if let hinted { inboxJobs = hinted }
        let isKnown = isInboxLeft || hinted != nil
        isInboxLeft = false
        Task {
            do {
                if !isKnown { inboxJobs = try await store.jobsInInbox() }
                guard !inboxJobs.isEmpty else { return inboxDrained() }
                if !isInboxAlone {
                    isInboxForClaim = true
                    dispatch(.wait(jobs: inboxJobs))
                    // A claim is under way that has taken this along.
                    guard isInboxForClaim else { return }
                    isInboxForClaim = false
                }
                let take = inboxTake()
                inboxTaken(try await store.drainInbox(jobs: take.jobs, limit: take.limit, now: clock.now().wall))
                isInboxAlone = false
            } catch { storeFailed(error) }
            inboxDrained()
        }
    }

    /// What a claim of at most `claims` runs takes along; no more than it can use, since others wait for its locks. nil:
    /// what came is taken without it, or nothing came.
    func inboxTake(with claims: Int) -> InboxTake? {
        guard isInboxForClaim else { return nil }
        isInboxForClaim = false
        var take = inboxTake()
        take.limit = min(max(claims, 32), take.limit)
        return take
    }

    private func inboxTake() -> InboxTake {
        let rules = inboxRules ?? rulesOfInbox()
        inboxRules = rules
        return InboxTake(jobs: rules, limit: 1_000)
    }

    private func rulesOfInbox() -> [String: InboxRule] {
        var rules = generation.jobs.mapValues { job in
            let schema = job.entry.payloadSchema
            return InboxRule(maxAttempts: job.config.retry.maxAttempts, expiresAfter: job.config.expiresAfter) { PayloadCheck.problem($0, schema: schema) }
        }
        // Of a refused job too: they wait until it serves, and say so.
        for (name, job) in generation.refused {
            rules[name] = InboxRule(maxAttempts: job.config.retry.maxAttempts, expiresAfter: job.config.expiresAfter) { PayloadCheck.problem($0, schema: job.payloadSchema) }
        }
        return rules
    }

    /// They wait now.
    func inboxTaken(_ result: InboxResult) {
        if result.mayHaveMore { (isInboxHinted, isInboxLeft) = (true, true) }
        for (job, runs) in Dictionary(grouping: result.runs, by: \.job).sorted(by: { $0.key < $1.key }) {
            for due in Set(runs.map(\.availableAt)).sorted() { dispatch(.waiting(job: job, due: due)) }
        }
        for row in result.refused { log.warning("enqueue_inbox row \(row.id) for '\(row.job)' is refused: \(row.reason)") }
    }

    func inboxDrained() {
        isDrainingInbox = false
        if isInboxHinted { drainInbox() }
    }

    /// The store says that something came, and of which jobs if it has seen that. More may come in a moment without a hint
    /// of its own; and what comes while the inbox is being emptied may be gone by the end of that, so that is asked.
    func inboxHinted(_ jobs: [String]? = nil) {
        isInboxHinted = true
        drainInbox(of: jobs)
        loop.timer(after: .milliseconds(10)) { [weak self] in self?.assumeIsolated { $0.drainInbox() } }
    }

    /// What waits and has expired ends, whatever its job waits for. (No claim takes it before that either.)
    func expireWaiting() {
        // By a clock that just jumped nothing ends. A host that was taken out looks all the same: it may be the only one.
        guard !dispatcher.clock.isHolding, holds.subtracting([.drained]).isEmpty else { return }
        inquire(.expiry) { supervisor in
            let most = 1_000
            var expired: [RunRecord]
            repeat {
                expired = try await supervisor.store.expireWaiting(limit: most, now: supervisor.clock.now().wall)
                supervisor.tellExpired(expired)
            } while expired.count >= most
        }
    }

    private func tellExpired(_ runs: [RunRecord]) {
        for (job, runs) in Dictionary(grouping: runs, by: \.job).sorted(by: { $0.key < $1.key }) {
            for run in runs where run.state == .discarded { events.emit(.endedWaiting(run)) }
            let tried = runs.count { $0.state == .discarded }
            let text = "\(counted(runs.count, "waiting run")) expired" + (tried > 0 ? ", of which \(tried) had been tried: dead letters" : "")
            log.notice("\(job): \(text)", metadata: ["said.job": "\(job)"])
            if tried < runs.count { events.emit(.notRun(job: job, reason: .expired, text: text, at: clock.now().wall)) }
        }
    }

    /// Asks the store, unless it still owes the answer to the last time: a slow one is not asked ever more.
    func inquire(_ question: Question, _ body: @escaping @Sendable (isolated Supervisor) async throws -> Void) {
        guard questionsUnderWay[question] == nil else { return }
        askings += 1
        let asking = askings
        questionsUnderWay[question] = asking
        Task {
            do { try await body(self) } catch { storeFailed(error) }
            // It may have been given up, and asked anew.
            if questionsUnderWay[question] == asking { questionsUnderWay[question] = nil }
        }
    }

    /// The safety net under the events: something waits that nobody told of (another host, an
    /// event lost with a failed write).
    func sweep() {
        inquire(.waiting) { supervisor in
            guard let next = try await supervisor.store.nextWaiting() else { return }
            let now = supervisor.clock.now().wall
            if next <= now {
                supervisor.sweepWaiting()
            } else if next <= now + .seconds(5) {
                supervisor.loop.wallTimer(at: next) { [weak supervisor] in supervisor?.assumeIsolated { $0.sweepWaiting() } }
            }
        }
    }

    /// Asks about the jobs that have waiting runs, as last counted; all of them if none is known.
    private func sweepWaiting() {
        let waiting = depths.filter { $0.value.waiting > 0 }.map(\.key)
        if waiting.isEmpty { dispatch(.sweep) } else { dispatch(.wait(jobs: waiting)) }
    }

    func refreshCounts() {
        inquire(.counts) { supervisor in
            let store = supervisor.store
            supervisor.depths = try await store.queueDepths(now: supervisor.clock.now().wall)
            supervisor.counters = try await store.counters()
            // Of other hosts too.
            supervisor.asks = try await store.asks(limit: Self.mostAsks).reversed()
            if store.isShared {
                try await supervisor.readHistoryOfOthers()
                try await supervisor.readActionsOfOthers()
            }
            // Reading goes on where another program holds the file against writing: only a
            // write shows that the store is back.
            if supervisor.storeHealth.problem != nil { supervisor.renewLeases() }
        }
    }

    func prune() {
        let configs = generation.jobs.mapValues(\.config).merging(generation.refused.mapValues(\.config)) { serving, _ in serving }
        let rules = configs.mapValues { RetentionRule(age: $0.retention.age, runs: $0.retention.runs) }
        inquire(.retention) { supervisor in
            var removed: [(job: String, run: RunID)]
            repeat {
                removed = try await supervisor.store.prune(retention: rules, limit: 1_000, now: supervisor.clock.now().wall)
                for (job, run) in removed { supervisor.runLogs.remove(job: job, run: run) }
            } while removed.count == 1_000
        }
    }

    /// What proves how far each worker came is of no use once all ends are recorded.
    func forgetRecorded() {
        if isEverythingRecorded { room.everythingIsRecorded() }
    }
}
