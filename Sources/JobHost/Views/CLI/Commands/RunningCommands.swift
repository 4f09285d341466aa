import ArgumentParser
import JobConfig
import JobCore
import JobJSON

struct TriggerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trigger", abstract: "Run a job now, whatever its schedule.",
        discussion: """
            With --wait the exit code says how the run ended: 0 succeeded or nothing
            to do, 1 failed, 12 cancelled, 13 timed out, 14 crashed, 15 lost, 16 not
            run; 7: the waiting was given up, the run goes on.

            Example: jobhost trigger candles-1m --wait
            """)
    @Argument(help: "A job's name.") var job: String
    @Option(help: ArgumentHelp("JSON for the run, or @FILE.", valueName: "json")) var payload: String?
    @Flag(help: "Wait until it has ended, over all its attempts.") var wait = false
    @Option(name: .customLong("wait-limit"), help: ArgumentHelp("Longest wait.", valueName: "duration")) var waitLimit = "1h"
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let body = API.TriggerBody(payload: try session.payload(payload), reason: reason.reason)
        let limit = try session.duration(waitLimit, "--wait-limit")
        let client = try session.client()
        let (accepted, json) = try await client.post("/jobs/\(percentEncoded(job))/trigger", body, as: API.Accepted.self)
        guard wait else { return session.print(json) { acceptedLines(accepted, verb: "triggered", $0) } }
        if !session.json { session.note(waitingLines(accepted.run, session.screen(session.environment.errors))) }
        try await RunWaiter(session: session, client: client).wait(for: accepted.run, limit: limit)
    }
}

/// "triggered run 4711 of candles".
func acceptedLines(_ accepted: API.Accepted, verb: String, _ screen: Screen) -> [Styled] {
    let run = accepted.run
    let what = Styled("run \(run.id)", .bold) + " of " + Styled(run.job, .bold)
    guard accepted.inserted else {
        return [what + Styled(" has this key already and is \(run.state.rawValue); nothing was added")] + waitingLines(run, screen)
    }
    return [Styled("\(verb) ") + what] + waitingLines(run, screen) + [Styled("follow it: jobhost logs \(run.id) --follow", .dim)]
}

struct RunWaiter {
    let session: CLISession
    let client: APIClient

    /// Ctrl-C ends the waiting, not the run.
    func wait(for accepted: API.Run, limit: Duration) async throws {
        let interruption = session.environment.interruption
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await follow(accepted, limit: limit) }
            group.addTask {
                await interruption()
                // What was cancelled because the run had ended is no interruption.
                try Task.checkCancellation()
                throw CLIFailure(
                    .waitedTooLong, "no longer waiting: run \(accepted.id) of \(accepted.job) goes on",
                    hint: "what becomes of it: jobhost show \(accepted.id); end it: jobhost cancel \(accepted.id)")
            }
            defer { group.cancelAll() }
            _ = try await group.next()
        }
    }

    private func follow(_ accepted: API.Run, limit: Duration) async throws {
        let clock = session.environment.clock
        let end = clock.now + limit
        var pause = Duration.milliseconds(50)
        while true {
            let (detail, json) = try await client.get("/runs/\(accepted.id)", as: API.RunDetail.self)
            if detail.run.state.isTerminal {
                session.print(json) { _ in [summary(detail.run)] }
                let code = exitCode(detail.run)
                if code != .ok { throw CLIFailure.silent(code) }
                return
            }
            guard clock.now < end else {
                throw CLIFailure(
                    .waitedTooLong, "run \(accepted.id) of \(accepted.job) is still \(detail.run.state.rawValue) after \(durationText(limit))",
                    hint: detail.run.waitsFor.map { "It waits: \($0.sentence)" + ($0.command.map { ". What helps: \($0)" } ?? "") }
                        ?? "It goes on. Follow it: jobhost logs \(accepted.id) --follow")
            }
            try await clock.sleep(pause)
            pause = min(pause * 2, .milliseconds(500))
        }
    }

    private func summary(_ run: API.Run) -> Styled {
        let took = run.durationUs.map { " in \(TimeText.took($0))" } ?? ""
        let items = run.items > 0 ? ", \(counted(run.items, "item"))" : ""
        let tries = run.attempt > 1 ? ", attempt \(run.attempt)" : ""
        let why = run.reason.isEmpty ? "" : ": \(run.reason)"
        return Styled("run \(run.id) of \(run.job) ") + stateText(run, now: session.environment.clock.now) + Styled(took + items + tries + why)
    }

    private func exitCode(_ run: API.Run) -> ExitCode {
        switch run.state {
        case .skipped, .missed: .notRun
        case .cancelled: .cancelled
        default: run.outcome.map(ExitCode.init) ?? .failed
        }
    }
}

