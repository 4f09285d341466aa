import JobCore
import JobTestKit
import Testing

@testable import JobHost

/// Snapshots that take 100 ms, and so serve for a second.
struct SnapshotShelfTests {
    private func shelf(_ body: (FakeHost, ManualClock, SnapshotShelf) async throws -> Void) async throws {
        let folder = try TestFolder()
        let host = try FakeHost(folder: folder.path)
        let clock = ManualClock(wall: sampleNow)
        host.onSnapshot { clock.advance(by: .milliseconds(100)) }
        try await body(host, clock, SnapshotShelf(control: host, clock: clock))
        host.close()
    }
    private func change(_ host: FakeHost) { host.edit { $0.generation += 1 } }
    private let event = HostEvent.problems([], at: sampleNow)

    @Test func oneServesForASecondWhileNothingHappens() async throws {
        try await shelf { host, clock, shelf in
            #expect(await shelf.snapshot().generation == 4)
            change(host)
            clock.advance(by: .milliseconds(999))
            // Of these nobody hears.
            shelf.hear([.store(operation: "complete", took: .zero), .worker(.started(plugin: "p"))])
            #expect(await shelf.snapshot().generation == 4)
            clock.advance(by: .milliseconds(1))
            #expect(await shelf.snapshot().generation == 5)
        }
    }

    /// The page asks 400 ms after it heard of something.
    @Test func whoAsksAMomentAfterAnEventSeesIt() async throws {
        try await shelf { host, clock, shelf in
            _ = await shelf.snapshot()
            change(host)
            shelf.hear([event])
            clock.advance(by: .milliseconds(299))
            // What goes on happening puts nothing off.
            shelf.hear([event])
            #expect(await shelf.snapshot().generation == 4)
            clock.advance(by: .milliseconds(1))
            shelf.hear([event])
            #expect(await shelf.snapshot().generation == 5)
            clock.advance(by: .milliseconds(999))
            #expect(await shelf.snapshot().generation == 5)
        }
    }

    @Test func whatHappensWhileOneIsOnItsWayIsNotTakenForSeen() async throws {
        try await shelf { host, clock, shelf in
            host.onSnapshot {
                clock.advance(by: .milliseconds(100))
                shelf.hear([.problems([], at: sampleNow)])
            }
            #expect(await shelf.snapshot().generation == 4)
            change(host)
            clock.advance(by: .milliseconds(299))
            #expect(await shelf.snapshot().generation == 4)
            clock.advance(by: .milliseconds(1))
            #expect(await shelf.snapshot().generation == 5)
        }
    }

    @Test func afterACommandTheNextOneIsNew() async throws {
        try await shelf { host, _, shelf in
            _ = await shelf.snapshot()
            change(host)
            await shelf.forget()
            #expect(await shelf.snapshot().generation == 5)
        }
    }
}
