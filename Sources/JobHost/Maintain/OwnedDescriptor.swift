import Glibc
import Synchronization

/// A file descriptor that is closed exactly once. Any thread.
final class OwnedDescriptor: Sendable {
    private let value: Mutex<Int32>
    init(_ descriptor: Int32) { value = Mutex(descriptor) }
    deinit { close() }

    /// Nothing happens once it is closed.
    func with(_ body: (Int32) -> Void) {
        value.withLock { if $0 >= 0 { body($0) } }
    }

    func close() {
        let descriptor = value.withLock { value in
            defer { value = -1 }
            return value
        }
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
    }
}
