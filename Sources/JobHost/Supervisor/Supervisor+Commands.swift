import JobConfig
import JobCore
import JobStore

extension Supervisor {
    /// The one door for everything an operator does, whether by CLI, HTTP or signal.
    public func perform(_ command: HostCommand, by actor: Actor) async throws -> CommandResult {
        if let asked = AskedCommand(command) { try await demandSecondPerson(asked, by: actor) }
        try refuseShorterHold(command)
        return try await carryOut(command, by: actor)
    }

    func carryOut(_ command: HostCommand, by actor: Actor) async throws -> CommandResult {
        switch command {
        case .reload(let allowsEmpty): return .report(await reload(by: actor, allowsEmpty: allowsEmpty))
        case .plan: return .report(await plan())
        case .trigger(let job, let payload):
            try refuseWhileStopping(job)
            return try await insert(job, trigger: .manual, by: actor, action: "trigger") { $0.payload = payload ?? [] }
        case .enqueue(let request): return try await enqueue(request, by: actor)
        case .cancel(let run): return try await cancel(run, by: actor)
        case .retry(let run):
            guard let ended = try await withStore({ try await $0.run(run) }) else {
                throw CommandError.unknownRun(run)
            }
            _ = try find(ended.job)
            let now = clock.now().wall
            var row = AuditRow(at: now, actor: actor, action: "retry", job: ended.job, detail: "run \(run)")
            let record = try await acting(row) {
                let record = try await withStore { try await $0.retry(run, by: actor, now: now) }
                row.detail += " as run \(record.id)"
                return (record, row)
            }
            dispatch(.waiting(job: record.job, due: clock.now().wall))
            return .run(record, inserted: true)
        case .discardDead(let run):
            let now = clock.now().wall
            let job = try await withStore { try await $0.run(run) }?.job
            let row = AuditRow(at: now, actor: actor, action: "discard", job: job, detail: "run \(run)")
            return try await acting(row) {
                guard try await withStore({ try await $0.discardDead(run, by: actor, now: now) }) else {
                    throw CommandError(.conflict, "run \(run) is not a dead letter", hint: "jobhost dead list")
                }
                return .done
            }
        case .setEnabled(let job, let enabled): return try await setEnabled(job, enabled, by: actor)
        case .setPaused(let job, let paused): return try await setPaused(job, paused, by: actor)
        case .breaker(let job, let action): return try await breaker(job, action, by: actor)
        case .backfill(let job, let from, let to, let dryRun):
            return try await backfill(job, from: from, to: to, dryRun: dryRun, by: actor)
        case .explain(let job, let at): return .explanation(try await explain(job, at: at))
        case .next(let job, let from, let count):
            let i = try find(job)
            let plan = dispatcher.jobs[i].plan
            return .fires(fires(of: i, after: from ?? clock.now().wall, count: min(max(count, 1), 1_000)).map { fire in
                ComingFire(at: fire, closed: plan.calendar?.closedReason(at: fire, in: plan.calendarZone))
            })
        case .rollBack(let plugin, let version): return .report(try await rollBack(plugin, to: version, by: actor))
        case .answer(let ask, let answer): return try await self.answer(ask, answer, by: actor)
        case .drain(let host, let isDrained): return try await drain(host, isDrained, by: actor)
        case .testAlerts:
            audit(actor, "alert test")
            return .done
        case .stop:
            stop(by: actor)
            return .done
        }
    }

    // MARK: Helpers

    func find(_ job: String) throws -> Int {
        if let i = dispatcher.index[job], !dispatcher.jobs[i].isRemoved { return i }
        if generation.jobs[job] != nil {
            throw CommandError(
                .notFound, "\(job) is not served here: it is not among [host] only",
                hint: "ask a host that serves it, or name it there and reload")
        }
        if let refused = generation.refused[job] { throw CommandError.refusedJob(job, refused.reason) }
        throw CommandError.unknownJob(
            job, among: dispatcher.jobs.filter { !$0.isRemoved }.map(\.name) + generation.refused.keys, last: lastReload)
    }

    /// Store errors in the words of commands.
    func withStore<Value: Sendable>(_ body: (any Store) async throws -> Value) async throws -> Value {
        do {
            return try await body(store)
        } catch let error as StoreError {
            switch error.kind {
            case .notFound: throw CommandError(.notFound, error.message)
            case .unavailable: throw CommandError(.unavailable, "the store does not answer: \(error.message)")
            case .incompatible, .held, .broken: throw CommandError(.unavailable, error.message)
            }
        }
    }

