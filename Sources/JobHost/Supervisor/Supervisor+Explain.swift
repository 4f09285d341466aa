import JobConfig
import JobCore
import JobJSON
import JobStore

extension Supervisor {
    /// Why did the job run, or not, at that instant? First what the ledger knows, then the rule.
    func explain(_ job: String, at: Instant) async throws -> Explanation {
        let i = try find(job)
        let plan = dispatcher.jobs[i].plan
        let rule = JobCore.explain(
            schedule: Schedule(spec: plan.schedule, zone: plan.zone), zone: plan.zone,
            calendar: plan.calendar.map { ($0, plan.calendarZone) }, at: at)
        let now = clock.now().wall
        if at > now { return future(i, at, rule) }

        if let run = try await runDue(job, at) {
            return Explanation(
                job: job, at: at, verdict: run.state.isTerminal ? (run.attempt > 0 ? "ran" : run.state.rawValue) : "waiting",
                sentences: [describe(run)] + holdUp(of: run, dispatcher.jobs[i]) + rule.sentences, run: run)
        }
        let ranges = try await withStore { try await $0.ranges(job: job, from: at, to: at + .microseconds(1), limit: 5) }
        if let range = ranges.first(where: { $0.first <= at && at <= $0.last }), rule.isFire {
            return Explanation(
                job: job, at: at, verdict: range.reason.state.rawValue,
                sentences: [describe(range)] + rule.sentences)
        }
        if rule.isFire { return try await unexplained(i, at, rule) }
        return try await undue(i, at, rule)
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
            sentences: rule.sentences + ["The newest run until then: \(describe(run))"] + holdUp(of: run, job), run: waits ? run : nil)
    }

    /// Why a run that waits has not started, as things stand.
    private func holdUp(of run: RunRecord, _ job: DispatchedJob) -> [String] {
        guard !run.state.isTerminal, run.state != .running,
            let reason = job.refusal(hostPaused: dispatcher.hostControl.paused, now: clock.now().wall)
        else { return [] }
        return ["It waits because \(sentence(for: reason, job))."]
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

    private func describe(_ range: LedgerRange) -> String {
        let count = range.count == 1 ? "This fire was" : "\(range.count) fires from \(range.first.rfc3339) to \(range.last.rfc3339) were"
        return "\(count) \(range.reason.state.rawValue): \(sentence(for: range.reason))."
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
        case .window: "it was found too late, older than the catch-up window (the host was down, or held)"
        case .policy: "it was found late (the host was down, or held) and the catch-up policy did not choose it"
        case .clock: "the wall clock jumped over it"
        }
    }

    /// Whether a reload's report says that it touched the job.
    private static func changed(_ job: String, in reload: ReloadRow) -> Bool {
        guard let report = try? JSON(parsing: reload.report), let lines = report["jobs"]?.arrayValue else { return false }
        return lines.contains { line in
            line["job"]?.stringValue == job && line["change"]?.stringValue != ReloadReport.Change.kept.rawValue
        }
    }

    /// Due by today's rule, but the ledger has nothing: say what is known.
    private func unexplained(_ i: Int, _ at: Instant, _ rule: ScheduleExplanation) async throws -> Explanation {
        let job = dispatcher.jobs[i]
        var sentences: [String] = []
        let oldest = clock.now().wall - job.plan.config.retention.age
        if at < oldest {
            sentences.append("The ledger keeps \(durationText(job.plan.config.retention.age)) of this job; that instant is older.")
        }
        let reloads = try await withStore { try await $0.reloads(limit: 100) }
        if let reload = reloads.last(where: { $0.at > at && $0.accepted && Self.changed(job.name, in: $0) }) {
            sentences.append(
                "Generation \(reload.generation), at \(reload.at.rfc3339), added or changed the job, after that instant: "
                    + "it may have had another schedule, or not have existed.")
        }
        if at <= job.schedule.cursor {
            sentences.append("The schedule has been accounted for up to \(job.schedule.cursor.rfc3339).")
        } else {
            sentences.append("The schedule has been accounted for up to \(job.schedule.cursor.rfc3339) only; this fire is still to be decided.")
        }
        return Explanation(job: job.name, at: at, verdict: "unknown", sentences: sentences + rule.sentences)
    }
}
