import CLinux
import Glibc
import JobCore

/// The socket to the supervisor.
///
/// It lives on a high number, where a plugin that closes "descriptors 3 to 100" or whose
/// library reuses a low number does not meet it. If it is lost all the same, the worker ends
/// with its own exit code: a run whose result cannot be told must not go on.
struct Channel: Sendable {
    static let lowestDescriptor: Int32 = 500
    private let socket: Int32

    /// Closes `low` once it has been moved.
    init?(takingOver low: Int32) {
        let high = Channel.moveUp(low)
        guard high >= 0 else { return nil }
        close(low)
        socket = high
    }

    private static func moveUp(_ low: Int32) -> Int32 {
        let high = clw_dup_above(low, lowestDescriptor)
        // A limit below 500 descriptors: as high as it goes.
        return high >= 0 ? high : clw_dup_above(low, 32)
    }

    /// Blocks until all after the first `start` bytes is written.
    func send(_ bytes: [UInt8], from start: Int = 0) {
        bytes.withUnsafeBytes { all in
            var rest = UnsafeRawBufferPointer(rebasing: all[start...])
            while let base = rest.baseAddress, !rest.isEmpty {
                // MSG_NOSIGNAL: what SIGPIPE does in this process is the plugin's choice.
                let count = Glibc.send(socket, base, rest.count, Int32(MSG_NOSIGNAL))
                if count >= 0 {
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                } else if errno == EAGAIN {
                    // The supervisor made its own end non-blocking, which the two do not share; a plugin that
                    // gets hold of this one could, too.
                    waitUntilWritable()
                } else if errno != EINTR {
                    if errno == EPIPE || errno == ECONNRESET { endWithChildren() }
                    quit(.socketLost)
                }
            }
        }
    }

    /// How many of the bytes after the first `start` go out without waiting. What is wrong with the socket is
    /// found by whoever waits for it.
    func sendNow(_ bytes: [UInt8], from start: Int) -> Int {
        bytes.withUnsafeBytes { all in
            let rest = UnsafeRawBufferPointer(rebasing: all[start...])
            return max(0, Glibc.send(socket, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)))
        }
    }

    /// Blocks until something has arrived. Ends the process when nothing ever will, and when the
    /// lease ends before something has. (What is there already may be a new lease.)
    func receive(into buffer: UnsafeMutableRawBufferPointer, lease: MonotonicInstant?) -> Int {
        while true {
            // Not in recv: whoever waits there is also woken, for nothing, by each message of this
            // worker that the supervisor takes. poll wakes up for what it was asked for.
            waitUntilReadable(lease)
            let count = recv(socket, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { return count }
            if count == 0 { endWithChildren() }
            switch errno {
            case EINTR, EAGAIN: continue
            case ECONNRESET: endWithChildren()
            default: quit(.socketLost)
            }
        }
    }

    /// Whether something arrives within that time, or the other end is gone. Ends the process as `receive` does,
    /// and may say no when the lease ends.
    func isReadable(within time: Duration, lease: MonotonicInstant?) -> Bool {
        let end = lease.map { $0 - Clocks.monotonic() } ?? time
        if wait(for: POLLIN, milliseconds: Int32(clamping: max(.zero, min(time, end)).roundedUp)) { return true }
        if let lease, lease <= Clocks.monotonic() { endWithChildren(.leaseLapsed) }
        return false
    }

    private func waitUntilReadable(_ lease: MonotonicInstant?) {
        guard let lease else {
            wait(for: POLLIN)
            return
        }
        let left = lease - Clocks.monotonic()
        let isThere = wait(for: POLLIN, milliseconds: left > .zero ? Int32(clamping: left.milliseconds + 1) : 0)
        if !isThere, left <= .zero { endWithChildren(.leaseLapsed) }
    }

    private func waitUntilWritable() { wait(for: POLLOUT) }

    /// false: not before the time was over.
    @discardableResult
    private func wait(for events: Int32, milliseconds: Int32 = -1) -> Bool {
        var entry = pollfd(fd: socket, events: Int16(events), revents: 0)
        return poll(&entry, 1, milliseconds) > 0
    }
}

extension Duration {
    /// Milliseconds.
    fileprivate var roundedUp: Int64 { microseconds.saturatingAdd(999) / 1_000 }
}
