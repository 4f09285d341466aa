import JobCore
import JobStore
import Testing

@testable import JobHost

/// What a host asks its store again and again, and how.
private struct Recurring: Sendable, CustomTestStringConvertible {
    var question: String
    var ask: @Sendable (isolated Supervisor) -> Void
    var testDescription: String { question }

    static let all = [
        Recurring(question: "nextWaiting") { $0.sweep() },
        Recurring(question: "queueDepths") { $0.refreshCounts() },
        Recurring(question: "prune") { $0.prune() },
        Recurring(question: "expireWaiting") { $0.expireWaiting() },
        Recurring(question: "jobsInInbox") { $0.drainInbox() },
        Recurring(question: "renewLeases") { $0.renewLeases() },
        Recurring(question: "sharedState") { $0.readSharedState() },
        Recurring(question: "abandonedRuns") { $0.rescueAbandoned() },
        Recurring(question: "claims") { $0.releaseStrays() },
        Recurring(question: "definitions") { $0.compareDefinitions() },
    ]
}

@Suite("Questions to the store that recur", .timeLimit(.minutes(5))) struct RecurringQuestionTests {
    private func stage(_ body: (ShellStage, SlowStore) async throws -> Void) async throws {
        let store = SlowStore()
        try await ShellStage.use(store: store) { stage in
            await stage.holdLease()
            try await body(stage, store)
            store.answer()
        }
    }

    @Test("None is asked again before its answer, be it a fault; then it is", arguments: Recurring.all, [true, false])
    private func once(recurring: Recurring, isAnswered: Bool) async throws {
        try await stage { stage, store in
            await stage.supervisor.act(recurring.ask)
            await stage.until { store.asked(recurring.question) > 0 }
            for _ in 0..<5 { await stage.supervisor.act(recurring.ask) }
            await stage.turns()
            #expect(store.asked(recurring.question) == 1)
            store.answer(isAnswered ? nil : StoreError(.unavailable, "away"))
            while store.asked(recurring.question) < 2, !Task.isCancelled {
                await stage.supervisor.act(recurring.ask)
                await Task.yield()
            }
            #expect(store.asked(recurring.question) > 1)
        }
    }

    @Test("One that the store does not answer holds up no other")
    func others() async throws {
        try await stage { stage, store in
            for recurring in Recurring.all {
                await stage.supervisor.act(recurring.ask)
                await stage.until { store.asked(recurring.question) > 0 }
            }
            #expect(Recurring.all.map { store.asked($0.question) } == Recurring.all.map { _ in 1 })
        }
    }

    @Test("Whose rows are in the inbox is not asked again where more was left there than was taken")
    func left() async throws {
        try await stage { stage, store in
            store.answer()
            store.hold(inbox: ["mint"], batches: 3)
            await stage.supervisor.act { $0.drainInbox() }
            await stage.until { store.asked("drainInbox") >= 4 }
            await stage.turns()
            #expect(store.asked("drainInbox") == 4)
            #expect(store.asked("jobsInInbox") == 1)
            await stage.supervisor.act { $0.drainInbox() }
            await stage.until { store.asked("jobsInInbox") > 1 }
            #expect(store.asked("jobsInInbox") == 2)
            #expect(store.asked("drainInbox") == 4)
        }
    }

    @Test("Whose rows are in the inbox is not asked where the store has said so with its hint")
    func hinted() async throws {
        try await stage { stage, store in
            store.answer()
            store.hold(inbox: ["mint"], batches: 0)
            await stage.supervisor.act { $0.inboxHinted(["mint"]) }
            await stage.until { store.asked("drainInbox") > 0 }
            // What comes a moment later is asked for.
            #expect(store.questions.first == "drainInbox")
        }
    }

    @Test("What comes into the inbox while it is being emptied is looked for once more", arguments: [nil, ["mint"]] as [[String]?])
    func inbox(hinted: [String]?) async throws {
        try await stage { stage, store in
            await stage.supervisor.act { $0.drainInbox() }
            await stage.until { store.asked("jobsInInbox") > 0 }
            for _ in 0..<5 { await stage.supervisor.act { $0.inboxHinted(hinted) } }
            await stage.turns()
            #expect(store.asked("jobsInInbox") == 1)
            store.answer()
            await stage.until { store.asked("jobsInInbox") > 1 }
            #expect(store.asked("jobsInInbox") > 1)
        }
    }
}
