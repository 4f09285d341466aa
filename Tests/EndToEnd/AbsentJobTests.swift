import Glibc
import Testing

/// The real binaries: jobs that do not serve or are gone, and runs that wait for somebody.
@Suite("Jobs that are not there, end to end", .timeLimit(.minutes(8))) struct AbsentJobTests {
    private func job(_ name: String, of plugin: String = "p", _ more: String = "schedule = \"none\"") -> String {
        "[jobs.\(name)]\nplugin = \"\(plugin)\"\nentry = \"run\"\n\(more)\n"
    }

    @Test("A job that is refused at the start is a row with its reason, everywhere; what others enqueue for it waits until it is mended")
    func refused() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.picky("ran"))
            let plugin = "[plugins.p]\nlibrary = \"libp.so\"\n"
            let bad = job("spoiled", "schedule = \"none\"\nsettings = { mode = \"bad\" }")
            try test.config(plugin + job("good") + bad + "[plugins.q]\nlibrary = \"libq.so\"\n" + job("gone", of: "q"))
            try test.write("no library", to: "plugins/libq.so")
            let host = try await test.start()
            try await host.logs("serving 1 of 3 jobs, 2 refused")
            let status = try await test.jobhost("status").output
            #expect(status.contains("1 of 3 jobs on"), "\(status)")
            #expect(status.contains("!  spoiled  refused: ") && status.contains("I do not like these settings"), "\(status)")
            #expect(status.contains("!  gone  refused: ") && status.contains("libq.so"), "\(status)")
            let shown = try await test.jobhost("show", "spoiled", "--json")
            #expect(shown.output.contains("\"refused\": \"") && shown.output.contains("I do not like these settings"), "\(shown.output)")
            #expect(try await test.jobhost("show", "spoiled").output.contains("refused: "))
            for verb in [["trigger", "spoiled"], ["enqueue", "spoiled"], ["pause", "spoiled"], ["next", "spoiled"]] {
                let answer = try await test.jobhost(arguments: verb)
                #expect(answer.code == 6, "\(verb): \(answer.errors)")
                #expect(answer.errors.contains("spoiled is refused: ") && answer.errors.contains("I do not like these settings"), "\(verb): \(answer.errors)")
            }
            let explained = try await test.jobhost("explain", "spoiled", "--at", "in 1s").output
            #expect(explained.contains("spoiled at") && explained.contains(": not there"), "\(explained)")
            #expect(explained.contains("It did not serve then: it was refused since"), "\(explained)")

            try test.ledger.execute("INSERT INTO enqueue_inbox (job, payload) VALUES ('spoiled', '{}')")
            let run = try await firstRun(of: "spoiled", test)
            let waiting = try await test.jobhost("show", run).output
            #expect(waiting.contains("it waits: spoiled is refused: "), "\(waiting)")
            let listed = try await test.jobhost("runs", "spoiled").output
            #expect(listed.contains("waits: spoiled is refused"), "\(listed)")

            try test.config(plugin + job("good") + job("spoiled"))
            try await test.jobhost("reload")
            try await host.logs("✓ spoiled run \(run)", "ran with")
        }
    }

    private func firstRun(of job: String, _ test: TestHost) async throws -> String {
        while true {
            if let id = try test.ledger.texts("SELECT id FROM runs WHERE job = '\(job)'").first { return id }
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    @Test("A config that was cut short: warned of before, told after, explained for every job; an empty one is refused")
    func cutShort() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            let plugin = "[plugins.p]\nlibrary = \"libp.so\"\n"
            let jobs = ["a", "b", "c", "d"].map { job($0, "every = \"1s\"") }
            try test.config(plugin + jobs.joined())
            let host = try await test.start()
            try await host.logs("✓ d")
            try test.config(plugin + jobs[0])
            let plan = try await test.jobhost("plan")
            #expect(plan.output.contains("this removes 3 of 4 jobs: if that is not meant, is the config cut short?"), "\(plan.output)")
            host.signal(SIGHUP)
            try await host.logs("generation 2 serves")
            let status = try await test.jobhost("status").output
            #expect(status.contains("3 of 4 jobs were removed by the reload at") && status.contains("b, c, d"), "\(status)")
            let unknown = try await test.jobhost("trigger", "d")
            #expect(unknown.code == 5)
            #expect(unknown.errors.contains("there is no job 'd': the reload at"), "\(unknown.errors)")
            let explained = try await test.jobhost("explain", "d", "--at", "in 1s").output
            #expect(explained.contains("the reload at") && explained.contains("(generation 2) removed it."), "\(explained)")

            try test.config("")
            let empty = try await test.jobhost("reload")
            #expect(empty.code == 4)
            #expect(empty.output.contains("jobs.toml has no jobs, and 1 job would be removed"), "\(empty.output)")
            #expect(empty.output.contains("generation 2 goes on untouched"))

            try test.config(plugin + jobs.joined())
            try await test.jobhost("reload")
            #expect(!(try await test.jobhost("status").output.contains("removed")))
            let between = try await test.jobhost("explain", "d", "--at", try removal(test)).output
            #expect(between.contains("not there") && between.contains("brought it back"), "\(between)")

            try test.config("")
            #expect(try await test.jobhost("reload", "--allow-empty").code == 0)
            #expect(try await test.jobhost("status").output.contains("No jobs yet"))
        }
    }

    /// An instant at which the jobs were out of the config.
    private func removal(_ test: TestHost) throws -> String {
        let at = try test.ledger.number("SELECT at FROM reloads WHERE generation = 2 AND accepted ORDER BY id LIMIT 1")
        return try test.ledger.texts("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', \(at) / 1e6 + 0.001, 'unixepoch')").first ?? ""
    }

    @Test("Jobs that went missing between two lives of the host are told by its start")
    func missingAfterRestart() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            let plugin = "[plugins.p]\nlibrary = \"libp.so\"\n"
            try test.config(plugin + job("a") + job("b") + job("c"))
            let first = try await test.start()
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            try test.config(plugin + job("a"))
            let second = try await test.start()
            try await second.logs("this removes 2 of 3 jobs")
            let status = try await test.jobhost("status").output
            #expect(status.contains("2 of 3 jobs were removed by the reload at"), "\(status)")
            let explained = try await test.jobhost("explain", "c", "--at", "in 1s").output
            #expect(explained.contains("removed it, while the host was not running."), "\(explained)")
        }
    }

    @Test("Runs that died with their host are tried again, or not, by what they were claimed as, where their library is gone")
    func lostWithoutLibrary() async throws {
        try await TestHost.with { test in
            // Never opened.
            let (beacon, _) = (try test.beacon(), try test.gate())
            try await test.plugin("again", PluginSource.waits("done"))
            try await test.plugin("once", PluginSource.waits("done", flags: "0"))
            let retry = "schedule = \"none\"\nretry = { max_attempts = 3 }"
            try test.config(["again", "once"].map { Toml.plugin($0) + Toml.job($0, of: $0, retry) }.joined())
            let first = try await test.start()
            var from = 0
            for job in ["again", "once"] {
                try await test.jobhost("trigger", job)
                from = try await beacon.hears("started", from: from).index + 1
            }
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            for plugin in ["again", "once"] { try test.write("no library", to: "plugins/lib\(plugin).so") }
            // Nor is there a copy that was accepted before.
            let remover = try test.run("/bin/rm", "-rf", "var/plugins")
            #expect(await remover.exitCode() == 0)
            let second = try await test.start()
            try await second.logs("rescue: 2 runs")
            #expect(try test.ledger.texts("SELECT job || ' ' || state || ' ' || outcome FROM runs ORDER BY job") == ["again retryable lost", "once discarded lost"])
        }
    }

    @Test("trigger says at once what the run waits for and what helps; so does show")
    func waits() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config("[plugins.p]\nlibrary = \"libp.so\"\n" + job("j"))
            _ = try await test.start()
            try await test.jobhost("breaker", "j", "open", "--reason", "the chain forks")
            let held = try await test.jobhost("trigger", "j").output
            #expect(held.contains("it waits: the breaker of j is forced open until somebody closes it"), "\(held)")
            #expect(held.contains("the chain forks") && held.contains("What helps: jobhost breaker j close"), "\(held)")
            try await test.jobhost("pause", "j", "--reason", "maintenance")
            let shown = try await test.jobhost("show", "1").output
            #expect(shown.contains("it waits: j is paused since") && shown.contains(": maintenance"), "\(shown)")
            let next = try await test.jobhost("show", "j").output
            #expect(next.contains("next      nothing: paused"), "\(next)")
            try await test.jobhost("resume", "j")
            try await test.jobhost("breaker", "j", "close")
            let delayed = try await test.jobhost("enqueue", "j", "--delay", "1h").output
            #expect(delayed.contains("it waits: it is not to start before") && delayed.contains("(in 59m)") || delayed.contains("(in 1h)"), "\(delayed)")
            try await test.jobhost("disable", "j")
            let off = try await test.jobhost("trigger", "j")
            #expect(off.code == 6)
            #expect(off.errors.contains("j is disabled: switched off by an operator") && off.errors.contains("jobhost enable j"), "\(off.errors)")
        }
    }
}
