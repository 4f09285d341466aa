import Glibc

/// A notify socket as systemd has one; each datagram's lines become lines.
final class NotifySocket: Sendable {
    let messages: Lines
    private let writeEnd: Int32
    private let socketDescriptor: Int32

    init(path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        var ends: [Int32] = [0, 0]
        guard descriptor >= 0, bound == 0, Glibc.pipe(&ends) == 0 else {
            throw TestHost.Failure("cannot make a notify socket: \(errno)")
        }
        messages = Lines(descriptor: ends[0])
        writeEnd = ends[1]
        socketDescriptor = descriptor
        let keep = Unmanaged.passRetained(self)
        var thread = pthread_t()
        pthread_create(&thread, nil, { argument in
            Unmanaged<NotifySocket>.fromOpaque(argument!).takeRetainedValue().copy()
            return nil
        }, keep.toOpaque())
        pthread_detach(thread)
    }

    private func copy() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(socketDescriptor, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            let bytes = buffer[..<count] + [UInt8(ascii: "\n")]
            _ = bytes.withUnsafeBytes { write(writeEnd, $0.baseAddress, $0.count) }
        }
        close(writeEnd)
        close(socketDescriptor)
    }

    func end() { shutdown(socketDescriptor, Int32(SHUT_RDWR)) }
}
