import Glibc
import Testing

/// The real binaries: plugins that shout.
@Suite("Floods, end to end", .timeLimit(.minutes(2))) struct FloodTests {
    @Test(
        "A plugin that floods hurts its own run at most: the sibling's fires all succeed, the log stays small, the supervisor's memory bounded",
        arguments: [
            // 200 MB to stdout
            "char block[65536]; memset(block, 'x', sizeof block); block[65535] = '\\n'; for (int i = 0; i < 3200; i++) if (write(1, block, sizeof block) < 0) return JOB_FAILED; return JOB_SUCCEEDED;",
            // without one line end
            "char block[65536]; memset(block, 0xfe, sizeof block); for (int i = 0; i < 3200; i++) if (write(2, block, sizeof block) < 0) return JOB_FAILED; return JOB_SUCCEEDED;",
            // 200,000 lines of log
            "for (int i = 0; i < 200000; i++) context->log(context, JOB_LOG_INFO, JOB_STR(\"again and again the same line of the log\"), JOB_STR(\"{\\\"n\\\":1}\")); return JOB_SUCCEEDED;",
            // 2,000,000 signs of life and as many metrics
            "const job_metrics *m = context->host->get_extension(context->host, JOB_STR(JOB_EXT_METRICS)); for (int i = 0; i < 200000; i++) { char name[32]; int n = snprintf(name, 32, \"m%d\", i); context->progress(context, i, 0, JOB_STR(\"on and on\")); if (m) m->counter(context, (job_str){name, (uint64_t)n}, NULL, 0, 1); } return JOB_SUCCEEDED;",
        ])
    func floods(body: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("flood", PluginSource.entry(body))
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(
                Toml.plugin("flood") + Toml.job("flood", of: "flood", Toml.once + "\ntimeout = \"4s\"\nkill_grace = \"100ms\"")
                    + Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"200ms\"\noverlap = \"queue\""))
            let host = try await test.start()
            try await host.logs("✓ tick")
            let run = try await test.jobhost("trigger", "flood", "--wait")
            #expect([0, 13].contains(run.code), "\(run.output) \(run.errors)")
            #expect(Proc.memory(of: host.pid, peak: true) < 300_000, "\(Proc.memory(of: host.pid, peak: true)) kB")
            var log = stat()
            let id = try test.ledger.number("SELECT id FROM runs WHERE job = 'flood'")
            let isThere = stat(test.folder + "/var/logs/flood/\(id).log", &log) == 0
            #expect(isThere || body.contains("progress"), "progress and metrics alone are no log")
            #expect(log.st_size < 1_200_000, "\(log.st_size)")
            #expect(try await test.jobhost("logs", "flood").code == 0)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["tick": 200_000]) == [])
            #expect(try test.ledger.texts("SELECT DISTINCT state FROM runs WHERE job = 'tick' AND attempt > 0") == ["succeeded"])
        }
    }

    @Test("While a plugin floods, every due time of the others runs, at once and once; by how much later is what make bench shows")
    func others() async throws {
        try await TestHost.with { test in
            try await test.plugin("flood", PluginSource.entry(
                """
                char block[65536];
                memset(block, 'x', sizeof block);
                struct timespec now;
                clock_gettime(CLOCK_MONOTONIC, &now);
                for (time_t end = now.tv_sec + 3; now.tv_sec < end; clock_gettime(CLOCK_MONOTONIC, &now)) {
                    if (write(1, block, sizeof block) < 0) return JOB_FAILED;
                    for (int i = 0; i < 1000; i++) context->log(context, JOB_LOG_INFO, JOB_STR("the same line of the log"), JOB_NONE);
                }
                return JOB_SUCCEEDED;
                """))
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(
                Toml.plugin("flood") + Toml.job("flood", of: "flood", Toml.once + "\ntimeout = \"30s\"")
                    + Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"20ms\"\noverlap = \"allow\"\nconcurrency = 64"))
            let host = try await test.start()
            try await host.logs("✓ tick")
            let run = try await test.jobhost("trigger", "flood", "--wait")
            #expect(run.code == 0, "\(run.output) \(run.errors)")
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let during = """
                FROM runs tick, (SELECT started_at, finished_at FROM runs WHERE job = 'flood') flood
                WHERE tick.job = 'tick' AND tick.fire_time BETWEEN flood.started_at AND flood.finished_at
                """
            let count = try test.ledger.number("SELECT count(*) \(during) AND tick.state = 'succeeded' AND tick.attempt = 1")
            #expect(count > 50, "\(count) fires while it flooded")
            #expect(try test.ledger.number("SELECT count(*) \(during) AND (tick.state <> 'succeeded' OR tick.attempt <> 1)") == 0)
            #expect(try test.ledger.faults(every: ["tick": 20_000]) == [])
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE job = 'tick'") == 0, "none was missed or skipped")
        }
    }

    @Test("Garbage to every descriptor, or all of them closed: the run crashes with a reason unless its end is known, the next one is well")
    func descriptors() async throws {
        try await TestHost.with { test in
            try await test.plugin("vandal", PluginSource.entry(
                """
                if (asked(context, "garbage")) {
                    for (int round = 0; round < 100; round++)
                        for (int fd = 1; fd < 1024; fd++) if (write(fd, "\\xff\\x00garbage of all kinds\\n\\x80", 24) < 0) continue;
                    return JOB_SUCCEEDED;
                }
                if (asked(context, "close")) {
                    for (int fd = 0; fd < 1024; fd++) close(fd);
                    return JOB_SUCCEEDED;
                }
                if (asked(context, "steal")) {
                    int fd = open("/dev/null", O_RDWR);
                    for (int other = 0; other < 1024; other++) if (other != fd) dup2(fd, other);
                    for (;;) pause();
                }
                if (asked(context, "none")) {
                    while (open("/dev/null", O_RDONLY) >= 0) {}
                    printf("no descriptor left\\n");
                }
                return JOB_SUCCEEDED;
                """))
            try test.config(
                Toml.plugin("vandal", "file_limit = 256") + Toml.job("vandal", of: "vandal", Toml.once + "\ntimeout = \"3s\"\nkill_grace = \"100ms\""))
            let host = try await test.start()
            for deed in ["garbage", "close", "steal"] {
                let run = try await test.jobhost("trigger", "vandal", "--payload", "\"\(deed)\"", "--wait")
                // Where its end stood on the slate before the worker missed its socket, it is known.
                let codes: [Int32] = deed == "close" ? [0, 13, 14] : [13, 14]
                #expect(codes.contains(run.code), "\(deed): \(run.output) \(run.errors)")
                let next = try await test.jobhost("trigger", "vandal", "--payload", "\"nothing\"", "--wait")
                #expect(next.code == 0, "after \(deed): \(next.output) \(next.errors)")
            }
            #expect(try await test.jobhost("trigger", "vandal", "--payload", "\"none\"", "--wait").code == 0)
            #expect(try await test.jobhost("trigger", "vandal", "--wait").code == 0)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults() == [])
        }
    }
}
