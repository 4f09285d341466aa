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
        /// A run that is not to be started any more.
        case giveBack(RunID)
        case shutdown
    }

    private struct State {
        var orders: [Order] = []
        /// Orders before this index have been taken.
        var head = 0
        var current: RunID?
        var cancelledInQueue: Set<RunID> = []
        var isShuttingDown = false
    }

    private let state = Mutex(State())
    private let filled: Semaphore
    private let cancelFlag = Atomic<Bool>(false)
    /// Readable while the current run is cancelled.
    let cancelDescriptor: Int32

    init?() {
        guard let semaphore = Semaphore() else { return nil }
        filled = semaphore
        let high = clw_event_above(Channel.lowestDescriptor)
        // Without a descriptor the flag alone has to do: the plugin hears so from cancel_fd.
        cancelDescriptor = high >= 0 ? high : clw_event_above(32)
    }

    /// Whether the current run is to stop. Any thread.
    var isCancelled: Bool { cancelFlag.load(ordering: .acquiring) }

    // MARK: the reader's side

    func put(_ order: Order) {
        state.withLock { state in
            if case .shutdown = order { state.isShuttingDown = true }
            state.orders.append(order)
        }
        filled.signal()
    }

    func cancel(_ run: RunID) {
        state.withLock { state in
            if state.current == run {
                raiseCancelFlag()
            } else if state.orders[state.head...].contains(where: { $0.isRun(run) }) {
                state.cancelledInQueue.insert(run)
            }
        }
    }

    private func raiseCancelFlag() {
        cancelFlag.store(true, ordering: .releasing)
        var one: UInt64 = 1
        if cancelDescriptor >= 0 { _ = write(cancelDescriptor, &one, MemoryLayout<UInt64>.size) }
    }

    // MARK: the main thread's side

    /// Waits for the next order. A run it returns is the current one from then on: a
    /// cancellation that comes before `run` is called is not lost.
    func next() -> Order {
        filled.wait()
        return take()
    }

    /// The next order if there is one already.
    func nextIfThere() -> Order? {
        filled.tryWait() ? take() : nil
    }

    func runEnded() {
        state.withLock { $0.current = nil }
    }

    private func take() -> Order {
        state.withLock { state in
            let order = state.orders[state.head]
            state.head += 1
            if state.head == state.orders.count {
                state.orders.removeAll(keepingCapacity: true)
                state.head = 0
            } else if state.head >= 256 {
                state.orders.removeSubrange(..<state.head)
                state.head = 0
            }
            if case .diagnose = order {
                state.current = RunID.none
                lowerCancelFlag()
                // Asked all the same: it says that there was no time.
                if state.cancelledInQueue.remove(.none) != nil { raiseCancelFlag() }
            }
            guard case .run(let frame) = order else { return order }
            if state.cancelledInQueue.remove(frame.run) != nil || state.isShuttingDown {
                return .giveBack(frame.run)
            }
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
    fileprivate func isRun(_ id: RunID) -> Bool {
        switch self {
        case .run(let frame): frame.run == id
        case .diagnose: id == .none
        default: false
        }
    }
}

/// A counting semaphore, unnamed, of this process.
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
    func tryWait() -> Bool { sem_trywait(raw) == 0 }
}

/// The thread that always reads.
enum Reader {
    /// false: no thread to be had.
    static func start(_ channel: Channel, _ inbox: Inbox) -> Bool {
        let context = Unmanaged.passRetained(Context(channel: channel, inbox: inbox)).toOpaque()
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
        init(channel: Channel, inbox: Inbox) {
            self.channel = channel
            self.inbox = inbox
        }

        func listen() -> Never {
            // Once and for all: noticing the supervisor's end must not need memory.
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
            var decoder = FrameDecoder<HostFrame>()
            while true {
                let count = channel.receive(into: buffer)
                decoder.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                do throws(WireError) {
                    while let frame = try decoder.next() { hand(frame) }
                } catch {
                    quit(.protocolError)
                }
            }
        }

        private func hand(_ frame: HostFrame) {
            switch frame {
            case .load(let request): inbox.put(.load(request))
            case .validate(let requestID, let entry, let settings):
                inbox.put(.validate(requestID: requestID, entry: entry, settings: settings))
            case .settings(let frame): inbox.put(.settings(frame))
            case .run(let frame): inbox.put(.run(frame))
            case .diagnose(let frame): inbox.put(.diagnose(frame))
            case .cancel(let run): inbox.cancel(run)
            case .shutdown: inbox.put(.shutdown)
            }
        }
    }
}
