import Testing

@testable import JobHost

/// Programs of the operator's, as alerts run them.
@Suite(.timeLimit(.minutes(2))) struct ErrandTests {
    @Test func anErrandThatEndsWellSaysNothing() async throws {
        try await onStage { stage in
            #expect(await stage.errand("echo done") == nil)
        }
    }

    @Test func lastWordsAreHeardThoughTheEndComesFirst() async throws {
        try await onStage { stage in
            let problem = await stage.errandHeardLate("exec >&-; echo out of paper >&2; exit 3")
            #expect(problem == "sh exited with code 3; it printed: out of paper")
        }
    }

    @Test func theEndOfMuchIsKeptNotItsBeginning() async throws {
        try await onStage { stage in
            let problem = await stage.errandHeardLate("head -c 30000 /dev/zero | tr '\\0' '\\n'; echo out of paper; exit 3")
            #expect(problem == "sh exited with code 3; it printed: out of paper")
        }
    }
}
