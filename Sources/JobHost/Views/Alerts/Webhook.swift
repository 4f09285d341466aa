import JobConfig
import JobCore
import NIOCore
import NIOHTTP1
import NIOPosix

/// One POST over plain HTTP. (HTTPS would link a TLS library into the host: a command such as
/// curl takes that.)
struct Webhook: Sendable {
    let url: WebhookURL
    static let timeout = TimeAmount.seconds(10)
    private static let answerLimit = 64 << 10

    /// nil: it arrived; else what is wrong.
    func post(_ body: [UInt8], headers extra: [(String, String)]) async -> String? {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let promise = loop.makePromise(of: HTTPAnswer.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: loop).connectTimeout(.seconds(5))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(AnswerCollector(promise: promise, limit: Self.answerLimit))
                    }
                }
                .connect(host: url.host, port: url.port).get()
        } catch {
            promise.fail(error)
            return "\(url.text) is not reached: \(error)"
        }
        let limit = loop.scheduleTask(in: Self.timeout) {
            promise.fail(ClientFault.timedOut)
            channel.close(promise: nil)
        }
        defer {
            limit.cancel()
            channel.close(promise: nil)
        }
        let headers = HTTPHeaders(
            [
                ("Host", url.authority), ("User-Agent", "jobhost"), ("Content-Type", "application/json"),
                ("Content-Length", String(body.count)), ("Connection", "close"),
            ] + extra)
        channel.write(HTTPClientRequestPart.head(HTTPRequestHead(version: .http1_1, method: .POST, uri: url.path, headers: headers)), promise: nil)
        channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        do {
            let status = try await promise.futureResult.get().status
            return (200..<300).contains(status) ? nil : "\(url.text) answered with status \(status)"
        } catch {
            return "\(url.text) did not answer: \(error)"
        }
    }
}