    /// Kept while the store is away, as results are.
    func audit(_ actor: Actor, _ action: String, job: String? = nil, detail: String = "") {
        let row = AuditRow(at: clock.now().wall, actor: actor, action: action, job: job, detail: detail)
        if store.isShared { actionsElsewhere.expect(row) }
        events.emit(.action(row))
        record([.audit(row)])
    }

    // MARK: New runs

    /// What is to run now cannot; what is enqueued waits for the next start.
    private func refuseWhileStopping(_ job: String) throws {
        guard phase == .draining else { return }
        throw CommandError(
            .unavailable, "the host is stopping and starts nothing new",
            hint: "to run it after the next start: jobhost enqueue \(job)")
    }

    private func insert(
        _ job: String, trigger: Trigger, by actor: Actor, action: String, fill: (inout NewRun) -> Void
    ) async throws -> CommandResult {
        let i = try find(job)
        let dispatched = dispatcher.jobs[i]
        guard dispatched.isEnabled else {
            throw CommandError(
                .conflict, "\(job) is disabled: \(disabledReason(dispatched))",
                hint: dispatched.badSettings == nil
                    ? "jobhost enable \(job), or one run without the host: jobhost exec \(job)"
                    : "mend [jobs.\(job).settings], then jobhost reload")
        }
        let now = clock.now().wall
        var run = NewRun(job: job, trigger: trigger, fireTime: now)
        dispatcher.setDefaults(&run, dispatched.plan)
        fill(&run)
        try checkPayload(run.payload, of: dispatched.plan)
        let request = run
        let row = AuditRow(at: now, actor: actor, action: action, job: job)
        return try await acting(row) {
            let results = try await withStore { store in
                try await store.enqueue([request], now: now) { results in results.first.flatMap { row.naming($0) } }
            }
            guard let result = results.first else { throw CommandError(.unavailable, "the store gave no answer") }
            if result.inserted { dispatch(.waiting(job: job, due: request.fireTime)) }
            return (.run(result.run, inserted: result.inserted), row.naming(result))
        }
    }

    private func enqueue(_ request: EnqueueCommand, by actor: Actor) async throws -> CommandResult {
        let now = clock.now().wall
        let due = request.at ?? (request.delay.map { now + max($0, .zero) } ?? now)
        let expires = request.expires ?? request.expiresAfter.map { max(due, now) + max($0, .zero) }
        if let problem = EnqueueBounds.problem(priority: request.priority ?? 0, key: request.key, due: due, expires: expires, now: now) {
            throw CommandError(.invalid, problem)
        }
        let usual = dispatcher.jobs[try find(request.job)].plan.config.expiry(due: due, now: now)
        return try await insert(request.job, trigger: .enqueued, by: actor, action: "enqueue") { run in
            run.payload = request.payload
            run.uniqueKey = request.key
            run.fireTime = due
            run.expiresAt = expires ?? usual
            if let priority = request.priority { run.priority = priority }
        }
    }

    /// The payload must be JSON, and what the entry's schema says.
    private func checkPayload(_ payload: [UInt8], of plan: ResolvedJob) throws {
        guard let problem = PayloadCheck.problem(payload, schema: plan.entry.payloadSchema) else { return }
        throw CommandError(.invalid, "the payload of \(plan.config.name) is refused: \(problem)")
    }

