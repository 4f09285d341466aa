import Glibc
import Testing

/// The real binaries: what a reload changes, and what nothing may change.
@Suite("Reload, end to end", .timeLimit(.minutes(2))) struct ReloadTests {
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

    @Test(
        "A bad config on SIGHUP: the old generation goes on, the reason has a place; a corrected one succeeds",
        arguments: [
            ("[jobs.tick\n", "jobs.toml:"), ("[jobs.x]\nplugin = \"good\"\nentry = \"run\"\ntimeuot = \"5s\"\n", "timeout"),
            ("[jobs.x]\nplugin = \"good\"\nentry = \"run\"\ncron = \"*/61 * * * *\"\n", "61"),
            ("[plugins.gone]\nlibrary = \"libgone.so\"\n[jobs.x]\nplugin = \"gone\"\nentry = \"run\"\n", "libgone.so"),
        ])
    func badConfig(addition: String, reason: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(base)
            let host = try await test.start()
            try test.config(base + addition)
            host.signal(SIGHUP)
            let refused = try await host.logs("reload refused: generation 1 goes on")
            #expect(host.errors.all.contains { $0.contains(reason) }, "\(host.errors.all)")
            try await host.logs("✓ tick", from: refused)
            let reload = try await test.jobhost("reload")
            #expect(reload.code == 4, "\(reload.output)")
            try test.config(base)
            #expect(try await test.jobhost("reload").code == 0)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let audited = try test.ledger.texts("SELECT actor || ': ' || detail FROM audit WHERE action = 'reload' ORDER BY id")
            #expect(audited.count == 3, "\(audited)")
            #expect(audited[0].hasPrefix("SIGHUP: refused, generation 1 goes on: ") && audited[0].contains(reason), "\(audited)")
            #expect(audited[2].hasSuffix("generation 2: 1 kept"), "\(audited)")
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
