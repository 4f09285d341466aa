import ArgumentParser
import JobCore

struct AskCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ask", abstract: "What waits for a second person: jobs with approval = 2.",
        discussion: "Example: jobhost ask list", subcommands: [AskListCommand.self, AskApproveCommand.self, AskRefuseCommand.self])
}

struct AskListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Requests for a second person's approval, the newest first, and what became of them.", discussion: "Example: jobhost ask list")
    @Option(name: [.customShort("n", allowingJoined: true), .long], help: ArgumentHelp("How many, 1 to 1000.", valueName: "number"))
    var limit = 20
    @Option(help: ArgumentHelp("Only those before this one: the next page.", valueName: "number")) var before: Int64?
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let query = [("before", before.map(String.init)), ("limit", String(limit))]
        let (asks, json) = try await session.client().get("/asks", query: query, as: API.Asks.self)
        session.print(json) { AskView(screen: $0).lines(asks) }
    }
}

struct AskApproveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approve", abstract: "Agree, as a second person; it is done at once.",
        discussion: """
            Whoever asked cannot approve. Here you are root or the host's user; people
            with tokens of their own approve on the page or by the API.

            Example: jobhost ask approve 7 --reason "checked with the desk"
            """)
    @Argument(help: ArgumentHelp("The number of the request.", valueName: "ask")) var ask: Int64
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws { try await answer(ask, "approve", reason, host) }
}

struct AskRefuseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "refuse", abstract: "Refuse another person's request, or withdraw your own.",
        discussion: "Example: jobhost ask refuse 7 --reason \"not today\"")
    @Argument(help: ArgumentHelp("The number of the request.", valueName: "ask")) var ask: Int64
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws { try await answer(ask, "refuse", reason, host) }
}

private func answer(_ ask: Int64, _ answer: String, _ reason: ReasonOption, _ host: HostOptions) async throws {
    let session = try CLISession(host)
    let (answered, json) = try await session.client().post(
        "/asks/\(ask)/\(answer)", API.ReasonBody(reason: reason.reason), as: API.AskAnswered.self)
    session.print(json) { AskView(screen: $0).lines(answered) }
}

/// `jobhost ask`.
struct AskView {
    let screen: Screen

    func lines(_ page: API.Asks) -> [Styled] {
        let older = page.nextBefore.map { [Styled("older ones: --before \($0)", .dim)] } ?? []
        if page.asks.isEmpty { return screen.wrapped("Nothing was asked for.") }
        return page.asks.flatMap { ask -> [Styled] in
            let isWaiting = ask.state == .waiting
            let reason = ask.reason.isEmpty ? "" : ": \(ask.reason)"
            let what = "request \(ask.id): \(ask.action) of \(ask.job), by \(ask.askedBy) \(TimeText.relative(ask.askedAt, now: screen.now))\(reason)"
            let end = isWaiting
                ? "waits until \(TimeText.absolute(ask.expiresAt)); another person: jobhost ask approve \(ask.id)"
                : ask.state.rawValue + (ask.decidedBy.isEmpty ? "" : " by \(ask.decidedBy)")
            return screen.wrapped("\(what). It \(isWaiting ? end : "is \(end)").", isWaiting ? .warn : .plain, first: Styled(isWaiting ? "?  " : "   "), indent: 3)
        } + older
    }

    func lines(_ answered: API.AskAnswered) -> [Styled] {
        let run = answered.run.map { "; run \($0.id) of \($0.job) waits to start" } ?? ""
        return screen.wrapped("request \(answered.ask.id) (\(answered.ask.action) of \(answered.ask.job)) is \(answered.ask.state.rawValue)\(run).")
    }
}