    private func backfill(
        _ job: String, from: Instant, to: Instant, dryRun: Bool, by actor: Actor
    ) async throws -> CommandResult {
        let i = try find(job)
        guard from < to else { throw CommandError(.invalid, "--from is not before --to") }
        guard to <= clock.now().wall else {
            throw CommandError(
                .invalid, "the range ends in the future, at \(to.rfc3339): backfill is for fire times that have passed",
                hint: "those to come run by themselves; use --to now")
        }
        let limit = 10_000
        let plan = dispatcher.jobs[i].plan
        guard let times = Schedule(spec: plan.schedule, zone: plan.zone)
            .openFires(from: from, to: to, calendar: plan.calendar, in: plan.calendarZone, most: limit)
        else {
            let closed = plan.calendar == nil ? "" : ", or times at which its calendar closes,"
            throw CommandError(
                .invalid, "more than \(limit) fires of \(job)\(closed) between \(from.rfc3339) and \(to.rfc3339)",
                hint: "ask for a shorter time")
        }
        guard !times.isEmpty else {
            throw CommandError(
                .invalid, "\(job) has no fire between \(from.rfc3339) and \(to.rfc3339)",
                hint: "its schedule: \(ScheduleText.describe(plan))")
        }
        if dryRun { return .backfill(fires: times, total: times.count) }
        let now = clock.now().wall
        let runs = times.map { fire in
            var run = NewRun(job: job, trigger: .backfill, fireTime: fire)
            dispatcher.setDefaults(&run, plan)
            return run
        }
        let row = AuditRow(
            at: now, actor: actor, action: "backfill", job: job, detail: "\(times.count) fires, \(from.rfc3339) … \(to.rfc3339)")
        try await acting(row) {
            _ = try await withStore { try await $0.enqueue(runs, now: now) { _ in row } }
            dispatch(.waiting(job: job, due: now))
        }
        return .backfill(fires: times, total: times.count)
    }

    private func cancel(_ run: RunID, by actor: Actor) async throws -> CommandResult {
        let now = clock.now()
        let reason = "cancelled by \(actor.name)" + (actor.reason.isEmpty ? "" : ": \(actor.reason)")
        if cancelHere(run, reason, by: actor) { return .done }
        if try await cancelWaiting(run, reason, by: actor, now: now.wall) { return .done }
        // Claimed between the two looks.
        if cancelHere(run, reason, by: actor) { return .done }
        guard let record = try await withStore({ try await $0.run(run) }) else {
            throw CommandError.unknownRun(run)
        }
        // Another host runs it, and hears of it within 3 s.
        if record.state == .running, record.owner != owner.host {
            let row = AuditRow(at: now.wall, actor: actor, action: "cancel", job: record.job, detail: "run \(run)")
            let isHeard = try await acting(row) {
                let isHeard = try await withStore { try await $0.cancelElsewhere(run, reason: reason, by: actor, now: now.wall) }
                return (isHeard, isHeard ? row : nil)
            }
            if isHeard { return .done }
        }
        throw CommandError(.conflict, "run \(run) of \(record.job) has already ended: \(record.state.rawValue)")
    }

    /// false: it does not wait.
    private func cancelWaiting(_ run: RunID, _ reason: String, by actor: Actor, now: Instant) async throws -> Bool {
        guard var record = try await withStore({ try await $0.run(run) }), !record.state.isTerminal, record.state != .running else { return false }
        let row = AuditRow(at: now, actor: actor, action: "cancel", job: record.job, detail: "run \(run)")
        let isDone = try await acting(row) {
            let isDone = try await withStore { try await $0.cancelWaiting(run, reason: reason, by: actor, now: now) }
            return (isDone, isDone ? row : nil)
        }
        guard isDone else { return false }
        (record.state, record.reason, record.finishedAt, record.payload) = (.cancelled, reason, now, "")
        events.emit(.endedWaiting(record))
        return true
    }

    /// false: no run of this host.
    private func cancelHere(_ run: RunID, _ reason: String, by actor: Actor) -> Bool {
        guard let i = dispatcher.owners[run] else { return false }
        audit(actor, "cancel", job: dispatcher.jobs[i].name, detail: "run \(run)")
        // A claim that has not been submitted ends here, and no worker is heard of it.
        // Asked again without saying why: the first word stands.
        if dispatcher.jobs[i].active[run]?.isWithRoom == true, cancellations[run] == nil || !actor.reason.isEmpty {
            cancellations[run] = reason
        }
        perform(dispatcher.cancel(run, reason: reason, now: clock.now()))
        return true
    }

    // MARK: Switches

    private func setEnabled(_ job: String, _ enabled: Bool?, by actor: Actor) async throws -> CommandResult {
        await switches.enter()
        defer { switches.leave() }
        let i = try find(job)
        if enabled == true, let bad = dispatcher.jobs[i].badSettings {
            throw CommandError(
                .conflict, "\(job) is off because its entry refused its settings: \(bad)",
                hint: "mend [jobs.\(job).settings], then jobhost reload")
        }
        let action = enabled.map { $0 ? "enable" : "disable" } ?? "enable as configured"
        try await save(.enabled(enabled), job: job, action: action, by: actor)
        return .done
    }

