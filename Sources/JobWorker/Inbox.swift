import CLinux
import Glibc
import JobCore
import Synchronization

/// What the supervisor asked for and the main thread has not done yet. Filled by the reader,
/// emptied by the main thread; cancellation passes by the queue.
final class Inbox: Sendable {
    enum Order: Sendable {
        case load(LoadRequest)
        case validate(requestID: UInt32, entry: String, settings: Bytes)
        case settings(SettingsFrame)
        case run(RunFrame)
        case diagnose(DiagnoseFrame)
        /// A run that was here and has been given back.
        case withdrawn
        /// A run that was sent ahead is to be given back: its instant is not what it was.
        case giveBack(RunID)
        case shutdown
    }

    private struct State {
        var orders: [Order] = []
        /// Orders before this index have been taken.
        var head = 0
        /// Not yet orders.
        var ahead = RunsAhead()
        /// Frames that ask for runs back, of those that the supervisor has announced on the slate.
        var callBacks: UInt64 = 0
        /// What the supervisor may begin here ends then; nil: the store is its alone.
        var lease: MonotonicInstant?
        var current: RunID?
        /// Before it began.
        var isDoctorCancelled = false
        var isShuttingDown = false
        /// What was withdrawn for it has been given back: the main thread may end the process.
        var mayEnd = false

        mutating func put(_ order: Order) -> [RunID] {
            var withdrawn: [RunID] = []
            if case .shutdown = order {
                isShuttingDown = true
                callBacks += 1
                withdrawn = orders[head...].compactMap(\.run)
                for run in withdrawn { _ = withdraw(run) }
                withdrawn += ahead.removeAll()
            }
            if case .shutdown = order {
                // Not an order yet: `endIfAsked` makes it one.
            } else if isShuttingDown, let run = order.run {
                withdrawn.append(run)
            } else if case .run(let frame) = order, frame.notBefore != nil {
                ahead.add(frame, now: Clocks.now())
            } else {
                orders.append(order)
            }
            return withdrawn
        }

        mutating func withdraw(_ run: RunID) -> Bool {
            guard let place = orders[head...].firstIndex(where: { $0.named == run }) else { return ahead.remove(run) }
            orders[place] = .withdrawn
            return true
        }

        /// The supervisor has announced more than has been heard.
        func isCalledBack(_ announced: UInt64?) -> Bool { announced.map { $0 > callBacks } ?? false }

        /// A machine that slept past its lease wakes here before its supervisor: others may have these runs by now.
        var hasLapsed: Bool { lease.map { $0 <= Clocks.monotonic() } ?? false }

        /// Those whose instant has come wait behind what came before it. Not while something is on its way here that may
        /// ask for them back: then the supervisor, who has written it, may believe that they do not begin.
        mutating func promote(announced: UInt64?) {
            guard let next = ahead.next else { return }
            let now = Clocks.now()
            guard next <= now.monotonic, !isCalledBack(announced), !hasLapsed else { return }
            for verdict in ahead.due(now: now) {
                switch verdict {
                case .begin(let frame): orders.append(.run(frame))
                case .giveBack(let run): orders.append(.giveBack(run))
                }
            }
        }
    }

    private let state = Mutex(State())
    private let callBacks: CallBacks
    private let filled: Semaphore
    private let cancelFlag = Atomic<Bool>(false)
    /// Readable while the current run is cancelled.
    let cancelDescriptor: Int32

    init?(_ slate: Slate) {
        callBacks = slate.callBacks
        guard let semaphore = Semaphore() else { return nil }
        filled = semaphore
        let high = clw_event_above(Channel.lowestDescriptor)
        // Without a descriptor the flag alone has to do: the plugin hears so from cancel_fd.
        cancelDescriptor = high >= 0 ? high : clw_event_above(32)
    }

    /// Whether the current run is to stop. Any thread.
    var isCancelled: Bool { cancelFlag.load(ordering: .acquiring) }

    // MARK: the reader's side

    /// What came together, so that the main thread sees all of it when it sees some.
    /// - Returns: runs that are not to be started for it, which the caller gives back.
    func put(_ orders: [Order]) -> [RunID] {
        let withdrawn = state.withLock { state in orders.flatMap { state.put($0) } }
        filled.signal()
        return withdrawn
    }

    /// What a shutdown has withdrawn is given back: the main thread, which ends the process, hears of it now.
    func endIfAsked() {
        let ends = state.withLock { state in
            guard state.isShuttingDown, !state.mayEnd else { return false }
            state.mayEnd = true
            state.orders.append(.shutdown)
            return true
        }
        if ends { filled.signal() }
    }

