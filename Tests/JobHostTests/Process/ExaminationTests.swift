import JobCore
import Testing

@testable import JobHost

/// The real worker and a plugin whose doctors make every kind of trouble.
@Suite(.timeLimit(.minutes(5))) struct ExaminationTests {
    @Test func aDoctorTellsItsFindingsAndNothingIsLeft() async throws {
        try await onStage { stage in
            let result = try #require(await stage.examine(await stage.pool(), entry: "good"))
            #expect(result.findings == [PluginFinding(.ok, "rows", "3 rows"), PluginFinding(.error, "peer", "the-job")])
            #expect(result.end == .complete(dropped: 0))
            #expect(await stage.snapshot() == [])
        }
    }

    @Test func aCrashIsAFindingAndWhatWasToldBeforeIsKept() async throws {
        try await onStage { stage in
            let result = try #require(await stage.examine(await stage.pool(), entry: "segfault"))
            #expect(result.findings == [PluginFinding(.warning, "rows", "told before the fall")])
            #expect(result.end == .failed("exited by signal 11 (SIGSEGV) while it looked at the job; it printed: about to fall"))
        }
    }

    @Test func aDoctorThatStopsWhenAskedSaysHowFarItCame() async throws {
        try await onStage { stage in
            // On a busy machine one that stops is now and then killed as one that hangs.
            var ends: [ExaminationResult.End] = []
            while ends.count < 10, ends.last != .failed("no time left for the ledger") {
                ends.append(try #require(await stage.examine(await stage.pool(), entry: "polite", timeout: .milliseconds(50))).end)
            }
            #expect(ends.last == .failed("no time left for the ledger"), "\(ends)")
        }
    }

    @Test func aDoctorThatHangsIsKilled() async throws {
        try await onStage { stage in
            let result = try #require(await stage.examine(await stage.pool(), entry: "hang", timeout: .milliseconds(50)))
            #expect(result.end == .failed("not done within 50ms"))
            #expect(await stage.snapshot() == [])
        }
    }

    @Test func anEntryWithoutADoctorSaysSo() async throws {
        try await onStage { stage in
            #expect(await stage.examine(await stage.pool(), entry: "nothing")?.end == .absent)
        }
    }

    @Test func aLibraryThatCannotBeLoadedIsNotTheDoctorsFault() async throws {
        try await onStage { stage in
            var gone = await stage.pool()
            gone.library.path = "/nonexistent/libp.so"
            guard case .notLoaded(let reason) = await stage.examine(gone, entry: "good")?.end else { throw TestFailure(text: "loaded") }
            #expect(reason.contains("/nonexistent/libp.so"))
            let folder = TemporaryFolder()
            let original = try TroublePlugin.build(
                in: folder.path, extra: "\n__attribute__((constructor)) static void c(void) { abort(); }")
            var crashing = await stage.pool()
            crashing.library = try LibraryStore(stateDir: stage.folder.path).accept(original: original)
            let end = await stage.examine(crashing, entry: "good")?.end
            #expect(end == .notLoaded("exited by signal 6 (SIGABRT) while the library was loaded"))
        }
    }

    @Test func aWorkerThatDoesNotStartIsTheHostsFault() async throws {
        let stage = try await Stage(worker: "/nonexistent/jobhost-worker")
        let end = await stage.examine(await stage.pool(), entry: "good")?.end
        #expect(end == .hostFault("cannot start /nonexistent/jobhost-worker: No such file or directory (ENOENT)"))
        await stage.stop()
        let stopping = await stage.examine(await stage.pool(), entry: "good")?.end
        #expect(stopping == .hostFault("the host is stopping"))
        await stage.close()
    }
}
