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
    private let logger: Logger
    private let clock: any TimeSource
    private let limits: HTTPLimits
    private var local: Listener?
    private var socket: SocketFile?
    private var tcp: Door?
    /// Served before; their last requests may still be under way.
    private var retired: [Listener] = []
    private var isStopped = false

    /// Of the Unix socket: the command line makes one connection a command.
    private static let localConnections = 64

    /// `errand` runs an operator's program: a command of `[alerts]`.
    init(
        control: any HostControl, logger: Logger, clock: any TimeSource = SystemClock(), limits: HTTPLimits = HTTPLimits(),
        errand: @escaping Alerts.Run
    ) {
        hub = EventHub(outlet: control.events, clock: clock)
        let shelf = SnapshotShelf(control: control, clock: clock, reuse: limits.snapshotReuse)
        alerts = Alerts(shelf: shelf, clock: clock, log: logger, run: errand)
        routes = APIRoutes(control: control, hub: hub, shelf: shelf, alerts: alerts)
        hub.tell { [alerts] in alerts.hear($0) }
        hub.start()
        var quiet = logger
        // The library reports each bind, and every connection that a stop cuts off; the host has
        // its own lines for what matters.
        quiet.logLevel = .critical
        self.logger = quiet
        self.clock = clock
        self.limits = limits
    }

    /// Serves on the socket at `path` (replacing a stale one). Bound when it returns. Call it
    /// only while holding the lock on the folder. Throws `APIServerError`.
    public func listen(socketPath path: String) async throws {
        let socket = try SocketFile(path: path)
        try socket.prepare()
        let bound = try await bind(
            .unixDomainSocket(path: socket.bindPath), router: routes.router(gate: SocketGate()), named: path,
            connections: Self.localConnections)
        if let local { retired.append(local) }
        local = bound
        self.socket = socket
        try socket.publish()
    }

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
        var listener: Listener
    }

    /// Makes the TCP side as `settings` want it. Rotated tokens count from now on; connections
    /// stay. Throws `APIServerError` when the address cannot be had: what was served before goes on.
    ///
    /// `stateDir`: where the acting token is made that the config does not name.
    public func serve(_ settings: HTTPSettings, stateDir: String) async throws -> Serving {
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
        let listener = try await bind(
            .hostname(address.host, port: address.port), router: routes.router(gate: TCPGate(book: book)), named: text,
            connections: limits.connections)
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

    /// Closes everything at once: requests under way are cut off.
    public func stop() async {
        isStopped = true
        hub.stop()
        await alerts.stop()
        socket?.remove()
        socket = nil
        let listeners = [local, tcp?.listener].compactMap { $0 } + retired
        local = nil
        tcp = nil
        retired = []
        for listener in listeners { listener.task.cancel() }
        for listener in listeners { await listener.task.value }
    }

    private final class Listener: Sendable {
        let task: Task<Void, Never>
        let port: Int
        private let channel: any Channel
        init(task: Task<Void, Never>, channel: any Channel) {
            self.task = task
            self.channel = channel
            port = channel.localAddress?.port ?? 0
        }
        var isServing: Bool { channel.isActive }
        /// Accepts nothing more; what is under way ends by itself.
        func close() async { try? await channel.close().get() }
    }

    private func bind(
        _ address: BindAddress, router: Router<APIContext>, named name: String, connections: Int
    ) async throws -> Listener {
        let (events, signal) = AsyncStream.makeStream(of: Result<any Channel, APIServerError>.self)
        let limits = limits
        let application = Application(
            router: router,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [Patience(limits: limits)], idleTimeout: limits.idle,
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: limits.headerField, maxHeaderListSize: 4 * limits.headerField, maxHeaderFieldCount: 64))),
            configuration: ApplicationConfiguration(
                address: address, availableConnectionsDelegate: MaximumAvailableConnections(connections)),
            onServerRunning: { channel in signal.yield(.success(channel)) },
            logger: logger)
        let task = Task {
            do {
                try await application.run()
                signal.yield(.failure(APIServerError("the API on \(name) ended")))
            } catch {
                signal.yield(.failure(Self.refusal(error, name)))
            }
            signal.finish()
        }
        for await event in events {
            switch event {
            case .success(let channel): return Listener(task: task, channel: channel)
            case .failure(let error): throw error
            }
        }
        throw APIServerError("the API on \(name) did not start")
    }
}

extension APIServer {
    /// Why nothing can be bound there, in an operator's words.
    static func refusal(_ error: any Error, _ name: String) -> APIServerError {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: APIServerError("\(name) is already in use by another program", hint: "end that, or listen on another port")
        case let code?: APIServerError("the API cannot listen on \(name): \(String(cString: strerror(code)))")
        case nil: APIServerError("the API cannot listen on \(name): \(error)")
        }
    }
}
