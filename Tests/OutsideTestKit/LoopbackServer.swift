import Foundation
import Glibc
import Testing

/// A small HTTP/1.1 server on 127.0.0.1, on a port of its own, that answers as a test says:
/// well, late, broken, too much, or not at all. It keeps connections as long as the client does.
///
///     let server = try LoopbackServer { _ in .json(#"{"ok": true}"#) }
///     defer { server.close() }
public final class LoopbackServer: @unchecked Sendable {
    public struct Request: Hashable, Sendable {
        public var method: String
        /// Without the query.
        public var path: String
        /// As sent, percent-encoded.
        public var query: String
        /// Names in lower case.
        public var headers: [String: String]
        public var body: [UInt8]
        /// The number of its connection, from 1.
        public var connection: Int

        public var text: String { String(decoding: body, as: UTF8.self) }
        /// A query parameter, decoded.
        public func parameter(_ name: String) -> String? {
            for pair in query.split(separator: "&") {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                if parts[0] == name { return parts.count == 2 ? String(parts[1]).removingPercentEncoding : "" }
            }
            return nil
        }
    }

    public struct Reply: Sendable, CustomTestStringConvertible {
        enum Kind: Sendable {
            case whole(status: Int, headers: [String: String], body: [UInt8])
            /// In pieces, with `pause` between two.
            case pieces(piece: [UInt8], count: Int, pause: Int32)
            /// These bytes instead of HTTP, then the end of the connection.
            case raw([UInt8])
            case drop
            case hang
        }
        var kind: Kind
        /// Milliseconds before the answer.
        var delay: Int32 = 0

        public static func respond(_ status: Int, headers: [String: String] = [:], _ body: String = "") -> Reply {
            Reply(kind: .whole(status: status, headers: headers, body: Array(body.utf8)))
        }
        public static func json(_ body: String, status: Int = 200) -> Reply {
            .respond(status, headers: ["Content-Type": "application/json"], body)
        }
        /// 200 and `count` pieces of `size` bytes, without saying how much it will be.
        public static func stream(size: Int, count: Int, pause: Int = 0) -> Reply {
            Reply(kind: .pieces(piece: [UInt8](repeating: UInt8(ascii: "x"), count: size), count: count, pause: Int32(pause)))
        }
        public static func raw(_ text: String) -> Reply { Reply(kind: .raw(Array(text.utf8))) }
        /// The connection ends without a word.
        public static let drop = Reply(kind: .drop)
        /// No answer as long as the server lives.
        public static let hang = Reply(kind: .hang)

        public var testDescription: String {
            switch kind {
            case .whole(let status, _, let body): "\(status) with \(body.count) bytes"
            case .pieces(let piece, let count, _): "\(count) pieces of \(piece.count) bytes"
            case .raw(let bytes): "\(bytes.count) raw bytes"
            case .drop: "a dropped connection"
            case .hang: "no answer"
            }
        }

        public func after(milliseconds: Int) -> Reply {
            var reply = self
            reply.delay = Int32(milliseconds)
            return reply
        }
    }

    public let port: UInt16
    public var url: String { "http://127.0.0.1:\(port)" }

    private let listener: Int32
    /// Closing the writing end ends every wait of the server.
    private let ending: (reading: Int32, writing: Int32)
    private let handler: @Sendable (Request) -> Reply
    private let lock = NSCondition()
    private var received: [Request] = []
    private var accepted = 0
    private var threads = 0
    private var isClosed = false

