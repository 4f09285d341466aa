import JobCore

/// `jobhost status`: one line per job, and below them what is wrong and what to do about it.
struct StatusView {
    let screen: Screen

    func lines(_ status: API.Status) -> [Styled] {
        let now = screen.now
        var lines = header(status.host)
        lines.append("")
        if status.jobs.isEmpty {
            lines += screen.wrapped("No jobs yet. Add a table [jobs.NAME] to \(status.host.configFile), then: \(command("reload"))")
            return lines
        }
        lines += self.table(status.jobs, host: status.host, now: now).lines(width: screen.width)
        let notes = status.jobs.flatMap { self.notes(on: $0, now: now) }
        if !notes.isEmpty { lines += [""] + notes }
        return lines
    }

    private func header(_ host: API.Host) -> [Styled] {
        let phase: Tone = host.phase == "running" ? .good : .warn
        let since = TimeText.span((screen.now - host.startedAt).microseconds)
        var lines = [
            Styled(host.name, .bold) + " · " + Styled(host.phase, phase)
                + Styled(" · up \(since) · generation \(host.generation) · \(counted(host.workers, "worker")) · pid \(host.pid)"),
            Styled(host.configFile, .dim),
        ]
        if let width = screen.width { lines = lines.map { $0.truncated(to: width) } }
        if host.control.paused {
            let why = host.control.reason.isEmpty ? "" : ": \(host.control.reason)"
            lines += note("‖", .warn, "paused\(since_(host.control.since))\(why). Go on: \(command("resume"))")
        }
        // The refused reload has its own line below, which says when it was.
        let isRefused = host.lastReload?.accepted == false
        for problem in host.problems where !(isRefused && problem.hasPrefix("the last reload was refused")) {
            lines += note("!", .bad, problem)
        }
        if let reload = host.lastReload, !reload.clean {
            let why = reload.errors.first.map { ": \($0)" } ?? ""
            let what = reload.accepted ? "was refused for some jobs" : "was refused\(why)"
            lines += note("!", .bad, "the last reload, \(TimeText.relative(reload.at, now: screen.now)), \(what). See: \(command("plan"))")
        }
        return lines
    }

    private func since_(_ instant: Instant?) -> String {
        instant.map { " since \(TimeText.relative($0, now: screen.now))" } ?? ""
    }

    private func note(_ mark: String, _ tone: Tone, _ text: String) -> [Styled] {
        screen.wrapped(text, tone, first: Styled(mark + "  ", tone), indent: 3)
    }

    private func table(_ jobs: [API.Job], host: API.Host, now: Instant) -> Table {
        let hostPaused = host.control.paused
        var table = Table([
            .init(""), .init("JOB", yields: [.shrink(7, to: 14)]),
            .init("SCHEDULE", yields: [.shrink(3, to: 12), .drop(6)]), .init("NEXT"),
            .init("LAST", yields: [.shrink(8, to: 12)]), .init("QUEUE", yields: [.drop(5)]),
            .init("BREAKER", yields: [.drop(2)]), .init("RECENT", keepsEnd: true, yields: [.shrink(1, to: 6), .drop(4)]),
        ])
        for job in jobs {
            let name = Styled(job.name, .bold)
            table.add([
                mark(job, hostPaused: hostPaused), name, Styled(job.schedule), next(job, host: host, now: now),
                last(job, now: now), queue(job), breaker(job), recent(job.recentOutcomes),
            ])
        }
        return table
    }

    /// The most telling of its conditions.
    private func mark(_ job: API.Job, hostPaused: Bool) -> Styled {
        if !job.problems.isEmpty { return Styled("!", .bad) }
        if !job.enabled { return Styled("○", .dim) }
        if !job.running.isEmpty { return Styled("▶", .accent) }
        if job.control.paused || hostPaused { return Styled("‖", .warn) }
        if job.breaker.state == "open" || job.breaker.state == "forced_open" { return Styled("✗", .bad) }
        // Its last attempt may have asked for another one that it did not get.
        if job.last?.state == .discarded { return Styled("✗", .bad) }
        switch job.last?.outcome {
        case .failed, .timedOut, .crashed, .lost: return Styled("✗", .bad)
        case nil: return Styled("·", .dim)
        default: return Styled("●", .good)
        }
    }

