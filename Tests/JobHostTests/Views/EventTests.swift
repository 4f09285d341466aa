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
        var ring = EventRing(epoch: "e", settled: Instant(microseconds: 36))
        for n in 1...5 { ring.append(.action, job: n % 2 == 0 ? "a" : "b", data: Array("\(n)".utf8)) }
        #expect(ring.position(of: "e-3~10") == .after(3))
        let found = try #require(ring.read(after: 3, kinds: all, job: nil))
        #expect(text(found.bytes) == "id: e-4~10\nevent: action\ndata: 4\n\nid: e-5~10\nevent: action\ndata: 5\n\n")
        #expect(found.upTo == 5)
        // What is filtered out counts as read.
        let filtered = try #require(ring.read(after: 3, kinds: all, job: "a"))
        #expect(text(filtered.bytes).hasPrefix("id: e-4") && filtered.upTo == 5)
        #expect(ring.read(after: 5, kinds: all, job: nil)?.upTo == 5)
    }

    @Test("An id says that all before it is told: it names what is settled by the next event, not by the one after that")
    func idsSayWhatIsSettled() throws {
        var ring = EventRing(epoch: "e", settled: Instant(microseconds: 1))
        func event(_ n: Int) -> Streamed { .event(.action, job: nil, data: Array("\(n)".utf8)) }
        func at(_ n: Int64) -> Streamed { .settled(Instant(microseconds: n)) }
        ring.append([event(1), at(2), event(2), event(3), at(3), at(4)])
        ring.append([at(5), event(4)])
        let found = try #require(ring.read(after: 0, kinds: all, job: nil))
        let ids = text(found.bytes).split(separator: "\n").filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
        #expect(ids == ["e-1~2", "e-2~2", "e-3~4", "e-4~5"])
        // A clock that was set back counts too.
        ring.append([at(3)])
        #expect(ring.newestID == "e-4~3")
    }

    @Test func whatIsNotKnownIsLost() {
        var ring = EventRing(epoch: "e", settled: Instant(microseconds: 36))
        for n in 0..<(EventRing.mostEntries + 10) { ring.append(.action, job: nil, data: Array("\(n)".utf8)) }
        #expect(ring.position(of: "e-9~11") == .kept(since: Instant(microseconds: 37), seen: [:]))
        #expect(ring.position(of: "e-10~11") == .after(10))
        #expect(ring.position(of: "other-10~11") == .kept(since: Instant(microseconds: 37), seen: [:]))
        #expect(ring.position(of: "e-99999~11") == .kept(since: Instant(microseconds: 37), seen: [:]))
        for nonsense in ["nonsense", "e-10", "~", "e-10~", "e-10~-1", "e-10~10~10", "e-10~10~x=-1", "e-10~10~x=y=z", "e--1~10", "e-10~zzzzzzzzzzzzzzzzzz"] {
            #expect(ring.position(of: nonsense) == .lost, "\(nonsense)")
        }
        #expect(ring.position(of: nil) == .after(ring.last))
        #expect(ring.read(after: 9, kinds: all, job: nil) == nil)
        #expect(ring.read(after: 10, kinds: all, job: nil) != nil)
    }

    @Test("An id says how far each outbox is told, and not further than the events before it")
    func idsSayHowFarOutboxesAre() throws {
        var ring = EventRing(epoch: "e", settled: Instant(microseconds: 1))
        func row(_ n: Int) -> Streamed { .event(.outbox, job: nil, data: Array("\(n)".utf8)) }
        ring.append([.outbox("b", OutboxPlace(settled: 36, high: 40))])
        ring.append([row(1), row(2), .outbox("a", OutboxPlace(settled: 2, high: 2))])
        let found = try #require(ring.read(after: 0, kinds: all, job: nil))
        let ids = text(found.bytes).split(separator: "\n").filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
        #expect(ids == ["e-1~1~b=10", "e-2~1~a=2~b=10"])
        #expect(ring.position(of: "x-2~1~a=2~b=10") == .kept(since: Instant(microseconds: 1), seen: ["a": 2, "b": 36]))
        #expect(ring.position(of: "e-2~1~a=2~b=10") == .after(2))
        ring.settle(outbox: "a", nil)
        #expect(ring.newestID == "e-2~1~b=10")
    }

    @Test func bytesAreBounded() {
        var ring = EventRing(epoch: "e", settled: Instant(microseconds: 36))
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
            let found = hub.read(after: listener.start.after, kinds: Set(API.EventKind.allCases), job: nil)
            return String(decoding: found?.bytes ?? [], as: UTF8.self)
        }
        happen(1)
        var listener = try #require(hub.listen(lastID: nil)) as EventHub.Listener?
        let before = try #require(listener?.start.id)
        happen(2)
        #expect(listener.map(text)?.contains("\"run\":2") == true)
        listener = nil
        happen(3)
        clock.advance(by: EventHub.patience)
        happen(4)
        let back = try #require(hub.listen(lastID: before))
        #expect(back.start.way == .here(resumes: true) && text(back).contains("\"run\":3") && text(back).contains("\"run\":4"))
        withExtendedLifetime(back) {}
    }

    @Test func afterThatItIsPassedOver() throws {
        let (clock, outlet) = (ManualClock(), EventOutlet())
        let hub = EventHub(outlet: outlet, clock: clock)
        outlet.emit(.settled(sampleNow))
        hub.drain()
        let id = try #require(hub.listen(lastID: nil)).start.id
        clock.advance(by: EventHub.patience + .microseconds(1))
        // Nothing was missed yet.
        #expect(hub.listen(lastID: id)?.start.way == .here(resumes: true))
        clock.advance(by: EventHub.patience + .microseconds(1))
        outlet.emit(.problems([], at: sampleNow))
        hub.drain()
        #expect(hub.listen(lastID: id)?.start.way == .kept(since: sampleNow, seen: [:]))
    }
}

