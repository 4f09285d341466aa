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
    /// The main thread may not have had a processor at some.
    private static let mostQuietLooks = 8

    private struct Pending {
        var encoder = FrameEncoder()
        let unsent: Unsent
        /// Somebody looks every moment whether something waits.
        var isTended = false
        /// Looks since something was last left to whoever tends.
        var quietLooks = 0
        var isParents = false
    }
    private let channel: Channel
    private let pending: Mutex<Pending>

    init(_ channel: Channel, _ slate: Slate) {
        self.channel = channel
        pending = Mutex(Pending(unsent: slate.unsent))
    }

    /// Writes it, after everything that waits.
    func send(_ frame: WorkerFrame) {
        pending.withLock { pending in
            append(frame, to: &pending)
            flush(&pending)
        }
    }

    /// Leaves it to a later `send` to write it, unless much has come together.
    func sendSoon(_ frame: WorkerFrame) {
        pending.withLock { pending in
            append(frame, to: &pending)
            if pending.encoder.bytes.count >= Output.batchBytes { flush(&pending) }
        }
    }

    /// As `sendSoon` while somebody tends what waits and it survives a crash, else as `send`: for what the
    /// supervisor has to know in time, whatever becomes of this process.
    func sendInTime(_ frame: WorkerFrame) {
        pending.withLock { pending in
            append(frame, to: &pending)
            let mayWait = pending.isTended && pending.unsent.capacity > 0
            if mayWait { pending.quietLooks = 0 }
            if !mayWait || pending.encoder.bytes.count >= Output.batchBytes { flush(&pending) }
        }
    }

    func flush() { pending.withLock { flush(&$0) } }

    /// Several runs have come at once: the caller promises to `tend` every moment.
    func beginTending() { pending.withLock { ($0.isTended, $0.quietLooks) = (true, 0) } }

    /// Writes what waits. false: nothing has for long (a run that lasts), and nobody needs to look any more.
    func tend() -> Bool {
        pending.withLock { pending in
            pending.quietLooks += 1
            pending.isTended = pending.quietLooks <= Output.mostQuietLooks
            flush(&pending)
            return pending.isTended
        }
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
        channel.send(pending.encoder.bytes)
        pending.encoder.removeAll()
    }

    /// Everything a plugin can say is bounded before it comes here; what does not fit all the
    /// same would break the stream, so the worker ends instead.
    private func append(_ frame: WorkerFrame, to pending: inout Pending) {
        do throws(WireError) { try add(frame, to: &pending) } catch { quit(.protocolError) }
    }

    private func add(_ frame: WorkerFrame, to pending: inout Pending) throws(WireError) {
        if pending.unsent.isParents, !pending.isParents {
            pending.encoder.removeAll()
            (pending.isParents, pending.isTended) = (true, false)
        }
        let before = pending.encoder.bytes.count
        try pending.encoder.append(frame)
        let count = pending.encoder.bytes.count
        guard pending.unsent.capacity > 0 else { return }
        if count <= pending.unsent.capacity {
            pending.unsent.tell(pending.encoder.bytes[before...])
        } else {
            // Cannot wait. What did is on the slate until it has been written.
            flush(&pending)
            pending.unsent.told(count - before)
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
