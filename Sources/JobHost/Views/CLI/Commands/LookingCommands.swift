import ArgumentParser
import JobConfig
import JobCore

struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "What runs, what ran, what is wrong and what to do about it.",
        discussion: """
            Problems come first, each with the command that helps. --watch keeps within
            the terminal, the worst jobs first.

            Marks: ● ran well, ▶ running, · never ran, ○ off, ‖ paused, ✗ failed or
            breaker open, ! look below. RECENT, oldest first: ✓ succeeded, · nothing
            to do, ✗ failed, r retry, z snoozed, c cancelled, T timed out, ! crashed,
            ? lost.

            Example: jobhost status --watch
            """)
    @OptionGroup var host: HostOptions
    @Flag(help: "Redraw every second until q or Ctrl-C. With --json: one object a line.")
    var watch = false

    func run() async throws {
        let session = try CLISession(host)
        let client = try session.client()
        if watch { return try await StatusWatch(session: session, client: client).run() }
        let (status, json) = try await client.get("/status", as: API.Status.self)
        session.print(json) { StatusView(screen: $0).lines(status) }
    }
}

struct ShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "One job, or one run, in detail.",
        discussion: """
            Of a job: schedule, limits, settings (secrets masked), breaker, counters,
            its latest runs and the fires among them that did not run. Of a run:
            times, progress while it runs, attempts, payload, what operators did
            with it.

            Example: jobhost show candles-1m
                     jobhost show 4711
            """)
    @Argument(help: "A job's name or a run's number.") var jobOrRun: String
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let client = try session.client()
        if let run = Int64(jobOrRun) {
            let (detail, json) = try await client.get("/runs/\(run)", as: API.RunDetail.self)
            return session.print(json) { RunView(screen: $0).lines(detail) }
        }
        let (job, json) = try await client.get("/jobs/\(percentEncoded(jobOrRun))", as: API.Job.self)
        let query = [("job", job.name), ("limit", "5")]
        let latest = session.json ? nil : try await client.get("/runs", query: query, as: API.Runs.self).0
        session.print(json) { JobView(screen: $0).lines(job, latest: latest ?? API.Runs(runs: [], ranges: [], nextBefore: nil)) }
    }
}

struct NextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next", abstract: "Coming fire times, of a job or of a cron expression.",
        discussion: """
            Works without a running host too; then a job's schedule is read from the
            config. In UTC and, where the schedule has a zone, as clocks there show
            it. Fires that the job's calendar leaves out are marked.

            Example: jobhost next candles-1m -n 3
                     jobhost next --cron "30 2 * * *" --timezone America/New_York
            """)
    @Argument(help: "A job's name.") var job: String?
    @Option(help: ArgumentHelp("A cron expression of 5 fields, or 6 with seconds first.", valueName: "expression")) var cron: String?
    @Option(help: ArgumentHelp("The zone of --cron (default: UTC); of a job: whose clocks to show. From the tz database.", valueName: "zone")) var timezone: String?
    @Option(help: ArgumentHelp("Fire times after this instant. Default: now.", valueName: "time")) var from: String?
    @Option(name: [.customShort("n", allowingJoined: true), .long], help: ArgumentHelp("How many, 1 to 1000.", valueName: "number")) var count = 5
    @OptionGroup var host: HostOptions

    func validate() throws {
        guard (job == nil) != (cron == nil) else { throw ValidationError("Give either a job or --cron.") }
        guard (1...1_000).contains(count) else { throw ValidationError("--count is from 1 to 1000.") }
    }

    func run() async throws {
        let session = try CLISession(host)
        let from = try session.instant(from, "--from")
        let fires = try await fires(session, from: from)
        let zone = if let timezone { try zone(session, timezone) } else { try? zone(session, fires.timezone) }
        try session.print(fires) { FiresView(screen: $0, zone: zone).lines(fires) }
    }

    private func zone(_ session: CLISession, _ name: String) throws -> Zone {
        do {
            return try session.environment.operations.zones.zone(named: name)
        } catch {
            throw CLIFailure(.usage, "\(error)")
        }
    }

    private func fires(_ session: CLISession, from: Instant?) async throws -> API.Fires {
        if let cron { return try expressionFires(session, cron, from: from) }
        guard let job else { throw CLIFailure(.usage, "give either a job or --cron") }
        do {
            let query = [("from", from?.rfc3339), ("count", String(count))]
            return try await session.client().get("/jobs/\(percentEncoded(job))/next", query: query, as: API.Fires.self).0
        } catch let failure as CLIFailure where failure.code == .notRunning {
            return try configuredFires(session, job, from: from)
        }
    }

    private func expressionFires(_ session: CLISession, _ text: String, from: Instant?) throws -> API.Fires {
        let expression: CronExpression
        do {
            expression = try CronExpression(text)
        } catch {
            throw CLIFailure(.usage, "--cron: \(error.message)", hint: error.hint)
        }
        let zone = timezone ?? "UTC"
        return try list(session, .cron(expression, timeZone: zone), zone: zone, job: nil, from: from)
    }

    private func configuredFires(_ session: CLISession, _ name: String, from: Instant?) throws -> API.Fires {
        let config = try session.loadConfig()
        guard let job = config.jobs[name] else { throw CommandError.unknownJob(name, among: config.jobs.keys) }
        guard let spec = job.schedule else {
            throw CLIFailure(.notRunning, "the schedule of \(name) is its plugin's default, which only a running host knows", hint: "Start it with: jobhost run")
        }
        let zone = if case .cron(_, let zone) = spec { zone } else { "UTC" }
        let calendar = job.calendar.flatMap { config.calendars[$0] }
        return try list(session, spec, zone: zone, job: name, calendar: calendar, from: from)
    }

    private func list(
        _ session: CLISession, _ spec: ScheduleSpec, zone: String, job: String?, calendar: CalendarConfig? = nil, from: Instant?
    ) throws -> API.Fires {
        let schedule = Schedule(spec: spec, zone: try self.zone(session, zone))
        let calendarZone = try calendar.map { try self.zone(session, $0.timezone) }
        var fires: [ComingFire] = []
        var after = from ?? session.environment.clock.now
        while fires.count < count, let next = schedule.next(after: after) {
            fires.append(ComingFire(at: next, closed: calendarZone.flatMap { calendar?.calendar.closedReason(at: next, in: $0) }))
            after = next
        }
        return API.Fires(job: job, schedule: spec.text, timezone: zone, coming: fires, note: "")
    }
}