    /// true: it had not started and is not going to; the caller gives it back. It is not left
    /// to the main thread, which may be in a run for as long as that lasts.
    func cancel(_ run: RunID) -> Bool {
        defer { filled.signal() }
        return state.withLock { state in
            state.callBacks += 1
            if state.current == run {
                raiseCancelFlag()
                return false
            }
            if run == .none { state.isDoctorCancelled = true }
            return state.withdraw(run)
        }
    }

    /// As `cancel`, for a run that has not started; one that has is left alone.
    func recall(_ run: RunID) -> Bool {
        defer { filled.signal() }
        return state.withLock { state in
            state.callBacks += 1
            return state.withdraw(run)
        }
    }

    func holdLease(until end: MonotonicInstant) {
        state.withLock { $0.lease = end }
        filled.signal()
    }

    /// The main thread has nothing to do now.
    var isIdle: Bool {
        state.withLock { state in
            state.current == nil && state.orders.isEmpty && state.ahead.next.map { $0 > Clocks.monotonic() } ?? true
        }
    }

    /// Whether several runs wait that may begin.
    var isCrowded: Bool { state.withLock { $0.orders[$0.head...].lazy.filter { $0.run != nil }.dropFirst().first != nil } }

    private func raiseCancelFlag() {
        cancelFlag.store(true, ordering: .releasing)
        var one: UInt64 = 1
        if cancelDescriptor >= 0 { _ = write(cancelDescriptor, &one, MemoryLayout<UInt64>.size) }
    }

    // MARK: the main thread's side

    /// Waits for the next order. A run it returns is the current one from then on: a
    /// cancellation that comes before `run` is called is not lost.
    func next() -> Order {
        while true {
            if let order = nextIfThere() { return order }
            // Something came, or has been taken already; or it is time; or the reader has heard what was announced, or of
            // another lease.
            let (instant, isHeldUp) = state.withLock { ($0.ahead.next, $0.isCalledBack(callBacks.announced) || $0.hasLapsed) }
            guard let instant else {
                filled.wait()
                continue
            }
            let left = instant - Clocks.monotonic()
            if left > .zero { filled.wait(for: left) } else if isHeldUp { filled.wait() }
        }
    }

    func runEnded() {
        state.withLock { $0.current = nil }
    }

    /// The next order if there is one already.
    func nextIfThere() -> Order? {
        state.withLock { state in
            state.promote(announced: callBacks.announced)
            guard state.head < state.orders.count else { return nil }
            let order = state.orders[state.head]
            state.head += 1
            if state.head == state.orders.count {
                state.orders.removeAll(keepingCapacity: true)
                state.head = 0
            } else if state.head >= 256, state.head * 2 >= state.orders.count {
                state.orders.removeSubrange(..<state.head)
                state.head = 0
            }
            if case .diagnose = order {
                state.current = RunID.none
                lowerCancelFlag()
                // Asked all the same: it says that there was no time.
                if state.isDoctorCancelled { raiseCancelFlag() }
                state.isDoctorCancelled = false
            }
            guard case .run(let frame) = order else { return order }
            state.current = frame.run
            lowerCancelFlag()
            return order
        }
    }

    private func lowerCancelFlag() {
        guard cancelFlag.exchange(false, ordering: .acquiringAndReleasing), cancelDescriptor >= 0 else { return }
        var count: UInt64 = 0
        _ = read(cancelDescriptor, &count, MemoryLayout<UInt64>.size)
    }
}

extension Inbox.Order {
    fileprivate var run: RunID? {
        if case .run(let frame) = self { frame.run } else { nil }
    }
    /// The run that it begins, or gives back.
    fileprivate var named: RunID? {
        if case .giveBack(let run) = self { run } else { run }
    }
    fileprivate var notBefore: MonotonicInstant? {
        if case .run(let frame) = self { frame.notBefore?.monotonic } else { nil }
    }
}

/// A counting semaphore, unnamed, of this process. It says that something has come, not how much.
private struct Semaphore: @unchecked Sendable {
    // Never freed: the inbox lives as long as the process.
    private let raw: UnsafeMutablePointer<sem_t>

    init?() {
        raw = .allocate(capacity: 1)
        raw.initialize(to: sem_t())
        guard sem_init(raw, 0, 0) == 0 else { return nil }
    }
    func signal() { sem_post(raw) }
    func wait() { while sem_wait(raw) != 0 {} }
    /// Or until the time is over, or a signal has come.
    func wait(for time: Duration) { _ = clw_wait_for(raw, time.microseconds) }
}

