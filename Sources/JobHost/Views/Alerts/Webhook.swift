import JobConfig
import JobCore
import NIOCore
import NIOHTTP1
import NIOPosix

/// One POST: over plain HTTP by itself, over TLS through curl, a child process of the host's. (A TLS
/// library linked into the host would want its own updates; the system's curl gets them.)
struct Webhook: Sendable {
    let url: WebhookURL
    /// Certificates that the other end is checked against; nil: the system's.
    var caFile: String?
    static let timeout = TimeAmount.seconds(10)
    private static let answerLimit = 64 << 10

    /// Neither URL, signature nor body is in the list of processes: curl finds them on its standard
    /// input. `-q`: nobody's .curlrc counts.
    static let curl = ["curl", "-q", "--config", "-"]

    /// nil: it arrived; else what is wrong.
    func post(_ body: [UInt8], headers: [(String, String)], run: Alerts.Run) async -> String? {
        guard url.isSecure else { return await post(body, headers: headers) }
        return await run(Self.curl, curlConfig(body, headers: headers)).map { "\(url.shown): \($0)" }
    }

    /// What curl is to do, as its manual has it ("--config"). Only a 2xx is success: it takes no other
    /// protocol and follows nobody elsewhere.
    func curlConfig(_ body: [UInt8], headers: [(String, String)]) -> [UInt8] {
        func quoted(_ text: String) -> String {
            "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        var lines = [
            "url = \(quoted(url.whole))", "proto = \"=https\"", "tlsv1.2", "globoff", "noproxy = \"*\"", "location", "max-redirs = 0", "fail", "silent",
            "output = \"/dev/null\"", "connect-timeout = 5", "max-time = \(Self.timeout.nanoseconds / 1_000_000_000)",
            // One line; what curl prints by itself ends with where its manual is.
            #"write-out = "%{stderr}%{errormsg}\n""#,
        ]
        if let caFile { lines.append("cacert = \(quoted(caFile))") }
        for (name, value) in [("User-Agent", "jobhost"), ("Content-Type", "application/json"), ("Expect", "")] + headers {
            lines.append("header = \(quoted("\(name): \(value)"))")
        }
        lines.append("data-binary = \(quoted(String(decoding: body, as: UTF8.self)))")
        return Array((lines.joined(separator: "\n") + "\n").utf8)
    }

    private func post(_ body: [UInt8], headers extra: [(String, String)]) async -> String? {
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
            return "\(url.shown) is not reached: \(error)"
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
            return (200..<300).contains(status) ? nil : "\(url.shown) answered with status \(status)"
        } catch {
            return "\(url.shown) did not answer: \(error)"
        }
    }
}
