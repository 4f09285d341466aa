import JobCore

// What happens between the room and its workers: starting, sending, hearing, losing them.
extension ProcessRoom {
    /// Most that one run may enqueue; it is committed with the outcome, in one transaction. The worker counts payloads
    /// (JOB_MAX_ENQUEUES, JOB_MAX_ENQUEUE_BYTES): to them come a key and a job's name (JOB_MAX_KEY each) of every one.
    static let mostEnqueues = 10_000
    static let mostEnqueueBytes = 8 << 20 + mostEnqueues * 2 * 512

    // MARK: Starting and writing

    func spawn(_ id: WorkerID, pool key: String) {
        guard let spec = force.pools[key]?.spec else { return }
        let handlers = WorkerProcess.Handlers(
            frames: { [weak self] in self?.hear(id, $0) },
            line: { [weak self] in self?.printed($0, $1, by: id) },
            broken: { [weak self] in self?.broke($0, id) },
            exited: { [weak self] in self?.exited($0, id) },
            isAlone: { [weak self] in self?.isAlone(id) ?? true }
        )
        let slate = slates?.make()
        do {
            let process = try WorkerProcess(
                spawner: spawner, environment: spec.environment, user: spec.user, sandbox: spec.sandboxArguments,
                slate: slate, loop: loop, reaper: reaper,
                handlers: handlers
            )
            slates?.started(slate, pid: process.pid, startTime: process.startTime)
            members[id] = Member(process: process, spec: spec)
            report(.workersChanged(.started(plugin: spec.plugin)))
            write(.load(spec.loadRequest), to: id)
            // One that begins after the end hears of the next lease, and is sent nothing before it.
            if let leaseEnd, leaseEnd > now.monotonic { write(.lease(until: leaseEnd), to: id) }
        } catch let fault {
            if let slate { slates?.retire(slate) }
            run(force.spawnFailed(id, fault.description, now: now.monotonic))
        }
    }

    func write(_ frame: HostFrame, to id: WorkerID) {
        guard let process = members[id]?.process else { return }
        if frame.asksBack { process.slate?.askBack() }
        do {
            try process.append(frame)
            process.flush()
        } catch { broke("\(error)", id) }
    }

    /// Settings that the worker does not know yet, then the runs: one write.
    func send(_ batch: [RunID], to id: WorkerID) {
        guard let member = members[id] else { return }
        let now = now
        let sentAt = now.wall
        for run in batch {
            guard let live = runs[run] else { continue }
            live.worker = id
            live.sentAt = sentAt
            do {
                let instance = try instance(for: live.request, on: member)
                try member.process.append(.run(live.request.frame(instance: instance, now)))
            } catch {
                end(run, Attempt.Ending(outcome: .failed, reason: "it cannot be sent to a worker: \(error)"), workerLives: true)
            }
        }
        member.process.flush()
    }

    /// What has been sent and not begun comes back by its worker's word; what waits in the queue at once.
    func takeBack(_ id: RunID) {
        guard let live = runs[id], live.attempt.startedAt == nil else { return }
        live.isTakenBack = true
        if let worker = live.worker {
            write(.recall(run: id), to: worker)
        } else if force.removeQueued(id, pool: live.request.pool) {
            apply(.returned, to: id)
        }
    }

    private func instance(for request: AttemptRequest, on member: Member) throws(WireError) -> UInt32 {
        let key = InstanceKey(job: request.job, entry: request.entry)
        let known = member.instances[key]
        if let known, known.settings == request.settings { return known.number }
        // Under its number the worker takes new settings for the old ones, whose instance ends.
        let number = known?.number ?? UInt32(clamping: member.instances.count + 1)
        try member.process.append(.settings(SettingsFrame(
            instance: number, job: request.job, entry: request.entry, settings: request.settings
        )))
        member.instances[key] = (number, request.settings)
        return number
    }

    // MARK: Attempts

    /// Feeds an attempt and performs what it asks. The caller lets `run` follow.
    func apply(_ event: Attempt.Event, to id: RunID, workerLives: Bool = true) {
        guard let live = runs[id] else { return }
        for action in live.attempt.handle(event, now: now) {
            switch action {
            case .setCancelFlag:
                if let worker = live.worker { write(.cancel(run: id), to: worker) }
            case .kill:
                if let worker = live.worker { kill(worker, becauseOf: id, live) }
            case .finish(let ending): end(id, ending, workerLives: workerLives)
            case .returnUnattempted:
                forget(id)
                report(.returned(run: id))
            }
        }
        guard !live.attempt.ended else { return }
        if isHearing { unarmed.append(id) } else { rearm(id, live) }
    }

