import Glibc
import Testing

/// The real binaries: reloads at the worst moment, of the worst plugins.
@Suite("Hostile reloads, end to end", .timeLimit(.minutes(8))) struct ReloadHostileTests {
    private func two(_ mode: String) -> String {
        Toml.plugin("picky") + Toml.job("picky", of: "picky", Toml.once + "\nsettings = { mode = \"\(mode)\" }") + Toml.plugin("other")
            + Toml.job("other", of: "other", Toml.once)
    }

    @Test("A plugin that refuses its new settings keeps its old version and settings; the other switches; exit code 4")
    func refusesSettings() async throws {
        try await TestHost.with { test in
            try await test.plugin("picky", PluginSource.picky("old"))
            try await test.plugin("other", PluginSource.says("old code"))
            try test.config(two("fine"))
            let host = try await test.start()
            try await test.plugin("picky", PluginSource.picky("new"))
            try await test.plugin("other", PluginSource.says("new code"))
            try test.config(two("bad"))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4, "\(reload.output) \(reload.errors)")
            #expect(reload.output.contains("I do not like these settings"), "\(reload.output)")
            #expect(try await test.jobhost("trigger", "picky", "--wait").code == 0)
            try await host.logs("✓ picky", "old with", "fine")
            #expect(try await test.jobhost("trigger", "other", "--wait").code == 0)
            try await host.logs("✓ other", "new code")

            try test.config(two("better"))
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await test.jobhost("trigger", "picky", "--wait").code == 0)
            try await host.logs("✓ picky", "new with", "better")
        }
    }

    @Test(
        "A library that fails its handshake keeps its old version and its old jobs; the others switch; exit code 4",
        arguments: [
            ("no symbol", "job_plugin_v1(void)", "job_plugin_v0(void)"), ("nothing there", "return &plugin; }", "return NULL; }"),
            ("dies", "return &plugin; }", "abort(); }"), ("hangs", "return &plugin; }", "for (;;) pause(); }"),
            ("no entries", ".entry_count = 1", ".entry_count = 0"), ("an entry that is none", "return &entries[index]; }", "(void)index; return NULL; }"),
        ])
    func handshake(kind: String, words: String, instead: String) async throws {
        try await TestHost.with { test in
            func config(_ priority: Int) -> String {
                ["first", "broken", "last"].map {
                    Toml.plugin($0, "start_timeout = \"\(kind == "hangs" && $0 == "broken" ? "3s" : "90s")\"") + Toml.job($0, of: $0, Toml.once + "\npriority = \(priority)")
                }.joined()
            }
            for name in ["first", "broken", "last"] { try await test.plugin(name, PluginSource.says("old \(name)")) }
            try test.config(config(0))
            let host = try await test.start()
            for name in ["first", "last"] { try await test.plugin(name, PluginSource.says("new \(name)")) }
            let whole = PluginSource.says("new broken")
            let broken = whole.replacing(words, with: instead)
            #expect(broken != whole)
            try await test.plugin("broken", broken)
            try test.config(config(5))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4, "\(reload.output) \(reload.errors)")
            #expect(reload.output.contains("plugin refused") && reload.output.contains("broken"), "\(reload.output)")
            try await host.logs("plugin broken refused")
            for name in ["first", "last"] {
                #expect(try await test.jobhost("trigger", name, "--wait").output.contains("new \(name)"))
                #expect(try await test.jobhost("show", name, "--json").output.number(after: "priority") == 5)
            }
            #expect(try await test.jobhost("trigger", "broken", "--wait").output.contains("old broken"))
            #expect(try await test.jobhost("show", "broken", "--json").output.number(after: "priority") == 0)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            if kind == "hangs" { expectEnd(after: try test.ledger.buildTook(), atLimit: 3_000, "the probe") }
        }
    }

    @Test("At a start the last accepted copy serves instead of a library that refuses or does not load, and says so", arguments: [true, false])
    func acceptedCopy(loads: Bool) async throws {
        try await TestHost.with { test in
            try await test.plugin("picky", PluginSource.picky("old"))
            try await test.plugin("other", PluginSource.says("other"))
            try test.config(two("fine"))
            let first = try await test.start()
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            if loads {
                try await test.plugin("picky", PluginSource.picky("new").replacing("\"bad\", 3", with: "\"fine\", 4"))
            } else {
                try test.write("half a libr", to: "plugins/libpicky.so")
            }
            let second = try await test.start()
            try await second.logs("WARN", "picky", "serves instead")
            #expect(try await test.jobhost("trigger", "picky", "--wait").code == 0)
            try await second.logs("✓ picky", "old with")
            #expect(try await test.jobhost("status").output.contains("serves instead"))
        }
    }

    /// Waits at the gate in its first loading.
    private func slowToLoad(_ word: String) -> String {
        PluginSource.entry(
            "context->summary(context, JOB_STR(\"\(word)\")); return JOB_SUCCEEDED;",
            globals: """
                __attribute__((constructor)) static void early(void) {
                    if (unlink(FOLDER "/slow") != 0) return;
                    tell("loading");
                    wait_gate();
                }
                """)
    }

    @Test("Fifty SIGHUPs during a reload make exactly one further reload, with the last file")
    func storm() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("slow", slowToLoad("old"))
            try test.config(Toml.plugin("slow") + Toml.job("slow", of: "slow"))
            let host = try await test.start()
            try test.write("", to: "slow")
            try await test.plugin("slow", slowToLoad("new"))
            host.signal(SIGHUP)
            _ = try await beacon.hears("loading")
            for round in 1...50 {
                try test.config(Toml.plugin("slow") + Toml.job("round-\(round)", of: "slow"))
                host.signal(SIGHUP)
            }
            // An answer means that the signals before it have arrived.
            #expect(try await test.jobhost("status").code == 0)
            try gate.open()
            try await host.logs("generation 2 serves")
            let last = try await host.logs("generation 3 serves")
            #expect(host.errors.all[..<last].contains { $0.contains("round-50 added") }, "\(host.errors.all)")
            let status = try await test.jobhost("status")
            #expect(status.output.contains("round-50"), "\(status.output)")
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 0)
            try await host.logs("generation 4 serves", "1 kept")
            #expect(host.errors.all.count { $0.contains(" serves: ") } == 4, "\(host.errors.all)")
        }
    }

    @Test("SIGHUP during start-up is a reload after it")
    func early() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("slow", slowToLoad("new"))
            try test.config(Toml.plugin("slow") + Toml.job("first", of: "slow"))
            try test.write("", to: "slow")
            let host = try test.launch()
            _ = try await beacon.hears("loading")
            try test.config(Toml.plugin("slow") + Toml.job("second", of: "slow"))
            for _ in 0..<5 { host.signal(SIGHUP) }
            try gate.open()
            try await host.logs("serving 1 job;")
            try await host.logs("second added")
            try await host.logs("generation 2 serves")
            #expect(try await test.jobhost("trigger", "second", "--wait").code == 0)
        }
    }

    /// Sends SIGHUP and SIGUSR1 to the host from its first thread on: at once, and 1, 2, 5, 10, 20, 50 ms later.
    private let signalsItself = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <pthread.h>
        #include <signal.h>
        #include <time.h>
        #include <unistd.h>
        typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
        static void both(void) { kill(getpid(), SIGHUP); kill(getpid(), SIGUSR1); }
        static void *later(void *nothing) {
            static const int pauses[] = {1, 1, 3, 5, 10, 30};
            for (int i = 0; i < 6; i++) {
                struct timespec pause = {0, pauses[i] * 1000000L};
                nanosleep(&pause, NULL);
                both();
            }
            return nothing;
        }
        int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
            static int begun;
            create *real = (create *)dlsym(RTLD_NEXT, "pthread_create");
            pthread_t own;
            if (!__atomic_exchange_n(&begun, 1, __ATOMIC_SEQ_CST)) {
                both();
                if (real(&own, NULL, later, NULL) == 0) pthread_detach(own);
            }
            return real(thread, attributes, body, argument);
        }
        """

    @Test("SIGHUP and SIGUSR1 before anything of the host has begun, and all along its start, are not its end; its workers have them at their default")
    func fromTheFirstThreadOn() async throws {
        try await TestHost.with { test in
            try await test.sharedLibrary("signals", signalsItself)
            try await test.plugin("good", PluginSource.entry(
                """
                struct sigaction hup, usr1;
                sigaction(SIGHUP, NULL, &hup);
                sigaction(SIGUSR1, NULL, &usr1);
                summarize(context, "%s", hup.sa_handler == SIG_DFL && usr1.sa_handler == SIG_DFL ? "by default" : "otherwise");
                return JOB_SUCCEEDED;
                """))
            try test.config(Toml.plugin("good") + Toml.job("first", of: "good", Toml.once))
            let host = try await test.start(["LD_PRELOAD": test.folder + "/libsignals.so"])
            #expect(try await test.jobhost("trigger", "first", "--wait").output.contains("by default"))
            try test.config(Toml.plugin("good") + Toml.job("second", of: "good", Toml.once))
            host.signal(SIGHUP)
            try await host.logs("second added")
            #expect(try await test.jobhost("trigger", "second", "--wait").code == 0)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
        }
    }

    @Test("Reloads asked for at once by many are answered, each with the new state applied")
    func together() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("good") + Toml.job("first", of: "good"))
            let host = try await test.start()
            try test.config(Toml.plugin("good") + Toml.job("first", of: "good") + Toml.job("second", of: "good", Toml.once))
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        let reload = try await test.jobhost("reload")
                        let run = try await test.jobhost("trigger", "second", "--wait")
                        return reload.code == 0 && run.code == 0
                    }
                }
                for try await isWell in group { #expect(isWell) }
            }
            #expect(host.errors.all.count { $0.contains("second added") } == 1)
        }
    }

    @Test("A run of a changed job is killed at the drain limit; the next one has the new code")
    func drainLimit() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            let config = Toml.plugin("slow") + Toml.job("slow", of: "slow", Toml.once + "\ntimeout = \"10m\"\nkill_grace = \"100ms\"")
            try await test.plugin("slow", PluginSource.entry("tell(\"started\"); for (;;) pause();", flags: "0"))
            try test.config(config, grace: "1s")
            let host = try await test.start()
            try await test.jobhost("trigger", "slow")
            let worker = try await beacon.pid("started")
            try await test.plugin("slow", PluginSource.says("new code"))
            #expect(try await test.jobhost("reload").code == 0)
            try await host.logs("✗ slow run 1 lost", "give way")
            #expect(Proc.ended(worker))
            #expect(try await test.jobhost("trigger", "slow", "--wait").code == 0)
            try await host.logs("✓ slow run 2", "new code")
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.texts("SELECT outcome FROM runs ORDER BY id") == ["lost", "succeeded"])
            // The drain, and the grace of a run that does not honour its end.
            expectEnd(after: try test.ledger.outlived("slow"), atLimit: 1_100, "the run on the old code")
        }
    }

    @Test("A removed job's run finishes within the drain limit and is recorded; a longer one is killed at it and recorded")
    func removed() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("short", PluginSource.waits("finished in peace"))
            try await test.plugin("long", PluginSource.entry("tell(\"long\"); for (;;) pause();", flags: "0"))
            let keys = Toml.once + "\ntimeout = \"10m\"\nkill_grace = \"100ms\""
            let good = Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"1s\"")
            try test.config(
                good + Toml.plugin("short") + Toml.job("short", of: "short", keys) + Toml.plugin("long") + Toml.job("long", of: "long", keys),
                grace: "3s")
            let host = try await test.start()
            try await test.jobhost("trigger", "short")
            try await test.jobhost("trigger", "long")
            _ = try await beacon.hears("started")
            let long = try await beacon.pid("long")
            try test.config(good, grace: "3s")
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 0 && reload.output.contains("removed"), "\(reload.output)")
            try gate.open()
            try await host.logs("✓ short", "finished in peace")
            try await host.logs("✗ long", "lost")
            #expect(Proc.ended(long))
            try await host.logs("✓ tick", from: host.errors.all.count)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let ends = try test.ledger.texts("SELECT job || ' ' || state FROM runs WHERE job <> 'tick' ORDER BY job")
            #expect(ends == ["long discarded", "short succeeded"])
            expectEnd(after: try test.ledger.outlived("long"), atLimit: 3_100, "the removed job's run")
        }
    }

    @Test("An unchanged job keeps its worker, its breaker and its running run over a reload of everything else")
    func unchanged() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("still", PluginSource.waits("undisturbed"))
            try await test.plugin("moves", PluginSource.says("old"))
            func config(_ more: String) -> String {
                Toml.plugin("still") + Toml.job("still", of: "still", "schedule = \"none\"\ntimeout = \"10m\"")
                    + Toml.job("shut", of: "still", "schedule = \"none\"") + Toml.plugin("moves") + Toml.job("moves", of: "moves", more)
            }
            try test.config(config(Toml.once), grace: "100ms")
            let host = try await test.start()
            #expect(try await test.jobhost("breaker", "shut", "open", "--reason", "not now").code == 0)
            try await test.jobhost("trigger", "still")
            let worker = try await beacon.pid("started")
            for round in 1...3 {
                try await test.plugin("moves", PluginSource.says("new \(round)"))
                try test.config(config(Toml.once + "\npriority = \(round)"), grace: "100ms")
                #expect(try await test.jobhost("reload").code == 0)
            }
            try gate.open()
            try await host.logs("✓ still", "undisturbed")
            try await test.jobhost("trigger", "still")
            let (at, _) = try await beacon.hears("started")
            let same = try await beacon.pid("started", from: at + 1)
            #expect(same == worker)
            try gate.open()
            let shut = try await test.jobhost("show", "shut", "--json")
            #expect(shut.output.contains("forced_open"), "\(shut.output)")
        }
    }

    /// Puts the key of each execution on file before anything else, and is not to be executed again.
    private func keeps(_ build: Int) -> String {
        PluginSource.entry(
            """
            append(FOLDER "/executions", context->idempotency_key.data, context->idempotency_key.size);
            context->summary(context, JOB_STR("build \(build)"));
            return JOB_SUCCEEDED;
            """, flags: "0")
    }

    @Test("Jobs that are due all the while lose no fire and execute none twice over ten reloads of their library, whether their runs may overlap or not")
    func underLoad() async throws {
        try await TestHost.with { test in
            let names = (0..<6).map { "busy-\($0)" }
            var config = Toml.plugin("busy")
            for (number, name) in names.enumerated() {
                let overlap = number < 4 ? "overlap = \"allow\"\n" : ""
                config += Toml.job(name, of: "busy", "every = \"100ms\"\n\(overlap)catch_up = { policy = \"all\" }")
            }
            try await test.plugin("busy", keeps(0))
            try test.config(config)
            let host = try await test.start()
            for build in 1...10 {
                try await test.plugin("busy", keeps(build))
                #expect(try await test.jobhost("reload").code == 0)
                for name in names { try await host.logs("✓ \(name)", "build \(build)") }
            }
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: Dictionary(uniqueKeysWithValues: names.map { ($0, 100_000) })) == [])
            // What was not run would be here: nothing of those that may overlap; of the others what their own rule skips.
            let notRun = try test.ledger.texts("SELECT job || ' ' || reason || ' ' || count FROM ledger_ranges WHERE reason <> 'overlap' OR job < 'busy-4'")
            #expect(notRun == [], "\(notRun)")
            #expect(try test.ledger.texts("SELECT DISTINCT state || ' ' || attempt FROM runs WHERE finished_at IS NOT NULL") == ["succeeded 1"])
            let executed = (Proc.text(of: test.folder + "/executions") ?? "").split(separator: "\n").map(String.init)
            let recorded = try test.ledger.texts("SELECT idempotency_key FROM runs WHERE finished_at IS NOT NULL")
            #expect(executed.count == Set(executed).count, "each is executed once")
            #expect(Set(executed) == Set(recorded) && recorded.count == executed.count)
        }
    }
}
