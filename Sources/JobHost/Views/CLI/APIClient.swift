import Glibc
import JobConfig
import JobCore
import JobJSON
import NIOCore
import NIOHTTP1
import NIOPosix

/// How the command line names itself, so that the audit can tell it from other programs.
enum APIClientName {
    static let userAgent = "jobhost-cli"
}

/// Requests to the host over its Unix socket, one connection each.
struct APIClient: Sendable {
    let socketPath: String
    /// For the sentence that says how to start it; nil: unknown.
    let config: String?
    /// Another socket at which a host may listen that was started before `state_dir` was edited.
    var elsewhere: String?
    /// From the request to the last byte of the answer.
    var timeout: Duration

    /// Longest answer taken.
    static let answerLimit = 64 << 20

    func get<Answer: Decodable>(_ path: String, query: [(String, String?)] = [], as type: Answer.Type) async throws -> (Answer, JSON) {
        let pairs = query.compactMap { name, value in value.map { "\(name)=\(percentEncoded($0))" } }
        return try await send(.GET, path + (pairs.isEmpty ? "" : "?" + pairs.joined(separator: "&")), body: [], as: type)
    }

    func post<Answer: Decodable>(_ path: String, _ body: some Encodable, as type: Answer.Type) async throws -> (Answer, JSON) {
        try await send(.POST, path, body: try APIJSON.bytes(of: body), as: type)
    }

    private func send<Answer: Decodable>(
        _ method: HTTPMethod, _ path: String, body: [UInt8], as type: Answer.Type
    ) async throws -> (Answer, JSON) {
        let (status, bytes) = try await exchange(method, APIRoutes.prefix + path, body: body)
        let limits = JSON.Limits(bytes: Self.answerLimit, depth: 256, allowsDuplicateKeys: true)
        guard let json = try? JSON(parsing: bytes, limits: limits) else {
            throw CLIFailure(.failed, "the host's answer is not JSON (status \(status))", hint: "is it a jobhost that listens on \(socketPath)?")
        }
        guard (200..<300).contains(status) else {
            if let problem = try? APIJSON.decode(API.Problem.self, from: json) { throw CLIFailure(problem) }
            throw CLIFailure(.failed, "the host answered with status \(status)")
        }
        do {
            return (try APIJSON.decode(type, from: json), json)
        } catch {
            throw CLIFailure(
                .failed, "the host's answer is not understood: \(error)", hint: "is the host of another version? jobhost --version")
        }
    }

