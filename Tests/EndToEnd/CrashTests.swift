import Glibc
import Testing

/// The real binaries: runs that end their worker, or will not end.
@Suite("Crashes and hangs, end to end", .timeLimit(.minutes(2))) struct CrashTests {
    /// Prints a head, megabytes, and a tail, then does what the payload says.
    private static let evil = PluginSource.entry(
        """
        if (asked(context, "well")) return JOB_SUCCEEDED;
        printf("the head\\n");
        for (int i = 0; i < 30000; i++) printf("line %d of very much that nobody will read, again and again and again\\n", i);
        printf("the tail\\n");
        fflush(stdout);
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

    @Test("Whatever ends the worker inside run() is a crash with its reason, head and tail of the log; the next run is well")
    func crashes() async throws {
        try await TestHost.with { test in
            try await test.plugin("evil", Self.evil)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(
                Toml.plugin("evil") + Toml.job("evil", of: "evil", Toml.once + "\ntimeout = \"20s\"") + Toml.plugin("good")
                    + Toml.job("tick", of: "good", "every = \"1s\""))
            let host = try await test.start()
            let ways = [
                ("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("trap", "SIG"), ("stack", "SIGSEGV"), ("exit", "before a result"),
                ("_fin", "before a result"), ("code", "77"), ("kill", "SIGKILL"),
            ]
            for (way, reason) in ways {
                let run = try await test.jobhost("trigger", "evil", "--payload", "\"\(way)\"", "--wait")
                #expect(run.code == 14, "\(way): \(run.output) \(run.errors)")
                #expect((run.output + run.errors).contains(reason), "\(way): \(run.output) \(run.errors)")
                let log = try await test.jobhost("logs", "evil")
                #expect(log.output.contains("the head"), "\(way)")
                #expect(log.output.contains("the tail"), "\(way): \(log.output.suffix(300))")
                #expect(log.output.utf8.count < 3 << 20)
            }
            let well = try await test.jobhost("trigger", "evil", "--payload", "\"well\"", "--wait")
            #expect(well.code == 0, "\(well.output) \(well.errors)")
            try await host.logs("✓ tick", from: host.errors.all.count)
            #expect(try test.ledger.texts("SELECT reason FROM runs WHERE job = 'tick' AND outcome <> 'succeeded'") == [])
        }
    }

    @Test("An uncaught C++ exception is a crash with what it said")
    func exception() async throws {
        try await TestHost.with { test in
            try await test.plugin(
                "cpp", "#include <stdexcept>\n" + PluginSource.entry("throw std::runtime_error(\"the account vanished\");"), cpp: true)
            try test.config(Toml.plugin("cpp") + Toml.job("cpp", of: "cpp", Toml.once))
            let host = try await test.start()
            let run = try await test.jobhost("trigger", "cpp", "--wait")
            #expect(run.code == 14, "\(run.output) \(run.errors)")
            #expect((run.output + run.errors).contains("SIGABRT"), "\(run.output) \(run.errors)")
            try await host.logs("✗ cpp", "std::runtime_error", "the account vanished")
            #expect(try await test.jobhost("logs", "cpp").output.contains("the account vanished"))
        }
    }

    @Test("A panic in Rust is a crash with what it said", .enabled(if: TestHost.isThere("rustc")))
    func rustPanic() async throws {
        try await TestHost.with { test in
            let example = Proc.text(of: TestHost.sources + "/Examples/hello-rust/hello.rs") ?? ""
            let greeting = "println!(\"Hello from Rust, attempt {}\", c.attempt);"
            try #require(example.contains(greeting))
            let evil = "if c.attempt > 0 { panic!(\"the account vanished\"); }"
            try await test.rustPlugin("rust", example.split(separator: greeting).joined(separator: evil))
            try test.config(Toml.plugin("rust") + Toml.job("rust", of: "rust", Toml.once, entry: "greet"))
            let host = try await test.start()
            let run = try await test.jobhost("trigger", "rust", "--wait")
            #expect(run.code == 14, "\(run.output) \(run.errors)")
            try await host.logs("✗ rust", "SIGABRT", "the account vanished")
        }
    }

    @Test("What Swift stops at is a crash with what it said; the next run is well", .enabled(if: TestHost.isThere("swiftc")))
    func swiftTraps() async throws {
        try await TestHost.with { test in
            try await test.swiftPlugin(
                "swift",
                PluginSource.entry(
                    "return asked(context, \"well\") ? JOB_SUCCEEDED : explode(context->payload.data[1]);",
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
            try test.config(Toml.plugin("swift") + Toml.job("swift", of: "swift", Toml.once))
            let host = try await test.start()
            for (way, words) in [
                ("fatal", "the book is out of balance"), ("overflow", "SIG"), ("index", "Index out of range"), ("nil", "found nil"),
            ] {
                let from = host.errors.all.count
                let run = try await test.jobhost("trigger", "swift", "--payload", "\"\(way)\"", "--wait")
                #expect(run.code == 14, "\(way): \(run.output) \(run.errors)")
                try await host.logs("✗ swift", "crashed", "SIG", words, from: from)
            }
            #expect(try await test.jobhost("trigger", "swift", "--payload", "\"well\"", "--wait").code == 0)
        }
    }

    @Test("Memory over the limit is a crash that says so, however the plugin takes the refusal")
    func memory() async throws {
        try await TestHost.with { test in
            try await test.plugin("eats", PluginSource.entry(
                """
                for (size_t total = 0;; total += 1 << 20) {
                    char *more = malloc(1 << 20);
                    if (!more) abort();
                    for (int i = 0; i < 1 << 20; i += 512) ((volatile char *)more)[i] = 1;
                }
                """))
            try test.config(Toml.plugin("eats", "memory_limit = \"64MB\"") + Toml.job("eats", of: "eats", Toml.once))
            let host = try await test.start()
            let run = try await test.jobhost("trigger", "eats", "--wait")
            #expect(run.code == 14, "\(run.output) \(run.errors)")
            try await host.logs("eats", "crashed", "memory limit of 64")
        }
    }

    @Test(
        "A run that ignores its cancel flag is killed at the hard limit with its whole tree; the next run is well",
        arguments: [
            "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); for (;;) pause();",
            "for (volatile unsigned long i = 0;; i++) {}",
            "mkfifo(FOLDER \"/never\", 0600); int file = open(FOLDER \"/never\", O_RDONLY); return file;",
            "struct sigaction ignore = {.sa_handler = SIG_IGN}; for (int s = 1; s < 65; s++) sigaction(s, &ignore, NULL); for (;;) sleep(1000);",
            "pthread_t t; for (int i = 0; i < 20; i++) pthread_create(&t, NULL, spin, NULL); pthread_join(t, NULL);",
        ])
    func hangs(body: String) async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("stuck", PluginSource.entry(
                """
                if (asked(context, "well")) return JOB_SUCCEEDED;
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
            try test.config(
                Toml.plugin("stuck") + Toml.job("stuck", of: "stuck", Toml.once + "\ntimeout = \"700ms\"\nkill_grace = \"300ms\""))
            let (_, gate) = (try await test.start(), try test.gate())
            _ = gate
            let run = try await test.jobhost("trigger", "stuck", "--wait")
            #expect(run.code == 13, "\(run.output) \(run.errors)")
            #expect((run.output + run.errors).contains("killed"), "\(run.output) \(run.errors)")
            let worker = try await beacon.pid("started")
            #expect(Proc.ended(worker))
            let grandchild = try await beacon.pid("grandchild")
            #expect(Proc.ended(grandchild))
            let next = try await test.jobhost("trigger", "stuck", "--payload", "\"well\"", "--wait")
            #expect(next.code == 0, "\(next.output) \(next.errors)")
        }
    }

    @Test("A run in uninterruptible sleep behind a FIFO is killed at the hard limit, only that run; the next one is well")
    func uninterruptible() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            mkfifo(test.folder + "/never", 0o600)
            // Whoever calls vfork is not to be interrupted until its child is gone, which waits for a writer that never comes.
            try await test.plugin("stuck", PluginSource.entry(
                """
                if (asked(context, "well")) return JOB_SUCCEEDED;
                sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL);
                tell("started");
                if (vfork() == 0) { open(FOLDER "/never", O_RDONLY); _exit(0); }
                return JOB_SUCCEEDED;
                """, flags: "0"))
            try test.config(
                Toml.plugin("stuck") + Toml.job("stuck", of: "stuck", Toml.once + "\ntimeout = \"2s\"\nkill_grace = \"300ms\"\nconcurrency = 2"))
            _ = try await test.start()
            let run = try test.foreground("trigger", "stuck", "--wait")
            let worker = try await beacon.pid("started")
            while Proc.state(of: worker) != "D" { try Task.checkCancellation() }
            let children = Proc.children(of: worker)
            #expect(children.count == 1)
            #expect(try await test.jobhost("trigger", "stuck", "--payload", "\"well\"", "--wait").code == 0, "beside it")
            #expect(await run.exitCode() == 13, "\(run.output.all) \(run.errors.all)")
            #expect(([worker] + children).allSatisfy { Proc.ended($0) })
            #expect(try await test.jobhost("trigger", "stuck", "--payload", "\"well\"", "--wait").code == 0)
        }
    }

    @Test("A run that honours its limit ends timed out and its worker lives on")
    func honours() async throws {
        try await TestHost.with { test in
            try await test.plugin("polite", PluginSource.waitsForCancel)
            try test.config(Toml.plugin("polite") + Toml.job("polite", of: "polite", Toml.once + "\ntimeout = \"200ms\"\nkill_grace = \"60s\""))
            _ = try await test.start()
            for _ in 0..<2 {
                let run = try await test.jobhost("trigger", "polite", "--wait")
                #expect(run.code == 13, "\(run.output) \(run.errors)")
                #expect((run.output + run.errors).contains("it stopped when asked"), "\(run.output) \(run.errors)")
            }
            #expect(try test.ledger.number("SELECT count(DISTINCT pid) FROM runs") == 1)
        }
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
