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

    @Test("concurrency = 1 is one run on all hosts together, whether fires or enqueued runs")
    func oneAtATime() async throws {
        try await cluster { cluster in
            let test = cluster.test
            // Two at once would find the other's folder.
            try await test.plugin("alone", PluginSource.entry(
                """
                if (mkdir(FOLDER "/alone", 0777) != 0) return JOB_FAILED;
                struct timespec while_it_runs = {0, 120000000};
                nanosleep(&while_it_runs, NULL);
                rmdir(FOLDER "/alone");
                return JOB_SUCCEEDED;
                """, globals: "#include <sys/stat.h>"))
            let jobs = Toml.plugin("alone") + Toml.job("alone", of: "alone", "every = \"200ms\"\nretry = { max_attempts = 1 }\nbreaker = false")
            let hosts = try await (cluster.start("a", jobs), cluster.start("b", jobs), cluster.start("c", jobs))
            for _ in 0..<4 {
                let answer = try await test.jobhost("enqueue", "alone", "--config", "b.toml")
                #expect(answer.code == 0, "\(answer.errors)")
            }
            try await cluster.until("SELECT count(*) >= 4 FROM runs WHERE trigger = 'enqueued' AND state = 'succeeded'")
            try await cluster.until("SELECT count(*) >= 15 FROM runs WHERE trigger = 'schedule' AND finished_at IS NOT NULL")
            await cluster.stop(hosts.0, hosts.1, hosts.2)
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE outcome = 'failed'") == 0, "two ran at once")
            let faults = try cluster.ledger.faults(every: ["alone": 200_000])
            #expect(faults == [], "\(faults)")
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

            #expect(try await test.jobhost("pause", "long", "--reason", "maintenance", "--config", "a.toml").code == 0)
            #expect(try await test.jobhost("breaker", "long", "open", "--reason", "gateway", "--config", "a.toml").code == 0)
            // Whatever the other host shows comes from there.
            while true {
                let shown = try await test.jobhost("show", "long", "--config", "b.toml")
                if shown.output.contains("maintenance"), shown.output.contains("forced") { break }
                try Task.checkCancellation()
            }
            await cluster.stop(a, b)
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
            // What it had claimed until then has begun or gone back; the others go on.
            try await cluster.until("SELECT count(*) = 0 FROM runs WHERE state = 'running' AND owner = 'b'")
            let last = try cluster.ledger.number("SELECT max(fence) FROM runs")
            try await cluster.until("SELECT count(*) > 12 FROM runs WHERE fence > \(last) AND state = 'succeeded'")
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
        }
    }
}
