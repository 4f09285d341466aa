import Glibc
import Synchronization

/// A start that has begun nothing yet: whoever stops it need not wait for it. Dozens of libraries that hang take minutes
/// to be refused.
final class StartUnderWay: Sendable {
    private let state = Mutex<(hasBegun: Bool, say: @Sendable (String) -> Void)>((false, { _ in }))

    /// `say`: to the log, and on the disk when it returns.
    func says(_ say: @escaping @Sendable (String) -> Void) { state.withLock { $0.say = say } }

    /// From here on a stop is the supervisor's to obey.
    func begins() { state.withLock { $0.hasBegun = true } }

    /// Ends the process at once, as a kill would: the store is written in transactions, a half-made copy is cleared away
    /// by the next start, and the workers that libraries were tried in end with their host.
    func endUnlessBegun(_ signal: String) {
        state.withLock { state in
            guard !state.hasBegun else { return }
            state.say("stopped by \(signal) before anything had begun")
            _exit(0)
        }
    }
}
