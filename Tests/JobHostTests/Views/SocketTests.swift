import Glibc
import JobConfig
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import JobHost

struct SocketTests {
    private func mode(_ path: String) -> UInt32? {
        var info = stat()
        return lstat(path, &info) == 0 ? info.st_mode : nil
    }

    @Test func theSocketIsItsOwnersAlone() async throws {
        try await withServer { _, socket, _ in
            #expect(mode(socket) == S_IFSOCK | 0o600)
            // Nothing of the way there is left.
            let folder = String(socket.dropLast("/jobhost.sock".count))
            #expect(mode(folder + "/.sock") == nil)
        }
    }

    @Test func aStaleSocketAndAKilledHostsRemainsAreReplaced() async throws {
        let folder = try TestFolder()
        let socket = folder.path + "/jobhost.sock"
        mkdir(folder.path + "/.sock", 0o777)
        for path in [socket, folder.path + "/.sock/s"] { Glibc.close(open(path, O_CREAT | O_WRONLY, 0o644)) }
        let host = try FakeHost(folder: folder.path)
        let server = APIServer(control: host, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await server.listen(socketPath: socket)
        #expect(try await ask(socket, "GET", "/api/v1/host").status == 200)
        await server.stop()
        host.close()
        #expect(mode(socket) == nil)
    }

    @Test func aPathLongerThanTheSystemTakesIsExplained() async throws {
        let long = "/tmp/" + String(repeating: "x", count: 100) + "/jobhost.sock"
        #expect(throws: APIServerError.self) { try SocketFile(path: long) }
        let spoken = await speak(["status", "--socket", long])
        #expect(spoken.code == 2)
        #expect(spoken.errors.contains("the socket's path has 118 bytes, the system allows 107"))
    }

    @Test(arguments: ["0.0.0.0:9480", "192.168.1.4:80", "example.org:80", ":9480", "127.0.0.1", "127.0.0.1:99999", "127.0.0:1", "[::]:80", ""])
    func onlyLoopbackMayBeListenedOn(_ text: String) {
        #expect(throws: LoopbackAddress.Refusal.self) { try LoopbackAddress(text) }
    }

    @Test func loopbackHasItsNames() throws {
        #expect(try LoopbackAddress("localhost:9480").host == "127.0.0.1")
        #expect(try LoopbackAddress("127.0.0.2:1").host == "127.0.0.2")
        #expect(try LoopbackAddress("[::1]:0").host == "::1")
    }

    @Test func overTCPItIsReadOnlyAndAnswersLocalNamesOnly() async throws {
        try await withServer { host, _, server in
            let port = try await server.listen(loopback: "127.0.0.1:0")
            #expect(try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: 127.0.0.1:\(port)").hasPrefix("HTTP/1.1 200"))
            #expect(try await tcp(port, "GET /livez HTTP/1.1\r\nHost: localhost").hasPrefix("HTTP/1.1 200"))
            let post = try await tcp(port, "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0")
            #expect(post.hasPrefix("HTTP/1.1 405"))
            #expect(post.contains("commands go over the Unix socket"))
            let rebound = try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: evil.example:\(port)")
            #expect(rebound.hasPrefix("HTTP/1.1 403"))
            let rebound2 = try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: localhost.evil.example")
            #expect(rebound2.hasPrefix("HTTP/1.1 403"))
            #expect(host.commands.isEmpty)
        }
    }

    /// One raw request; all bytes until the server closes.
    private func tcp(_ port: Int, _ head: String) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel) }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: head + "\r\nConnection: close\r\n\r\n"))
            var text = ""
            for try await part in inbound { text += String(buffer: part) }
            return text
        }
    }
}
