import ArgumentParser
import JobConfig
import JobCore

struct RunHostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Serve a config in the foreground.",
        discussion: """
            SIGHUP reloads, SIGTERM and SIGINT drain within the grace period (a second
            one kills), SIGUSR1 reopens the log files.

            Example: jobhost run --config jobs.toml
            """)
    @OptionGroup var file: ConfigOption

    func run() async throws {
        let session = try CLISession(config: file.config)
        let code = await session.environment.operations.run(try session.configFile())
        throw ArgumentParser.ExitCode(code)
    }
}

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read the config and probe its libraries as a start would, changing nothing.",
        discussion: """
            Exit code 2: it has errors; 4: it is valid, but some jobs would not serve.

            Example: jobhost check --config jobs.toml
            """)
    @OptionGroup var file: ConfigOption
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try CLISession(config: file.config, output: output)
        let report = API.Report(await session.environment.operations.check(try session.configFile()))
        try session.print(report) { ReportView(screen: $0, kind: .check).lines(report) }
        if !report.accepted { throw CLIFailure.silent(.usage) }
        if !report.clean { throw CLIFailure.silent(.refused) }
    }
}

struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "What a reload would do, without doing it.",
        discussion: """
            Without a running host it is what a start would load. Exit code 4:
            something would be refused.

            Example: jobhost plan && jobhost reload
            """)
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let report: API.Report
        let client = try session.client()
        do {
            report = try await client.reloading.post("/plan", API.ReasonBody(), as: API.Report.self).0
        } catch let failure as CLIFailure where failure.code == .notRunning && self.host.socket == nil && !client.mayRun {
            session.note(Styled("no host runs here: this is what a start would load", .dim))
            report = API.Report(await session.environment.operations.check(try session.configFile()))
        }
        try session.print(report) { ReportView(screen: $0, kind: .plan).lines(report) }
        if !report.clean { throw CLIFailure.silent(.refused) }
    }
}

struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Apply the config as it is on disk now; unchanged jobs notice nothing.",
        discussion: """
            The same as SIGHUP, but says what came of it. Exit code 4: refused,
            wholly or for some jobs. A config without a job is refused where there are
            jobs, since an empty or truncated file looks the same: --allow-empty if you
            mean it.

            Example: jobhost reload --reason "new deposits library"
            """)
    @Flag(help: "Take a config without a job too: all jobs are removed.") var allowEmpty = false
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (report, json) = try await session.client().reloading.post(
            "/reload", API.ReloadBody(allowEmpty: allowEmpty ? true : nil, reason: reason.reason), as: API.Report.self)
        session.print(json) { ReportView(screen: $0, kind: .reload).lines(report) }
        if !report.clean { throw CLIFailure.silent(.refused) }
    }
}

extension APIClient {
    /// Probing many libraries takes its time.
    fileprivate var reloading: APIClient {
        var client = self
        client.timeout = .seconds(600)
        return client
    }
}

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "What would keep this machine, or a job, from serving well.",
        discussion: """
            Works without a running host, and beside one. With a job, its plugin
            looks at what the job needs: the database, data, peers. It changes
            nothing. A check that crashes or takes too long is a fault like any other.
            Exit code 1: a fault was found; warnings alone are 0.

            Example: jobhost doctor candles-1m
            """)
    @Argument(help: "Only what concerns this job, with its plugin's own checks.") var job: String?
    @Option(help: ArgumentHelp("Longest time for the plugin's checks.", valueName: "duration")) var timeout = "30s"
    @OptionGroup var file: ConfigOption
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try CLISession(config: file.config, output: output)
        let limit = try session.duration(timeout, "--timeout")
        guard limit > .zero else {
            throw CLIFailure(.usage, "--timeout is not above zero: '\(timeout)'", hint: "such as 30s or 5m")
        }
        let findings = try await session.environment.operations.doctor(
            DoctorRequest(config: try session.configFile(), job: job, timeout: limit))
        let worst = Doctor.worst(findings)
        try session.print(API.Diagnosis(level: worst, findings: findings)) { DoctorView(screen: $0).lines(findings) }
        if worst == .fail { throw CLIFailure.silent(.failed) }
    }
}

struct PluginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plugin", abstract: "Look into plugin libraries, and say which one serves.",
        discussion: "Example: jobhost plugin versions candles",
        subcommands: [PluginInspectCommand.self, PluginVersionsCommand.self, PluginRollbackCommand.self])
}

struct PluginVersionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions", abstract: "The libraries that a plugin has served with, the newest first.",
        discussion: "Example: jobhost plugin versions candles")
    @Argument(help: "A plugin's name in the config.") var plugin: String
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (versions, json) = try await session.client().get(
            "/plugins/\(percentEncoded(plugin))/versions", as: API.PluginVersions.self)
        session.print(json) { VersionsView(screen: $0).lines(versions) }
    }
}

struct PluginRollbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback", abstract: "Put an earlier library back into service; holds over restarts and reloads until the file changes.",
        discussion: """
            Only the library changes; the rest of the config is not read. With the
            hash of the file's own library it goes forward again, and ends a canary
            in its favour. Exit code 4: the earlier library does not serve the present
            config, nothing changed.

            Example: jobhost plugin rollback candles --reason "wrong volumes"
            """)
    @Argument(help: "A plugin's name in the config.") var plugin: String
    @Argument(help: "The first digits of a library's sha256. Default: the previous library.") var hash: String?
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (report, json) = try await session.client().reloading.post(
            "/plugins/\(percentEncoded(plugin))/rollback", API.RollbackBody(hash: hash, reason: reason.reason), as: API.Report.self)
        session.print(json) { ReportView(screen: $0, kind: .reload).lines(report) }
        if !report.clean { throw CLIFailure.silent(.refused) }
    }
}

struct PluginInspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", abstract: "Load a library in a throwaway worker and show its entries and settings.",
        discussion: "Example: jobhost plugin inspect plugins/libCandles.so")
    @Argument(help: "The library.", completion: .file(extensions: ["so"])) var file: String
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try CLISession(config: nil, output: output)
        let plugin = try await session.environment.operations.inspect(file)
        try session.print(plugin) { InspectionView(screen: $0).lines(plugin) }
    }
}
