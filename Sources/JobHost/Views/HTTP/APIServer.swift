import Glibc
import Hummingbird
import HummingbirdCore
import JobConfig
import JobCore
import Logging
import NIOCore

/// Why the API cannot be served: a sentence for the operator.
public struct APIServerError: Error, Sendable, CustomStringConvertible {
    public var message: String
    public var hint: String?
    public init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }
    public var description: String { message + (hint.map { " (\($0))" } ?? "") }
}

/// `/api/v1` on the owner-only Unix socket and, when `[http] listen` is set, API and page over
/// TCP. Served on NIO's threads; it holds no state but the connections.
public actor APIServer {
    private let routes: APIRoutes
    nonisolated let hub: EventHub
    nonisolated let alerts: Alerts
    private let outboxes: Outboxes
    private let logger: Logger
    private let clock: any TimeSource
    private let limits: HTTPLimits
    private var local: HTTPListener?
    private var socket: SocketFile?
    private var tcp: Door?
    /// Of the doorkeeper, until `serve` is asked for that address or another.
    private var inherited: (text: String, listener: HTTPListener)?
    /// Served before; their last requests may still be under way.
    private var retired: [HTTPListener] = []
    private var isStopped = false

    /// How long the last alerts of a life may take.
    private static let lastWords = TimeAmount.seconds(5)

    /// `errand` runs an operator's program: a command of `[alerts]`, whose `alertFile` outlives the host.
    init(
        control: any HostControl, logger: Logger, clock: any TimeSource = SystemClock(), limits: HTTPLimits = HTTPLimits(),
        alertFile: AlertFile? = nil, errand: @escaping Alerts.Run
    ) {
        hub = EventHub(outlet: control.events, clock: clock)
        let shelf = SnapshotShelf(control: control, clock: clock, reuse: limits.snapshotReuse)
        alerts = Alerts(shelf: shelf, clock: clock, log: logger, file: alertFile, run: errand)
        outboxes = Outboxes(hub: hub, log: logger, clock: clock)
        let replay = EventReplay(control: control, shelf: shelf, clock: clock)
        routes = APIRoutes(control: control, hub: hub, shelf: shelf, alerts: alerts, replay: replay, outboxes: outboxes)
        hub.onPulse { await replay.tidy() }
        hub.tell { shelf.hear($0) }
        hub.tell { [alerts] in alerts.hear($0) }
        hub.start()
        self.logger = logger
        self.clock = clock
        self.limits = limits
    }

    /// Serves on the socket at `path` (replacing a stale one). Bound when it returns. Call it
    /// only while holding the lock on the folder. Throws `APIServerError`.
    public func listen(socketPath path: String) async throws {
        let socket = try SocketFile(path: path)
        try socket.prepare()
        let bound = try await HTTPListener.bind(
            .unixDomainSocket(path: socket.bindPath), router: routes.router(gate: SocketGate()), named: path,
            connections: HTTPListener.localConnections, limits: limits, logger: logger)
        if let local { retired.append(local) }
        countCuts(of: bound)
        local = bound
        self.socket = socket
        try socket.publish()
    }

    /// Takes over where the doorkeeper stood: from now on the socket answers as `listen` would have it; the TCP side
    /// goes on saying that the host starts until `serve`.
    func take(over doors: Doorkeeper.Doors) {
        doors.local.answer(by: routes.router(gate: SocketGate()))
        countCuts(of: doors.local)
        if let local { retired.append(local) }
        (socket, local, inherited) = (doors.socket, doors.local, doors.tcp)
    }

    private func countCuts(of listener: HTTPListener) { listener.cuts.heard { [hub] in hub.streamCut() } }

    /// What became of `[http]`.
    public enum Serving: Hashable, Sendable {
        /// As before.
        case unchanged
        /// `actTokenFile`: where the token lies that this host made.
        case serves(authority: String, actTokenFile: String?)
        case off
    }

    /// A listener over TCP, and what it listens on and lets in.
    private struct Door {
        var address: ListenAddress
        var settings: HTTPSettings
        var book: AccessBook
        var listener: HTTPListener
    }

    /// Makes the TCP side as `settings` want it. Rotated tokens count from now on; connections
    /// stay. Throws `APIServerError` when the address cannot be had: what was served before goes on.
    ///
    /// `stateDir`: where the acting token is made that the config does not name.
    public func serve(_ settings: HTTPSettings, stateDir: String) async throws -> Serving {
        if !isStopped { await outboxes.use(settings.outboxes) }
        let standing = inherited
        inherited = nil
        if let standing, isStopped || standing.text != settings.listen {
            await standing.listener.close()
            retired.append(standing.listener)
        }
        guard !isStopped, let text = settings.listen else {
            defer { tcp = nil }
            await retireTCP()
            return tcp == nil ? .unchanged : .off
        }
        let address: ListenAddress
        do { address = try ListenAddress(text) } catch { throw APIServerError(error.message, hint: error.hint) }
        var actTokens = settings.actTokens
        var made: TokenFile?
        if actTokens.isEmpty, address.isLoopback {
            let file = TokenFile(stateDir: stateDir)
            actTokens = [AccessToken(name: "act.token", secret: try file.token())]
            made = file
        }
        let access = HTTPAccess(
            readTokens: settings.readTokens, actTokens: actTokens, allowedOrigins: settings.allowedOrigins,
            // Whoever reads it is the host's own user, on the socket too: no second person.
            owner: made == nil ? nil : userName(geteuid()))
        if let tcp, tcp.address == address, tcp.listener.isServing {
            tcp.book.replace(access)
            let isSame = tcp.settings == settings
            // Who may still read comes back by itself.
            if !isSame { hub.endStreams() }
            self.tcp?.settings = settings
            return isSame ? .unchanged : .serves(authority: address.authority(port: tcp.listener.port), actTokenFile: made?.path)
        }
        // Two listeners do not share a port, not even under different addresses.
        if let tcp, tcp.address.port == address.port, address.port != 0 { await retireTCP() }
        let book = AccessBook(access, clock: clock)
        let router = routes.router(gate: TCPGate(book: book))
        let listener: HTTPListener
        if let standing, standing.text == text, standing.listener.isServing {
            standing.listener.answer(by: router)
            listener = standing.listener
        } else {
            listener = try await HTTPListener.bind(
                .hostname(address.host, port: address.port), router: router, named: text,
                connections: limits.connections, limits: limits, logger: logger)
        }
        countCuts(of: listener)
        await retireTCP()
        tcp = Door(address: address, settings: settings, book: book, listener: listener)
        return .serves(authority: address.authority(port: listener.port), actTokenFile: made?.path)
    }

    /// Nothing waits for its requests: one of them may be the reload that closes it.
    private func retireTCP() async {
        guard let listener = tcp?.listener, listener.isServing else { return }
        await listener.close()
        retired.append(listener)
    }

    /// Tells what is still to be told, then closes everything at once: requests under way are cut off.
    public func stop() async {
        isStopped = true
        hub.drain()
        await outboxes.stop()
        await alerts.finish(within: Self.lastWords)
        hub.stop()
        socket?.remove()
        socket = nil
        let listeners = [local, tcp?.listener, inherited?.listener].compactMap { $0 } + retired
        local = nil
        inherited = nil
        tcp = nil
        retired = []
        await HTTPListener.end(listeners)
    }
}
