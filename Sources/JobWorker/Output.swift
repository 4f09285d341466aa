import JobCore
import Synchronization

/// Frames to the supervisor, from whichever thread of the plugin. Writes block: a plugin that
/// talks faster than the supervisor listens is slowed down.
final class Output: Sendable {
    /// Frames that may wait are written together once this much has come together.
    private static let batchBytes = 32 << 10

    private let channel: Channel
    private let pending = Mutex(FrameEncoder())

    init(_ channel: Channel) { self.channel = channel }

    /// Writes it, after everything that waits.
    func send(_ frame: WorkerFrame) {
        pending.withLock { encoder in
            append(frame, to: &encoder)
            flush(&encoder)
        }
    }

    /// Leaves it to a later `send` to write it, unless much has come together.
    func sendSoon(_ frame: WorkerFrame) {
        pending.withLock { encoder in
            append(frame, to: &encoder)
            if encoder.bytes.count >= Output.batchBytes { flush(&encoder) }
        }
    }

    func flush() { pending.withLock { flush(&$0) } }

    func announce(_ descriptor: PluginDescriptor) throws(Refusal) {
        let frame: [UInt8]
        do throws(WireError) {
            frame = try FrameEncoder.encode(WorkerFrame.ready(descriptor))
        } catch {
            throw Refusal(.badDescriptor, "the descriptor cannot be told to the host: \(error)")
        }
        channel.send(frame)
    }

    func refuse(_ refusal: Refusal) {
        send(.refused(code: refusal.code, message: Text.clean(refusal.message, limit: Text.maximum)))
    }

    private func flush(_ encoder: inout FrameEncoder) {
        guard !encoder.isEmpty else { return }
        channel.send(encoder.bytes)
        encoder.removeAll()
    }

    /// Everything a plugin can say is bounded before it comes here; what does not fit all the
    /// same would break the stream, so the worker ends instead.
    private func append(_ frame: WorkerFrame, to encoder: inout FrameEncoder) {
        do throws(WireError) {
            try encoder.append(frame)
        } catch {
            quit(.protocolError)
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
