import Glibc
import SQL
import Testing

/// From a SQLite file to PostgreSQL, with the real binaries.
@Suite("Moving a store, end to end", .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct MovingTests {
    /// Each execution puts its cause on file.
    private static let executed = "append(FOLDER \"/done\", context->idempotency_key.data, context->idempotency_key.size);"

    private static let jobs = Toml.plugin("good") + Toml.plugin("counts") + Toml.plugin("shaky")
        + Toml.job("tick", of: "good", "every = \"200ms\"\nretention = { age = \"30d\", runs = 100000 }")
        + Toml.job("counts", of: "counts", Toml.once) + Toml.job("queue", of: "good", Toml.once)
        + Toml.job("shaky", of: "shaky", "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 1, open_for = \"1h\", successes = 1 }")

    @Test("A file with history, cursors, states, a breaker, a pause, dead letters and waiting runs is moved: the host goes on there without a gap, and executes nothing twice")
    func moves() async throws {
        try await TestHost.with { test in
            try await PostgresServer.with(test) { server in
                try await test.plugin("good", PluginSource.entry(Self.executed + "return JOB_SUCCEEDED;"))
                try await test.plugin("counts", PluginSource.entry(
                    """
                    uint32_t version = 0;
                    job_str old = {0};
                    char count[16];
                    int32_t isThere = context->state_get(context, &version, &old);
                    snprintf(count, sizeof count, "%d", isThere ? atoi((const char *)old.data) + 1 : 1);
                    context->state_put(context, 1, (job_str){.data = count, .size = strlen(count) + 1}, JOB_STATE_ON_SUCCESS);
                    summarize(context, "counted %s", count);
                    return JOB_SUCCEEDED;
                    """, members: ".state_version = 1,"))
                try await test.plugin("shaky", PluginSource.fails)
                try test.config(Self.jobs)
                let before = try await test.start()
                func ask(_ words: String..., code: Int32 = 0) async throws -> String {
                    let answer = try await test.jobhost(arguments: words)
                    #expect(answer.code == code, "\(words): \(answer.output)\(answer.errors)")
                    return answer.output
                }
                for _ in 0..<2 { _ = try await ask("trigger", "counts", "--wait") }
                _ = try await ask("trigger", "shaky", "--wait", code: 1)
                _ = try await ask("pause", "queue", "--reason", "until we have moved")
                for key in ["one", "two"] { _ = try await ask("enqueue", "queue", "--payload", "{\"key\": \"\(key)\"}", "--key", key, "--priority=\(key == "two" ? 9 : 0)") }
                _ = try await ask("enqueue", "shaky", "--key", "waits")
                for _ in 0..<6 { try await before.logs("✓ tick", from: before.errors.all.count) }
                before.signal(SIGTERM)
                #expect(await before.exitCode() == 0)
                #expect(try test.ledger.faults(every: ["tick": 200_000]) == [])
                let newest = try test.ledger.number("SELECT max(id) FROM runs")
                let cursor = try test.ledger.number("SELECT cursor FROM job_states WHERE job = 'tick'")
                let waiting = try test.ledger.texts("SELECT id || unique_key FROM runs WHERE job = 'queue' ORDER BY id")
                let history = try test.ledger.texts("SELECT id || job || state || attempt || fence FROM runs ORDER BY id")

                // The config still has no [store]: the place is named.
                let moved = try await ask("store", "migrate", "--from", "sqlite:var/jobhost.db", "--to", server.url)
                #expect(moved.contains("runs") && moved.contains("breakers") && moved.contains("the store is now postgresql"), "\(moved)")
                try test.config(Self.jobs + "\n[store]\nurl = \"\(server.url)\"\n")
                // Row for row.
                #expect(try server.ledger.texts("SELECT concat(id, job, state, attempt, fence) FROM runs ORDER BY id") == history)
                // Not into what is there already, and nothing of that changes.
                _ = try await ask("store", "migrate", "--from", "sqlite:var/jobhost.db", code: 6)

                let after = try await test.start()
                try await server.until("SELECT count(*) > 5 FROM runs WHERE job = 'tick' AND state = 'succeeded' AND id > \(newest)")
                let counted = try await ask("trigger", "counts", "--wait")
                #expect(counted.contains("counted 3"), "\(counted)")
                #expect(try await ask("show", "shaky", "--json").contains("\"state\": \"open\""))
                #expect(try await ask("show", "queue").contains("until we have moved"))
                // A key that waits is the run that waits; a number is given once.
                _ = try await ask("enqueue", "queue", "--key", "one")
                #expect(try server.ledger.texts("SELECT concat(id, unique_key) FROM runs WHERE job = 'queue' ORDER BY id") == waiting)
                #expect(try server.ledger.number("SELECT count(*) FROM runs WHERE job = 'shaky' AND state = 'available'") == 1)
                #expect(try server.ledger.number("SELECT count(*) FROM runs WHERE job = 'shaky' AND state = 'discarded'") == 1)
                _ = try await ask("resume", "queue", "--reason", "moved")
                try await server.until("SELECT count(*) FROM runs WHERE job = 'queue' AND state = 'succeeded'", "2")
                // The better one first, as it was enqueued there.
                #expect(try server.ledger.texts("SELECT unique_key FROM runs WHERE job = 'queue' ORDER BY fence") == ["two", "one"])
                _ = try await ask("breaker", "shaky", "reset", "--reason", "moved")
                try await server.until("SELECT count(*) FROM runs WHERE job = 'shaky' AND state = 'discarded'", "2")
                after.signal(SIGTERM)
                #expect(await after.exitCode() == 0)

                // From the first due time to the last each is there once, also those of the time between.
                #expect(try server.ledger.faults(every: ["tick": 200_000]) == [])
                #expect(try server.ledger.number("SELECT count(*) FROM runs WHERE job = 'tick' AND fire_time = \(cursor)") == 1)
                let done = Proc.text(of: test.folder + "/done")?.split(separator: "\n").map(String.init) ?? []
                let recorded = try server.ledger.texts("SELECT idempotency_key FROM runs WHERE job IN ('tick', 'queue') AND state = 'succeeded'")
                #expect(done.count == Set(done).count && Set(done) == Set(recorded))
                #expect(try await ask("store", "check").contains("rules hold"))
            }
        }
    }
}
