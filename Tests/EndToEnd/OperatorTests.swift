import Glibc
import Testing

/// The real binaries: what somebody sees and is told who is called in the night.
@Suite("An operator, end to end", .timeLimit(.minutes(8))) struct OperatorTests {
    private func config(_ jobs: String...) -> String {
        "[plugins.p]\nlibrary = \"libp.so\"\n"
            + jobs.map { "[jobs.\($0)]\nplugin = \"p\"\nentry = \"run\"\nschedule = \"none\"\nretry = { max_attempts = 1 }\n" }.joined()
    }

    @Test("A run under way tells how far it is; cancelled, who did that and why; retried, as which run")
    func followsARun() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("p", PluginSource.entry(
                """
                context->progress(context, 30, 120, JOB_STR("accounts"));
                tell("started");
                struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
                while (!context->is_cancelled(context)) poll(&stop, 1, 1000);
                return JOB_CANCELLED;
                """, flags: "JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE"))
            try test.config(config("j"))
            let host = try await test.start()
            try await test.jobhost("trigger", "j")
            let worker = try await beacon.pid("started")
            let running = try await test.jobhost("show", "1")
            #expect(running.output.contains("run 1 of j  running"), "\(running.output)")
            #expect(running.output.contains("worker           pid \(worker)"), "\(running.output)")
            #expect(running.output.contains("30 of 120 (25%) accounts"), "\(running.output)")
            try await test.jobhost("cancel", "1", "--reason", "wrong day")
            try await host.logs("j run 1", "cancelled by", ": wrong day")
            try await test.jobhost("retry", "1")
            let ended = try await test.jobhost("show", "1")
            #expect(ended.output.contains(": wrong day"), "\(ended.output)")
            #expect(ended.output.contains("retried as       run 2"), "\(ended.output)")
            let audit = try await test.jobhost("audit", "j")
            #expect(audit.output.split(separator: "\n").map { $0.contains("wrong day") } == [false, false, true, false], "\(audit.output)")
        }
    }

    @Test("The log says regularly that the host is alive, from a reload on as often as its config says")
    func heartbeat() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            let jobs = Toml.plugin("p") + Toml.job("j", of: "p", Toml.once)
            try test.config("heartbeat = \"1s\"\n" + jobs)
            let host = try await test.start()
            try await host.logs("alive: 1 job, 0 running, 0 waiting, generation 1; in 1s 0 attempts ended")
            #expect(try await test.jobhost("trigger", "j", "--wait").code == 0)
            try await host.logs("alive: ", "s 1 attempt ended")
            try test.config("heartbeat = \"none\"\n" + jobs)
            #expect(try await test.jobhost("reload").code == 0)
            let quiet = try await host.logs("generation 2 serves")
            // Longer than it was before, by what the host itself does each second or two.
            for _ in 0..<3 {
                #expect(try await test.jobhost("trigger", "j", "--wait").code == 0)
                let ended = try test.ledger.number("SELECT max(finished_at) FROM runs")
                while Int(time(nil)) * 1_000_000 <= ended + 1_000_000 { try await test.jobhost("status") }
            }
            #expect(host.errors.all.dropFirst(quiet).filter { $0.contains("alive: ") } == [])
        }
    }

    @Test("explain says who paused and why, and still knows what was skipped when the schedule is another one")
    func explainsAfterAnEdit() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(Toml.plugin("p") + Toml.job("j", of: "p", "every = \"1s\""))
            let host = try await test.start()
            try await host.logs("✓ j")
            try await test.jobhost("pause", "j", "--reason", "the exchange is closed")
            let cursor = try test.ledger.number("SELECT cursor FROM job_states WHERE job = 'j'")
            // A fire later than what had been claimed when the pause began.
            while Int(time(nil)) * 1_000_000 < cursor + 2_000_000 { try await test.jobhost("status") }
            try await test.jobhost("resume", "j")
            let skipped = "SELECT first FROM ledger_ranges WHERE job = 'j' AND reason = 'paused'"
            while try test.ledger.number(skipped) == 0 { try Task.checkCancellation() }
            let instant = try test.ledger.texts(skipped.replacing("SELECT first", with: "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', first / 1000000, 'unixepoch')"))[0]
            let before = try await test.jobhost("explain", "j", "--at", instant).output
            #expect(before.contains("was paused: since ") && before.contains(": the exchange is closed."), "\(before)")
            try test.config(Toml.plugin("p") + Toml.job("j", of: "p", "cron = \"0 0 3 29 2 *\""))
            #expect(try await test.jobhost("reload").code == 0)
            let after = try await test.jobhost("explain", "j", "--at", instant).output
            #expect(after.contains("skipped") && after.contains(": the exchange is closed."), "\(after)")
            #expect(after.contains("Generation 2, at ") && after.contains("changed the job since. By today's rule:"), "\(after)")
        }
    }

    @Test("explain knows of a fire that a pause has refused before the ledger does")
    func refusedJustNow() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(Toml.plugin("p") + Toml.job("j", of: "p", "every = \"1s\""))
            _ = try await test.start()
            try await test.jobhost("pause", "j", "--reason", "deploy")
            // Later than what may have been claimed when the pause began.
            let fire = try test.ledger.texts("SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '+4 seconds')").first ?? ""
            var explained = ""
            repeat { explained = try await test.jobhost("explain", "j", "--at", fire, "--json").output } while explained.contains("\"future\"")
            #expect(explained.contains("\"skipped\"") && explained.contains("paused"), "\(explained)")
        }
    }

    @Test("explain finds a run of a job without fire times by its instant, and says what keeps one waiting")
    func explainsWithoutFireTimes() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("j"))
            _ = try await test.start()
            let before = try await test.jobhost("explain", "j", "--at", "now")
            #expect(before.output.contains("not due") && !before.output.contains("Run "), "\(before.output)")
            try await test.jobhost("trigger", "j", "--wait")
            let shown = try await test.jobhost("show", "1", "--json").output
            let due = try #require(shown.components(after: "\"fire_time\": \"").first)
            let exact = try await test.jobhost("explain", "j", "--at", due)
            #expect(exact.output.contains("Run 1 (manual), due \(due), ended succeeded"), "\(exact.output)")
            let later = try await test.jobhost("explain", "j", "--at", "now")
            #expect(later.output.contains("Run 1 (manual)"), "\(later.output)")
            try await test.jobhost("pause", "j")
            try await test.jobhost("enqueue", "j")
            let waiting = try await test.jobhost("explain", "j", "--at", "now")
            #expect(waiting.output.contains("waiting"), "\(waiting.output)")
            #expect(waiting.output.contains("It waits: j is paused since"), "\(waiting.output)")
        }
    }

    @Test("A run whose worker does not start is not said to run")
    func cannotStart() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("j"))
            let worker = test.folder + "/worker"
            let copy = try Child("/bin/cp", [TestHost.binaries + "/jobhost-worker", worker], environment: [:], folder: "/")
            #expect(await copy.exitCode() == 0)
            let host = try await test.start(["JOBHOST_WORKER": worker])
            unlink(worker)
            try await test.jobhost("trigger", "j")
            try await host.logs("pool p:")
            let status = try await test.jobhost("status")
            #expect(status.output.contains("cannot start"), "\(status.output)")
            #expect(status.output.contains("!  j  run 1 cannot start: "), "\(status.output)")
            #expect(!status.output.contains("running for"))
        }
    }

    @Test("What cannot be done is refused in a sentence", arguments: [
        (["backfill", "j", "--from", "now", "--to", "in 1h"], 2, "the range ends in the future"),
        (["enqueue", "k"], 5, "there is no job 'k'"), (["explain", "jj", "--at", "now"], 5, "did you mean 'j'?"),
        (["exec", "jj"], 5, "did you mean 'j'?"), (["audit", "jj"], 5, "did you mean 'j'?"),
        (["logs", "jj"], 5, "did you mean 'j'?"), (["doctor", "jj"], 5, "did you mean 'j'?"),
    ] as [([String], Int32, String)])
    func refuses(_ arguments: [String], _ code: Int32, _ sentence: String) async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("j"))
            _ = try await test.start()
            let answer = try await test.jobhost(arguments: arguments)
            #expect(answer.code == code, "\(answer.errors)")
            #expect(answer.errors.contains(sentence), "\(answer.errors)")
        }
    }

    @Test("While the host stops, trigger is refused and says what to do; enqueue waits for the next start")
    func stopping() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            let gate = try test.gate()
            try await test.plugin("p", PluginSource.waits("finished"))
            try test.config(config("j", "other"))
            let host = try await test.start()
            try await test.jobhost("trigger", "j")
            _ = try await beacon.pid("started")
            host.signal(SIGTERM)
            try await host.logs("stopping")
            let refused = try await test.jobhost("trigger", "other")
            #expect(refused.code == 8)
            #expect(refused.errors == "the host is stopping and starts nothing new\n  to run it after the next start: jobhost enqueue other")
            let queued = try await test.jobhost("enqueue", "other")
            #expect(queued.code == 0, "\(queued.errors)")
            try gate.open()
            #expect(await host.exitCode() == 0)
        }
    }

    @Test("exec: a bad --set is blamed on the command line")
    func blamesTheArgument() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.entry(
                "return JOB_SUCCEEDED;",
                members: #".settings_schema = JOB_STR_INIT("{\"type\":\"object\",\"properties\":{\"batch\":{\"type\":\"integer\"}}}"),"#))
            try test.config(config("j"))
            let bad = try await test.jobhost("exec", "j", "--set", "batch=many")
            #expect(bad.code == 2)
            #expect(bad.errors.hasPrefix("--set batch=many: settings of job 'j': 'batch' must be"), "\(bad.errors)")
            #expect(try await test.jobhost("exec", "j", "--set", "batch=7").code == 0)
        }
    }

    @Test("exec: Ctrl-C asks the run to stop and exits as cancelled; a second one kills a run that does not listen")
    func interrupts() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("p", PluginSource.entry(
                """
                tell("started");
                struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
                while (asked(context, "deaf") || !context->is_cancelled(context)) poll(&stop, 1, 1000);
                return JOB_CANCELLED;
                """, flags: "JOB_ENTRY_CANCELLABLE"))
            try test.config(config("j"))
            let polite = try test.foreground("exec", "j")
            let first = try await beacon.hears("started")
            polite.signal(SIGINT)
            #expect(await polite.exitCode() == 12)
            #expect(polite.output.all.last?.hasSuffix("cancelled by Ctrl-C") == true, "\(polite.output.all)")
            let deaf = try test.foreground("exec", "j", "--payload", #"{"be": "deaf"}"#)
            let worker = try await beacon.pid("started", from: first.index + 1)
            deaf.signal(SIGINT)
            #expect(await deaf.output.next { $0.contains("asked to stop; once more kills it") } != nil)
            deaf.signal(SIGINT)
            #expect(await deaf.exitCode() == 12)
            #expect(Proc.ended(worker))
        }
    }

    @Test("trigger --wait: Ctrl-C ends the waiting, and says how to see the run that goes on")
    func givesUpWaiting() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("p", PluginSource.waits("finished"))
            try test.config(config("j"))
            let host = try await test.start()
            let waiting = try test.foreground("trigger", "j", "--wait")
            _ = try await beacon.hears("started")
            waiting.signal(SIGINT)
            #expect(await waiting.exitCode() == 7)
            #expect(waiting.errors.all == [
                "no longer waiting: run 1 of j goes on", "  what becomes of it: jobhost show 1; end it: jobhost cancel 1",
            ])
            try gate.open()
            try await host.logs("✓ j run 1", "finished")
        }
    }

    @Test("status --watch gives the terminal its echo back, whatever ends it", arguments: [SIGTERM, SIGHUP, SIGINT, SIGQUIT])
    func restoresTheTerminal(_ number: Int32) async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("j"))
            _ = try await test.start()
            let terminal = try Terminal()
            defer { terminal.close() }
            #expect(terminal.echoes)
            let shell = try test.command("/bin/sh", "-c", "exec \"$0\" status --watch <\"$1\" >\"$1\" 2>&1", TestHost.binaries + "/jobhost", terminal.path)
            while terminal.echoes {
                try Task.checkCancellation()
                terminal.drain()
                await Task.yield()
            }
            shell.signal(number)
            #expect(await shell.exitCode() == -number)
            #expect(terminal.echoes)
        }
    }

    @Test("status --watch ends when nobody reads it any more")
    func endsWithItsReader() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("j"))
            _ = try await test.start()
            let shell = try test.command("/bin/sh", "-c", "\"$0\" status --watch --json | head -1 | wc -l", TestHost.binaries + "/jobhost")
            #expect(await shell.exitCode() == 0)
            #expect(shell.output.all.map { $0.filter { $0 != " " } } == ["1"])
        }
    }

    @Test("doctor says whether a host runs, what waits for somebody, and leaves an older store as it is")
    func doctorLooksAtTheStore() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.fails)
            try test.config(config("j"))
            let host = try await test.start()
            try await test.jobhost("trigger", "j", "--wait")
            try await test.jobhost("breaker", "j", "open", "--reason", "the chain forks")
            let beside = try await test.jobhost("doctor").output
            #expect(beside.contains("a host runs here, pid \(host.pid)"), "\(beside)")
            #expect(beside.contains("j's is open until somebody closes it: by") && beside.contains("the chain forks"), "\(beside)")
            #expect(beside.contains("1 of j. See: jobhost dead list"), "\(beside)")
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            #expect(try await test.jobhost("doctor").output.contains("no host runs here"))
            try test.ledger.execute("PRAGMA user_version = 1")
            let older = try await test.jobhost("doctor").output
            #expect(older.contains("format 1, this program's is"), "\(older)")
            #expect(try test.ledger.number("PRAGMA user_version") == 1)
            let copies = Proc.names(in: test.folder + "/var/plugins")
            #expect(!copies.isEmpty)
        }
    }

    @Test("doctor of a job speaks of its plugin only, and finds the worker")
    func doctor() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try await test.plugin("q", PluginSource.succeeds)
            try test.config(config("j") + "[plugins.q]\nlibrary = \"libq.so\"\n[jobs.k]\nplugin = \"q\"\nentry = \"run\"\nschedule = \"none\"\n")
            let answer = try await test.jobhost("doctor", "j")
            #expect(answer.code == 0, "\(answer.output)")
            #expect(answer.output.contains("jobhost-worker, version "), "\(answer.output)")
            #expect(answer.output.contains("plugin p"))
            #expect(!answer.output.contains("plugin q"))
        }
    }

    @Test("doctor of a job asks its plugin: findings, a crash and a hang are findings, and the exit code tells")
    func pluginDoctor() async throws {
        try await TestHost.with { test in
            func doctor(_ body: String) -> String {
                PluginSource.entry(
                    "return JOB_SUCCEEDED;",
                    globals: """
                        static int32_t doctor(void *instance, const job_context *context, const job_findings *findings) {
                            (void)instance; (void)context;
                            \(body)
                            return JOB_SUCCEEDED;
                        }
                        """, members: ".doctor = doctor,")
            }
            let tells = #"findings->add(findings, JOB_FINDING_WARNING, JOB_STR("trades"), JOB_STR("none since 02:00; is the feed up?"));"#
            try await test.plugin("p", doctor(tells))
            try test.config(config("j"))
            let warned = try await test.jobhost("doctor", "j")
            #expect(warned.code == 0, "\(warned.output)")
            #expect(warned.output.contains("j trades") && warned.output.contains("none since 02:00; is the feed up?"), "\(warned.output)")
            #expect(try await !test.jobhost("doctor").output.contains("j trades"))

            try await test.plugin("p", doctor(tells + #"fprintf(stderr, "about to fall\n"); *(volatile int *)8 = 1;"#))
            let crashed = try await test.jobhost("doctor", "j")
            #expect(crashed.code == 1)
            #expect(crashed.output.contains("none since 02:00"), "\(crashed.output)")
            let fall = "its plugin's checks did not end well: exited by signal 11 (SIGSEGV) while it looked at the job; it printed: about to fall"
            #expect(crashed.output.contains(fall), "\(crashed.output)")
            let json = try await test.jobhost("doctor", "j", "--json")
            #expect(json.code == 1 && json.output.contains("\"j trades\"") && json.output.contains(fall), "\(json.output)")

            try await test.plugin("p", doctor("for (;;) pause();"))
            let hanging = try await test.jobhost("doctor", "j", "--timeout", "100ms")
            #expect(hanging.code == 1)
            #expect(hanging.output.contains("not done within 100ms"), "\(hanging.output)")
        }
    }

    @Test("Fires that did not run stand among the runs, with count and reason")
    func ranges() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config("[plugins.p]\nlibrary = \"libp.so\"\n[jobs.j]\nplugin = \"p\"\nentry = \"run\"\nevery = \"1s\"\n")
            let host = try await test.start()
            try await host.logs("✓ j")
            let paused = try await test.jobhost("pause", "j")
            #expect(paused.code == 0)
            var shown = ""
            while !shown.contains("skipped"), !Task.isCancelled { shown = try await test.jobhost("runs", "j").output }
            try await test.jobhost("resume", "j")
            let at = host.errors.all.count
            try await host.logs("✓ j", from: at)
            let lines = try await test.jobhost("runs", "j").output.split(separator: "\n").dropFirst().map(String.init)
            let skipped = try #require(lines.firstIndex { $0.contains("skipped") && $0.contains("paused") })
            #expect(lines[..<skipped].contains { $0.contains("succeeded") }, "\(lines)")
            #expect(lines[skipped...].contains { $0.contains("succeeded") }, "\(lines)")
            let detail = try await test.jobhost("show", "j")
            #expect(detail.output.contains("skipped") && detail.output.contains("paused"), "\(detail.output)")
        }
    }
}

extension String {
    /// What stands between each `mark` and the next quotation mark.
    fileprivate func components(after mark: String) -> [String] {
        split(separator: mark).dropFirst().map { String($0.prefix { $0 != "\"" }) }
    }
}