/// The thread that always reads.
enum Reader {
    /// false: no thread to be had.
    static func start(_ channel: Channel, _ inbox: Inbox, _ output: Output) -> Bool {
        let context = Unmanaged.passRetained(Context(channel: channel, inbox: inbox, output: output)).toOpaque()
        // Signals are for the plugin's threads; this one takes none.
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 512 << 10)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        return pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Context>.fromOpaque(argument).takeRetainedValue().listen()
            }, context) == 0
    }

    private final class Context: Sendable {
        let channel: Channel
        let inbox: Inbox
        let output: Output
        init(channel: Channel, inbox: Inbox, output: Output) {
            self.channel = channel
            self.inbox = inbox
            self.output = output
        }

        func listen() -> Never {
            // Once and for all: noticing the supervisor's end must not need memory.
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
            var decoder = FrameDecoder<HostFrame>()
            var lease: MonotonicInstant?
            var tending: Tending?
            var appointments = Appointments()
            while true {
                if appointments.keep() || inbox.isCrowded { begin(&tending) }
                output.willLook(at: appointments.next)
                while let looks = tending?.quietLooks, !channel.isReadable(within: .milliseconds(1), lease: lease) {
                    if output.tend() {
                        tending?.quietLooks = 0
                    } else if inbox.isIdle || looks >= Tending.mostQuietLooks, output.endTending() {
                        tending = nil
                    } else {
                        tending?.quietLooks += 1
                    }
                }
                if tending == nil, let next = appointments.next,
                    !channel.isReadable(within: next - Clocks.monotonic(), lease: lease)
                {
                    continue
                }
                let count = channel.receive(into: buffer, lease: lease)
                decoder.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                var orders: [Inbox.Order] = []
                do throws(WireError) {
                    while let frame = try decoder.next() {
                        if let order = frame.order {
                            orders.append(order)
                            continue
                        }
                        hand(&orders, &tending, &appointments)
                        if case .lease(let until) = frame {
                            lease = until
                            inbox.holdLease(until: until)
                        } else {
                            obey(frame, &tending)
                        }
                    }
                } catch {
                    if case .wireVersion(let host) = error {
                        channel.send(FrameEncoder.mismatch(host: host))
                        quit(.refused)
                    }
                    quit(.protocolError)
                }
                hand(&orders, &tending, &appointments)
            }
        }

        /// When runs that were sent ahead will have begun, of which nobody else tells in time.
        private struct Appointments {
            /// After the instant: a short run has ended by then, and told of itself, also where many workers have the same
            /// instant. Sooner, their readers would take the processors from what the others are to begin.
            static let delay = Duration.milliseconds(5)
            private var instants: [MonotonicInstant] = []

            var next: MonotonicInstant? { instants.first }

            mutating func make(for instant: MonotonicInstant) {
                let look = instant + Self.delay
                var place = instants.endIndex
                while place > 0, instants[place - 1] > look { place -= 1 }
                if place > 0, instants[place - 1] == look { return }
                instants.insert(look, at: place)
            }

            /// true: one was due.
            mutating func keep() -> Bool {
                guard let first = instants.first else { return false }
                let now = Clocks.monotonic()
                guard first <= now else { return false }
                instants.removeFirst(instants.prefix { $0 <= now }.count)
                return true
            }
        }

        private struct Tending {
            /// The main thread may not have had a processor at some; more of them: a run lasts.
            static let mostQuietLooks = 8
            var quietLooks = 0
        }

        private func begin(_ tending: inout Tending?) {
            output.beginTending()
            tending = Tending()
        }

        /// Leaves them to the main thread.
        private func hand(_ orders: inout [Inbox.Order], _ tending: inout Tending?, _ appointments: inout Appointments) {
            guard !orders.isEmpty else { return }
            // Before the first of them is taken.
            if orders.lazy.filter({ $0.run != nil && $0.notBefore == nil }).dropFirst().first != nil { begin(&tending) }
            for instant in orders.lazy.compactMap(\.notBefore) { appointments.make(for: instant) }
            output.willLook(at: appointments.next)
            giveBack(inbox.put(orders), &tending)
            inbox.endIfAsked()
            orders.removeAll(keepingCapacity: true)
        }

        /// What the main thread is passed by for.
        private func obey(_ frame: HostFrame, _ tending: inout Tending?) {
            switch frame {
            case .cancel(let run): if inbox.cancel(run) { giveBack([run], &tending) }
            case .recall(let run): if inbox.recall(run) { giveBack([run], &tending) }
            default: break
            }
        }

        private func giveBack(_ runs: [RunID], _ tending: inout Tending?) {
            if !runs.isEmpty, !output.giveBack(runs) { begin(&tending) }
        }
    }
}

extension HostFrame {
    /// For the main thread; nil: it is the reader's.
    fileprivate var order: Inbox.Order? {
        switch self {
        case .load(let request): .load(request)
        case .validate(let requestID, let entry, let settings): .validate(requestID: requestID, entry: entry, settings: settings)
        case .settings(let frame): .settings(frame)
        case .run(let frame): .run(frame)
        case .diagnose(let frame): .diagnose(frame)
        case .shutdown: .shutdown
        case .cancel, .recall, .lease: nil
        }
    }
}
