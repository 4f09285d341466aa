import Glibc
import JobCore

/// systemd's journal, in its own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): an entry with fields that
/// `journalctl JOBHOST_JOB=mint` finds, instead of a line of text. Confined to one thread.
final class Journal {
    /// Where systemd listens.
    static let path = "/run/systemd/journal/socket"

    private let descriptor: Int32
    private var address: sockaddr_un

    /// nil: no such socket can be had.
    init?(path: String) {
        var address = sockaddr_un()
        guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        (self.descriptor, self.address) = (descriptor, address)
        // An entry is one datagram.
        var size: Int32 = 4 << 20
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout.size(ofValue: size)))
        // Whoever reads too slowly is not waited for without end.
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout.size(ofValue: limit)))
    }

    deinit { _ = close(descriptor) }

    /// Whether standard error leads to the journal: `JOURNAL_STREAM` of the environment names what systemd has
    /// connected it to, and a redirection since then has changed that.
    static func isStandardError(_ stream: String?) -> Bool {
        var info = stat()
        guard let stream, fstat(STDERR_FILENO, &info) == 0 else { return false }
        return names(stream, device: UInt64(info.st_dev), inode: UInt64(info.st_ino))
    }

    static func names(_ stream: String, device: UInt64, inode: UInt64) -> Bool {
        let numbers = stream.split(separator: ":", omittingEmptySubsequences: false).map { UInt64($0) }
        return numbers == [device, inode]
    }

    /// false: it was not taken.
    func send(_ entry: [UInt8]) -> Bool {
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        while true {
            let sent = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { sendto(descriptor, entry, entry.count, Int32(MSG_NOSIGNAL), $0, length) }
            }
            if sent < 0, errno == EINTR { continue }
            return sent == entry.count
        }
    }
}

extension HostLogLine {
    /// MESSAGE, PRIORITY (syslog's), SYSLOG_IDENTIFIER, and JOBHOST_… for each field.
    var journal: [UInt8] {
        var entry: [UInt8] = []
        func add(_ name: String, _ value: String) {
            entry += Array(name.utf8)
            let bytes = Array(value.utf8)
            if bytes.contains(UInt8(ascii: "\n")) {
                // With its length, in little endian, and then as it is.
                entry.append(UInt8(ascii: "\n"))
                withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { entry += Array($0) }
            } else {
                entry.append(UInt8(ascii: "="))
            }
            entry += bytes
            entry.append(UInt8(ascii: "\n"))
        }
        add("MESSAGE", message)
        add("PRIORITY", String(priority))
        add("SYSLOG_IDENTIFIER", "jobhost")
        var used: Set<String> = []
        for (key, value) in fields {
            var name = "JOBHOST_"
            for character in Self.plain(key).uppercased().prefix(56) {
                name.append(character.isASCII && (character.isLetter || character.isNumber) ? character : "_")
            }
            if used.insert(name).inserted { add(name, value) }
        }
        return entry
    }

    private var priority: Int {
        switch level {
        case .debug: 7
        case .info: 6
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
