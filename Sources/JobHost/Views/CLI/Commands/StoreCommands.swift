import ArgumentParser

struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "Move the store.", discussion: "Example: jobhost store migrate --from sqlite:var/jobhost.db",
        subcommands: [StoreMigrateCommand.self])
}

struct StoreMigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Move history, cursors, states and waiting runs from a SQLite file into PostgreSQL.",
        discussion: """
            Stop the host, set [store] url in the config to the new place, move, start it.
            All comes along or nothing does; the file stays as it is.

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
        let moved = try await session.environment.operations.moveStore(request)
        try session.print(moved) { _ in
            moved.tables.map { Styled("\($0.table): \(counted(Int($0.rows), "row"))") }
                + [Styled("the store is now \(moved.place); start the host")]
        }
    }
}
