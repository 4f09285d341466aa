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

    init(outlet: EventOutlet, clock: any TimeSource) {
        self.outlet = outlet
        self.clock = clock
        metrics = HostMetrics()
        state = Mutex(State(ring: EventRing(epoch: String(clock.now().wall.microseconds, radix: 36))))
    }

    func tell(_ body: @escaping @Sendable ([HostEvent]) -> Void) { also.withLock { $0.append(body) } }

    /// Once.
    func start() {
        let pump = Task { [self] in
            for await _ in outlet.rings {
                drain()
                try? await Self.loop.scheduleTask(in: Self.pause) {}.futureResult.get()
            }
        }
        let pulse = Self.loop.scheduleRepeatedTask(initialDelay: Self.pulse, delay: Self.pulse) { [weak self] _ in
            self?.wake(.pulse)
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
        for event in events { metrics.observe(event) }
        for body in also.withLock({ $0 }) { body(events) }
        guard !passOver(events, dropped) else { return }
        let encoded = events.compactMap(API.encode)
        state.withLock { state in
            for event in encoded { state.ring.append(event.kind, job: event.job, data: event.data) }
            state.dropped &+= dropped
            // A gap: everybody reads the state anew.
            if dropped > 0 { state.ring.append(.reset, job: nil, data: Array(#"{"reason":"\#(dropped) events came too fast"}"#.utf8)) }
        }
        if !encoded.isEmpty || dropped > 0 { wake(.events) }
    }

    /// Encoding each run costs more than all else that is done for it here. So that is only done while somebody
    /// listens, or may come back; true: nobody does.
    private func passOver(_ events: [HostEvent], _ dropped: UInt64) -> Bool {
        let now = clock.now().monotonic
        return state.withLock { state in
            guard state.listeners.isEmpty, state.leftAt.map({ now - $0 > Self.patience }) ?? true else { return false }
            if dropped > 0 || events.contains(where: \.isStreamed) { state.ring.passOver() }
            state.dropped &+= dropped
            return true
        }
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
        /// What the stream begins with.
        let greeting: [UInt8]
        let begins: Int64
        private let leave: @Sendable () -> Void
        fileprivate init(wakes: AsyncStream<Wake>, greeting: [UInt8], begins: Int64, leave: @escaping @Sendable () -> Void) {
            self.wakes = wakes
            self.greeting = greeting
            self.begins = begins
            self.leave = leave
        }
        deinit { leave() }
    }

    /// nil: there are as many as there may be.
    func listen(lastID: String?) -> Listener? {
        let (wakes, bell) = AsyncStream.makeStream(of: Wake.self, bufferingPolicy: .bufferingNewest(1))
        return state.withLock { state -> Listener? in
            guard state.listeners.count < Self.mostListeners else { return nil }
            let key = state.nextListener
            state.nextListener += 1
            state.listeners[key] = bell
            var text = "retry: 2000\n"
            var begins = state.ring.last
            switch state.ring.position(of: lastID) {
            case .after(let number):
                begins = number
                text += "id: \(state.ring.id(number))\nevent: hello\ndata: {\"resumed\":\(lastID?.isEmpty == false)}\n\n"
            case .lost:
                text += "id: \(state.ring.id(begins))\nevent: reset\ndata: "
                text += "{\"reason\":\"what came after that id is not kept any more; read the state anew\"}\n\n"
            }
            bell.yield(.events)
            return Listener(wakes: wakes, greeting: Array(text.utf8), begins: begins) { [weak self] in
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

    /// nil: the listener was too slow and part of it is gone.
    func read(after number: Int64, kinds: Set<API.EventKind>, job: String?) -> (bytes: [UInt8], upTo: Int64)? {
        state.withLock { state in
            let found = state.ring.read(after: number, kinds: kinds, job: job)
            if found == nil { state.slowDropped &+= 1 }
            return found
        }
    }
}
