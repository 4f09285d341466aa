import NIOCore
import NIOHTTPTypes

/// What a client may cost. Beyond it the connection is closed or waits in the backlog.
struct HTTPLimits: Sendable {
    /// Connections at a time, of each listener; further ones wait.
    var connections = 512
    /// A connection without a request, and a request's head.
    var idle = TimeAmount.seconds(15)
    /// From a request's head to the end of its body.
    var body = TimeAmount.seconds(30)
    /// An answer of which the client takes nothing.
    var stall = TimeAmount.seconds(30)
    /// One header field; 32 KiB and 64 fields in all.
    var headerField = 8 << 10
    /// See `SnapshotShelf`.
    var snapshotReuse = 10
}

/// Ends connections of clients that send their request, or take their answer, drop by drop. (The
/// head is watched by the library's idle timeout, which it does not extend.)
final class Patience: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let limits: HTTPLimits
    private var reading: Scheduled<Void>?
    private var writing: Scheduled<Void>?

    init(limits: HTTPLimits) { self.limits = limits }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head: reading = close(context, in: limits.body)
        case .body: break
        case .end:
            reading?.cancel()
            reading = nil
        }
        context.fireChannelRead(data)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writing?.cancel()
        writing = context.channel.isWritable ? nil : close(context, in: limits.stall)
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    private func stop() {
        reading?.cancel()
        writing?.cancel()
        reading = nil
        writing = nil
    }

    private func close(_ context: ChannelHandlerContext, in limit: TimeAmount) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: limit) { channel.close(promise: nil) }
    }
}
