import Glibc
import Testing

/// The real binaries: the breaker over restarts, reloads and operators.
@Suite("The breaker, end to end", .timeLimit(.minutes(2))) struct BreakerTests {
    /// Fails while the file `down` is there.
    private let shaky = PluginSource.entry(
        "if (!there(FOLDER \"/down\")) return JOB_SUCCEEDED; if (there(FOLDER \"/crash\")) abort(); context->fail(context, 1, JOB_STR(\"down\")); return JOB_FAILED;")

    private func config(_ openFor: String) -> String {
        Toml.plugin("shaky")
            + Toml.job("shaky", of: "shaky", "every = \"100ms\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"\(openFor)\", successes = 2 }")
    }

    @Test("Open over a restart: the probe's time stays; fires meanwhile are one range; nothing is lost")
    func restart() async throws {
        try await TestHost.with { test in
            try await test.plugin("shaky", shaky)
            try test.config(config("1h"))
            try test.write("", to: "down")
            let first = try await test.start()
            let opened = try await first.logs("shaky", "breaker opened until")
            let until = try #require(first.errors.all[opened].split(separator: " ").drop { $0 != "until" }.dropFirst().first).dropLast()
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            let second = try await test.start()
            let shown = try await test.jobhost("show", "shaky", "--json")
            #expect(shown.output.contains("\"open\"") && shown.output.contains(until.prefix(19)), "\(until): \(shown.output)")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["shaky": 100_000]) == [])
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE attempt > 0 AND state = 'discarded'") == 2)
        }
    }

    @Test("Half-open: probes that fail and crash open it again, then two that succeed close it")
    func probes() async throws {
        try await TestHost.with { test in
            try await test.plugin("shaky", shaky)
            try test.config(config("300ms"))
            try test.write("", to: "down")
            let host = try await test.start()
            var at = try await host.logs("shaky", "breaker opened until")
            at = try await host.logs("shaky", "breaker opened until", from: at + 1)
            try test.write("", to: "crash")
            at = try await host.logs("✗ shaky", "crashed", "SIGABRT", from: at + 1)
            at = try await host.logs("shaky", "breaker opened until", from: at)
            unlink(test.folder + "/down")
            at = try await host.logs("shaky", "breaker closed", from: at + 1)
            try await host.logs("✓ shaky", from: at)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["shaky": 100_000]) == [])
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE reason = 'breaker'") >= 1)
        }
    }

    @Test("Forced open survives reload and restart; what was enqueued meanwhile waits, and runs after the close")
    func forced() async throws {
        try await TestHost.with { test in
            try await test.plugin("mint", PluginSource.entry("context->summary(context, context->payload); return JOB_SUCCEEDED;"))
            try test.config(Toml.plugin("mint") + Toml.job("mint", of: "mint"))
            let first = try await test.start()
            #expect(try await test.jobhost("breaker", "mint", "open", "--reason", "chain is down").code == 0)
            for asset in 1...3 { try await test.jobhost("enqueue", "mint", "--payload", "{\"asset\":\(asset)}") }
            try test.config(Toml.plugin("mint") + Toml.job("mint", of: "mint", "schedule = \"none\"\npriority = 3"))
            #expect(try await test.jobhost("reload").code == 0)
            let reloaded = try await test.jobhost("show", "mint", "--json")
            #expect(reloaded.output.contains("forced_open") && reloaded.output.contains("chain is down"), "\(reloaded.output)")
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            let second = try await test.start()
            let restarted = try await test.jobhost("show", "mint", "--json")
            #expect(restarted.output.contains("forced_open"), "\(restarted.output)")
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE attempt > 0") == 0)
            #expect(try await test.jobhost("breaker", "mint", "close", "--reason", "chain is back").code == 0)
            for asset in 1...3 { try await second.logs("✓ mint", "\"asset\":\(asset)") }
        }
    }
}
