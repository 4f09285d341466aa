import Glibc
import Hummingbird
import NIOCore

/// Who is at the other end of a connection.
struct Peer: Sendable {
    private let channel: any Channel
    init(channel: any Channel) { self.channel = channel }

    /// `struct ucred` of unix(7), which the Swift overlay of Glibc does not show.
    private struct Credentials: Sendable {
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
    }

    /// As the kernel vouches for it (SO_PEERCRED); nil over TCP, where nobody does and the kernel
    /// answers with the uid -1.
    var uid: UInt32? {
        get async {
            guard let provider = channel as? any SocketOptionProvider,
                let credentials: Credentials = try? await provider.unsafeGetSocketOption(
                    level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED)
                ).get(),
                credentials.uid != .max
            else { return nil }
            return credentials.uid
        }
    }

    /// Of TCP, in numbers.
    var address: String { channel.remoteAddress?.ipAddress ?? "unknown" }
}

/// "root (uid 0)", or "uid 4711" for one without a name.
func userName(_ uid: UInt32) -> String {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: 16_384)
    guard getpwuid_r(uid, &entry, &buffer, buffer.count, &found) == 0, found != nil, let name = entry.pw_name else {
        return "uid \(uid)"
    }
    return "\(String(cString: name)) (uid \(uid))"
}
