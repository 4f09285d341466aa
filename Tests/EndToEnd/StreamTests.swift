import Glibc
import Testing

/// What `/api/v1/events` tells, of the real host.
@Suite("The stream of events, end to end", .timeLimit(.minutes(8))) struct StreamTests {
    private static let config = Toml.plugin("p") + Toml.job("j", of: "p", "schedule = \"none\"\nretry = { max_attempts = 1 }\n")

    @Test("What an operator does with runs that do not run is told as it is done")
    func tellsOfWaitingRuns() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.fails)
            try test.config(Self.config)
            _ = try await test.start()
            let stream = try test.listen("kind=action,run_ended")
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

    @Test("A breaker's moves and reloads are told as they come, each once: by itself, by hand, accepted and refused; over a kill of the host too")
    func tellsOfBreakersAndReloads() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.fails)
            let config = Toml.plugin("p") + Toml.job("j", of: "p", "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 1, open_for = \"1h\" }")
            try test.config(config)
            let host = try await test.start()
            let query = "kind=breaker,reload"
            let stream = try test.listen(query)
            let before = try #require(await stream.output.next(where: { $0.hasPrefix("id: ") })).line.dropFirst(4)
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

            // Who heard nothing of it and comes back after the host was killed is told what the breaker is by now, and of both reloads.
            while try test.ledger.number("SELECT count(*) FROM reloads WHERE NOT accepted") == 0 { try Task.checkCancellation() }
            host.signal(SIGKILL)
            _ = await host.exitCode()
            try test.config(config)
            _ = try await test.start()
            let again = try test.listen(query, after: before)
            // What was missed has no ids, what comes after it has.
            let end = try #require(await again.output.next(where: { $0.hasPrefix("id: ") })).index
            let told = Told(lines: Array(again.output.all[..<end]))
            #expect(told.lines.contains("data: {\"resumed\":true}"), "\(told.lines)")
            let moved = told.data("breaker")
            #expect(moved.count == 1 && moved.first?["state"] == "closed", "\(moved)")
            #expect(moved.first?["text"]?.stringValue?.contains("the account is there") == true, "\(moved)")
            let reloads = told.data("reload")
            let added = reloads.filter { $0["jobs"]?.arrayValue?.contains { $0["name"] == "more" && $0["change"] == "added" } == true }
            #expect(added.count == 1 && reloads.count { $0["accepted"] == .bool(false) } == 1, "\(reloads)")
        }
    }

    @Test("Where nothing happens, what a listener knows goes on with the clock all the same")
    func idsGoOnWithoutEvents() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(Self.config)
            _ = try await test.start()
            // One with its beginning, the other with its next pulse: "id: epoch-number~instant".
            let stream = try test.listen()
            let first = try #require(await stream.output.next(where: { $0.hasPrefix("id: ") }))
            let later = try #require(await stream.output.next(from: first.index + 1, where: { $0.hasPrefix("id: ") }))
            let instants = try [first, later].map { try #require(Int64($0.line.split(separator: "~")[1], radix: 36)) }
            #expect(instants[0] < instants[1])
        }
    }
}
