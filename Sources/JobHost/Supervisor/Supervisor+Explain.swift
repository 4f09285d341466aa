import JobConfig
import JobCore
import JobStore

extension Supervisor {
    /// Why did the job run, or not, at that instant? First what the ledger knows, then the rule.
    func explain(_ job: String, at: Instant) async throws -> Explanation {
        guard let i = dispatcher.index[job], !dispatcher.jobs[i].isRemoved else { return try await explainAbsent(job, at) }
        let plan = dispatcher.jobs[i].plan
        let rule = JobCore.explain(
            schedule: Schedule(spec: plan.schedule, zone: plan.zone), zone: plan.zone,
            calendar: plan.calendar.map { ($0, plan.calendarZone) }, at: at)
        let now = clock.now().wall
        if at > now { return future(i, at, rule) }
        if let run = try await runDue(job, at) {
            return Explanation(
                job: job, at: at, verdict: Self.verdict(on: run), sentences: [describe(run)] + holdUp(of: run) + rule.sentences,
                run: run)
        }
        let range = try await range(job, at)
        let history = ReloadHistory(try await withStore { try await $0.reloads(limit: 1_000) })
        if let range {
            let change = rule.isFire ? nil : history.change(of: job, after: range.last)
            // Within a stretch there may be instants between two fires, unless the rule was another then.
            if rule.isFire || change != nil {
                let since = change.map { "Generation \($0.generation), at \($0.at.rfc3339), changed the job since. By today's rule:" }
                return Explanation(
                    job: job, at: at, verdict: range.reason.state.rawValue,
                    sentences: [try await explained(range)] + (since.map { [$0] } ?? []) + rule.sentences)
            }
        }
        if range == nil, let absence = Self.absence(of: job, at: at, history) {
            return Explanation(job: job, at: at, verdict: "absent", sentences: [absence] + (rule.isFire ? ["By today's rule it would have been due."] : []))
        }
        if rule.isFire { return try await unexplained(i, at, rule, history) }
        return try await undue(i, at, rule)
    }

    private static func verdict(on run: RunRecord) -> String {
        run.state.isTerminal ? (run.attempt > 0 ? "ran" : run.state.rawValue) : "waiting"
    }

    private func range(_ job: String, _ at: Instant) async throws -> LedgerRange? {
        let ranges = try await withStore { try await $0.ranges(job: job, from: at, to: at + .microseconds(1), limit: 5) }
        return ranges.first { $0.first <= at && at <= $0.last }
    }

    // MARK: Jobs that are not there

    /// A job that is refused, or that was removed: what the ledger has of it stays, and the
    /// reloads know since when it is gone.
    private func explainAbsent(_ job: String, _ at: Instant) async throws -> Explanation {
        let history = ReloadHistory(try await withStore { try await $0.reloads(limit: 1_000) })
        let refusal = generation.refused[job]
        let removal = history.removal(of: job)
        let known = try await runDue(job, at)
        guard refusal != nil || removal != nil || known != nil else {
            _ = try find(job)
            throw CommandError.unknownJob(job, among: [])
        }
        var sentences: [String] = []
        if let known { sentences += [describe(known)] + holdUp(of: known) }
        let range = try await range(job, at)
        if known == nil, let range { sentences.append(try await explained(range)) }
        let absence = known == nil && range == nil ? Self.absence(of: job, at: at, history) : nil
        if let absence { sentences.append(absence) }
        if let refusal {
            sentences.append("It does not serve now: it is refused: \(refusal.reason)")
        } else if let removal, at < removal.at || absence == nil {
            sentences.append("It is not in the config now: \(Self.sentence(of: removal, removing: job))")
        }
        let verdict = known.map(Self.verdict) ?? range.map(\.reason.state.rawValue) ?? (absence != nil || at > clock.now().wall ? "absent" : "unknown")
        return Explanation(job: job, at: at, verdict: verdict, sentences: sentences, run: known)
    }

    /// "generation 7, at 2026-05-04T10:00:00Z, removed it".
    private static func sentence(of entry: ReloadHistory.Entry, removing job: String) -> String {
        let detail = entry.jobs[job]?.detail ?? ""
        return "the reload at \(entry.at.rfc3339) (generation \(entry.generation)) removed it" + (detail.isEmpty ? "." : ", \(detail).")
    }

