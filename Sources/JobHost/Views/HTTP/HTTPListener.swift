import Glibc
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import Synchronization

/// One bound address and what is served on it, on NIO's threads.
///
/// Who answers can be exchanged while it listens. To end one listener and bind the next would refuse those who come
/// between the two, and the library ends the process where a connection arrives while its listener is cancelled.
final class HTTPListener: Sendable {
    /// Of the Unix socket: the command line makes one connection a command.
    static let localConnections = 64

    let port: Int
    private let task: Task<Void, Never>
    private let channel: any Channel
    private let desk: Desk
    /// Of its connections.
    let cuts: CutStreams

    private init(task: Task<Void, Never>, channel: any Channel, desk: Desk, cuts: CutStreams) {
        self.task = task
        self.channel = channel
        self.desk = desk
        self.cuts = cuts
        port = channel.localAddress?.port ?? 0
    }

    var isServing: Bool { channel.isActive }

    /// From the next request on.
    func answer(by router: Router<APIContext>) { desk.take(router) }

    /// Accepts nothing more; what is under way ends by itself.
    ///
    /// First nobody is let in any more and whoever has just come gets to where requests are read: the library ends the
    /// process where a connection arrives while its listener closes or is cancelled.
    func close() async {
        try? await channel.setOption(.autoRead, value: false).get()
        try? await channel.eventLoop.scheduleTask(in: Self.settling) {}.futureResult.get()
        try? await channel.close().get()
    }

    /// A hundred times what an accepted connection takes to be handed on.
    private static let settling = TimeAmount.milliseconds(20)

    /// At once: requests under way are cut off.
    static func end(_ listeners: [HTTPListener]) async {
        for listener in listeners { await listener.close() }
        for listener in listeners { listener.task.cancel() }
        for listener in listeners { await listener.task.value }
    }

    /// Bound when it returns. `name`: as the operator knows the address. Throws `APIServerError`.
    static func bind(
        _ address: BindAddress, router: Router<APIContext>, named name: String, connections: Int, limits: HTTPLimits, logger: Logger
    ) async throws -> HTTPListener {
        let (events, signal) = AsyncStream.makeStream(of: Result<any Channel, APIServerError>.self)
        var quiet = logger
        // The library reports each bind, and every connection that a stop cuts off; the host has
        // its own lines for what matters.
        quiet.logLevel = .critical
        let desk = Desk(router)
        let crowd = Crowd(most: limits.connectionsOfOne)
        let cuts = CutStreams()
        let application = Application(
            responder: desk,
            server: .http1(
                configuration: .init(
                    additionalChannelHandlers: [Patience(limits: limits, crowd: crowd, cuts: cuts)], idleTimeout: limits.idle,
                    httpDecoderConfiguration: .init(
                        maxHeaderFieldSize: limits.headerField, maxHeaderListSize: 4 * limits.headerField, maxHeaderFieldCount: 64))),
            configuration: ApplicationConfiguration(
                address: address, availableConnectionsDelegate: MaximumAvailableConnections(connections)),
            onServerRunning: { channel in signal.yield(.success(channel)) },
            logger: quiet)
        let task = Task {
            do {
                try await application.run()
                signal.yield(.failure(APIServerError("the API on \(name) ended")))
            } catch {
                signal.yield(.failure(refusal(error, name)))
            }
            signal.finish()
        }
        for await event in events {
            switch event {
            case .success(let channel): return HTTPListener(task: task, channel: channel, desk: desk, cuts: cuts)
            case .failure(let error): throw error
            }
        }
        // Whoever asked for it wants it no more.
        task.cancel()
        await task.value
        throw APIServerError("the API on \(name) did not start")
    }

    /// Why nothing can be bound there, in an operator's words.
    static func refusal(_ error: any Error, _ name: String) -> APIServerError {
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: APIServerError("\(name) is already in use by another program", hint: "end that, or listen on another port")
        case let code?: APIServerError("the API cannot listen on \(name): \(String(cString: strerror(code)))")
        case nil: APIServerError("the API cannot listen on \(name): \(error)")
        }
    }
}

/// Where requests are answered, by whoever sits there.
private final class Desk: HTTPResponder {
    typealias Context = APIContext
    private let responder: Mutex<any HTTPResponder<APIContext>>

    init(_ router: Router<APIContext>) { responder = Mutex(router.buildResponder()) }

    func take(_ router: Router<APIContext>) {
        let next = router.buildResponder()
        responder.withLock { $0 = next }
    }

    func respond(to request: Request, context: APIContext) async throws -> Response {
        let current = responder.withLock { $0 }
        return try await current.respond(to: request, context: context)
    }
}
