import ArgumentParser
import JobConfig
import JobCore
import JobJSON

/// Of every command that prints something.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON instead: instants in RFC 3339 UTC, stable names (docs/CLI.md).")
    var json = false

    @Flag(name: .customLong("no-color"), help: "No colours. Colours are on at a terminal only; NO_COLOR switches them off too.")
    var noColor = false
}

struct ConfigOption: ParsableArguments {
    @Option(
        name: [.customShort("c"), .long],
        help: ArgumentHelp("The config. Default: $JOBHOST_CONFIG, ./jobs.toml, /etc/jobhost/jobs.toml.", valueName: "file"),
        completion: .file(extensions: ["toml"]))
    var config: String?
}

/// Of commands that talk to the running host.
struct HostOptions: ParsableArguments {
    @OptionGroup var file: ConfigOption

    @Option(help: ArgumentHelp("The host's control socket. Default: jobhost.sock in the config's state_dir.", valueName: "path"), completion: .file())
    var socket: String?

    @OptionGroup var output: OutputOptions
}

/// Of commands that change something.
struct ReasonOption: ParsableArguments {
    @Option(help: ArgumentHelp("Why: kept in the audit and shown in status.", valueName: "text"))
    var reason: String?
}

/// One command's doings: where it reads, asks and prints.
struct CLISession: Sendable {
    let environment: CLIEnvironment
    let config: String?
    let socket: String?
    let json: Bool
    private let noColor: Bool

    init(_ host: HostOptions) throws {
        try self.init(config: host.file.config, socket: host.socket, output: host.output)
    }

    init(config: String?, socket: String? = nil, output: OutputOptions? = nil) throws {
        guard let environment = CLIEnvironment.current else {
            throw CLIFailure(.failed, "commands run through JobHostCommand.main")
        }
        self.environment = environment
        self.config = config
        self.socket = socket
        json = output?.json ?? false
        noColor = output?.noColor ?? false
    }

    // MARK: Printing

    func screen(_ sink: any TextSink) -> Screen {
        let columns = sink.isTerminal ? sink.size?.columns ?? 80 : nil
        let isPlain = noColor || environment.variables["NO_COLOR"]?.isEmpty == false || environment.variables["TERM"] == "dumb"
        return Screen(width: columns.map { max(40, $0) }, color: sink.isTerminal && !isPlain, now: environment.clock.now)
    }

    var screen: Screen { screen(environment.output) }

    func print(_ lines: [Styled]) { environment.output.write(screen.text(lines)) }

    func print(json value: JSON) { environment.output.write(value.prettyText + "\n") }

    /// `--json` prints what the host answered, unchanged; else the lines.
    func print(_ json: JSON, or lines: (Screen) -> [Styled]) {
        if self.json { print(json: json) } else { print(lines(screen)) }
    }

    func print(_ value: some Encodable, or lines: (Screen) -> [Styled]) throws {
        print(try APIJSON.value(of: value), or: lines)
    }

    func note(_ line: Styled) { note([line]) }

    func note(_ lines: [Styled]) {
        if !lines.isEmpty { environment.errors.write(screen(environment.errors).text(lines)) }
    }

    // MARK: Files

    static let defaultConfigs = ["jobs.toml", "/etc/jobhost/jobs.toml"]
    private static let nameConfig = "name it with --config FILE"

    /// The config's path, as given. Throws when none is named and none is found.
    func configFile() throws -> String {
        if let config { return config }
        if let named = environment.variables["JOBHOST_CONFIG"], !named.isEmpty { return named }
        if let found = Self.defaultConfigs.first(where: environment.fileExists) { return found }
        if let denied = Self.defaultConfigs.first(where: environment.isDenied) {
            throw CLIFailure(.usage, "\(denied) cannot be read by this user", hint: "sudo -u jobhost jobhost …, or as root")
        }
        throw CLIFailure(
            .usage, "no config: neither ./jobs.toml nor /etc/jobhost/jobs.toml is there, and $JOBHOST_CONFIG is not set",
            hint: Self.nameConfig)
    }

