import JobCore
import JobStore
import JobTestKit
import Testing

@testable import JobHost

/// What those who come back may ask of the store.
struct ReplayTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    @Test("A client has some readings at once and then one in a while; others have their own, however many there are")
    func pace() {
        var pace = ReplayPace()
        func asks(_ client: String, _ second: Int64) -> Bool { pace.mayRead(client, now: at(second)) }
        let first = (0..<ReplayPace.most + 2).map { _ in asks("a", 100) }
        #expect(first == (0..<ReplayPace.most + 2).map { $0 < ReplayPace.most })
        let others = (asks("b", 100), asks("a", 104), asks("a", 105), asks("a", 105))
        #expect(others == (true, false, true, false))
        let rested = (0..<ReplayPace.most + 1).map { _ in asks("a", 1_000) }
        #expect(rested.count { $0 } == ReplayPace.most)
        let many = (0..<Int64(3 * ReplayPace.mostClients)).map { asks("c\($0)", 1_001) }
        #expect(!many.contains(false))
    }

    private func withReplay(_ body: (FakeHost, _ missed: (Int64, String) async throws -> EventReplay.Answer) async throws -> Void) async throws {
        try await withServer { host, _, _ in
            // However long the test takes: nobody's readings come back meanwhile.
            let clock = ManualClock()
            let replay = EventReplay(control: host, shelf: SnapshotShelf(control: host, clock: clock, reuse: 0), clock: clock)
            try await body(host) { ago, client in
                let since = sampleNow - .seconds(ago)
                return try await replay.missed(
                    since: since, start: .init(way: .kept(since: since, seen: [:]), after: 0, id: "x"), client: client, holds: { _ in true })
            }
        }
    }

    @Test("Somebody who goes ever further back has it read some times, others go on; what was read for others costs nothing")
    func readingsOfOneClient() async throws {
        try await withReplay { _, missed in
            func isTold(_ ago: Int64, _ client: String) async throws -> Bool {
                if case .missed = try await missed(ago, client) { true } else { false }
            }
            for n in 1...Int64(ReplayPace.most) { #expect(try await isTold(n * 20, "a")) }
            guard case .tooOften = try await missed(900, "a") else { return #expect(Bool(false), "it is read for it again") }
            #expect(try await isTold(900, "b"))
            #expect(try await isTold(800, "a"))
        }
    }

    @Test("What a job's retention has surely dropped is not looked for")
    func retentionFirst() async throws {
        try await withReplay { host, missed in
            host.edit { host in
                for i in host.jobs.indices { host.jobs[i].retention = RetentionRule(age: .seconds(60), runs: 1_000) }
            }
            host.fakeStore.edit { $0.fault = StoreError(.unavailable, "asked") }
            // However often, and it costs the asker no reading.
            for n in 1...3 * Int64(ReplayPace.most) {
                guard case .gone = try await missed(60 + n, "a") else { return #expect(Bool(false), "it is to be had, or was asked for too often") }
            }
            await #expect(throws: StoreError.self) { try await missed(30, "a") }
        }
    }
}
