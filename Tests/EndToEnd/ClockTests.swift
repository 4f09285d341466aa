import Glibc
import Testing

/// The real binaries under a wall clock that is set while they run. Each jump beyond ten minutes
/// costs a minute of real time: that long nothing fires, by the clock that cannot be set.
@Suite("Wall clock, end to end", .timeLimit(.minutes(12))) struct ClockTests {
    private let config = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"")
        + Toml.job("hourly", of: "good", "every = \"1h\"\ncatch_up = { policy = \"latest\", window = \"30d\" }")
        + Toml.job("queued", of: "good", Toml.once)
    private static let hour: Int64 = 3_600
    private static let year: Int64 = 365 * 86_400

    private func begin(_ test: TestHost, _ seconds: Int64 = 0) async throws -> (ClockShift, Child) {
        let clock = try await ClockShift(test)
        clock.set(seconds)
        try await test.plugin("good", PluginSource.succeeds)
        try test.config(config)
        let host = try await test.start(clock.environment)
        _ = try await host.logs("✓ tick")
        return (clock, host)
    }

    /// No due time has two runs, whatever the clock did; gaps are for each test to judge.
    private func isSound(_ test: TestHost, _ host: Child) async throws {
        host.signal(SIGTERM)
        #expect(await host.exitCode() == 0)
        #expect(try test.ledger.faults() == [])
    }

    @Test("set by minutes, forward or back: followed at once, no due time fires twice; set back and forward again, it goes on", arguments: [Int64(300), -300])
    func minutes(by seconds: Int64) async throws {
        try await TestHost.with { test in
            let (clock, host) = try await begin(test)
            let at = host.errors.all.count
            let before = try test.ledger.number("SELECT max(fire_time) FROM runs WHERE job = 'tick'")
            clock.set(seconds)
            if seconds > 0 {
                try await host.logs("✓ tick", from: at)
                while try test.ledger.number("SELECT max(fire_time) FROM runs WHERE job = 'tick'") < before + 290_000_000 { try Task.checkCancellation() }
                try await isSound(test, host)
                #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [], "what was jumped over is recorded")
            } else {
                // Nothing may be due again until the clock is where it was; what is asked for runs.
                #expect(try await test.jobhost("trigger", "queued", "--wait").code == 0)
                let status = try await test.jobhost("status").output
                #expect(!status.contains("firing is held"), "\(status)")
                let later = try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'tick' AND fire_time > \(before + 3_000_000)")
                #expect(later == 0, "what was claimed ahead, and nothing more")
                // It is where it was: firing goes on.
                let back = Proc.microseconds()
                clock.set(0)
                while try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'tick' AND fire_time > \(back) AND state = 'succeeded'") < 2 { try Task.checkCancellation() }
                try await isSound(test, host)
                #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [], "what came due meanwhile is recorded")
            }
        }
    }

    // One after the other: each waits for a minute, and others go on beside one.
    @Test(
        "set by hours or a year: nothing fires for a minute and status says so; then it goes on by the new time", .serialized,
        arguments: [3 * hour, -3 * hour, year, -year])
    func jumps(by seconds: Int64) async throws {
        try await TestHost.with { test in
            let (clock, host) = try await begin(test)
            clock.set(seconds)
            let at = try await host.logs("the wall clock jumped by")
            let held = Int(time(nil))
            #expect(try await test.jobhost("status").output.contains("the wall clock jumped; firing is held"))
            let on = try await host.logs("firing goes on by its time", from: at + 1)
            // What began before the jump may end after it; a run that was held begins after the hold.
            let began = "FROM runs WHERE job = 'tick' AND state = 'succeeded' AND started_at / 1000000 - (\(seconds))"
            #expect(try test.ledger.number("SELECT count(*) \(began) BETWEEN \(held + 2) AND \(held + 50)") == 0)
            try await host.logs("✓ tick", from: on + 1)
            while try test.ledger.number("SELECT count(*) \(began) > \(held + 50)") == 0 { try Task.checkCancellation() }
            let audit = try test.ledger.texts("SELECT job FROM audit WHERE action = 'cursor-rewind' ORDER BY job")
            #expect(audit == (seconds < 0 ? ["hourly", "queued", "tick"] : []), "\(audit)")
            if seconds > 0 {
                try await host.logs("✓ hourly", from: at)
            }
            try await isSound(test, host)
            // A day's catch-up window: what lay before it is on record as missed, the rest as policy says.
            if seconds > 0 { #expect(try test.ledger.faults(every: ["tick": 1_000_000, "hourly": 3_600_000_000]) == []) }
        }
    }

    @Test(
        "set back while the host was down: the cursors that lie in the future are set back at the start, audited",
        arguments: [2 * hour, year])
    func whileDown(by seconds: Int64) async throws {
        try await TestHost.with { test in
            let (clock, first) = try await begin(test, seconds)
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            clock.set(0)
            let second = try await test.start(clock.environment)
            try await second.logs("✓ tick")
            #expect(try test.ledger.texts("SELECT job FROM audit WHERE action = 'cursor-rewind' ORDER BY job") == ["hourly", "queued", "tick"])
            try await isSound(test, second)
        }
    }
}
