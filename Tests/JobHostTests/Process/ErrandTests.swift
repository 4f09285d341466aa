import Glibc
import Testing

@testable import JobHost

/// Programs of the operator's, as alerts run them.
@Suite(.timeLimit(.minutes(5))) struct ErrandTests {
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

    @Test func oneThatCannotBeWatchedIsEndedAndNothingOfItIsLeft() async throws {
        try await onStage { stage in
            await stage.refuseWatch(0)
            let problem = await stage.errand("for n in 1 2 3 4 5 6 7 8 9; do sleep 1; done # \(stage.folder.path)")
            #expect(problem?.hasPrefix("sh could not be started: cannot watch a descriptor") == true, "\(problem ?? "")")
            let left = ProcFS.children(getpid()).filter { child in
                let command = ProcFS.read("/proc/\(child)/cmdline", limit: 1 << 12) ?? []
                return String(decoding: command, as: UTF8.self).contains(stage.folder.path)
            }
            #expect(left == [])
            #expect(await stage.errand("true") == nil)
        }
    }

    @Test func moreThanAPipeTakesIsSaidNotCut() async throws {
        try await onStage { stage in
            #expect(await stage.errand("wc -c >&2; exit 3", input: [UInt8](repeating: 65, count: 150_000)) == "sh exited with code 3; it printed: 150000")
            let problem = await stage.errand("cat > /dev/null", input: [UInt8](repeating: 65, count: 8 << 20))
            #expect(problem == "sh could not be given its whole input at once and was killed")
        }
    }
}
