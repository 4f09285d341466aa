import JobCore
import JobStore
import Testing

@testable import JobHost

@Suite("A state that an attempt left and the store did not take", .timeLimit(.minutes(5))) struct UnrecordedStateTests {
    @Test("The next attempt begins with what the store has, be it nothing, where the end came too late to be recorded; what was recorded stays", arguments: [
        true, false,
    ])
    func late(isLate: Bool) async throws {
        for stored in [StateBlob(version: 1, bytes: [1]), nil] {
            let here = StateBlob(version: 1, bytes: [9])
            let store = SlowStore()
            store.answer()
            store.hold(state: stored, isLate: isLate)
            try await ShellStage.use(store: store) { stage in
                await stage.supervisor.act { supervisor in
                    supervisor.apply(.of("mint", number: 2), rows: [:], states: ["mint": here])
                    var end = Completion(
                        run: RunID(1), fence: 1, outcome: .succeeded, state: .succeeded, finishedAt: supervisor.clock.now().wall)
                    end.stateBlob = Completion.StateWrite(version: here.version, bytes: here.bytes)
                    supervisor.record([.complete(job: "mint", end)])
                }
                await stage.turns()
                #expect(await stage.supervisor.act { $0.dispatcher.jobs[0].state } == (isLate ? stored : here))
                #expect(await stage.supervisor.act { $0.statesUnsure.isEmpty })
            }
        }
    }
}
