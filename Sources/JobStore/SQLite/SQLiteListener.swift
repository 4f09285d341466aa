import Glibc
import Synchronization

/// Hears what other programs put into the inbox, on a thread of its own: by their writes to the write-ahead log.
///
/// Such a write is seen before its commit is on the disk and can be read; so the inbox is looked at again and again, ever
/// more seldom, until another commit can be read, a quarter of a second at most. The host's own writes are seen too. While
/// it writes without a pause its writer looks instead, at the end of each transaction, where no other program writes. What
/// is heard by neither is found by asking.
final class SQLiteListener: Sendable {
    private struct State {
        var heard: (@Sendable ([String]?) -> Void)?
        var watch: LogWatch?
    }
    private let path: String
    private let options: SQLiteStoreOptions
    private let state = Mutex(State())
    private let isStopped = Atomic(false)
    /// Somebody wants to hear.
    private let isListening = Atomic(false)
    /// The host is within a transaction that writes: no other program is.
    private let isWriting = Atomic(false)
    /// Transactions of the host's that wrote something.
    private let writes = Atomic(0)
    /// How often the writer has looked.
    private let looks = Atomic(0)

    init(path: String, options: SQLiteStoreOptions) {
        self.path = path
        self.options = options
    }

    /// `body` is called at once, too, if what came before is still there.
    func heard(_ body: @escaping @Sendable ([String]?) -> Void, on threads: ThreadCount) {
        let descriptors = state.withLock { state -> LogWatch.Descriptors? in
            guard !isStopped.load(ordering: .acquiring) else { return nil }
            state.heard = body
            guard state.watch == nil, let watch = LogWatch(store: path) else { return nil }
            state.watch = watch
            isListening.store(true, ordering: .releasing)
            return watch.descriptors
        }
        guard let descriptors else { return }
        do {
            try threads.start("store-listen") { self.run(descriptors) }
        } catch { end() }
    }

    func stop() {
        isStopped.store(true, ordering: .releasing)
        state.withLock { $0.watch?.ring() }
    }

    private func end() {
        isListening.store(false, ordering: .releasing)
        state.withLock { state in
            state.watch?.close()
            (state.watch, state.heard) = (nil, nil)
        }
    }

    private func take() -> Bool { state.withLock { $0.watch?.take() ?? false } }

    /// `jobs`: in the inbox; nil: that was not looked at.
    private func tell(_ jobs: [String]?) { state.withLock { $0.heard }?(jobs) }

    // MARK: The listener's thread

    private func run(_ descriptors: LogWatch.Descriptors) {
        let file = StoreFile(path: path, role: .reader, options: options)
        var known = writes.load(ordering: .acquiring)
        // What came while nobody listened.
        var seen = look(file, Seen())
        while seen.awaits || descriptors.wait(), !isStopped.load(ordering: .acquiring) {
            if isWriting.load(ordering: .acquiring) || writes.load(ordering: .acquiring) != known {
                rest()
                // What the host has committed since looks like a commit of somebody else's.
                (known, seen.version) = (writes.load(ordering: .acquiring), nil)
            }
            seen = look(file, seen)
        }
        file.close()
        end()
    }

    /// Until the host has written nothing for a moment.
    private func rest() {
        var pause: UInt32 = 500
        var before: Int
        repeat {
            before = writes.load(ordering: .acquiring)
            wait(microseconds: pause)
            pause = min(pause * 2, 8_000)
        } while (isWriting.load(ordering: .acquiring) || writes.load(ordering: .acquiring) != before) && !isStopped.load(ordering: .acquiring)
    }

    /// Its thread serves nothing else, and has no event loop.
    private func wait(microseconds: UInt32) { usleep(microseconds) } // tidy: clock

    /// How far it has looked.
    private struct Seen {
        /// Of the file; nil: not known.
        var version: Int64?
        /// Somebody has written what cannot be read yet.
        var awaits = false
    }

    /// Tells if there is something in the inbox that somebody else may have committed. Where somebody has written, it goes
    /// on until his commit can be read.
    private func look(_ file: StoreFile, _ last: Seen) -> Seen {
        let turn = looks.load(ordering: .acquiring)
        var seen = last
        var patience = CommitPatience()
        while !isStopped.load(ordering: .acquiring) {
            let isMore = take()
            if isMore {
                seen.awaits = true
                patience.heardMore()
            }
            let found: StoreFile.Arrivals
            do { found = try file.arrivals(after: seen.version) } catch {
                file.reactTo(error)
                return Seen()
            }
            if !found.jobs.isEmpty { tell(found.jobs) }
            // The writer's turn comes after theirs, and it has looked.
            if looks.load(ordering: .acquiring) != turn { return Seen(awaits: isMore) }
            let isRead = !found.jobs.isEmpty || (seen.version != nil && found.version != seen.version)
            seen.version = found.version
            // What was written just now is of this commit, or of one that follows.
            if isRead { (seen.awaits, patience) = (isMore, CommitPatience()) }
            guard seen.awaits, let pause = patience.pause() else { break }
            wait(microseconds: pause)
        }
        seen.awaits = false
        return seen
    }

    // MARK: The writer's thread

    /// The transaction has begun.
    func writerBegins() {
        if isListening.load(ordering: .acquiring) { isWriting.store(true, ordering: .releasing) }
    }

    /// At its end, and of it. true: somebody else has committed something, and there is something in the inbox.
    func writerLooks(_ file: StoreFile) -> Bool {
        guard isWriting.load(ordering: .relaxed) else { return false }
        defer { looks.add(1, ordering: .releasing) }
        return (try? file.othersArrivals()) ?? false
    }

    /// It was committed, or rolled back.
    func writerEnds(hearing isHeard: Bool) {
        guard isWriting.load(ordering: .relaxed) else { return }
        // What is written from now on is somebody else's.
        if take() { writes.add(1, ordering: .releasing) }
        isWriting.store(false, ordering: .releasing)
        if isHeard { tell(nil) }
    }
}

/// How long somebody's commit is waited for whose first bytes are in the log. Pure; microseconds.
struct CommitPatience {
    /// After the last that was written. Then asking is as fast.
    static let most: UInt32 = 250_000
    /// However long somebody writes who does not commit: at the end nobody waits longer than this.
    static let longestPause = (most / 2 + most) / 8

    private var waited: UInt32 = 0
    private var limit = most

    /// He goes on writing.
    mutating func heardMore() {
        waited = min(waited, Self.most / 2)
        limit = waited + Self.most
    }

    /// Until the next look; nil: it is over.
    mutating func pause() -> UInt32? {
        guard waited < limit else { return nil }
        let pause = max(50, waited / 8)
        waited += pause
        return pause
    }
}
