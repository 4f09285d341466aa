import Glibc
import Hummingbird
import HummingbirdCore
import JobConfig
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

/// `/api/v1` on the owner-only Unix socket and, when `[http] listen` is set, its reading half on
/// loopback TCP. Served on NIO's threads; it holds no state but the connections.
public actor APIServer {
    private let routes: APIRoutes
    private let logger: Logger
    private var listeners: [Listener] = []
    private var socket: SocketFile?

    /// Connections at a time, of each listener; further ones wait in the backlog.
    private static let maxConnections = 64
    /// After which a silent connection is closed.
    private static let idleTimeout = TimeAmount.seconds(30)

    public init(control: any HostControl, logger: Logger) {
        routes = APIRoutes(control: control)
        var quiet = logger
        // The library reports each bind, and every connection that a stop cuts off; the host has
        // its own lines for what matters.
        quiet.logLevel = .critical
        self.logger = quiet
    }

    /// Serves on the socket at `path` (replacing a stale one). Bound when it returns. Call it
    /// only while holding the lock on the folder. Throws `APIServerError`.
    public func listen(socketPath path: String) async throws {
        let socket = try SocketFile(path: path)
        try socket.prepare()
        _ = try await bind(.unixDomainSocket(path: socket.bindPath), router: routes.router(acting: true), named: path)
        self.socket = socket
        try socket.publish()
    }

    /// Serves the reading endpoints on "127.0.0.1:9480", "localhost:9480" or "[::1]:9480"; other
    /// addresses are refused. Port 0: any free one. Returns the port.
    @discardableResult
    public func listen(loopback text: String) async throws -> Int {
        let address = try LoopbackAddress(text)
        return try await bind(
            .hostname(address.host, port: address.port), router: routes.router(acting: false), named: text)
    }

    /// Closes everything at once: requests under way are cut off.
    public func stop() async {
        socket?.remove()
        socket = nil
        for listener in listeners { listener.task.cancel() }
        for listener in listeners { await listener.task.value }
        listeners = []
    }

    private struct Listener {
        var task: Task<Void, Never>
    }

    private func bind(_ address: BindAddress, router: Router<APIContext>, named name: String) async throws -> Int {
        let (events, signal) = AsyncStream.makeStream(of: Result<Int, APIServerError>.self)
        let application = Application(
            router: router,
            server: .http1(configuration: .init(idleTimeout: Self.idleTimeout)),
            configuration: ApplicationConfiguration(
                address: address, availableConnectionsDelegate: MaximumAvailableConnections(Self.maxConnections)),
            onServerRunning: { channel in signal.yield(.success(channel.localAddress?.port ?? 0)) },
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
            case .success(let port):
                listeners.append(Listener(task: task))
                return port
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

/// A page in a browser may make its own host name resolve to 127.0.0.1 and read what is there
/// (DNS rebinding); its requests then carry that name.
struct LocalNamesOnly: RouterMiddleware {
    typealias Context = APIContext
    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let authority = request.head.authority ?? ""
        let isLocal = authority.hasPrefix("[::1]") || authority == "localhost" || authority.hasPrefix("localhost:")
            || (try? LoopbackAddress(authority)) != nil || (try? LoopbackAddress(authority + ":0")) != nil
        guard isLocal else {
            return problemResponse(
                API.Problem(
                    .forbidden, code: "refused", "the name '\(authority.prefix(100))' is not this machine's",
                    hint: "ask http://127.0.0.1 or http://localhost"))
        }
        return try await next(request, context)
    }
}
