import JobCore
import JobJSON

/// `jobhost runs` and `jobhost dead list`.
struct RunsView {
    let screen: Screen
    /// Whose name need not be repeated in every line.
    var isOfOneJob = false

    func lines(_ page: API.Runs, empty: String) -> [Styled] {
        guard !page.runs.isEmpty || !page.ranges.isEmpty else { return screen.wrapped(empty) }
        var lines = table(page).lines(width: screen.width)
        if let before = page.nextBefore { lines.append(Styled("older ones: --before \(before)", .dim)) }
        return lines
    }

    /// Runs, and among them, in the order of time, the fires that never became runs.
    func table(_ page: API.Runs) -> Table {
        var table = Table([
            .init("RUN", alignsRight: true), .init("JOB", yields: [.shrink(5, to: 12), .shrink(9, to: 6)]), .init("STATE", yields: [.shrink(10, to: 8)]),
            .init("TRIGGER", yields: [.drop(2)]), .init("DUE", alignsRight: true, yields: [.shrink(11, to: 8)]),
            .init("TOOK", alignsRight: true, yields: [.drop(6)]), .init("TRY", alignsRight: true, yields: [.drop(3)]),
            .init("REASON", yields: [.shrink(1, to: 40), .shrink(4, to: 16), .shrink(7, to: 10), .drop(8)]),
        ])
        var ranges = page.ranges[...]
        for run in page.runs {
            while let range = ranges.first, range.last >= run.createdAt { 
                table.add(cells(of: range))
                ranges.removeFirst()
            }
            table.add([
                Styled("\(run.id)"), name(run.job), stateText(run, now: screen.now), Styled(cause(run), .dim),
                Styled(TimeText.relative(run.fireTime, now: screen.now)), Styled(run.durationUs.map(TimeText.took) ?? ""),
                Styled(run.maxAttempts > 1 ? "\(run.attempt)/\(run.maxAttempts)" : ""), why(run),
            ])
        }
        for range in ranges { table.add(cells(of: range)) }
        return table
    }

    /// Of a run that waits, for what; of others, what they said.
    private func why(_ run: API.Run) -> Styled {
        guard let waits = run.waitsFor, waits.cause != .turn else { return Styled(run.reason) }
        return Styled("waits: \(waits.sentence)", waits.tone) + Styled(run.reason.isEmpty ? "" : "; \(run.reason)")
    }

    private func cause(_ run: API.Run) -> String {
        run.retryOf.map { "retry of \($0)" } ?? wordsOf(run.trigger.rawValue)
    }

    private func name(_ job: String) -> Styled { isOfOneJob ? "" : Styled(job) }

    private func cells(of range: API.Range) -> [Styled] {
        [
            Styled("–", .dim), name(range.job),
            Styled(range.count == 1 ? range.state.rawValue : "\(range.count) \(range.state.rawValue)", .warn),
            Styled("schedule", .dim), Styled(TimeText.relative(range.last, now: screen.now)), "", "",
            Styled(range.reason.words + (range.count == 1 ? "" : ", \(TimeText.span(from: range.first, to: range.last))")),
        ]
    }
}

/// The outcome where there is one, else the state. A fire is claimed a moment before it is due,
/// and then waits for its worker: until that has begun nothing of it runs.
func stateText(_ run: API.Run, now: Instant) -> Styled {
    if run.state == .running, run.startedAt == nil { return run.fireTime > now ? Styled("claimed", .dim) : Styled("starting", .accent) }
    return switch (run.state, run.outcome) {
    case (.running, _), (.skipped, _), (.missed, _), (_, nil): Styled(run.state.rawValue, run.state.tone)
    case (.discarded, let outcome?): Styled("dead, \(outcome.words)", .bad)
    case (.retryable, let outcome?), (.scheduled, let outcome?), (.available, let outcome?):
        Styled("\(run.state.rawValue), \(outcome.words)", outcome.tone)
    case (_, let outcome?): Styled(outcome.words, outcome.tone)
    }
}