    /// That it did not serve at that instant; nil: it did, or nobody knows.
    private static func absence(of job: String, at instant: Instant, _ history: ReloadHistory) -> String? {
        switch history.presence(of: job, at: instant) {
        case .served, .unknown: return nil
        case .refused(let since, let reason):
            return "It did not serve then: it was refused since \(since.at.rfc3339) (generation \(since.generation)): \(reason)"
        case .absent(let since, let until):
            let from = since.map { ": \(sentence(of: $0, removing: job))" } ?? ", and had not been before."
            let back = until.map { " Generation \($0.generation), at \($0.at.rfc3339), brought it\(since == nil ? "" : " back")." } ?? ""
            return "It was not in the config then\(from)\(back)"
        }
    }

    /// No fire time: what there was of the job until then, and what keeps it from going on.
    private func undue(_ i: Int, _ at: Instant, _ rule: ScheduleExplanation) async throws -> Explanation {
        let job = dispatcher.jobs[i]
        var filter = RunFilter(job: job.name)
        filter.to = at + .microseconds(1)
        filter.limit = 1
        let request = filter
        guard let run = try await withStore({ try await $0.runs(request) }).first else {
            return Explanation(job: job.name, at: at, verdict: "not_due", sentences: rule.sentences)
        }
        let waits = !run.state.isTerminal && run.state != .running
        return Explanation(
            job: job.name, at: at, verdict: waits ? "waiting" : "not_due",
            sentences: rule.sentences + ["The newest run until then: \(describe(run))"] + holdUp(of: run), run: waits ? run : nil)
    }

    /// Why a run that waits has not started, as things stand, and what helps.
    private func holdUp(of run: RunRecord) -> [String] {
        guard let waits = waiting(for: run) else { return [] }
        return ["It waits: \(waits.sentence)." + (waits.command.map { " What helps: \($0)" } ?? "")]
    }

    private func future(_ i: Int, _ at: Instant, _ rule: ScheduleExplanation) -> Explanation {
        let job = dispatcher.jobs[i]
        var sentences = rule.sentences
        if rule.isFire, let reason = job.refusal(hostPaused: dispatcher.hostControl.paused, now: at) {
            sentences.insert("It would be skipped as things stand: \(sentence(for: reason, job))", at: 0)
        }
        return Explanation(job: job.name, at: at, verdict: rule.isFire ? "future" : "not_due", sentences: sentences)
    }

    /// A run of the job whose fire time is that instant, to the second where the question has seconds only.
    private func runDue(_ job: String, _ at: Instant) async throws -> RunRecord? {
        var filter = RunFilter(job: job)
        let isWholeSecond = at.microseconds.floorRemainder(1_000_000) == 0
        filter.from = at
        // The end is exclusive.
        filter.to = at + (isWholeSecond ? .seconds(1) : .microseconds(1))
        filter.limit = 10
        let request = filter
        let runs = try await withStore { try await $0.runs(request) }
        return runs.first { $0.trigger == .schedule || $0.trigger == .catchUp } ?? runs.first
    }

    private func describe(_ run: RunRecord) -> String {
        var text = "Run \(run.id) (\(run.trigger.rawValue)), due \(run.fireTime.rfc3339), "
        text += run.state.isTerminal ? "ended \(run.outcome?.rawValue ?? run.state.rawValue)" : "is \(run.state.rawValue)"
        if let started = run.startedAt {
            text += "; it started \(brief(started - run.fireTime)) after its time"
        }
        if run.attempt > 1 { text += "; attempt \(run.attempt) of \(run.maxAttempts)" }
        return text + (run.reason.isEmpty ? "." : ": \(run.reason).")
    }

    private func explained(_ range: LedgerRange) async throws -> String {
        let count = range.count == 1 ? "This fire was" : "\(range.count) fires from \(range.first.rfc3339) to \(range.last.rfc3339) were"
        let cause = try await cause(of: range).map { ": \($0)" } ?? ""
        return "\(count) \(range.reason.state.rawValue): \(sentence(for: range.reason))\(cause)."
    }

