import Glibc
import Testing

/// The real binaries: due times that passed while no host was there.
@Suite("Downtime, end to end", .timeLimit(.minutes(2))) struct DowntimeTests {
    @Test("A day down: each due time is caught up or recorded as missed, by the job's policy", arguments: ["skip", "latest", "all"])
    func day(policy: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("done"))
            try test.config(
                Toml.plugin("good")
                    + Toml.job("hourly", of: "good", "every = \"1h\"\ncatch_up = { policy = \"\(policy)\", window = \"2d\" }")
                    + Toml.job("tick", of: "good", "every = \"1s\""))
            let first = try await test.start()
            try await first.logs("✓ tick")
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            try test.ledger.execute("UPDATE job_states SET cursor = cursor - 86400000000 WHERE job = 'hourly'; DELETE FROM runs WHERE job = 'hourly'")

            let second = try await test.start()
            let at = try await second.logs("✓ tick")
            if policy != "skip" { try await second.logs("✓ hourly") }
            if policy == "all" { while try test.ledger.number(ended) < 24 { try Task.checkCancellation() } }
            try await second.logs("✓ tick", from: at + 1)
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["hourly": 3_600_000_000]) == [])
            let runs = try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'hourly' AND trigger = 'catch_up'")
            let missed = try test.ledger.number("SELECT coalesce(sum(count), 0) FROM ledger_ranges WHERE job = 'hourly' AND reason = 'policy'")
            #expect(runs == ["skip": 0, "latest": 1, "all": 24][policy])
            #expect(missed == ["skip": 24, "latest": 23, "all": 0][policy])
        }
    }

    @Test("A job that was out of the config for a whole life of the host does not catch up on that when it is back")
    func absentLife() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("done"))
            let tick = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"")
            let away = Toml.job("away", of: "good", "every = \"1h\"\ncatch_up = { policy = \"all\", window = \"9d\" }")
            // A day passes in each life, and between them.
            for config in [tick + away, tick, tick + away] {
                try test.config(config)
                let host = try await test.start()
                try await host.logs("✓ tick", from: try await host.logs("✓ tick") + 1)
                host.signal(SIGTERM)
                #expect(await host.exitCode() == 0)
                try test.ledger.execute("UPDATE job_states SET cursor = cursor - 86400000000 WHERE job = 'away'; DELETE FROM runs WHERE job = 'away' AND trigger = 'schedule'")
            }
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'away'") == 0)
            // What was due until the start without it is accounted for, once.
            #expect(try test.ledger.texts("SELECT reason || ' ' || count FROM ledger_ranges WHERE job = 'away'") == ["reload 24"])
        }
    }

    private let ended = "SELECT count(*) FROM runs WHERE job = 'hourly' AND trigger = 'catch_up' AND finished_at IS NOT NULL"

    @Test("A week down at ten fires a second is one range row, and the host starts at once")
    func week() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("good") + Toml.job("fast", of: "good", "every = \"100ms\"\ncatch_up = { policy = \"skip\" }"))
            let first = try await test.start()
            try await first.logs("✓ fast")
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            try test.ledger.execute("DELETE FROM runs; DELETE FROM ledger_ranges; UPDATE job_states SET open_range = NULL, cursor = cursor - 604800000000")
            let second = try await test.start()
            try await second.logs("✓ fast")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["fast": 100_000]) == [])
            #expect(try test.ledger.number("SELECT sum(count) FROM ledger_ranges WHERE reason = 'window'") > 5_000_000)
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE reason IN ('window', 'policy')") <= 3)
        }
    }
}
