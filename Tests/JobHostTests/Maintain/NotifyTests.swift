import Glibc
import Testing

@testable import JobHost

/// The other end: a datagram socket as systemd has one.
final class NotifySocket {
    private let descriptor: Int32
    /// nil: there was no such address to be had.
    init?(_ name: String) {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = name.utf8.map { $0 == UInt8(ascii: "@") ? 0 : $0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(2 + bytes.count + (bytes.first == 0 ? 0 : 1))
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        if bound != 0 { return nil }
    }
    deinit { close(descriptor) }

    /// The next message, if one is there.
    func receive() -> String? {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// Messages that fit without being read.
    func fill(_ notify: Notify) -> Int {
        var sent = 0
        while sent < 100_000, notify.send(.watchdog) { sent += 1 }
        return sent
    }
}

@Suite("Telling systemd")
struct NotifyTests {
    let folder: EmptyFolder
    init() throws { folder = try EmptyFolder() }

    private func notify(_ address: String, _ more: [String: String] = [:]) -> Notify {
        Notify(environment: more.merging(["NOTIFY_SOCKET": address]) { $1 }, pid: 50, monotonicMicroseconds: { 1_234 })
    }

    @Test("each message in the protocol's words")
    func messages() throws {
        let path = folder.path + "/notify"
        let socket = try #require(NotifySocket(path))
        let notify = notify(path)
        #expect(notify.isActive)
        #expect(notify.send(.ready, .status("12 jobs")))
        #expect(socket.receive() == "READY=1\nSTATUS=12 jobs")
        #expect(notify.send(.reloading))
        #expect(socket.receive() == "RELOADING=1\nMONOTONIC_USEC=1234")
        #expect(notify.send(.stopping))
        #expect(socket.receive() == "STOPPING=1")
        #expect(notify.send(.watchdog))
        #expect(socket.receive() == "WATCHDOG=1")
    }

    @Test("a status cannot smuggle in another assignment")
    func newlines() throws {
        let path = folder.path + "/notify"
        let socket = try #require(NotifySocket(path))
        notify(path).send(.status("a\nREADY=1\r\nb"))
        #expect(socket.receive() == "STATUS=a READY=1 b")
    }

    @Test("a socket in the abstract namespace")
    func abstract() throws {
        let name = "@jobhost-test-\(folder.path)"
        let socket = try #require(NotifySocket(name))
        #expect(notify(name).send(.ready))
        #expect(socket.receive() == "READY=1")
    }

    @Test("without a socket, or with one that cannot be, nothing happens", arguments: [
        nil, "", "/", "@", "relative", "vsock:2:1", "/" + String(repeating: "x", count: 107),
    ])
    func inactive(address: String?) {
        let notify = Notify(environment: address.map { ["NOTIFY_SOCKET": $0] } ?? [:], pid: 1)
        #expect(!notify.isActive)
        #expect(!notify.send(.ready))
    }

    @Test("nobody listening, or nobody reading: the message is dropped at once")
    func dropped() throws {
        let path = folder.path + "/notify"
        #expect(!notify(path).send(.ready))
        let socket = try #require(NotifySocket(path))
        let fitting = socket.fill(notify(path))
        #expect(fitting > 0 && fitting < 100_000)
        #expect(!notify(path).send(.ready))
    }

    @Test("the watchdog is fed at half its limit, if it is ours", arguments: [
        (["WATCHDOG_USEC": "30000000"], .seconds(15)),
        (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "50"], .seconds(15)),
        (["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "51"], nil),
        (["WATCHDOG_USEC": "1"], .microseconds(1)), (["WATCHDOG_USEC": "0"], nil), (["WATCHDOG_USEC": "-5"], nil),
        (["WATCHDOG_USEC": "soon"], nil), ([:], nil),
    ] as [([String: String], Duration?)])
    func watchdog(environment: [String: String], interval: Duration?) {
        #expect(Notify(environment: environment, pid: 50).watchdogInterval == interval)
    }

    @Test("the reading is CLOCK_MONOTONIC's")
    func monotonic() {
        var before = timespec()
        clock_gettime(CLOCK_MONOTONIC, &before)
        let reading = Notify.systemMonotonicMicroseconds()
        #expect(reading >= Int64(before.tv_sec) * 1_000_000)
        #expect(Notify.systemMonotonicMicroseconds() >= reading)
    }
}
