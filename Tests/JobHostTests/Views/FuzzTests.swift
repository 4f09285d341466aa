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
            let client = APIClient(socketPath: socket, config: nil)
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
}
