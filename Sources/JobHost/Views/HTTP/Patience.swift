import Hummingbird
import NIOCore
import NIOHTTPTypes
import Synchronization

/// What a client may cost. Beyond it the connection is closed or waits in the backlog.
struct HTTPLimits: Sendable {
    /// Connections at a time, of each listener; further ones wait.
    var connections = 512
    /// Of those from one address over TCP; further ones are closed, so that some are left for everybody else.
    var connectionsOfOne = 448
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

/// How many connections of a listener each address has.
final class Crowd: Sendable {
    private let most: Int
    private let counts = Mutex<[String: Int]>([:])

    init(most: Int) { self.most = most }

    /// false: it has as many as it may.
    func enter(_ address: String) -> Bool {
        counts.withLock { counts in
            guard counts[address] ?? 0 < most else { return false }
            counts[address, default: 0] += 1
            return true
        }
    }

    func leave(_ address: String) {
        counts.withLock { counts in
            guard let count = counts[address] else { return }
            counts[address] = count > 1 ? count - 1 : nil
        }
    }
}

/// Hears of streams of events that were cut since their clients took nothing.
final class CutStreams: Sendable {
    private let ear = Mutex<@Sendable () -> Void>({})

    func heard(_ body: @escaping @Sendable () -> Void) { ear.withLock { $0 = body } }
    func tell() {
        let body = ear.withLock { $0 }
        body()
    }
}

/// Ends connections of clients that send their request, or take their answer, drop by drop. (The
/// head is watched by the library's idle timeout, which it does not extend.)
final class Patience: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let limits: HTTPLimits
    private let crowd: Crowd
    /// As it is counted in `crowd`; nil: it is not.
    private var address: String?
    private let cuts: CutStreams
    /// What is being answered goes on for as long as the client takes it.
    private var isStream = false
    private var reading: Scheduled<Void>?
    private var writing: Scheduled<Void>?

    init(limits: HTTPLimits, crowd: Crowd, cuts: CutStreams) {
        self.limits = limits
        self.crowd = crowd
        self.cuts = cuts
    }

    func channelActive(context: ChannelHandlerContext) {
        if let address = context.channel.remoteAddress?.ipAddress {
            guard crowd.enter(address) else { return context.close(promise: nil) }
            self.address = address
        }
        context.fireChannelActive()
    }

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

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .head(let head) = unwrapOutboundIn(data) { isStream = head.headerFields[.contentType] == EventHub.contentType }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writing?.cancel()
        writing = context.channel.isWritable ? nil : close(context, in: limits.stall, telling: isStream ? cuts : nil)
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { stop() }

    private func stop() {
        if let address { crowd.leave(address) }
        address = nil
        reading?.cancel()
        writing?.cancel()
        reading = nil
        writing = nil
    }

    private func close(_ context: ChannelHandlerContext, in limit: TimeAmount, telling cuts: CutStreams? = nil) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: limit) {
            cuts?.tell()
            channel.close(promise: nil)
        }
    }
}