struct RunsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "Past, running and waiting runs, the newest first.",
        discussion: """
            Among them, in the order of time, the fires that did not run: one line for
            each stretch of one reason.

            Example: jobhost runs candles-1m --outcome failed --from "1d ago"
            """)
    @Argument(help: "Only of this job.") var job: String?
    @Option(help: ArgumentHelp("scheduled, available, running, retryable, succeeded, cancelled, discarded, skipped, missed; several by comma.", valueName: "states"))
    var state: String?
    @Option(help: ArgumentHelp("succeeded, nothing_to_do, failed, retry, snoozed, cancelled, timed_out, crashed, lost; several by comma.", valueName: "outcomes"))
    var outcome: String?
    @Option(help: ArgumentHelp("Due at or after.", valueName: "time")) var from: String?
    @Option(help: ArgumentHelp("Due before.", valueName: "time")) var to: String?
    @Option(help: ArgumentHelp("Only runs with smaller numbers: the next page.", valueName: "run")) var before: Int64?
    @Option(name: [.customShort("n", allowingJoined: true), .long], help: ArgumentHelp("How many, 1 to 1000.", valueName: "number")) var limit = 20
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let query = [
            ("job", job), ("state", state), ("outcome", outcome), ("from", try session.instant(from, "--from")?.rfc3339),
            ("to", try session.instant(to, "--to")?.rfc3339), ("before", before.map(String.init)), ("limit", String(limit)),
        ]
        let (page, json) = try await session.client().get("/runs", query: query, as: API.Runs.self)
        let isFiltered = state != nil || outcome != nil || from != nil || to != nil || before != nil
        let empty = isFiltered
            ? "No such runs."
            : job.map { "\($0) has not run yet. Run it now: jobhost trigger \($0) --wait" } ?? "No runs yet. What comes next: jobhost status"
        session.print(json) { RunsView(screen: $0).lines(page, empty: empty) }
    }
}

struct QueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "What waits, since when, how fast it is done, and what died.",
        discussion: """
            Every job with runs that wait, run, ended within the last minute, or are
            dead letters. EMPTY IN assumes the pace at which the queue got shorter
            within the last minute; it says `grows` where it got longer, or what holds
            the queue back. What is to run later is not counted for it.

            Example: jobhost queue mint
            """)
    @Argument(help: "Only this job.") var job: String?
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let client = try session.client()
        let (counters, json) = try await client.get("/counters", as: API.Counters.self)
        if let job, !counters.jobs.contains(where: { $0.job == job }) {
            // The host says what is wrong with the name.
            _ = try await client.get("/jobs/\(job)", as: API.Job.self)
        }
        // The counters do not say what holds a queue back.
        let waits = counters.jobs.contains { $0.waiting > 0 && (job == nil || $0.job == job) }
        let status = waits ? try await client.get("/status", as: API.Status.self).0 : nil
        session.print(json) { QueueView(screen: $0).lines(counters, status: status, job: job) }
    }
}

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Who did what, when and why, the newest first.",
        discussion: """
            Everything that operators did by command line, API or signal, and what the
            host decided by itself.

            Example: jobhost audit deposits-credit --from "1d ago"
            """)
    @Argument(help: "Only what concerns this job.") var job: String?
    @Option(name: [.long, .customLong("since")], help: ArgumentHelp("Only at or after.", valueName: "time")) var from: String?
    @Option(name: [.customShort("n", allowingJoined: true), .long], help: ArgumentHelp("How many, 1 to 1000.", valueName: "number")) var limit = 20
    @Option(help: ArgumentHelp("Only those before this one: the next page.", valueName: "number")) var before: Int64?
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let query = [
            ("job", job), ("from", try session.instant(from, "--from")?.rfc3339), ("before", before.map { String($0) }),
            ("limit", String(limit)),
        ]
        let (audit, json) = try await session.client().get("/audit", query: query, as: API.Audit.self)
        let empty = "Nobody has done anything" + (job.map { " with \($0)" } ?? "") + (from == nil ? " yet." : " since then.")
        session.print(json) { AuditView(screen: $0).lines(audit, empty: empty) }
    }
}

struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Why a job ran at an instant, or did not.",
        discussion: """
            Looks at schedule, clock changes, calendar, overlap, breaker, pauses,
            reloads and downtime.

            Example: jobhost explain candles-1m --at 2026-03-29T02:30:00+02:00
            """)
    @Argument(help: "A job's name.") var job: String
    @Option(help: ArgumentHelp("The fire time to explain, such as 2027-01-01T02:00 (UTC).", valueName: "time")) var at: String
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let at = try session.instant(at, "--at")
        let (explained, json) = try await session.client().get(
            "/jobs/\(percentEncoded(job))/explain", query: [("at", at.rfc3339)], as: API.Explained.self)
        session.print(json) { ExplainView(screen: $0).lines(explained) }
    }
}
