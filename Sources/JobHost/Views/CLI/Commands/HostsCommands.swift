import ArgumentParser
import JobCore

struct HostsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hosts", abstract: "The hosts that share the store, and taking one out.",
        discussion: "Example: jobhost hosts", subcommands: [HostsListCommand.self, HostsDrainCommand.self],
        defaultSubcommand: HostsListCommand.self)
}

struct HostsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Who serves, since when, how much runs there, and who has died.",
        discussion: "Example: jobhost hosts list")
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (hosts, json) = try await session.client().get("/hosts", as: API.Hosts.self)
        session.print(json) { HostsView(screen: $0).lines(hosts.hosts) }
    }
}

struct HostsDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Take a host out: what runs there ends, nothing new starts.",
        discussion: """
            Any host can be asked; the one that is meant hears of it within three
            seconds. The others take over its share. It stays out over a restart until
            it is let in again.

            Example: jobhost hosts drain eu-2 --reason "new kernel"
            """)
    @Argument(help: ArgumentHelp("The host's name.", valueName: "name")) var name: String
    @Flag(help: "Let it serve again.") var undo = false
    @OptionGroup var reason: ReasonOption
    @OptionGroup var host: HostOptions

    func run() async throws {
        let session = try CLISession(host)
        let (_, json) = try await session.client().post(
            "/hosts/\(percentEncoded(name))/\(undo ? "undrain" : "drain")", API.ReasonBody(reason: reason.reason), as: API.Done.self)
        session.print(json) { screen in
            if undo { return screen.wrapped("\(name) serves again") }
            let next = "what still runs there: jobhost hosts; let it serve again: jobhost hosts drain \(name) --undo"
            return screen.wrapped("\(name) is taken out") + screen.wrapped(next, .dim)
        }
    }
}

/// `jobhost hosts`.
struct HostsView {
    let screen: Screen

    func lines(_ hosts: [API.ServingHost]) -> [Styled] {
        var table = Table([
            .init("HOST", yields: [.shrink(2, to: 12)]), .init("STATE"), .init("SINCE", alignsRight: true, yields: [.drop(3)]),
            .init("SEEN", alignsRight: true), .init("RUNNING", alignsRight: true), .init("CLOCK", alignsRight: true, yields: [.drop(2)]),
            .init("LABELS", yields: [.drop(1)]), .init("VERSION", yields: [.drop(1)]),
        ])
        for host in hosts {
            table.add([
                Styled(host.name, .bold) + Styled(host.isThis ? " (this)" : "", .dim), state(host),
                Styled(TimeText.relative(host.since, now: screen.now)), Styled(TimeText.relative(host.seen, now: screen.now)),
                Styled("\(host.running)"), Styled(clock(host), abs(host.skewUs) > 5_000_000 ? .bad : .plain), Styled(host.labels.joined(separator: " ")),
                Styled(host.version, .dim),
            ])
        }
        return table.lines(width: screen.width)
    }

    private func state(_ host: API.ServingHost) -> Styled {
        let why = host.drainReason.isEmpty ? "" : ": \(host.drainReason)"
        if !host.isAlive { return Styled(host.isDrained ? "gone, taken out\(why)" : "gone", .bad) }
        return host.isDrained ? Styled("taken out\(why)", .warn) : Styled("serves", .good)
    }

    private func clock(_ host: API.ServingHost) -> String {
        let skew = Duration.microseconds(host.skewUs)
        return skew == .zero ? "–" : (host.skewUs > 0 ? "+" : "-") + brief(skew < .zero ? .zero - skew : skew)
    }
}
