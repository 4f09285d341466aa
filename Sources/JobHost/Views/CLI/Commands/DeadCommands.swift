import ArgumentParser
import JobCore

struct DeadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead", abstract: "Dead letters: runs that failed for good or used up their attempts.",
        discussion: "Example: jobhost dead list mint",
        subcommands: [DeadListCommand.self, DeadShowCommand.self, DeadRetryCommand.self, DeadDismissCommand.self])
}

struct DeadListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "The dead letters, the newest first.", discussion: "Example: jobhost dead list mint -n 50")
    @Argument(help: "Only of this job.") var job: String?
    @Option(help: ArgumentHelp("Only runs with smaller numbers: the next page.", valueName: "run")) var before: Int64?
    @Option(name: [.customShort("n", allowingJoined: true), .long], help: ArgumentHelp("How many, 1 to 1000.", valueName: "number")) var limit = 20
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let query = [("job", job), ("before", before.map(String.init)), ("limit", String(limit))]
        let (page, json) = try await session.client().get("/dead", query: query, as: API.Runs.self)
        let empty = "No dead letters" + (job.map { " of \($0)" } ?? "") + "."
        session.print(json) { RunsView(screen: $0).lines(page, empty: empty) }
    }
}

struct DeadShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "One dead letter: why it died, its payload, what to do.", discussion: "Example: jobhost dead show 4711")
    @Argument(help: "A run's number.") var run: Int64
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (detail, json) = try await session.client().get("/runs/\(run)", as: API.RunDetail.self)
        if let again = detail.retriedAs.last {
            throw CLIFailure(
                .conflict, "run \(run) of \(detail.run.job) is no dead letter any longer: it was retried as run \(again)",
                hint: "what became of it: jobhost show \(again); what it was: jobhost show \(run)")
        }
        guard detail.run.state == .discarded else {
            throw CLIFailure(
                .conflict, "run \(run) of \(detail.run.job) is no dead letter: it is \(detail.run.state.rawValue)",
                hint: "jobhost show \(run)")
        }
        session.print(json) { RunView(screen: $0).lines(detail) }
    }
}

struct DeadRetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "A new run with the payload and idempotency key of a dead letter.",
        discussion: "Example: jobhost dead retry 4711")
    @Argument(help: "A run's number.") var run: Int64
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (accepted, json) = try await session.client().post(
            "/dead/\(run)/retry", API.ReasonBody(reason: reason.reason), as: API.Accepted.self)
        session.print(json) { acceptedLines(accepted, verb: "retrying \(run) as", $0) }
    }
}

struct DeadDismissCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dismiss", abstract: "Take a run from the dead letters, for good. Its history stays.",
        discussion: "Example: jobhost dead dismiss 4711 --reason \"account closed\"", aliases: ["discard"])
    @Argument(help: "A run's number.") var run: Int64
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (_, json) = try await session.client().post(
            "/dead/\(run)/discard", API.ReasonBody(reason: reason.reason), as: API.Done.self)
        session.print(json) { _ in [Styled("dismissed run ") + Styled("\(run)", .bold)] }
    }
}