    /// Who did it, since when, why; which run was in the way.
    private func cause(of range: LedgerRange) async throws -> String? {
        let action: String
        switch range.reason {
        case .paused: action = "pause"
        case .disabled: action = "disable"
        case .breaker: action = "breaker open"
        case .overlap: return try await runInTheWay(of: range)
        case .calendar, .reload, .expired, .window, .policy, .clock: return nil
        }
        // Newest first; of the host as a whole too.
        let rows = try await withStore { try await $0.audit(AuditFilter(limit: 1_000)) }
        let row = rows.first {
            $0.at <= range.last && ($0.job == range.job || $0.job == nil) && $0.action.hasPrefix(action)
        }
        guard let row else { return nil }
        let what = row.actor.name == "host" ? row.detail : "by \(row.actor.name)" + (row.actor.reason.isEmpty ? "" : ": \(row.actor.reason)")
        return "since \(row.at.rfc3339)" + (what.isEmpty ? "" : ", \(what)")
    }

    private func runInTheWay(of range: LedgerRange) async throws -> String? {
        var filter = RunFilter(job: range.job)
        filter.to = range.first
        filter.limit = 20
        let request = filter
        let runs = try await withStore { try await $0.runs(request) }
        guard let run = runs.first(where: { run in
            run.startedAt.map { $0 <= range.last } ?? false && run.finishedAt.map { $0 >= range.first } ?? true
        }) else { return nil }
        let took = run.startedAt.flatMap { started in run.finishedAt.map { ", which took \(brief($0 - started))" } } ?? ", which still runs"
        return "run \(run.id)\(took)"
    }

    func sentence(for reason: NoRunReason, _ job: DispatchedJob? = nil) -> String {
        switch reason {
        case .overlap: "earlier runs had not ended and used up the job's concurrency (overlap = \"skip\")"
        case .breaker:
            "the circuit breaker was open" + (job?.breaker.map { " (\($0.reason))" } ?? "")
        case .paused: "the job, or the host, was paused"
        case .calendar: "the calendar was closed"
        case .disabled: "the job was disabled" + (job.map { " (\(disabledReason($0)))" } ?? "")
        case .reload: "a reload changed or removed the job between claim and fire time"
        case .expired: "it expired before anybody had begun it"
        case .window: "it was found too late, older than the catch-up window (the host was down, or held)"
        case .policy: "it was found late (the host was down, or held) and the catch-up policy did not choose it"
        case .clock: "the wall clock jumped over it"
        }
    }

    /// Due by today's rule, but the ledger has nothing: say what is known.
    private func unexplained(
        _ i: Int, _ at: Instant, _ rule: ScheduleExplanation, _ history: ReloadHistory
    ) async throws -> Explanation {
        let job = dispatcher.jobs[i]
        var sentences: [String] = []
        let oldest = clock.now().wall - job.plan.config.retention.age
        if at < oldest {
            sentences.append("The ledger keeps \(durationText(job.plan.config.retention.age)) of this job; that instant is older.")
        }
        if let change = history.change(of: job.name, after: at) {
            let what = change.jobs[job.name].map { $0.detail.isEmpty ? $0.change : "\($0.change): \($0.detail)" } ?? "changed"
            sentences.append(
                "Generation \(change.generation), at \(change.at.rfc3339), changed the job after that instant (\(what)): "
                    + "it may have had another schedule then.")
        }
        if at > job.schedule.cursor, let reason = job.refusal(hostPaused: dispatcher.hostControl.paused, now: clock.now().wall) {
            // Refused fires are recorded together, a little later.
            return Explanation(
                job: job.name, at: at, verdict: "skipped",
                sentences: ["It is not started: \(sentence(for: reason, job)). The ledger will have it within \(durationText(dispatcher.settings.refusalFlush))."]
                    + rule.sentences)
        }
        if at <= job.schedule.cursor {
            sentences.append("The schedule has been accounted for up to \(job.schedule.cursor.rfc3339).")
        } else {
            sentences.append("The schedule has been accounted for up to \(job.schedule.cursor.rfc3339) only; this fire is still to be decided.")
        }
        return Explanation(job: job.name, at: at, verdict: "unknown", sentences: sentences + rule.sentences)
    }
}
