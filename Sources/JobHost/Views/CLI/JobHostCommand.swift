import ArgumentParser
import Glibc
import JobConfig
import NearestName

/// `jobhost`.
public struct JobHostCommand: AsyncParsableCommand {
    public static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "jobhost",
            abstract: "Runs jobs from plugins, on schedule, each one fenced off from the others.",
            discussion: """
                A job is one shared library and one table in a TOML file.

                  jobhost run              serve jobs.toml in the foreground
                  jobhost status --watch   what runs, what ran, what is wrong
                  jobhost plan             what a reload would change
                  jobhost reload           apply an edited config

                Times: 2027-01-01T00:00:00Z; 2027-01-01T02:00 or 2027-01-01 (UTC);
                now, "2h ago", "in 5m". Durations: 300ms, 45s, 1h30m, 2d.

                Exit codes: 0 done, 1 failed, 2 wrong arguments or config, 3 no host
                running, 4 reload refused, 5 not found, 6 conflict, 7 waiting given
                up, 8 not possible just now; of runs: 10 retry, 11 snoozed, 12
                cancelled, 13 timed out, 14 crashed, 15 lost, 16 did not run.

                More is in docs/CLI.md.

                Completion of verbs and options, for bash, zsh or fish:
                jobhost --generate-completion-script bash
                """,
            version: CLIEnvironment.current?.operations.version ?? "",
            groupedSubcommands: [
                CommandGroup(name: "The host", subcommands: [
                    RunHostCommand.self, CheckCommand.self, PlanCommand.self, ReloadCommand.self, DoctorCommand.self,
                ]),
                CommandGroup(name: "Looking", subcommands: [
                    StatusCommand.self, ShowCommand.self, NextCommand.self, RunsCommand.self, LogsCommand.self,
                    ExplainCommand.self, QueueCommand.self, AuditCommand.self, AlertCommand.self,
                ]),
                CommandGroup(name: "Running", subcommands: [
                    TriggerCommand.self, EnqueueCommandLine.self, CancelCommand.self, RetryCommand.self, DeadCommand.self,
                    BackfillCommand.self, ExecCommand.self,
                ]),
                CommandGroup(name: "Steering", subcommands: [
                    EnableCommand.self, DisableCommand.self, PauseCommand.self, ResumeCommand.self, BreakerCommand.self,
                    AskCommand.self, HostsCommand.self,
                ]),
                CommandGroup(name: "Plugins and databases", subcommands: [PluginCommand.self, SchemaCommand.self, StoreCommand.self]),
            ])
    }

    public init() {}

    /// The first statement of the process. Until `run` obeys SIGHUP and SIGUSR1 they are passed over, where they would be
    /// its end. Nothing is lost: the config is read, and the log opened, after that. (Before that, while the system still
    /// loads the program, nobody can answer for it; whoever starts it may have them ignored from the beginning.) Workers
    /// begin with each signal at its default.
    public static func passOverEarlySignals() {
        guard CommandLine.arguments.dropFirst().first == RunHostCommand._commandName else { return }
        signal(SIGHUP, SIG_IGN)
        signal(SIGUSR1, SIG_IGN)
    }

    /// Parses the process's arguments, does what they say, and exits.
    public static func main(operations: HostOperations) async -> Never {
        let arguments = Array(CommandLine.arguments.dropFirst())
        Glibc.exit(await run(arguments, in: .system(operations: operations)))
    }

    /// The exit code.
    static func run(_ arguments: [String], in environment: CLIEnvironment) async -> Int32 {
        await CLIEnvironment.$current.withValue(environment) {
            do {
                try checkVerb(arguments)
                var command = try parseAsRoot(arguments)
                if var command = command as? any AsyncParsableCommand {
                    try await command.run()
                } else {
                    try command.run()
                }
                return ExitCode.ok.rawValue
            } catch {
                return report(error, to: environment)
            }
        }
    }

    /// Verbs of the root, and of the verbs that have verbs.
    static var verbs: [String] {
        configuration.subcommands.map { $0._commandName } + ["help"]
    }

    /// The parser calls an unknown verb an unexpected argument; people want to know which verb
    /// they meant.
    private static func checkVerb(_ arguments: [String]) throws {
        guard let verb = arguments.first, !verb.hasPrefix("-"), !verbs.contains(verb) else { return }
        let hint = nearestName(verb, among: verbs).map { "did you mean 'jobhost \($0)'?" } ?? "jobhost --help lists the verbs"
        throw CLIFailure(.usage, "jobhost has no verb '\(verb)'", hint: hint)
    }

    private static func report(_ error: any Error, to environment: CLIEnvironment) -> Int32 {
        let failure: CLIFailure
        switch error {
        case let error as CLIFailure: failure = error
        case let error as ArgumentParser.ExitCode: return error.rawValue
        case let error as CommandError: failure = CLIFailure(API.Problem(describing: error))
        case let error as ConfigErrors: failure = CLIFailure(configErrors: error, file: "")
        default:
            let message = fullMessage(for: error)
            guard exitCode(for: error) != .success else {
                if !message.isEmpty { environment.output.write(message + "\n") }
                return ExitCode.ok.rawValue
            }
            environment.errors.write(message + "\n")
            return ExitCode.usage.rawValue
        }
        if failure.isSpoken { environment.errors.write(harmlessLines(failure.description) + "\n") }
        return failure.code.rawValue
    }

    private static func harmlessLines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { harmless(String($0)) }.joined(separator: "\n")
    }
}
