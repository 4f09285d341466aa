import Glibc
import Testing

/// The real binaries: the breaker over restarts, reloads and operators.
@Suite("The breaker, end to end", .timeLimit(.minutes(8))) struct BreakerTests {
    /// Fails while the file `down` is there.
    private let shaky = PluginSource.entry(
        "if (!there(FOLDER \"/down\")) return JOB_SUCCEEDED; if (there(FOLDER \"/crash\")) abort(); context->fail(context, 1, JOB_STR(\"down\")); return JOB_FAILED;")

    private func config(_ openFor: String) -> String {
        Toml.plugin("shaky")
            + Toml.job("shaky", of: "shaky", "every = \"100ms\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"\(openFor)\", successes = 2 }")
    }

    @Test("Open over a restart: the probe's time stays; fires meanwhile are one range; nothing is lost")
    func restart() async throws {
        try await TestHost.with { test in
            try await test.plugin("shaky", shaky)
            try test.config(config("1h"))
            try test.write("", to: "down")
            let first = try await test.start()
            let opened = try await first.logs("shaky", "breaker opened until")
            #expect(first.errors.all[opened].contains("2 failures in a row, the last: failed: down"), "\(first.errors.all[opened])")
            let until = try #require(first.errors.all[opened].split(separator: " ").drop { $0 != "until" }.dropFirst().first).dropLast()
            first.signal(SIGTERM)
            #expect(await first.exitCode() == 0)
            let second = try await test.start()
            let shown = try await test.jobhost("show", "shaky", "--json")
            #expect(shown.output.contains("the last: failed: down"), "\(shown.output)")
            #expect(shown.output.contains("\"open\"") && shown.output.contains(until.prefix(19)), "\(until): \(shown.output)")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults(every: ["shaky": 100_000]) == [])
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE attempt > 0 AND state = 'discarded'") == 2)
            #expect(try test.ledger.texts("SELECT action || ' by ' || actor || ': ' || detail FROM audit WHERE job = 'shaky'").map {
                $0.hasPrefix("breaker open by host: breaker opened until \(until)") && $0.hasSuffix("the last: failed: down, by run 2")
            } == [true])
        }
    }

    /// The end of an opening as the store has it, since the epoch, in microseconds.
    private func openUntil(_ test: TestHost) throws -> Int {
        let row = try test.ledger.texts("SELECT data FROM breakers WHERE job = 'mint'").first ?? ""
        let fields = row.split(separator: "|", omittingEmptySubsequences: false)
        try #require(fields.count > 2 && fields[1] == "open", "\(row)")
        return try #require(Int(fields[2]))
    }

    @Test("An opening ends by itself: what was enqueued meanwhile waits until then, goes on with one probe, and runs once that has succeeded")
    func waitingResumes() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("mint", PluginSource.entry(
                """
                if (asked(context, "bad")) { context->fail(context, 1, JOB_STR("down")); return JOB_FAILED; }
                if (asked(context, "first")) { tell("probing"); wait_gate(); }
                context->summary(context, context->payload);
                return JOB_SUCCEEDED;
                """))
            try test.config(
                Toml.plugin("mint")
                    + Toml.job("mint", of: "mint", "schedule = \"none\"\nconcurrency = 3\nretry = { max_attempts = 1 }\nbreaker = { failures = 1, open_for = \"2s\", successes = 1 }"))
            let host = try await test.start()
            #expect(try await test.jobhost("enqueue", "mint", "--payload", "\"bad\"").code == 0)
            try await host.logs("mint", "breaker opened until")
            let until = try openUntil(test)
            for payload in ["first", "second", "third", "fourth"] { try await test.jobhost("enqueue", "mint", "--payload", "\"\(payload)\"") }
            _ = try await beacon.hears("probing")
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE attempt > 0") == 2, "one probe at a time")
            try gate.open()
            let closed = try await host.logs("mint", "breaker closed")
            for payload in ["second", "third", "fourth"] { try await host.logs("✓ mint", payload, from: closed) }
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let early = """
                SELECT count(*) FROM runs WHERE attempt > 0 AND payload NOT LIKE '%bad%' AND payload NOT LIKE '%first%'
                AND started_at < (SELECT finished_at FROM runs WHERE payload LIKE '%first%')
                """
            #expect(try test.ledger.number(early) == 0)
            #expect(try test.ledger.number("SELECT started_at FROM runs WHERE payload LIKE '%first%'") >= until)
            #expect(try test.ledger.texts("SELECT state || ' ' || attempt FROM runs ORDER BY id") == ["discarded 1"] + Array(repeating: "succeeded 1", count: 4))
            #expect(try test.ledger.faults() == [])
        }
    }

    @Test("Open over a restart: the probe comes at the instant that was set before, not earlier and not later", arguments: [SIGTERM, SIGKILL])
    func probeTime(ending: Int32) async throws {
        try await TestHost.with { test in
            let clock = try await ClockShift(test)
            try await test.plugin("mint", PluginSource.entry(
                "if (asked(context, \"bad\")) { context->fail(context, 1, JOB_STR(\"down\")); return JOB_FAILED; } return JOB_SUCCEEDED;"))
            try test.config(
                Toml.plugin("mint")
                    + Toml.job("mint", of: "mint", "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 1, open_for = \"1h\", successes = 1 }"))
            let first = try await test.start(clock.environment)
            try await test.jobhost("enqueue", "mint", "--payload", "\"bad\"")
            try await first.logs("mint", "breaker opened until")
            let until = try openUntil(test)
            try await test.jobhost("enqueue", "mint", "--payload", "\"waits\"")
            first.signal(ending)
            #expect(await first.exitCode() == (ending == SIGTERM ? 0 : -SIGKILL))
            // All of the hour but its last seconds passes without a host: counted from the start, it would end in an hour.
            clock.set(Int64(until - Proc.microseconds()) / 1_000_000 - 4)
            let second = try await test.start(clock.environment)
            try await second.logs("mint", "breaker closed")
            let began = try test.ledger.number("SELECT started_at FROM runs WHERE payload LIKE '%waits%'")
            #expect((until..<until + 60_000_000).contains(began), "it began \(began - until) µs after the instant")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
            #expect(try test.ledger.faults() == [])
        }
    }

    @Test("Half-open: probes that fail and crash open it again, then two that succeed close it")
    func probes() async throws {
        try await TestHost.with { test in
            try await test.plugin("shaky", shaky)
            try test.config(config("300ms"))
            try test.write("", to: "down")
            let host = try await test.start()
            var at = try await host.logs("shaky", "breaker opened until")
            at = try await host.logs("shaky", "breaker opened until", from: at + 1)
            try test.write("", to: "crash")
            at = try await host.logs("✗ shaky", "crashed", "SIGABRT", from: at + 1)
            at = try await host.logs("shaky", "breaker opened until", from: at)
            unlink(test.folder + "/down")
            at = try await host.logs("shaky", "breaker closed", from: at + 1)
            try await host.logs("✓ shaky", from: at)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let moves = try test.ledger.texts("SELECT action FROM audit WHERE job = 'shaky' AND actor = 'host' ORDER BY id")
            #expect(moves.count >= 4 && moves.last == "breaker close" && moves.dropLast().allSatisfy { $0 == "breaker open" }, "\(moves)")
            #expect(try test.ledger.faults(every: ["shaky": 100_000]) == [])
            #expect(try test.ledger.number("SELECT count(*) FROM ledger_ranges WHERE reason = 'breaker'") >= 1)
        }
    }

    @Test("A probe that times out, is cancelled, or is removed with its job gives its permit back: the next one comes")
    func permits() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("shaky", PluginSource.entry(
                """
                if (there(FOLDER "/down")) { context->fail(context, 1, JOB_STR("down")); return JOB_FAILED; }
                if (!there(FOLDER "/hang")) return JOB_SUCCEEDED;
                struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
                char word[64];
                snprintf(word, sizeof word, "probe %lld", (long long)context->run_id);
                tell(word);
                while (!context->is_cancelled(context)) poll(&stop, 1, 1000);
                return JOB_CANCELLED;
                """, flags: "JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE"))
            try await test.plugin("good", PluginSource.succeeds)
            let rest = Toml.plugin("good") + Toml.job("good", of: "good")
            func config(timeout: String) -> String {
                rest + Toml.plugin("shaky")
                    + Toml.job("shaky", of: "shaky", "every = \"100ms\"\ntimeout = \"\(timeout)\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"300ms\", successes = 1 }")
            }
            try test.write("", to: "down")
            try test.config(config(timeout: "300ms"))
            let host = try await test.start()
            try await host.logs("shaky", "breaker opened until")
            try test.write("", to: "hang")
            unlink(test.folder + "/down")

            var said = try await beacon.hears("probe").index
            try await host.logs("✗ shaky", "timed_out")
            said = try await beacon.hears("probe", from: said + 1).index

            try test.config(config(timeout: "10m"))
            #expect(try await test.jobhost("reload").code == 0)
            // The one under way may still have the short limit, and end by it.
            while true {
                let (index, rest) = try await beacon.hears("probe", from: said)
                said = index + 1
                if try await test.jobhost("cancel", String(rest.split(separator: " ")[0])).code == 0,
                    try test.ledger.number("SELECT count(*) FROM runs WHERE outcome = 'cancelled'") >= 1 { break }
            }
            _ = try await beacon.hears("probe", from: said)

            try test.config(rest, grace: "200ms")
            #expect(try await test.jobhost("reload").code == 0)
            try await host.logs("shaky", "lost")
            unlink(test.folder + "/hang")
            try test.config(config(timeout: "10m"))
            #expect(try await test.jobhost("reload").code == 0)
            try await host.logs("shaky", "breaker closed")
            try await host.logs("✓ shaky")
        }
    }

    @Test("A failure that began before the breaker was closed by hand does not open it again")
    func lateResult() async throws {
        try await TestHost.with { test in
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("shaky", PluginSource.entry(
                """
                if (asked(context, "slow")) { tell("started"); wait_gate(); }
                if (asked(context, "well")) return JOB_SUCCEEDED;
                context->fail(context, 1, JOB_STR("down"));
                return JOB_FAILED;
                """))
            try test.config(
                Toml.plugin("shaky")
                    + Toml.job("shaky", of: "shaky", "schedule = \"none\"\nconcurrency = 2\nretry = { max_attempts = 1 }\nbreaker = { failures = 1, open_for = \"1h\" }"))
            let host = try await test.start()
            try await test.jobhost("trigger", "shaky", "--payload", "\"slow\"")
            _ = try await beacon.hears("started")
            try await test.jobhost("trigger", "shaky")
            try await host.logs("shaky", "breaker opened until")
            #expect(try await test.jobhost("breaker", "shaky", "close").code == 0)
            try gate.open()
            try await host.logs("✗ shaky run 1")
            #expect(try await test.jobhost("trigger", "shaky", "--payload", "\"well\"", "--wait").code == 0)
            #expect(host.errors.all.count { $0.contains("breaker opened until") } == 1)
        }
    }

    @Test("A breaker command is durable before it is answered: with the store away it is refused and changes nothing; answered, it survives a kill in the same moment, with its audit")
    func durable() async throws {
        try await TestHost.with { test in
            try await test.plugin("mint", PluginSource.succeeds)
            try test.config(Toml.plugin("mint") + Toml.job("mint", of: "mint"))
            let first = try await test.start()
            let lock = try test.ledger.locked()
            let refused = try await test.jobhost("breaker", "mint", "open", "--reason", "chain is down")
            #expect(refused.code == 8 && refused.errors.contains("the store does not answer"), "\(refused.code) \(refused.errors)")
            let unchanged = try await test.jobhost("show", "mint", "--json")
            #expect(!unchanged.output.contains("forced_open"), "\(unchanged.output)")
            lock.close()
            // Until the host has heard that it is back it is refused all the same.
            while try await test.jobhost("breaker", "mint", "open", "--reason", "chain is down").code != 0 { try Task.checkCancellation() }
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            #expect(try test.ledger.texts("SELECT reason FROM audit WHERE action = 'breaker open'") == ["chain is down"])
            let second = try await test.start()
            let shown = try await test.jobhost("show", "mint", "--json")
            #expect(shown.output.contains("forced_open") && shown.output.contains("chain is down"), "\(shown.output)")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
        }
    }

    @Test("Forced open survives reload and restart; what was enqueued meanwhile waits, and runs after the close")
    func forced() async throws {
        try await TestHost.with { test in
            try await test.plugin("mint", PluginSource.entry("context->summary(context, context->payload); return JOB_SUCCEEDED;"))
            try test.config(Toml.plugin("mint") + Toml.job("mint", of: "mint"))
            let first = try await test.start()
            #expect(try await test.jobhost("breaker", "mint", "open", "--reason", "chain is down").code == 0)
            for asset in 1...3 { try await test.jobhost("enqueue", "mint", "--payload", "{\"asset\":\(asset)}") }
            try test.config(Toml.plugin("mint") + Toml.job("mint", of: "mint", "schedule = \"none\"\npriority = 3"))
            #expect(try await test.jobhost("reload").code == 0)
            let reloaded = try await test.jobhost("show", "mint", "--json")
            #expect(reloaded.output.contains("forced_open") && reloaded.output.contains("chain is down"), "\(reloaded.output)")
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            let second = try await test.start()
            let restarted = try await test.jobhost("show", "mint", "--json")
            #expect(restarted.output.contains("forced_open"), "\(restarted.output)")
            #expect(try test.ledger.number("SELECT count(*) FROM runs WHERE attempt > 0") == 0)
            #expect(try await test.jobhost("breaker", "mint", "close", "--reason", "chain is back").code == 0)
            for asset in 1...3 { try await second.logs("✓ mint", "\"asset\":\(asset)") }
        }
    }
}
