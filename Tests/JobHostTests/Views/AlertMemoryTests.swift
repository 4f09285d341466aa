import JobConfig
import JobCore
import JobTestKit
import Logging
import NIOCore
import Synchronization
import Testing

@testable import JobHost

/// Deliveries to one command that wait until the test says how they end.
final class Deliveries: Sendable {
    private let state = Mutex<[(body: [UInt8], end: CheckedContinuation<String?, Never>)]>([])

    /// Alerts of a host that is healthy but for what the test does.
    func alerts(of host: FakeHost, _ clock: ManualClock, file: AlertFile? = nil) -> Alerts {
        host.edit { $0.jobs = [Samples.healthy] }
        return Alerts(
            shelf: SnapshotShelf(control: host, clock: clock, reuse: 0), clock: clock, log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            file: file, run: { await self.take($1) })
    }

    private func take(_ body: [UInt8]) async -> String? {
        await withCheckedContinuation { end in state.withLock { $0.append((body, end)) } }
    }
    var count: Int { state.withLock { $0.count } }
    func text(_ number: Int) -> String { state.withLock { String(decoding: $0[number].body, as: UTF8.self) } }
    func end(_ number: Int, _ problem: String?) { state.withLock { $0[number].end }.resume(returning: problem) }
}

/// One life of a host after the other, in one state folder.
struct AlertMemoryTests {
    private final class Lives: Sendable {
        let folder: TestFolder
        let host: FakeHost
        let clock = ManualClock(wall: sampleNow)
        let deliveries = Deliveries()
        init() throws {
            let folder = try TestFolder()
            host = try FakeHost(folder: folder.path)
            self.folder = folder
        }
        var file: AlertFile { AlertFile(stateDir: folder.path) }
        func begin() async -> Alerts {
            let alerts = deliveries.alerts(of: host, clock, file: file)
            await alerts.use(settings)
            return alerts
        }
        var settings: AlertSettings {
            var settings = AlertSettings()
            settings.command = ["page"]
            return settings
        }
        deinit { host.close() }
    }

    private func dead(_ run: Int64, of job: String) -> HostEvent {
        .ended(Samples.record(run, job: job, state: .discarded, outcome: .failed, reason: "no such asset"))
    }

    @Test func whatIsGatheredIsToldBeforeTheHostEnds() async throws {
        let life = try Lives()
        let alerts = await life.begin()
        life.host.edit { $0.phase = "draining" }
        alerts.hear([dead(9, of: "mint")])
        await alerts.look()
        #expect(life.deliveries.count == 0)
        alerts.hear([dead(10, of: "candles")])
        let (deliveries, end) = (life.deliveries, Task { await alerts.finish(within: .hours(1)) })
        try await eventually { deliveries.count == 1 }
        #expect(deliveries.text(0).contains("run_discarded:mint") && deliveries.text(0).contains("run_discarded:candles"))
        deliveries.end(0, nil)
        await end.value
        #expect(life.file.read().memory == AlertMemory())
    }

    /// Told within the last ten minutes: the next would wait.
    @Test func whatIsToldSeldomIsToldBeforeTheHostEnds() async throws {
        let life = try Lives()
        let (alerts, deliveries) = (await life.begin(), life.deliveries)
        alerts.hear([dead(9, of: "mint")])
        await alerts.look()
        life.clock.advance(by: .seconds(10))
        await alerts.look()
        try await eventually { deliveries.count == 1 }
        deliveries.end(0, nil)
        try await eventually { await alerts.shown().receivers.first?.waiting == 0 }
        alerts.hear([dead(10, of: "mint"), dead(11, of: "mint")])
        let end = Task { await alerts.finish(within: .hours(1)) }
        try await eventually { deliveries.count == 2 }
        #expect(deliveries.text(1).contains("run 11 of mint"))
        deliveries.end(1, nil)
        await end.value
    }

    @Test func whatNobodyHasTakenIsSentByTheNextLife() async throws {
        let life = try Lives()
        let (first, deliveries) = (await life.begin(), life.deliveries)
        first.hear([dead(9, of: "mint")])
        await first.look()
        // This one is not told by the end: its receiver is away, and the one on its way hangs.
        life.clock.advance(by: .seconds(10))
        await first.look()
        try await eventually { deliveries.count == 1 }
        first.hear([dead(10, of: "candles")])
        await first.finish(within: .zero)
        let second = await life.begin()
        #expect(await second.shown().receivers.map(\.waiting) == [2])
        await second.look()
        try await eventually { deliveries.count == 2 }
        #expect(deliveries.text(1) == deliveries.text(0))
        deliveries.end(1, nil)
        try await eventually { deliveries.count == 3 }
        #expect(deliveries.text(2).contains("run 10 of candles"))
        deliveries.end(2, nil)
        try await eventually { life.file.read().memory.receivers.isEmpty }
        // The first life's rest: nothing is written once the folder is gone.
        deliveries.end(0, nil)
        try await eventually { deliveries.count == 4 }
        deliveries.end(3, nil)
        try await eventually { await first.shown().receivers.first?.waiting == 0 }
    }