    /// One timer for each attempt. A deadline that moves away (progress) leaves it: it finds out
    /// when it fires.
    private func rearm(_ id: RunID, _ live: LiveRun) {
        guard let due = live.attempt.deadline, due < live.timer?.due ?? .distantFuture else { return }
        if let timer = live.timer { loop.cancel(timer.token) }
        let token = loop.timer(at: due) { [weak self] in
            self?.runs[id]?.timer = nil
            self?.apply(.tick, to: id)
            self?.run([])
        }
        live.timer = (due, token)
    }

    private func forget(_ id: RunID) {
        if let timer = runs.removeValue(forKey: id)?.timer { loop.cancel(timer.token) }
    }

    /// The one place where an attempt ends.
    func end(_ id: RunID, _ ending: Attempt.Ending, workerLives: Bool) {
        guard let live = runs[id] else { return }
        let member = live.worker.flatMap { members[$0] }
        let now = now
        forget(id)
        logEnding(live, ending, now)
        runLogs.close(run: id)
        let times = Attempt.times(
            said: ending.result, sent: live.sentAt, heard: live.attempt.startedAt, ended: now.wall)
        var end = AttemptEnd(
            run: id, job: live.request.job, outcome: ending.outcome, startedAt: times.startedAt,
            finishedAt: times.finishedAt, reason: mask.hiding(ending.reason)
        )
        end.pid = member?.process.pid ?? 0
        end.libraryHash = member?.spec.library.sha256 ?? ""
        end.code = ending.result?.failCode ?? 0
        end.items = ending.result?.items ?? 0
        end.cpu = ending.cpu
        end.snoozeUntil = ending.snoozeUntil
        end.retryNotBefore = ending.retryNotBefore
        end.badSettings = ending.badSettings
        end.gaveWay = ending.gaveWay
        end.state = ending.state
        if ending.commitsEnqueues { end.enqueues = live.enqueues }
        report(.ended(end))
        guard workerLives, let worker = live.worker else { return }
        if member?.executing == id { member?.executing = nil }
        if let member {
            member.runsSinceLook += 1
            if member.runsSinceLook >= WorkerPool.mostUnreaped / 2 { countUnreaped(worker, member) }
        }
        let took = times.startedAt.map { times.finishedAt - $0 }
        run(force.finished(worker, id, took: took, now: now.monotonic))
    }

    /// What the plugin could not say itself goes into its log, where people look first.
    private func logEnding(_ live: LiveRun, _ ending: Attempt.Ending, _ now: Now) {
        let level: LogLevel
        switch ending.outcome {
        case .crashed, .timedOut: level = .error
        case .cancelled: level = .warning
        case .succeeded, .nothingToDo, .failed, .retry, .snoozed, .lost: return
        }
        runLogs.append(
            run: live.request.run, job: live.request.job,
            LogLine(at: now.wall, level: level, stream: .host, text: mask.hiding("\(ending.outcome.rawValue): \(ending.reason)"))
        )
    }

    // MARK: Hearing

    /// Everything that has come of a worker at once.
    private func hear(_ id: WorkerID, _ frames: [WorkerFrame]) {
        isHearing = true
        // What has ended and what is to follow it (told by the reports) go to the workers together.
        force.hold()
        for frame in frames {
            // One of them made no sense: the worker is going, the rest means nothing.
            guard members[id]?.process.isBroken == false else { break }
            received(frame, from: id)
        }
        isHearing = false
        for run in unarmed { if let live = runs[run] { rearm(run, live) } }
        unarmed.removeAll(keepingCapacity: true)
        run([])
    }

