import Glibc
import Synchronization

/// Lines of a pipe, read by a thread of its own, awaited by the tests.
final class Lines: Sendable {
    private struct Waiter {
        var id: Int
        var from: Int
        var matches: @Sendable (String) -> Bool
        var continuation: CheckedContinuation<(index: Int, line: String)?, Never>
    }
    private struct State {
        var lines: [String] = []
        var waiters: [Waiter] = []
        var nextID = 0
        var isEnded = false
    }
    private let state = Mutex(State())

    /// Takes the descriptor over and closes it at its end.
    init(descriptor: Int32) {
        let keep = Unmanaged.passRetained(Box(lines: self, descriptor: descriptor))
        var thread = pthread_t()
        let problem = pthread_create(&thread, nil, { argument in
            let box = Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue()
            box.lines.readAll(box.descriptor)
            return nil
        }, keep.toOpaque())
        if problem == 0 { pthread_detach(thread) } else { keep.release() }
    }

    private final class Box {
        let lines: Lines
        let descriptor: Int32
        init(lines: Lines, descriptor: Int32) {
            self.lines = lines
            self.descriptor = descriptor
        }
    }

    private func readAll(_ descriptor: Int32) {
        var rest: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { break }
            rest += buffer[..<count]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                add(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
        }
        close(descriptor)
        if !rest.isEmpty { add(String(decoding: rest, as: UTF8.self)) }
        let waiters = state.withLock { state in
            state.isEnded = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: nil) }
    }

    private func add(_ line: String) {
        let ready = state.withLock { state in
            let index = state.lines.count
            state.lines.append(line)
            let ready = state.waiters.filter { $0.from <= index && $0.matches(line) }
            state.waiters.removeAll { $0.from <= index && $0.matches(line) }
            return ready.map { ($0, index) }
        }
        for (waiter, index) in ready { waiter.continuation.resume(returning: (index, line)) }
    }

    var all: [String] { state.withLock { $0.lines } }

    /// The first line from `from` on that matches, already there or to come; nil: the pipe has
    /// ended without one, or the test was cancelled.
    func next(from: Int = 0, where matches: @escaping @Sendable (String) -> Bool) async -> (index: Int, line: String)? {
        let id = state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let found: (index: Int, line: String)?? = state.withLock { state in
                    if let index = state.lines.indices.dropFirst(from).first(where: { matches(state.lines[$0]) }) {
                        return .some((index, state.lines[index]))
                    }
                    if state.isEnded || Task.isCancelled { return .some(nil) }
                    state.waiters.append(Waiter(id: id, from: from, matches: matches, continuation: continuation))
                    return nil
                }
                if let found { continuation.resume(returning: found) }
            }
        } onCancel: {
            let waiter = state.withLock { state -> Waiter? in
                guard let position = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
                return state.waiters.remove(at: position)
            }
            waiter?.continuation.resume(returning: nil)
        }
    }
}
