import Glibc
import SQL
import Testing

/// The real binaries on a real PostgreSQL server, which each test starts for itself.
@Suite("The store in PostgreSQL, end to end", .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct PostgresTests {
    private func config(_ server: PostgresServer) -> String {
        Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"") + Toml.job("mint", of: "good", Toml.once)
            + "\n[store]\nurl = \"\(server.url)\"\n"
    }

    private let plugin = PluginSource.entry(
        "append(FOLDER \"/done\", context->idempotency_key.data, context->idempotency_key.size); return JOB_SUCCEEDED;")

    @Test("Jobs run, an application enqueues in its own transaction, and a restart of the server loses nothing, no end for who listens either")
    func serves() async throws {
        try await TestHost.with { test in
            try await PostgresServer.with(test) { server in
                try await test.plugin("good", plugin)
                try test.config(config(server))
                let host = try await test.start()
                try await host.logs("✓ tick")
                let stream = try test.listen("kind=run_ended,elsewhere")
                #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
                let first = try server.clock()

                let application = try PostgresConnection(PostgresAddress(server.url))
                try application.execute("CREATE TABLE orders (id bigint)")
                try application.transaction(.rowLocks) {
                    try application.run("INSERT INTO orders VALUES (1)")
                    try application.run("SELECT jobhost.enqueue('mint', '{\"order\": 1}', unique_key => 'order-1')")
                }
                application.close()
                try await host.logs("✓ mint")

                try await server.restart("immediate")
                // Whether a call met it while it was away or not: it serves on.
                let newest = try server.ledger.number("SELECT max(id) FROM runs")
                try await server.until("SELECT count(*) > 2 FROM runs WHERE job = 'tick' AND state = 'succeeded' AND id > \(newest)")
                // Also those that came while it was away.
                let last = try server.ledger.number("SELECT max(finished_at) FROM runs")
                try Told.wait(server.ledger, after: first, upTo: last) { stream.output.all }
                #expect(!stream.output.all.contains("event: reset"))
                host.signal(SIGTERM)
                #expect(await host.exitCode() == 0)
                #expect(try server.ledger.faults(every: ["tick": 1_000_000]) == [])
                #expect(try server.ledger.texts("SELECT idempotency_key FROM runs WHERE job = 'mint' AND state = 'succeeded'") == ["order-1"])
                // What was executed is what is on record, once.
                let executed = Proc.text(of: test.folder + "/done")?.split(separator: "\n").map(String.init) ?? []
                let recorded = try server.ledger.texts("SELECT idempotency_key FROM runs WHERE state = 'succeeded'")
                #expect(Set(executed) == Set(recorded) && Set(executed).count == executed.count)
                #expect(try server.ledger.number("SELECT count(*) FROM hosts") == 0, "a lease was kept")
            }
        }
    }

    @Test("Of two hosts of one name the second is refused, and a host that was killed serves again at once")
    func oneOfEachName() async throws {
        try await TestHost.with { test in
            try await PostgresServer.with(test) { server in
                try await test.plugin("good", plugin)
                try test.config(config(server))
                try test.write("[host]\nname = \"test\"\nstate_dir = \"var2\"\n" + config(server), to: "other.toml")
                let first = try await test.start()
                try await first.logs("✓ tick")
                let refused = try await test.jobhost("run", "--config", "other.toml")
                #expect(refused.code == 6, "\(refused.errors)")
                #expect(refused.errors.contains("another host of the name test serves the store postgresql://jobhost@127.0.0.1:"), "\(refused.errors)")

                first.signal(SIGKILL)
                _ = await first.exitCode()
                let again = try await test.start()
                try await again.logs("✓ tick")
                again.signal(SIGTERM)
                #expect(await again.exitCode() == 0)
                #expect(try server.ledger.faults(every: ["tick": 1_000_000]) == [])
            }
        }
    }
}
