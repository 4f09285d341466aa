import ArgumentParser
import JobCore

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "What a run printed and logged; of a job: its newest run.",
        discussion: """
            Times are UTC. With --json each line is one object. --follow of a job goes
            on from run to run until Ctrl-C. How a run ended is said on standard error.

            Example: jobhost logs candles-1m --follow
            """)
    @Argument(help: "A run's number or a job's name.") var runOrJob: String
    @Flag(name: [.customShort("f"), .long], help: "Go on until the run ends; of a job: from run to run.") var follow = false
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let client = try session.client()
        if follow, Int64(runOrJob) == nil { return try await followJob(session, client) }
        let run = try await number(client)
        let count = try await print(run, session, client)
        if follow || count == 0 { try await sayEnd(of: run, hasWritten: count > 0, session, client) }
    }

    /// How it ended: many runs log nothing but that.
    private func sayEnd(of id: Int64, hasWritten: Bool, _ session: CLISession, _ client: APIClient) async throws {
        guard !session.json else { return }
        let run = try await client.get("/runs/\(id)", as: API.RunDetail.self).0.run
        let screen = session.screen(session.environment.errors)
        let took = run.durationUs.map { " in \(TimeText.took($0))" } ?? ""
        let why = run.reason.isEmpty ? "" : ": \(run.reason)"
        let nothing = Styled(hasWritten ? "" : " (it has written nothing)", .dim)
        session.note(Styled("— run \(id) ", .dim) + stateText(run, now: screen.now) + Styled(took + why) + nothing + Styled(" —", .dim))
    }

    /// From run to run in the order of their starts, the newest to begin with; ends with Ctrl-C.
    private func followJob(_ session: CLISession, _ client: APIClient) async throws {
        let states = "running,retryable,succeeded,cancelled,discarded"
        var last: Instant?
        var isHinted = false
        while true {
            let query = [("job", runOrJob), ("state", states), ("limit", "50")]
            let runs = try await client.get("/runs", query: query, as: API.Runs.self).0.runs
            let started = runs.compactMap { run in run.startedAt.map { (at: $0, id: run.id) } }.sorted { ($0.at, $0.id) < ($1.at, $1.id) }
            // A run may start long after one with a larger number: enqueued with a delay, or tried again.
            if let next = last.map({ last in started.first { $0.at > last } }) ?? started.last {
                if !session.json { session.note(Styled("— run \(next.id) —", .dim)) }
                let count = try await print(next.id, session, client)
                try await sayEnd(of: next.id, hasWritten: count > 0, session, client)
                // A later attempt has been printed with it.
                last = try await client.get("/runs/\(next.id)", as: API.RunDetail.self).0.run.startedAt ?? next.at
                continue
            }
            if last == nil, !isHinted {
                session.note(Styled("\(runOrJob) has not run yet; waiting for its first run", .dim))
                isHinted = true
            }
            try await session.environment.clock.sleep(.milliseconds(500))
        }
    }

    /// How many lines there were.
    private func print(_ run: Int64, _ session: CLISession, _ client: APIClient) async throws -> Int {
        var from: Int64 = 0
        var count = 0
        while true {
            let (page, _) = try await client.get("/runs/\(run)/log", query: [("from", String(from))], as: API.LogPage.self)
            try show(page.lines, session)
            count += page.lines.count
            if let host = page.elsewhere, count == 0 {
                session.note(Styled("its log is on \(host), which ran it: ask there", .warn))
                return 0
            }
            if page.ended || (!follow && page.next == from) { break }
            if page.next == from { try await session.environment.clock.sleep(.milliseconds(250)) }
            from = page.next
        }
        return count
    }

    private func number(_ client: APIClient) async throws -> Int64 {
        if let run = Int64(runOrJob) { return run }
        // A run may be claimed for a fire time that is still to come: then it has no log yet.
        if let job = try await job(client), let running = job.running.last(where: { $0.startedAt != nil }) { return running.run }
        let query = [("job", runOrJob), ("state", "retryable,succeeded,cancelled,discarded"), ("limit", "1")]
        let (page, _) = try await client.get("/runs", query: query, as: API.Runs.self)
        guard let newest = page.runs.first else {
            throw CLIFailure(.notFound, "\(runOrJob) has not run yet", hint: "Run it now: jobhost trigger \(runOrJob) --wait")
        }
        return newest.id
    }

    /// nil: removed from the config; its history may still be there.
    private func job(_ client: APIClient) async throws -> API.Job? {
        do {
            return try await client.get("/jobs/\(percentEncoded(runOrJob))", as: API.Job.self).0
        } catch let failure as CLIFailure where failure.code == .notFound {
            return nil
        }
    }

    private func show(_ lines: [API.LogLine], _ session: CLISession) throws {
        if session.json {
            for line in lines { session.environment.output.write(try APIJSON.value(of: line).canonicalText + "\n") }
        } else if !lines.isEmpty {
            let view = LogView(screen: session.screen)
            session.print(lines.map(view.line))
        }
    }
}
