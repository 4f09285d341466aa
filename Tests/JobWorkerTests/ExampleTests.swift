import JobCore
import Testing

/// The examples, compiled by the command their header shows (with warnings as errors on top)
/// and run in a real worker.
@Suite(.timeLimit(.minutes(5)))
struct ExampleTests {
    private let workshop: Workshop
    private let worker: WorkerProcess

    init() throws {
        workshop = try Workshop()
        worker = try WorkerProcess()
    }

    private func example(_ path: String) -> String { Binaries.root + "/Examples/" + path }

    @Test func `The C example says hello, counts in its state and is cancelled`() throws {
        let plugin = try worker.load(workshop.compileC(example("hello-c/hello.c")))
        #expect(plugin.id == "hello-c")
        #expect(plugin.entries.map(\.id) == ["greet", "wait"])
        #expect(plugin.entries[0].idempotent)
        #expect(plugin.entries[0].defaultSchedule == "every 10s")
        #expect(plugin.entries[0].stateVersion == 1)

        try worker.send(.instance(1, entry: "greet"), .instance(2, entry: "wait"))
        let first = try worker.run(.go(1))
        #expect(first.before == [.started(run: RunID(1))])
        #expect(first.result.code == .succeeded)
        #expect(first.result.text == "said hello")
        #expect(first.result.items == 1)
        #expect(first.result.stateOnSuccess == StateBlob(version: 1, bytes: [1]))
        let second = try worker.run(.go(2, state: StateBlob(version: 1, bytes: [41])))
        #expect(second.result.stateOnSuccess == StateBlob(version: 1, bytes: [42]))
        #expect(try worker.outputContains("Hello, world, number 42"))

        try worker.send(.run(.go(3, instance: 2)))
        #expect(try worker.receive() == .started(run: RunID(3)))
        #expect(
            try worker.receive()
                == .log(run: RunID(3), level: .info, text: "waiting", fields: Array(#"{"for":"cancellation"}"#.utf8)))
        try worker.send(.cancel(run: RunID(3)))
        #expect(try worker.untilResult().result.code == .cancelled)

        try worker.send(.shutdown)
        #expect(try worker.end() == .exited(0))
    }

    @Test func `The C++ example keeps an instance and turns an exception into a failure`() throws {
        let plugin = try worker.load(workshop.compileCpp(example("hello-cpp/hello.cpp")))
        #expect(plugin.id == "hello-cpp")
        try worker.send(.instance(1, entry: "greet", settings: #"{"a":1}"#))
        #expect(try worker.run(.go(1, payload: "{}")).result.text == "run 1 of this worker")
        #expect(try worker.run(.go(2, payload: "{}")).result.text == "run 2 of this worker")
        let failed = try worker.run(.go(3)).result
        #expect(failed.code == .failed)
        #expect(failed.failCode == 1)
        #expect(failed.text == "a payload was expected")
        #expect(try worker.outputContains(#"Hello from C++, settings {"a":1}"#))
    }

    @Test(.enabled(if: Spawn.isThere("rustc")))
    func `The Rust example runs`() throws {
        let plugin = try worker.load(workshop.compileRust(example("hello-rust/hello.rs")))
        #expect(plugin.id == "hello-rust")
        try worker.send(.instance(1, entry: "greet"))
        let (before, result) = try worker.run(.go(1, attempt: 3))
        #expect(before == [.started(run: RunID(1)), .progress(run: RunID(1), done: 1, total: 1, text: "greeting")])
        #expect(result.code == .succeeded)
        #expect(result.text == "said hello")
        #expect(try worker.outputContains("Hello from Rust, attempt 3"))
    }

    /// The plugin brings its own runtime, in either way; the worker's is invisible to it.
    @Test(arguments: [[], ["-static-stdlib"], ["-O"]])
    func `The Swift example runs with its own runtime`(options: [String]) throws {
        let source = example("hello-swift/Sources/HelloSwift/Hello.swift")
        let plugin = try worker.load(workshop.compileSwift(source, options: options))
        #expect(plugin.id == "hello-swift")
        #expect(
            plugin.entries[0].settingsSchema
                == #"{"type":"object","additionalProperties":false,"properties":{"#
                + #""name":{"type":"string","description":"Who is greeted.","default":"world"},"#
                + #""times":{"type":"integer","description":"How often.","minimum":1,"maximum":100,"default":1}}}"#)

        try worker.send(
            .validate(requestID: 1, entry: "greet", settings: Array(#"{"tims":2}"#.utf8)),
            .validate(requestID: 2, entry: "greet", settings: Array(#"{"name":""}"#.utf8)),
            .validate(requestID: 3, entry: "greet", settings: Array(#"{"name":"you","times":2}"#.utf8)))
        #expect(try worker.receive() == .validated(requestID: 1, error: "unknown setting 'tims' (did you mean 'times'?)"))
        #expect(try worker.receive() == .validated(requestID: 2, error: "name: nobody to greet"))
        #expect(try worker.receive() == .validated(requestID: 3, error: nil))

        try worker.send(.instance(1, entry: "greet", settings: #"{"name":"you","times":2}"#))
        let (before, result) = try worker.run(.go(1, state: StateBlob(version: 1, bytes: Array(#"{"greetings":5}"#.utf8))))
        #expect(before.contains(.log(run: RunID(1), level: .info, text: "Hello, you", fields: Array(#"{"number":2}"#.utf8))))
        #expect(result.code == .succeeded)
        #expect(result.text == "7 greetings so far")
        #expect(result.items == 2)
        #expect(result.stateOnSuccess == StateBlob(version: 1, bytes: Array(#"{"greetings":7}"#.utf8)))
        try worker.send(.shutdown)
        #expect(try worker.end() == .exited(0))
    }
}
