import Glibc
import Testing

/// The real binaries: runs that end their worker, or will not end.
@Suite("Crashes and hangs, end to end", .timeLimit(.minutes(8))) struct CrashTests {
    /// A head, megabytes, and a tail.
    private static let prints = """
        printf("the head\\n");
        for (int i = 0; i < 30000; i++) printf("line %d of very much that nobody will read, again and again and again\\n", i);
        printf("the tail\\n");
        fflush(stdout);
        """

    /// Prints, then does what the payload says.
    private static let evil = PluginSource.entry(
        """
        if (asked(context, "well")) return JOB_SUCCEEDED;
        \(prints)
        if (asked(context, "segv")) *(volatile int *)8 = 1;
        if (asked(context, "abort")) abort();
        if (asked(context, "trap")) __builtin_trap();
        if (asked(context, "stack")) deep(1);
        if (asked(context, "exit")) exit(0);
        if (asked(context, "_fin")) _exit(0);
        if (asked(context, "code")) _exit(77);
        if (asked(context, "kill")) kill(getpid(), SIGKILL);
        if (asked(context, "thread")) { pthread_exit(NULL); }
        return JOB_FAILED;
        """,
        globals: """
            static int deep(volatile int depth) {
                volatile char room[4096];
                room[depth % 4096] = (char)depth;
                return deep(depth + 1) + room[0];
            }
            """)

    /// What compilers let a program do that must not go on.
    #if arch(x86_64)
    private static let trap = "exited by signal 4 (SIGILL)"
    #else
    private static let trap = "exited by signal 5 (SIGTRAP)"
    #endif

    /// Another plugin's job, which nothing may disturb.
    private static let sibling = Toml.plugin("good", "max_workers = 1") + Toml.job("tick", of: "good", "every = \"200ms\"\noverlap = \"allow\"\nconcurrency = 8")

    /// The job's newest run has crashed with these words in its reason, in the ledger, in the log of the host and to whoever
    /// waited for it; of what it printed head and tail are kept.
    private func expectCrash(_ test: TestHost, _ host: Child, _ job: String, payload: String? = nil, _ words: String...) async throws {
        let from = host.errors.all.count
        let run = try await test.jobhost(arguments: ["trigger", job, "--wait"] + (payload.map { ["--payload", "\"\($0)\""] } ?? []))
        #expect(run.code == 14, "\(payload ?? job): \(run.output) \(run.errors)")
        let line = try await host.logs("✗ \(job)", "crashed", from: from)
        // It is answered once it is recorded.
        let recorded = try test.ledger.texts("SELECT outcome || ' ' || state || ': ' || reason FROM runs WHERE job = '\(job)' ORDER BY id DESC LIMIT 1").first ?? ""
        #expect(recorded.hasPrefix("crashed discarded: "), "\(payload ?? job): \(recorded)")
        for word in words {
            #expect((run.output + run.errors).contains(word) && host.errors.all[line].contains(word) && recorded.contains(word), "\(payload ?? job): \(recorded)")
        }
        let log = try await test.jobhost("logs", job).output
        let (head, tail) = (log.firstRange(of: "the head"), log.firstRange(of: "the tail"))
        #expect(head != nil && tail != nil && log.contains("bytes left out"), "\(payload ?? job): \(log.suffix(300))")
        #expect(log.utf8.count < 3 << 20)
    }

    /// Every due time of the sibling was run, once, in one and the same process.
    private func expectUndisturbed(_ test: TestHost, _ host: Child) async throws {
        try await host.logs("✓ tick", from: host.errors.all.count)
        host.signal(SIGTERM)
        #expect(await host.exitCode() == 0)
        #expect(try test.ledger.faults(every: ["tick": 200_000]) == [])
        #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges") == 0)
        #expect(try test.ledger.texts("SELECT DISTINCT outcome || ' ' || attempt FROM runs WHERE job = 'tick' AND attempt > 0") == ["succeeded 1"])
        #expect(try test.ledger.number("SELECT count(DISTINCT pid) FROM runs WHERE job = 'tick' AND attempt > 0") == 1)
    }

    @Test("Whatever ends the worker inside run() is a crash with its reason, head and tail of the log; the next run is well, nothing else is disturbed")
    func crashes() async throws {
        try await TestHost.with { test in
            try await test.plugin("evil", Self.evil)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("evil") + Toml.job("evil", of: "evil", Toml.once + "\ntimeout = \"20s\"") + Self.sibling)
            let host = try await test.start()
            let ways = [
                ("segv", "exited by signal 11 (SIGSEGV)"), ("abort", "exited by signal 6 (SIGABRT)"), ("trap", Self.trap),
                ("stack", "exited by signal 11 (SIGSEGV)"), ("exit", "exited with code 0 before a result"),
                ("_fin", "exited with code 0 before a result"), ("code", "exited with code 77 before a result"),
                ("kill", "exited by signal 9 (SIGKILL), not sent by this host"),
            ]
            for (way, reason) in ways { try await expectCrash(test, host, "evil", payload: way, reason) }
            let well = try await test.jobhost("trigger", "evil", "--payload", "\"well\"", "--wait")
            #expect(well.code == 0, "\(well.output) \(well.errors)")
            try await expectUndisturbed(test, host)
        }
    }

    @Test("An uncaught C++ exception is a crash with what it said, and head and tail of the log")
    func exception() async throws {
        try await TestHost.with { test in
            try await test.plugin(
                "cpp", "#include <stdexcept>\n" + PluginSource.entry("\(Self.prints)\nthrow std::runtime_error(\"the account vanished\");"), cpp: true)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("cpp") + Toml.job("cpp", of: "cpp", Toml.once) + Self.sibling)
            let host = try await test.start()
            try await expectCrash(test, host, "cpp", "exited by signal 6 (SIGABRT)", "std::runtime_error", "the account vanished")
            #expect(try await test.jobhost("logs", "cpp").output.contains("the account vanished"))
            try await expectUndisturbed(test, host)
        }
    }

    @Test(
        "A panic in Rust is a crash with what it said, and head and tail of the log, also where it would unwind into the worker",
        .enabled(if: TestHost.isThere("rustc")), arguments: ["abort", "unwind"])
    func rustPanic(panic: String) async throws {
        try await TestHost.with { test in
            let example = Proc.text(of: TestHost.sources + "/Examples/hello-rust/hello.rs") ?? ""
            let greeting = "println!(\"Hello from Rust, attempt {}\", c.attempt);"
            try #require(example.contains(greeting))
            let evil = """
                println!("the head");
                for i in 0..30000 { println!("line {} of very much that nobody will read, again and again and again", i); }
                println!("the tail");
                if c.attempt > 0 { panic!("the account vanished"); }
                """
            try await test.rustPlugin("rust", example.split(separator: greeting).joined(separator: evil), panic: panic)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("rust") + Toml.job("rust", of: "rust", Toml.once, entry: "greet") + Self.sibling)
            let host = try await test.start()
            try await expectCrash(test, host, "rust", "exited by signal 6 (SIGABRT)", "the account vanished")
            try await expectUndisturbed(test, host)
        }
    }

    @Test("What Swift stops at is a crash with what it said, head and tail of the log; the next run is well", .enabled(if: TestHost.isThere("swiftc")))
    func swiftTraps() async throws {
        try await TestHost.with { test in
            try await test.swiftPlugin(
                "swift",
                PluginSource.entry(
                    "if (asked(context, \"well\")) return JOB_SUCCEEDED;\n\(Self.prints)\nreturn explode(context->payload.data[1]);",
                    globals: "extern int32_t explode(int32_t how);"),
                swift: """
                    @_cdecl("explode") public func explode(_ how: Int32) -> Int32 {
                        let accounts: [Int32] = []
                        switch UInt8(truncatingIfNeeded: how) {
                        case UInt8(ascii: "f"): fatalError("the book is out of balance")
                        case UInt8(ascii: "o"): return Int32.max - 10 + how
                        case UInt8(ascii: "i"): return accounts[Int(how)]
                        default: return accounts.first!
                        }
                    }
                    """)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("swift") + Toml.job("swift", of: "swift", Toml.once) + Self.sibling)
            let host = try await test.start()
            for (way, words) in [
                ("fatal", "the book is out of balance"), ("overflow", Self.trap), ("index", "Index out of range"), ("nil", "found nil"),
            ] {
                try await expectCrash(test, host, "swift", payload: way, Self.trap, words)
            }
            #expect(try await test.jobhost("trigger", "swift", "--payload", "\"well\"", "--wait").code == 0)
            try await expectUndisturbed(test, host)
        }
    }

    @Test("Memory over the limit is a crash that says so, however the plugin takes the refusal", arguments: ["abort();", "*(volatile int *)8 = 1;", "exit(1);"])
    func memory(refused: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("eats", PluginSource.entry(
                """
                \(Self.prints)
                for (size_t total = 0;; total += 1 << 20) {
                    char *more = malloc(1 << 20);
                    if (!more) { \(refused) }
                    for (int i = 0; i < 1 << 20; i += 512) ((volatile char *)more)[i] = 1;
                }
                """))
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("eats", "memory_limit = \"64MB\"") + Toml.job("eats", of: "eats", Toml.once) + Self.sibling)
            let host = try await test.start()
            try await expectCrash(test, host, "eats", "memory limit of 64MB: ")
            try await expectUndisturbed(test, host)
        }
    }

    @Test(
        "A run that ignores its cancel flag is killed at the hard limit with its whole tree; only that run, and the next fire runs",
        arguments: [
            "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); for (;;) pause();",
            "for (volatile unsigned long i = 0;; i++) {}",
            "mkfifo(FOLDER \"/never\", 0600); int file = open(FOLDER \"/never\", O_RDONLY); return file;",
            "struct sigaction ignore = {.sa_handler = SIG_IGN}; for (int s = 1; s < 65; s++) sigaction(s, &ignore, NULL); for (;;) sleep(1000);",
            "pthread_t t; for (int i = 0; i < 20; i++) pthread_create(&t, NULL, spin, NULL); pthread_join(t, NULL);",
        ])
    func hangs(body: String) async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            // The first run alone; the others are well.
            try await test.plugin("stuck", PluginSource.entry(
                """
                int first = open(FOLDER "/first", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                if (first < 0) return JOB_SUCCEEDED;
                close(first);
                tell("started");
                if (fork() == 0) {
                    setsid();
                    if (fork() == 0) {
                        sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL);
                        tell("grandchild"); wait_gate();
                    }
                    _exit(0);
                }
                \(body)
                """, flags: "0", globals: "static void *spin(void *unused) { (void)unused; for (volatile unsigned long i = 0;; i++) {} return NULL; }\nstatic void *(*const use)(void *) __attribute__((unused)) = spin;"))
            let keys = "every = \"1s\"\nconcurrency = 2\nretry = { max_attempts = 1 }\nbreaker = false\ntimeout = \"700ms\"\nkill_grace = \"300ms\""
            try test.config(Toml.plugin("stuck") + Toml.job("stuck", of: "stuck", keys))
            let host = try await test.start()
            let worker = try await beacon.pid("started")
            let grandchild = try await beacon.pid("grandchild")
            let killed = try await host.logs("✗ stuck", "timed_out")
            #expect(host.errors.all[killed].contains("no result within 700ms; killed 300ms later"), "\(host.errors.all[killed])")
            #expect(Proc.ended(worker) && Proc.ended(grandchild))
            // The first of them may have been due before.
            let next = try await host.logs("✓ stuck", from: killed)
            try await host.logs("✓ stuck", from: next + 1)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["stuck": 1_000_000]) == [])
            let hung = "(SELECT finished_at, (finished_at - started_at) / 1000 AS took FROM runs WHERE outcome = 'timed_out') hung"
            expectEnd(after: try test.ledger.number("SELECT took FROM \(hung)"), atLimit: 1_000, "the run")
            let ends = try test.ledger.texts("SELECT outcome || ' ' || attempt || ' ' || count(*) FROM runs WHERE outcome <> 'succeeded' GROUP BY outcome")
            #expect(ends == ["timed_out 1 1"])
            #expect(try test.ledger.number("SELECT count(*) FROM runs, \(hung) WHERE fire_time = (hung.finished_at / 1000000 + 1) * 1000000 AND outcome = 'succeeded'") == 1)
            _ = gate
        }
    }

    @Test("A run in uninterruptible sleep behind a FIFO is killed at the hard limit, only that run; the next one is well")
    func uninterruptible() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            mkfifo(test.folder + "/never", 0o600)
            // Whoever calls vfork is not to be interrupted until its child is gone, which waits for a writer that never comes.
            try await test.plugin("stuck", PluginSource.entry(
                """
                if (asked(context, "well")) return JOB_SUCCEEDED;
                if (asked(context, "across")) { tell("across"); wait_gate(); return JOB_SUCCEEDED; }
                sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL);
                tell("started");
                if (vfork() == 0) { open(FOLDER "/never", O_RDONLY); _exit(0); }
                return JOB_SUCCEEDED;
                """, flags: "0"))
            try test.config(
                Toml.plugin("stuck") + Toml.job("stuck", of: "stuck", Toml.once + "\ntimeout = \"2s\"\nkill_grace = \"300ms\"\nconcurrency = 2")
                    + Toml.job("sibling", of: "stuck", Toml.once + "\ntimeout = \"10m\""))
            _ = try await test.start()
            let sibling = try test.foreground("trigger", "sibling", "--payload", "\"across\"", "--wait")
            let other = try await beacon.pid("across")
            let run = try test.foreground("trigger", "stuck", "--wait")
            let worker = try await beacon.pid("started")
            while Proc.state(of: worker) != "D" { try Task.checkCancellation() }
            let children = Proc.children(of: worker)
            #expect(children.count == 1)
            #expect(try await test.jobhost("trigger", "stuck", "--payload", "\"well\"", "--wait").code == 0, "beside it")
            #expect(await run.exitCode() == 13, "\(run.output.all) \(run.errors.all)")
            expectEnd(
                after: try test.ledger.number("SELECT (finished_at - started_at) / 1000 FROM runs WHERE outcome = 'timed_out'"), atLimit: 2_300, "the run")
            #expect(([worker] + children).allSatisfy { Proc.ended($0) })
            // Under way all the while, in a worker of its own.
            #expect(other != worker && Proc.state(of: other) != nil)
            try gate.open()
            #expect(await sibling.exitCode() == 0, "\(sibling.output.all) \(sibling.errors.all)")
            #expect(try test.ledger.texts("SELECT outcome || ' ' || attempt FROM runs WHERE job = 'sibling'") == ["succeeded 1"])
            #expect(try await test.jobhost("trigger", "stuck", "--payload", "\"well\"", "--wait").code == 0)
        }
    }

    @Test("A run that honours its cancel flag ends at its limit or when somebody cancels it, in time, and its worker lives on")
    func honours() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("polite", PluginSource.waitsForCancel.replacing("struct pollfd stop", with: "tell(\"started\"); struct pollfd stop"))
            let keys = Toml.once + "\nkill_grace = \"60s\"\ntimeout = "
            try test.config(
                Toml.plugin("polite", "max_workers = 1") + Toml.job("polite", of: "polite", keys + "\"800ms\"")
                    + Toml.job("patient", of: "polite", keys + "\"10m\""))
            let host = try await test.start()
            var heard = 0
            for _ in 0..<2 {
                let run = try await test.jobhost("trigger", "polite", "--wait")
                heard = try await beacon.hears("started", from: heard).index + 1
                #expect(run.code == 13, "\(run.output) \(run.errors)")
                #expect((run.output + run.errors).contains("it stopped when asked"), "\(run.output) \(run.errors)")
                expectEnd(after: try test.ledger.took("polite"), atLimit: 800, "the run")
            }
            let run = try test.foreground("trigger", "patient", "--wait")
            _ = try await beacon.hears("started", from: heard)
            #expect(try await test.jobhost("cancel", "3", "--reason", "not today").code == 0)
            #expect(await run.exitCode() == 12, "\(run.output.all) \(run.errors.all)")
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.texts("SELECT outcome || ' ' || state FROM runs ORDER BY id") == ["timed_out discarded", "timed_out discarded", "cancelled cancelled"])
            expectEnd(
                after: try test.ledger.number("SELECT (finished_at - at) / 1000 FROM runs, audit WHERE runs.id = 3 AND action = 'cancel'"), atLimit: 0, "the cancelled run")
            #expect(try test.ledger.number("SELECT count(DISTINCT pid) FROM runs") == 1)
        }
    }

    @Test("A job whose every attempt crashes is tried again ever more rarely, by its own policy")
    func retriesBackOff() async throws {
        try await TestHost.with { test in
            try await test.plugin("falls", PluginSource.crashes)
            try await test.plugin("good", PluginSource.succeeds)
            let keys = "schedule = \"none\"\nbreaker = false\nretry = { max_attempts = 5, initial = \"200ms\", multiplier = 2.0, max = \"800ms\", jitter = 0.0 }"
            try test.config(Toml.plugin("falls") + Toml.job("falls", of: "falls", keys) + Self.sibling)
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "falls", "--wait").code == 14)
            let waits = try self.waits(test)
            #expect(waits.count == 4, "\(waits)")
            for (wait, least) in zip(waits, [200, 400, 800, 800]) { #expect(wait >= least - 5, "\(waits)") }
            #expect(try test.ledger.texts("SELECT DISTINCT outcome FROM attempts") == ["crashed"])
            try await expectUndisturbed(test, host)
        }
    }

    @Test("Workers that crash in every run are started ever more rarely, whatever the job's policy says, and its plugin's other job is served all the same")
    func crashingRunsBackOff() async throws {
        try await TestHost.with { test in
            try await test.plugin("falls", PluginSource.entry("if (there(FOLDER \"/well\") || asked(context, \"well\")) return JOB_SUCCEEDED; abort();"))
            try await test.plugin("good", PluginSource.succeeds)
            let keys = "schedule = \"none\"\nbreaker = false\nretry = { max_attempts = 100, initial = \"1ms\", max = \"1ms\", jitter = 0.0 }"
            try test.config(Toml.plugin("falls", "max_workers = 1") + Toml.job("falls", of: "falls", keys) + Toml.job("other", of: "falls", Toml.once) + Self.sibling)
            let host = try await test.start()
            try await test.jobhost("trigger", "falls")
            var at = 0
            for _ in 0..<8 { at = try await host.logs("✗ falls", "SIGABRT", from: at) + 1 }
            let other = try await test.jobhost("trigger", "other", "--payload", "\"well\"", "--wait")
            #expect(other.code == 0, "\(other.output) \(other.errors)")
            try test.write("", to: "well")
            try await host.logs("✓ falls")
            let waits = try self.waits(test)
            // The first four go by the job's policy alone.
            for (wait, least) in zip(waits.dropFirst(4), [100, 200, 400, 800]) { #expect(wait >= least - 5, "\(waits)") }
            #expect(waits.count >= 8, "\(waits)")
            try await expectUndisturbed(test, host)
        }
    }

    /// Milliseconds from the end of each attempt of the job `falls` to the start of the next one.
    private func waits(_ test: TestHost) throws -> [Int] {
        let attempts = """
            (SELECT attempts.attempt, attempts.started_at, attempts.finished_at FROM attempts JOIN runs ON runs.id = run WHERE job = 'falls'
            UNION ALL SELECT attempt, started_at, finished_at FROM runs WHERE job = 'falls')
            """
        return try test.ledger.texts(
            "SELECT (next.started_at - this.finished_at) / 1000 FROM \(attempts) this JOIN \(attempts) next ON next.attempt = this.attempt + 1 ORDER BY this.attempt"
        ).compactMap(Int.init)
    }

    @Test("Workers that fall at their start are tried ever more rarely, the run is not charged, and all is well when the cause is gone")
    func crashLoop() async throws {
        try await TestHost.with { test in
            try await test.plugin("loops", PluginSource.entry(
                "return JOB_SUCCEEDED;",
                globals: """
                    __attribute__((constructor)) static void early(void) {
                        if (!there(FOLDER "/broken")) return;
                        append(FOLDER "/loads", "x", 1);
                        abort();
                    }
                    """))
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(
                Toml.plugin("loops") + Toml.job("loops", of: "loops", Toml.once) + Toml.plugin("good")
                    + Toml.job("tick", of: "good", "every = \"1s\""))
            let host = try await test.start()
            try test.write("", to: "broken")
            try await test.jobhost("trigger", "loops")
            var at = try await host.logs("pool loops", "SIGABRT", "before it was ready")
            for _ in 0..<3 { at = try await host.logs("✓ tick", from: at + 1) }
            let loads = Proc.text(of: test.folder + "/loads")?.split(separator: "\n").count ?? 0
            #expect((2...12).contains(loads), "\(loads) starts")
            #expect(try await test.jobhost("status").output.contains("before it was ready"))
            unlink(test.folder + "/broken")
            try await host.logs("✓ loops")
            try await host.logs("pool loops: recovered")
            #expect(try test.ledger.texts("SELECT attempt FROM runs WHERE job = 'loops'") == ["1"])
        }
    }
}
