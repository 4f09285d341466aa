import Glibc
import Testing

/// The real binaries: what a reload leaves as it is, and what it says of each job.
@Suite("What a reload keeps, end to end", .timeLimit(.minutes(8))) struct ReloadKeepsTests {
    @Test("reload names every job as added, removed, changed, kept or refused; a refusal is an exit code")
    func report() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("picky", PluginSource.picky("old"))
            func config(_ jobs: String, mode: String) -> String {
                Toml.plugin("good") + Toml.plugin("picky") + Toml.job("still", of: "good", Toml.once) + jobs
                    + Toml.job("picky", of: "picky", Toml.once + "\nsettings = { mode = \"\(mode)\" }")
            }
            try test.config(config(Toml.job("goes", of: "good") + Toml.job("moves", of: "good", Toml.once), mode: "fine"))
            _ = try await test.start()
            try test.config(config(Toml.job("comes", of: "good") + Toml.job("moves", of: "good", Toml.once + "\npriority = 3"), mode: "bad"))
            // A plan says the same of each job, and does nothing.
            for command in ["plan", "reload"] {
                let answer = try await test.jobhost(command, "--json")
                #expect(answer.code == 4, "\(answer.output) \(answer.errors)")
                let lines = answer.output.split(separator: "}")
                for (job, change) in [("still", "kept"), ("comes", "added"), ("goes", "removed"), ("moves", "changed"), ("picky", "refused")] {
                    let isSaid = lines.contains { $0.contains("\"\(job)\"") && $0.contains("\"\(change)\"") }
                    #expect(isSaid, "\(command): \(job) is not \(change) in \(answer.output)")
                }
                let reasons = lines.filter { $0.contains("\"picky\"") }.joined()
                #expect(reasons.contains("I do not like these settings"), "\(answer.output)")
            }
            try test.config(config(Toml.job("comes", of: "good") + Toml.job("moves", of: "good", Toml.once + "\npriority = 4"), mode: "fine"))
            let text = try await test.jobhost("reload")
            #expect(text.code == 0)
            #expect(text.output.contains("job changed") && text.output.contains("moves") && text.output.contains("priority"), "\(text.output)")
            #expect(text.output.contains("3 jobs kept"), "\(text.output)")
        }
    }

    @Test("An unchanged job keeps its phase, its failures on the way to an open breaker, its state and its worker")
    func unchanged() async throws {
        try await TestHost.with { test in
            try await test.plugin("hello", try #require(Proc.text(of: TestHost.sources + "/Examples/hello-c/hello.c")))
            try await test.plugin("shaky", PluginSource.fails)
            try await test.plugin("moves", PluginSource.says("old"))
            func config(_ priority: Int) -> String {
                Toml.plugin("hello")
                    + Toml.job("rate", of: "hello", "every = { interval = \"500ms\", phase = \"130ms\" }", entry: "greet")
                    + Toml.job("delay", of: "hello", "every = { interval = \"800ms\", after = \"finish\" }", entry: "greet")
                    + Toml.plugin("shaky")
                    + Toml.job("shaky", of: "shaky", "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"1h\" }")
                    + Toml.plugin("moves") + Toml.job("moves", of: "moves", Toml.once + "\npriority = \(priority)")
            }
            try test.config(config(0))
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "shaky", "--wait").code == 1)
            var at = try await host.logs("✓ rate")
            for round in 1...4 {
                // In the middle of the time from one run to the next.
                at = try await host.logs("✓ delay", from: at + 1)
                try await test.plugin("moves", PluginSource.says("new \(round)"))
                try test.config(config(round))
                let reload = try await test.jobhost("reload")
                #expect(reload.code == 0 && reload.output.contains("3 jobs kept"), "\(reload.output)")
            }
            #expect(!host.errors.all.contains { $0.contains("shaky") && $0.contains("breaker opened") })
            #expect(try await test.jobhost("trigger", "shaky", "--wait").code == 1)
            try await host.logs("shaky", "breaker opened", "2 failures in a row")
            try await host.logs("✓ delay", from: at + 1)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)

            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE job = 'rate' AND fire_time % 500000 <> 130000") == 0)
            #expect(try test.ledger.faults() == [])
            let waits = """
                SELECT abs(fire_time - lag(finished_at) OVER (ORDER BY id) - 800000) AS off FROM runs WHERE job = 'delay' AND started_at IS NOT NULL
                """
            #expect(try test.ledger.number("SELECT count(*) FROM (\(waits)) AS w WHERE off > 50000") == 0)
            // The count in the state of each is that of its runs, in the workers of the first generation.
            for job in ["rate", "delay"] {
                let ended = try test.ledger.number("SELECT count(*) FROM runs WHERE job = '\(job)' AND state = 'succeeded'")
                let counted = try test.ledger.texts("SELECT hex(bytes) FROM state_blobs WHERE job = '\(job)'").first.flatMap { Int($0, radix: 16) }
                #expect(counted == ended && ended > 4)
            }
            #expect(try test.ledger.number("SELECT count(DISTINCT pid) FROM runs WHERE job IN ('rate', 'delay') AND pid > 0") <= 2)
            #expect(try test.ledger.number("SELECT count(DISTINCT pid) FROM runs WHERE job = 'delay' AND pid > 0 AND id > (SELECT min(id) + 4 FROM runs)") <= 2)
        }
    }

    @Test("An edited schedule: what was due until the switch is accounted for by the old rule, what comes after by the new one")
    func editedSchedule() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            func config(_ milliseconds: Int, _ offline: String) -> String {
                Toml.plugin("good") + Toml.job("edited", of: "good", "every = \"\(milliseconds)ms\"\noverlap = \"allow\"")
                    + Toml.job("offline", of: "good", "every = \"\(offline)\"\ncatch_up = { policy = \"skip\" }")
            }
            try test.config(config(200, "1m"))
            let first = try await test.start()
            try await first.logs("✓ edited")
            for period in [300, 700, 500] {
                try test.config(config(period, "1m"))
                #expect(try await test.jobhost("reload").code == 0)
                let at = first.errors.all.count
                try await first.logs("✓ edited", from: try await first.logs("✓ edited", from: at) + 1)
            }
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            // A fire that was claimed ahead by the old rule, and is none by the new one, is on record as refused by the reload.
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE job = 'edited' AND (reason <> 'reload' OR count > 1)") == 0)
            let fires = try test.ledger.texts(
                "SELECT fire_time FROM runs WHERE job = 'edited' UNION SELECT first FROM ledger_ranges WHERE job = 'edited' ORDER BY 1").compactMap(Int.init)
            #expect(Self.isInOrder(fires, periods: [200_000, 300_000, 700_000, 500_000]), "\(fires)")

            // A day passes without a host, at whose end the schedule is another one.
            try test.ledger.execute("UPDATE job_states SET cursor = cursor - 86400000000 WHERE job = 'offline'; DELETE FROM runs WHERE job = 'offline'")
            let (from, was) = (try test.ledger.number("SELECT cursor FROM job_states WHERE job = 'offline'"), Proc.microseconds())
            try test.config(config(500, "1h"))
            let second = try await test.start()
            try await second.logs("✓ edited")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            // One that was due while the host started has run.
            let passed = try test.ledger.number(
                "SELECT (SELECT coalesce(sum(count), 0) FROM ledger_ranges WHERE job = 'offline') + (SELECT count(*) FROM runs WHERE job = 'offline')")
            let due = was / 60_000_000 - from / 60_000_000
            #expect(passed >= due && passed <= due + 2, "\(passed) of \(due), of the new rule it would be 24")
        }
    }

    /// Whether these are the multiples of the first period, then from some instant on those of the second one, and so on.
    private static func isInOrder(_ fires: [Int], periods: [Int]) -> Bool {
        guard var last = fires.first else { return false }
        var reachable: Set<Int> = [0]
        for fire in fires.dropFirst() {
            // The switch lies anywhere between the two: of the old rule nothing is due before it, of the new one nothing after it.
            reachable = Set(reachable.flatMap { now in
                periods.indices.filter { $0 >= now && fire % periods[$0] == 0 && isGap(last, fire, periods[now], periods[$0]) }
            })
            last = fire
        }
        return reachable.contains(periods.count - 1)
    }

    private static func isGap(_ last: Int, _ fire: Int, _ old: Int, _ new: Int) -> Bool {
        let oldNext = (last / old + 1) * old
        let newBefore = (fire - 1) / new * new
        // An instant for the switch: not before the last new one that is not there, and before the next old one.
        return old == new ? fire == oldNext : newBefore < oldNext
    }
}
