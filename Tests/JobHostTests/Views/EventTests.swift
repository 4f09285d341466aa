import JobCore
import JobJSON
import JobStore
import JobTestKit
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import JobHost

struct EventRingTests {
    private let all = Set(API.EventKind.allCases)
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func aListenerResumesAfterItsLastEvent() throws {
        var ring = EventRing(epoch: "e")
        for n in 1...5 { ring.append(.action, job: n % 2 == 0 ? "a" : "b", data: Array("\(n)".utf8)) }
        #expect(ring.position(of: "e-3") == .after(3))
        let found = try #require(ring.read(after: 3, kinds: all, job: nil))
        #expect(text(found.bytes) == "id: e-4\nevent: action\ndata: 4\n\nid: e-5\nevent: action\ndata: 5\n\n")
        #expect(found.upTo == 5)
        // What is filtered out counts as read.
        let filtered = try #require(ring.read(after: 3, kinds: all, job: "a"))
        #expect(text(filtered.bytes).hasPrefix("id: e-4") && filtered.upTo == 5)
        #expect(ring.read(after: 5, kinds: all, job: nil)?.upTo == 5)
    }

    @Test func whatIsNotKnownIsLost() {
        var ring = EventRing(epoch: "e")
        for n in 0..<(EventRing.mostEntries + 10) { ring.append(.action, job: nil, data: Array("\(n)".utf8)) }
        #expect(ring.position(of: "e-9") == .lost)
        #expect(ring.position(of: "e-10") == .after(10))
        #expect(ring.position(of: "other-10") == .lost)
        #expect(ring.position(of: "e-99999") == .lost)
        #expect(ring.position(of: "nonsense") == .lost)
        #expect(ring.position(of: nil) == .after(ring.last))
        #expect(ring.read(after: 9, kinds: all, job: nil) == nil)
        #expect(ring.read(after: 10, kinds: all, job: nil) != nil)
    }

    @Test func bytesAreBounded() {
        var ring = EventRing(epoch: "e")
        let large = [UInt8](repeating: 65, count: 1 << 20)
        for _ in 0..<40 { ring.append(.action, job: nil, data: large) }
        #expect(!ring.holds(after: 30))
        #expect(ring.holds(after: 33))
        // One answer is bounded too.
        let found = ring.read(after: 33, kinds: all, job: nil)
        #expect(found?.upTo == 34)
    }
}

struct EventOutletTests {
    @Test func theLoopNeverWaitsAndTheExcessIsCounted() {
        let outlet = EventOutlet()
        for n in 0..<(EventOutlet.limit + 7) { outlet.emit(.problems(["\(n)"], at: sampleNow)) }
        let taken = outlet.take()
        #expect(taken.events.count == EventOutlet.limit)
        #expect(taken.dropped == 7)
        #expect(outlet.take().events.isEmpty)
    }
}

struct EventHubTests {
    @Test("What nobody hears is not kept; whoever comes back soon misses nothing, later he hears that he did")
    func keptForListeners() throws {
        let (clock, outlet) = (ManualClock(), EventOutlet())
        let hub = EventHub(outlet: outlet, clock: clock)
        func happen(_ run: Int64) {
            outlet.emit(.started(job: "j", run: RunID(run), at: sampleNow, pid: 1))
            hub.drain()
        }
        func text(_ listener: EventHub.Listener) -> String {
            let found = hub.read(after: listener.begins, kinds: Set(API.EventKind.allCases), job: nil)
            return String(decoding: listener.greeting + (found?.bytes ?? []), as: UTF8.self)
        }
        happen(1)
        var listener = try #require(hub.listen(lastID: nil)) as EventHub.Listener?
        let before = try #require(listener.map(text)?.split(whereSeparator: \.isNewline).first { $0.hasPrefix("id: ") }?.dropFirst(4))
        happen(2)
        #expect(listener.map(text)?.contains("\"run\":2") == true)
        listener = nil
        happen(3)
        clock.advance(by: EventHub.patience)
        happen(4)
        let back = try #require(hub.listen(lastID: String(before)))
        #expect(text(back).contains("\"resumed\":true") && text(back).contains("\"run\":3") && text(back).contains("\"run\":4"))
        withExtendedLifetime(back) {}
    }

    @Test func afterThatItIsPassedOver() throws {
        let (clock, outlet) = (ManualClock(), EventOutlet())
        let hub = EventHub(outlet: outlet, clock: clock)
        let first = String(decoding: try #require(hub.listen(lastID: nil)).greeting, as: UTF8.self)
        let id = try #require(first.split(whereSeparator: \.isNewline).first { $0.hasPrefix("id: ") }?.dropFirst(4))
        clock.advance(by: EventHub.patience + .microseconds(1))
        // Nothing was missed yet.
        #expect(String(decoding: try #require(hub.listen(lastID: String(id))).greeting, as: UTF8.self).contains("event: hello"))
        clock.advance(by: EventHub.patience + .microseconds(1))
        outlet.emit(.problems([], at: sampleNow))
        hub.drain()
        #expect(String(decoding: try #require(hub.listen(lastID: String(id))).greeting, as: UTF8.self).contains("event: reset"))
    }
}

/// Over the wire.
struct EventStreamTests {
    @Test func whatHappensIsStreamedAndResumed() async throws {
        try await withServer { host, socket, _ in
            let stream = try await EventClient(socket)
            #expect(try await stream.next(" hello")?.contains("\"resumed\":false") == true)
            host.events.emit(.started(job: "candles", run: RunID(7), at: sampleNow, pid: 42))
            let started = try #require(try await stream.next("run_started"))
            #expect(started.contains(#""job":"candles""#) && started.contains(#""pid":42"#))
            let id = try #require(started.split(whereSeparator: \.isNewline).first { $0.hasPrefix("id: ") }?.dropFirst(4))
            try await stream.close()

            host.events.emit(.ended(Samples.record(7, state: .succeeded, outcome: .succeeded)))
            host.events.emit(.notRun(job: "mint", reason: .window, text: "3 fires were missed", at: sampleNow))
            let again = try await EventClient(socket, headers: "Last-Event-ID: \(id)\r\n")
            #expect(try await again.next("hello")?.contains("\"resumed\":true") == true)
            #expect(try await again.next("run_ended")?.contains("\"id\":7") == true)
            #expect(try await again.next("not_run")?.contains("\"state\":\"missed\"") == true)
            try await again.close()
        }
    }

