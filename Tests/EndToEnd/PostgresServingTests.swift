import Glibc
import SQL
import Testing

/// Real hosts on a PostgreSQL that is not simply next to them: with TLS and passwords, behind a pooler.
@Suite("PostgreSQL as it stands elsewhere, end to end", .serialized, .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct PostgresServingTests {
    private static let jobs = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"") + Toml.job("mint", of: "good", Toml.once)

    private func server(_ body: (TestHost, PostgresServer) async throws -> Void) async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try await PostgresServer.with(test) { server in try await body(test, server) }
        }
    }

    @Test("TLS and a password file are libpq's own: a host serves by them, and none is let in without them", .enabled(if: TestHost.isThere("openssl")))
    func tlsAndPasswordFile() async throws {
        try await server { test, server in
            let root = try await server.script("tls")
            let port = try #require(server.url.split(separator: ":").last?.split(separator: "/").first)
            try server.ledger.execute("CREATE ROLE guarded LOGIN PASSWORD 'word-of-the-file'; GRANT CREATE ON DATABASE postgres TO guarded")
            try test.write("*:*:*:guarded:word-of-the-file\n", to: "passwords")
            try test.write("*:*:*:guarded:another-word\n", to: "wrong")
            for file in ["passwords", "wrong"] { chmod(test.folder + "/" + file, 0o600) }
            func url(_ parameters: String, at name: String = "localhost") -> String {
                "postgresql://guarded@\(name):\(port)/postgres?\(parameters)"
            }
            func write(_ url: String, to file: String = "jobs.toml") throws {
                try test.write("[host]\nname = \"test\"\n" + Self.jobs + "\n[store]\nurl = \"\(url)\"\n", to: file)
            }
            let refused = [
                (url("sslmode=disable"), "passwords", "pg_hba.conf"),
                (url("sslmode=require"), "wrong", "password authentication failed"),
                (url("sslmode=require"), "none", "no password supplied"),
                (url("sslmode=verify-full&sslrootcert=\(root)", at: "127.0.0.1"), "passwords", "does not match host name"),
                (url("sslmode=verify-full&sslrootcert=\(test.folder)/none.crt"), "passwords", "none.crt"),
            ]
            for (url, file, sentence) in refused {
                try write(url)
                let answer = try await test.jobhost("run", "--config", "jobs.toml", environment: ["PGPASSFILE": test.folder + "/" + file])
                #expect(answer.code != 0 && answer.errors.contains(sentence), "\(url): \(answer)")
                #expect(!answer.errors.contains("word-of-the-file") && !answer.errors.contains("another-word"))
            }
            for mode in ["require", "verify-full&sslrootcert=\(root)"] {
                try write(url("sslmode=" + mode))
                let host = try await test.start(["PGPASSFILE": test.folder + "/passwords"])
                try await host.logs("✓ tick")
                let plain = "SELECT count(*) FROM pg_stat_activity a LEFT JOIN pg_stat_ssl s USING (pid) WHERE a.usename = 'guarded'"
                try await server.until("SELECT (" + plain + " AND s.ssl) = 6")
                #expect(try server.ledger.number(plain + " AND s.ssl IS NOT TRUE") == 0)
                // From one connection to the other: by the listener, which has TLS too.
                try server.ledger.execute("SELECT enqueue('mint')")
                try await host.logs("✓ mint")
                host.signal(SIGTERM)
                #expect(await host.exitCode() == 0)
            }
            #expect(try server.ledger.faults(every: ["tick": 1_000_000]) == [])
        }
    }

    @Test("Behind a transaction pooler hosts fire and run what is enqueued, with one listening past it and one that is to hear nothing; a pooler that goes away is a database that does")
    func transactionPooler() async throws {
        try await server { test, server in
            let pooler = try await server.script("pooler")
            func start(_ name: String, _ keys: String) async throws -> Child {
                try test.write(
                    "[host]\nname = \"\(name)\"\nstate_dir = \"var-\(name)\"\n" + Self.jobs
                        + "\n[store]\nurl = \"\(pooler)\"\nprepared = false\n\(keys)\n", to: "\(name).toml")
                let host = try test.foreground("run", "--config", "\(name).toml")
                try await host.logs("serving ")
                return host
            }
            let hosts = [try await start("a", "listen_url = \"\(server.url)\""), try await start("b", "listen_url = \"\(server.url)\"\nnotify = false")]
            // Nothing but the one listener has come past the pooler.
            try await server.until("SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name LIKE 'jobhost%' AND query LIKE 'LISTEN%'")
            for part in 0..<5 {
                try server.ledger.execute("SELECT enqueue_many('mint', ARRAY(SELECT i::text FROM generate_series(1, 20) i), unique_keys => ARRAY(SELECT '\(part)-' || i FROM generate_series(1, 20) i))")
                #expect(try await test.jobhost("enqueue", "mint", "--key", "cli-\(part)", "--config", "\(part % 2 == 0 ? "a" : "b").toml").code == 0)
            }
            try await server.until("SELECT count(*) = 105 FROM runs WHERE job = 'mint' AND state = 'succeeded'")
            try await server.until("SELECT count(*) > 2 FROM runs WHERE job = 'tick' AND state = 'succeeded'")
            // Cut at whatever they were.
            let newest = try server.ledger.number("SELECT max(id) FROM runs")
            try server.ledger.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
            try await server.until("SELECT count(*) > 2 FROM runs WHERE job = 'tick' AND state = 'succeeded' AND id > \(newest)")
            try server.ledger.execute("SELECT enqueue('mint', unique_key => 'after')")
            try await server.until("SELECT count(*) FROM runs WHERE unique_key = 'after' AND state = 'succeeded'")
            for host in hosts { host.signal(SIGTERM) }
            for host in hosts { #expect(await host.exitCode() == 0) }
            #expect(try server.ledger.faults(every: ["tick": 1_000_000]) == [])
            #expect(try server.ledger.number("SELECT count(*) FROM runs WHERE job = 'mint' AND attempt <> 1") == 0)
        }
    }

    @Test("A host that is to hear nothing finds what is enqueued by looking: at once, at its time, and in a transaction that took its time")
    func polls() async throws {
        try await server { test, server in
            try test.write(
                "[host]\nname = \"test\"\n" + Self.jobs.replacing("every = \"1s\"", with: "schedule = \"none\"") + "\n[store]\nurl = \"\(server.url)\"\nnotify = false\n", to: "jobs.toml")
            let host = try await test.start()
            let application = try PostgresConnection(PostgresAddress(server.url))
            defer { application.close() }
            try application.execute("SET search_path = jobhost; LISTEN jobhost")
            func begun(_ key: String, after: Int) async throws {
                try await server.until("SELECT count(*) FROM runs WHERE unique_key = '\(key)' AND state = 'succeeded'")
                let took = try server.ledger.number("SELECT started_at - \(after) FROM runs WHERE unique_key = '\(key)'")
                #expect(took >= 0 && took < 3_000_000, "\(key): \(took) µs")
            }
            func clock() throws -> Int { try server.ledger.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint") }
            for round in 1...3 {
                let asked = try clock()
                try application.run("SELECT enqueue('mint', unique_key => 'now-\(round)')")
                try await begun("now-\(round)", after: asked)
            }
            let asked = try clock()
            try application.run("SELECT enqueue('mint', unique_key => 'later', run_at => to_timestamp(\(asked + 1_500_000) / 1e6))")
            try await begun("later", after: asked + 1_490_000)
            try application.execute("BEGIN; SELECT enqueue('mint', unique_key => 'slow'); SELECT pg_sleep(1.2)")
            let committed = try clock()
            try application.execute("COMMIT")
            try await begun("slow", after: committed)
            #expect(try application.notifications(milliseconds: 0) == 0, "somebody was told")
            #expect(try server.ledger.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobhost listen'") == 0)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try server.ledger.faults() == [])
        }
    }
}
