import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("What the store is asked, and in which order", .timeLimit(.minutes(5))) struct CommandOrderTests {
    private static let somebody = Actor(name: "somebody", via: "test")

    @Test("Who asks for a run is noted with it, and no claim waits for that")
    func triggered() async throws {
        let store = SlowStore()
        store.answer()
        try await ShellStage.use(store: store) { stage in
            await stage.holdLease()
            await stage.supervisor.act { supervisor in
                supervisor.phase = .running
                var generation = Generation.of("mint", number: 2)
                generation.pools = [PoolSpec(key: "p", plugin: "p", library: LibraryCopy(sha256: "h", path: "/copies/h"))]
                supervisor.apply(generation, rows: [:], states: [:])
            }
            // What an earlier life may have left.
            await stage.until { store.asked("claimWaiting") > 0 }
            await stage.turns()
            _ = try await stage.supervisor.perform(.trigger(job: "mint", payload: nil), by: Self.somebody)
            #expect(store.audit.map(\.action) == ["trigger"] && store.audit.map(\.detail) == ["run 1"] && store.audit.map(\.actor) == [Self.somebody])
            await stage.until { store.questions.drop { $0 != "enqueue" }.count > 1 }
            #expect(store.questions.drop { $0 != "enqueue" }.prefix(2) == ["enqueue", "claimWaiting"])
            #expect(store.asked("writeAudit") == 0)
        }
    }

    @Test("The states of all jobs that keep one are asked for together, of those that are new to the host")
    func states() async throws {
        let store = SlowStore()
        store.answer()
        store.hold(state: StateBlob(version: 1, bytes: [9]), isLate: false)
        try await ShellStage.use(store: store) { stage in
            var generation = Generation.of("none", number: 2)
            for name in ["burn", "mint"] { generation.jobs[name] = Generation.of(name, number: 2, stateVersion: 1).jobs[name] }
            let next = generation
            let blobs = try await stage.supervisor.stateBlobs(of: next)
            #expect(blobs.keys.sorted() == ["burn", "mint"])
            #expect(store.asked("stateBlobs") == 1)
            await stage.supervisor.act { $0.apply(next, rows: [:], states: blobs) }
            #expect(try await stage.supervisor.stateBlobs(of: next).isEmpty)
            #expect(store.asked("stateBlobs") == 1)
        }
    }
}
