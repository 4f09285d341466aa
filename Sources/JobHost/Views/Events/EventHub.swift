import JobCore
import JobJSON
import NIOCore
import NIOPosix
import Synchronization

/// Takes what the host's loop leaves, and serves it: as a stream to whoever listens, to the
/// metrics, and to the alerts. All of it off the loop.
final class EventHub: Sendable {
    /// Streams at a time.
    static let mostListeners = 256
    static let contentType = "text/event-stream"
    /// Events are taken together this often at the most, so that a burst costs one waking each.
    private static let pause = TimeAmount.milliseconds(50)
    /// A silent stream says that it lives.
    private static let pulse = TimeAmount.seconds(15)
    /// How long after the last listener left events are kept for one who comes back.
    static let patience = Duration.seconds(60)

    private struct State {
        var ring: EventRing
        var listeners: [Int: AsyncStream<Wake>.Continuation] = [:]
        var nextListener = 0
        /// When the last listener left; nil: there was none yet.
        var leftAt: MonotonicInstant?
        var dropped: UInt64 = 0
        var slowDropped: UInt64 = 0
        var pump: Task<Void, Never>?
        var pulse: RepeatedTask?
    }

    enum Wake: Sendable { case events, pulse }

    private let state: Mutex<State>
    private let outlet: EventOutlet
    private let clock: any TimeSource
    let metrics: HostMetrics
    /// Hears of everything too. Set before `start`.
    private let also: Mutex<[@Sendable ([HostEvent]) -> Void]> = Mutex([])

    private let pulsing: Mutex<@Sendable () async -> Void> = Mutex({})

    init(outlet: EventOutlet, clock: any TimeSource) {
        self.outlet = outlet
        self.clock = clock
        metrics = HostMetrics()
        let now = clock.now().wall
        state = Mutex(State(ring: EventRing(epoch: String(now.microseconds, radix: 36), settled: now - .microseconds(1))))
    }

    func tell(_ body: @escaping @Sendable ([HostEvent]) -> Void) { also.withLock { $0.append(body) } }

    /// Now and then. Set before `start`.
    func onPulse(_ body: @escaping @Sendable () async -> Void) { pulsing.withLock { $0 = body } }

    /// Once.
    func start() {
        let pump = Task { [self] in
            for await _ in outlet.rings {
                drain()
                try? await Self.loop.scheduleTask(in: Self.pause) {}.futureResult.get()
            }
        }
        let pulse = Self.loop.scheduleRepeatedTask(initialDelay: Self.pulse, delay: Self.pulse) { [weak self] _ in
            guard let self else { return }
            wake(.pulse)
            let body = pulsing.withLock { $0 }
            Task { await body() }
        }
        state.withLock { state in
            state.pump = pump
            state.pulse = pulse
        }
    }

    /// Ends every stream; each client knows where it was.
    func stop() {
        outlet.close()
        let (pump, pulse) = state.withLock { ($0.pump, $0.pulse) }
        pump?.cancel()
        pulse?.cancel()
        endStreams()
    }

