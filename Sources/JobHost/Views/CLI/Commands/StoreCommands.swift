import ArgumentParser
import JobCore
import JobStore

struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "Check, prune, export or move the store.", discussion: "Example: jobhost store check",
        subcommands: [StoreCheckCommand.self, StorePruneCommand.self, StoreExportCommand.self, StoreMigrateCommand.self])
}

/// Of commands that only read a store.
struct StoreOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Another store than the config's, such as a copy: sqlite:PATH or postgresql://….", valueName: "url"))
    var store: String?
    @Option(help: ArgumentHelp("With --store, of PostgreSQL: where its tables are.", valueName: "name"))
    var schema = "jobhost"

    func source(_ session: CLISession) throws -> StoreSource {
        try store.map { .url($0, schema: schema) } ?? .config(session.configFile())
    }
}

struct StoreCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Whether the database is sound and the ledger keeps its promises.",
        discussion: """
            Works beside running hosts and without any, reads the state of one moment
            and changes nothing. Exit code 1: a rule is broken; warnings alone are 0.

            Example: jobhost store check
            """)
    @OptionGroup var place: StoreOptions
    @OptionGroup var file: ConfigOption
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try CLISession(config: file.config, output: output)
        let checked = try await session.environment.operations.store.check(place.source(session))
        try session.print(checked) { StoreCheckView(screen: $0).lines(checked) }
        if checked.level == .fail { throw CLIFailure.silent(.failed) }
    }
}

struct StorePruneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune", abstract: "Delete history now, by each job's retention or by age.",
        discussion: """
            The hosts do so by themselves every minute; this is for making a history
            shorter at once and, with --older-than, for jobs that no config has any
            more. Safe beside running hosts. Ctrl-C ends it after the current batch.

            Example: jobhost store prune --older-than 30d --dry-run
            """)
    @Flag(help: "Say what would be deleted, and from when.") var dryRun = false
    @Option(help: ArgumentHelp("Also what ended longer ago than this, of every job, whatever its retention.", valueName: "duration")) var olderThan: String?
    @Option(help: ArgumentHelp("Only of this job.", valueName: "name")) var job: String?
    @OptionGroup var file: ConfigOption
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try CLISession(config: file.config, output: output)
        let age = try olderThan.map { try session.duration($0, "--older-than") }
        if let age, age <= .zero { throw CLIFailure(.usage, "--older-than is not above zero: '\(olderThan ?? "")'", hint: "such as 30d") }
        let request = StorePruneRequest(config: try session.configFile(), job: job, olderThan: age, isDryRun: dryRun)
        let pruned = try await session.untilInterrupted { sign in
            try await session.environment.operations.store.prune(request) { !sign.isRaised }
        }
        try session.print(pruned) { StorePruneView(screen: $0).lines(pruned) }
    }
}

struct StoreExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write the history as lines of JSON, or as CSV.",
        discussion: """
            The state of one moment, also beside running hosts. Instants are RFC 3339
            in UTC, to the microsecond. Lines of JSON have a "kind"; CSV holds one
            table.

            Example: jobhost store export --table runs --format csv --output runs.csv
            """)
    @Option(help: ArgumentHelp("jsonl or csv.", valueName: "format")) var format = "jsonl"
    @Option(help: ArgumentHelp(
        "runs, attempts, ranges, jobs, breakers, states, counters, audit; several by comma. Default: all; of CSV: runs.", valueName: "tables"))
    var table: String?
    @Option(help: ArgumentHelp("Only of this job; may be given several times.", valueName: "name")) var job: [String] = []
    @Option(help: ArgumentHelp("Runs due at or after, ranges that reach to it, audit from it on.", valueName: "time")) var since: String?
    @Option(help: ArgumentHelp("Likewise, before it.", valueName: "time")) var until: String?
    @Option(name: [.customShort("o"), .long], help: ArgumentHelp("Write here, whole or not at all. Default: standard output.", valueName: "file"), completion: .file())
    var output: String?
    @Flag(help: "Replace the file of --output.") var force = false
    @OptionGroup var place: StoreOptions
    @OptionGroup var file: ConfigOption
    @OptionGroup var printing: OutputOptions

    func run() async throws {
        let session = try CLISession(config: file.config, output: printing)
        let (request, source) = (try request(session), try place.source(session))
        guard let output else {
            if force { throw CLIFailure(.usage, "--force is for the file of --output") }
            let sink = session.environment.output
            _ = try await export(session, source, request) { try sink.write(bytes: $0) }
            return
        }
        let file = try OutputFile(output, replaces: force)
        let tables: [API.StoreTable]
        do { tables = try await export(session, source, request) { try file.write($0) } } catch {
            file.discard()
            throw error
        }
        try file.commit()
        try session.print(API.StoreExported(file: output, tables: tables)) { _ in
            tables.map { Styled("\($0.table): \(counted($0.rows, "row"))") } + [Styled("written to \(output)")]
        }
    }

    private func export(
        _ session: CLISession, _ source: StoreSource, _ request: StoreExport.Request, _ write: @escaping @Sendable ([UInt8]) throws -> Void
    ) async throws -> [API.StoreTable] {
        try await session.untilInterrupted { sign in
            try await session.environment.operations.store.export(source, request) { bytes in
                if sign.isRaised { throw CLIFailure(.failed, "stopped before its end") }
                try write(bytes)
            }
        }
    }

    private func request(_ session: CLISession) throws -> StoreExport.Request {
        guard let format = StoreExport.Format(rawValue: format) else {
            throw CLIFailure(.usage, "--format is jsonl or csv, not '\(format)'")
        }
        let all = StoreExport.Table.allCases
        let tables = try table.map { list in
            try list.split(separator: ",").map { word in
                let name = String(word.filter { $0 != " " })
                guard let table = StoreExport.Table(rawValue: name) else {
                    throw CLIFailure(.usage, "there is no table '\(name)'", hint: "there are: \(all.map(\.rawValue).joined(separator: ", "))")
                }
                return table
            }
        } ?? (format == .csv ? [.runs] : all)
        guard !tables.isEmpty else { throw CLIFailure(.usage, "--table names none") }
        guard format != .csv || tables.count == 1 else {
            throw CLIFailure(.usage, "CSV holds one table", hint: "such as --table runs; lines of JSON hold all of them")
        }
        return StoreExport.Request(
            tables: tables, format: format, jobs: job, since: try session.instant(since, "--since"), until: try session.instant(until, "--until"))
    }
}

struct StoreMigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Move history, cursors, states and waiting runs from a SQLite file into PostgreSQL.",
        discussion: """
            Stop the host, set [store] url in the config to the new place, migrate,
            start it. All comes along or nothing does; the file stays as it is.

            Example: jobhost store migrate --from sqlite:var/jobhost.db
            """)
    @Option(help: "The file: \"sqlite:\" and a path.") var from: String
    @Option(help: "Another PostgreSQL database than the config's store.") var to: String?
    @OptionGroup var file: ConfigOption
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let session = try CLISession(config: file.config, output: output)
        guard from.hasPrefix("sqlite:"), from.utf8.count > "sqlite:".utf8.count else {
            throw CLIFailure(.usage, "--from must be \"sqlite:\" and a path", hint: "as in sqlite:var/jobhost.db")
        }
        let request = StoreMoveRequest(
            config: try session.configFile(), file: String(from.dropFirst("sqlite:".count)), to: to)
        let moved = try await session.environment.operations.store.move(request)
        try session.print(moved) { _ in
            moved.tables.map { Styled("\($0.table): \(counted($0.rows, "row"))") }
                + [Styled("the store is now \(moved.place); start the host")]
        }
    }
}
