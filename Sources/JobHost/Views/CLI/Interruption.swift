import Synchronization

/// Raised by Ctrl-C, for work that ends where it likes to.
final class StopSign: Sendable {
    private let flag = Atomic(false)
    var isRaised: Bool { flag.load(ordering: .relaxed) }
    fileprivate func raise() { flag.store(true, ordering: .relaxed) }
}

extension CLISession {
    /// While `body` runs, Ctrl-C (and SIGTERM) raise the sign and do nothing else.
    func untilInterrupted<Value: Sendable>(_ body: (StopSign) async throws -> Value) async throws -> Value {
        let sign = StopSign()
        let interruption = environment.interruption
        let watch = Task {
            await interruption()
            if !Task.isCancelled { sign.raise() }
        }
        defer { watch.cancel() }
        return try await body(sign)
    }
}
