import JobCore

/// `jobhost show JOB`.
struct JobView {
    let screen: Screen

    /// `latest`: the newest of its runs, and the fires among them that never became any.
    func lines(_ job: API.Job, latest: API.Runs) -> [Styled] {
        var lines = [Styled(job.name, .bold) + Styled("  \(job.plugin).\(job.entry)", .dim)]
        if !job.description.isEmpty { lines += screen.wrapped(job.description) }
        if !job.refused.isEmpty {
            lines += screen.wrapped(
                "refused: \(job.refused). Mend it, then: \(command("reload"))", .bad, first: Styled("!  ", .bad), indent: 3)
        }
        for problem in job.problems { lines += screen.wrapped(problem, .bad, first: Styled("!  ", .bad), indent: 3) }
        var fields = FieldsView(screen: screen)
        fields.add("schedule", job.schedule)
        addNext(job, to: &fields)
        fields.add("enabled", job.refused.isEmpty ? enabled(job) : "")
        fields.add("paused", job.control.paused ? Styled("yes" + because(job.control.pauseReason), .warn) : "")
        fields.add("breaker", breaker(job.breaker))
        fields.add("last", last(job))
        fields.add("recent", job.recentOutcomes.reduce(Styled("")) { $0 + $1.mark })
        fields.add("waiting", job.waiting > 0 ? "\(job.waiting)" : "")
        fields.add("dead letters", job.dead > 0 ? Styled("\(job.dead)  jobhost dead list \(job.name)", .bad) : "")
        fields.add("labels", job.labels.joined(separator: ", "))
        fields.add("library", String(job.libraryHash.prefix(12)))
        lines += fields.lines
        for run in job.running { lines += running(run) }
        let runs = RunsView(screen: screen, isOfOneJob: true).table(latest).lines(width: screen.width.map { $0 - 2 })
        if runs.count > 1 { lines += ["", Styled("latest", .dim)] + runs.map { Styled("  ") + $0 } }
        lines += section("ever", job.counters.sorted { $0.value > $1.value }.map { (wordsOf($0.key), Styled("\($0.value)")) })
        lines += section("limits", job.limits.map { ($0.name, Styled($0.value)) })
        if case .object(let settings) = job.settings {
            lines += section("settings", settings.sorted { $0.key < $1.key }.map { ($0.key, Styled($0.value.canonicalText)) })
        }
        return lines + [""] + screen.wrapped("its runs: \(command("runs \(job.name)")); its log: \(command("logs \(job.name)"))", .dim)
    }

    private func addNext(_ job: API.Job, to fields: inout FieldsView) {
        let dim = job.next.at.map { Styled("  \(TimeText.relative($0, now: screen.now))", .dim) } ?? ""
        let at = Styled(job.next.at.map(TimeText.absolute) ?? "")
        switch job.next.what {
        case .fire: fields.add("next", at + dim)
        case .probe: fields.add("next", Styled(job.next.at == nil ? "a probe, with the next run" : "a probe, ", .warn) + at + dim)
        case .refused, .off, .nothing: break
        case .paused: fields.add("next", Styled("nothing: paused", .warn))
        case .held: fields.add("next", Styled("nothing: the breaker is held open", .bad))
        case .stopping: fields.add("next", Styled("nothing: the host is stopping", .warn))
        }
    }

    private func section(_ title: String, _ rows: [(String, Styled)]) -> [Styled] {
        guard !rows.isEmpty else { return [] }
        let width = rows.map { $0.0.count }.max() ?? 0
        return ["", Styled(title, .dim)] + rows.map { Styled("  ") + Styled($0.0).padded(to: width + 2) + $0.1 }
    }

    private func because(_ reason: String) -> String { reason.isEmpty ? "" : ": \(reason)" }

    private func enabled(_ job: API.Job) -> Styled {
        if !job.enabled { return Styled("no" + because(job.disabledReason), .warn) }
        return job.control.enabled == true ? Styled("yes, by an operator" + because(job.control.reason)) : "yes"
    }

    private func isOpen(_ breaker: API.Breaker) -> Bool { breaker.state == "open" || breaker.state == "forced_open" }

    private func breaker(_ breaker: API.Breaker) -> Styled {
        let tone: Tone = ["closed", "off"].contains(breaker.state) ? .plain : isOpen(breaker) ? .bad : .warn
        let failures = breaker.failures > 0 && breaker.state == "closed" ? ", \(counted(breaker.failures, "failure"))" : ""
        return Styled(wordsOf(breaker.state) + failures + BreakerText.until(breaker, now: screen.now) + because(breaker.reason), tone)
    }

