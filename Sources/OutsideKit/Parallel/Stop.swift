import Dispatch
import Glibc
import JobKit

private enum Wake<Result> {
    case stopped
    case result(Result)
}

/// The run's cancel flag as an event: wakes everybody who waits.
final class Stop: @unchecked Sendable {
    /// One run at a time in a process, so one for all: what waits, waits here.
    let monitor: Monitor<Bool>
    private let isCancelled: @Sendable () -> Bool
    private var source: (any DispatchSourceProtocol)?

    /// Without a descriptor to wait on, the flag is asked this often.
    static let askAgain = Duration.milliseconds(50)
    let slice: Duration?

    /// Of nobody: never.
    init() {
        monitor = Monitor(false)
        isCancelled = { false }
        slice = nil
    }

    init(_ context: RunContext) {
        let monitor = Monitor(context.isCancelled)
        self.monitor = monitor
        isCancelled = { context.isCancelled }
        // The descriptor is the host's: a copy may be watched and closed.
        guard let original = context.cancelFD else {
            slice = Self.askAgain
            return
        }
        let descriptor = fcntl(original, F_DUPFD_CLOEXEC, 0)
        guard descriptor >= 0 else {
            slice = Self.askAgain
            return
        }
        slice = nil
        let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: .global())
        source.setEventHandler {
            // It stays readable: once is enough.
            source.cancel()
            monitor.change { $0 = true }
        }
        source.setCancelHandler { Glibc.close(descriptor) }
        source.resume()
        self.source = source
    }

    deinit { source?.cancel() }

    var isSet: Bool { monitor.withLock { $0 } || isCancelled() }

    func check() throws {
        if isSet { throw CancellationNotice() }
    }

    /// Something happened that others may wait for.
    func ring() { monitor.change { _ in } }

    /// Waits until `body` gives something; nil after `limit`.
    /// - Throws: `CancellationNotice` as soon as the run is to stop.
    func wait<Result>(upTo limit: Duration?, _ body: () -> Result?) throws -> Result? {
        var rest = limit
        while true {
            let part = slice.map { slice in rest.map { min($0, slice) } ?? slice } ?? rest
            let end = monitor.wait(upTo: part) { stopped -> Wake<Result>? in
                if stopped { return .stopped }
                return body().map(Wake.result)
            }
            switch end {
            case .stopped: throw CancellationNotice()
            case .result(let result): return result
            case nil: break
            }
            if isCancelled() { throw CancellationNotice() }
            guard let slice else { return nil }
            if let left = rest {
                if left <= slice { return nil }
                rest = left - slice
            }
        }
    }
}
