import Glibc
import Testing

/// `jobhost store check|prune|export` with the real binary, beside a host that serves and without any.
@Suite("Looking after a store, end to end", .timeLimit(.minutes(12)))
struct UpkeepTests {
    enum Kind: String, CaseIterable { case sqlite, postgresql }
    private static let kinds: [Kind] = getenv("JOBHOST_TEST_POSTGRES") == nil ? [.sqlite] : Kind.allCases

    /// `ledger`: of the store that the config's `[store]` names.
    private func with(_ kind: Kind, _ body: (TestHost, LedgerFile, _ store: String) async throws -> Void) async throws {
        try await TestHost.with { test in
            guard kind == .postgresql else { return try await body(test, test.ledger, "") }
            try await PostgresServer.with(test) { server in try await body(test, server.ledger, "\n[store]\nurl = \"\(server.url)\"\n") }
        }
    }

    private func jobs(_ keys: String) -> String {
        Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"100ms\"\n" + keys) + Toml.plugin("shaky")
            + Toml.job("mint", of: "shaky", "schedule = \"none\"\nretry = { max_attempts = 2, initial = \"10ms\", max = \"10ms\" }")
    }

    @Test("Checked, exported and pruned while a host serves, and after it has stopped; what is spoilt is named", arguments: kinds)
    func upkeep(kind: Kind) async throws {
        try await with(kind) { test, ledger, store in
            try await test.plugin("good", PluginSource.entry("printf(\"hello\\n\"); return JOB_SUCCEEDED;"))
            try await test.plugin("shaky", PluginSource.entry("return context->attempt == 1 ? JOB_RETRY : JOB_SUCCEEDED;"))
            // Of 5,000 runs none goes by itself.
            try test.config(jobs("retention = { age = \"30d\", runs = 5000 }") + store)
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "mint", "--payload", #"{"asset": 7}"#, "--wait").code == 0)
            for _ in 0..<12 { try await host.logs("✓ tick", from: host.errors.all.count) }

            let checked = try await test.jobhost("store", "check")
            #expect(checked.code == 0, "\(checked.output)\(checked.errors)")
            #expect(checked.output.contains("rules hold"), "\(checked.output)")
            if kind == .sqlite { #expect(checked.output.contains("served by pid \(host.pid)"), "\(checked.output)") }

            let exported = try await test.jobhost("store", "export", "--job", "mint", "--table", "runs,attempts")
            let lines = exported.output.split(separator: "\n")
            #expect(lines.count == 2, "\(exported.output)\(exported.errors)")
            #expect(lines.first?.contains(#""payload":{"asset":7}"#) == true && lines.last?.hasPrefix(#"{"kind":"attempt","run":"#) == true, "\(lines)")
            let file = try await test.jobhost("store", "export", "--format", "csv", "--output", "runs.csv", "--since", "1h ago")
            #expect(file.code == 0 && file.output.hasSuffix("written to runs.csv"), "\(file.output)\(file.errors)")
            let table = Proc.text(of: test.folder + "/runs.csv")?.split(separator: "\n") ?? []
            #expect(table.first?.hasPrefix("id,job,trigger,state,outcome,fire_time,") == true)
            #expect(table.count > 12)
            #expect(try await test.jobhost("store", "export", "--format", "csv", "--output", "runs.csv").code == 6)
            #expect(try await test.jobhost("store", "export", "--job", "mnt").code == 5)

            // By a config that keeps less, as one that is about to be loaded.
            try test.config(jobs("retention = { runs = 3 }") + store)
            let oldest = try ledger.number("SELECT min(id) FROM runs WHERE job = 'tick' AND finished_at IS NOT NULL")
            let log = "var/logs/tick/\(oldest).log"
            #expect(test.exists(log))
            let dry = try await test.jobhost("store", "prune", "--dry-run", "--job", "tick")
            #expect(dry.code == 0 && dry.output.contains("would be deleted"), "\(dry.output)\(dry.errors)")
            #expect(try ledger.number("SELECT count(*) FROM runs WHERE id = \(oldest)") == 1)
            let pruned = try await test.jobhost("store", "prune")
            #expect(pruned.code == 0 && pruned.output.contains("deleted"), "\(pruned.output)\(pruned.errors)")
            #expect(try ledger.number("SELECT count(*) FROM runs WHERE id = \(oldest)") == 0)
            #expect(!test.exists(log), "its log goes with it")
            #expect(try ledger.number("SELECT count(*) FROM audit WHERE action = 'prune' AND via = 'cli'") == 1)
            #expect(try ledger.number("SELECT count(*) FROM runs WHERE job = 'mint'") == 1)

            // The host has noticed nothing.
            for _ in 0..<3 { try await host.logs("✓ tick", from: host.errors.all.count) }
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(!host.errors.all.contains { $0.contains("the store") && $0.contains("ERROR") }, "\(host.errors.all)")
            let after = try await test.jobhost("store", "check")
            #expect(after.code == 0, "\(after.output)\(after.errors)")
            // A job that the config has no longer goes by age alone.
            try test.config(Toml.plugin("good") + store)
            #expect(try await test.jobhost("store", "prune").output.contains("1 of mint, "))
            #expect(try await test.jobhost("store", "prune", "--older-than", "1us").output.contains("deleted"))
            #expect(try ledger.number("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL") == 0)

            try ledger.execute("INSERT INTO ledger_ranges (job, reason, first, last, count) VALUES ('tick', 'paused', 5, 5, 2), ('tick', 'window', 5, 9, 2)")
            let spoilt = try await test.jobhost("store", "check", "--json")
            #expect(spoilt.code == 1, "\(spoilt.output)\(spoilt.errors)")
            #expect(spoilt.output.contains("\"tick window at 1970-01-01T00:00:00.000005Z\""), "\(spoilt.output)")
            #expect(spoilt.output.contains("\"tick paused: 2 at 1970-01-01T00:00:00.000005Z\""), "\(spoilt.output)")
        }
    }

    @Test("A copy of the file is checked and exported by its name, without a config; where nothing is, that is said")
    func copies() async throws {
        try await with(.sqlite) { test, ledger, _ in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(Toml.plugin("good") + Toml.job("tick", of: "good", "every = \"100ms\""))
            #expect(try await test.jobhost("store", "check").code == 5)
            let host = try await test.start()
            try await host.logs("✓ tick")
            #expect(try ledger.texts("VACUUM INTO '\(test.folder)/copy.db'") == [])
            host.signal(SIGKILL)
            _ = await host.exitCode()
            unlink(test.folder + "/jobs.toml")
            let checked = try await test.jobhost("store", "check", "--store", "sqlite:copy.db")
            #expect(checked.code == 0 && !checked.output.contains("served"), "\(checked.output)\(checked.errors)")
            // As the host left it when it was killed.
            #expect(try await test.jobhost("store", "check", "--store", "sqlite:var/jobhost.db").code == 0)
            #expect(try await test.jobhost("store", "export", "--store", "sqlite:copy.db", "--table", "runs").output.contains(#""kind":"run""#))
            #expect(try await test.jobhost("store", "check", "--store", "copy.db").code == 2)
        }
    }
}
