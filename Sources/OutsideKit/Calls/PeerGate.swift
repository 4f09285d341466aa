import JobCore

/// What is remembered of a peer from one run to the next.
public struct PeerState: Codable, Hashable, Sendable {
    /// As `Breaker.encoded` writes it.
    var breaker: String
    var pausedUntil: Instant?
    var due: Instant?

    enum CodingKeys: String, CodingKey {
        case breaker, due
        case pausedUntil = "paused_until"
    }
}

/// Whether a peer may be called: its breaker, its rate limit, its own wish to be left alone.
/// Shared by all calls to it.
struct PeerGate: Sendable {
    private(set) var breaker: Breaker
    private(set) var pausedUntil: Instant?
    private var pace = Pace()
    private let rate: RateLimit
    private var calls = 0
    private let most: Int

    /// No peer is believed to want more: Binance bans for up to three days.
    static let longestPause = Duration.seconds(3 * 86_400)
    /// Where the peer does not say for how long.
    static let defaultPause = Duration.seconds(60)

    init(_ policy: CallPolicy) {
        breaker = Breaker(policy: policy.breaker)
        rate = policy.rate
        most = max(1, policy.inFlight)
    }

    var state: PeerState { PeerState(breaker: breaker.encoded, pausedUntil: pausedUntil, due: pace.due) }

    /// Takes over what an earlier run, in whichever worker, has left. What cannot be read is new.
    mutating func restore(_ state: PeerState?) {
        breaker = state.flatMap { Breaker(encoded: $0.breaker, policy: breaker.policy) } ?? Breaker(policy: breaker.policy)
        pausedUntil = state?.pausedUntil
        pace.due = state?.due
        calls = 0
    }

    enum Entry: Hashable {
        case entered(Permit)
        /// Ask again when another call has ended.
        case full
        case refused(until: Instant?)
    }
    struct Permit: Hashable, Sendable {
        var generation: Int64
        var isProbe: Bool
    }

    mutating func enter(now: Instant) -> Entry {
        if calls >= most { return .full }
        switch breaker.acquire(now: now) {
        case .granted(let generation, let isProbe):
            calls += 1
            return .entered(Permit(generation: generation, isProbe: isProbe))
        case .refused(let until):
            // While a probe is out, wait for what it finds.
            return breaker.mode == .halfOpen ? .full : .refused(until: until)
        }
    }

    /// nil: call now, it is counted; otherwise when to ask again.
    mutating func take(now: Instant) -> Instant? {
        if let pausedUntil {
            let until = min(pausedUntil, now + Self.longestPause)
            if until > now { return until }
            self.pausedUntil = nil
        }
        return pace.take(rate, now: now)
    }

    mutating func pause(until: Instant?, now: Instant) {
        let end = min(until ?? now + Self.defaultPause, now + Self.longestPause)
        pausedUntil = max(pausedUntil ?? end, end)
    }

    /// The breaker has changed its mind since the permit was given.
    func isOutdated(_ permit: Permit) -> Bool { breaker.generation != permit.generation }

    mutating func leave(_ permit: Permit, _ outcome: Outcome, now: Instant) -> Breaker.Transition? {
        calls = max(0, calls - 1)
        return breaker.record(outcome, generation: permit.generation, wasProbe: permit.isProbe, now: now)
    }
}
