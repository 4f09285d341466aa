import JobCore
import JobStore

/// A config that the host itself could not read, for want of a descriptor or of memory: the fault goes away without
/// anybody touching a file.
struct UnreadConfig {
    /// Reloads in a row that could not read it.
    var times: Int
    /// What the last of them said.
    var reason: String
    /// The first of them.
    var since: Instant

    /// To whoever asked for such a reload.
    static let promise = "nobody needs to ask again: the reload is tried again until the host can read the config"
}

extension Supervisor {
    /// A reload that read the files has come to its end, or to where they could not be read.
    func noteReading(_ outcome: BuildOutcome) {
        guard case .unread(let report) = outcome else {
            unread = nil
            return
        }
        readAgainLater(report.errors.first ?? "")
    }

    /// Ever more seldom, until it could be read.
    func readAgainLater(_ reason: String) {
        let times = (unread?.times ?? 0) + 1
        unread = UnreadConfig(times: times, reason: reason, since: unread?.since ?? clock.now().wall)
        loop.timer(after: RefusedWatch.untriedPause(after: times)) { [weak self] in
            self?.assumeIsolated { $0.readAgain(after: times) }
        }
    }

    private func readAgain(after times: Int) {
        guard let unread, unread.times == times, phase != .draining else { return }
        // While the store is away nothing can be switched to.
        guard storeHealth.problem == nil else { return readAgainLater(unread.reason) }
        log.notice("reload tried again: the host itself could not read the config")
        isFileAsked = true
        perform(reloads.request(ticket: askReload(Actor(name: "host", via: "host")), now: clock.now().monotonic))
    }
}