/// "it waits: j is paused: maintenance", and what helps; nothing where it is just its turn.
func waitingLines(_ run: API.Run, _ screen: Screen) -> [Styled] {
    guard let waits = run.waitsFor, waits.cause != .turn else { return [] }
    let relative = waits.until.map { " (\(TimeText.relative($0, now: screen.now)))" } ?? ""
    let help = waits.command.map { ". What helps: \($0.replacing(" ", with: "\u{A0}"))" } ?? ""
    return screen.wrapped("it waits: \(waits.sentence)\(relative)\(help)", waits.tone)
}

extension WaitingFor {
    var tone: Tone {
        switch cause {
        case .refused, .removed, .worker: .bad
        case .disabled, .paused, .hostPaused, .breaker, .draining, .host: .warn
        case .time, .rate, .elsewhere, .concurrency, .workers, .turn: .accent
        }
    }
}

/// Names and values in two columns.
struct FieldsView {
    let screen: Screen
    private var fields: [(String, Styled)] = []

    init(screen: Screen) { self.screen = screen }

    mutating func add(_ name: String, _ value: Styled) {
        if value.width > 0 { fields.append((name, value)) }
    }
    mutating func add(_ name: String, _ value: String) { add(name, Styled(value)) }
    mutating func add(_ name: String, at instant: Instant?) {
        guard let instant else { return }
        add(name, Styled(TimeText.absolute(instant)) + Styled("  \(TimeText.relative(instant, now: screen.now))", .dim))
    }

    var lines: [Styled] {
        let width = fields.map { $0.0.count }.max() ?? 0
        return fields.map { Styled($0.0, .dim).padded(to: width + 2) + $0.1 }
    }
}

/// `jobhost show RUN`, `jobhost dead show RUN`.
struct RunView {
    let screen: Screen

    func lines(_ detail: API.RunDetail) -> [Styled] {
        let run = detail.run
        var lines = [Styled("run \(run.id)", .bold) + " of " + Styled(run.job, .bold) + "  " + stateText(run, now: screen.now)]
        if !run.reason.isEmpty { lines += screen.wrapped(run.reason, run.outcome?.tone ?? .plain, indent: 0) }
        lines += waitingLines(run, screen)
        var fields = FieldsView(screen: screen)
        fields.add("trigger", run.retryOf.map { "retry of run \($0)" } ?? wordsOf(run.trigger.rawValue))
        fields.add("due", at: run.fireTime)
        if run.state == .scheduled || run.state == .retryable { fields.add("not before", at: run.availableAt) }
        fields.add(run.reason == NoRunReason.expired.rawValue ? "expired" : "expires", at: run.expiresAt)
        fields.add("started", at: run.startedAt)
        if let running = detail.running { add(running, to: &fields) }
        fields.add("finished", at: run.finishedAt)
        fields.add("took", run.durationUs.map(TimeText.took) ?? "")
        // The ledger keeps the last attempt's start: of a later attempt it would count the earlier ones.
        fields.add("late by", run.attempt > 1 ? "" : run.latenessUs.map { $0 >= 10_000 ? TimeText.took($0) : "" } ?? "")
        fields.add("attempt", "\(run.attempt) of \(run.maxAttempts)")
        fields.add("items", run.items > 0 ? "\(run.items)" : "")
        fields.add("cpu", run.cpuUs > 0 ? TimeText.took(run.cpuUs) : "")
        fields.add("failure code", run.code != 0 ? "\(run.code)" : "")
        fields.add("priority", run.priority != 0 ? "\(run.priority)" : "")
        fields.add("unique key", run.uniqueKey ?? "")
        fields.add("idempotency key", run.idempotencyKey)
        fields.add("library", String(run.libraryHash.prefix(12)))
        fields.add("worker", run.pid > 0 ? "pid \(run.pid)" : "")
        fields.add("owner", run.owner)
        fields.add("payload", run.payload == .null ? "" : run.payload.canonicalText)
        fields.add("retried as", detail.retriedAs.map { "run \($0)" }.joined(separator: ", "))
        lines += fields.lines
        if !detail.audit.isEmpty { lines += ["", Styled("by operators", .dim)] + AuditView(screen: screen).table(detail.audit, ofRun: true) }
        // The last one of an ended run is told above.
        let earlier = run.finishedAt == nil ? detail.attempts : detail.attempts.filter { $0.attempt < run.attempt }
        if !earlier.isEmpty { lines += ["", Styled("earlier attempts", .dim)] + attempts(earlier) }
        if !detail.ranges.isEmpty { lines += ["", Styled("not run around it", .dim)] + ranges(detail.ranges) }
        lines += [""] + screen.wrapped(advice(run), .dim)
        return lines
    }

