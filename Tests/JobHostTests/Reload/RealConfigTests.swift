import Glibc
import JobConfig
import JobCore
import Testing

@testable import JobHost

/// The builder on real config files; the library's side is scripted.
@Suite("Building from files")
final class RealConfigTests {
    private let world = ScriptedTools()
    private let builder: GenerationBuilder
    private let folder: String

    init() throws {
        var template = Array("/tmp/jobhost-test-XXXXXX".utf8CString)
        folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        var tools = world.tools
        tools.loadConfig = { (file, environment) async throws(ConfigErrors) in
            try ConfigLoader.load(file: file, environment: environment, zones: FixedZones())
        }
        builder = GenerationBuilder(tools: tools)
        let path = folder + "/libBank.so"
        try put("", "libBank.so")
        world.write(path, "aaaaaaaa")
        let schema = #"{"type":"object","properties":{"batch":{"type":"integer"}},"additionalProperties":false}"#
        world.change { $0.libraries["aaaaaaaa"] = library("1.0", entry("credit", settings: schema)) }
    }

    deinit {
        for name in ["jobs.toml", "libBank.so"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    private func put(_ text: String, _ name: String) throws {
        let descriptor = open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
    }

    private func build(_ jobs: String, previous: Generation? = nil) async throws -> BuildOutcome {
        try put("[host]\nstate_dir = \"var\"\n[plugins.bank]\nlibrary = \"libBank.so\"\n" + jobs, "jobs.toml")
        return await builder.build(file: folder + "/jobs.toml", environment: [:], previous: previous, accepted: [])
    }

    private let good = "[jobs.credit]\nplugin = \"bank\"\nentry = \"credit\"\nsettings = { batch = 2 }\n"

    @Test("a whole config serves; a moved table is no change")
    func serves() async throws {
        let first = try #require(try await build(good).generation)
        #expect(first.jobs["credit"]?.settings == Array(#"{"batch":2}"#.utf8))
        let outcome = try await build("# a comment\n\n" + good, previous: first)
        #expect(outcome.report.job("credit") == "kept: ")
    }

    @Test("a syntax error refuses the reload, with its place; the next good file is applied")
    func syntax() async throws {
        let first = try #require(try await build(good).generation)
        let refused = try await build("[jobs.credit\n", previous: first)
        #expect(refused.generation == nil)
        #expect(refused.report.errors.count == 1)
        #expect(refused.report.errors.first?.hasPrefix("\(folder)/jobs.toml:5:") == true, "\(refused.report.errors)")
        #expect(try await build(good, previous: first).report.isClean)
    }

    @Test("a wrong setting is told with its line, and the old job goes on")
    func settings() async throws {
        let first = try #require(try await build(good).generation)
        let outcome = try await build(good.replacing("batch = 2", with: "bacth = 2"), previous: first)
        let said = outcome.report.job("credit")
        #expect(said.hasPrefix("refused: \(folder)/jobs.toml:8:14: settings of job 'credit': "), "\(said)")
        #expect(said.contains("batch"))
        #expect(outcome.generation?.jobs["credit"]?.settings == Array(#"{"batch":2}"#.utf8))
    }

    @Test("an unknown entry is told where it stands")
    func unknownEntry() async throws {
        let outcome = try await build(good.replacing("\"credit\"", with: "\"creidt\""))
        #expect(outcome.report.job("credit").hasPrefix("refused: \(folder)/jobs.toml:7:9: job 'credit': plugin 'bank' has no entry 'creidt'"))
    }

    @Test("a missing library refuses the whole")
    func missingLibrary() async throws {
        unlink(folder + "/libBank.so")
        let outcome = try await build(good)
        #expect(outcome.generation == nil)
        #expect(outcome.report.errors.first?.contains("there is no library") == true)
    }
}
