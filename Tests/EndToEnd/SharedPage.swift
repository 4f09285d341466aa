import Glibc

/// A page of memory that a test and what is preloaded into a host share, by a file.
final class SharedPage: Sendable {
    private static let size = 4_096
    private let address: Int

    init(_ path: String) throws {
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(file) }
        guard file >= 0, ftruncate(file, Self.size) == 0,
            let memory = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), memory != MAP_FAILED
        else { throw TestHost.Failure("cannot map \(path): \(errno)") }
        address = Int(bitPattern: memory)
    }

    deinit { munmap(UnsafeMutableRawPointer(bitPattern: address), Self.size) }

    /// The first bytes.
    func set(_ value: Int64) { UnsafeMutablePointer<Int64>(bitPattern: address)?.pointee = value }
}
