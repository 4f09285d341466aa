import Glibc
import Testing

/// The real binaries: what must not grow.
@Suite("Leaks, end to end", .timeLimit(.minutes(2))) struct LeakTests {
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
                if round == 0 { before = (Proc.openFiles(of: host.pid), Proc.threads(of: host.pid)) }
            }
            #expect(Proc.children(of: host.pid) == [])
            let after = (files: Proc.openFiles(of: host.pid), threads: Proc.threads(of: host.pid))
            #expect(after.files <= before.files + 2, "\(before) \(after)")
            #expect(after.threads <= before.threads + 2, "\(before) \(after)")
            #expect(Proc.memory(of: host.pid) < 300_000)
            #expect(Proc.names(in: test.folder + "/var/plugins").count <= 2)
            #expect(try test.ledger.texts("SELECT state || ' ' || count(*) FROM runs GROUP BY state ORDER BY state") == ["discarded 105", "succeeded 105"])
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
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
