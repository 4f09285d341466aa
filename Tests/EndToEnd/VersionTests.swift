import Glibc
import Testing

/// The real binaries: which of a plugin's libraries serves, who decides it, and how long that holds.
@Suite("Versions and canaries, end to end", .timeLimit(.minutes(8))) struct VersionTests {
    private let byHand = Toml.plugin("good") + Toml.job("tick", of: "good", Toml.once)
    private func canary(_ runs: Int, _ keys: String = "timeout = \"2s\"\nkill_grace = \"100ms\"") -> String {
        Toml.plugin("good", "canary = { runs = \(runs) }") + Toml.job("tick", of: "good", Toml.once + "\n" + keys)
    }

    /// What a run said, or how it ended, in one line.
    private func run(_ test: TestHost) async throws -> String {
        let answer = try await test.jobhost("trigger", "tick", "--wait")
        return answer.output + answer.errors
    }

    private func hash(_ test: TestHost, _ index: Int = 0) async throws -> String {
        let answer = try await test.jobhost("plugin", "versions", "good", "--json")
        let hashes = answer.output.split(separator: "\"").filter { $0.utf8.count == 64 }.map(String.init)
        try #require(hashes.count > index, "\(answer.output) \(answer.errors)")
        return hashes[index]
    }

    private func states(_ test: TestHost) async throws -> [String] {
        let answer = try await test.jobhost("plugin", "versions", "good", "--json")
        return answer.output.split(separator: "\"").map(String.init).filter { ["serving", "kept", "canary", "rolled_back"].contains($0) }
    }

    private func audit(_ test: TestHost) async throws -> String { try await test.jobhost("audit", "--json").output }

    // MARK: By hand

    @Test("rollback: the earlier code serves, over a reload and a SIGKILL, until the file changes; audited; forward by its hash")
    func byHandBackAndForward() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("first"))
            try test.config(byHand)
            let host = try await test.start()
            let alone = try await test.jobhost("plugin", "rollback", "good")
            #expect(alone.code != 0 && alone.errors.contains("has served with no other library"), "\(alone.errors)")
            try await test.plugin("good", PluginSource.says("second"))
            try await test.jobhost("reload")
            #expect(try await run(test).contains("second"))
            #expect(try await states(test) == ["serving", "kept"])
            let second = try await hash(test)

            // A half-made edit of the config is no part of it.
            try test.config(byHand + "[jobs.broken\n")
            let back = try await test.jobhost("plugin", "rollback", "good", "--reason", "wrong sums")
            #expect(back.code == 0, "\(back.output) \(back.errors)")
            #expect(try await run(test).contains("first"))
            #expect(try await states(test) == ["rolled_back", "serving"])
            #expect(try await test.jobhost("status").output.contains("wrong sums"))
            let twice = try await test.jobhost("plugin", "rollback", "good")
            #expect(twice.code != 0 && twice.errors.contains("apart, which was rolled back"), "\(twice.errors)")
            #expect(try await audit(test).contains("plugin rollback"))
            try test.config(byHand)

            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await run(test).contains("first"), "a reload changes nothing about it")
            host.signal(SIGKILL)
            _ = await host.exitCode()
            let second_life = try await test.start()
            #expect(try await run(test).contains("first"), "nor does a restart")

            #expect(try await test.jobhost("plugin", "rollback", "good", String(second.prefix(8))).code == 0)
            #expect(try await run(test).contains("second"), "forward by the file's own hash")
            try await test.jobhost("plugin", "rollback", "good")
            #expect(try await run(test).contains("first"))
            try await test.plugin("good", PluginSource.says("third"))
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await run(test).contains("third"), "a new file ends it")
            #expect(try await states(test) == ["serving", "kept", "kept"])
            _ = second_life
        }
    }

    @Test("only the last few copies are kept, and one that a run still uses is never missed")
    func keepsFew() async throws {
        try await TestHost.with { test in
            let config = Toml.plugin("good", "keep_versions = 2") + Toml.job("tick", of: "good", Toml.once)
            let beacon = try test.beacon()
            let gate = try test.gate()
            try await test.plugin("good", PluginSource.waits("old run"))
            try test.config(config)
            let host = try await test.start()
            try await test.jobhost("enqueue", "tick")
            _ = try await beacon.hears("started")
            for text in ["b", "c", "d"] {
                try await test.plugin("good", PluginSource.says(text))
                #expect(try await test.jobhost("reload").code == 0)
            }
            try gate.open()
            try await host.logs("✓ tick", "old run")
            #expect(try await states(test) == ["serving", "kept"])
            let folders = try Child("/bin/ls", [test.folder + "/var/plugins"], environment: [:], folder: "/")
            _ = await folders.exitCode()
            #expect(folders.output.all.filter { $0.utf8.count == 64 }.count == 2, "\(folders.output.all)")
        }
    }

    @Test("an unknown plugin or hash, and what does not fit the config: a sentence, exit code, nothing changed")
    func refusals() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("first"))
            try test.config(byHand)
            _ = try await test.start()
            let unknown = try await test.jobhost("plugin", "versions", "godo")
            #expect(unknown.code != 0 && unknown.errors.contains("did you mean 'good'?"), "\(unknown.errors)")
            let hash = try await test.jobhost("plugin", "rollback", "good", "beef")
            #expect(hash.code != 0 && hash.errors.contains("has no library 'beef'"), "\(hash.errors)")
            let same = try await test.jobhost("plugin", "rollback", "good", String(try await self.hash(test).prefix(7)))
            #expect(same.code != 0 && same.errors.contains("serves already"), "\(same.errors)")
        }
    }

    // MARK: Canary

    @Test("canary: a good library serves so many runs and takes over; the old one serves the others meanwhile")
    func goodCanary() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("first"))
            try test.config(canary(2))
            let host = try await test.start()
            #expect(try await run(test).contains("first"))
            try await test.plugin("good", PluginSource.says("second"))
            let plan = try await test.jobhost("plan")
            #expect(plan.output.contains("canary: library"), "\(plan.output)")
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await states(test) == ["canary", "serving"])
            #expect(try await test.jobhost("status").output.contains("has served 0 of 2 runs"))
            #expect(try await run(test).contains("second"))
            #expect(try await test.jobhost("reload").code == 0, "a reload in between forgets nothing")
            #expect(try await test.jobhost("status").output.contains("has served 1 of 2 runs"))
            #expect(try await run(test).contains("second"))
            try await host.logs("takes over after 2 runs")
            try await host.logs("generation 4 serves")
            #expect(try await run(test).contains("second"))
            #expect(try await states(test) == ["serving", "kept"])
            #expect(try await audit(test).contains("canary takes over"))
        }
    }

    @Test(
        "canary: a library that crashes, hangs, or fails where the old one did not is rolled back by itself",
        arguments: [
            ("crashes", "raise(SIGSEGV); return JOB_FAILED;", 1), ("hangs", "for (;;) pause();", 1),
            ("fails", "context->fail(context, 7, JOB_STR(\"no\")); return JOB_FAILED;", 2),
        ])
    func badCanary(kind: String, body: String, runs: Int) async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("first"))
            try test.config(canary(3))
            let host = try await test.start()
            for _ in 0..<5 { #expect(try await run(test).contains("first")) }
            try await test.plugin("good", PluginSource.entry(body))
            #expect(try await test.jobhost("reload").code == 0)
            for _ in 0..<runs { #expect(try await run(test).contains("first") == false) }
            let at = try await host.logs("plugin good: canary: library", "is rolled back to")
            try await host.logs("generation 3 serves", from: at)
            for _ in 0..<3 { #expect(try await run(test).contains("first"), "the old one has been warm all the time") }
            #expect(try await states(test) == ["rolled_back", "serving"])
            #expect(try await audit(test).contains("canary rolled back"))
            #expect(try await test.jobhost("status").output.contains("rolled back on"))
            // The same file again is not tried again; another one is.
            try await test.jobhost("reload")
            #expect(try await run(test).contains("first"))
            host.signal(SIGTERM)
            _ = await host.exitCode()
            _ = try await test.start()
            #expect(try await run(test).contains("first"), "not after a restart either")
            try await test.plugin("good", PluginSource.says("mended"))
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await run(test).contains("mended"))
        }
    }

    @Test("canary: who is named in [alerts] is told of the rollback; the old library's worker has stayed all the while")
    func alert() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            let alerts = "[alerts]\ngather = \"0s\"\ncommand = [\"/bin/sh\", \"-c\", \"(printf 'alert '; cat; echo) > \(test.folder)/beacon\"]\n"
            try await test.plugin("good", PluginSource.says("first"))
            try test.config(alerts + canary(3))
            let host = try await test.start()
            #expect(try await run(test).contains("first"))
            try await test.plugin("good", PluginSource.entry("raise(SIGSEGV); return JOB_FAILED;"))
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await run(test).contains("SIGSEGV"))
            try await host.logs("generation 3 serves")
            #expect(try await run(test).contains("first"))
            let told = await beacon.lines.next { $0.hasPrefix("alert ") && $0.contains("rolled back on") && $0.contains("by canary") }
            #expect(told?.line.contains("SIGSEGV") == true && told?.line.contains("jobhost plugin rollback good") == true, "\(beacon.lines.all)")
            let pids = try test.ledger.texts("SELECT pid FROM runs ORDER BY id")
            #expect(pids.count == 3 && pids[0] == pids[2] && pids[0] != pids[1], "\(pids)")
        }
    }

    @Test("canary: what is decided about a library while a reload puts its repair in place is not done to the repair; the operator hears why")
    func repairedMeanwhile() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("good", PluginSource.says("first"))
            try test.config(Toml.plugin("good", "canary = { runs = 5 }\nstart_timeout = \"90s\"") + Toml.job("tick", of: "good", Toml.once))
            let host = try await test.start()
            #expect(try await run(test).contains("first"))
            try await test.plugin("good", PluginSource.entry("raise(SIGSEGV); return JOB_FAILED;"))
            #expect(try await test.jobhost("reload").code == 0)
            // The repair, which takes its time to load.
            try await test.plugin(
                "good", PluginSource.says("repaired") + "\n__attribute__((constructor)) static void load(void) { tell(\"loading\"); wait_gate(); }")
            let reload = try test.foreground("reload")
            _ = try await beacon.hears("loading")
            #expect(try await run(test).contains("SIGSEGV"))
            let decided = try await host.logs("plugin good: canary: library", "is rolled back to")
            // Too late as well: what it is about is not there any more when it is its turn.
            let back = try test.foreground("plugin", "rollback", "good")
            try await host.logs("plugin good: rolled back from library", from: decided)
            try gate.open(50)
            #expect(await reload.exitCode() == 0)
            #expect(await back.exitCode() == 6, "\(back.errors.all)")
            #expect(back.errors.all.contains { $0.contains("is dropped: meanwhile library") }, "\(back.errors.all)")
            #expect(try await states(test) == ["canary", "serving"])
            for _ in 0..<5 { #expect(try await run(test).contains("repaired")) }
            try await host.logs("takes over after 5 runs")
        }
    }

    // MARK: Canary, and the host dies

    @Test("canary: the host is killed in the middle of a trial, with one of its runs under way: no run is lost, the trial goes on where it was")
    func killedInTrial() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            func library(_ word: String) -> String {
                PluginSource.entry(
                    "if (asked(context, \"wait\")) { tell(\"started\"); wait_gate(); } context->summary(context, JOB_STR(\"\(word)\")); return JOB_SUCCEEDED;")
            }
            try await test.plugin("good", library("first"))
            try test.config(
                Toml.plugin("good", "canary = { runs = 3 }")
                    + Toml.job("tick", of: "good", "schedule = \"none\"\nbreaker = false\nretry = { max_attempts = 2, initial = \"100ms\", max = \"100ms\" }"))
            let host = try await test.start()
            #expect(try await run(test).contains("first"))
            try await test.plugin("good", library("second"))
            #expect(try await test.jobhost("reload").code == 0)
            let fresh = try await hash(test)
            #expect(try await run(test).contains("second"))
            try await test.jobhost("trigger", "tick", "--payload", "\"wait\"")
            let begun = try await beacon.hears("started").index
            host.signal(SIGKILL)
            #expect(await host.exitCode() == -SIGKILL)

            let next = try await test.start()
            let resumed = try await next.logs("canary: library \(fresh.prefix(7)) has served 1 of 3 runs", "its trial goes on")
            #expect(try await states(test) == ["canary", "serving"])
            // What was lost is tried again, by whichever of the two.
            _ = try await beacon.hears("started", from: begun + 1)
            try gate.open()
            try await next.logs("✓ tick")
            while !next.errors.all.contains(where: { $0.contains("takes over after 3 runs") }) {
                let said = try await run(test)
                #expect(said.contains("first") || said.contains("second"), "\(said)")
            }
            let decided = try await next.logs("takes over after 3 runs", from: resumed)
            try await next.logs(" serves: ", from: decided)
            #expect(try await run(test).contains("second"))
            #expect(try await states(test) == ["serving", "kept"])
            next.signal(SIGTERM)
            #expect(await next.exitCode() == 0)
            let onTrial = "FROM runs WHERE library_hash = '\(fresh)' AND finished_at <= (SELECT at FROM audit WHERE action = 'canary takes over')"
            #expect(try test.ledger.number("SELECT count(*) \(onTrial)") == 3, "those of the life before count")
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE state <> 'succeeded'") == 0)
            #expect(try test.ledger.texts("SELECT attempt FROM runs WHERE payload LIKE '%wait%'") == ["2"])
            #expect(try test.ledger.faults() == [])
        }
    }

    @Test("canary: the host is killed after its verdict on a bad library and before it is obeyed: the library serves no further run, not after another kill either, until the file changes")
    func killedAtVerdict() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            let loads = "\n__attribute__((constructor)) static void load(void) { tell(\"loading\"); wait_gate(); }"
            try await test.plugin("good", PluginSource.says("first"))
            try await test.plugin("other", PluginSource.succeeds)
            try test.config(
                Toml.plugin("good", "canary = { runs = 3 }") + Toml.job("tick", of: "good", Toml.once)
                    + Toml.plugin("other", "start_timeout = \"90s\"") + Toml.job("other", of: "other", Toml.once))
            let host = try await test.start()
            for _ in 0..<3 { #expect(try await run(test).contains("first")) }
            try await test.plugin("good", PluginSource.crashes)
            #expect(try await test.jobhost("reload").code == 0)
            // What is decided while a reload builds waits for that.
            try await test.plugin("other", PluginSource.says("slow to load") + loads)
            let reload = try test.foreground("reload")
            _ = try await beacon.hears("loading")
            #expect(try await run(test).contains("SIGSEGV"))
            try await host.logs("plugin good: canary: library", "is rolled back to")
            host.signal(SIGKILL)
            #expect(await host.exitCode() == -SIGKILL)
            _ = await reload.exitCode()

            try gate.open(100)
            for life in 2...3 {
                let next = try await test.start()
                for _ in 0..<3 { #expect(try await run(test).contains("first"), "life \(life)") }
                while try await states(test) != ["rolled_back", "serving"] { try Task.checkCancellation() }
                next.signal(SIGKILL)
                #expect(await next.exitCode() == -SIGKILL)
            }
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE outcome = 'crashed'") == 1)
            let last = try await test.start()
            try await test.plugin("good", PluginSource.says("mended"))
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await run(test).contains("mended"))
            last.signal(SIGTERM)
            #expect(await last.exitCode() == 0)
            #expect(try test.ledger.faults() == [])
        }
    }
}
