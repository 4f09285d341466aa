import JobCore

/// `jobhost status`: what is wrong and what to do about it, then one line per job.
struct StatusView {
    let screen: Screen

    func lines(_ status: API.Status) -> [Styled] {
        let parts = parts(status, jobs: status.jobs)
        return parts.header + [""] + (parts.notes.isEmpty ? [] : parts.notes + [""]) + parts.table
    }

    /// The same within so many lines: the worst first, and how much is left out.
    func lines(_ status: API.Status, rows: Int) -> [Styled] {
        let all = lines(status)
        guard all.count > rows, !status.jobs.isEmpty else { return Array(all.prefix(max(1, rows))) }
        let jobs = status.jobs.enumerated().sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }.map(\.element)
        let parts = parts(status, jobs: jobs)
        let header = Array(parts.header.prefix(max(1, rows / 2)))
        let room = max(0, rows - header.count - 1)
        // Half for the problems, half for the table; what one does not need the other may have.
        let table = min(parts.table.count, max(room / 2, room - parts.notes.count - 1))
        let notes = cut(parts.notes, to: max(0, room - table - 1)) { "… \(counted($0, "more line")) of problems" }
        let gap: [Styled] = notes.isEmpty ? [] : [""]
        let shown = cut(parts.table, to: max(0, room - notes.count - gap.count)) { "… \(counted(min($0, status.jobs.count), "more job"))" }
        return Array((header + [""] + notes + gap + shown).prefix(max(1, rows)))
    }

    private func cut(_ lines: [Styled], to limit: Int, _ rest: (Int) -> String) -> [Styled] {
        guard lines.count > limit else { return lines }
        guard limit > 0 else { return [] }
        return lines.prefix(limit - 1) + [Styled(rest(lines.count - limit + 1), .dim)]
    }

    private func parts(_ status: API.Status, jobs: [API.Job]) -> (header: [Styled], notes: [Styled], table: [Styled]) {
        let header = header(status.host)
        // The red ones first: where not all can be shown, they can.
        let all = jobs.flatMap { notes(on: $0, now: screen.now) }
        let sorted = all.filter { $0.tone == .bad } + all.filter { $0.tone != .bad }
        guard !jobs.isEmpty else {
            let text = "No jobs yet. Add a table [jobs.NAME] to \(status.host.configFile), then: \(command("reload"))"
            return (header, [], screen.wrapped(text))
        }
        return (
            header, sorted.flatMap { $0.lines },
            table(jobs, host: status.host, now: screen.now).lines(width: screen.width)
        )
    }

    /// Smaller: worse, so earlier where not all can be shown.
    private func rank(_ job: API.Job) -> Int {
        switch mark(job, hostPaused: false).tone {
        case .bad: 0
        case _ where job.dead > 0 && job.isFedByOthers: 1
        case .warn: 2
        case .accent: 3
        case .good: 4
        default: 5
        }
    }

    private func header(_ host: API.Host) -> [Styled] {
        let phase: Tone = host.phase == "running" ? .good : .warn
        let since = TimeText.span((screen.now - host.startedAt).microseconds)
        var lines = [
            Styled(host.name, .bold) + " · " + Styled(host.phase, phase)
                + Styled(" · up \(since) · \(jobsOn(host)) · generation \(host.generation) · \(counted(host.workers, "worker")) · pid \(host.pid)"),
            Styled(host.configFile, .dim),
        ]
        if let width = screen.width { lines = lines.map { $0.truncated(to: width) } }
        if host.control.paused {
            let why = host.control.pauseReason.isEmpty ? "" : ": \(host.control.pauseReason)"
            lines += note("‖", .warn, "paused\(since_(host.control.pausedSince))\(why). Go on: \(command("resume"))")
        }
        for condition in host.conditions where condition.grade == .critical && (host.lastReload == nil || !condition.isOfTheLastReload) {
            lines += note("!", .bad, condition.text + (condition.since.map { " (for \(TimeText.span((screen.now - $0).microseconds)))" } ?? ""))
        }
        let removals = host.conditions.filter(\.isOfTheLastReload).map(\.text)
        for text in host.notes where host.lastReload == nil || !removals.contains(text) { lines += note("◐", .accent, text) }
        if let reload = host.lastReload, reload.accepted { lines += removed(by: reload) }
        if let reload = host.lastReload, !reload.clean {
            let again = UnreadConfig.isPromised(reload.errors) ? "; it is tried again" : ""
            let why = (reload.errors.first.map { ": \($0)" } ?? "") + again
            let what = reload.accepted ? "was refused for some jobs" : "was refused\(why)"
            lines += note("!", .bad, "the last reload, \(TimeText.relative(reload.at, now: screen.now)), \(what). See: \(command("plan"))")
        }
        return lines
    }

    /// Until the next reload: nobody looks at the report of one that was sent by a signal.
    private func removed(by reload: API.Report) -> [Styled] {
        let names = reload.jobs.filter { $0.change == .removed }.map(\.name)
        guard !names.isEmpty else { return [] }
        let isMany = names.count >= 2 && names.count * 2 >= reload.jobsBefore
        let count = isMany ? "\(names.count) of \(reload.jobsBefore) jobs were" : names.count == 1 ? "1 job was" : "\(names.count) jobs were"
        let list = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", …" : "")
        let when = "\(TimeText.absolute(reload.at)), \(TimeText.relative(reload.at, now: screen.now))"
        return note(
            "!", .warn,
            "\(count) removed by the reload at \(when): \(list). If not meant, mend the config, then: \(command("reload")); if meant, the same ends this line")
    }

    private func jobsOn(_ host: API.Host) -> String {
        host.jobsOn == host.jobs ? counted(host.jobs, "job") : "\(host.jobsOn) of \(counted(host.jobs, "job")) on"
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
            let mark = mark(job, hostPaused: hostPaused)
            table.add([
                Styled(mark.text, mark.tone), Styled(job.name, .bold), Styled(job.schedule), next(job, host: host, now: now),
                last(job, now: now), queue(job), breaker(job), recent(job.recentOutcomes),
            ])
        }
        return table
    }

    /// The most telling of its conditions.
    private func mark(_ job: API.Job, hostPaused: Bool) -> (text: String, tone: Tone) {
        if !job.refused.isEmpty { return ("✗", .bad) }
        if !job.problems.isEmpty || job.running.contains(where: { !$0.problem.isEmpty }) { return ("!", .bad) }
        if !job.enabled { return ("○", .dim) }
        if !job.running.isEmpty { return ("▶", .accent) }
        if job.control.paused || hostPaused { return ("‖", .warn) }
        if job.breaker.state == "open" { return ("✗", .bad) }
        // Somebody holds it.
        if job.breaker.state == "forced_open" { return ("✗", .warn) }
        if job.failure(now: screen.now) != nil { return ("✗", .bad) }
        switch job.last?.outcome {
        case .failed, .timedOut, .crashed, .lost: return ("✗", .dim)
        case nil: return ("·", .dim)
        default: return ("●", .good)
        }
    }

    private func next(_ job: API.Job, host: API.Host, now: Instant) -> Styled {
        switch job.next.what {
        case .fire: job.next.at.map { Styled(TimeText.relative($0, now: now)) } ?? Styled("–", .dim)
        case .probe: Styled("probe" + (job.next.at.map { " \(probeTime($0, now))" } ?? ""), .warn)
        case .refused: Styled("refused", .bad)
        case .off: Styled("off", .dim)
        case .paused: Styled("paused", .warn)
        case .held: Styled("held", .warn)
        case .stopping, .nothing: Styled("–", .dim)
        }
    }

    /// "1m 30s": in a narrow column.
    private func probeTime(_ at: Instant, _ now: Instant) -> String {
        at > now ? TimeText.span((at - now).microseconds) : "now"
    }

    private func last(_ job: API.Job, now: Instant) -> Styled {
        if let running = job.running.first {
            let more = job.running.count > 1 ? ", \(job.running.count) at once" : ""
            guard let started = running.startedAt else {
                return running.problem.isEmpty ? Styled("starting\(more)", .accent) : Styled("cannot start\(more)", .bad)
            }
            let since = TimeText.span((now - started).microseconds)
            return Styled("running for \(since)\(more)", .accent) + Styled(ProgressText.short(running), .dim)
        }
        guard let last = job.last else { return Styled("never ran", .dim) }
        let word = last.outcome.map { Styled($0.words, $0.tone) } ?? Styled(last.state.rawValue, last.state.tone)
        let when = TimeText.relative(last.finishedAt ?? last.fireTime, now: now)
        let took = last.durationUs.map { " (\(TimeText.took($0)))" } ?? ""
        return word + Styled(" \(when)\(took)")
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
        case "disabled", "forced_open": Styled(wordsOf(job.breaker.state), .warn)
        default: Styled(wordsOf(job.breaker.state), .bad)
        }
    }

    private func recent(_ outcomes: [Outcome]) -> Styled {
        outcomes.suffix(20).reduce(Styled("")) { $0 + $1.mark }
    }

    private func notes(on job: API.Job, now: Instant) -> [(tone: Tone, lines: [Styled])] {
        var notes: [(tone: Tone, lines: [Styled])] = []
        func say(_ tone: Tone, _ text: String) {
            notes.append((tone, screen.wrapped(text, tone, first: Styled("!  ", tone) + Styled(job.name, .bold) + "  ", indent: 3)))
        }
        if !job.refused.isEmpty {
            let waiting = job.waiting > 0 ? ". \(counted(job.waiting, "run")) of it \(job.waiting == 1 ? "waits" : "wait")" : ""
            say(.bad, "refused: \(job.refused)\(waiting). Mend it, then: \(command("reload"))")
        }
        for problem in job.problems { say(.bad, problem) }
        for run in job.running where !run.problem.isEmpty {
            say(.bad, "run \(run.run) cannot start: \(run.problem). See: \(command("doctor \(job.name)"))")
        }
        // What the config says is as somebody wanted it.
        if job.control.enabled == false {
            say(.warn, "off: \(job.disabledReason). Switch it on: \(command("enable \(job.name)"))")
        }
        if job.control.paused {
            let why = job.control.pauseReason.isEmpty ? "" : ": \(job.control.pauseReason)"
            say(.warn, "paused\(since_(job.control.pausedSince))\(why). Go on: \(command("resume \(job.name)"))")
        }
        if job.breaker.state == "open" || job.breaker.state == "forced_open" {
            let why = job.breaker.reason.isEmpty ? "" : ": \(job.breaker.reason)"
            let until = BreakerText.until(job.breaker, now: now)
            say(job.breaker.state == "open" ? .bad : .warn, "breaker \(wordsOf(job.breaker.state))\(until)\(why). Close it: \(command("breaker \(job.name) close"))")
        }
        let failure = job.failure(now: now)
        let isDead = failure?.state == .discarded
        if let last = failure, let outcome = last.outcome, isDead || !last.reason.isEmpty {
            let words = outcome.tone == .bad ? outcome.words : "used up its attempts"
            let why = last.reason.isEmpty ? "" : ": \(last.reason)"
            say(.bad, "run \(last.id) \(words)\(why). See: \(command("logs \(last.id)"))")
        }
        // What the lines above say in other words is not said twice.
        for reason in job.health.reasons where !["settings", "refused", "breaker", "failing_for"].contains(reason.rule) {
            say(reason.grade == .critical ? .bad : .warn, "\(reason.grade.rawValue): \(reason.text)")
        }
        // One dead letter that is the run just named needs no second line. Of a schedule's runs each
        // does the work anew: what later ones have done is not lost, and the column QUEUE has the count.
        if job.dead > (isDead ? 1 : 0), failure != nil || job.isFedByOthers {
            say(failure == nil ? .warn : .bad, "\(counted(job.dead, "dead letter")). See: \(command("dead list \(job.name)"))")
        }
        return notes
    }
}

extension API.Job {
    /// Runs of it are made by others, each for a cause of its own, so that none does another's work.
    var isFedByOthers: Bool { nextFire == nil && next.what != .off && next.what != .refused }

    /// The failure of its newest run, as long as it is news: until a later run has ended well, or
    /// for a day where no later one will come by itself.
    func failure(now: Instant) -> API.Run? {
        guard let last, last.state == .discarded || last.outcome?.tone == .bad else { return nil }
        if next.what == .nothing, now - (last.finishedAt ?? last.fireTime) > .seconds(86_400) { return nil }
        return last
    }
}

extension API.HostCondition {
    /// What the last reload did has its own lines, which say when it was.
    fileprivate var isOfTheLastReload: Bool { kind == .reload || kind == .removal }
}
