import JobCore
import JobStore

/// A config that the host itself could not read, for want of a descriptor or of memory: the fault goes away without
/// anybody touching a file.
struct UnreadConfig {
    /// The host's own tries in a row that could not read it; whoever else asks for a reload makes the next one no later.
    var tries = 0
    /// What the last reload said.
    var reason: String
    /// The first of those that could not read it.
    var since: Instant
    /// The next try has its time.
    var isTimed = false
    /// It could be read since; what was read has yet to serve.
    var isRead = false

    var sentence: String { "\(isRead ? "the host could not switch to its config" : "the host could not read its config") at the last reload: \(reason); it is tried again" }

    mutating func couldNotBeSwitchedTo(_ reason: String) { (self.reason, isRead) = (reason, true) }

    /// To whoever asked for such a reload.
    static func promise(allowsEmpty: Bool) -> String { promise + (allowsEmpty ? "; if that has no jobs, --allow-empty must be said again" : "") }
    private static let promise = "nobody needs to ask again: the reload is tried again until the host can read the config"

    /// Whether a report ends with that promise.
    static func isPromised(_ errors: [String]) -> Bool { errors.last?.hasPrefix(promise) == true }
}

extension Supervisor {
    /// A reload that read the files has come to its end, or to where they could not be read.
    func noteReading(_ outcome: BuildOutcome) {
        let isOwnTry = isTryingToRead
        isTryingToRead = false
        switch outcome {
        // What could be read may not be switched to.
        case .ready: break
        case .refused: unread = nil
        case .unread(_, let reason):
            var unread = self.unread ?? UnreadConfig(reason: reason, since: clock.now().wall)
            (unread.reason, unread.isRead) = (reason, false)
            if isOwnTry { unread.tries += 1 }
            self.unread = unread
            readAgainLater()
        }
    }

    /// Ever more seldom, until it could be read and switched to.
    func readAgainLater() {
        guard let unread, !unread.isTimed else { return }
        self.unread?.isTimed = true
        loop.timer(after: RefusedWatch.untriedPause(after: unread.tries + 1)) { [weak self] in
            self?.assumeIsolated { $0.readAgain() }
        }
    }

    private func readAgain() {
        guard unread != nil, phase != .draining else { return }
        unread?.isTimed = false
        // While the store is away nothing can be switched to.
        guard storeHealth.problem == nil else { return readAgainLater() }
        log.notice("reload tried again: the host itself could not read the config")
        (isFileAsked, isTryingToRead) = (true, true)
        perform(reloads.request(ticket: askReload(Actor(name: "host", via: "host")), now: clock.now().monotonic))
    }
}