/// Over the wire.
@Suite(.timeLimit(.minutes(5))) struct EventStreamTests {
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

    private func id(_ since: Instant) -> String { "before-12~\(String(since.microseconds, radix: 36))" }

    @Test("Whoever comes back over a restart hears from the store what ended meanwhile, and then what happens")
    func goesOnFromTheStore() async throws {
        try await withServer { host, socket, _ in
            let since = sampleNow - .seconds(100)
            let before = Samples.record(50, ago: 101)
            let edge = Samples.record(51, ago: 60)
            let reloaded = ReloadRow(generation: 5, at: sampleNow - .seconds(50), accepted: true, report: Samples.report.jsonText)
            let moved = [("breaker close", 50), ("breaker open", 70)].map { action, ago in
                AuditRow(at: sampleNow - .seconds(ago), actor: .system, action: action, job: "deposits-credit")
            }
            host.fakeStore.edit { contents in
                contents.runs += [before, edge]
                contents.reloads = [reloaded] + contents.reloads
                contents.audit = moved + contents.audit
            }
            let stream = try await EventClient(socket, headers: "Last-Event-ID: \(id(since))\r\n")
            let hello = try #require(try await stream.next("event: "))
            // Cut off here it would ask for all of it again.
            #expect(hello.contains("\"resumed\":true") && !hello.contains("id: "))
            var told: [String] = []
            while let next = try await stream.next(": "), !next.hasPrefix("id: ") { told.append(next) }
            func ended(_ run: Int) -> [Int] {
                told.indices.filter { told[$0].contains("event: run_ended") && told[$0].contains("\"id\":\(run),") }
            }
            #expect(ended(50).isEmpty)
            for run in [51, 41, 39] { #expect(ended(run).count == 1, "\(run): \(told)") }
            let (first, second) = (try #require(ended(51).first), try #require(ended(41).first))
            #expect(first < second)
            #expect(told.contains { $0.contains("event: not_run") && $0.contains("55 fires were skipped (breaker)") })
            #expect(told.contains { $0.contains("event: action") && $0.contains("wrong numbers") })
            #expect(!told.contains { $0.contains("the chain is back") })
            #expect(told.contains { $0.contains("event: problems") })
            // What it is by now, however it was moved.
            let breakers = told.filter { $0.contains("event: breaker\n") }
            #expect(breakers.count == 1 && breakers[0].contains(#""job":"deposits-credit""#), "\(breakers)")
            #expect(breakers.allSatisfy { $0.contains(#""state":"open""#) && $0.contains("5 failures in 60s") }, "\(breakers)")
            let reloads = told.filter { $0.contains("event: reload\n") }
            #expect(reloads.count == 1 && reloads[0].contains(#""generation":5"#) && reloads[0].contains(#""name":"fees""#), "\(reloads)")
            #expect(!told.contains { $0.contains("event: reset") || $0.contains("id: ") })
            host.events.emit(.started(job: "candles", run: RunID(77), at: sampleNow, pid: 42))
            #expect(try await stream.next("run_started")?.contains("\"run\":77") == true)
            try await stream.close()
            // Others who come back now, with less or more of it, each hear what they lack, of that very reading.
            host.fakeStore.edit { $0.fault = StoreError(.unavailable, "gone") }
            let end = try #require(edge.finishedAt)
            let later = try await EventClient(socket, query: "?kind=run_ended", headers: "Last-Event-ID: \(id(end))\r\n")
            #expect(try await later.next("event: run_ended") != nil)
            try await later.close()
            // Who lacks more hears that it is not to be had now, and keeps its id.
            let replay = EventReplay(control: host, shelf: SnapshotShelf(control: host, clock: ManualClock(), reuse: 0), clock: ManualClock())
            await #expect(throws: StoreError.self) {
                try await replay.missed(since: since, start: .init(way: .kept(since: since, seen: [:]), after: 0, id: "x"), client: "a", holds: { _ in true })
            }
        }
    }

    private func expect(_ socket: String, _ id: String, beginsWith word: String) async throws {
        let stream = try await EventClient(socket, headers: "Last-Event-ID: \(id)\r\n")
        let first = try #require(try await stream.next("event: "))
        #expect(first.contains("event: \(word)\n") && !first.contains("too often"), "\(first)")
        try await stream.close()
    }

    @Test("What the ledger may have dropped meanwhile is a gap, and so is more than the state")
    func gapsAreTold() async throws {
        try await withServer { host, socket, _ in
            host.edit { host in
                for i in host.jobs.indices { host.jobs[i].retention = RetentionRule(age: .seconds(1_000), runs: 3) }
            }
            let back = id(sampleNow - .seconds(200))
            try await expect(socket, back, beginsWith: "hello")
            try await expect(socket, id(sampleNow - .seconds(1_001)), beginsWith: "reset")
            host.fakeStore.edit { $0.runs += [Samples.record(60, ago: 250)] }
            try await expect(socket, id(sampleNow - .seconds(300)), beginsWith: "reset")
            host.edit { host in
                for i in host.jobs.indices { host.jobs[i].retention = nil }
            }
            host.fakeStore.edit { $0.runs = (1...Int64(EventReplay.mostEntries) + 1).map { Samples.record($0) } }
            try await expect(socket, id(sampleNow - .seconds(500)), beginsWith: "reset")
        }
    }

    @Test("More reloads than are read for one who comes back are a gap, unless he has heard of the oldest of them")
    func reloadsMayBeAGap() async throws {
        try await withServer { host, socket, _ in
            func reloads(_ count: Int, every seconds: Int64 = 1) -> [ReloadRow] {
                (1...Int64(count)).map { ReloadRow(generation: 100 - $0, at: sampleNow - .seconds($0 * seconds), accepted: true, report: "{}") }
            }
            // Each goes further back than the one before, so that nothing read for that one serves it.
            for (ago, rows, word) in [
                (100, reloads(EventReplay.mostReloads), "reset"), (120, reloads(EventReplay.mostReloads - 1), "hello"),
                (150, reloads(EventReplay.mostReloads, every: 10), "hello"), (481, reloads(EventReplay.mostReloads, every: 10), "hello"),
                (495, reloads(EventReplay.mostReloads, every: 10), "reset"),
            ] as [(Int64, [ReloadRow], String)] {
                host.fakeStore.edit { $0.reloads = rows }
                try await expect(socket, id(sampleNow - .seconds(ago)), beginsWith: word)
            }
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
        for stall in [.milliseconds(500), .seconds(10), .minutes(2)] as [TimeAmount] {
            if try await dropsTheSlowAlone(stall: stall) { return }
        }
        Issue.record("a quick one is dropped, too")
    }

    /// false: a quick one was dropped, too. On a busy machine it may have taken nothing for that long.
    private func dropsTheSlowAlone(stall: TimeAmount) async throws -> Bool {
        var limits = HTTPLimits.patient
        limits.stall = stall
        return try await withServer(limits: limits) { host, socket, server in
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
                guard try await quick.next("batch \(batch)\"") != nil else {
                    for client in slow { try? await client.close() }
                    return false
                }
            }
            for client in slow { try await client.waitForEnd() }
            try await eventually { server.hub.figures.listeners <= 1 }
            guard server.hub.figures.listeners == 1 else { return false }
            // Each of them once, be it that it fell behind or that it took nothing for too long.
            #expect(server.hub.figures.slow == 20)
            try await quick.close()
            return true
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
