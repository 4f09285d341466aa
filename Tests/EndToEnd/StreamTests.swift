import Glibc
import Testing

/// What `/api/v1/events` tells, of the real host.
@Suite("The stream of events, end to end", .timeLimit(.minutes(2))) struct StreamTests {
    private static let config = Toml.plugin("p") + Toml.job("j", of: "p", "schedule = \"none\"\nretry = { max_attempts = 1 }\n")

    private func listen(_ test: TestHost, _ query: String = "") throws -> Child {
        try test.command(
            "/usr/bin/env", "curl", "-sSN", "-m", "100", "--unix-socket", test.folder + "/var/jobhost.sock", "http://localhost/api/v1/events" + query)
    }

    @Test("What an operator does with runs that do not run is told as it is done")
    func tellsOfWaitingRuns() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.fails)
            try test.config(Self.config)
            _ = try await test.start()
            let stream = try listen(test, "?kind=action,run_ended")
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            func hears(_ words: String...) async -> Bool {
                await stream.output.next(where: { line in line.hasPrefix("data: ") && words.allSatisfy(line.contains) }) != nil
            }
            try await test.jobhost("enqueue", "j", "--delay", "1h")
            #expect(try await test.jobhost("cancel", "1", "--reason", "sold out").code == 0)
            #expect(await hears("\"action\":\"cancel\"", "run 1", "sold out"))
            #expect(await hears("\"id\":1,", "\"state\":\"cancelled\"", "sold out"))
            #expect(try await test.jobhost("trigger", "j", "--wait").code == 1)
            #expect(await hears("\"id\":2,", "\"state\":\"discarded\""))
            try await test.jobhost("retry", "2")
            #expect(await hears("\"action\":\"retry\"", "run 2 as run 3"))
            #expect(await hears("\"id\":3,", "\"state\":\"discarded\""))
            #expect(try await test.jobhost("dead", "dismiss", "3").code == 0)
            #expect(await hears("\"action\":\"discard\"", "run 3"))
            // Each once.
            #expect(stream.output.all.count { $0.contains("\"action\":\"cancel\"") } == 1)
            #expect(stream.output.all.count { $0.contains("\"id\":1,") } == 1)
        }
    }

    @Test("A breaker's moves and reloads are told as they come, each once: by itself, by hand, accepted and refused")
    func tellsOfBreakersAndReloads() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.fails)
            let config = Toml.plugin("p") + Toml.job("j", of: "p", "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 1, open_for = \"1h\" }")
            try test.config(config)
            _ = try await test.start()
            let stream = try listen(test, "?kind=breaker,reload")
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            func hears(_ words: String...) async -> Bool {
                await stream.output.next(where: { line in line.hasPrefix("data: ") && words.allSatisfy(line.contains) }) != nil
            }
            #expect(try await test.jobhost("trigger", "j", "--wait").code == 1)
            #expect(await hears("\"job\":\"j\"", "\"state\":\"open\"", "no such account"))
            #expect(try await test.jobhost("breaker", "j", "close", "--reason", "the account is there").code == 0)
            #expect(await hears("\"job\":\"j\"", "\"state\":\"closed\"", "the account is there"))
            try test.config(config + Toml.job("more", of: "p"))
            #expect(try await test.jobhost("reload").code == 0)
            #expect(await hears("\"accepted\":true", "\"name\":\"more\"", "\"change\":\"added\""))
            try test.config("[jobs.j")
            #expect(try await test.jobhost("reload").code != 0)
            #expect(await hears("\"accepted\":false", "jobs.toml:"))
            let events = stream.output.all.filter { $0.hasPrefix("event: ") }
            #expect(events.suffix(4) == ["event: breaker", "event: breaker", "event: reload", "event: reload"], "\(events)")
            #expect(events.count { $0 == "event: breaker" } == 2, "\(events)")
        }
    }

    @Test("Where nothing happens, what a listener knows goes on with the clock all the same")
    func idsGoOnWithoutEvents() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(Self.config)
            _ = try await test.start()
            // One with its beginning, the other with its next pulse: "id: epoch-number~instant".
            let stream = try listen(test)
            let first = try #require(await stream.output.next(where: { $0.hasPrefix("id: ") }))
            let later = try #require(await stream.output.next(from: first.index + 1, where: { $0.hasPrefix("id: ") }))
            let instants = try [first, later].map { try #require(Int64($0.line.split(separator: "~")[1], radix: 36)) }
            #expect(instants[0] < instants[1])
        }
    }
}
