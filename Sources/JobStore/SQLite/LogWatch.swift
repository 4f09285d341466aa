import CLinux
import Glibc

/// Sees that somebody writes to a store's write-ahead log, by inotify: the log may be deleted and made anew. Who it is,
/// and whether it can be read already, the system does not say.
struct LogWatch {
    /// For `wait`, which needs nothing else of this.
    struct Descriptors {
        fileprivate var watches: Int32
        fileprivate var bell: Int32

        /// Returns when something has come; false: it was rung.
        func wait() -> Bool {
            var looks = [watches, bell].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            _ = poll(&looks, nfds_t(looks.count), -1)
            return looks[1].revents == 0
        }
    }

    let descriptors: Descriptors
    private let path: String
    private let name: [UInt8]
    private let folder: Int32
    private var log: Int32 = -1

    /// nil: the system gives none.
    init?(store: String) {
        // SQLite has the log beside the file that a link leads to.
        guard let resolved = realpath(store, nil) else { return nil }
        path = String(cString: resolved) + "-wal"
        free(resolved)
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        name = Array(path[slash...].utf8.dropFirst())
        descriptors = Descriptors(watches: inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC)), bell: cl_eventfd())
        folder = inotify_add_watch(descriptors.watches, String(path[..<slash]) + "/", UInt32(IN_CREATE) | UInt32(IN_MOVED_TO) | UInt32(IN_ONLYDIR))
        guard folder >= 0, descriptors.bell >= 0 else {
            close()
            return nil
        }
        watchLog()
    }

    func ring() { _ = cl_eventfd_signal(descriptors.bell) }

    func close() {
        for descriptor in [descriptors.watches, descriptors.bell] where descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Whether the log was written to, or made, since this was asked last.
    mutating func take() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 1_024)
        let count = read(descriptors.watches, &bytes, bytes.count)
        guard count > 0 else { return false }
        var (isWritten, isNew) = (false, false)
        bytes.withUnsafeBytes { bytes in
            var rest = bytes[..<count]
            while let event = Event(&rest) {
                if event.watch == log, event.mask & UInt32(IN_MODIFY) != 0 { isWritten = true }
                // Some were lost, perhaps that one.
                if event.watch == folder ? event.name.elementsEqual(name) : event.mask & UInt32(IN_Q_OVERFLOW) != 0 { isNew = true }
            }
        }
        if isNew { watchLog() }
        return isWritten || isNew
    }

    private mutating func watchLog() {
        let watch = inotify_add_watch(descriptors.watches, path, UInt32(IN_MODIFY))
        guard watch >= 0, watch != log else { return }
        // What was deleted may still be open somewhere.
        if log >= 0 { inotify_rm_watch(descriptors.watches, log) }
        log = watch
    }

    /// One `inotify_event`.
    private struct Event {
        var watch: Int32
        var mask: UInt32
        var name: Slice<UnsafeRawBufferPointer>

        /// Takes it off `rest`; nil: there is none.
        init?(_ rest: inout Slice<UnsafeRawBufferPointer>) {
            let head = 16
            guard rest.count >= head else { return nil }
            let bytes = UnsafeRawBufferPointer(rebasing: rest)
            watch = bytes.loadUnaligned(fromByteOffset: 0, as: Int32.self)
            mask = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            let length = Int(bytes.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
            // Filled up with zeros.
            name = rest.dropFirst(head).prefix(length).prefix { $0 != 0 }
            rest = rest.dropFirst(head + length)
        }
    }
}
