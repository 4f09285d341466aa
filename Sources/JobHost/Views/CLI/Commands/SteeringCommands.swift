import ArgumentParser
import JobCore

struct EnableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Switch a job on; survives restarts and reloads.",
        discussion: "Example: jobhost enable candles-1m")
    @Argument(help: "A job's name.") var job: String
    @Flag(help: "Forget what an operator decided: the config counts again.") var asConfigured = false
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let body = API.EnableBody(asConfigured: asConfigured ? true : nil, reason: reason.reason)
        let (_, json) = try await session.client().post("/jobs/\(percentEncoded(job))/enable", body, as: API.Done.self)
        session.print(json) { _ in
            [asConfigured ? Styled(job, .bold) + " is as the config says again" : Styled("enabled ") + Styled(job, .bold)]
        }
    }
}

struct DisableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Switch a job off; survives restarts and reloads. What runs goes on.",
        discussion: "Example: jobhost disable candles-1m --reason \"wrong numbers\"")
    @Argument(help: "A job's name.") var job: String
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (_, json) = try await session.client().post(
            "/jobs/\(percentEncoded(job))/disable", API.ReasonBody(reason: reason.reason), as: API.Done.self)
        session.print(json) { _ in
            [Styled("disabled ") + Styled(job, .bold), Styled("back on: jobhost enable \(job)", .dim)]
        }
    }
}

struct PauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Start nothing new of a job, or of the whole host. What runs goes on.",
        discussion: """
            Fire times are recorded as skipped meanwhile; enqueued runs and retries
            wait.

            Example: jobhost pause --reason "exchange maintenance"
            """)
    @Argument(help: "A job's name; without: the whole host.") var job: String?
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        try await setPaused(true, job: job, reason: reason, host: host)
    }
}

struct ResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "End the pause of a job, or of the whole host.", discussion: "Example: jobhost resume")
    @Argument(help: "A job's name; without: the whole host.") var job: String?
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        try await setPaused(false, job: job, reason: reason, host: host)
    }
}

private func setPaused(_ paused: Bool, job: String?, reason: ReasonOption, host: HostOptions) async throws {
    let session = try CLISession(host)
    let path = (job.map { "/jobs/\(percentEncoded($0))" } ?? "") + (paused ? "/pause" : "/resume")
    let (_, json) = try await session.client().post(path, API.ReasonBody(reason: reason.reason), as: API.Done.self)
    session.print(json) { _ in
        let what = job.map { Styled($0, .bold) } ?? "the whole host"
        let line = Styled(paused ? "paused " : "resumed ") + what
        return paused ? [line, Styled("go on: jobhost resume" + (job.map { " \($0)" } ?? ""), .dim)] : [line]
    }
}

struct BreakerCommand: AsyncParsableCommand {
    enum Action: String, CaseIterable, ExpressibleByArgument { case open, close, disable, reset }

    static let configuration = CommandConfiguration(
        commandName: "breaker", abstract: "Open, close, disable or reset a job's breaker.",
        discussion: """
            open      start nothing new of the job, until --until or until it is closed
            close     let it run again
            disable   let it run and never open by itself
            reset     closed with a clean memory, obeying the config again

            Example: jobhost breaker deposits-credit open --until "in 2h"
            """)
    @Argument(help: "A job's name.") var job: String
    @Argument(help: "open, close, disable or reset.") var action: Action
    @Option(help: ArgumentHelp("With open: when it closes again, such as \"in 2h\". Default: when somebody closes it.", valueName: "time")) var until: String?
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func validate() throws {
        if until != nil, action != .open { throw ValidationError("--until goes with 'open' only.") }
    }

    func run() async throws {
        let session = try CLISession(host)
        let until = try session.instant(until, "--until")
        let action: API.BreakerBody.Action =
            switch action {
            case .open: .open
            case .close: .close
            case .disable: .disable
            case .reset: .reset
            }
        let body = API.BreakerBody(action: action, until: until, reason: reason.reason)
        let (_, json) = try await session.client().post("/jobs/\(percentEncoded(job))/breaker", body, as: API.Done.self)
        session.print(json) { screen in
            let breaker = Styled("breaker of ") + Styled(job, .bold)
            switch self.action {
            case .open:
                let end = until.map { " until \(TimeText.absolute($0)), \(TimeText.relative($0, now: screen.now))" } ?? " until somebody closes it"
                return [breaker + Styled(": open\(end)"), Styled("go on: jobhost breaker \(job) close", .dim)]
            case .disable: return [breaker + ": disabled, it never opens", Styled("as configured again: jobhost breaker \(job) reset", .dim)]
            case .close: return [breaker + ": closed"]
            case .reset: return [breaker + ": closed, with a clean memory"]
            }
        }
    }
}
