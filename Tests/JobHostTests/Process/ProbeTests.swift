import Glibc
import JobCore
import Testing

@testable import JobHost

/// What a throwaway worker says of a library and of settings.
@Suite(.timeLimit(.minutes(5))) struct ProbeTests {
    @Test func settingsAreAskedAboutInAThrowawayWorker() async throws {
        try await onStage { stage in
            let questions = [
                SettingsQuestion(entry: "good", settings: Array("{}".utf8)),
                SettingsQuestion(entry: "good", settings: Array(#"{"a":1}"#.utf8)),
            ]
            guard case .loaded(let descriptor, let answers) = await stage.probe(await stage.pool(), questions) else {
                throw TestFailure(text: "not loaded")
            }
            #expect(descriptor.id == "trouble")
            #expect(descriptor.entries.map(\.id) == TroublePlugin.entries)
            #expect(answers == [nil, "no settings, please"])
            #expect(await stage.snapshot() == [])
        }
    }

    /// The child, its socket, its output.
    @Test(arguments: [0, 1])
    func oneThatCannotBeWatchedIsTheHostsFault(number: Int) async throws {
        try await onStage { stage in
            await stage.refuseWatch(number)
            guard case .hostFault(let text) = await stage.probe(await stage.pool()) else { throw TestFailure(text: "no fault of the host") }
            #expect(text.hasPrefix("cannot watch a descriptor"), "\(text)")
            guard case .loaded = await stage.probe(await stage.pool()) else { throw TestFailure(text: "not loaded") }
        }
    }

    @Test(arguments: [
        ("crashes", "__attribute__((constructor)) static void c(void) { printf(\"hello\\n\"); fflush(stdout); abort(); }",
         "exited by signal 6 (SIGABRT) while the library was loaded; it printed: hello"),
        ("hangs", "__attribute__((constructor)) static void c(void) { for (;;) pause(); }", "not loaded within 300ms"),
        ("is killed", "__attribute__((constructor)) static void c(void) { raise(SIGKILL); }",
         "exited by signal 9 (SIGKILL) while the library was loaded"),
        ("has no room", "__attribute__((constructor)) static void c(void) { _exit(69); }",
         "exited with code 69 (\(WorkerExit.resources.description)) while the library was loaded"),
    ])
    func aLibraryThatCannotBeLoadedIsRefusedWithTheReason(name: String, constructor: String, reason: String) async throws {
        try await onStage { stage in
            let folder = TemporaryFolder()
            let original = try TroublePlugin.build(in: folder.path, extra: "\n" + constructor)
            var spec = await stage.pool(startTimeout: name == "hangs" ? .milliseconds(300) : .seconds(100))
            spec.library = try LibraryStore(stateDir: stage.folder.path).accept(original: original)
            switch await stage.probe(spec) {
            case .refused(let text): #expect(text == reason && name == "crashes")
            case .late(let text): #expect(text == reason && ["hangs", "is killed"].contains(name), "it may be the machine's fault")
            case .hostFault(let text): #expect(text == reason && name == "has no room", "it is the machine's fault")
            case .loaded: throw TestFailure(text: "not refused")
            }
        }
    }
}