    private func add(_ running: API.RunningRun, to fields: inout FieldsView) {
        if let started = running.startedAt {
            fields.add("running for", Styled(TimeText.span((screen.now - started).microseconds), .accent))
        } else if running.problem.isEmpty {
            fields.add("waits for", Styled("its worker", .accent))
        } else {
            fields.add("cannot start", Styled(running.problem, .bad))
        }
        fields.add("progress", ProgressText.long(running))
    }

    private func attempts(_ attempts: [API.Attempt]) -> [Styled] {
        var table = Table([.init("", alignsRight: true), .init(""), .init(""), .init("", alignsRight: true), .init("", yields: [.shrink(1, to: 20)])])
        for attempt in attempts {
            table.add([
                Styled("\(attempt.attempt)"), Styled(attempt.outcome.words, attempt.outcome.tone),
                Styled(TimeText.relative(attempt.finishedAt, now: screen.now)),
                Styled(attempt.durationUs.map(TimeText.took) ?? ""), Styled(attempt.reason),
            ])
        }
        return table.lines(width: screen.width)
    }

    func ranges(_ ranges: [API.Range]) -> [Styled] {
        var table = Table([.init("", alignsRight: true), .init(""), .init("")])
        for range in ranges {
            table.add([
                Styled("\(range.count)"), Styled("\(range.state.rawValue), \(range.reason.words)", .warn),
                Styled(TimeText.span(from: range.first, to: range.last)),
            ])
        }
        return table.lines(width: screen.width)
    }

    private func advice(_ run: API.Run) -> String {
        switch run.state {
        case .running: "follow it: \(command("logs \(run.id) --follow")); end it: \(command("cancel \(run.id)"))"
        case .scheduled, .available, .retryable: "take it back: \(command("cancel \(run.id)"))"
        case .discarded: "its log: \(command("logs \(run.id)")); again: \(command("dead retry \(run.id)")); give up: \(command("dead dismiss \(run.id)"))"
        case .skipped, .missed: "why: \(command("explain \(run.job) --at \(run.fireTime.rfc3339)"))"
        case .succeeded, .cancelled: "its log: \(command("logs \(run.id)")); again: \(command("retry \(run.id)"))"
        }
    }
}

/// Lines of `jobhost logs`.
struct LogView {
    let screen: Screen

    func line(_ line: API.LogLine) -> Styled {
        let tone: Tone =
            switch line.level {
            case "error", "critical": .bad
            case "warning", "warn": .warn
            case "debug", "trace": .dim
            default: .plain
            }
        let time = Styled(line.t.map { TimeText.clock($0) + "  " } ?? "", .dim)
        let level = Styled(line.level.padded(7) + "  ", tone)
        let stream = line.stream == "stderr" ? Styled("stderr  ", .dim) : ""
        return time + level + stream + Styled(line.text, tone == .dim ? .dim : .plain) + fields(line.fields)
    }

    private func fields(_ fields: JSON) -> Styled {
        guard case .object(let members) = fields else { return "" }
        return members.sorted { $0.key < $1.key }.reduce(Styled("")) { sum, member in
            sum + Styled("  \(member.key)=", .dim) + Styled(member.value.stringValue ?? member.value.canonicalText)
        }
    }
}

extension String {
    fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