    public init(_ handler: @escaping @Sendable (Request) -> Reply) throws {
        signal(SIGPIPE, SIG_IGN)
        self.handler = handler
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = listener
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, length) == 0 && listen(fd, 128) == 0 && getsockname(fd, $0, &length) == 0
            }
        }
        var pair: [Int32] = [-1, -1]
        guard fd >= 0, bound, pipe(&pair) == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
        port = UInt16(bigEndian: address.sin_port)
        for descriptor in pair { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        ending = (pair[0], pair[1])
        start { $0.acceptAll() }
    }

    /// All requests so far, in the order in which they were complete.
    public var requests: [Request] { lock.withLock { received } }
    /// Connections so far.
    public var connections: Int { lock.withLock { accepted } }

    /// Waits until so many requests are there.
    public func waitForRequests(_ count: Int) {
        lock.lock()
        defer { lock.unlock() }
        while received.count < count, !isClosed { lock.wait() }
    }

    /// Ends all connections and waits for the server's threads.
    public func close() {
        lock.lock()
        defer { lock.unlock() }
        guard !isClosed else { return }
        isClosed = true
        lock.broadcast()
        Glibc.close(ending.writing)
        while threads > 0 { lock.wait() }
        Glibc.close(ending.reading)
        Glibc.close(listener)
    }

    // MARK: Threads

    private func start(_ body: @escaping @Sendable (LoopbackServer) -> Void) {
        lock.withLock { threads += 1 }
        let thread = Thread { [self] in
            body(self)
            lock.withLock {
                threads -= 1
                lock.broadcast()
            }
        }
        thread.stackSize = 512 << 10
        thread.start()
    }

    /// - Returns: false once the server is to end.
    private func wait(for descriptor: Int32, _ events: Int32 = Int32(POLLIN), milliseconds: Int32 = -1) -> Bool {
        var polled = [
            pollfd(fd: ending.reading, events: 0, revents: 0), pollfd(fd: descriptor, events: Int16(events), revents: 0),
        ]
        repeat {
            let count = poll(&polled, 2, milliseconds)
            if count == 0 || polled[1].revents != 0 { return polled[0].revents == 0 }
        } while polled[0].revents == 0
        return false
    }

    private func acceptAll() {
        while wait(for: listener) {
            let socket = accept(listener, nil, nil)
            guard socket >= 0 else { continue }
            _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
            var on: Int32 = 1
            setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
            let number = lock.withLock {
                accepted += 1
                return accepted
            }
            start { server in
                while let request = server.read(socket, number), server.answer(request, socket) {}
                Glibc.close(socket)
            }
        }
    }

    // MARK: HTTP

    private func read(_ socket: Int32, _ connection: Int) -> Request? {
        var bytes: [UInt8] = []
        var headEnd: Int?
        while headEnd == nil {
            guard receive(socket, &bytes) else { return nil }
            headEnd = (0 ..< max(0, bytes.count - 3)).first { Array(bytes[$0 ..< $0 + 4]) == [13, 10, 13, 10] }
        }
        guard let headEnd else { return nil }
        let lines = String(decoding: bytes[..<headEnd], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ")
        guard words.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces) }
        }
        var body = Array(bytes[(headEnd + 4)...])
        let length = Int(headers["content-length"] ?? "0") ?? 0
        while body.count < length { guard receive(socket, &body) else { return nil } }
        let target = words[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let request = Request(
            method: String(words[0]), path: String(target[0]), query: target.count == 2 ? String(target[1]) : "",
            headers: headers, body: body, connection: connection)
        lock.withLock {
            received.append(request)
            lock.broadcast()
        }
        return request
    }

    private func receive(_ socket: Int32, _ bytes: inout [UInt8]) -> Bool {
        guard wait(for: socket) else { return false }
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = recv(socket, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        bytes += buffer[..<count]
        return true
    }

    /// - Returns: whether the connection goes on.
    private func answer(_ request: Request, _ socket: Int32) -> Bool {
        let reply = handler(request)
        if reply.delay > 0, !wait(for: -1, milliseconds: reply.delay) { return false }
        switch reply.kind {
        case .whole(let status, let headers, let body):
            var head = "HTTP/1.1 \(status) Scripted\r\nContent-Length: \(body.count)\r\n"
            for (name, value) in headers { head += "\(name): \(value)\r\n" }
            return send(socket, Array("\(head)\r\n".utf8) + (request.method == "HEAD" ? [] : body))
        case .pieces(let piece, let count, let pause):
            guard send(socket, Array("HTTP/1.1 200 Scripted\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)) else { return false }
            for _ in 0 ..< count {
                if pause > 0, !wait(for: -1, milliseconds: pause) { return false }
                let size = Array("\(String(piece.count, radix: 16))\r\n".utf8)
                guard send(socket, size + piece + [13, 10]) else { return false }
            }
            return send(socket, Array("0\r\n\r\n".utf8))
        case .raw(let bytes):
            _ = send(socket, bytes)
            return false
        case .drop:
            return false
        case .hang:
            // Until the client gives up or the server ends.
            _ = wait(for: socket)
            return false
        }
    }

    private func send(_ socket: Int32, _ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            guard wait(for: socket, Int32(POLLOUT)) else { return false }
            let count = bytes.withUnsafeBytes { buffer -> Int in
                guard let start = buffer.baseAddress else { return 0 }
                return Glibc.send(socket, start + sent, buffer.count - sent, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
