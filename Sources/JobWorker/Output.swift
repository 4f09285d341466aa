import JobCore
import Synchronization

/// Frames to the supervisor, from whichever thread of the plugin. Writes block: a plugin that
/// talks faster than the supervisor listens is slowed down.
///
/// What waits to be written survives this process on its slate: so the ends of short runs and the
/// beginnings of the next go out together, and yet no crash leaves it open which of them had begun.
final class Output: Sendable {
    /// Frames that may wait are written together once this much has come together. With the
    /// longest of those that are usual they fit the slate.
    private static let batchBytes = 16 << 10

    private struct Pending {
        var encoder = FrameEncoder()
        /// Bytes of it that have been written.
        var written = 0
        /// Something was left to whoever tends, since he looked.
        var hasWaited = false
    }
    private let channel: Channel
    private let unsent: Unsent
    private let pending = Mutex(Pending())
    /// Given back by the reader, and not yet among what is to be written. Never locked while anything is waited for.
    private let givenBack = Mutex<[RunID]>([])
    /// Lowered with that lock held.
    private let hasGivenBack = Atomic<Bool>(false)
    /// Somebody looks every moment whether something waits. Lowered with the lock held.
    private let isTended = Atomic<Bool>(false)
    /// When somebody begins to, CLOCK_BOOTTIME in microseconds; he says that he has before he says that he will not.
    private let nextLook = Atomic<Int64>(.max)
    /// A look that is no further away is in time.
    private static let soon = Duration.milliseconds(2)

    init(_ channel: Channel, _ slate: Slate) {
        self.channel = channel
        unsent = slate.unsent
    }

    /// Writes it, after everything that waits.
    func send(_ frame: WorkerFrame) { put(frame) { _ in false } }

    /// Leaves it to a later `send` to write it, unless much has come together.
    func sendSoon(_ frame: WorkerFrame) { put(frame) { _ in true } }

    /// As `sendSoon` while somebody tends what waits, or is about to, and it survives a crash, else as `send`: for what
    /// the supervisor has to know in time, whatever becomes of this process.
    func sendInTime(_ frame: WorkerFrame) {
        put(frame) { pending in
            let mayWait = unsent.capacity > 0 && willBeTended
            pending.hasWaited = pending.hasWaited || mayWait
            return mayWait
        }
    }

    private var willBeTended: Bool {
        let look = nextLook.load(ordering: .sequentiallyConsistent)
        if isTended.load(ordering: .sequentiallyConsistent) { return true }
        return look != .max && look <= (Clocks.monotonic() + Self.soon).microseconds
    }

    private func put(_ frame: WorkerFrame, mayWait: (inout Pending) -> Bool) {
        // A child that the plugin has forked off is not the worker: the run is not its to speak of, and the lock may
        // have been another thread's when it was made.
        guard !unsent.isParents else { return }
        pending.withLock { pending in
            addGivenBack(to: &pending, writes: true)
            append(frame, to: &pending)
            if !mayWait(&pending) || pending.encoder.bytes.count >= Output.batchBytes { flush(&pending) }
        }
    }

    func flush() {
        guard !unsent.isParents else { return }
        pending.withLock {
            addGivenBack(to: &$0, writes: true)
            flush(&$0)
        }
    }

    // MARK: The reader's side, which must neither wait for who writes nor for who reads

    /// Several runs have come at once: the caller promises to `tend` every moment until `endTending`.
    func beginTending() { isTended.store(true, ordering: .sequentiallyConsistent) }

    /// The caller promises to begin then; nil: it makes no promise but that it has kept the one before.
    func willLook(at instant: MonotonicInstant?) { nextLook.store(instant?.microseconds ?? .max, ordering: .sequentiallyConsistent) }

    /// Writes what waits, as far as it goes out at once. false: nothing has been left to the caller since the last look.
    func tend() -> Bool {
        pending.withLockIfAvailable { pending in
            let hasWaited = pending.hasWaited
            pending.hasWaited = false
            sendWhatGoes(&pending)
            return hasWaited
        } ?? true
    }

    /// Tells that these runs are given back, before whatever the main thread says from now on. false: not at once; the
    /// caller tends until it is told.
    func giveBack(_ runs: [RunID]) -> Bool {
        givenBack.withLock {
            $0 += runs
            hasGivenBack.store(true, ordering: .releasing)
        }
        return pending.withLockIfAvailable { pending in
            sendWhatGoes(&pending)
            return pending.encoder.isEmpty
        } ?? false
    }

    private func sendWhatGoes(_ pending: inout Pending) {
        addGivenBack(to: &pending, writes: false)
        guard !pending.encoder.isEmpty else { return }
        pending.written += channel.sendNow(pending.encoder.bytes, from: pending.written)
        if pending.written == pending.encoder.bytes.count { clear(&pending) }
    }

    /// `writes`: whatever it takes; else as many as the slate has room for.
    private func addGivenBack(to pending: inout Pending, writes: Bool) {
        while hasGivenBack.load(ordering: .acquiring), pending.encoder.bytes.count < Self.batchBytes || writes {
            let run = givenBack.withLock { runs in
                if runs.count <= 1 { hasGivenBack.store(false, ordering: .releasing) }
                return runs.isEmpty ? nil : runs.removeFirst()
            }
            guard let run else { return }
            append(.returned(run: run), to: &pending)
            if writes, pending.encoder.bytes.count >= Self.batchBytes { flush(&pending) }
        }
    }

    /// false: something waits, it goes on.
    func endTending() -> Bool {
        pending.withLockIfAvailable { pending in
            guard pending.encoder.isEmpty, !pending.hasWaited, !hasGivenBack.load(ordering: .acquiring) else { return false }
            isTended.store(false, ordering: .sequentiallyConsistent)
            return true
        } ?? false
    }

    func announce(_ descriptor: PluginDescriptor) throws(Refusal) {
        let problem: WireError? = pending.withLock { pending in
            do throws(WireError) {
                try add(.ready(descriptor), to: &pending)
                flush(&pending)
                return nil
            } catch { return error }
        }
        if let problem { throw Refusal(.badDescriptor, "the descriptor cannot be told to the host: \(problem)") }
    }

    func refuse(_ refusal: Refusal) {
        send(.refused(code: refusal.code, message: Text.clean(refusal.message, limit: Text.maximum)))
    }

    private func flush(_ pending: inout Pending) {
        guard !pending.encoder.isEmpty else { return }
        channel.send(pending.encoder.bytes, from: pending.written)
        clear(&pending)
    }

    private func clear(_ pending: inout Pending) {
        pending.encoder.removeAll()
        pending.written = 0
    }

    /// Everything a plugin can say is bounded before it comes here; what does not fit all the
    /// same would break the stream, so the worker ends instead.
    private func append(_ frame: WorkerFrame, to pending: inout Pending) {
        do throws(WireError) { try add(frame, to: &pending) } catch { quit(.protocolError) }
    }

    private func add(_ frame: WorkerFrame, to pending: inout Pending) throws(WireError) {
        let before = pending.encoder.bytes.count
        try pending.encoder.append(frame)
        let count = pending.encoder.bytes.count
        guard unsent.capacity > 0 else { return }
        if count <= unsent.capacity {
            unsent.tell(pending.encoder.bytes[before...])
        } else {
            // Cannot wait. What did is on the slate until it has been written.
            flush(&pending)
            unsent.told(count - before)
        }
    }
}

/// Why the library cannot serve.
struct Refusal: Error {
    var code: RefusalCode
    var message: String
    init(_ code: RefusalCode, _ message: String) {
        self.code = code
        self.message = message
    }
}