    /// As after a change of tokens: whoever may still read comes back by itself.
    func endStreams() {
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.finish() }
    }

    private static var loop: any NIOCore.EventLoop { MultiThreadedEventLoopGroup.singleton.any() }

    func drain() {
        let (events, dropped) = outlet.take()
        metrics.observe(events)
        for body in also.withLock({ $0 }) { body(events) }
        guard !passOver(events, dropped) else { return }
        var encoded: [Streamed] = []
        for event in events {
            if case .settled(let instant) = event {
                encoded.append(.settled(instant))
            } else if let event = API.encode(event) {
                encoded.append(.event(event.kind, job: event.job, data: event.data))
            }
        }
        // A gap: everybody reads the state anew.
        if dropped > 0 {
            encoded.append(.event(.reset, job: nil, data: Array(#"{"reason":"\#(dropped) events came too fast"}"#.utf8)))
        }
        state.withLock { state in
            state.ring.append(encoded)
            state.dropped &+= dropped
        }
        if encoded.contains(where: \.isEvent) { wake(.events) }
    }

    /// Encoding each run costs more than all else that is done for it here. So that is only done while somebody
    /// listens, or may come back; true: nobody does.
    private func passOver(_ events: [HostEvent], _ dropped: UInt64) -> Bool {
        let now = clock.now().monotonic
        return state.withLock { state in
            guard !Self.isHeard(state, now) else { return false }
            if dropped > 0 || events.contains(where: \.isStreamed) { state.ring.passOver() }
            for case .settled(let instant) in events { state.ring.settle(instant) }
            state.dropped &+= dropped
            return true
        }
    }

    // MARK: Outboxes

    /// Somebody listens, or may come back.
    var isHeard: Bool {
        let now = clock.now().monotonic
        return state.withLock { Self.isHeard($0, now) }
    }

    /// What an outbox has, and how far that goes. `isGap`: there may be more that nobody is ever told of.
    func tell(outbox name: String, _ events: [[UInt8]], upTo place: OutboxPlace, isGap: Bool = false) {
        guard !pass(outbox: name, upTo: place) else { return }
        var told: [Streamed] = events.map { .event(.outbox, job: nil, data: $0) }
        if isGap {
            told.append(.event(.reset, job: nil, data: Array(#"{"reason":"rows of the outbox \#(name) may be missing; read it anew"}"#.utf8)))
        }
        state.withLock { $0.ring.append(told + [.outbox(name, place)]) }
        if !told.isEmpty { wake(.events) }
    }

    /// Up to there an outbox has nothing for anybody. false: somebody listens, or may come back, and is to be told.
    func pass(outbox name: String, upTo place: OutboxPlace) -> Bool {
        let now = clock.now().monotonic
        return state.withLock { state in
            guard !Self.isHeard(state, now) else { return false }
            // Whoever comes back with an earlier id reads it there.
            if let before = state.ring.outboxes[name], before.high < place.high { state.ring.passOver() }
            state.ring.settle(outbox: name, place)
            return true
        }
    }

    func forgetOutbox(_ name: String) { state.withLock { $0.ring.settle(outbox: name, nil) } }

    private static func isHeard(_ state: State, _ now: MonotonicInstant) -> Bool {
        !state.listeners.isEmpty || state.leftAt.map { now - $0 <= Self.patience } ?? false
    }

    private func wake(_ wake: Wake) {
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.yield(wake) }
    }

    var figures: (listeners: Int, dropped: UInt64, slow: UInt64) {
        state.withLock { ($0.listeners.count, $0.dropped, $0.slowDropped) }
    }

    // MARK: Listeners

    /// One stream. It leaves when nobody holds it any more.
    final class Listener: Sendable {
        let wakes: AsyncStream<Wake>
        let start: Start
        private let leave: @Sendable () -> Void
        fileprivate init(wakes: AsyncStream<Wake>, start: Start, leave: @escaping @Sendable () -> Void) {
            self.wakes = wakes
            self.start = start
            self.leave = leave
        }
        deinit { leave() }
    }

    /// Where a stream begins.
    struct Start: Sendable {
        enum Way: Sendable, Equatable {
            /// From now on, or after the listener's last id.
            case here(resumes: Bool)
            /// First with what the store has since that instant, and outboxes above these numbers.
            case kept(since: Instant, seen: [String: Int64])
            /// With a gap.
            case lost
        }
        var way: Way
        /// What follows this number is read from the ring.
        var after: Int64
        /// Whoever has been told everything up to there goes on from here.
        var id: String
        /// The highest number of each outbox that was told by then.
        var told: [String: Int64] = [:]
    }

    /// nil: there are as many as there may be.
    func listen(lastID: String?) -> Listener? {
        let (wakes, bell) = AsyncStream.makeStream(of: Wake.self, bufferingPolicy: .bufferingNewest(1))
        return state.withLock { state -> Listener? in
            guard state.listeners.count < Self.mostListeners else { return nil }
            let key = state.nextListener
            state.nextListener += 1
            state.listeners[key] = bell
            let (newest, newestID) = (state.ring.last, state.ring.newestID)
            let start: Start =
                switch state.ring.position(of: lastID) {
                case .after(let number):
                    if let lastID, !lastID.isEmpty {
                        Start(way: .here(resumes: true), after: number, id: lastID)
                    } else {
                        Start(way: .here(resumes: false), after: newest, id: newestID)
                    }
                case .kept(let since, let seen):
                    Start(
                        way: .kept(since: since, seen: seen), after: newest, id: newestID, told: state.ring.outboxes.mapValues(\.high))
                case .lost: Start(way: .lost, after: newest, id: newestID)
                }
            bell.yield(.events)
            return Listener(wakes: wakes, start: start) { [weak self] in
                bell.finish()
                self?.leave(key)
            }
        }
    }

    private func leave(_ key: Int) {
        let now = clock.now().monotonic
        state.withLock { state in
            state.listeners[key] = nil
            if state.listeners.isEmpty { state.leftAt = now }
        }
    }

    /// The id of a listener who has been told everything up to `number`, if that is everything there is.
    func id(after number: Int64) -> String? {
        state.withLock { $0.ring.last == number ? $0.ring.newestID : nil }
    }

    /// Whether everything after `number` can still be read.
    func holds(after number: Int64) -> Bool { state.withLock { $0.ring.holds(after: number) } }

    /// nil: the listener was too slow and part of it is gone.
    func read(after number: Int64, kinds: Set<API.EventKind>, job: String?) -> (bytes: [UInt8], upTo: Int64)? {
        state.withLock { state in
            let found = state.ring.read(after: number, kinds: kinds, job: job)
            if found == nil { state.slowDropped &+= 1 }
            return found
        }
    }

    /// A stream was cut since its client took nothing for too long.
    func streamCut() { state.withLock { $0.slowDropped &+= 1 } }
}