struct EnqueueCommandLine: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enqueue", abstract: "Put a run with a payload into a job's queue.",
        discussion: """
            A key makes it unique: while a run with that key has not ended, another
            one is not added. A run that expires before it has begun ends as skipped.

            Example: jobhost enqueue mint --key mint-7 --expires 10m \\
                       --payload '{"assetId": 7, "size": "1.5", "createdAt": 0}'
            """)
    @Argument(help: "A job's name.") var job: String
    @Option(help: ArgumentHelp("JSON for the run, or @FILE. Default: {}.", valueName: "json")) var payload: String?
    @Option(help: ArgumentHelp("Unique among the job's live runs, 1 to 512 bytes.", valueName: "text")) var key: String?
    @Option(help: ArgumentHelp("Start no sooner than this long from now, such as 5m.", valueName: "duration")) var delay: String?
    @Option(help: ArgumentHelp("Start no sooner than this instant.", valueName: "time")) var at: String?
    @Option(help: ArgumentHelp("Drop it if it has not started by then: 10m after it is due, or an instant.", valueName: "duration|time")) var expires: String?
    // A negative one must not be taken for an option.
    @Option(parsing: .unconditional, help: ArgumentHelp("Higher first; default: the job's.", valueName: "number")) var priority: Int?
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func validate() throws {
        if delay != nil, at != nil { throw ValidationError("Give --delay or --at, not both.") }
    }

    func run() async throws {
        let session = try CLISession(host)
        let lasting = expires.flatMap { parseDuration($0) }
        let body = API.EnqueueBody(
            payload: try session.payload(payload), key: key, at: try session.instant(at, "--at"),
            delayMs: try delay.map { try session.duration($0, "--delay").milliseconds },
            expires: lasting == nil ? try session.instant(expires, "--expires") : nil,
            expiresMs: lasting?.milliseconds, priority: priority,
            reason: reason.reason)
        let (accepted, json) = try await session.client().post(
            "/jobs/\(percentEncoded(job))/enqueue", body, as: API.Accepted.self)
        session.print(json) { acceptedLines(accepted, verb: "enqueued", $0) }
    }
}

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "End a run: a waiting one at once, a running one by its cancel flag, then by force.",
        discussion: "Example: jobhost cancel 4711 --reason \"wrong payload\"")
    @Argument(help: "A run's number.") var run: Int64
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (_, json) = try await session.client().post("/runs/\(run)/cancel", API.ReasonBody(reason: reason.reason), as: API.Done.self)
        session.print(json) { _ in [Styled("cancelling run ") + Styled("\(run)", .bold)] }
    }
}

struct RetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "A new run with the payload and idempotency key of an ended one.",
        discussion: "Example: jobhost retry 4711")
    @Argument(help: "A run's number.") var run: Int64
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (accepted, json) = try await session.client().post(
            "/runs/\(run)/retry", API.ReasonBody(reason: reason.reason), as: API.Accepted.self)
        session.print(json) { acceptedLines(accepted, verb: "retrying \(run) as", $0) }
    }
}

struct BackfillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Runs for past fire times of a job.",
        discussion: """
            A range that ends in the future is refused.

            Example: jobhost backfill candles-1m --from 2026-05-01 --to 2026-05-02
            """)
    @Argument(help: "A job's name.") var job: String
    @Option(help: ArgumentHelp("Fire times at or after.", valueName: "time")) var from: String
    @Option(help: ArgumentHelp("Fire times before.", valueName: "time")) var to: String
    @Flag(help: "Only say which.") var dryRun = false
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let body = API.BackfillBody(
            from: try session.instant(from, "--from"), to: try session.instant(to, "--to"), dryRun: dryRun, reason: reason.reason)
        let (backfilled, json) = try await session.client().post(
            "/jobs/\(percentEncoded(job))/backfill", body, as: API.Backfilled.self)
        session.print(json) { BackfillView(screen: $0).lines(backfilled) }
    }
}

struct ExecCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exec", abstract: "One run in the foreground, without a host: for trying a job out.",
        discussion: """
            Neither ledger nor schedule nor breaker know of it. What it logs is
            printed as it comes; the exit code says how it ended: 0 succeeded or
            nothing to do, 1 failed, 10 retry, 11 snoozed, 12 cancelled, 13 timed
            out, 14 crashed. Ctrl-C asks the run to stop (12), a second one kills it.
            With --json the outcome is printed as JSON and the log goes to standard
            error.

            Example: jobhost exec candles-1m --set batch=10 --set 'tags=["a"]'
            """)
    @Argument(help: "A job's name.") var job: String
    @Option(help: ArgumentHelp("Over the job's settings; may be repeated. The value is JSON where it is valid JSON, else text.", valueName: "key=value"))
    var set: [String] = []
    @Option(help: ArgumentHelp("JSON for the run, or @FILE.", valueName: "json")) var payload: String?
    @OptionGroup var file: ConfigOption
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try CLISession(config: file.config, output: output)
        let request = ExecutionRequest(
            config: try session.configFile(), job: job, settings: try set.map(Self.setting),
            payload: try session.payload(payload)?.canonicalBytes)
        let sink = session.json ? session.environment.errors : session.environment.output
        let screen = session.screen(sink)
        let view = LogView(screen: screen)
        let end = try await session.environment.operations.execute(request) { line in
            sink.write(screen.text([view.line(line)]))
        }
        try session.print(end) { _ in [summary(end)] }
        let code = ExitCode(end.outcome)
        if code != .ok { throw CLIFailure.silent(code) }
    }

    private func summary(_ end: API.Execution) -> Styled {
        let items = end.items > 0 ? ", \(counted(end.items, "item"))" : ""
        let code = end.code != 0 ? ", code \(end.code)" : ""
        let why = end.reason.isEmpty ? "" : ": \(end.reason)"
        return Styled("\(end.job) ") + Styled(end.outcome.words, end.outcome.tone)
            + Styled(" in \(TimeText.took(end.durationUs))\(items)\(code)\(why)")
    }

    static func setting(_ text: String) throws -> (key: String, value: JSON) {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
            throw CLIFailure(.usage, "--set takes key=value, found '\(text)'", hint: "such as --set batch=10")
        }
        let value = String(text[text.index(after: equals)...])
        return (String(text[..<equals]), (try? JSON(parsing: value)) ?? .string(value))
    }
}
