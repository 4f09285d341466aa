import ArgumentParser
import JobCore

struct AlertCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alert", abstract: "What somebody should hear of, and who is told.",
        discussion: "Example: jobhost alert test", subcommands: [AlertListCommand.self, AlertTestCommand.self])
}

struct AlertListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "What is wrong now, and whether everybody who is told can be reached.",
        discussion: "Example: jobhost alert list")
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (alerts, json) = try await session.client().get("/alerts", as: API.Alerts.self)
        session.print(json) { AlertView(screen: $0).lines(alerts) }
    }
}

struct AlertTestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Send a message to everybody who is told of alerts, now.",
        discussion: """
            Fails if one of them does not accept it.

            Example: jobhost alert test --reason "new webhook"
            """)
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (test, json) = try await session.client().post("/alerts/test", API.ReasonBody(reason: reason.reason), as: API.AlertTest.self)
        guard !test.receivers.isEmpty else {
            throw CLIFailure(.conflict, "nobody is told of alerts", hint: "name webhooks or a command in [alerts], then: jobhost reload")
        }
        session.print(json) { AlertView(screen: $0).receivers(test.receivers, reached: "took the message") }
        let failed = test.receivers.count { $0.problem != nil }
        if failed > 0 { throw CLIFailure(.failed, "\(counted(failed, "receiver")) did not take the message") }
    }
}
