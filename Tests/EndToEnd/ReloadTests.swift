import Glibc
import Testing

/// The real binaries: what a reload changes, and what nothing may change.
@Suite("Reload, end to end", .timeLimit(.minutes(8))) struct ReloadTests {
    private let base = """
        [plugins.good]
        library = "libgood.so"
        [jobs.tick]
        plugin = "good"
        entry = "run"
        every = "1s"

        """

    @Test("A library renamed over the old one: the next run uses the new code, nothing else restarts")
    func libraryChanges() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("old code"))
            try await test.plugin("other", PluginSource.says("untouched"))
            try test.config(base + "[plugins.other]\nlibrary = \"libother.so\"\n[jobs.other]\nplugin = \"other\"\nentry = \"run\"\nevery = \"1s\"\n")
            let host = try await test.start()
            try await host.logs("✓ tick", "old code")
            try await host.logs("✓ other")
            let before = try await worker(of: "other", test)
            try await test.plugin("good", PluginSource.says("new code"))
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 0, "\(reload.output) \(reload.errors)")
            let at = try await host.logs("generation 2 serves")
            try await host.logs("✓ tick", "new code", from: at)
            try await host.logs("✓ other", from: at)
            let after = try await worker(of: "other", test)
            #expect(before == after)
            #expect(!host.errors.all[at...].contains { $0.contains("old code") && $0.contains("✓ tick") })
        }
    }

    @Test("A plugin in C is dropped in beside a running host: kill -HUP, and it runs")
    func dropIn() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config("include = [\"jobs.d/*.toml\"]\n" + base)
            mkdir(test.folder + "/jobs.d", 0o755)
            let host = try await test.start()
            try await host.logs("✓ tick")
            let before = try await worker(of: "tick", test)
            try await test.plugin("fresh", PluginSource.says("hello from C"))
            try test.write(
                "[plugins.fresh]\nlibrary = \"libfresh.so\"\n[jobs.fresh]\nplugin = \"fresh\"\nentry = \"run\"\nevery = \"1s\"\n",
                to: "jobs.d/fresh.toml")
            host.signal(SIGHUP)
            try await host.logs("✓ fresh", "hello from C")
            let after = try await worker(of: "tick", test)
            #expect(before == after)
        }
    }

    private static let job = "[jobs.x]\nplugin = \"good\"\nentry = \"run\"\n"
    /// What is added after the nine lines that a test's config begins with; where in it what is wrong; what it should have been.
    private static let faults = [
        (job + "every = \"1s\"\n[labels\n", "14:8: not valid TOML", job + "every = \"1s\"\n"),
        (job + "every = \"1s\"\ntimeuot = \"5s\"\n", "14:1: unknown key 'timeuot' in [jobs.x] (did you mean 'timeout'?)", job + "every = \"1s\"\ntimeout = \"5s\"\n"),
        (job + "cron = \"*/61 * * * *\"\n", "13:8: 'cron': the minute field has \"*/61\"", job + "cron = \"* * * * * *\"\n"),
        (
            "[plugins.gone]\nlibrary = \"libgone.so\"\n" + job.replacing("good", with: "gone") + "every = \"1s\"\n",
            "11:11: there is no library \"libgone.so\"",
            "[plugins.gone]\nlibrary = \"libgone.so\"\n" + job.replacing("good", with: "gone") + "every = \"1s\"\n"
        ),
    ]

    @Test(
        "A fault in the config on SIGHUP: the old generation goes on untouched, log, status, health and audit say what and where; a corrected one on SIGHUP serves",
        arguments: ReloadTests.faults)
    func badConfig(addition: String, place: String, correction: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.says("served"))
            try test.config(base)
            let reason = "jobs.toml:\(place)"
            let host = try await test.start()
            try test.config(base + addition)
            host.signal(SIGHUP)
            let refused = try await host.logs("reload refused: generation 1 goes on untouched")
            #expect(host.errors.all[..<refused].contains { $0.contains("ERROR") && $0.contains(reason) }, "\(host.errors.all)")
            let status = try await test.jobhost("status").output
            #expect(status.contains("the last reload, ") && status.contains(reason.prefix { $0 != " " }), "\(status)")
            let health = try await test.health()
            #expect(health.status == 503 && health.body.replacing("\\\"", with: "\"").contains(reason), "\(health)")
            try await host.logs("✓ tick", from: refused)
            // Whoever asks in another way hears the same.
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4 && reload.output.contains(reason), "\(reload.output)")
            #expect(try await test.jobhost("trigger", "x").code != 0)

            link(test.library("good"), test.library("gone"))
            try test.config(base + correction)
            host.signal(SIGHUP)
            let served = try await host.logs("generation 2 serves: 1 added, 1 kept")
            try await host.logs("✓ x", "served", from: served)
            try await host.logs("✓ tick", from: served)
            #expect(try await test.health().status == 200)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)

            let audited = try test.ledger.texts("SELECT actor || ': ' || detail FROM audit WHERE action = 'reload' ORDER BY id")
            #expect(audited.count == 3, "\(audited)")
            #expect(audited.first?.hasPrefix("SIGHUP: refused, generation 1 goes on: ") == true && audited.first?.contains(reason) == true, "\(audited)")
            #expect(audited.last == "SIGHUP: generation 2: 1 added, 1 kept", "\(audited)")
            #expect(try test.ledger.texts("SELECT generation || ' ' || accepted FROM reloads ORDER BY id").suffix(3) == ["1 0", "1 0", "2 1"])
            // Nothing of it was touched: the same process all the time, each due time run, in between as a run of the old generation.
            #expect(try test.ledger.faults(every: ["tick": 1_000_000]) == [])
            let ticks = "FROM runs WHERE job = 'tick' AND outcome IS NOT NULL"
            #expect(try test.ledger.texts("SELECT DISTINCT outcome || ' ' || attempt \(ticks)") == ["succeeded 1"])
            #expect(try test.ledger.number("SELECT count(DISTINCT pid) \(ticks)") == 1)
            let between = "started_at BETWEEN (SELECT min(at) FROM reloads WHERE accepted = 0) AND (SELECT max(at) FROM reloads WHERE accepted = 0)"
            #expect(try test.ledger.texts("SELECT DISTINCT generation \(ticks) AND \(between)") == ["1"])
            #expect(try test.ledger.texts("SELECT DISTINCT generation FROM runs WHERE job = 'x' AND outcome IS NOT NULL") == ["2"])
        }
    }

    @Test("A library that is no plugin keeps the old one serving; the others switch; the report names it")
    func badLibrary() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(base)
            let host = try await test.start()
            try await host.logs("✓ tick")
            try test.write("this is no library", to: "plugins/libgood.so")
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4)
            #expect(reload.output.contains("good"), "\(reload.output) \(reload.errors)")
            let at = try await host.logs("plugin good refused")
            try await host.logs("✓ tick", from: at)
            let audit = try await test.jobhost("audit")
            #expect(audit.output.contains("generation 2: 1 kept; refused: plugin good: "), "\(audit.output)")
        }
    }

    /// The process that executed the job's newest ended run.
    private func worker(of job: String, _ test: TestHost) async throws -> String {
        // The line that a test has waited for may come before its row.
        while true {
            let answer = try await test.jobhost("runs", job, "--state", "succeeded", "--json")
            if let pid = answer.output.number(after: "pid") { return String(pid) }
            try Task.checkCancellation()
        }
    }
}
