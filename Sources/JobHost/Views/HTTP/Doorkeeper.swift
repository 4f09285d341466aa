import Hummingbird
import JobConfig
import Logging

/// Stands at the host's doors while it starts, which may take as long as its libraries take to be tried: whoever
/// knocks is told so, instead of finding nobody. Then the API takes over the doors, which stay open.
actor Doorkeeper {
    /// What it listens on.
    struct Doors: Sendable {
        var socket: SocketFile
        var local: HTTPListener
        /// The TCP side, and its address as the config has it; nil: there is none, or its port cannot be had.
        var tcp: (text: String, listener: HTTPListener)?
    }

    private let logger: Logger
    private let limits = HTTPLimits()
    private var doors: Doors?

    init(logger: Logger) { self.logger = logger }

    /// Call it only while holding the lock on the socket's folder. A port that cannot be had is the API's to tell of:
    /// it tries again. Throws `APIServerError`.
    func stand(socketPath path: String, http: HTTPSettings) async throws {
        let socket = try SocketFile(path: path)
        try socket.prepare()
        let local = try await HTTPListener.bind(
            .unixDomainSocket(path: socket.bindPath), router: Self.router, named: path, connections: HTTPListener.localConnections,
            limits: limits, logger: logger)
        doors = Doors(socket: socket, local: local)
        try socket.publish()
        guard let text = http.listen, let address = try? ListenAddress(text) else { return }
        let listener = try? await HTTPListener.bind(
            .hostname(address.host, port: address.port), router: Self.router, named: text, connections: limits.connections, limits: limits,
            logger: logger)
        if let listener { doors?.tcp = (text, listener) }
    }

    /// nil: it does not stand there, or has left.
    func leave() -> Doors? {
        defer { doors = nil }
        return doors
    }

    /// There will be no API.
    func giveUp() async {
        guard let doors = leave() else { return }
        doors.socket.remove()
        await HTTPListener.end([doors.local, doors.tcp?.listener].compactMap { $0 })
    }

    private static var router: Router<APIContext> {
        let router = Router(context: APIContext.self)
        router.add(middleware: HeadAnswers())
        router.add(middleware: StrictHeaders())
        router.add(middleware: Answer())
        return router
    }

    /// The same for everybody who asks: it tells nothing of the host but that it starts.
    private struct Answer: RouterMiddleware {
        typealias Context = APIContext

        func handle(
            _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
        ) async throws -> Response {
            if request.uri.path == "/livez" { return textResponse(.ok, "ok\n") }
            var response = request.uri.path == "/readyz" ? textResponse(.serviceUnavailable, "starting\n") : problemResponse(
                API.Problem(
                    .serviceUnavailable, code: "unavailable", "the host is starting: it reads its config and tries its libraries",
                    hint: "ask again in a moment; its log says how far it is"))
            response.headers[.retryAfter] = "1"
            return response
        }
    }
}
