import Glibc
import SQL
import Testing

/// Several real hosts on one real PostgreSQL server.
@Suite("Several hosts, end to end", .serialized, .timeLimit(.minutes(3)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct ClusterTests {
    /// Hosts with a config each, that share folder, plugins and store.
    private struct Cluster {
        var test: TestHost
        var server: PostgresServer
        var ledger: LedgerFile { server.ledger }

        /// A short lease: three seconds.
        func start(_ name: String, _ jobs: String, host keys: String = "") async throws -> Child {
            try test.write(
                "[host]\nname = \"\(name)\"\nstate_dir = \"var-\(name)\"\ngrace = \"5s\"\n\(keys)\n" + jobs
                    + "\n[store]\nurl = \"\(server.url)\"\nlease = \"3s\"\n", to: "\(name).toml")
            let host = try test.foreground("run", "--config", "\(name).toml")
            try await host.logs("serving ")
            return host
        }

        /// In which a decision holds on every host.
        static let limit = 3_000_000

        /// The database's, in microseconds.
        func clock() throws -> Int { try ledger.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint") }

        /// When an operator's command came.
        func decided(_ action: String) throws -> Int { try ledger.number("SELECT max(at) FROM audit WHERE action = '\(action)'") }

        func until(_ sql: String, _ wanted: String = "1") async throws { try await server.until(sql, wanted) }

        func stop(_ hosts: Child...) async {
            for host in hosts { host.signal(SIGTERM) }
            for host in hosts { #expect(await host.exitCode() == 0) }
        }
    }

    private func cluster(_ body: (Cluster) async throws -> Void) async throws {
        try await TestHost.with { test in
            try await PostgresServer.with(test) { server in try await body(Cluster(test: test, server: server)) }
        }
    }

    private static let everySecond = (0..<6).map { Toml.job("tick\($0)", of: "good", "every = \"1s\"") }.joined()
    private static let periods = Dictionary(uniqueKeysWithValues: (0..<6).map { ("tick\($0)", 1_000_000) })

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
            let stream = try Child(
                "/usr/bin/env", ["curl", "-sSN", "-m", "100", "--unix-socket", test.folder + "/var-\(survivor)/jobhost.sock", "http://localhost/api/v1/events?kind=run_ended&job=pay"],
                environment: TestHost.environment(), folder: test.folder)
            defer { stream.signal(SIGKILL) }
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

    @Test("What an operator decides on one host holds on every host: pause, breaker, the cancel of a run elsewhere")
    func decisions() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let beacon = try test.beacon()
            try await test.plugin("long", PluginSource.entry(
                "tell(\"began\");" + """
                struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
                while (!context->is_cancelled(context)) poll(&stop, 1, 1000);
                return JOB_CANCELLED;
                """, flags: "JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE"))
            let jobs = Toml.plugin("long") + Toml.job("long", of: "long", "schedule = \"none\"\ntimeout = \"none\"")
            let a = try await cluster.start("a", jobs)
            let b = try await cluster.start("b", jobs)
            _ = try await test.jobhost("enqueue", "long", "--config", "a.toml")
            _ = try await beacon.pid("began")
            let owner = try #require(try cluster.ledger.texts("SELECT owner FROM runs WHERE state = 'running'").first)
            let other = owner == "a" ? "b" : "a"
            let run = try cluster.ledger.number("SELECT id FROM runs WHERE state = 'running'")
            let cancelled = try await test.jobhost("cancel", "\(run)", "--reason", "wrong one", "--config", "\(other).toml")
            #expect(cancelled.code == 0, "\(cancelled.errors)")
            try await cluster.until("SELECT state FROM runs WHERE id = \(run)", "cancelled")
            #expect(try cluster.ledger.texts("SELECT reason FROM runs WHERE id = \(run)").first?.contains("wrong one") == true)
            let heard = try cluster.ledger.number("SELECT finished_at - (SELECT max(at) FROM audit WHERE action = 'cancel') FROM runs WHERE id = \(run)")
            #expect(heard <= Cluster.limit, "cancelled after \(heard) µs")

            #expect(try await test.jobhost("pause", "long", "--reason", "maintenance", "--config", "a.toml").code == 0)
            #expect(try await test.jobhost("breaker", "long", "open", "--reason", "gateway", "--config", "a.toml").code == 0)
            // Whatever the other host shows comes from there.
            let decided = try cluster.decided("breaker open")
            while true {
                let asked = try cluster.clock()
                let shown = try await test.jobhost("show", "long", "--config", "b.toml")
                if shown.output.contains("maintenance"), shown.output.contains("forced") { break }
                try #require(asked <= decided + Cluster.limit, "not heard of: \(shown.output)")
            }
            await cluster.stop(a, b)
        }
    }

    @Test("Within three seconds of a command the other host starts nothing any more, and within three of its undoing it starts again", arguments: [
        (["pause", "t"], ["resume", "t"]), (["disable", "t"], ["enable", "t"]), (["breaker", "t", "open"], ["breaker", "t", "close"]),
        (["breaker", "t", "open"], ["breaker", "t", "reset"]), (["pause"], ["resume"]),
    ])
    func withinThreeSeconds(stop: [String], start: [String]) async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Toml.job("t", of: "good", "every = \"250ms\"\nconcurrency = 2")
            // Whatever runs, runs on the other one.
            let told = try await cluster.start("a", jobs, host: "schedule = false\nconsume = false")
            let runs = try await cluster.start("b", jobs)
            try await cluster.until("SELECT count(*) > 8 FROM runs WHERE state = 'succeeded'")
            for _ in 0..<6 { #expect(try await test.jobhost("enqueue", "t", "--config", "a.toml").code == 0) }
            func tell(_ words: [String]) async throws -> Int {
                let answer = try await test.jobhost(arguments: words + ["--reason", "test", "--config", "a.toml"])
                #expect(answer.code == 0, "\(answer.errors)")
                return try cluster.decided(words.filter { $0 != "t" }.joined(separator: " "))
            }
            let stopped = try await tell(stop)
            #expect(try await test.jobhost("enqueue", "t", "--config", "a.toml").code == (stop[0] == "disable" ? 6 : 0))
            try await cluster.until("SELECT extract(epoch FROM clock_timestamp()) * 1000000 > \(stopped + Cluster.limit + 2_500_000)")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE started_at > \(stopped + Cluster.limit)") == 0)
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE state = 'running'") == 0)
            let started = try await tell(start)
            try await cluster.until("SELECT count(*) > 4 FROM runs WHERE started_at > \(started)")
            let first = try cluster.ledger.number("SELECT min(started_at) - \(started) FROM runs WHERE started_at > \(started)")
            #expect(first <= Cluster.limit + 250_000, "it began again after \(first) µs")
            #expect(try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE started_at IS NOT NULL") == ["b"])
            await cluster.stop(told, runs)
            #expect(try cluster.ledger.faults(every: ["t": 250_000]) == [])
        }
    }

    @Test("A breaker that is open on two hosts lets one probe through on both together, and its success closes it for both")
    func oneProbe() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("shaky", PluginSource.entry(
                "if (there(FOLDER \"/down\")) { context->fail(context, 1, JOB_STR(\"down\")); return JOB_FAILED; } if (there(FOLDER \"/probing\")) { tell(\"probe\"); wait_gate(); } return JOB_SUCCEEDED;"))
            try test.write("", to: "down")
            let jobs = Toml.plugin("shaky")
                + Toml.job("shaky", of: "shaky", "schedule = \"none\"\nconcurrency = 4\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"6s\", successes = 1 }")
            let hosts = try await (cluster.start("a", jobs), cluster.start("b", jobs))
            try cluster.ledger.execute("SELECT jobhost.enqueue_many('shaky', array_fill('{}'::text, ARRAY[2]))")
            try await cluster.until("SELECT data LIKE '1|open|%' FROM breakers WHERE job = 'shaky'")
            func bothHear(_ word: String) async throws {
                let from = try cluster.clock()
                for name in ["a", "b"] {
                    while true {
                        let asked = try cluster.clock()
                        let shown = try await test.jobhost("show", "shaky", "--json", "--config", "\(name).toml").output
                        if shown.contains("\"\(word)\"") { break }
                        try #require(asked <= from + Cluster.limit, "\(name): \(shown)")
                    }
                }
            }
            // What a host starts before it has heard of the opening is no probe.
            try await bothHear("open")
            try test.write("", to: "probing")
            unlink(test.folder + "/down")
            try cluster.ledger.execute("SELECT jobhost.enqueue_many('shaky', array_fill('{}'::text, ARRAY[8]))")
            _ = try await beacon.hears("probe")
            // On both the opening has come to its end.
            for _ in 0..<10 {
                let running = try cluster.ledger.number("SELECT count(*) FROM runs WHERE state = 'running' AND (SELECT true FROM pg_sleep(0.3))")
                #expect(running == 1)
            }
            unlink(test.folder + "/probing")
            try gate.open()
            try await cluster.until("SELECT count(*) FROM runs WHERE state = 'succeeded'", "8")
            try await cluster.until("SELECT data LIKE '1|closed|%' FROM breakers WHERE job = 'shaky'")
            try await bothHear("closed")
            await cluster.stop(hosts.0, hosts.1)
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE state = 'discarded'") == 2)
        }
    }

    @Test("hosts shows who serves; one that is taken out starts nothing new, even after a restart, until it is let in again")
    func drained() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Self.everySecond
            let a = try await cluster.start("a", jobs)
            let b = try await cluster.start("b", jobs)
            let both = try await test.jobhost("hosts", "--config", "a.toml").output
            #expect(both.contains("a (this)  serves") && both.contains("b         serves"), "\(both)")
            let unknown = try await test.jobhost("hosts", "drain", "bb", "--config", "a.toml")
            #expect(unknown.code == 5 && unknown.errors.contains("no host 'bb' serves this store\n  did you mean 'b'?"), "\(unknown.errors)")
            let out = try await test.jobhost("hosts", "drain", "b", "--reason", "new kernel", "--config", "a.toml")
            #expect(out.code == 0 && out.output.contains("b is taken out"), "\(out.output) \(out.errors)")
            try await b.logs("taken out: nothing new starts here (new kernel)")
            let decided = try cluster.decided("drain host")
            // What it had claimed until then has begun or gone back; the others go on.
            try await cluster.until("SELECT count(*) = 0 FROM runs WHERE state = 'running' AND owner = 'b'")
            let last = try cluster.ledger.number("SELECT max(fence) FROM runs")
            try await cluster.until("SELECT count(*) > 12 FROM runs WHERE fence > \(last) AND state = 'succeeded'")
            let late = try cluster.ledger.number("SELECT count(*) FROM runs WHERE owner = 'b' AND started_at > \(decided + Cluster.limit)")
            #expect(late == 0, "it started \(late) runs later than three seconds after it was taken out")
            await cluster.stop(b)
            let again = try await cluster.start("b", jobs)
            try await cluster.until("SELECT count(*) > 24 FROM runs WHERE fence > \(last) AND state = 'succeeded'")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE fence > \(last) AND owner = 'b' AND state = 'succeeded'") == 0)
            let shown = try await test.jobhost("hosts", "--config", "b.toml").output
            #expect(shown.contains("b (this)  taken out: new kernel"), "\(shown)")
            #expect(try await test.jobhost("hosts", "drain", "b", "--undo", "--config", "b.toml").code == 0)
            try await again.logs("serves again")
            await cluster.stop(a)
            try await cluster.until("SELECT count(*) > 0 FROM runs WHERE fence > \(last) AND owner = 'b' AND state = 'succeeded'")
            await cluster.stop(again)
            #expect(try cluster.ledger.faults(every: Self.periods) == [])
        }
    }

    @Test("A job with run_on is served by hosts of that label alone; without one its runs wait, everybody says so, and its due times are all accounted for when one comes")
    func runOn() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Toml.job("eu", of: "good", "every = \"1s\"\nrun_on = [\"eu\", \"uk\"]")
                + Toml.job("queue", of: "good", "schedule = \"none\"\nrun_on = [\"eu\"]") + Toml.job("any", of: "good", "every = \"1s\"")
            let a = try await cluster.start("a", jobs, host: "labels = [\"eu\"]")
            let b = try await cluster.start("b", jobs, host: "labels = [\"us\"]")
            try await cluster.until("SELECT count(*) >= 3 FROM runs WHERE job = 'eu' AND state = 'succeeded'")
            #expect(try await test.jobhost("hosts", "--config", "b.toml").output.contains("eu"))
            await cluster.stop(a)
            // The other one lives, fires what it may, and tells what nobody does.
            try await b.logs("job eu: no host that lives has a label of its run_on (eu, uk): its runs wait")
            let last = try cluster.ledger.number("SELECT cursor FROM job_states WHERE job = 'eu'")
            try await cluster.until("SELECT cursor > \(last) + 3000000 FROM job_states WHERE job = 'any'")
            #expect(try cluster.ledger.number("SELECT cursor FROM job_states WHERE job = 'eu'") == last)
            try cluster.ledger.execute("SELECT jobhost.enqueue('queue', '{}')")
            try await cluster.until("SELECT state FROM runs WHERE job = 'queue'", "available")
            let waits = try await test.jobhost("runs", "queue", "--json", "--config", "b.toml").output
            #expect(waits.contains("queue runs on hosts with the label eu, and this is none of them"), "\(waits)")

            let again = try await cluster.start("a", jobs, host: "labels = [\"eu\"]")
            try await cluster.until("SELECT owner FROM runs WHERE job = 'queue' AND state = 'succeeded'", "a")
            try await cluster.until("SELECT count(*) >= 3 FROM runs WHERE job = 'eu' AND state = 'succeeded' AND fire_time > \(last) + 3000000")
            #expect(try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE job <> 'any'") == ["a"])
            await cluster.stop(again, b)
            #expect(try cluster.ledger.faults(every: ["eu": 1_000_000, "any": 1_000_000]) == [])
        }
    }

    @Test("A rate holds over all hosts together; what is over it waits, and says for what, until there is room or the rate is gone")
    func rate() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            func jobs(_ rate: String) -> String {
                Toml.plugin("good") + Toml.job("calls", of: "good", "schedule = \"none\"\nconcurrency = 4\n\(rate)") + Toml.job("other", of: "good", Toml.once)
            }
            let limited = jobs("rate = { runs = 5, per = \"1d\" }")
            let hosts = try await (cluster.start("a", limited), cluster.start("b", limited), cluster.start("c", limited))
            try cluster.ledger.execute("SELECT jobhost.enqueue_many('calls', array_fill('{}'::text, ARRAY[12]))")
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'calls' AND state = 'succeeded'", "5")
            // Nobody takes more of them, while other jobs go on.
            for _ in 0..<6 { try cluster.ledger.execute("SELECT jobhost.enqueue('other', '{}')") }
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'other' AND state = 'succeeded'", "6")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE job = 'calls' AND state = 'available'") == 7)
            while true {
                let explained = try await test.jobhost("explain", "calls", "--at", "now", "--config", "b.toml").output
                if explained.contains("as many have started as its rate allows (5 runs in 1d); the next may at 20") { break }
                try Task.checkCancellation()
            }
            // Another rate, on one host: `plan` says that it would be alone with it.
            try test.write(
                try #require(Proc.text(of: test.folder + "/a.toml")).replacing("rate = { runs = 5, per = \"1d\" }", with: "rate = { runs = 100 }"), to: "a.toml")
            let plan = try await test.jobhost("plan", "--config", "a.toml")
            #expect((plan.output + plan.errors).contains("job calls: a, b and c run different configs of it"), "\(plan.output) \(plan.errors)")
            #expect(try await test.jobhost("reload", "--config", "a.toml").code == 0)
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'calls' AND state = 'succeeded'", "12")
            await cluster.stop(hosts.0, hosts.1, hosts.2)
            #expect(try cluster.ledger.faults() == [])
        }
    }

    @Test("Hosts that differ are told of; a run for a job that only one of them knows waits for that one")
    func different() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let common = Toml.plugin("good") + Toml.job("shared", of: "good", Toml.once)
            let a = try await cluster.start("a", common + Toml.job("ours", of: "good", Toml.once))
            let b = try await cluster.start("b", common.replacing("schedule = \"none\"", with: "schedule = \"none\"\npriority = 5"))
            try await b.logs("job shared: a and b run different configs of it")
            #expect(try await test.jobhost("status", "--config", "b.toml").output.contains("job shared: a and b run different configs of it"))
            try cluster.ledger.execute("SELECT jobhost.enqueue('ours', '{}'), jobhost.enqueue('nobodys', '{}')")
            try await cluster.until("SELECT owner FROM runs WHERE job = 'ours' AND state = 'succeeded'", "a")
            try await cluster.until("SELECT refused FROM enqueue_inbox WHERE job = 'nobodys'", "there is no job \"nobodys\"")
            await cluster.stop(a, b)
        }
    }

    @Test("What a job's runs did on another host is shown here, graded here, and told to who listens here")
    func shownEverywhere() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("bad", PluginSource.fails)
            // Without a success it would be critical here after three seconds.
            let jobs = Toml.plugin("good") + Toml.plugin("bad")
                + Toml.job("tick", of: "good", "every = \"1s\"\nhealth = { critical = { success_age = \"10s\" } }")
                + Toml.job("fall", of: "bad", "schedule = \"none\"\nretry = { max_attempts = 1 }")
            let runs = try await cluster.start("a", jobs)
            let looks = try await cluster.start("b", jobs, host: "schedule = false\nconsume = false")
            let stream = try Child(
                "/usr/bin/env", ["curl", "-sSN", "-m", "100", "--unix-socket", test.folder + "/var-b/jobhost.sock", "http://localhost/api/v1/events?kind=elsewhere&job=fall"],
                environment: TestHost.environment(), folder: test.folder)
            defer { stream.signal(SIGKILL) }
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            #expect(try await test.jobhost("trigger", "fall", "--wait", "--config", "a.toml").code == 1)
            #expect(await stream.output.next(where: { $0 == "event: elsewhere" }) != nil)
            let fall = try await test.jobhost("show", "fall", "--config", "b.toml", "--json").output
            #expect(fall.contains("\"outcome\": \"failed\"") && fall.contains("no such account"), "\(fall)")
            let run = try #require(try cluster.ledger.texts("SELECT id FROM runs WHERE job = 'fall'").first)
            let log = try await test.jobhost("logs", run, "--config", "b.toml")
            #expect(log.errors.contains("its log is on a, which ran it"), "\(log.errors)")
            // By the database's clock, well past the ten seconds.
            try await cluster.until("SELECT count(*) >= 14 FROM runs WHERE job = 'tick' AND state = 'succeeded'")
            let tick = try await test.jobhost("show", "tick", "--config", "b.toml", "--json").output
            #expect(tick.contains("\"grade\": \"healthy\""), "\(tick)")
            await cluster.stop(runs, looks)
            #expect(try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE owner <> ''") == ["a"], "it ran what it was not to run")
        }
    }
}
