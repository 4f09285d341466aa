import Glibc
import Synchronization

/// What waits for one thread of the store: put in from anywhere, taken out all at once.
final class Mailbox<Element: Sendable>: Sendable {
    private struct Content {
        var waiting: [Element] = []
        var closed = false
    }
    private let content = Mutex(Content())
    // A semaphore, not a condition variable: it can be posted outside the mutex. The pointer
    // never changes between init and deinit, and sem_* are thread-safe.
    private nonisolated(unsafe) let bell: UnsafeMutablePointer<sem_t>

    init() {
        bell = .allocate(capacity: 1)
        sem_init(bell, 0, 0)
    }

    deinit {
        sem_destroy(bell)
        bell.deallocate()
    }

    /// false: closed, the element was not taken.
    func put(_ element: Element) -> Bool {
        let (taken, first) = content.withLock { content -> (Bool, Bool) in
            guard !content.closed else { return (false, false) }
            content.waiting.append(element)
            return (true, content.waiting.count == 1)
        }
        if first { sem_post(bell) }
        return taken
    }

    /// Waits for at least one element and takes all that are there; nil when the mailbox is
    /// closed and empty. For one consumer.
    func takeAll() -> [Element]? {
        while true {
            let (elements, closed) = content.withLock { content -> ([Element], Bool) in
                defer { content.waiting = [] }
                return (content.waiting, content.closed)
            }
            if !elements.isEmpty { return elements }
            if closed { return nil }
            sem_wait(bell)
        }
    }

    /// What is inside is still delivered.
    func close() {
        content.withLock { $0.closed = true }
        sem_post(bell)
    }
}

/// A thread of the store. Databases block, so they must not run on Swift's cooperative threads.
enum StoreThread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// 1 MiB: the deepest call of a database needs far less than 256 KiB; the default of 8 MiB would be
    /// counted against limits for nothing.
    private static let stackSize = 1 << 20

    /// Starts a detached thread called `name` (at most 15 bytes, as `top -H` shows it).
    /// Throws `unavailable` when the system gives no thread.
    static func start(_ name: String, _ run: @escaping @Sendable () -> Void) throws(StoreError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackSize)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let body = Unmanaged.passRetained(Body {
            nameThread(name)
            run()
        })
        var thread = pthread_t()
        let result = pthread_create(&thread, &attributes, { context in
            guard let context else { return nil }
            Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
            return nil
        }, body.toOpaque())
        guard result == 0 else {
            body.release()
            throw StoreError(.unavailable, "the store cannot start a thread: \(String(cString: strerror(result)))")
        }
    }

    /// For `top -H` and debuggers; nothing depends on it.
    private static func nameThread(_ name: String) {
        let file = Glibc.open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { Glibc.close(file) }
        _ = Glibc.write(file, name, name.utf8.count)
    }
}

/// The store's threads that have not ended.
final class ThreadCount: Sendable {
    private struct State {
        var running = 0
        var waiters: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func start(_ name: String, _ run: @escaping @Sendable () -> Void) throws(StoreError) {
        state.withLock { $0.running += 1 }
        do {
            try StoreThread.start(name) {
                run()
                self.ended()
            }
        } catch {
            ended()
            throw error
        }
    }

    private func ended() {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.running -= 1
            guard state.running == 0 else { return [] }
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func allEnded() async {
        await withCheckedContinuation { continuation in
            let none = state.withLock { state -> Bool in
                if state.running > 0 { state.waiters.append(continuation) }
                return state.running == 0
            }
            if none { continuation.resume() }
        }
    }
}
