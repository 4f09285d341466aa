import Glibc
import Testing

/// The checker that `make soak` and operators rely on: a sound store passes, and each way of being unsound is named.
@Suite("scripts/check-ledger", .timeLimit(.minutes(8))) struct CheckLedgerTests {
    private static let spoilings = [
        ("DELETE FROM runs WHERE id = (SELECT id FROM runs WHERE job = 'tick' ORDER BY fire_time LIMIT 1 OFFSET 1)", "tick was due"),
        ("UPDATE runs SET fire_time = fire_time + 1 WHERE id = (SELECT min(id) FROM runs WHERE job = 'tick')", "tick has an entry at "),
        ("UPDATE ledger_ranges SET count = count + 1; DELETE FROM runs WHERE id = (SELECT id FROM runs WHERE job = 'tick' ORDER BY fire_time LIMIT 1 OFFSET 1)",
         "the range of tick at "),
        // What a job leaves behind that nobody has fired for its last minute: nothing before its cursor is missing.
        ("UPDATE runs SET fire_time = fire_time - 61000000 WHERE job = 'tick'; UPDATE job_states SET cursor = cursor - 61000000 WHERE job = 'tick'; UPDATE ledger_ranges SET first = first - 61000000, last = last - 61000000",
         "tick stands still: its cursor is 6"),
        ("UPDATE job_states SET cursor = cursor - 100000 WHERE job = 'tick'", "a cursor behind a run: tick"),
        ("UPDATE runs SET fire_time = (SELECT max(fire_time) FROM runs WHERE job = 'tick') WHERE id = (SELECT min(id) FROM runs WHERE job = 'tick')", "a due time with two runs: tick"),
        ("INSERT INTO ledger_ranges (job, reason, first, last, count) SELECT job, 'paused', fire_time, fire_time, 1 FROM runs WHERE job = 'tick' LIMIT 1", "a run inside a range: run"),
        ("UPDATE runs SET finished_at = NULL WHERE job = 'mint'", "an end without having ended, or the reverse: run"),
        ("UPDATE runs SET outcome = NULL WHERE job = 'mint'", "an end without the outcome of its attempt: run"),
        ("UPDATE runs SET lease_until = 1 WHERE job = 'mint'", "an attempt without end: run"),
        ("DELETE FROM attempts", "an earlier attempt that is not there: run"),
        ("UPDATE attempts SET attempt = 7", "an attempt that its run never had: run"),
        ("UPDATE attempts SET outcome = 'crashed'; UPDATE runs SET idempotent = 0", "executed twice, and the entry is not idempotent: run"),
        ("UPDATE runs SET fence = (SELECT max(fence) FROM runs) WHERE job = 'mint'", "one fence for two runs: fence"),
        ("UPDATE runs SET max_attempts = 1 WHERE job = 'mint'", "more attempts than allowed: run"),
        ("DELETE FROM counters", "fewer counted than there are: "),
        ("UPDATE runs SET state = 'running', finished_at = NULL, owner = '' WHERE job = 'mint'", "running without owner, fence, lease or attempt: run"),
    ]

    @Test("names a missing due time, one that is there twice, an execution too many, an attempt without end, …")
    func spoilt() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("shaky", PluginSource.entry("return context->attempt == 1 ? JOB_RETRY : JOB_SUCCEEDED;"))
            try test.config(
                Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"100ms\"") + Toml.plugin("shaky")
                    + Toml.job("mint", of: "shaky", "schedule = \"none\"\nretry = { max_attempts = 2, initial = \"10ms\", max = \"10ms\" }"))
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "mint", "--wait").code == 0)
            for _ in 0..<6 { try await host.logs("✓ tick", from: host.errors.all.count) }
            // For a range.
            #expect(try await test.jobhost("pause", "tick").code == 0)
            while try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE reason = 'paused'") == 0 { try Task.checkCancellation() }
            #expect(try await test.jobhost("resume", "tick").code == 0)
            try await host.logs("✓ tick", from: host.errors.all.count)
            let stopped = Proc.microseconds()
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)

            let sound = try await check(test.folder + "/var/jobhost.db", until: stopped, test)
            #expect(sound.code == 0 && sound.said == "", "\(sound.said)")
            for (number, (sql, sentence)) in Self.spoilings.enumerated() {
                let copy = test.folder + "/spoilt-\(number).db"
                try LedgerFile(path: test.folder + "/var/jobhost.db").execute("VACUUM INTO '\(copy)'")
                try LedgerFile(path: copy).execute(sql)
                let (code, said) = try await check(copy, until: stopped, test)
                #expect(code == 1 && said.contains("check-ledger: \(sentence)"), "\(sql): \(said)")
            }
        }
    }

    private func check(_ file: String, until stopped: Int, _ test: TestHost) async throws -> (code: Int32, said: String) {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let checker = try Child(
            "/usr/bin/env", ["python3", "/\(root)/scripts/check-ledger", file, "--every", "tick=0.1", "--until", "\(Double(stopped) / 1e6)"],
            environment: ["PATH": "/usr/bin:/bin"], folder: test.folder)
        let code = await checker.exitCode()
        return (code, (checker.output.all + checker.errors.all).joined(separator: "\n"))
    }
}
