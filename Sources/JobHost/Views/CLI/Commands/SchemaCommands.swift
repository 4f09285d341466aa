import ArgumentParser
import JobConfig
import JobCore
import JobJSON

struct SchemaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "The tables that jobs need in their own databases.",
        discussion: """
            Works without a running host, and beside one: each job's plugin is asked
            in a worker of its own. Without a job all jobs of the config are asked;
            what several need is told once.

            Example: jobhost schema check candles-1m
            """,
        subcommands: [SchemaPrintCommand.self, SchemaApplyCommand.self, SchemaCheckCommand.self])
}

/// What all three have in common.
struct SchemaOptions: ParsableArguments {
    @Argument(help: "Only what these jobs need; default: all jobs of the config.") var jobs: [String] = []
    @Option(help: ArgumentHelp("Longest time for each plugin.", valueName: "duration")) var timeout = "30s"
    @OptionGroup var file: ConfigOption
    @OptionGroup var output: OutputOptions

    func ask(_ request: SchemaInquiry.Request) async throws -> (session: CLISession, answers: [API.SchemaAnswer]) {
        let session = try CLISession(config: file.config, output: output)
        let limit = try session.duration(timeout, "--timeout")
        guard limit > .zero else {
            throw CLIFailure(.usage, "--timeout is not above zero: '\(timeout)'", hint: "such as 30s or 5m")
        }
        let answers = try await session.environment.operations.schema(
            SchemaInquiry(config: try session.configFile(), jobs: jobs, request: request, timeout: limit))
        return (session, answers)
    }
}

struct SchemaPrintCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "print", abstract: "Print the SQL of the tables, or of the rights, that jobs need.",
        discussion: """
            Only prints, changes nothing. --grants prints the least rights that the
            jobs need, for PostgreSQL, for a role of each plugin.

            Example: jobhost schema print --dialect postgresql --grants candles-1m
            """)
    @Option(help: ArgumentHelp("sqlite or postgresql; default: of each job's database.", valueName: "name")) var dialect: String?
    @Flag(help: "The rights instead of the tables.") var grants = false
    @Option(help: ArgumentHelp("Who gets the rights; default: jobhost_ and the plugin's name.", valueName: "name")) var role: String?
    @Flag(help: "Also what only a simulation needs.") var simulation = false
    @OptionGroup var common: SchemaOptions

    func run() async throws {
        let request = SchemaInquiry.Request(
            action: grants ? "grants" : "print", dialect: dialect, simulation: simulation, role: role)
        let (session, answers) = try await common.ask(request)
        try session.print(API.Schema(answers: answers)) { screen in SchemaView(screen: screen).script(answers) }
        if answers.contains(where: { $0.level == .fail }) { throw CLIFailure.silent(.failed) }
    }
}

struct SchemaApplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Make the tables that are missing in the jobs' databases.",
        discussion: """
            For each job all or nothing. What is there is left as it is: a table of the
            same name with other columns is refused, unless the statements that use it
            are replaced (settings: sql). Wallets that already hold money get an opening
            entry in ledger_entries (the wallets' ledger, not the host's).

            Example: jobhost schema apply candles-1m tickers
            """)
    @Flag(help: "A new database becomes a simulation, for good.") var simulation = false
    @OptionGroup var common: SchemaOptions

    func run() async throws {
        let (session, answers) = try await common.ask(.init(action: "apply", simulation: simulation))
        try session.print(API.Schema(answers: answers)) { SchemaView(screen: $0).findings(answers) }
        if answers.contains(where: { $0.level == .fail }) { throw CLIFailure.silent(.failed) }
    }
}

struct SchemaCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Compare the jobs' databases with what they need.",
        discussion: """
            Tables, columns and their types, keys, indexes, triggers, rights, and
            whether every statement compiles there, including your own replacements.
            Changes nothing. Exit code 1: something is missing or wrong; warnings
            alone are 0.

            Example: jobhost schema check
            """)
    @OptionGroup var common: SchemaOptions

    func run() async throws {
        let (session, answers) = try await common.ask(.init(action: "check"))
        try session.print(API.Schema(answers: answers)) { SchemaView(screen: $0).findings(answers) }
        if answers.contains(where: { $0.level == .fail }) { throw CLIFailure.silent(.failed) }
    }
}

/// `jobhost schema`.
public struct SchemaInquiry: Equatable, Sendable {
    /// What the plugins are asked, as job_abi.h says it.
    public struct Request: Codable, Equatable, Sendable {
        var action: String
        var dialect: String?
        var simulation = false
        var role: String?
    }
    public var config: String
    /// Empty: all.
    public var jobs: [String]
    public var request: Request
    /// For each plugin, positive.
    public var timeout: Duration
}

extension API {
    /// What a job's plugin says of one table, index, trigger or right.
    public struct SchemaAnswer: Codable, Equatable, Sendable {
        /// Who needs it.
        public var jobs: [String]
        /// ok, warn, fail.
        public var level: Doctor.Level
        /// "table candles".
        public var object: String
        /// Its SQL, or what is to be said of it.
        public var text: String
    }
    /// What `jobhost schema --json` prints.
    struct Schema: Codable, Sendable {
        var answers: [SchemaAnswer]
    }
}

extension [API.SchemaAnswer] {
    /// What several jobs say in the same words is said once, where it was said first.
    func merged() -> [API.SchemaAnswer] {
        var merged: [API.SchemaAnswer] = []
        for answer in self {
            if let known = merged.firstIndex(where: { ($0.level, $0.object, $0.text) == (answer.level, answer.object, answer.text) }) {
                merged[known].jobs += answer.jobs.filter { !merged[known].jobs.contains($0) }
            } else {
                merged.append(answer)
            }
        }
        return merged
    }
}

struct SchemaView {
    let screen: Screen

    /// SQL that can be executed; what is no SQL is a comment.
    func script(_ answers: [API.SchemaAnswer]) -> [Styled] {
        answers.flatMap { answer -> [Styled] in
            guard answer.level == .ok else {
                return ["", Styled("-- \(answer.jobs.joined(separator: ", ")): \(answer.object): \(answer.text)", .warn)]
            }
            return answer.object.hasPrefix("rights")
                ? [Styled(answer.text)]
                : [""] + answer.text.split(separator: "\n", omittingEmptySubsequences: false).map { Styled(String($0)) }
        }
    }

    func findings(_ answers: [API.SchemaAnswer]) -> [Styled] {
        let name: (API.SchemaAnswer) -> String = { $0.jobs.count > 3 ? "\(counted($0.jobs.count, "job")) \($0.object)" : "\($0.jobs.joined(separator: ", ")) \($0.object)" }
        return DoctorView(screen: screen).lines(answers.map { Doctor.Finding(name($0), $0.level, $0.text) })
    }
}
