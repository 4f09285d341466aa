import Glibc
import Testing

/// The real binaries: due times that passed while no host was there. A host runs, stops or dies, and starts again under a wall
/// clock that shows a later day; nothing in its store is touched.
@Suite("Downtime, end to end", .timeLimit(.minutes(8))) struct DowntimeTests {
    private static let day: Int64 = 86_400

    /// Seconds from the machine's clock to half past its hour: no hour begins or ends while a test runs.
    private static var halfPast: Int64 { 1_800 - Int64(time(nil)) % 3_600 }

    @Test("A day down: each due time is caught up or recorded as missed, by the job's policy", arguments: ["skip", "latest", "all"])
    func day(policy: String) async throws {
        try await TestHost.with { test in
            let (clock, noon) = (try await ClockShift(test), Self.halfPast)
            try await test.plugin("good", PluginSource.says("done"))
            try test.config(
                Toml.plugin("good")
                    + Toml.job("hourly", of: "good", "every = \"1h\"\ncatch_up = { policy = \"\(policy)\", window = \"2d\" }")
                    + Toml.job("tick", of: "good", "every = \"1s\""))
            clock.set(noon)
            let first = try await test.start(clock.environment)
            try await first.logs("✓ tick")
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)

            clock.set(noon + Self.day)
            let second = try await test.start(clock.environment)
            let at = try await second.logs("✓ tick")
            if policy != "skip" { try await second.logs("✓ hourly") }
            if policy == "all" { while try test.ledger.number(ended) < 24 { try Task.checkCancellation() } }
            try await second.logs("✓ tick", from: at + 1)
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["hourly": 3_600_000_000, "tick": 1_000_000]) == [])
            let runs = try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'hourly' AND trigger = 'catch_up'")
            let missed = try test.ledger.number("SELECT coalesce(sum(count), 0) FROM ledger_ranges WHERE job = 'hourly' AND reason = 'policy'")
            #expect(runs == ["skip": 0, "latest": 1, "all": 24][policy])
            #expect(missed == ["skip": 24, "latest": 23, "all": 0][policy])
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'hourly' AND state <> 'succeeded'") == 0)
            // The day of the other job: its newest due time at the most is executed late.
            #expect(try test.ledger.number("SELECT sum(count) FROM ledger_ranges WHERE job = 'tick'") >= 86_390)
            #expect(try test.ledger.number("SELECT count(*) FROM audit WHERE action = 'cursor-rewind'") == 0)
        }
    }

    @Test("A job that was out of the config for a whole life of the host does not catch up on that when it is back")
    func absentLife() async throws {
        try await TestHost.with { test in
            let (clock, noon) = (try await ClockShift(test), Self.halfPast)
            try await test.plugin("good", PluginSource.says("done"))
            let tick = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"")
            let away = Toml.job("away", of: "good", "every = \"1h\"\ncatch_up = { policy = \"all\", window = \"9d\" }")
            // A day passes between one life and the next.
            for (life, config) in [tick + away, tick, tick + away].enumerated() {
                clock.set(noon + Int64(life) * Self.day)
                try test.config(config)
                let host = try await test.start(clock.environment)
                try await host.logs("✓ tick", from: try await host.logs("✓ tick") + 1)
                host.signal(SIGTERM)
                #expect(await host.exitCode() == 0)
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
            let (clock, noon) = (try await ClockShift(test), Self.halfPast)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("good") + Toml.job("fast", of: "good", "every = \"100ms\"\ncatch_up = { policy = \"skip\" }"))
            clock.set(noon)
            let first = try await test.start(clock.environment)
            try await first.logs("✓ fast")
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            clock.set(noon + 7 * Self.day)
            let second = try await test.start(clock.environment)
            try await second.logs("✓ fast")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["fast": 100_000]) == [])
            #expect(try test.ledger.number("SELECT sum(count) FROM ledger_ranges WHERE reason = 'window'") > 5_000_000)
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE reason IN ('window', 'policy')") <= 3)
        }
    }
}
