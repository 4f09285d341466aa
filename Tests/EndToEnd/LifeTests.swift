import CLinux
import Glibc
import Testing

/// The real binaries: starting, stopping, dying.
@Suite("The host's life, end to end", .timeLimit(.minutes(8))) struct LifeTests {
    private func config(_ keys: String) -> String {
        "[plugins.p]\nlibrary = \"libp.so\"\n[jobs.j]\nplugin = \"p\"\nentry = \"run\"\n\(keys)\n"
    }

    @Test("While a library is being tried at the start, status hears that the host is starting")
    func starting() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            let slow = "\n__attribute__((constructor)) static void load(void) { tell(\"loading\"); wait_gate(); }"
            try await test.plugin("slow", PluginSource.succeeds + slow)
            try test.config(Toml.plugin("slow", "start_timeout = \"90s\"") + Toml.job("j", of: "slow"))
            let host = try test.launch()
            _ = try await beacon.hears("loading")
            var answer = try await test.jobhost("status")
            // The socket is made beside that.
            while answer.code == 3 { answer = try await test.jobhost("status") }
            #expect(answer.code == 8, "\(answer.output)")
            #expect(answer.errors.contains("the host is starting"), "\(answer.errors)")
            try gate.open(50)
            try await host.logs("serving 1 job")
            #expect(try await test.jobhost("status").code == 0)
        }
    }

    @Test("SIGKILL of the host: its workers end by themselves; after the restart the run is lost and tried again")
    func killed() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.waitsForCancel)
            try test.config(config("schedule = \"none\"\ntimeout = \"10m\"\nretry = { max_attempts = 3, initial = \"10ms\" }"))
            let first = try await test.start()
            try await test.jobhost("trigger", "j")
            let worker = try await runningWorker(test)
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            #expect(await ended(worker))
            try await test.plugin("p", PluginSource.says("second life"))
            let second = try await test.start()
            try await second.logs("rescue: 1 runs of an earlier life were lost (1 will be tried again)")
            try await second.logs("✓ j run 1", "second life")
        }
    }

    @Test("SIGKILL of the host: within a second its workers are gone, whatever they do at that moment")
    func killedWithinASecond() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            // Each kind in a process of its own: one computes, one blocks every signal, one waits for its flag, one is idle.
            let kinds = [
                ("computes", "tell(\"busy\"); for (volatile unsigned long i = 0;; i++) {}"),
                ("blocks", "sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); tell(\"busy\"); for (;;) pause();"),
                ("listens", "tell(\"busy\"); while (!context->is_cancelled(context)) sleep(1000); return JOB_CANCELLED;"),
                ("floods", "tell(\"busy\"); for (;;) printf(\"a line like any other\\n\");"),
                ("idle", "tell(\"busy\"); return JOB_SUCCEEDED;"),
            ]
            var text = ""
            for (name, body) in kinds {
                try await test.plugin(name, PluginSource.entry(body))
                text += Toml.plugin(name) + Toml.job(name, of: name, "schedule = \"none\"\ntimeout = \"10m\"")
            }
            try test.config(text)
            let host = try await test.start()
            var (workers, at): ([pid_t], Int) = ([], 0)
            for (name, _) in kinds {
                try await test.jobhost("trigger", name)
                workers.append(try await beacon.pid("busy", from: at))
                at = try await beacon.hears("busy", from: at).index + 1
            }
            try await host.logs("✓ idle")
            #expect(Set(workers).count == kinds.count)
            // A second in steps, each of which takes longer where the machine is busy, as do the workers.
            var steps = 100
            host.signal(SIGKILL)
            for (worker, (name, _)) in zip(workers, kinds) {
                while steps > 0, !Proc.ended(worker, within: 10) { steps -= 1 }
                #expect(Proc.ended(worker, within: 0), "\(name) outlives its host by more than a second")
            }
            #expect(await host.exitCode() == -SIGKILL)
        }
    }

    @Test("SIGKILL of the host under a run that may not be tried again: it is a dead letter, and who is named in [alerts] is told after the restart")
    func killedForGood() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("p", PluginSource.entry("tell(\"paying\"); for (;;) pause();", flags: "0"))
            try test.config(
                config("schedule = \"none\"\ntimeout = \"10m\"\nretry = { max_attempts = 3, initial = \"10ms\" }")
                    + Toml.alertsToBeacon)
            let first = try await test.start()
            try await test.jobhost("trigger", "j")
            _ = try await beacon.pid("paying")
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            let second = try await test.start()
            try await second.logs("rescue: 1 runs of an earlier life were lost (0 will be tried again)")
            try await second.logs("✗ j run 1 lost: the host died while it ran", "dead letter, `jobhost retry 1` runs it again")
            // With the first answer: what began at 0 with each life would seem to rise.
            let metrics = try await test.metrics()
            #expect(metrics[#"jobhost_attempts_total{job_name="j",outcome="lost"}"#] == 1)
            #expect(metrics[#"jobhost_dead_letters{job_name="j"}"#] == 1)
            let message = try await beacon.hears("alert").rest
            #expect(message.contains("\"run_discarded:j\"") && message.contains("run 1 of j is a dead letter: the host died while it ran"), "\(message)")
        }
    }

    @Test("SIGKILL of the host: short runs that it had claimed and not begun wait again; only the one that had begun is lost")
    func killedAheadOfRuns() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            _ = gate
            try await test.plugin("p", PluginSource.entry(
                """
                append(FOLDER "/begun", context->payload.data, context->payload.size);
                if (there(FOLDER "/hang") && asked(context, "hang")) { tell("hanging"); wait_gate(); }
                return JOB_SUCCEEDED;
                """, flags: "0"))
            try test.config(
                "max_workers = 1\n" + Toml.plugin("p")
                    + Toml.job("j", of: "p", "schedule = \"none\"\nconcurrency = 100\nretry = { max_attempts = 5 }\ntimeout = \"10m\""))
            try test.write("", to: "hang")
            let first = try await test.start()
            func enqueue(_ words: some Sequence<String>) throws {
                let rows = words.map { "('j', '\"\($0)\"')" }.joined(separator: ", ")
                try test.ledger.execute("INSERT INTO enqueue_inbox (job, payload) VALUES \(rows)")
            }
            // So that they are known to be short.
            try enqueue((1...50).map { "early \($0)" })
            while try test.ledger.number("SELECT count(*) FROM runs WHERE state = 'succeeded'") < 50 { try Task.checkCancellation() }
            try enqueue(["hang"] + (1...100).map { "late \($0)" })
            _ = try await beacon.hears("hanging")
            let claimed = "SELECT count(*) FROM runs WHERE state = 'running'"
            while try test.ledger.number(claimed) < 20 { try Task.checkCancellation() }
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            let ahead = try test.ledger.number(claimed)

            let second = try await test.start()
            try await second.logs("rescue: 1 runs of an earlier life were lost (0 will be tried again), \(ahead - 1) claims given back")
            while try test.ledger.number("SELECT count(*) FROM runs WHERE state = 'succeeded'") < 150 { try Task.checkCancellation() }
            #expect(try test.ledger.texts("SELECT payload FROM runs WHERE state = 'discarded'") == ["\"hang\""])
            #expect(try test.ledger.number("SELECT max(attempt) FROM runs") == 1)
            let begun = Proc.text(of: test.folder + "/begun")?.split(separator: "\n") ?? []
            #expect(begun.count == 151 && Set(begun).count == 151)
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(Proc.names(in: test.folder + "/var/slates") == [])
        }
    }

    @Test("SIGKILL of the host: what its plugins have started ends too, in whatever session it hides")
    func killedWithChildren() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("p", PluginSource.entry(
                """
                if (fork() == 0) {
                    setsid();
                    if (fork() == 0) { tell("grandchild"); for (;;) pause(); }
                    tell("child"); for (;;) pause();
                }
                for (;;) pause();
                """))
            try test.config(config("schedule = \"none\"\ntimeout = \"10m\""))
            let host = try await test.start()
            try await test.jobhost("trigger", "j")
            let child = try await beacon.pid("child")
            let grandchild = try await beacon.pid("grandchild")
            host.signal(SIGKILL)
            #expect(await host.exitCode() == -SIGKILL)
            #expect(Proc.ended(child))
            #expect(Proc.ended(grandchild))
        }
    }

    @Test("SIGTERM drains: the run finishes, nothing new starts, exit code 0")
    func drains() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("p", PluginSource.waits("finished"))
            try test.config(config("every = \"1s\"\ntimeout = \"10m\""), grace: "60s")
            let host = try await test.start()
            _ = try await beacon.hears("started")
            host.signal(SIGTERM)
            let at = try await host.logs("stopping (SIGTERM): 1 run may finish")
            try gate.open()
            #expect(await host.exitCode() == 0)
            try await host.logs("✓ j", "finished", from: at)
            #expect(beacon.lines.all.count == 1)
            #expect(host.errors.all.last?.contains("stopped") == true, "\(host.errors.all)")
        }
    }

    @Test("A second SIGTERM kills what still runs")
    func killsOnSecond() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.hangs)
            // So long that nothing but the second signal ends it.
            try test.config("[defaults]\ntimeout = \"10m\"\n" + config("schedule = \"none\""), grace: "10m")
            let host = try await test.start()
            try await test.jobhost("trigger", "j")
            let worker = try await runningWorker(test)
            host.signal(SIGTERM)
            try await host.logs("stopping")
            // Longer than what counts as one wish delivered twice.
            let later = ContinuousClock.now + .milliseconds(150)
            repeat { try await test.jobhost("status") } while ContinuousClock.now < later
            host.signal(SIGINT)
            #expect(await host.exitCode() == 0)
            #expect(await ended(worker))
            let stops = try test.ledger.texts("SELECT actor || ' by ' || via || ': ' || action || ', ' || detail FROM audit WHERE action = 'stop' ORDER BY id")
            #expect(stops == [
                "SIGTERM by signal: stop, 1 run may finish within 10m", "SIGINT by signal: stop, asked again: what still runs is killed",
            ])
        }
    }

    @Test("A second host on the same state folder says who holds it")
    func oneHost() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("every = \"1s\""))
            let host = try await test.start()
            let second = try await test.jobhost("run", "--config", "jobs.toml")
            #expect(second.code == 6)
            #expect(second.errors.contains("\(host.pid)"), "\(second.errors)")
        }
    }

    @Test("A second host on the same store, with a state folder of its own, leaves the first one's workers and runs alone")
    func oneHostForEachStore() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            let shared = config("every = \"1s\"") + "\n[store]\nurl = \"sqlite:\(test.folder)/var/jobhost.db\"\n"
            try test.config(shared)
            let host = try await test.start()
            try test.write("[host]\nname = \"test\"\nstate_dir = \"var2\"\n" + shared, to: "other.toml")
            let second = try await test.jobhost("run", "--config", "other.toml")
            #expect(second.code == 6)
            #expect(second.errors.contains("the store \(test.folder)/var/jobhost.db is in use by a running host (pid \(host.pid))"), "\(second.errors)")
            #expect(!second.errors.contains("killed"), "\(second.errors)")
        }
    }

    @Test("No host: a clear sentence and exit code 3")
    func noHost() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("every = \"1s\""))
            let status = try await test.jobhost("status")
            #expect(status.code == 3)
            #expect(status.errors.contains("not running"), "\(status.errors)")
        }
    }

    @Test("SIGUSR1 reopens the log file after it was renamed")
    func reopensLog() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.write(
                "[host]\nname = \"test\"\nlog_file = \"host.log\"\n" + config("schedule = \"none\""), to: "jobs.toml")
            let host = try test.launch()
            while try await test.jobhost("status").code != 0 { try Task.checkCancellation() }
            rename(test.folder + "/host.log", test.folder + "/host.log.1")
            host.signal(SIGUSR1)
            while access(test.folder + "/host.log", F_OK) != 0 {
                try Task.checkCancellation()
                _ = try await test.jobhost("status")
            }
            let old = try await test.jobhost("trigger", "j", "--wait")
            #expect(old.code == 0)
        }
    }

    /// What `Type=notify-reload` waits for: RELOADING with the instant by the monotonic clock, not before the signal, and
    /// then READY, whatever became of the reload. Returns the line after it.
    private func expectReload(_ host: Child, _ socket: NotifySocket, from: Int) async throws -> Int {
        let before = Proc.microseconds(CLOCK_MONOTONIC)
        host.signal(SIGHUP)
        let (reloading, _) = try #require(await socket.messages.next(from: from) { $0 == "RELOADING=1" })
        let (at, line) = try #require(await socket.messages.next(from: reloading + 1) { $0.hasPrefix("MONOTONIC_USEC=") || $0 == "READY=1" })
        let told = Int(line.dropFirst("MONOTONIC_USEC=".count))
        #expect(told.map { (before...Proc.microseconds(CLOCK_MONOTONIC)).contains($0) } == true, "\(line), \(before) before")
        return try #require(await socket.messages.next(from: at + 1) { $0 == "READY=1" }).index + 1
    }

    @Test("systemd is told READY, RELOADING and READY again, also after a refused reload, STOPPING")
    func notifies() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("every = \"1s\""))
            let socket = try NotifySocket(path: test.folder + "/notify")
            let host = try await test.start(["NOTIFY_SOCKET": test.folder + "/notify", "WATCHDOG_USEC": "200000"])
            let (ready, _) = try #require(await socket.messages.next { $0 == "READY=1" })
            #expect(await socket.messages.next { $0.contains("WATCHDOG=1") } != nil)
            let again = try await expectReload(host, socket, from: ready + 1)
            try test.config("[jobs.half\n")
            _ = try await expectReload(host, socket, from: again)
            try await host.logs("refused")
            host.signal(SIGTERM)
            #expect(await socket.messages.next { $0.contains("STOPPING=1") } != nil)
            #expect(await host.exitCode() == 0)
            socket.end()
        }
    }

    /// The pid of the worker that executes the job's run.
    private func runningWorker(_ test: TestHost) async throws -> pid_t {
        while true {
            let answer = try await test.jobhost("show", "j", "--json")
            if let pid = answer.output.number(after: "pid"), pid > 0 { return pid_t(pid) }
            try Task.checkCancellation()
        }
    }

    /// Waits for the end of a process that is no child of ours.
    private func ended(_ pid: pid_t) async -> Bool {
        let handle = cl_pidfd_open(pid)
        guard handle >= 0 else { return errno == ESRCH }
        defer { close(handle) }
        var watched = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, 2_000) == 1
    }
}
