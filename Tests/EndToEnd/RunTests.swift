import Glibc
import JobJSON
import SQL
import Testing

/// The real binaries: how runs begin and end.
@Suite("Runs, end to end", .timeLimit(.minutes(8))) struct RunTests {
    private func job(_ name: String, _ plugin: String, _ keys: String) -> String {
        "[jobs.\(name)]\nplugin = \"\(plugin)\"\nentry = \"run\"\n\(keys)\n"
    }

    private func plugins(_ names: String...) -> String {
        names.map { "[plugins.\($0)]\nlibrary = \"lib\($0).so\"\n" }.joined()
    }

    @Test("A job runs by its schedule, and the ledger shows it")
    func runs() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(plugins("good") + job("tick", "good", "every = \"1s\""))
            let host = try await test.start()
            try await host.logs("✓ tick", "done")
            let runs = try await test.jobhost("runs", "tick", "--json")
            #expect(runs.code == 0)
            #expect(runs.output.contains("\"outcome\"") && runs.output.contains("succeeded"))
            let status = try await test.jobhost("status")
            #expect(status.code == 0 && status.output.contains("tick"))
        }
    }

    @Test("A run that ignores its timeout is killed, only that run; the next one starts in a fresh worker")
    func timesOut() async throws {
        try await TestHost.with { test in
            try await test.plugin("bad", PluginSource.hangs)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(
                plugins("bad", "good") + job("stuck", "bad", "schedule = \"none\"\ntimeout = \"200ms\"\nkill_grace = \"200ms\"")
                    + job("tick", "good", "every = \"1s\""))
            let host = try await test.start()
            let stuck = try await test.jobhost("trigger", "stuck", "--wait")
            #expect(stuck.code == 13, "\(stuck.output) \(stuck.errors)")
            let at = try await host.logs("stuck", "timed_out")
            try await host.logs("✓ tick", from: at)
            let again = try await test.jobhost("trigger", "stuck", "--wait")
            #expect(again.code == 13)
        }
    }

    @Test("A run that hangs for ten minutes does not make its sibling in the same plugin late: it is as punctual as a job of another plugin, and each fire runs")
    func sibling() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("both", PluginSource.entry(
                "if (asked(context, \"hang\")) { tell(\"hanging\"); for (;;) pause(); } return JOB_SUCCEEDED;", flags: "0"))
            try await test.plugin("other", PluginSource.succeeds)
            try test.config(
                Toml.plugin("both") + Toml.job("hung", of: "both", Toml.once + "\ntimeout = \"10m\"")
                    + Toml.job("tick", of: "both", "every = \"500ms\"") + Toml.plugin("other") + Toml.job("calm", of: "other", "every = \"500ms\""))
            let host = try await test.start()
            var at = try await host.logs("✓ tick")
            try await test.jobhost("trigger", "hung", "--payload", "\"hang\"")
            _ = try await beacon.hears("hanging")
            for _ in 0..<9 { at = try await host.logs("✓ tick", from: at + 1) }
            #expect(try test.ledger.texts("SELECT state FROM runs WHERE job = 'hung'") == ["running"])
            let since = "(SELECT created_at FROM runs WHERE job = 'hung')"
            let pids = try test.ledger.texts("SELECT DISTINCT pid FROM runs WHERE job = 'tick' AND state = 'succeeded' AND fire_time > \(since)")
            #expect(try !pids.contains(test.ledger.texts("SELECT pid FROM runs WHERE job = 'hung'")[0]), "another worker: \(pids)")
            // Whatever else takes the machine holds up both of the same instant: what the hung run costs is the difference.
            func difference(_ expression: String) throws -> [Int] {
                try test.ledger.texts("""
                    SELECT \(expression) FROM runs t JOIN runs c ON c.job = 'calm' AND c.fire_time = t.fire_time
                    WHERE t.job = 'tick' AND t.state = 'succeeded' AND c.state = 'succeeded' AND t.fire_time > \(since)
                    """).compactMap { Int($0) }.sorted()
            }
            let (own, calm, more) = (
                try difference("t.started_at - t.fire_time"), try difference("c.started_at - c.fire_time"), try difference("t.started_at - c.started_at")
            )
            try #require(own.count >= 7)
            #expect(more[more.count / 2] < 200_000, "µs later than the other plugin's job: \(more)")
            #expect(own[own.count - 1] < calm[calm.count - 1] + 400_000, "µs after their instants: \(own), of the other plugin: \(calm)")
            let unexecuted = "SELECT count(*) FROM runs WHERE job = 'tick' AND fire_time > \(since) AND fire_time < \(Proc.microseconds() - 2_000_000) AND state <> 'succeeded'"
            #expect(try test.ledger.number(unexecuted) == 0)
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE job = 'tick' AND last > \(since)") == 0)
            #expect(try test.ledger.faults(every: ["tick": 500_000]) == [])
        }
    }

    @Test("A crash is recorded with its signal and the last words, and disturbs nothing else")
    func crashes() async throws {
        try await TestHost.with { test in
            try await test.plugin("bad", PluginSource.crashes)
            try await test.plugin("good", PluginSource.succeeds)
            try test.config(
                plugins("bad", "good") + job("fall", "bad", "schedule = \"none\"\nretry = { max_attempts = 1 }")
                    + job("tick", "good", "every = \"1s\""))
            let host = try await test.start()
            let fall = try await test.jobhost("trigger", "fall", "--wait")
            #expect(fall.code == 14, "\(fall.output) \(fall.errors)")
            #expect((fall.output + fall.errors).contains("SIGSEGV"))
            let log = try await test.jobhost("logs", "fall")
            #expect(log.output.contains("about to fall"))
            let at = try await host.logs("✗ fall")
            try await host.logs("✓ tick", from: at)
            let dead = try await test.jobhost("dead", "list")
            #expect(dead.output.contains("fall"))
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            _ = try await test.start()
            let status = try await test.jobhost("status", "--json").output
            #expect(status.contains("\"dead\": 1"), "from the first answer of a new life on: \(status)")
        }
    }

    @Test("Of a run's log what log_level asks for is kept, and all that it prints")
    func logLevel() async throws {
        try await TestHost.with { test in
            try await test.plugin(
                "chatty", PluginSource.entry(
                    """
                    context->log(context, JOB_LOG_DEBUG, JOB_STR("a detail"), JOB_NONE);
                    context->log(context, JOB_LOG_INFO, JOB_STR("as usual"), JOB_NONE);
                    context->log(context, JOB_LOG_WARNING, JOB_STR("look here"), JOB_NONE);
                    puts("printed"); return JOB_SUCCEEDED;
                    """))
            for (level, kept) in [("warning", ["look here", "printed"]), ("debug", ["a detail", "as usual", "look here", "printed"])] {
                try test.config(plugins("chatty") + job("chatty", "chatty", "schedule = \"none\"\nlog_level = \"\(level)\""))
                if level == "warning" { _ = try await test.start() } else { #expect(try await test.jobhost("reload").code == 0) }
                #expect(try await test.jobhost("trigger", "chatty", "--wait").code == 0)
                let log = try await test.jobhost("logs", "chatty").output
                #expect(["a detail", "as usual", "look here", "printed"].filter(log.contains) == kept, "\(log)")
            }
        }
    }

    @Test("The breaker opens after its failures and can be closed by hand")
    func breaker() async throws {
        try await TestHost.with { test in
            try await test.plugin("bad", PluginSource.fails)
            try test.config(
                plugins("bad")
                    + job("broken", "bad", "every = \"1s\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"1h\" }"))
            let host = try await test.start()
            try await host.logs("broken", "breaker opened")
            let shown = try await test.jobhost("show", "broken")
            #expect(shown.output.contains("open"))
            #expect(shown.output.contains("2 failures"))
            let closed = try await test.jobhost("breaker", "broken", "reset", "--reason", "the account is there now")
            #expect(closed.code == 0, "\(closed.errors)")
            let at = try await host.logs("broken", "breaker reset")
            try await host.logs("✗ broken", from: at)
        }
    }

    @Test("cancel: a run that honours it ends cancelled")
    func cancels() async throws {
        try await TestHost.with { test in
            try await test.plugin("slow", PluginSource.waitsForCancel)
            try test.config(plugins("slow") + job("slow", "slow", "schedule = \"none\"\ntimeout = \"10m\""))
            let host = try await test.start()
            try await test.jobhost("trigger", "slow")
            let waiting = Task { try await test.jobhost("cancel", "1", "--reason", "not today") }
            let cancelled = try await waiting.value
            #expect(cancelled.code == 0, "\(cancelled.errors)")
            try await host.logs("slow", "cancelled")
        }
    }

    @Test("enqueue: payload, unique key, and a plain SQL insert from another program")
    func enqueues() async throws {
        try await TestHost.with { test in
            try await test.plugin(
                "mint",
                PluginSource.entry(
                    "context->summary(context, context->payload); return JOB_SUCCEEDED;"))
            try test.config(plugins("mint") + job("mint", "mint", "schedule = \"none\""))
            let host = try await test.start()
            let first = try await test.jobhost("enqueue", "mint", "--payload", #"{"asset":7}"#, "--key", "sale-1", "--delay", "1h")
            #expect(first.code == 0, "\(first.errors)")
            let second = try await test.jobhost("enqueue", "mint", "--payload", #"{"asset":7}"#, "--key", "sale-1")
            #expect(second.code == 0)
            let waiting = try await test.jobhost("runs", "mint", "--json")
            #expect(waiting.output.components("\"unique_key\"") == 1)
            let bad = try await test.jobhost("enqueue", "mint", "--payload", "{nonsense")
            #expect(bad.code == 2, "\(bad.output)")

            try insert(
                "INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '{\"asset\": 8}')", into: test.folder + "/var/jobhost.db")
            try await host.logs("✓ mint", "{\"asset\": 8}")
            #expect(try test.ledger.texts("SELECT generation FROM runs WHERE started_at IS NOT NULL OR state = 'running'") == ["1"], "the config that it ran by")
        }
    }

    @Test("log_format = \"json\": each line of the host's log is an object with instant, level and message, and those of a run name it")
    func logsObjects() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("bad", PluginSource.crashes)
            try test.config("log_format = \"json\"\n" + plugins("good", "bad") + job("well", "good", Toml.once) + job("fall", "bad", Toml.once))
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "well", "--wait").code == 0)
            #expect(try await test.jobhost("trigger", "fall", "--wait").code == 14)
            for run in ["well run 1", "fall run 2"] { try await host.logs(run) }
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            var levels: [String: String] = [:]
            for text in host.errors.all {
                let line = try JSON(parsing: Array(text.utf8))
                #expect(line["time"]?.stringValue?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil, "\(text)")
                #expect(line["message"]?.stringValue?.isEmpty == false, "\(text)")
                let level = try #require(line["level"]?.stringValue, "\(text)")
                #expect(["debug", "info", "warning", "error", "critical"].contains(level), "\(text)")
                for (job, run) in [("well", "1"), ("fall", "2")] where line["message"]?.stringValue?.contains("\(job) run \(run)") == true {
                    #expect(line["job"] == .string(job) && line["run"] == .string(run), "\(text)")
                    levels[job] = level
                }
            }
            #expect(levels == ["well": "info", "fall": "error"])
        }
    }

    @Test("exec: one run in the foreground without a host, the exit code by outcome")
    func executes() async throws {
        try await TestHost.with { test in
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("bad", PluginSource.crashes)
            try test.config(plugins("good", "bad") + job("tick", "good", "every = \"1s\"") + job("fall", "bad", "schedule = \"none\""))
            let good = try await test.jobhost("exec", "tick")
            #expect(good.code == 0, "\(good.output) \(good.errors)")
            #expect((good.output + good.errors).contains("done"))
            let bad = try await test.jobhost("exec", "fall")
            #expect(bad.code == 14, "\(bad.output) \(bad.errors)")
            let unknown = try await test.jobhost("exec", "tikc")
            #expect(unknown.errors.contains("tick"))
            #expect(unknown.code != 0)
        }
    }

    private func insert(_ sql: String, into database: String) throws {
        let connection = try SQLiteConnection(path: database)
        defer { connection.close() }
        try connection.execute(sql)
    }
}

extension String {
    /// The first whole number that JSON gives this name.
    func number(after name: String) -> Int? {
        guard let found = firstRange(of: "\"\(name)\"") else { return nil }
        let rest = self[found.upperBound...].drop { $0 == ":" || $0 == " " }
        return Int(rest.prefix { $0.isNumber })
    }

    /// How often a text occurs.
    func components(_ part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.firstRange(of: part) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}