    private func received(_ frame: WorkerFrame, from id: WorkerID) {
        switch frame {
        case .ready:
            // It has executed nothing yet: all that it has printed is of its loading.
            members[id]?.process.output.handOnAll(limit: 1 << 20)
            run(force.ready(id, now: now.monotonic))
            measure(id)
        case .refused(_, let message):
            run(force.failedToStart(id, message, now: now.monotonic))
        case .validated, .finding, .diagnosed: break
        case .started(let run): started(run, id)
        case .result(let result): ended(result, id)
        case .returned(let run): returned(run, id)
        case .log(let run, let level, let text, let fields):
            guard let live = owned(run, id), level >= live.request.logLevel else { break }
            runLogs.append(
                run: run, job: live.request.job,
                LogLine(at: now.wall, level: level, stream: .log, text: mask.hiding(text), fields: mask.hiding(fields))
            )
        case .progress(let run, let done, let total, let text):
            guard owned(run, id) != nil else { break }
            apply(.progress, to: run)
            report(.progress(run: run, done: done, total: total, text: mask.hiding(text)))
        case .metric(let run, let sample):
            guard let live = owned(run, id) else { break }
            report(.metric(run: run, job: live.request.job, sample))
        case .enqueue(let run, let request): enqueue(request, run, id)
        }
    }

    /// nil: not (or no longer) this worker's run: a straggler of a run that has ended.
    private func owned(_ run: RunID, _ id: WorkerID) -> LiveRun? {
        guard let live = runs[run], live.worker == id else { return nil }
        return live
    }

    private func started(_ run: RunID, _ id: WorkerID) {
        guard let member = members[id], owned(run, id) != nil, member.executing == nil else {
            members[id]?.process.reject("it started run \(run), which it was not to start now")
            return
        }
        member.executing = run
        if member.spec.sandbox?.cpuTime != nil {
            // It began before it was heard of. What an earlier run has left behind is older.
            member.countedSince = now.monotonic + .seconds(-1)
            member.cpuAtStart = ProcFS.cpu(member.process.pid, since: member.countedSince) ?? .zero
        }
        force.started(id, run, now: now.monotonic)
        member.process.output.runBegan()
        apply(.started, to: run)
        report(.started(run: run, at: now.wall, pid: member.process.pid, libraryHash: member.spec.library.sha256))
    }

    private func ended(_ result: RunResult, _ id: WorkerID) {
        guard members[id]?.executing == result.run else {
            members[id]?.process.reject("it ended run \(result.run), which it was not executing")
            return
        }
        members[id]?.process.output.runEnded(result.written)
        apply(.result(result), to: result.run)
    }

    /// Whatever the worker prints is of the one run that it has, or of none.
    private func isAlone(_ id: WorkerID) -> Bool {
        let sent = force.worker(id)?.runs.count ?? 0
        return sent == 0 || sent == 1 && members[id]?.executing != nil
    }

    private func returned(_ run: RunID, _ id: WorkerID) {
        guard let live = owned(run, id), members[id]?.executing != run else {
            members[id]?.process.reject("it returned run \(run), which it was not to return")
            return
        }
        let (requeued, actions) = force.returned(id, run, now: now.monotonic)
        if requeued, !live.attempt.isFlagged, !live.isTakenBack {
            runs[run]?.worker = nil
        } else {
            if requeued { _ = force.removeQueued(run, pool: live.request.pool) }
            apply(.returned, to: run)
        }
        members[id]?.process.output.settle()
        self.run(actions)
    }

    private func enqueue(_ request: EnqueueRequest, _ run: RunID, _ id: WorkerID) {
        guard let live = owned(run, id) else { return }
        let bytes = live.enqueueBytes + request.payload.count + request.key.utf8.count + request.job.utf8.count
        guard live.enqueues.count < Self.mostEnqueues, bytes <= Self.mostEnqueueBytes else {
            members[id]?.process.reject(
                "one run enqueued more than \(Self.mostEnqueues) runs or \(brief(bytes: UInt64(Self.mostEnqueueBytes)))"
            )
            return
        }
        runs[run]?.enqueues.append(request)
        runs[run]?.enqueueBytes = bytes
    }

    func printed(_ stream: OutputStream, _ line: [UInt8], by id: WorkerID) {
        guard let member = members[id] else { return }
        let entry = LogLine(stream, mask.hiding(line), at: now.wall)
        if let run = member.executing, let job = runs[run]?.request.job {
            runLogs.append(run: run, job: job, entry)
        } else {
            runLogs.appendBetweenRuns(plugin: member.spec.plugin, entry)
        }
    }

    // MARK: Losing

