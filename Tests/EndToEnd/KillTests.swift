import Glibc
import Testing

/// The real binaries: the supervisor dies at any moment, again and again.
@Suite("Killed at any moment, end to end", .timeLimit(.minutes(8))) struct KillTests {
    @Test("kill -9 at twenty seeded moments under load: a sound ledger, no worker left, nothing executed against the promise")
    func kills() async throws {
        try await TestHost.with { test in
            func writes(_ file: String, _ flags: String) -> String {
                PluginSource.entry(
                    "append(FOLDER \"/\(file)\", context->idempotency_key.data, context->idempotency_key.size); usleep(3000); return JOB_SUCCEEDED;",
                    flags: flags)
            }
            try await test.plugin("often", writes("often", "JOB_ENTRY_IDEMPOTENT"))
            try await test.plugin("once", writes("once", "0"))
            var config = Toml.plugin("often") + Toml.plugin("once")
            var periods: [String: Int] = [:]
            for (plugin, count) in [("often", 3), ("once", 3)] {
                for i in 0..<count {
                    config += Toml.job("\(plugin)-\(i)", of: plugin, "every = \"50ms\"\ncatch_up = { policy = \"all\" }\nbreaker = false\nretry = { max_attempts = 100 }")
                    periods["\(plugin)-\(i)"] = 50_000
                }
            }
            try test.config(config)

            var random = SeededRandom(seed: 20_261_121)
            for _ in 0..<20 {
                let host = try test.launch()
                // From its first line on to the thick of it.
                let line = Int(random.next() % 60)
                _ = try #require(await host.errors.next(from: line) { _ in true }, "\(host.errors.all)")
                let workers = Proc.children(of: host.pid)
                host.signal(SIGKILL)
                #expect(await host.exitCode() == -SIGKILL)
                for worker in workers {
                    let isGone = Proc.ended(worker)
                    #expect(isGone)
                }
            }
            let last = try await test.start()
            let at = last.errors.all.count
            for job in periods.keys.sorted() { try await last.logs("✓ \(job)", from: at) }
            last.signal(SIGTERM)
            #expect(await last.exitCode() == 0)

            #expect(try test.ledger.faults(every: periods) == [])
            #expect(try test.ledger.texts("SELECT id FROM runs WHERE state = 'running'") == [])
            let once = lines(test, "once")
            #expect(Set(once).count == once.count, "an entry that is not idempotent was executed twice")
            let often = Set(lines(test, "often"))
            let succeeded = try test.ledger.texts("SELECT idempotency_key FROM runs WHERE state = 'succeeded' AND job LIKE 'often%'")
            #expect(often.isSuperset(of: succeeded) && succeeded.count > 20)
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE state = 'discarded' AND job LIKE 'often%'") == 0)
            let lost = try test.ledger.texts("SELECT DISTINCT outcome FROM runs WHERE state = 'discarded'")
            #expect(lost == ["lost"] || lost == [], "\(lost)")
        }
    }

    @Test("Workers killed at any moment under load: their run alone has crashed, and the ledger is sound")
    func workers() async throws {
        try await TestHost.with { test in
            try await test.plugin("busy", PluginSource.entry("tell(\"run\"); usleep(2000); return JOB_SUCCEEDED;"))
            try test.config(
                Toml.plugin("busy")
                    + Toml.job("busy", of: "busy", "every = \"20ms\"\noverlap = \"queue\"\nconcurrency = 2\nbreaker = false\nretry = { initial = \"10ms\", max = \"10ms\", max_attempts = 20 }"))
            let beacon = try test.beacon()
            let host = try await test.start()
            var (from, random) = (0, SeededRandom(seed: 77))
            for _ in 0..<20 {
                let (at, _) = try await beacon.hears("run", from: from + Int(random.next() % 5))
                from = at + 1
                let worker = try await beacon.pid("run", from: at)
                kill(worker, SIGKILL)
            }
            try await host.logs("✓ busy", from: host.errors.all.count)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["busy": 20_000]) == [])
            #expect(try test.ledger.texts("SELECT DISTINCT state FROM runs WHERE finished_at IS NOT NULL AND attempt > 0") == ["succeeded"])
        }
    }

    private func lines(_ test: TestHost, _ file: String) -> [String] {
        Proc.text(of: test.folder + "/" + file)?.split(separator: "\n").map(String.init) ?? []
    }
}