    @Test func anIdOfAnotherLifeIsTold() async throws {
        try await withServer { _, socket, _ in
            let stream = try await EventClient(socket, headers: "Last-Event-ID: before-12\r\n")
            #expect(try await stream.next("reset")?.contains("read the state anew") == true)
            try await stream.close()
        }
    }

    @Test func aStreamMayBeOfOneJobAndSomeKinds() async throws {
        try await withServer { host, socket, _ in
            let stream = try await EventClient(socket, query: "?job=mint&kind=not_run,breaker")
            _ = try await stream.next("hello")
            host.events.emit(.notRun(job: "candles", reason: .window, text: "not this", at: sampleNow))
            host.events.emit(.started(job: "mint", run: RunID(7), at: sampleNow, pid: 42))
            host.events.emit(.breaker(job: "mint", mode: "open", text: "this", at: sampleNow))
            let event = try await stream.next("event: ")
            #expect(event?.contains("\"text\":\"this\"") == true)
            try await stream.close()
            let wrong = try await ask(socket, "GET", "/api/v1/events?kind=runs")
            #expect(wrong.status == 400)
        }
    }

    /// Those who take nothing cost nobody anything: they are ended once they have fallen behind,
    /// and the quick ones hear everything.
    @Test func slowListenersAreDroppedAndQuickOnesMissNothing() async throws {
        var limits = HTTPLimits()
        limits.stall = .milliseconds(500)
        try await withServer(limits: limits) { host, socket, server in
            var slow: [EventClient] = []
            for _ in 0..<20 { slow.append(try await EventClient(socket, reads: false)) }
            let quick = try await EventClient(socket)
            _ = try await quick.next("hello")
            let reason = String(repeating: "x", count: 2_000)
            var record = Samples.record(7, state: .succeeded, outcome: .succeeded)
            record.reason = reason
            // More than the ring and every buffer on the way hold.
            for batch in 0..<60 {
                for n in 0..<200 {
                    record.id = RunID(Int64(batch * 200 + n + 1))
                    host.events.emit(.ended(record))
                }
                host.events.emit(.notRun(job: "mint", reason: .window, text: "batch \(batch)", at: sampleNow))
                #expect(try await quick.next("batch \(batch)\"") != nil)
            }
            for client in slow { try await client.waitForEnd() }
            try await eventually { server.hub.figures.listeners <= 1 }
            try await quick.close()
        }
    }

    @Test func streamsAreBounded() async throws {
        try await withServer { _, _, server in
            var held: [EventHub.Listener] = []
            while let listener = server.hub.listen(lastID: nil) { held.append(listener) }
            #expect(held.count == EventHub.mostListeners)
            held.removeAll()
            #expect(server.hub.listen(lastID: nil) != nil)
        }
    }
}

/// One stream of events, as raw text.
final class EventClient: Sendable {
    private let channel: any Channel
    private let text: TextFlow

    init(_ socket: String, query: String = "", headers: String = "", reads: Bool = true) async throws {
        let text = TextFlow()
        self.text = text
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { $0.pipeline.addHandler(FlowHandler(text)) }
            .connect(unixDomainSocketPath: socket).get()
        try await channel.writeAndFlush(ByteBuffer(string: "GET /api/v1/events\(query) HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n")).get()
    }

    /// The next event whose text holds `word`; what came before it is thrown away. nil: the stream ended.
    func next(_ word: String) async throws -> String? {
        for await part in text.events where part.contains(word) { return part }
        return nil
    }
    func close() async throws { try await channel.close().get() }
    func waitForEnd() async throws {
        channel.setOption(.autoRead, value: true).whenComplete { [channel] _ in channel.read() }
        try await channel.closeFuture.get()
    }
}

/// Cuts what comes into events.
final class TextFlow: Sendable {
    let events: AsyncStream<String>
    private let sink: AsyncStream<String>.Continuation
    private let rest = Mutex("")
    init() { (events, sink) = AsyncStream.makeStream() }
    func add(_ text: String) {
        let parts = rest.withLock { rest -> [String] in
            rest += text
            var parts = rest.split(separator: "\n\n", omittingEmptySubsequences: false).map(String.init)
            rest = parts.popLast() ?? ""
            return parts
        }
        for part in parts { sink.yield(part) }
    }
    func end() { sink.finish() }
}

private final class FlowHandler: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    private let flow: TextFlow
    init(_ flow: TextFlow) { self.flow = flow }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) { flow.add(String(buffer: unwrapInboundIn(data))) }
    func channelInactive(context: ChannelHandlerContext) { flow.end() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