    /// No last words: SIGKILL.
    @Test func whatIsOnItsWayIsInTheFile() async throws {
        let life = try Lives()
        let (first, deliveries) = (await life.begin(), life.deliveries)
        first.hear([dead(9, of: "mint")])
        await first.look()
        life.clock.advance(by: .seconds(10))
        await first.look()
        try await eventually { deliveries.count == 1 }
        deliveries.end(0, "busy")
        try await eventually { life.file.read().memory.receivers.first?.waiting.first?.attempts == 1 }
        #expect(life.file.read().memory.messages.values.first?.contains("run 9 of mint") == true)
    }

    @Test func whatIsOverWhenTheHostIsBackIsToldAndWhatGoesOnIsNotToldAnew() async throws {
        let life = try Lives()
        let (first, deliveries) = (await life.begin(), life.deliveries)
        life.host.edit { host in
            host.jobs = [Samples.healthy, Samples.running]
            host.jobs[0].breaker.state = "open"
            host.jobs[1].breaker.state = "open"
        }
        await first.look()
        life.clock.advance(by: .seconds(10))
        await first.look()
        try await eventually { deliveries.count == 1 }
        deliveries.end(0, nil)
        try await eventually { await first.shown().receivers.first?.waiting == 0 }
        // Killed. The breaker of one is closed while the host is down.
        life.clock.advance(by: .seconds(600))
        let second = await life.begin()
        life.host.edit { host in
            host.jobs = [Samples.healthy, Samples.running]
            host.jobs[1].breaker.state = "open"
        }
        // What is not known yet is neither wrong nor over.
        await second.look()
        #expect(await second.shown().alerts.map(\.key) == ["breaker_opened:margin-check"])
        #expect(await second.shown().alerts.first?.since == sampleNow)
        life.clock.advance(by: .seconds(29))
        await second.look()
        life.clock.advance(by: .seconds(1))
        await second.look()
        #expect(deliveries.count == 1)
        life.clock.advance(by: .seconds(10))
        await second.look()
        try await eventually { deliveries.count == 2 }
        #expect(deliveries.text(1).contains(#""key":"breaker_opened:candles""#) && deliveries.text(1).contains(#""state":"resolved""#))
        #expect(!deliveries.text(1).contains("margin-check"))
        deliveries.end(1, nil)
        // Four hours after it was told, not after the start.
        life.clock.advance(by: .seconds(4 * 3_600 - 640))
        await second.look()
        life.clock.advance(by: .seconds(10))
        await second.look()
        try await eventually { deliveries.count == 3 }
        #expect(deliveries.text(2).contains("breaker_opened:margin-check"))
        deliveries.end(2, nil)
        try await eventually { await second.shown().receivers.first?.waiting == 0 }
    }

    @Test(arguments: ["{", "[]", #"{"version":2}"#, #"{"version":1,"told":[{}],"messages":{},"receivers":[]}"#, ""])
    func aDamagedFileIsPutAside(_ text: String) async throws {
        let life = try Lives()
        let path = life.folder.path + "/alerts.json"
        try Files.write(text, to: path)
        let (memory, problem) = life.file.read()
        #expect(memory == AlertMemory())
        #expect(problem?.contains("\(path).damaged") == true)
        #expect(try Files.read(path + ".damaged") == text)
        #expect(life.file.read().problem == nil)
    }

    @Test func memoryIsBounded() throws {
        var box = Outbox()
        for number in 0..<Outbox.mostMessages { box.add(Outbox.Message(id: "\(number)", body: [UInt8](repeating: 65, count: 50_000))) }
        let memory = AlertMemory(boxes: [("a", "1", box), ("b", "2", box)])
        #expect(memory.messages.count == AlertMemory.mostBytes / 50_000)
        #expect(memory.receivers.map(\.waiting.count) == [memory.messages.count, memory.messages.count])
        // The newest; the others are counted.
        #expect(memory.receivers[0].waiting.last?.message == "99" && memory.receivers[0].lost == 100 - memory.messages.count)
        let back = memory.outbox(of: memory.receivers[1])
        #expect(back.messages.map(\.id) == box.messages.suffix(memory.messages.count).map(\.id) && back.lost == memory.receivers[1].lost)
    }
}