    /// One request, one answer. Throws `CLIFailure`.
    func exchange(_ method: HTTPMethod, _ path: String, body: [UInt8]) async throws -> (status: Int, body: [UInt8]) {
        guard socketPath.utf8.count <= SocketFile.longestPath else {
            throw CLIFailure(
                .usage, "the socket's path has \(socketPath.utf8.count) bytes, the system allows \(SocketFile.longestPath): \(socketPath)")
        }
        let group = MultiThreadedEventLoopGroup.singleton
        let loop = group.next()
        let promise = loop.makePromise(of: HTTPAnswer.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop)
                .connectTimeout(.seconds(5))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(
                            AnswerCollector(promise: promise, limit: Self.answerLimit))
                    }
                }
                .connect(unixDomainSocketPath: socketPath).get()
        } catch {
            promise.fail(error)
            throw notReachable(error)
        }
        let limit = loop.scheduleTask(in: .microseconds(timeout.microseconds)) {
            promise.fail(ClientFault.timedOut)
            channel.close(promise: nil)
        }
        var headers = HTTPHeaders([
            ("Host", "localhost"), ("User-Agent", APIClientName.userAgent), ("Accept", "application/json"),
            ("Connection", "close"),
        ])
        if method == .POST {
            headers.add(name: "Content-Type", value: "application/json")
            headers.add(name: "Content-Length", value: String(body.count))
        }
        channel.write(HTTPClientRequestPart.head(HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)), promise: nil)
        if !body.isEmpty {
            channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer {
            limit.cancel()
            channel.close(promise: nil)
        }
        do {
            let answer = try await promise.futureResult.get()
            return (answer.status, answer.body)
        } catch {
            throw broken(error)
        }
    }

    /// Where nobody answers: one may run all the same, out of reach or with another `state_dir`.
    var mayRun: Bool {
        if let elsewhere, !Self.isSameFile(elsewhere, socketPath) { return true }
        if access(socketPath, R_OK | W_OK) != 0, errno == EACCES { return true }
        return StateLock.holder(stateDir: socketPath.lastIndex(of: "/").map { String(socketPath[..<$0]) } ?? ".") != nil
    }

    private func notReachable(_ error: any Error) -> CLIFailure {
        if let error = error as? IOError, error.errnoCode == EACCES {
            return CLIFailure(
                .notRunning, "the host's socket \(socketPath) belongs to somebody else",
                hint: "run this as the user that runs the host, or as root")
        }
        let stateDir = socketPath.lastIndex(of: "/").map { String(socketPath[..<$0]) } ?? "."
        if let holder = StateLock.holder(stateDir: stateDir) {
            return CLIFailure(
                .notRunning, "pid \(holder) holds \(stateDir), but its socket does not answer",
                hint: "it makes it anew within a few seconds; it may also just be starting or stopping")
        }
        let start = "Start it with: jobhost run" + (config.map { " --config \($0)" } ?? "")
        guard let config else {
            return CLIFailure(.notRunning, "jobhost is not running here (no answer on \(socketPath))", hint: start)
        }
        let old = elsewhere.flatMap { Self.isSameFile($0, socketPath) ? nil : $0 }.map { "There is a socket of one: --socket \($0)" }
            ?? "If it runs, was state_dir edited since? Then name its socket: --socket <old state_dir>/jobhost.sock"
        return CLIFailure(
            .notRunning, "jobhost is not running here (no answer on \(socketPath), the state_dir of \(config))", hint: "\(start)\n  \(old)")
    }

    private static func isSameFile(_ a: String, _ b: String) -> Bool {
        func identity(_ path: String) -> (UInt64, UInt64)? {
            var found = stat()
            return stat(path, &found) == 0 ? (UInt64(found.st_dev), UInt64(found.st_ino)) : nil
        }
        guard let a = identity(a), let b = identity(b) else { return false }
        return a == b
    }

    private func broken(_ error: any Error) -> CLIFailure {
        switch error as? ClientFault {
        case .timedOut:
            CLIFailure(.unavailable, "the host did not answer within \(durationText(timeout)) on \(socketPath)", hint: "its log may say why")
        case .tooLong: CLIFailure(.failed, "the host's answer is longer than \(sizeText(UInt64(Self.answerLimit)))")
        case .closed, nil:
            CLIFailure(.unavailable, "the host closed the connection before it had answered", hint: "it may just be stopping")
        }
    }
}

struct HTTPAnswer: Sendable {
    var status = 0
    var body: [UInt8] = []
}

enum ClientFault: Error { case timedOut, tooLong, closed }

/// Collects one answer. Confined to its channel's event loop.
final class AnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<HTTPAnswer>
    private let limit: Int
    private var answer = HTTPAnswer()

    init(promise: EventLoopPromise<HTTPAnswer>, limit: Int) {
        self.promise = promise
        self.limit = limit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): answer.status = Int(head.status.code)
        case .body(let buffer):
            guard answer.body.count + buffer.readableBytes <= limit else {
                promise.fail(ClientFault.tooLong)
                context.close(promise: nil)
                return
            }
            answer.body.append(contentsOf: buffer.readableBytesView)
        case .end: promise.succeed(answer)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    // A promise takes the first answer only: after a complete one this says nothing new.
    func channelInactive(context: ChannelHandlerContext) { promise.fail(ClientFault.closed) }
}
