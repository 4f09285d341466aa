import Glibc
import Testing

/// The real binaries: what must not grow.
@Suite("Leaks, end to end", .timeLimit(.minutes(16))) struct LeakTests {
    /// kB that the host may have more after a hundred runs and twenty reloads.
    private static let growth = 4_000

    private static func median(_ values: ArraySlice<Int>) -> Int { values.sorted()[values.count / 2] }

    @Test("Two hundred runs, half of them crashes, and twenty reloads leave no descriptor, child, thread or file behind")
    func supervisor() async throws {
        try await TestHost.with { test in
            try await test.plugin("mixed", PluginSource.entry(
                "if (asked(context, \"fall\")) abort(); if (asked(context, \"fork\")) { if (fork() == 0) { setsid(); for (;;) pause(); } } return JOB_SUCCEEDED;",
                flags: "0"))
            let idle = Toml.plugin("mixed")
            func busy(_ round: Int) -> String {
                idle + Toml.job("mixed", of: "mixed", Toml.once + "\npriority = \(round)\nconcurrency = 4")
            }
            try test.config(idle)
            let host = try await test.start()
            // Once each way, so that what is made once is there.
            var before = (files: 0, threads: 0)
            // Of the host alone, in kB, after each round.
            var memory: [Int] = []
            var at = 0
            for round in 0...20 {
                try test.config(busy(round))
                #expect(try await test.jobhost("reload").code == 0)
                let payloads = ["\"fall\"", "1", "\"fork\"", "\"fall\"", "2", "\"fall\"", "3", "\"fall\"", "4", "\"fall\""]
                try test.ledger.execute(
                    "INSERT INTO enqueue_inbox (job, payload) VALUES " + payloads.map { "('mixed', '\($0)')" }.joined(separator: ", "))
                for _ in payloads { at = try await host.logs("mixed run", from: at) + 1 }
                try test.config(idle)
                #expect(try await test.jobhost("reload", "--allow-empty").code == 0)
                for child in Proc.children(of: host.pid) {
                    let isGone = Proc.ended(child)
                    #expect(isGone)
                }
                memory.append(Proc.memory(of: host.pid, "RssAnon:"))
                if round == 0 { before = (Proc.openFiles(of: host.pid), Proc.threads(of: host.pid)) }
            }
            #expect(Proc.children(of: host.pid) == [])
            let after = (files: Proc.openFiles(of: host.pid), threads: Proc.threads(of: host.pid))
            #expect(after.files <= before.files + 2, "\(before) \(after)")
            #expect(after.threads <= before.threads + 2, "\(before) \(after)")
            // Ten rounds are a hundred runs and twenty reloads.
            let (early, late) = (Self.median(memory[6...10]), Self.median(memory[16...20]))
            #expect(early > 0 && late - early <= Self.growth, "kB: \(memory)")
            #expect(Proc.names(in: test.folder + "/var/plugins").count <= 2)
            #expect(try test.ledger.texts("SELECT state || ' ' || count(*) FROM runs GROUP BY state ORDER BY state") == ["discarded 105", "succeeded 105"])
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
        }
    }

    @Test("Ten thousand runs in one warm worker, with output, state and metrics: no descriptor, no thread, no memory of its own more; the folder of logs shrinks to what is kept of runs")
    func worker() async throws {
        try await TestHost.with { test in
            try await test.plugin("quick", PluginSource.entry(
                """
                static char state[512];
                context->items(context, 1);
                summarize(context, "number %.*s", (int)context->payload.size, context->payload.data);
                if (context->run_id % 8 == 0) {
                    printf("printed by run %lld\\n", (long long)context->run_id);
                    fflush(stdout);
                    context->log(context, JOB_LOG_INFO, JOB_STR("said"), JOB_NONE);
                    context->progress(context, 1, 2, JOB_STR("half"));
                    context->state_put(context, 1, (job_str){state, sizeof state}, JOB_STATE_ON_SUCCESS);
                }
                return JOB_SUCCEEDED;
                """, members: ".state_version = 1,"))
            try test.config(
                Toml.plugin("quick", "recycle = { runs = 1000000 }")
                    + Toml.job("quick", of: "quick", "schedule = \"none\"\nbreaker = false\nretention = { age = \"1d\", runs = 100 }"))
            let host = try await test.start()
            func runs(from first: Int, through last: Int) async throws {
                try test.ledger.execute("""
                    WITH RECURSIVE n(i) AS (SELECT \(first) UNION ALL SELECT i + 1 FROM n WHERE i < \(last))
                    INSERT INTO enqueue_inbox (job, payload) SELECT 'quick', i FROM n
                    """)
                try await host.logs("✓ quick", "number \(last)")
            }
            func figures() throws -> (pid: String, files: Int, threads: Int, memory: Int) {
                let pid = try test.ledger.texts("SELECT pid FROM runs ORDER BY id DESC LIMIT 1")[0]
                let number = try #require(pid_t(pid))
                return (pid, Proc.openFiles(of: number), Proc.threads(of: number), Proc.memory(of: number, "RssAnon:"))
            }
            try await runs(from: 1, through: 1_000)
            let before = try figures()
            try await runs(from: 1_001, through: 10_000)
            let after = try figures()
            #expect(after.pid == before.pid, "one worker served them all")
            #expect(before.memory > 0 && after.memory <= before.memory + 512, "kB: \(before) \(after)")
            #expect(after.files <= before.files && after.threads <= before.threads, "\(before) \(after)")
            // What retention takes away goes with its log, once a minute.
            while try test.ledger.number("SELECT count(*) FROM runs") != 100 {
                try Task.checkCancellation()
                await Task.yield()
            }
            try await FolderWatch(test.folder + "/var/logs/quick").shrinks(to: 100)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults() == [])
        }
    }

    @Test("Ten starts and stops leave nothing behind, and the ledger is sound")
    func cycles() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"50ms\""))
            var files: [Int] = []
            for _ in 0..<10 {
                let host = try await test.start()
                try await host.logs("✓ tick")
                let children = Proc.children(of: host.pid)
                host.signal(SIGTERM)
                #expect(await host.exitCode() == 0)
                for child in children {
                    let isGone = Proc.ended(child)
                    #expect(isGone)
                }
                // The database's own log is taken along by whichever connection closes last, if it may write.
                let isLog = { (name: String) in name.hasSuffix("-wal") || name.hasSuffix("-shm") }
                files.append(Proc.names(in: test.folder + "/var").count { !isLog($0) })
            }
            #expect(files.last == files.first, "\(files)")
            #expect(try test.ledger.faults(every: ["tick": 50_000]) == [])
            #expect(try test.ledger.number("SELECT count(*) FROM workers") == 0)
        }
    }
}
