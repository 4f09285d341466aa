import Glibc
import SQL
import Testing

/// Hosts with a config each, that share folder, plugins and store.
struct Cluster {
    var test: TestHost
    var server: PostgresServer
    var lease: String
    var ledger: LedgerFile { server.ledger }

    func start(
        _ name: String, _ jobs: String, host keys: String = "", environment: [String: String] = [:]
    ) async throws -> Child {
        try test.write(
            "[host]\nname = \"\(name)\"\nstate_dir = \"var-\(name)\"\ngrace = \"5s\"\n\(keys)\n" + jobs
                + "\n[store]\nurl = \"\(server.url)\"\nlease = \"\(lease)\"\n", to: "\(name).toml")
        let host = try test.foreground("run", "--config", "\(name).toml", environment: environment)
        try await host.logs("serving ")
        return host
    }

    /// In which a decision holds on every host.
    static let limit = 3_000_000

    /// The database's, in microseconds.
    func clock() throws -> Int { try server.clock() }

    /// When an operator's command came.
    func decided(_ action: String) throws -> Int { try ledger.number("SELECT max(at) FROM audit WHERE action = '\(action)'") }

    /// Who gave it.
    func who(_ action: String) throws -> String { try #require(try ledger.texts("SELECT actor FROM audit WHERE action = '\(action)'").first) }

    func until(_ sql: String, _ wanted: String = "1") async throws { try await server.until(sql, wanted) }

    func stop(_ hosts: Child...) async {
        for host in hosts { host.signal(SIGTERM) }
        for host in hosts { #expect(await host.exitCode() == 0) }
    }
}

/// What the suites of several hosts share; they are several, so that they need not wait for each other.
protocol ClusterStory {
    /// Of each host: three seconds where one is to lapse, unless the suite says otherwise.
    static var lease: String { get }
}

extension ClusterStory {
    static var lease: String { "3s" }

    func cluster(_ body: (Cluster) async throws -> Void) async throws {
        try await TestHost.with { test in
            try await PostgresServer.with(test) { server in try await body(Cluster(test: test, server: server, lease: Self.lease)) }
        }
    }

    static var everySecond: String { (0..<6).map { Toml.job("tick\($0)", of: "good", "every = \"1s\"") }.joined() }
    static var periods: [String: Int] { Dictionary(uniqueKeysWithValues: (0..<6).map { ("tick\($0)", 1_000_000) }) }
}

/// Several real hosts on one real PostgreSQL server.
@Suite("Several hosts, end to end", .serialized, .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct ClusterTests: ClusterStory {
    @Test("Three hosts share the fires; one is killed, one stands still beyond its lease: each due time once, late results refused, its workers have ended themselves")
    func killedAndStopped() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let beacon = try test.beacon()
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("long", PluginSource.entry("tell(context->attempt > 1 ? \"again\" : \"began\"); for (;;) pause();"))
            let jobs = Toml.plugin("good") + Self.everySecond + Toml.plugin("long")
                + Toml.job("long", of: "long", "schedule = \"none\"\ntimeout = \"none\"\nretry = { max_attempts = 9 }")
            var hosts: [String: Child] = [:]
            for name in ["a", "b", "c"] { hosts[name] = try await cluster.start(name, jobs) }
            for name in ["a", "b", "c"] {
                try await cluster.until("SELECT count(*) > 0 FROM hosts WHERE name = '\(name)'")
            }
            try await cluster.until("SELECT min(n) > 1 FROM (SELECT count(*) AS n FROM runs WHERE state = 'succeeded' GROUP BY job) c")

            let queued = try await test.jobhost("enqueue", "long", "--config", "a.toml")
            #expect(queued.code == 0, "\(queued.errors)")
            let worker = try await beacon.pid("began")
            let stopped = try #require(try cluster.ledger.texts("SELECT owner FROM runs WHERE job = 'long'").first)
            hosts[stopped]?.signal(SIGSTOP)
            // Whoever lives takes its run over; by then its worker has ended itself.
            try await cluster.until("SELECT attempt > 1 AND state = 'running' AND owner <> '\(stopped)' FROM runs WHERE job = 'long'")
            #expect(Proc.ended(worker))
            _ = try await beacon.pid("again")

            let killed = try #require(["a", "b", "c"].first { $0 != stopped })
            let survivor = try #require(["a", "b", "c"].first { $0 != stopped && $0 != killed })
            hosts[killed]?.signal(SIGKILL)
            hosts[stopped]?.signal(SIGCONT)
            try await hosts[stopped]?.logs("this host's lease on the store has lapsed")
            try await hosts[stopped]?.logs("of long: its late result was refused")
            try await hosts[stopped]?.logs("this host has its lease on the store again")
            try await cluster.until("SELECT count(*) FROM runs WHERE state = 'running' AND owner = '\(killed)'", "0")
            // The one that came back serves all of it when it is alone.
            await cluster.stop(try #require(hosts[survivor]))
            let newest = try cluster.ledger.number("SELECT max(id) FROM runs")
            try await cluster.until("""
                SELECT count(DISTINCT job) = 6 FROM runs WHERE id > \(newest) AND owner = '\(stopped)' AND state = 'succeeded' AND job <> 'long'
                """)
            await cluster.stop(try #require(hosts[stopped]))
            let faults = try cluster.ledger.faults(every: Self.periods)
            #expect(faults == [], "\(faults)")
            #expect(try cluster.ledger.texts("SELECT job FROM runs WHERE state = 'running'") == [])
        }
    }

    @Test("A host is killed under a run that may not be tried again: whoever takes note of its end tells the streams and who is named in [alerts]")
    func deadLetterOfTheDead() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let beacon = try test.beacon()
            try await test.plugin("pay", PluginSource.entry("tell(\"paying\"); for (;;) pause();", flags: "0"))
            let jobs = Toml.plugin("pay") + Toml.job("pay", of: "pay", "schedule = \"none\"\ntimeout = \"none\"\nretry = { max_attempts = 9 }") + Toml.alertsToBeacon
            let hosts = ["a": try await cluster.start("a", jobs), "b": try await cluster.start("b", jobs)]
            #expect(try await test.jobhost("enqueue", "pay", "--config", "a.toml").code == 0)
            _ = try await beacon.pid("paying")
            let killed = try #require(try cluster.ledger.texts("SELECT owner FROM runs WHERE state = 'running'").first)
            let survivor = killed == "a" ? "b" : "a"
            let stream = try test.listen("kind=run_ended&job=pay", in: "var-\(survivor)")
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            hosts[killed]?.signal(SIGKILL)
            let message = try await beacon.hears("alert").rest
            #expect(message.contains("\"run_discarded:pay\"") && message.contains("its host \(killed) died or lost its lease while it ran"), "\(message)")
            let told = await stream.output.next(where: { $0.hasPrefix("data: ") && $0.contains("\"lost\"") })?.line
            #expect(told?.contains("\"discarded\"") == true, "\(stream.output.all)")
            await cluster.stop(try #require(hosts[survivor]))
        }
    }

    @Test("A host that stands still beyond its lease: its worker has ended itself, the write that it had sent is refused by its old fence, its late result too")
    func oldFence() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let beacon = try test.beacon()
            try cluster.ledger.execute("CREATE TABLE public.guard AS SELECT 0::bigint AS fence; CREATE TABLE public.writes (fence bigint, who text); CREATE TABLE public.tried (who text)")
            // What the first attempt sends waits in the server for this lock: it outlives whoever sent it.
            let door = try PostgresConnection(PostgresAddress(cluster.server.url))
            defer { door.close() }
            try door.run("SELECT pg_advisory_lock(7)")
            try await test.plugin("guarded", PluginSource.entry(
                """
                if (context->attempt > 1) return put(context, "second", "") == 0 ? JOB_SUCCEEDED : JOB_FAILED;
                tell("began");
                put(context, "first", "SELECT pg_advisory_xact_lock(7);");
                for (;;) pause();
                """,
                globals: """
                    static int put(const job_context *context, const char *who, const char *before) {
                        char line[1000];
                        snprintf(line, sizeof line, "/usr/bin/psql -X -q '\(cluster.server.url)' -c \\"%s WITH g AS (UPDATE public.guard SET fence = %lld "
                            "WHERE fence < %lld RETURNING fence) INSERT INTO public.writes SELECT fence, '%s' FROM g; INSERT INTO public.tried VALUES ('%s')\\"",
                            before, (long long)context->fence, (long long)context->fence, who, who);
                        return system(line);
                    }
                    """))
            let jobs = Toml.plugin("guarded") + Toml.job("guarded", of: "guarded", "schedule = \"none\"\ntimeout = \"none\"\nretry = { max_attempts = 9 }")
            let hosts = ["a": try await cluster.start("a", jobs), "b": try await cluster.start("b", jobs)]
            #expect(try await test.jobhost("enqueue", "guarded", "--config", "a.toml").code == 0)
            let worker = try await beacon.pid("began")
            try await cluster.until("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted")
            let stopped = try #require(try cluster.ledger.texts("SELECT owner FROM runs WHERE state = 'running'").first)
            let old = try cluster.ledger.number("SELECT fence FROM runs")
            hosts[stopped]?.signal(SIGSTOP)
            try await cluster.until("SELECT state = 'succeeded' AND attempt = 2 AND owner <> '\(stopped)' FROM runs")
            #expect(Proc.ended(worker))
            try door.run("SELECT pg_advisory_unlock(7)")
            try await cluster.until("SELECT count(*) FROM public.tried WHERE who = 'first'")
            let new = try cluster.ledger.number("SELECT fence FROM runs")
            #expect(new > old)
            #expect(try cluster.ledger.texts("SELECT who || ' ' || fence FROM public.writes") == ["second \(new)"])
            hosts[stopped]?.signal(SIGCONT)
            try await hosts[stopped]?.logs("of guarded: its late result was refused")
            await cluster.stop(try #require(hosts["a"]), try #require(hosts["b"]))
            #expect(try cluster.ledger.texts("SELECT state || ' ' || attempt FROM runs") == ["succeeded 2"])
        }
    }

    @Test("concurrency = 1 is one run on all hosts together, whether fires or enqueued runs; also where one is killed and one stands still beyond its lease")
    func oneAtATime() async throws {
        try await cluster { cluster in
            let test = cluster.test
            // Two at once would find it locked; a lock ends with its process, however that ends.
            try await test.plugin("alone", PluginSource.entry(
                """
                int file = open(FOLDER "/alone", O_RDWR | O_CREAT | O_CLOEXEC, 0666);
                if (file < 0 || flock(file, LOCK_EX | LOCK_NB) != 0) return JOB_FAILED;
                struct timespec while_it_runs = {0, 120000000};
                nanosleep(&while_it_runs, NULL);
                close(file);
                return JOB_SUCCEEDED;
                """, globals: "#include <sys/file.h>"))
            let jobs = Toml.plugin("alone") + Toml.job("alone", of: "alone", "every = \"200ms\"\nretry = { max_attempts = 1 }\nbreaker = false")
            let hosts = try await (cluster.start("a", jobs), cluster.start("b", jobs), cluster.start("c", jobs))
            for _ in 0..<4 {
                let answer = try await test.jobhost("enqueue", "alone", "--config", "b.toml")
                #expect(answer.code == 0, "\(answer.errors)")
            }
            try await cluster.until("SELECT count(*) >= 4 FROM runs WHERE trigger = 'enqueued' AND state = 'succeeded'")
            try await cluster.until("SELECT count(*) >= 15 FROM runs WHERE trigger = 'schedule' AND finished_at IS NOT NULL")
            // Whoever has a run under way, then whoever has it after that: the others go on when its lease has ended.
            func running() async throws -> String {
                try await cluster.until("SELECT count(*) = 1 FROM runs WHERE state = 'running' AND started_at IS NULL")
                return try cluster.ledger.texts("SELECT owner FROM runs WHERE state = 'running'").first ?? "a"
            }
            var all = ["a": hosts.0, "b": hosts.1, "c": hosts.2]
            let killed = try await running()
            all[killed]?.signal(SIGKILL)
            _ = await all.removeValue(forKey: killed)?.exitCode()
            let newest = try cluster.ledger.number("SELECT max(id) FROM runs")
            try await cluster.until("SELECT count(*) >= 5 FROM runs WHERE id > \(newest) AND state = 'succeeded'")
            let stopped = try #require(all.keys.sorted().first)
            all[stopped]?.signal(SIGSTOP)
            let later = try cluster.ledger.number("SELECT max(id) FROM runs")
            try await cluster.until("SELECT count(*) >= 25 FROM runs WHERE id > \(later) AND state = 'succeeded'")
            all[stopped]?.signal(SIGCONT)
            try await cluster.until("SELECT count(*) >= 40 FROM runs WHERE id > \(later) AND state = 'succeeded'")
            for host in all.values { await cluster.stop(host) }
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE outcome = 'failed'") == 0, "two ran at once")
            let faults = try cluster.ledger.faults(every: ["alone": 200_000])
            #expect(faults == [], "\(faults)")
        }
    }

    @Test("A newer host has changed the store's format and an older one's connection is cut: what that had under way is recorded, it claims nothing and says so, and a start of it is refused")
    func newerFormat() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("slow", PluginSource.entry("tell(\"began\"); wait_gate(); return JOB_SUCCEEDED;"))
            let jobs = Toml.plugin("good") + Self.everySecond + Toml.plugin("slow") + Toml.job("slow", of: "slow", Toml.once)
            let host = try await cluster.start("a", jobs)
            #expect(try await test.jobhost("enqueue", "slow", "--config", "a.toml").code == 0)
            _ = try await beacon.hears("began")
            let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'jobhost %'"
            try cluster.ledger.execute("INSERT INTO schema_migrations (version, name) VALUES (999, 'later')")
            try cluster.ledger.execute(cut)
            try await host.logs("has format 999", "What runs here goes on and is recorded, and nothing new starts")
            // A claim that was with the store at that moment has been answered.
            _ = try cluster.ledger.texts("SELECT 1 FROM pg_sleep(1)")
            let newest = try cluster.ledger.number("SELECT max(id) FROM runs")
            // And for the one that comes after it.
            try gate.open(2)
            try await cluster.until("SELECT state FROM runs WHERE job = 'slow'", "succeeded")
            try cluster.ledger.execute("SELECT jobhost.enqueue('slow', '{}')")
            // Longer than its lease, which it keeps.
            _ = try cluster.ledger.texts("SELECT 1 FROM pg_sleep(4)")
            #expect(try cluster.ledger.number("SELECT max(id) FROM runs") == newest)
            #expect(try cluster.ledger.number("SELECT count(*) FROM hosts WHERE lease_until > extract(epoch FROM clock_timestamp()) * 1000000") == 1)
            #expect(try await test.jobhost("status", "--config", "a.toml").output.contains("has format 999"))
            try test.write(try #require(Proc.text(of: test.folder + "/a.toml")).replacing("\"a\"", with: "\"b\"").replacing("var-a", with: "var-b"), to: "b.toml")
            let newcomer = try await test.jobhost("run", "--config", "b.toml")
            #expect(newcomer.code == 1 && newcomer.errors.contains("has format 999"), "\(newcomer.errors)")

            try cluster.ledger.execute("DELETE FROM schema_migrations WHERE version = 999")
            try cluster.ledger.execute(cut)
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'slow' AND state = 'succeeded'", "2")
            try await cluster.until("SELECT count(DISTINCT job) = 6 FROM runs WHERE id > \(newest) AND job <> 'slow' AND state = 'succeeded'")
            await cluster.stop(host)
            #expect(try cluster.ledger.faults(every: Self.periods) == [])
        }
    }
}