    private func setPaused(_ job: String?, _ paused: Bool, by actor: Actor) async throws -> CommandResult {
        await switches.enter()
        defer { switches.leave() }
        let action = paused ? "pause" : "resume"
        guard let job else {
            ownDecisions += 1
            defer { ownDecisions += 1 }
            let now = clock.now().wall
            try await acting(AuditRow(at: now, actor: actor, action: action, job: nil, detail: "")) {
                let row = try await withStore { try await $0.saveHostControl(.paused(paused), by: actor, action: action, now: now) }
                perform(dispatcher.setHostControl(row, now: clock.now()))
            }
            log.notice("\(action)d by \(actor.name)\(actor.reason.isEmpty ? "" : ": \(actor.reason)")")
            return .done
        }
        _ = try find(job)
        try await save(.paused(paused), job: job, action: action, by: actor)
        return .done
    }

    /// Durable first, then in force.
    private func save(_ change: ControlChange, job: String, action: String, by actor: Actor) async throws {
        let now = clock.now()
        ownDecisions += 1
        defer { ownDecisions += 1 }
        try await acting(AuditRow(at: now.wall, actor: actor, action: action, job: job, detail: "")) {
            let control = try await withStore {
                try await $0.saveControl(job: job, change, by: actor, action: action, now: now.wall)
            }
            perform(dispatcher.setControl(job: job, control, now: clock.now()))
        }
        log.notice("\(job): \(action) by \(actor.name)\(actor.reason.isEmpty ? "" : ": \(actor.reason)")")
    }

    /// Durable first too.
    private func breaker(_ job: String, _ action: BreakerAction, by actor: Actor) async throws -> CommandResult {
        await switches.enter()
        defer { switches.leave() }
        let i = try find(job)
        let now = clock.now()
        let reason = "by \(actor.name)" + (actor.reason.isEmpty ? "" : ": \(actor.reason)")
        if case .open(let until?) = action, until <= now.wall {
            throw CommandError(.invalid, "--until \(until.rfc3339) is in the past")
        }
        guard var breaker = dispatcher.jobs[i].breaker else {
            throw CommandError(.conflict, "\(job) has no breaker (`breaker = false` in the config)")
        }
        let name: String
        switch action {
        case .open(let until):
            breaker.forceOpen(until: until, reason: reason, now: now.wall)
            name = "breaker open\(until.map { " until \($0.rfc3339)" } ?? "")"
        case .close:
            breaker.close(reason: reason, now: now.wall)
            name = "breaker close"
        case .disable:
            breaker.disable(reason: reason, now: now.wall)
            name = "breaker disable"
        case .reset:
            breaker.reset(now: now.wall)
            name = "breaker reset"
        }
        ownDecisions += 1
        defer { ownDecisions += 1 }
        let data = breaker.encoded
        let mode = Self.word(breaker.mode)
        try await acting(AuditRow(at: now.wall, actor: actor, action: name, job: job, detail: "")) {
            let row = try await withStore { try await $0.saveBreaker(job: job, data, by: actor, action: name, now: now.wall) }
            perform(dispatcher.setBreaker(job: job, row, now: clock.now()))
            events.emit(.breaker(job: job, mode: mode, text: reason, at: now.wall))
        }
        log.notice("\(job): \(name) by \(actor.name)\(actor.reason.isEmpty ? "" : ": \(actor.reason)")")
        return .done
    }

    func fires(of i: Int, after: Instant, count: Int) -> [Instant] {
        let schedule = Schedule(spec: dispatcher.jobs[i].plan.schedule, zone: dispatcher.jobs[i].plan.zone)
        var times: [Instant] = []
        var from = after
        while times.count < count, let fire = schedule.next(after: from) {
            times.append(fire)
            from = fire
        }
        if times.isEmpty, let next = dispatcher.jobs[i].schedule.nextFire(), next > after { times = [next] }
        return times
    }
}

extension AuditRow {
    /// Of the run that came of it; nil: it was there already.
    fileprivate func naming(_ result: (run: RunRecord, inserted: Bool)) -> AuditRow? {
        guard result.inserted else { return nil }
        var row = self
        row.detail = "run \(result.run.id)"
        return row
    }
}
