import JobCore

/// `jobhost show JOB`.
struct JobView {
    let screen: Screen

    func lines(_ job: API.Job) -> [Styled] {
        var lines = [Styled(job.name, .bold) + Styled("  \(job.plugin).\(job.entry)", .dim)]
        if !job.description.isEmpty { lines += screen.wrapped(job.description) }
        for problem in job.problems { lines += screen.wrapped(problem, .bad, first: Styled("!  ", .bad), indent: 3) }
        var fields = FieldsView(screen: screen)
        fields.add("schedule", job.schedule)
        fields.add("next", at: job.nextFire)
        fields.add("enabled", enabled(job))
        fields.add("paused", job.control.paused ? Styled("yes" + because(job.control.reason), .warn) : "")
        fields.add("breaker", breaker(job.breaker))
        fields.add("last", last(job))
        fields.add("recent", job.recentOutcomes.reduce(Styled("")) { $0 + $1.mark })
        fields.add("waiting", job.waiting > 0 ? "\(job.waiting)" : "")
        fields.add("dead letters", job.dead > 0 ? Styled("\(job.dead)  jobhost dead list \(job.name)", .bad) : "")
        fields.add("labels", job.labels.joined(separator: ", "))
        fields.add("library", String(job.libraryHash.prefix(12)))
        lines += fields.lines
        for run in job.running { lines.append(running(run)) }
        lines += section("ever", job.counters.sorted { $0.value > $1.value }.map { (wordsOf($0.key), Styled("\($0.value)")) })
        lines += section("limits", job.limits.map { ($0.name, Styled($0.value)) })
        if case .object(let settings) = job.settings {
            lines += section("settings", settings.sorted { $0.key < $1.key }.map { ($0.key, Styled($0.value.canonicalText)) })
        }
        return lines + [""] + screen.wrapped("its runs: \(command("runs \(job.name)")); its log: \(command("logs \(job.name)"))", .dim)
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

    private func breaker(_ breaker: API.Breaker) -> Styled {
        let tone: Tone = ["closed", "off"].contains(breaker.state) ? .plain : breaker.state.hasSuffix("open") ? .bad : .warn
        let until = breaker.until.map { ", until \(TimeText.relative($0, now: screen.now))" } ?? ""
        let failures = breaker.failures > 0 ? ", \(counted(breaker.failures, "failure"))" : ""
        return Styled(wordsOf(breaker.state) + failures + until + because(breaker.reason), tone)
    }

    private func last(_ job: API.Job) -> Styled {
        guard let last = job.last else { return Styled("never ran", .dim) }
        let took = last.durationUs.map { " (\(TimeText.took($0)))" } ?? ""
        let when = TimeText.relative(last.finishedAt ?? last.fireTime, now: screen.now)
        return Styled("run \(last.id) ") + stateText(last, now: screen.now) + Styled(" \(when)\(took)" + because(last.reason))
    }

    private func running(_ run: API.RunningRun) -> Styled {
        let since = run.startedAt.map { " for \(TimeText.span((screen.now - $0).microseconds))" } ?? ""
        let total = run.total > 0 ? " \(run.done)/\(run.total)" : ""
        return Styled("▶  run \(run.run), attempt \(run.attempt)\(since), pid \(run.pid)\(total) \(run.text)", .accent)
    }
}

/// `jobhost next`.
struct FiresView {
    let screen: Screen

    func lines(_ fires: API.Fires) -> [Styled] {
        guard !fires.fires.isEmpty else {
            return screen.wrapped("\(fires.job ?? fires.schedule) has no further fire time (\(fires.schedule)).")
        }
        return fires.fires.map { Styled(TimeText.absolute($0)) + Styled("  \(TimeText.relative($0, now: screen.now))", .dim) }
    }
}

/// `jobhost explain`.
struct ExplainView {
    let screen: Screen

    func lines(_ explained: API.Explained) -> [Styled] {
        let tone: Tone =
            switch explained.verdict {
            case "ran": .good
            case "skipped", "missed": .bad
            case "waiting", "future": .accent
            default: .warn
            }
        var lines = [
            Styled(explained.job, .bold) + Styled(" at \(TimeText.absolute(explained.at)): ")
                + Styled(wordsOf(explained.verdict), tone)
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
