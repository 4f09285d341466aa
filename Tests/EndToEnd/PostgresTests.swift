import Glibc
import SQL
import Testing

/// The real binaries on a real PostgreSQL server, which each test starts for itself.
@Suite("The store in PostgreSQL, end to end", .timeLimit(.minutes(3)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct PostgresTests {
    /// A server with a folder of its own, gone afterwards.
    private struct Server {
        var folder: String
        var url: String
        /// As the host sees it.
        var ledger: LedgerFile { LedgerFile(path: "", server: url) }

        func restart(_ mode: String) async throws {
            let script = try Child(
                TestHost.sources + "/scripts/postgres", ["restart", folder, mode], environment: TestHost.environment(), folder: "/")
            guard await script.exitCode() == 0 else { throw TestHost.Failure(script.errors.all.joined(separator: "\n")) }
        }

        static func with(_ test: TestHost, _ body: (Server) async throws -> Void) async throws {
            let script = TestHost.sources + "/scripts/postgres"
            let folder = test.folder + "-db"
            let start = try Child(script, ["start", folder], environment: TestHost.environment(), folder: "/")
            let code = await start.exitCode()
            var result: Result<Void, any Error> = .success(())
            if code == 0, let url = start.output.all.last {
                do { try await body(Server(folder: folder, url: url)) } catch { result = .failure(error) }
            } else {
                result = .failure(TestHost.Failure(start.errors.all.joined(separator: "\n")))
            }
            // Before the server goes, so that nobody waits for it.
            await test.killHosts()
            _ = await (try Child(script, ["stop", folder], environment: TestHost.environment(), folder: "/")).exitCode()
            try result.get()
        }
    }

    private func config(_ server: Server) -> String {
        Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"") + Toml.job("mint", of: "good", Toml.once)
            + "\n[store]\nurl = \"\(server.url)\"\n"
    }

    private let plugin = PluginSource.entry(
        "append(FOLDER \"/done\", context->idempotency_key.data, context->idempotency_key.size); return JOB_SUCCEEDED;")

    @Test("Jobs run, an application enqueues in its own transaction, and a restart of the server loses nothing")
    func serves() async throws {
        try await TestHost.with { test in
            try await Server.with(test) { server in
                try await test.plugin("good", plugin)
                try test.config(config(server))
                let host = try await test.start()
                try await host.logs("✓ tick")

                let application = try PostgresConnection(PostgresAddress(server.url))
                try application.execute("CREATE TABLE orders (id bigint)")
                try application.transaction(.rowLocks) {
                    try application.run("INSERT INTO orders VALUES (1)")
                    try application.run("SELECT jobhost.enqueue('mint', '{\"order\": 1}', unique_key => 'order-1')")
                }
                application.close()
                try await host.logs("✓ mint")

                try await server.restart("immediate")
                let back = try await host.logs("the store answers again")
                try await host.logs("✓ tick", from: back)
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

    @Test("A second host is refused while the first one lives, and serves as soon as it has stopped; killed, a host serves again at once")
    func oneAtATime() async throws {
        try await TestHost.with { test in
            try await Server.with(test) { server in
                try await test.plugin("good", plugin)
                try test.config(config(server))
                try test.write("[host]\nname = \"other\"\nstate_dir = \"var2\"\n" + config(server), to: "other.toml")
                let first = try await test.start()
                try await first.logs("✓ tick")
                let refused = try await test.jobhost("run", "--config", "other.toml")
                #expect(refused.code == 6, "\(refused.errors)")
                #expect(refused.errors.contains("the host test serves the store postgresql://jobhost@127.0.0.1:"), "\(refused.errors)")

                first.signal(SIGKILL)
                _ = await first.exitCode()
                let again = try await test.start()
                try await again.logs("✓ tick")
                again.signal(SIGTERM)
                #expect(await again.exitCode() == 0)

                let other = try test.foreground("run", "--config", "other.toml")
                try await other.logs("✓ tick")
                other.signal(SIGTERM)
                #expect(await other.exitCode() == 0)
                #expect(try server.ledger.faults(every: ["tick": 1_000_000]) == [])
                #expect(try server.ledger.texts("SELECT DISTINCT owner FROM runs WHERE job = 'tick' AND state = 'succeeded' ORDER BY 1") == ["other", "test"])
            }
        }
    }
}
