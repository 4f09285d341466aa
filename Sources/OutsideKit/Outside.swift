import JobCore
import JobKit

/// The memory of an entry's peers, in the run's state: an open breaker, a used-up rate, a peer
/// that asked to be left alone are the same for the next run, whichever worker executes it.
public struct OutsideState: Codable, Hashable, Sendable {
    var peers: [String: PeerState]
    public init() { peers = [:] }

    public init(from decoder: any Decoder) throws {
        peers = try decoder.singleValueContainer().decode([String: PeerState].self)
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(peers)
    }
}

/// All peers of an entry, for one run at a time.
///
/// ```swift
/// return try outside.run(context) { try work(context) }
/// ```
public final class Outside: Sendable {
    public let peers: [Peer]
    private let clock: any TimeSource
    /// Calls end this long before the run is asked to stop, so that it can say what it did.
    static let reserve = Duration.milliseconds(500)

    public convenience init(_ peers: [Peer]) { self.init(peers, clock: SystemTime()) }
    init(_ peers: [Peer], clock: any TimeSource) {
        self.peers = peers
        self.clock = clock
    }

    /// For entries that keep no other state: restores the peers, and saves them whatever the
    /// outcome of `body`. The entry needs `stateVersion: 1` or more.
    public func run<Result>(_ context: RunContext, _ body: () throws -> Result) throws -> Result {
        var state = (try? context.state(as: OutsideState.self)) ?? OutsideState()
        let result = Swift.Result { try run(context, &state, body) }
        try context.putState(state, when: .always)
        return try result.get()
    }

    /// For entries with more to remember: `state` is a part of theirs. They save it themselves,
    /// with `when: .always`.
    public func run<Result>(_ context: RunContext, _ state: inout OutsideState, _ body: () throws -> Result) throws -> Result {
        let stop = Stop(context)
        let now = clock.now().monotonic
        let deadline = context.remaining.map { now + max(.zero, $0 - Self.reserve) } ?? .distantFuture
        for (index, peer) in peers.enumerated() {
            // Of the run: runs that failed together do not come back together.
            let run = UInt64(bitPattern: context.runID) &* 0x9E37_79B9_7F4A_7C15
            let seed = run &+ UInt64(context.attempt) << 32 &+ UInt64(index) << 48
            peer.begin(state.peers[peer.name], stop: stop, deadline: deadline, seed: seed)
        }
        defer { for peer in peers { state.peers[peer.name] = peer.end() } }
        return try body()
    }
}
