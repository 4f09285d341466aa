import Glibc
import Synchronization

/// A file descriptor that is closed exactly once. Any thread.
final class OwnedDescriptor: Sendable {
    private let value: Mutex<Int32>
    init(_ descriptor: Int32) { value = Mutex(descriptor) }
    deinit { close() }

    func close() {
        let descriptor = value.withLock { value in
            defer { value = -1 }
            return value
        }
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
    }
}