    private func last(_ job: API.Job) -> Styled {
        guard let last = job.last else { return Styled("never ran", .dim) }
        let took = last.durationUs.map { " (\(TimeText.took($0)))" } ?? ""
        let when = TimeText.relative(last.finishedAt ?? last.fireTime, now: screen.now)
        return Styled("run \(last.id) ") + stateText(last, now: screen.now) + Styled(" \(when)\(took)" + because(last.reason))
    }

    private func running(_ run: API.RunningRun) -> [Styled] {
        let head = "run \(run.run), attempt \(run.attempt)"
        let first = Styled("▶  ", .accent)
        if let started = run.startedAt {
            let span = TimeText.span((screen.now - started).microseconds)
            return screen.wrapped("\(head), for \(span), pid \(run.pid) \(ProgressText.long(run))", .accent, first: first, indent: 3)
        }
        guard !run.problem.isEmpty else { return [first + Styled("\(head), waits for its worker", .accent)] }
        return screen.wrapped("\(head), cannot start: \(run.problem)", .bad, first: first, indent: 3)
    }
}

/// Until when a breaker stays as it is.
enum BreakerText {
    /// ", next try in 1m 24s", ", until 2026-05-04 12:00:00Z, in 2h".
    static func until(_ breaker: API.Breaker, now: Instant) -> String {
        guard let until = breaker.until else { return breaker.state == "forced_open" ? ", until somebody closes it" : "" }
        switch breaker.state {
        case "open": return until > now ? ", next try \(TimeText.relative(until, now: now))" : ", half-open at the next run"
        case "forced_open":
            return until > now
                ? ", until \(TimeText.absolute(until)), \(TimeText.relative(until, now: now))"
                : " until \(TimeText.absolute(until)), which has passed: half-open at the next run"
        default: return ""
        }
    }
}

/// `jobhost next`.
struct FiresView {
    let screen: Screen
    /// Whose clocks are shown besides UTC; nil: unknown on this machine.
    let zone: Zone?

    func lines(_ fires: API.Fires) -> [Styled] {
        let note: [Styled] = fires.note.isEmpty ? [] : screen.wrapped(fires.note, .warn)
        guard !fires.fires.isEmpty else {
            return note + screen.wrapped("\(fires.job ?? fires.schedule) has no further fire time (\(fires.schedule)).")
        }
        let closed = Dictionary(fires.closed.map { ($0.at, $0.reason) }, uniquingKeysWith: { first, _ in first })
        var table = Table([.init(""), .init(""), .init(""), .init("")])
        for fire in fires.fires {
            let local = zone.map { $0.name == "UTC" ? "" : TimeText.local(fire, $0) } ?? ""
            let mark = closed[fire].map { Styled("skipped by its calendar: \($0)", .warn) } ?? Styled("")
            table.add([Styled(TimeText.absolute(fire)), Styled(local), Styled(TimeText.relative(fire, now: screen.now), .dim), mark])
        }
        return table.lines(width: nil) + note
    }
}

/// `jobhost explain`.
struct ExplainView {
    let screen: Screen

    func lines(_ explained: API.Explained) -> [Styled] {
        let tone: Tone =
            switch explained.verdict {
            case "ran": .good
            case "skipped", "missed", "absent": .bad
            case "waiting", "future": .accent
            default: .warn
            }
        var lines = [
            Styled(explained.job, .bold) + Styled(" at \(TimeText.absolute(explained.at)): ")
                + Styled(explained.verdict == "absent" ? "not there" : wordsOf(explained.verdict), tone)
        ]
        for sentence in explained.sentences { lines += screen.wrapped(sentence, first: "  ", indent: 2) }
        if let run = explained.run {
            lines.append(Styled("  run \(run.id) ") + stateText(run, now: screen.now) + Styled("    \(command("logs \(run.id)"))", .dim))
        }
        return lines
    }
}

/// `jobhost backfill`.
struct BackfillView {
    let screen: Screen

    func lines(_ backfilled: API.Backfilled) -> [Styled] {
        let total = counted(backfilled.total, "run")
        let head = backfilled.dryRun ? "would put \(total) of" : "put \(total) of"
        var lines = [Styled("\(head) ") + Styled(backfilled.job, .bold) + Styled(backfilled.dryRun ? " into its queue:" : " into its queue")]
        for fire in backfilled.fires.prefix(10) { lines.append(Styled("  \(TimeText.absolute(fire))")) }
        let rest = backfilled.total - min(10, backfilled.fires.count)
        if rest > 0 { lines.append(Styled("  … and \(rest) more", .dim)) }
        return lines
    }
}
