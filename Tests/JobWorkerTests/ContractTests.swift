import JobCore
import Testing

/// `job_abi.h` alone, as strangers compile it, and the code that the documents show.
@Suite(.timeLimit(.minutes(5)))
struct ContractTests {
    private let workshop: Workshop
    init() throws { workshop = try Workshop() }

    @Test(arguments: [
        ["cc", "-std=c11", "-x", "c"], ["c++", "-std=c++17", "-x", "c++"], ["clang", "-std=c11", "-x", "c"],
        ["clang", "-std=c++17", "-x", "c++"],
    ])
    func `The header compiles alone as C11 and C++17 without a warning`(compiler: [String]) throws {
        // clang comes with the Swift that builds this.
        try #require(Spawn.isThere(compiler[0]), "\(compiler[0]) is not on the path")
        let source = try workshop.write(
            "alone.c",
            """
            #include "job_abi.h"
            static const job_str literal = JOB_STR_INIT("text");
            int check(const job_context *c);
            int check(const job_context *c) {
                c->log(c, JOB_LOG_INFO, JOB_STR("text"), JOB_NONE);
                return JOB_HAS(c, retry_not_before) && literal.size == 4;
            }
            """)
        let (status, output) = try Spawn.run(
            compiler + [
                "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", Binaries.root + "/Sources/JobABI/include", "-c", "-o",
                workshop.folder + "/alone.o", source,
            ])
        #expect(status == 0, "\(output)")
    }

    @Test func `The header avoids what compilers lay out differently`() throws {
        let header = try Workshop.read(Binaries.root + "/Sources/JobABI/include/job_abi.h")
        for word in ["enum", "bool", "long", "size_t"] {
            let uses = header.split(separator: "\n").filter { line in
                line.split(whereSeparator: { !$0.isLetter && $0 != "_" }).contains { $0 == word }
                    && !line.contains("/*") && !line.hasPrefix(" *") && !line.hasPrefix("   ")
            }
            #expect(uses.isEmpty, "\(word): \(uses)")
        }
    }

    @Test func `The plugin of the guide compiles and runs`() throws {
        let guide = try Workshop.read(Binaries.root + "/docs/PLUGINS.md")
        let block = try #require(guide.split(separator: "```c\n", maxSplits: 1).last?.split(separator: "\n```").first)
        let library = try workshop.compileC(workshop.write("guide.c", String(block)))
        let worker = try WorkerProcess()
        let plugin = try worker.load(library)
        #expect(plugin.id == "sweep")
        try worker.send(.instance(entry: "sweep", settings: #"{"folder":"/nowhere"}"#))
        let result = try worker.run(.go()).result
        #expect(result.code == .succeeded)
        #expect(result.text == "0 files")
    }

    @Test func `The Swift plugin of the guide compiles and runs`() throws {
        let guide = try Workshop.read(Binaries.root + "/docs/PLUGINS.md")
        let block = try #require(
            guide.split(separator: "```swift\nimport JobKit", maxSplits: 1).last?.split(separator: "\n```").first)
        let source = try workshop.write("Guide.swift", "import JobKit" + block)
        let worker = try WorkerProcess()
        let plugin = try worker.load(workshop.compileSwift(source, options: []))
        #expect(plugin.id == "quotes")
        try worker.send(.instance(entry: "check", settings: #"{"symbols":["XRP","ETH"]}"#))
        let result = try worker.run(.go()).result
        #expect(result.code == .succeeded)
        #expect(result.text == "2 symbols")
    }
}
