import Glibc
import SQL
import Testing

/// What is decided or said on one host, and holds or is heard on all.
@Suite("What is decided on one host of several, end to end", .serialized, .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct ClusterDecisionTests: ClusterStory {
    /// None of them is to lapse, however busy the machine is.
    static let lease = "30s"

    @Test("What an operator decides on one host holds on every host: pause, breaker, the cancel of a run elsewhere")
    func decisions() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let beacon = try test.beacon()
            try await test.plugin("long", PluginSource.entry(
                "tell(\"began\");" + """
                struct pollfd stop = {.fd = context->cancel_fd(context), .events = POLLIN};
                while (!context->is_cancelled(context)) poll(&stop, 1, 1000);
                return JOB_CANCELLED;
                """, flags: "JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE"))
            let jobs = Toml.plugin("long") + Toml.job("long", of: "long", "schedule = \"none\"\ntimeout = \"none\"")
            let a = try await cluster.start("a", jobs)
            let b = try await cluster.start("b", jobs)
            _ = try await test.jobhost("enqueue", "long", "--config", "a.toml")
            _ = try await beacon.pid("began")
            let owner = try #require(try cluster.ledger.texts("SELECT owner FROM runs WHERE state = 'running'").first)
            let other = owner == "a" ? "b" : "a"
            let run = try cluster.ledger.number("SELECT id FROM runs WHERE state = 'running'")
            let cancelled = try await test.jobhost("cancel", "\(run)", "--reason", "wrong one", "--config", "\(other).toml")
            #expect(cancelled.code == 0, "\(cancelled.errors)")
            try await cluster.until("SELECT state FROM runs WHERE id = \(run)", "cancelled")
            #expect(try cluster.ledger.texts("SELECT reason FROM runs WHERE id = \(run)").first?.contains("wrong one") == true)
            let heard = try cluster.ledger.number("SELECT finished_at - (SELECT max(at) FROM audit WHERE action = 'cancel') FROM runs WHERE id = \(run)")
            #expect(heard <= Cluster.limit, "cancelled after \(heard) µs")

            #expect(try await test.jobhost("pause", "long", "--reason", "maintenance", "--config", "a.toml").code == 0)
            #expect(try await test.jobhost("breaker", "long", "open", "--reason", "gateway", "--config", "a.toml").code == 0)
            // Whatever the other host shows comes from there.
            let decided = try cluster.decided("breaker open")
            while true {
                let asked = try cluster.clock()
                let shown = try await test.jobhost("show", "long", "--config", "b.toml")
                if shown.output.contains("maintenance"), shown.output.contains("forced") { break }
                try #require(asked <= decided + Cluster.limit, "not heard of: \(shown.output)")
            }
            await cluster.stop(a, b)
        }
    }

    @Test("Within three seconds of a command the other host starts nothing any more, and within three of its undoing it starts again", arguments: [
        (["pause", "t"], ["resume", "t"]), (["disable", "t"], ["enable", "t"]), (["breaker", "t", "open"], ["breaker", "t", "close"]),
        (["breaker", "t", "open"], ["breaker", "t", "reset"]), (["pause"], ["resume"]),
    ])
    func withinThreeSeconds(stop: [String], start: [String]) async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Toml.job("t", of: "good", "every = \"250ms\"\nconcurrency = 2")
            // Whatever runs, runs on the other one.
            let told = try await cluster.start("a", jobs, host: "schedule = false\nconsume = false")
            let runs = try await cluster.start("b", jobs)
            try await cluster.until("SELECT count(*) > 8 FROM runs WHERE state = 'succeeded'")
            for _ in 0..<6 { #expect(try await test.jobhost("enqueue", "t", "--config", "a.toml").code == 0) }
            func action(_ words: [String]) -> String { words.filter { $0 != "t" }.joined(separator: " ") }
            func tell(_ words: [String]) async throws -> Int {
                let answer = try await test.jobhost(arguments: words + ["--reason", "test", "--config", "a.toml"])
                #expect(answer.code == 0, "\(answer.errors)")
                return try cluster.decided(action(words))
            }
            let stopped = try await tell(stop)
            #expect(try await test.jobhost("enqueue", "t", "--config", "a.toml").code == (stop[0] == "disable" ? 6 : 0))
            try await cluster.until("SELECT extract(epoch FROM clock_timestamp()) * 1000000 > \(stopped + Cluster.limit + 2_500_000)")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE started_at > \(stopped + Cluster.limit)") == 0)
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE state = 'running'") == 0)
            let started = try await tell(start)
            try await cluster.until("SELECT count(*) > 4 FROM runs WHERE started_at > \(started)")
            let first = try cluster.ledger.number("SELECT min(started_at) - \(started) FROM runs WHERE started_at > \(started)")
            #expect(first <= Cluster.limit + 250_000, "it began again after \(first) µs")
            // A due time of it, well within.
            let (due, who) = ((stopped + Cluster.limit + 1_500_000) / 1_000_000 * 1_000_000 + 250_000, try cluster.who(action(stop)))
            try await expectCause(cluster, at: due, ", by \(who): test")
            #expect(try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE started_at IS NOT NULL") == ["b"])
            await cluster.stop(told, runs)
            #expect(try cluster.ledger.faults(every: ["t": 250_000]) == [])
            // Each command once, by who gave it.
            #expect(try cluster.ledger.texts("SELECT action FROM audit WHERE action NOT IN ('enqueue', 'stop') ORDER BY id") == [action(stop), action(start)])
        }
    }

    /// Why nothing started of the job `t` at one of its due times: both hosts say the same.
    private func expectCause(_ cluster: Cluster, at due: Int, _ cause: String) async throws {
        try await cluster.until("SELECT count(*) > 0 FROM ledger_ranges WHERE job = 't' AND \(due) BETWEEN first AND last")
        let at = try #require(try cluster.ledger.texts("SELECT to_char(to_timestamp(\(due) / 1e6) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')").first)
        for name in ["a", "b"] {
            let explained = try await cluster.test.jobhost("explain", "t", "--at", at, "--config", "\(name).toml")
            #expect(explained.output.contains(cause), "on \(name): \(explained.output) \(explained.errors)")
        }
    }

    @Test("A breaker that failures opened on one host is disabled on the other: within three seconds the job starts again, whatever fails; the opening and the command are on record once each")
    func disabled() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("bad", PluginSource.fails)
            let jobs = Toml.plugin("bad")
                + Toml.job("t", of: "bad", "every = \"250ms\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"1h\" }")
            let told = try await cluster.start("a", jobs, host: "schedule = false\nconsume = false")
            let runs = try await cluster.start("b", jobs)
            try await cluster.until("SELECT count(*) > 0 FROM audit WHERE action = 'breaker open'")
            let opened = try cluster.decided("breaker open")
            try await cluster.until("SELECT extract(epoch FROM clock_timestamp()) * 1000000 > \(opened + 1_000_000)")
            let answer = try await test.jobhost("breaker", "t", "disable", "--reason", "gateway", "--config", "a.toml")
            #expect(answer.code == 0, "\(answer.errors)")
            let disabled = try cluster.decided("breaker disable")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE started_at BETWEEN \(opened + 500_000) AND \(disabled)") == 0)
            try await cluster.until("SELECT count(*) > 4 FROM runs WHERE outcome = 'failed' AND started_at > \(disabled)")
            let first = try cluster.ledger.number("SELECT min(started_at) - \(disabled) FROM runs WHERE started_at > \(disabled)")
            #expect(first <= Cluster.limit + 250_000, "it began again after \(first) µs")
            // A due time between the two.
            try await expectCause(cluster, at: (opened + 750_000) / 250_000 * 250_000, "breaker opened until")
            await cluster.stop(told, runs)
            #expect(try cluster.ledger.texts("SELECT split_part(data, '|', 2) FROM breakers") == ["disabled"])
            let who = try cluster.who("breaker disable")
            let recorded = try cluster.ledger.texts("SELECT actor || ': ' || action FROM audit WHERE action <> 'stop' ORDER BY id")
            #expect(recorded == ["host: breaker open", "\(who): breaker disable"])
            #expect(try cluster.ledger.faults(every: ["t": 250_000]) == [])
        }
    }

    @Test("hosts shows who serves; one that is taken out starts nothing new, even after a restart, until it is let in again")
    func drained() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Self.everySecond
            let a = try await cluster.start("a", jobs)
            let b = try await cluster.start("b", jobs)
            let both = try await test.jobhost("hosts", "--config", "a.toml").output
            #expect(both.contains("a (this)  serves") && both.contains("b         serves"), "\(both)")
            let unknown = try await test.jobhost("hosts", "drain", "bb", "--config", "a.toml")
            #expect(unknown.code == 5 && unknown.errors.contains("no host 'bb' serves this store\n  did you mean 'b'?"), "\(unknown.errors)")
            let out = try await test.jobhost("hosts", "drain", "b", "--reason", "new kernel", "--config", "a.toml")
            #expect(out.code == 0 && out.output.contains("b is taken out"), "\(out.output) \(out.errors)")
            try await b.logs("taken out: nothing new starts here (new kernel)")
            let decided = try cluster.decided("drain host")
            // What it had claimed until then has begun or gone back; the others go on.
            try await cluster.until("SELECT count(*) = 0 FROM runs WHERE state = 'running' AND owner = 'b'")
            let last = try cluster.ledger.number("SELECT max(fence) FROM runs")
            try await cluster.until("SELECT count(*) > 12 FROM runs WHERE fence > \(last) AND state = 'succeeded'")
            let late = try cluster.ledger.number("SELECT count(*) FROM runs WHERE owner = 'b' AND started_at > \(decided + Cluster.limit)")
            #expect(late == 0, "it started \(late) runs later than three seconds after it was taken out")
            await cluster.stop(b)
            let again = try await cluster.start("b", jobs)
            try await again.logs("taken out: nothing new starts here (new kernel)")
            try await cluster.until("SELECT count(*) > 24 FROM runs WHERE fence > \(last) AND state = 'succeeded'")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE fence > \(last) AND owner = 'b' AND state = 'succeeded'") == 0)
            let shown = try await test.jobhost("hosts", "--config", "b.toml").output
            #expect(shown.contains("b (this)  taken out: new kernel"), "\(shown)")
            #expect(try await test.jobhost("hosts", "drain", "b", "--undo", "--config", "b.toml").code == 0)
            try await again.logs("serves again")
            await cluster.stop(a)
            try await cluster.until("SELECT count(*) > 0 FROM runs WHERE fence > \(last) AND owner = 'b' AND state = 'succeeded'")
            await cluster.stop(again)
            #expect(try cluster.ledger.faults(every: Self.periods) == [])
        }
    }

    @Test("What operators do on another host, and fires that were left out there, is told to who listens here; what was done here once")
    func toldEverywhere() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("waits", PluginSource.waitsForCancel)
            // From the second fire on they are skipped, and none ends.
            let jobs = Toml.plugin("waits") + Toml.job("busy", of: "waits", "every = \"1s\"\ntimeout = \"100s\"\noverlap = \"skip\"")
                + Toml.job("other", of: "waits")
            let runs = try await cluster.start("a", jobs)
            let looks = try await cluster.start("b", jobs, host: "schedule = false\nconsume = false")
            let (here, there) = (try test.listen("kind=elsewhere,action", in: "var-b"), try test.listen("kind=elsewhere,action", in: "var-a"))
            for stream in [here, there] { #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil) }
            #expect(await here.output.next(where: { $0.contains("\"job\":\"busy\"") && $0.hasPrefix("data: ") }) != nil)
            for word in ["first", "second"] {
                #expect(try await test.jobhost(word == "first" ? "pause" : "resume", "other", "--reason", word, "--config", "a.toml").code == 0)
                for stream in [here, there] { #expect(await stream.output.next(where: { $0.contains("\"reason\":\"\(word)\"") }) != nil) }
            }
            // The second was heard after a look that had the first.
            #expect(there.output.all.count { $0.contains("\"reason\":\"first\"") } == 1)
            #expect(here.output.all.count { $0.contains("\"reason\":\"first\"") } == 1)
            await cluster.stop(runs, looks)
        }
    }

    @Test("What a job's runs did on another host is shown here, graded here, and told to who listens here")
    func shownEverywhere() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("bad", PluginSource.fails)
            // Without a success it would be critical here after three seconds.
            let jobs = Toml.plugin("good") + Toml.plugin("bad")
                + Toml.job("tick", of: "good", "every = \"1s\"\nhealth = { critical = { success_age = \"10s\" } }")
                + Toml.job("fall", of: "bad", "schedule = \"none\"\nretry = { max_attempts = 1 }")
            let runs = try await cluster.start("a", jobs)
            let looks = try await cluster.start("b", jobs, host: "schedule = false\nconsume = false")
            let stream = try test.listen("kind=elsewhere&job=fall", in: "var-b")
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            #expect(try await test.jobhost("trigger", "fall", "--wait", "--config", "a.toml").code == 1)
            #expect(await stream.output.next(where: { $0 == "event: elsewhere" }) != nil)
            let fall = try await test.jobhost("show", "fall", "--config", "b.toml", "--json").output
            #expect(fall.contains("\"outcome\": \"failed\"") && fall.contains("no such account"), "\(fall)")
            let run = try #require(try cluster.ledger.texts("SELECT id FROM runs WHERE job = 'fall'").first)
            let log = try await test.jobhost("logs", run, "--config", "b.toml")
            #expect(log.errors.contains("its log is on a, which ran it"), "\(log.errors)")
            // By the database's clock, well past the ten seconds.
            try await cluster.until("SELECT count(*) >= 14 FROM runs WHERE job = 'tick' AND state = 'succeeded'")
            let tick = try await test.jobhost("show", "tick", "--config", "b.toml", "--json").output
            #expect(tick.contains("\"grade\": \"healthy\""), "\(tick)")
            await cluster.stop(runs, looks)
            #expect(try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE owner <> ''") == ["a"], "it ran what it was not to run")
        }
    }
}