    func loadConfig() throws -> HostConfig {
        let file = try configFile()
        do {
            return try ConfigLoader.load(
                file: file, environment: environment.variables, zones: environment.operations.zones)
        } catch {
            throw CLIFailure(configErrors: error, file: file)
        }
    }

    func client() throws -> APIClient {
        if let socket { return APIClient(socketPath: socket, config: nil, timeout: environment.patience) }
        let file: String
        do {
            file = try configFile()
        } catch let failure as CLIFailure where failure.hint == Self.nameConfig {
            throw CLIFailure(failure.code, failure.message, hint: "\(Self.nameConfig), or the host's socket with --socket PATH")
        }
        let folder = file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
        let usual = environment.fileExists(folder + "/var/jobhost.sock") ? folder + "/var/jobhost.sock" : nil
        do {
            return APIClient(socketPath: try loadConfig().host.stateDir + "/jobhost.sock", config: file, elsewhere: usual, timeout: environment.patience)
        } catch {
            // A config that is just being edited, or was refused, must not hide the host that runs.
            let meant = ConfigLoader.stateDir(file: file, environment: environment.variables, zones: environment.operations.zones)
            let sockets = [meant.map { $0 + "/jobhost.sock" }, usual].compactMap(\.self)
            guard let socket = sockets.first(where: environment.fileExists) else { throw error }
            return APIClient(socketPath: socket, config: file, timeout: environment.patience)
        }
    }

    // MARK: Arguments

    func instant(_ text: String, _ option: String) throws -> Instant {
        guard let instant = TimeArgument.instant(text, now: environment.clock.now) else {
            // "10m" alone leaves open which way.
            let hint = parseDuration(text) == nil ? "such as \(TimeArgument.forms)" : "did you mean \"in \(text)\" or \"\(text) ago\"?"
            throw CLIFailure(.usage, "\(option) is not a time: '\(text)'", hint: hint)
        }
        return instant
    }

    func instant(_ text: String?, _ option: String) throws -> Instant? { try text.map { try instant($0, option) } }

    func duration(_ text: String, _ option: String) throws -> Duration {
        guard let duration = parseDuration(text) else {
            throw CLIFailure(.usage, "\(option) is not a duration: '\(text)'", hint: "such as 300ms, 45s, 1h30m or 2d")
        }
        return duration
    }

    /// JSON, or `@file`.
    func payload(_ text: String?) throws -> JSON? {
        guard let text else { return nil }
        var bytes = Array(text.utf8)
        if text.hasPrefix("@") {
            do {
                bytes = try Machine.system.readFile(String(text.dropFirst()), APIRoutes.bodyLimit)
            } catch {
                throw CLIFailure(.usage, "cannot read the payload from \(text.dropFirst()): \(error.reason)")
            }
        }
        do {
            return try JSON(parsing: bytes)
        } catch {
            throw CLIFailure(.usage, "--payload is \(error)", hint: "such as '{\"batch\": 200}', or @FILE")
        }
    }
}

extension CLIFailure {
    init(configErrors: ConfigErrors, file: String) {
        let lines = configErrors.errors.prefix(20).map(\.description)
        let rest = configErrors.errors.count - lines.count
        self.init(.usage, (lines + (rest > 0 ? ["… and \(rest) more"] : [])).joined(separator: "\n"))
    }
}

extension JSON {
    /// Two spaces of indentation, members by name.
    var prettyText: String {
        var text = ""
        write(to: &text, indent: "")
        return text
    }

    private func write(to text: inout String, indent: String) {
        let inner = indent + "  "
        switch self {
        case .array(let elements) where !elements.isEmpty:
            text += "["
            for (index, element) in elements.enumerated() {
                text += (index == 0 ? "\n" : ",\n") + inner
                element.write(to: &text, indent: inner)
            }
            text += "\n\(indent)]"
        case .object(let members) where !members.isEmpty:
            text += "{"
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                text += (index == 0 ? "\n" : ",\n") + inner + JSON.string(member.key).text + ": "
                member.value.write(to: &text, indent: inner)
            }
            text += "\n\(indent)}"
        default: text += self.text
        }
    }
}
