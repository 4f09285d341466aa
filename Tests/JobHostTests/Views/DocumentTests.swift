import JobCore
import JobJSON
import Testing

@testable import JobHost

/// docs/CLI.md against what the program really takes.
struct DocumentTests {
    private let document: String

    init() throws {
        let folders = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4)
        document = try Files.read(folders.joined(separator: "/") + "/docs/CLI.md")
    }

    /// The text below a heading, up to the next heading of any level but deeper ones.
    private func section(_ heading: String) -> String? {
        guard let start = document.firstRange(of: "\n\(heading)\n") else { return nil }
        let rest = document[start.upperBound...]
        return String(rest[..<(rest.firstRange(of: "\n#")?.lowerBound ?? rest.endIndex)])
    }

    @Test func everyVerbAndOptionIsDocumented() throws {
        let dump = try JSON(parsing: JobHostCommand._dumpHelp(), limits: .init(bytes: 8 << 20))
        var verbs: [String] = []
        try check(try #require(dump["command"]), path: [], verbs: &verbs)
        #expect(!verbs.isEmpty)
        // And nothing is documented that is not there.
        let headings = document.split(separator: "\n").filter { $0.hasPrefix("### `jobhost ") }
        #expect(headings.map(String.init).sorted() == verbs.map { "### `jobhost \($0)`" }.sorted())
    }

    private func check(_ command: JSON, path: [String], verbs: inout [String]) throws {
        let subcommands = (command["subcommands"]?.arrayValue ?? []).filter { $0["commandName"] != "help" }
        for subcommand in subcommands {
            try check(subcommand, path: path + [subcommand["commandName"]?.stringValue ?? ""], verbs: &verbs)
        }
        guard subcommands.isEmpty else { return }
        let verb = path.joined(separator: " ")
        verbs.append(verb)
        let text = try #require(section("### `jobhost \(verb)`"), "\(verb)")
        #expect(text.contains(command["abstract"]?.stringValue ?? "?"), "\(verb)")
        for argument in command["arguments"]?.arrayValue ?? [] {
            if argument["kind"] == "positional" {
                #expect(text.contains("`<\(argument["valueName"]?.stringValue ?? "?")>`"), "\(verb)")
            }
            for name in argument["names"]?.arrayValue ?? [] where name["kind"] == "long" {
                let long = name["name"]?.stringValue ?? "?"
                guard long != "help", long != "version" else { continue }
                #expect(text.contains("`--\(long)`") || text.contains("`--\(long) <"), "\(verb) --\(long)")
            }
        }
    }

    /// docs/MIGRATING.md tells people what to type instead: each of it is a command.
    @Test func everyCommandForThoseWhoComeFromElsewhereIsOne() throws {
        let folders = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4)
        let text = try Files.read(folders.joined(separator: "/") + "/docs/MIGRATING.md")
        // Every second piece between backquotes is code.
        let code = text.split(separator: "`", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
        let commands = code.flatMap { $0.split(separator: " && ") }.filter { $0.hasPrefix("jobhost ") }
        #expect(commands.count > 60)
        for command in commands {
            #expect(throws: Never.self, "\(command)") { try JobHostCommand.parseAsRoot(Self.words(command.dropFirst(8))) }
        }
    }

    /// As a shell splits: blanks apart, quotes together.
    private static func words(_ line: Substring) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in line {
            switch character {
            case quote: quote = nil
            case "'" where quote == nil, "\"" where quote == nil:
                quote = character
                word = word ?? ""
            case " " where quote == nil:
                if let word { words.append(word) }
                word = nil
            default: word = (word ?? "") + String(character)
            }
        }
        return words + (word.map { [$0] } ?? [])
    }

    @Test func everyExitCodeIsDocumented() throws {
        let text = try #require(section("## Exit codes"))
        for code in JobHost.ExitCode.allCases { #expect(text.contains("| \(code.rawValue) | \(code.meaning) |")) }
        #expect(text.split(separator: "\n").filter { $0.hasPrefix("| ") }.count == JobHost.ExitCode.allCases.count + 1)
    }

    @Test func everyEndpointIsDocumented() async throws {
        let text = try #require(section("## The API"))
        let index = try await withServer { _, socket, _ in try await ask(socket, "GET", "/api/v1").json }
        let endpoints = try #require(index["endpoints"]?.arrayValue)
        #expect(!endpoints.isEmpty)
        for endpoint in endpoints {
            let method = endpoint["method"]?.stringValue ?? "?"
            let path = endpoint["path"]?.stringValue?.dropFirst(APIRoutes.prefix.count) ?? "?"
            #expect(text.contains("| \(method) | `\(path)` | \(endpoint["summary"]?.stringValue ?? "?")"), "\(method) \(path)")
        }
    }
}