    /// The whole tree. Whoever else is with the worker is not charged with it.
    func kill(_ id: WorkerID, becauseOf meant: RunID? = nil) {
        force.killed(id, now: now.monotonic)
        members[id]?.isKilled = true
        members[id]?.process.killTree()
        for request in force.worker(id)?.runs.all ?? [] where request.run != meant {
            apply(.workerKilled(becauseOf: meant), to: request.run)
        }
    }

    /// A run that is to be killed may have ended meanwhile, its result on the way here, and its
    /// worker be in the next: that one is left in peace.
    private func kill(_ id: WorkerID, becauseOf run: RunID, _ live: LiveRun) {
        guard let slate = members[id]?.process.slate, !slate.close(attempt: live.request.fence) else {
            return kill(id, becauseOf: run)
        }
        loop.timer(after: WorkerProcess.silentLimit) { [weak self] in
            guard let self, runs[run] === live else { return }
            kill(id, becauseOf: run)
            self.run([])
        }
    }

    /// The worker talks nonsense: its run has crashed, it is killed.
    private func broke(_ problem: String, _ id: WorkerID) {
        guard members[id] != nil else { return }
        for request in force.worker(id)?.runs.all ?? [] { apply(.wireBroken(problem), to: request.run) }
        if force.worker(id)?.phase == .starting { run(force.failedToStart(id, problem, now: now.monotonic)) }
        kill(id)
        run([])
    }

    /// It was killed and is still there. What it had not begun it never will: that goes back. What it executes has
    /// not ended while it has not.
    func stuck(_ id: WorkerID) {
        guard let member = members[id] else { return }
        for request in force.worker(id)?.runs.all ?? [] where request.run != member.executing {
            guard let live = owned(request.run, id), live.attempt.startedAt == nil, !member.process.isBroken,
                member.process.slate?.hasBegun(attempt: live.request.fence) != true
            else { continue }
            returned(request.run, id)
        }
        report(.workerStuck(pid: member.process.pid, plugin: member.spec.plugin, run: member.executing))
    }

    private func exited(_ status: ChildExit, _ id: WorkerID) {
        guard let member = members[id] else { return }
        // It may have ended itself, heard of before the end of the lease was.
        let hasLapsed = leaseEnd.map { $0 <= now.monotonic } ?? false
        for request in force.worker(id)?.runs.all ?? [] {
            if hasLapsed { apply(.leaseLapsed, to: request.run) }
            if let live = runs[request.run], live.attempt.startedAt == nil, !member.process.isBroken, let slate = member.process.slate,
                slate.hasBegun(attempt: live.request.fence)
            {
                apply(.wireBroken("what it said last is not there"), to: request.run)
            }
            apply(.exited(status, lastWords: member.process.output.lastWords), to: request.run, workerLives: false)
        }
        slates?.retire(member.process.slate)
        let isAsked = member.executing == nil && status.isOwn
        members[id] = nil
        report(.workersChanged(.ended(plugin: member.spec.plugin, member.isKilled ? .killed : isAsked ? .ended : .crashed)))
        let sentence = member.process.words(after: "the worker \(status.sentence) before it was ready")
        run(force.exited(id, sentence, now: now.monotonic))
        finishIfStopped()
    }
}

extension LogLine {
    /// What a worker printed. Runtimes report on stderr, so that counts as a warning.
    init(_ stream: OutputStream, _ line: [UInt8], at: Instant) {
        switch stream {
        case .stdout: self.init(at: at, level: .info, stream: .stdout, text: line)
        case .stderr: self.init(at: at, level: .warning, stream: .stderr, text: line)
        }
    }
}

extension PoolSpec {
    var sandboxArguments: [String] { sandbox?.arguments(library: library.path) ?? [] }

    var loadRequest: LoadRequest {
        LoadRequest(
            library: library.path, plugin: plugin, memoryLimit: memoryLimit ?? 0, fileLimit: fileLimit ?? 0
        )
    }
}

extension AttemptRequest {
    func frame(instance: UInt32, _ now: Now) -> RunFrame {
        RunFrame(
            run: run, instance: instance, attempt: UInt32(clamping: attempt), trigger: trigger, fireTime: fireTime,
            timeout: timeout ?? .zero, fence: fence, idempotencyKey: idempotencyKey, payload: payload,
            stateVersion: state?.version ?? 0, state: state?.bytes ?? [],
            notBefore: notBefore.flatMap { $0 > now.wall ? Now(wall: $0, monotonic: now.monotonic + ($0 - now.wall)) : nil }
        )
    }
}
