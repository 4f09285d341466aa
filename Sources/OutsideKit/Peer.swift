import JobCore
import JobKit

/// One party outside (an exchange, a chain's node, a minter) and the way to call it: through a
/// circuit breaker, a rate limit, retries and time limits, given up at once when the run is
/// to stop. Authors write plain sequential code:
///
/// ```swift
/// let price = try peer.call("price of XRP") { attempt in try http.get("/price/XRP", attempt).json() }
/// ```
///
/// Make it once, in the entry's `init`, and use it inside `Outside.run`. All functions may be
/// called from several threads.
public final class Peer: Sendable {
    /// For messages: "binance".
    public let name: String
    public let policy: CallPolicy

    private struct Inside: Sendable {
        var gate: PeerGate
        var stop = Stop()
        /// When the run has to stop.
        var deadline = MonotonicInstant.distantFuture
        var seed: UInt64 = 0
        var tally = PeerTally()
    }
    private let inside: Monitor<Inside>
    private let clock: any TimeSource

    public convenience init(_ name: String, _ policy: CallPolicy) {
        self.init(name, policy, clock: SystemTime())
    }
    init(_ name: String, _ policy: CallPolicy, clock: any TimeSource) {
        self.name = name
        self.policy = policy
        self.clock = clock
        inside = Monitor(Inside(gate: PeerGate(policy)))
    }

    /// What happened in this run so far.
    public var tally: PeerTally { inside.withLock { $0.tally } }
    /// Of the breaker, at present.
    public var mode: Breaker.Mode { inside.withLock { $0.gate.breaker.mode } }
    /// Until when it asked to be left alone; nil: it did not.
    public var pausedUntil: Instant? { inside.withLock { $0.gate.pausedUntil } }

    /// One call: `body` is executed until it gives a result, at most `retry.maxAttempts` times.
    ///
    /// - Parameter what: for messages, without anything secret: "order 17".
    /// - Parameter body: one attempt. Throws `CallError` to say what went wrong; any other error
    ///   ends the call and counts for nothing.
    /// - Throws: `CallError`; `CancellationNotice` as soon as the run is to stop; what `body` throws.
    public func call<Result>(_ what: String, _ body: (CallAttempt) throws -> Result) throws -> Result {
        let (stop, deadline) = inside.withLock { ($0.stop, $0.deadline) }
        var machine = inside.withLock { inside in
            inside.seed &+= 1
            return CallMachine(name: name, retry: policy.retry, seed: inside.seed, deadline: deadline)
        }
        do {
            while true {
                try stop.check()
                let (step, ended) = inside.withLock { (machine.next(&$0.gate, now: clock.now()), $0.tally.ended) }
                switch step {
                case .attempt(let number):
                    if let result = try attempt(number, what, &machine, stop, deadline, body) { return result }
                case .wait(let delay):
                    _ = try stop.wait(upTo: delay) { nil as Void? }
                case .waitForOthers:
                    let left = deadline == .distantFuture ? nil : Optional(max(.zero, deadline - clock.now().monotonic))
                    _ = try stop.wait(upTo: left) { inside.withLock { $0.tally.ended != ended ? () : nil } }
                case .giveUp(let error):
                    report { _ in nil }
                    inside.withLock { $0.tally.failed += 1 }
                    throw error
                }
            }
        } catch let notice as CancellationNotice {
            report { machine.failed(nil, &$0, now: clock.now()) }
            throw notice
        }
    }

    /// nil: to be tried again.
    private func attempt<Result>(
        _ number: Int, _ what: String, _ machine: inout CallMachine, _ stop: Stop, _ deadline: MonotonicInstant,
        _ body: (CallAttempt) throws -> Result
    ) throws -> Result? {
        let began = clock.now().monotonic
        let limit = min(policy.timeLimit, max(.zero, deadline - began))
        inside.withLock { $0.tally.attempts += 1 }
        do {
            let result = try body(CallAttempt(number: number, what: what, timeLimit: limit, stop: stop))
            report { machine.succeeded(&$0, now: clock.now()) }
            return result
        } catch let error as CallError {
            report { machine.failed(error, &$0, now: clock.now()) }
            guard let end = machine.end else { return nil }
            inside.withLock { $0.tally.failed += error.kind == .business ? 0 : 1 }
            throw end
        } catch {
            report { machine.failed(nil, &$0, now: clock.now()) }
            throw error
        }
    }

    /// The end of an attempt: the gate learns of it, and those who wait for room or for a probe.
    private func report(_ body: (inout PeerGate) -> Breaker.Transition?) {
        let stop = inside.withLock { inside in
            if let transition = body(&inside.gate) { inside.tally.transitions.append(transition) }
            inside.tally.ended += 1
            return inside.stop
        }
        stop.ring()
    }

    /// Applies `body` to every item in at most `policy.inFlight` threads; results are in the
    /// order of the items. Items that were not begun when the run was to stop fail with
    /// `CancellationNotice`.
    public func map<Item: Sendable, Value: Sendable>(
        _ items: [Item], _ body: @escaping @Sendable (Item) throws -> Value
    ) -> [Result<Value, any Error>] {
        let stop = inside.withLock { $0.stop }
        return parallelMap(items, width: policy.inFlight) { item in
            Result {
                try stop.check()
                return try body(item)
            }
        }
    }

    // MARK: Runs

    /// Takes over what earlier runs have left, and this run's cancel flag and deadline.
    func begin(_ state: PeerState?, stop: Stop, deadline: MonotonicInstant, seed: UInt64) {
        inside.withLock { inside in
            inside.gate.restore(state)
            inside.stop = stop
            inside.deadline = deadline
            inside.seed = seed
            inside.tally = PeerTally()
        }
    }

    func end() -> PeerState {
        inside.withLock { inside in
            inside.stop = Stop()
            inside.deadline = .distantFuture
            return inside.gate.state
        }
    }
}

/// What happened in a run.
public struct PeerTally: Hashable, Sendable {
    public var attempts = 0
    /// Calls without a result; refusals of the single request (business errors) are not counted.
    public var failed = 0
    /// Of the breaker, in their order.
    public var transitions: [Breaker.Transition] = []
    /// Attempts that have ended, whichever way.
    var ended = 0
}

/// One attempt of a call: how long it may take, and when to stop.
public struct CallAttempt: Sendable {
    /// From 1.
    public let number: Int
    /// For messages.
    public let what: String
    public let timeLimit: Duration
    let stop: Stop

    init(number: Int, what: String, timeLimit: Duration, stop: Stop) {
        self.number = number
        self.what = what
        self.timeLimit = timeLimit
        self.stop = stop
    }

    /// Without a peer: for tools and checks that call once.
    public init(_ what: String, timeLimit: Duration) {
        self.init(number: 1, what: what, timeLimit: timeLimit, stop: Stop())
    }
}
