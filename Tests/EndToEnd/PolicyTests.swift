import Glibc
import Testing

/// The real binaries: what each key of a job promises.
@Suite("Keys of a job, end to end", .timeLimit(.minutes(8))) struct PolicyTests {
    @Test("heartbeat: silence counts as the timeout, progress as a sign of life")
    func heartbeat() async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.entry(
                """
                struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
                if (!asked(context, "alive")) { poll(&stop, 1, -1); return JOB_CANCELLED; }
                for (int i = 0; i < 40; i++) {
                    context->progress(context, (uint64_t)i, 40, JOB_STR("going on"));
                    if (poll(&stop, 1, 50) > 0) return JOB_CANCELLED;
                }
                return JOB_SUCCEEDED;
                """))
            try test.config(Toml.plugin("slow") + Toml.job("slow", of: "slow", Toml.once + "\nheartbeat = \"1s\"\ntimeout = \"10m\""))
            _ = try await test.start()
            let silent = try await test.jobhost("trigger", "slow", "--wait")
            #expect(silent.code == 13, "\(silent.output) \(silent.errors)")
            #expect((silent.output + silent.errors).contains("no progress for 1s"), "\(silent.output)")
            let alive = try await test.jobhost("trigger", "slow", "--payload", "\"alive\"", "--wait")
            #expect(alive.code == 0, "\(alive.output) \(alive.errors)")
        }
    }

    @Test("retry: a transient failure comes back with the same key until it succeeds, or is a dead letter")
    func retries() async throws {
        try await TestHost.with { test in
            try await test.plugin("shaky", PluginSource.entry(
                """
                append(FOLDER "/keys", context->idempotency_key.data, context->idempotency_key.size);
                if (asked(context, "never") || context->attempt < 3) { context->fail(context, 5, JOB_STR("the peer is down")); return JOB_RETRY; }
                summarize(context, "attempt %u", context->attempt);
                return JOB_SUCCEEDED;
                """, flags: "0"))
            try test.config(
                Toml.plugin("shaky")
                    + Toml.job("shaky", of: "shaky", "schedule = \"none\"\nbreaker = false\nretry = { max_attempts = 4, initial = \"20ms\", max = \"50ms\" }"))
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "shaky", "--wait").code == 0)
            try await host.logs("✓ shaky run 1", "attempt 3")
            let dead = try await test.jobhost("trigger", "shaky", "--payload", "\"never\"", "--wait")
            #expect(dead.code == 10, "\(dead.output) \(dead.errors)")
            let keys = Proc.text(of: test.folder + "/keys")?.split(separator: "\n") ?? []
            #expect(keys.count == 7 && Set(keys).count == 2, "\(keys)")
            #expect(try test.ledger.texts("SELECT state || ' ' || attempt FROM runs ORDER BY id") == ["succeeded 3", "discarded 4"])
            #expect(try test.ledger.texts("SELECT run || ' ' || attempt || ' ' || outcome FROM attempts ORDER BY run, attempt")
                == ["1 1 retry", "1 2 retry", "2 1 retry", "2 2 retry", "2 3 retry"])
            let letters = try await test.jobhost("dead", "list")
            #expect(letters.output.contains("the peer is down"), "\(letters.output)")
            let again = try await test.jobhost("dead", "retry", "2")
            #expect(again.code == 0, "\(again.errors)")
            try await host.logs("run 3", "dead letter")
            let later = Proc.text(of: test.folder + "/keys")?.split(separator: "\n") ?? []
            #expect(Set(later) == Set(keys), "a retry from the dead letters inherits the key")
        }
    }

    @Test("snooze: the run comes back at its time and the attempt is not counted")
    func snoozes() async throws {
        try await TestHost.with { test in
            try await test.plugin("sleepy", PluginSource.entry(
                """
                if (!there(FOLDER "/slept")) {
                    append(FOLDER "/slept", "x", 1);
                    struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
                    context->snooze_until(context, now.tv_sec * 1000000 + now.tv_nsec / 1000 + 300000);
                    return JOB_SNOOZE;
                }
                summarize(context, "attempt %u", context->attempt);
                return JOB_SUCCEEDED;
                """, flags: "0"))
            try test.config(Toml.plugin("sleepy") + Toml.job("sleepy", of: "sleepy", Toml.once))
            let host = try await test.start()
            try await test.jobhost("trigger", "sleepy")
            try await host.logs("z sleepy run 1")
            try await host.logs("✓ sleepy run 1", "attempt 1")
        }
    }

    @Test("after: runs once for each success of the other job, never for a failure")
    func after() async throws {
        try await TestHost.with { test in
            try await test.plugin("first", PluginSource.entry("return asked(context, \"fail\") ? JOB_FAILED : JOB_SUCCEEDED;"))
            try test.config(
                Toml.plugin("first") + Toml.job("first", of: "first", Toml.once) + Toml.job("second", of: "first", "after = \"first\"")
                    + Toml.job("third", of: "first", "after = \"second\""))
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "first", "--payload", "\"fail\"", "--wait").code == 1)
            #expect(try await test.jobhost("trigger", "first", "--wait").code == 0)
            try await host.logs("✓ third")
            #expect(try test.ledger.texts("SELECT job || ' ' || trigger FROM runs ORDER BY id")
                == ["first manual", "first manual", "second after", "third after"])
        }
    }

    @Test("overlap: skip records what was due meanwhile, queue keeps one, and both end with a complete ledger", arguments: ["skip", "queue"])
    func overlap(policy: String) async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("slow", PluginSource.entry(
                "if (!there(FOLDER \"/free\")) { tell(\"started\"); wait_gate(); } return JOB_SUCCEEDED;"))
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(
                Toml.plugin("slow") + Toml.job("slow", of: "slow", "every = \"200ms\"\noverlap = \"\(policy)\"\ntimeout = \"10m\"")
                    + Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\""))
            let host = try await test.start()
            _ = try await beacon.hears("started")
            let at = try await host.logs("✓ tick")
            try await host.logs("✓ tick", from: at + 1)
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'slow' AND state = 'available'") == (policy == "queue" ? 1 : 0))
            try test.write("", to: "free")
            try gate.open()
            let first = try await host.logs("✓ slow")
            try await host.logs("✓ slow", from: first + 1)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["slow": 200_000, "tick": 1_000_000]) == [])
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE job = 'slow' AND reason = 'overlap' AND count > 3") >= 1)
        }
    }

    @Test("concurrency: two runs of one job at once, never three; isolate: a hung sibling holds up nobody")
    func concurrency() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("wide", PluginSource.waits("done"))
            try test.config(
                Toml.plugin("wide") + Toml.job("wide", of: "wide", "schedule = \"none\"\nconcurrency = 2\ntimeout = \"10m\"")
                    + Toml.job("alone", of: "wide", "schedule = \"none\"\nisolate = true\ntimeout = \"10m\""))
            let host = try await test.start()
            for _ in 0..<3 { try await test.jobhost("trigger", "wide") }
            let (first, _) = try await beacon.hears("started")
            _ = try await beacon.hears("started", from: first + 1)
            try await test.jobhost("trigger", "alone")
            let (third, _) = try await beacon.hears("started", from: first + 2)
            let states = try test.ledger.texts("SELECT job || ' ' || state FROM runs ORDER BY id")
            #expect(states == ["wide running", "wide running", "wide available", "alone running"])
            try gate.open(3)
            _ = try await beacon.hears("started", from: third + 1)
            try gate.open()
            for job in ["wide run 3", "alone run 4"] { try await host.logs("✓ \(job)") }
            #expect(Set(beacon.lines.all).count == 3, "three workers: \(beacon.lines.all)")
        }
    }

    @Test("on_start: once at each start, and once when a reload adds the job")
    func onStart() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            let first = Toml.plugin("good") + Toml.job("early", of: "good", "schedule = \"none\"\non_start = true")
            try test.config(first)
            let host = try await test.start()
            try await host.logs("✓ early run 1")
            try test.config(first + Toml.job("later", of: "good", "schedule = \"none\"\non_start = true"))
            #expect(try await test.jobhost("reload").code == 0)
            try await host.logs("✓ later run 2")
            #expect(try await test.jobhost("reload").code == 0)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let second = try await test.start()
            try await second.logs("✓ early run 3")
            try await second.logs("✓ later run 4")
            #expect(try test.ledger.texts("SELECT DISTINCT trigger FROM runs") == ["start"])
        }
    }

    @Test("on_start: a start that the store refuses keeps no other waiting and is tried again; a job that is removed and added again starts again, also where that one is owed")
    func startsOwed() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            func job(_ name: String) -> String { Toml.job(name, of: "good", "schedule = \"none\"\non_start = true") }
            func refuse(_ name: String) throws {
                try test.ledger.execute(
                    "CREATE TRIGGER refused BEFORE INSERT ON runs WHEN NEW.job = '\(name)' BEGIN SELECT RAISE(ABORT, 'not now'); END")
            }
            try test.config(Toml.plugin("good") + job("bad"))
            let first = try await test.start()
            try await first.logs("✓ bad run")
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)

            try refuse("bad")
            try test.config(Toml.plugin("good") + job("bad") + job("early"))
            let host = try await test.start()
            let refused = try await host.logs("the run of bad that a start owes is refused", "not now")
            try await host.logs("✓ early run")
            let health = try await test.health()
            #expect(health.status == 503 && health.body.contains("refuses the run of bad that a start owes"), "\(health)")
            try test.ledger.execute("DROP TRIGGER refused")
            try await host.logs("✓ bad run", from: refused)
            #expect(try await test.health().status == 200)

            try test.config(Toml.plugin("good") + job("bad"))
            #expect(try await test.jobhost("reload").code == 0)
            try refuse("early")
            try test.config(Toml.plugin("good") + job("bad") + job("early"))
            #expect(try await test.jobhost("reload").code == 0)
            let again = try await host.logs("the run of early that a start owes is refused")
            try test.ledger.execute("DROP TRIGGER refused")
            try await host.logs("✓ early run", from: again)
            #expect(try test.ledger.texts("SELECT job FROM runs ORDER BY id") == ["bad", "early", "bad", "early"])
            #expect(try test.ledger.number("SELECT count(DISTINCT idempotency_key) FROM runs") == 4)
        }
    }

    @Test("priority: of what waits for the only worker the highest comes first")
    func priority() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("one", PluginSource.entry(
                "if (asked(context, \"block\")) { tell(\"started\"); wait_gate(); } append(FOLDER \"/order\", context->payload.data, context->payload.size); return JOB_SUCCEEDED;"))
            try test.config(Toml.plugin("one", "max_workers = 1") + Toml.job("one", of: "one", "schedule = \"none\"\ntimeout = \"10m\""))
            let host = try await test.start()
            try await test.jobhost("enqueue", "one", "--payload", "\"block\"")
            _ = try await beacon.hears("started")
            for priority in ["-5", "0", "7", "3"] {
                let answer = try await test.jobhost("enqueue", "one", "--payload", "\"\(priority)\"", "--priority=\(priority)")
                #expect(answer.code == 0, "\(answer.errors)")
            }
            try gate.open()
            try await host.logs("✓ one run 2")
            #expect(Proc.text(of: test.folder + "/order") == "\"block\"\n\"7\"\n\"3\"\n\"0\"\n\"-5\"\n")
        }
    }

    @Test("env: a worker gets the listed variables and no others")
    func environment() async throws {
        try await TestHost.with { test in
            try await test.plugin("env", PluginSource.entry(
                "extern char **environ; for (char **e = environ; *e; e++) append(FOLDER \"/env\", *e, strlen(*e)); return JOB_SUCCEEDED;"))
            try test.config(Toml.plugin("env", "env = [\"LISTED\", \"NOT_SET\"]") + Toml.job("env", of: "env", Toml.once))
            _ = try await test.start(["LISTED": "yes", "SECRET": "no"])
            #expect(try await test.jobhost("trigger", "env", "--wait").code == 0)
            #expect(Proc.text(of: test.folder + "/env") == "LISTED=yes\n")
        }
    }

    @Test("recycle: a worker that has grown is replaced between runs; one that has not stays")
    func recycle() async throws {
        try await TestHost.with { test in
            try await test.plugin("leaks", PluginSource.entry(
                """
                if (asked(context, "leak")) {
                    char *block = malloc(100 << 20);
                    for (int i = 0; block && i < 100 << 20; i += 512) ((volatile char *)block)[i] = 1;
                }
                return JOB_SUCCEEDED;
                """))
            try test.config(Toml.plugin("leaks", "recycle = { memory = \"80MB\" }") + Toml.job("leaks", of: "leaks", Toml.once))
            _ = try await test.start()
            for payload in ["0", "0", "\"leak\""] {
                #expect(try await test.jobhost("trigger", "leaks", "--payload", payload, "--wait").code == 0)
            }
            let pids = try test.ledger.texts("SELECT pid FROM runs ORDER BY id")
            #expect(Set(pids).count == 1, "\(pids)")
            let grown = Proc.ended(pid_t(pids[0]) ?? 1)
            #expect(grown, "it was measured above its limit and went")
            #expect(try await test.jobhost("trigger", "leaks", "--wait").code == 0)
        }
    }

    private static let maySetUser = getuid() == 0 && getpwnam("nobody") != nil && access("/usr/bin/setpriv", X_OK) == 0

    @Test("user: workers run as that user with that user's groups, none of the host's, and without a way back", .enabled(if: maySetUser))
    func user() async throws {
        try await TestHost.with { test in
            chmod(test.folder, 0o755)
            try await test.plugin("who", PluginSource.entry(
                """
                gid_t groups[64];
                char text[1024] = "";
                int count = getgroups(64, groups);
                for (int i = 0; i < count; i++) snprintf(text + strlen(text), sizeof text - strlen(text), " %d", (int)groups[i]);
                summarize(context, "uid %d %d %d groups%s.", (int)getuid(), (int)getegid(), setuid(0), text);
                return JOB_SUCCEEDED;
                """))
            try test.config(Toml.plugin("who", "user = \"nobody\"") + Toml.job("who", of: "who", Toml.once))
            let host = try await test.start(through: ["/usr/bin/setpriv", "--groups", "4711,4712"])
            let nobody = getpwnam("nobody").pointee
            var groups = [gid_t](repeating: 0, count: 64)
            var count = Int32(groups.count)
            try #require(getgrouplist("nobody", nobody.pw_gid, &groups, &count) >= 0)
            let theirs = groups.prefix(Int(count)).sorted().map { " \($0)" }.joined()
            let run = try await test.jobhost("trigger", "who", "--wait")
            #expect(run.code == 0, "\(run.output) \(run.errors)")
            try await host.logs("✓ who", "uid \(nobody.pw_uid) \(nobody.pw_gid) -1 groups\(theirs).")
        }
    }

    @Test(
        "user: a host that may not become it, and a user that is none, are refused at check, start and reload in a sentence with the way out; the others serve",
        .enabled(if: maySetUser), arguments: [("nobody", "the host must run as root"), ("none-such", "this machine has no such user")])
    func userRefused(user: String, wayOut: String) async throws {
        try await TestHost.with { test in
            let asAnother = ["/usr/bin/setpriv", "--reuid", "64902", "--regid", "64902", "--clear-groups"]
            chown(test.folder, 64_902, 64_902)
            try await test.plugin("who", PluginSource.succeeds)
            try await test.plugin("good", PluginSource.succeeds)
            let good = Toml.plugin("good") + Toml.job("good", of: "good", Toml.once)
            let job = Toml.job("who", of: "who", Toml.once)
            let refused = good + Toml.plugin("who", "user = \"\(user)\"") + job
            let sentences = ["cannot become user '\(user)'", wayOut, "leave `user` out of the plugin"]
            try test.config(refused)
            let check = try await test.jobhost(arguments: ["check"], through: asAnother)
            #expect(check.code == 4)
            for sentence in sentences { #expect(check.output.contains(sentence), "\(check.output)") }
            let host = try await test.start(through: asAnother)
            #expect(host.errors.all.contains { line in line.contains("plugin who refused") && sentences.allSatisfy(line.contains) }, "\(host.errors.all)")
            #expect(try await test.jobhost("trigger", "who", "--wait").code != 0, "nothing of it runs")
            #expect(try await test.jobhost("trigger", "good", "--wait").code == 0, "the others serve")
            try test.config(good + Toml.plugin("who") + job)
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await test.jobhost("trigger", "who", "--wait").code == 0)
            try test.config(refused)
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4)
            for sentence in sentences { #expect(reload.output.contains(sentence), "\(reload.output)") }
            #expect(try await test.jobhost("trigger", "who", "--wait").code == 0, "what serves goes on")
        }
    }

    @Test("State outlives workers and hosts: the C example goes on counting")
    func state() async throws {
        try await TestHost.with { test in
            let example = try #require(Proc.text(of: TestHost.sources + "/Examples/hello-c/hello.c"))
            try await test.plugin("hello", example)
            try test.config(Toml.plugin("hello", "recycle = { runs = 1 }") + Toml.job("hello", of: "hello", Toml.once, entry: "greet"))
            let first = try await test.start()
            for number in 1...3 {
                #expect(try await test.jobhost("trigger", "hello", "--wait").code == 0)
                #expect(try await test.jobhost("logs", "hello").output.contains("number \(number)"))
            }
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            _ = try await test.start()
            #expect(try await test.jobhost("trigger", "hello", "--wait").code == 0)
            #expect(try await test.jobhost("logs", "hello").output.contains("number 4"))
            #expect(try test.ledger.number("SELECT count(DISTINCT pid) FROM runs") == 4)
        }
    }
}