    private func next(_ job: API.Job, host: API.Host, now: Instant) -> Styled {
        if !job.enabled { return Styled("off", .dim) }
        if job.control.paused || host.control.paused { return Styled("paused", .warn) }
        guard let next = job.nextFire, host.phase != "draining" else { return Styled("–", .dim) }
        // A held fire is not late: the breaker says when it may go.
        if next <= now, job.breaker.state == "open" || job.breaker.state == "forced_open" { return Styled("breaker", .bad) }
        return Styled(TimeText.relative(next, now: now))
    }

    private func last(_ job: API.Job, now: Instant) -> Styled {
        if let running = job.running.first {
            let since = running.startedAt.map { " for \(TimeText.span((now - $0).microseconds))" } ?? ""
            let more = job.running.count > 1 ? ", \(job.running.count) at once" : ""
            return Styled("running\(since)\(more)", .accent) + Styled(progress(running), .dim)
        }
        guard let last = job.last else { return Styled("never ran", .dim) }
        let word = last.outcome.map { Styled($0.words, $0.tone) } ?? Styled(last.state.rawValue, last.state.tone)
        let when = TimeText.relative(last.finishedAt ?? last.fireTime, now: now)
        let took = last.durationUs.map { " (\(TimeText.took($0)))" } ?? ""
        return word + Styled(" \(when)\(took)")
    }

    private func progress(_ run: API.RunningRun) -> String {
        let text = run.text.isEmpty ? "" : " \(run.text)"
        guard run.total > 0 else { return run.done > 0 ? " \(run.done)\(text)" : text }
        let percent = Double(min(run.done, run.total)) / Double(run.total) * 100
        return " \(Int(percent))%\(text)"
    }

    private func queue(_ job: API.Job) -> Styled {
        let waiting = job.waiting > 0 ? Styled("\(job.waiting) waiting") : ""
        let dead = job.dead > 0 ? Styled("\(job.dead) dead", .bad) : ""
        return waiting + (job.waiting > 0 && job.dead > 0 ? ", " : "") + dead
    }

    private func breaker(_ job: API.Job) -> Styled {
        switch job.breaker.state {
        case "closed", "off": ""
        case "half_open": Styled("half-open", .warn)
        case "disabled": Styled("disabled", .warn)
        default: Styled(wordsOf(job.breaker.state), .bad)
        }
    }

    private func recent(_ outcomes: [Outcome]) -> Styled {
        outcomes.suffix(20).reduce(Styled("")) { $0 + $1.mark }
    }

    private func notes(on job: API.Job, now: Instant) -> [Styled] {
        var lines: [Styled] = []
        func say(_ tone: Tone, _ text: String) {
            lines += screen.wrapped(text, tone, first: Styled("!  ", tone) + Styled(job.name, .bold) + "  ", indent: 3)
        }
        for problem in job.problems { say(.bad, problem) }
        if !job.enabled, !job.disabledReason.isEmpty, job.disabledReason != "config" {
            say(.warn, "off: \(job.disabledReason). Switch it on: \(command("enable \(job.name)"))")
        }
        if job.control.paused {
            let why = job.control.reason.isEmpty ? "" : ": \(job.control.reason)"
            say(.warn, "paused\(since_(job.control.since))\(why). Go on: \(command("resume \(job.name)"))")
        }
        if job.breaker.state == "open" || job.breaker.state == "forced_open" {
            let why = job.breaker.reason.isEmpty ? "" : ": \(job.breaker.reason)"
            let what = job.breaker.state == "open" ? "next try" : "ends"
            let until = job.breaker.until.map {
                $0 > now
                    ? ", \(what) \(TimeText.relative($0, now: now))" : " until \(TimeText.absolute($0)), now half-open at the next run"
            } ?? ""
            say(.bad, "breaker \(wordsOf(job.breaker.state))\(why)\(until). Close it: \(command("breaker \(job.name) close"))")
        }
        let isDead = job.last?.state == .discarded
        if let last = job.last, let outcome = last.outcome, isDead || (outcome.tone == .bad && !last.reason.isEmpty) {
            let words = outcome.tone == .bad ? outcome.words : "used up its attempts"
            let why = last.reason.isEmpty ? "" : ": \(last.reason)"
            say(.bad, "run \(last.id) \(words)\(why). See: \(command("logs \(last.id)"))")
        }
        // One dead letter that is the run just named needs no second line.
        if job.dead > (isDead ? 1 : 0) { say(.bad, "\(counted(job.dead, "dead letter")). See: \(command("dead list \(job.name)"))") }
        return lines
    }
}
