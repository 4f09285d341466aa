import JobConfig
import JobCore
import JobJSON
import NIOCore
import NIOPosix
import Testing

@testable import JobHost

struct FuzzTests {
    /// Bodies that are nearly right.
    @Test func brokenBodiesAreRefusedAndTheServerGoesOn() async throws {
        var random = SeededGenerator(seed: 20_260_504)
        let seeds: [(String, String)] = [
            ("/api/v1/jobs/mint/enqueue", #"{"payload":{"a":[1,2.50,null,"é"]},"key":"k","delay_ms":5,"priority":-3,"reason":"x"}"#),
            ("/api/v1/jobs/candles/breaker", #"{"action":"open","until":"2027-01-01T00:00:00Z"}"#),
            ("/api/v1/jobs/candles/backfill", #"{"from":"2026-05-01T00:00:00Z","to":"2026-05-02T00:00:00Z"}"#),
            ("/api/v1/jobs/candles/trigger", #"{"payload":{"deep":[[[[[[1]]]]]]}}"#),
        ]
        try await withServer { _, socket, _ in
            let client = APIClient.patient(socket)
            for round in 0..<400 {
                let (path, seed) = seeds[Int(random.next() % UInt64(seeds.count))]
                var body = Array(seed.utf8)
                for _ in 0...Int(random.next() % 4) { Self.spoil(&body, &random) }
                let answer = try await client.exchange(.POST, path, body: body)
                #expect([200, 400].contains(answer.status), "round \(round): \(String(decoding: body, as: UTF8.self))")
                #expect((try? JSON(parsing: answer.body)) != nil, "round \(round)")
            }
            #expect(try await ask(socket, "GET", "/api/v1/host").status == 200)
        }
    }

    private static func spoil(_ body: inout [UInt8], _ random: inout SeededGenerator) {
        guard !body.isEmpty else { return }
        let at = Int(random.next() % UInt64(body.count))
        switch random.next() % 5 {
        case 0: body[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: body.remove(at: at)
        case 2: body.insert(contentsOf: Array("[{\"".utf8), at: at)
        case 3: body.removeSubrange(at...)
        default: body.insert(contentsOf: body[..<at], at: at)
        }
    }

    /// Bytes that are no HTTP at all.
    @Test func noiseOnTheSocketHurtsNobody() async throws {
        var random = SeededGenerator(seed: 77)
        try await withServer { _, socket, _ in
            for _ in 0..<40 {
                let bytes = (0..<Int(random.next() % 300)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .connect(unixDomainSocketPath: socket).get()
                try? await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
                try? await channel.close().get()
            }
            #expect(try await ask(socket, "GET", "/api/v1/host").status == 200)
        }
    }

    /// Requests over TCP that are nearly right, or far from it, a thousand of them: each is answered
    /// or closed, nothing is written, and whoever asks properly is served.
    @Test func brokenRequestsByTheThousandWriteNothing() async throws {
        var limits = HTTPLimits.patient
        limits.idle = .milliseconds(300)
        limits.body = .milliseconds(300)
        let seeds = [
            "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "POST /api/v1/jobs/candles/trigger HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
            "POST /api/v1/stop HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer nonsense\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: a-9223372036854775808\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n\r\n",
            "GET /%2e%2e/%00/..%2f HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT evil:1 HTTP/1.1\r\nHost: evil:1\r\n\r\n",
        ]
        try await withServer(limits: limits) { host, _, server in
            var settings = HTTPSettings(listen: "127.0.0.1:0")
            settings.actTokens = [AccessToken(name: "alice", secret: "0123456789abcdef0123456789abcdef")]
            guard case .serves(let authority, _) = try await server.serve(settings, stateDir: "/nowhere"),
                let port = authority.split(separator: ":").last.flatMap({ Int($0) })
            else { throw HostFailure(message: "not served") }
            for round in 0..<20 {
                await withTaskGroup(of: Void.self) { group in
                    for number in 0..<50 {
                        var random = SeededGenerator(seed: UInt64(round * 50 + number))
                        var bytes = Array(seeds[Int(random.next() % UInt64(seeds.count))].utf8)
                        for _ in 0..<Int(random.next() % 4) { Self.spoil(&bytes, &random) }
                        // A stream that began properly would not end by itself.
                        let text = String(decoding: bytes, as: UTF8.self).replacing("/api/v1/events", with: "/api/v1/event")
                        group.addTask { _ = try? await raw(port, text) }
                    }
                }
            }
            #expect(host.commands.isEmpty)
            var answer = ""
            for _ in 0..<100 where answer.isEmpty { answer = try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: localhost") }
            #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer.prefix(100))")
        }
    }
}
