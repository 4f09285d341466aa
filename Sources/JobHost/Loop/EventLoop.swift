import CLinux
import Glibc
import JobCore
import Synchronization

/// The one loop that acts: an epoll loop on a thread of its own, which is also a serial
/// executor, so that an actor can live on it and every handler may enter that actor with
/// `assumeIsolated`.
///
/// Each turn does a bounded amount of work of each kind (posted work, due timers, ready
/// descriptors), so that a flood of one kind starves no other.
public final class EventLoop: SerialExecutor, @unchecked Sendable {
    /// What a descriptor is watched for, and what was seen.
    public struct IOEvents: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = IOEvents(rawValue: CL_READABLE)
        public static let writable = IOEvents(rawValue: CL_WRITABLE)
        /// Error or hangup; reported whether asked for or not.
        public static let hangup = IOEvents(rawValue: CL_HANGUP)
    }
    public struct WatchToken: Hashable, Sendable { fileprivate var id: UInt64 }
    public struct TimerToken: Hashable, Sendable {
        fileprivate var id: UInt64
        fileprivate var wall: Bool
    }

    /// Most posted pieces of work, and most timers, in one turn.
    static let workPerTurn = 256

    private enum Mail {
        case work(@Sendable () -> Void)
        case job(UnownedJob)
    }
    private struct Mailbox {
        var mail: [Mail] = []
        /// The loop is in (or about to enter) epoll_wait and must be woken by the eventfd.
        var asleep = false
        var stopping = false
    }
    private struct Watch {
        var fd: Int32
        var events: IOEvents
        var handler: (IOEvents) -> Void
    }

    private let mailbox = Mutex(Mailbox())
    private let loopThread = Atomic<UInt>(0)
    private let handle = Mutex<pthread_t?>(nil)
    private let clock: any TimeSource

    // Confined to the loop's thread (or to the one thread there is, before `start`).
    private let epoll: Int32
    private let wake: Int32
    private let monotonicTimer: Int32
    private let wallTimer: Int32
    private var backlog: [Mail] = []
    private var backlogIndex = 0
    private var watches: [UInt64: Watch] = [:]
    private var timers = TimerQueue<() -> Void>()
    private var wallTimers = TimerQueue<() -> Void>()
    private var armedMonotonic = Int64.max
    private var armedWall: Int64?
    /// Heard of on the way into the sleep, which does not come then.
    private var clockWasSet = false
    /// The system's calls, for tests that have them refuse.
    struct SystemCalls {
        var add: (_ epoll: Int32, _ fd: Int32, _ events: UInt32, _ token: UInt64) -> Int32 = cl_epoll_add
        var arm: (_ timer: Int32, _ wall: Bool, _ microseconds: Int64) -> Int32 = cl_timerfd_arm
    }
    var system = SystemCalls()
    private var nextID: UInt64 = 16
    private var name = "loop"
    /// A place to read into, for handlers; what is in it is theirs until they return.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    private static let wakeID: UInt64 = 1
    private static let monotonicID: UInt64 = 2
    private static let wallID: UInt64 = 3

    /// Called on the loop when the wall clock has been set, by hand or by a step of the time
    /// service. Set it on the loop, or before `start`.
    public var onClockSet: (() -> Void)?

    public init(clock: any TimeSource = SystemClock()) throws(HostFault) {
        self.clock = clock
        epoll = try checked(cl_epoll_create(), "create the event loop")
        wake = try checked(cl_eventfd(), "create the event loop's eventfd")
        monotonicTimer = try checked(cl_timerfd_create(false), "create the event loop's timer")
        wallTimer = try checked(cl_timerfd_create(true), "create the event loop's wall timer")
        for (fd, id) in [(wake, Self.wakeID), (monotonicTimer, Self.monotonicID), (wallTimer, Self.wallID)] {
            _ = try checked(cl_epoll_add(epoll, fd, CL_READABLE, id), "watch the event loop's own descriptors")
        }
    }

    deinit {
        for fd in [epoll, wake, monotonicTimer, wallTimer] { close(fd) }
        scratch.deallocate()
    }

    // MARK: Life

    /// Starts the loop's thread. Once. `name` is what tools such as top show, 15 bytes.
    public func start(name: String = "loop") throws(HostFault) {
        self.name = name
        let keep = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let problem = pthread_create(&thread, nil, { argument in
            let loop = Unmanaged<EventLoop>.fromOpaque(argument!).takeRetainedValue()
            loop.run()
            return nil
        }, keep.toOpaque())
        if problem != 0 {
            keep.release()
            throw HostFault("start the event loop's thread", code: problem)
        }
        handle.withLock { $0 = thread }
    }

    /// Ends the loop after the work that is posted by now. From any thread. Work posted later
    /// never runs: stop what posts first.
    public func stop() {
        let wakes = mailbox.withLock { box in
            box.stopping = true
            defer { box.asleep = false }
            return box.asleep
        }
        if wakes { _ = cl_eventfd_signal(wake) }
    }

    /// Waits until the loop's thread has ended. Not from the loop.
    public func join() {
        let thread = handle.withLock { handle in
            defer { handle = nil }
            return handle
        }
        if let thread { pthread_join(thread, nil) }
    }

    public var isOnLoop: Bool { loopThread.load(ordering: .relaxed) == UInt(pthread_self()) }

    // MARK: From any thread

    /// Runs `work` on the loop, in the order of posting. Costs a system call only when the
    /// loop sleeps.
    public func post(_ work: @escaping @Sendable () -> Void) { deliver(.work(work)) }

    public func enqueue(_ job: consuming ExecutorJob) { deliver(.job(UnownedJob(job))) }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    public func checkIsolated() { precondition(isOnLoop, "only on the event loop's thread") }
    public func isIsolatingCurrentContext() -> Bool? { isOnLoop }

    private func deliver(_ mail: Mail) {
        let wakes = mailbox.withLock { box in
            box.mail.append(mail)
            defer { box.asleep = false }
            return box.asleep
        }
        if wakes { _ = cl_eventfd_signal(wake) }
    }

    // MARK: On the loop

    public func now() -> Now { clock.now() }

    /// Calls `handler` while `fd` is ready (level-triggered). The handler should do a bounded
    /// amount of work; what is left brings it back after the others had their turn. The
    /// descriptor stays the caller's: `unwatch` before closing it.
    public func watch(
        fd: Int32, events: IOEvents, handler: @escaping (IOEvents) -> Void
    ) throws(HostFault) -> WatchToken {
        let id = makeID()
        _ = try checked(system.add(epoll, fd, events.rawValue, id), "watch a descriptor")
        watches[id] = Watch(fd: fd, events: events, handler: handler)
        return WatchToken(id: id)
    }

    /// Changes what a descriptor is watched for; an empty set still reports hangups.
    public func rewatch(_ token: WatchToken, events: IOEvents) {
        // Asked after each write: most change nothing.
        guard let watch = watches[token.id], watch.events != events else { return }
        if cl_epoll_modify(epoll, watch.fd, events.rawValue, token.id) >= 0 { watches[token.id]?.events = events }
    }

    /// After this the handler is not called again, not even for an event already fetched.
    public func unwatch(_ token: WatchToken) {
        guard let watch = watches.removeValue(forKey: token.id) else { return }
        _ = cl_epoll_remove(epoll, watch.fd)
    }

    /// Calls `handler` once, at or after `due`.
    @discardableResult
    public func timer(at due: MonotonicInstant, _ handler: @escaping () -> Void) -> TimerToken {
        let id = makeID()
        timers.insert(id: id, due: due.microseconds, handler)
        return TimerToken(id: id, wall: false)
    }

    @discardableResult
    public func timer(after delay: Duration, _ handler: @escaping () -> Void) -> TimerToken {
        timer(at: now().monotonic + delay, handler)
    }

    /// Calls `handler` once, when the wall clock reads `due` or later, however often the clock
    /// is set until then.
    @discardableResult
    public func wallTimer(at due: Instant, _ handler: @escaping () -> Void) -> TimerToken {
        let id = makeID()
        wallTimers.insert(id: id, due: due.microseconds, handler)
        return TimerToken(id: id, wall: true)
    }

    public func cancel(_ token: TimerToken) {
        if token.wall { wallTimers.cancel(token.id) } else { timers.cancel(token.id) }
    }

    private func makeID() -> UInt64 {
        nextID &+= 1
        return nextID
    }

    // MARK: Turns

    private func run() {
        loopThread.store(UInt(pthread_self()), ordering: .relaxed)
        _ = cl_block_signals()
        _ = cl_name_thread(name)
        var events = [cl_event](repeating: cl_event(), count: 64)
        while true {
            if clockWasSet {
                clockWasSet = false
                onClockSet?()
            }
            let pendingMail = runMail()
            let pendingTimers = runTimers()
            let (sleeps, ends) = prepareSleep(pending: pendingMail || pendingTimers)
            if ends { break }
            let count = cl_epoll_wait(epoll, &events, Int32(events.count), sleeps ? -1 : 0)
            mailbox.withLock { $0.asleep = false }
            for index in 0..<max(0, Int(count)) { dispatch(events[index]) }
        }
        loopThread.store(0, ordering: .relaxed)
    }

    /// true: there is more.
    private func runMail() -> Bool {
        if backlogIndex == backlog.count {
            backlog.removeAll(keepingCapacity: true)
            backlogIndex = 0
            mailbox.withLock { swap(&$0.mail, &backlog) }
        }
        let end = min(backlog.count, backlogIndex + Self.workPerTurn)
        while backlogIndex < end {
            let mail = backlog[backlogIndex]
            backlogIndex += 1
            switch mail {
            case .work(let work): work()
            case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
            }
        }
        return backlogIndex < backlog.count
    }

    /// true: there are more that are due.
    private func runTimers() -> Bool {
        guard timers.count > 0 || wallTimers.count > 0 else { return false }
        let now = clock.now()
        for _ in 0..<Self.workPerTurn {
            guard let handler = timers.popDue(at: now.monotonic.microseconds) else { break }
            handler()
        }
        for _ in 0..<Self.workPerTurn {
            guard let handler = wallTimers.popDue(at: now.wall.microseconds) else { break }
            handler()
        }
        let due = (timers.nextDue() ?? .max) <= now.monotonic.microseconds
        return due || (wallTimers.nextDue() ?? .max) <= now.wall.microseconds
    }

    /// Arms the timers for the sleep to come, unless there is work already.
    private func prepareSleep(pending: Bool) -> (sleeps: Bool, ends: Bool) {
        armTimers()
        return mailbox.withLock { box in
            let busy = pending || clockWasSet || !box.mail.isEmpty
            if box.stopping, !busy { return (false, true) }
            box.asleep = !busy
            return (!busy, false)
        }
    }

    private func armTimers() {
        let monotonic = timers.nextDue() ?? .max
        // Armed too early (its timer was cancelled) costs one empty turn, which arms it anew.
        if monotonic < armedMonotonic {
            armedMonotonic = monotonic
            _ = system.arm(monotonicTimer, false, monotonic)
        }
        // Always armed, far away if need be: an unarmed timer does not notice that the clock is set.
        let wall = min(wallTimers.nextDue() ?? .max, Self.farFuture)
        if wall != armedWall {
            armedWall = wall
            // Armed all the same; but with this answer the kernel has told of the step, and does not again.
            if system.arm(wallTimer, true, wall) == -ECANCELED { clockWasSet = true }
        }
    }

    /// The year 9999.
    private static let farFuture: Int64 = 253_370_764_800_000_000

    private func dispatch(_ event: cl_event) {
        switch event.token {
        case Self.wakeID:
            _ = cl_counter_take(wake)
        case Self.monotonicID:
            _ = cl_counter_take(monotonicTimer)
            armedMonotonic = .max
        case Self.wallID:
            let result = cl_counter_take(wallTimer)
            armedWall = nil
            if result == -Int64(ECANCELED) { clockWasSet = true }
        default:
            watches[event.token]?.handler(IOEvents(rawValue: event.events))
        }
    }
}
