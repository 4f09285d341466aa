import Glibc
import JobConfig
import Logging
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
        let server = APIServer(control: host, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) { _, _ in nil }
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
}
