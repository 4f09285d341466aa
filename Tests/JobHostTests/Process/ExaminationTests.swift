import JobCore
import Testing

@testable import JobHost

/// The real worker and a plugin whose doctors make every kind of trouble.
@Suite(.timeLimit(.minutes(2))) struct ExaminationTests {
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
            let result = try #require(await stage.examine(await stage.pool(), entry: "polite", timeout: .milliseconds(50)))
            #expect(result.end == .failed("no time left for the ledger"))
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

    @Test func aLibraryThatDoesNotLoadAndAWorkerThatDoesNotStartAreToldApart() async throws {
        let stage = try await Stage()
        var gone = await stage.pool()
        gone.library.path = "/nonexistent/libp.so"
        guard case .notLoaded(let reason) = await stage.examine(gone, entry: "good")?.end else { throw TestFailure(text: "loaded") }
        #expect(reason.contains("/nonexistent/libp.so"))
        await stage.stop()
        let stopping = await stage.examine(await stage.pool(), entry: "good")
        #expect(stopping?.end == .hostFault("the host is stopping"))
        await stage.close()
    }
}
