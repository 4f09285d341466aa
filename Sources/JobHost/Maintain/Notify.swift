import Glibc

/// Tells systemd how the service fares (sd_notify(3)). Does nothing when `NOTIFY_SOCKET` is
/// not set. Never blocks: a message that the socket cannot take at once is dropped. Any thread.
public struct Notify: Sendable {
    public enum Message: Hashable, Sendable {
        case ready
        /// Must be followed by `ready`. Carries the monotonic clock's reading, by which
        /// systemd (Type=notify-reload) knows that this is the reload it asked for.
        case reloading
        /// One sentence for `systemctl status`.
        case status(String)
        case stopping
        /// Sign of life; send every `watchdogInterval`.
        case watchdog
    }

    private let socketPath: String?
    private let monotonicMicroseconds: @Sendable () -> Int64
    /// Half of the limit that systemd set, as it recommends; nil: not watched.
    public let watchdogInterval: Duration?

    /// - Parameters:
    ///   - environment: of the process: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    ///   - monotonicMicroseconds: CLOCK_MONOTONIC, which is what the protocol asks for.
    public init(
        environment: [String: String], pid: Int32 = getpid(),
        monotonicMicroseconds: @escaping @Sendable () -> Int64 = Notify.systemMonotonicMicroseconds
    ) {
        socketPath = environment["NOTIFY_SOCKET"].flatMap { Self.isAddress($0) ? $0 : nil }
        self.monotonicMicroseconds = monotonicMicroseconds
        watchdogInterval = Self.watchdogInterval(environment: environment, pid: pid)
    }

    public var isActive: Bool { socketPath != nil }

    /// true: the message was handed over.
    @discardableResult
    public func send(_ messages: Message...) -> Bool {
        guard let socketPath else { return false }
        let text = messages.map { Self.text($0, monotonic: monotonicMicroseconds()) }.joined(separator: "\n")
        return Self.send(Array(text.utf8), to: socketPath)
    }

    static func text(_ message: Message, monotonic: Int64) -> String {
        switch message {
        case .ready: "READY=1"
        case .reloading: "RELOADING=1\nMONOTONIC_USEC=\(monotonic)"
        // A newline would begin another assignment.
        case .status(let sentence): "STATUS=" + sentence.map { $0.isNewline ? " " : String($0) }.joined()
        case .stopping: "STOPPING=1"
        case .watchdog: "WATCHDOG=1"
        }
    }

    static func watchdogInterval(environment: [String: String], pid: Int32) -> Duration? {
        guard let limit = environment["WATCHDOG_USEC"].flatMap({ Int64($0) }), limit > 0 else { return nil }
        // Meant for another process of this service.
        if let owner = environment["WATCHDOG_PID"], !owner.isEmpty, owner != String(pid) { return nil }
        return .microseconds(max(1, limit / 2))
    }

    public static func systemMonotonicMicroseconds() -> Int64 {
        var reading = timespec()
        clock_gettime(CLOCK_MONOTONIC, &reading)
        return Int64(reading.tv_sec) * 1_000_000 + Int64(reading.tv_nsec) / 1_000
    }

    /// A path, or `@` and a name in the abstract namespace; at most what `sockaddr_un` holds.
    private static func isAddress(_ text: String) -> Bool {
        (text.hasPrefix("/") || text.hasPrefix("@")) && (2..<108).contains(text.utf8.count)
    }

    private static func send(_ bytes: [UInt8], to path: String) -> Bool {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { _ = close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        let isAbstract = name[0] == UInt8(ascii: "@")
        if isAbstract { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        // An abstract name has no end mark: its length is the address's.
        let header = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
        let length = socklen_t(header + name.count + (isAbstract ? 0 : 1))
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), $0, length)
            }
        }
        return sent == bytes.count
    }
}
