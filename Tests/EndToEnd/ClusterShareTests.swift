import Glibc
import SQL
import Testing

/// Limits, probes and shares over all hosts, and where hosts differ.
@Suite("What each of several hosts has its share in, end to end", .serialized, .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct ClusterShareTests: ClusterStory {
    /// None of them is to lapse, however busy the machine is.
    static let lease = "30s"

    @Test("after: the run of a job that another host serves begins there when the one that it follows has succeeded here")
    func followsElsewhere() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Toml.job("first", of: "good") + Toml.job("second", of: "good", "after = \"first\"")
            let a = try await cluster.start("a", jobs, host: "only = [\"first\"]")
            let b = try await cluster.start("b", jobs, host: "only = [\"second\"]")
            #expect(try await test.jobhost("enqueue", "first", "--config", "a.toml").code == 0)
            try await cluster.until("SELECT count(*) FROM runs WHERE state = 'succeeded'", "2")
            #expect(try cluster.ledger.texts("SELECT job || owner || trigger FROM runs ORDER BY id") == ["firstaenqueued", "secondbafter"])
            await cluster.stop(a, b)
        }
    }

    @Test("A breaker that is open on two hosts lets one probe through on both together, and its success closes it for both")
    func oneProbe() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("shaky", PluginSource.entry(
                "if (there(FOLDER \"/down\")) { context->fail(context, 1, JOB_STR(\"down\")); return JOB_FAILED; } if (there(FOLDER \"/probing\")) { tell(\"probe\"); wait_gate(); } return JOB_SUCCEEDED;"))
            try test.write("", to: "down")
            let jobs = Toml.plugin("shaky")
                + Toml.job("shaky", of: "shaky", "schedule = \"none\"\nconcurrency = 4\nretry = { max_attempts = 1 }\nbreaker = { failures = 2, open_for = \"6s\", successes = 1 }")
            let hosts = try await (cluster.start("a", jobs), cluster.start("b", jobs))
            try cluster.ledger.execute("SELECT jobhost.enqueue_many('shaky', array_fill('{}'::text, ARRAY[2]))")
            try await cluster.until("SELECT data LIKE '1|open|%' FROM breakers WHERE job = 'shaky'")
            func bothHear(_ word: String) async throws {
                let from = try cluster.clock()
                for name in ["a", "b"] {
                    while true {
                        let asked = try cluster.clock()
                        let shown = try await test.jobhost("show", "shaky", "--json", "--config", "\(name).toml").output
                        if shown.contains("\"\(word)\"") { break }
                        try #require(asked <= from + Cluster.limit, "\(name): \(shown)")
                    }
                }
            }
            // What a host starts before it has heard of the opening is no probe.
            try await bothHear("open")
            try test.write("", to: "probing")
            unlink(test.folder + "/down")
            try cluster.ledger.execute("SELECT jobhost.enqueue_many('shaky', array_fill('{}'::text, ARRAY[8]))")
            _ = try await beacon.hears("probe")
            // On both the opening has come to its end.
            for _ in 0..<10 {
                let running = try cluster.ledger.number("SELECT count(*) FROM runs WHERE state = 'running' AND (SELECT true FROM pg_sleep(0.3))")
                #expect(running == 1)
            }
            unlink(test.folder + "/probing")
            try gate.open()
            try await cluster.until("SELECT count(*) FROM runs WHERE state = 'succeeded'", "8")
            try await cluster.until("SELECT data LIKE '1|closed|%' FROM breakers WHERE job = 'shaky'")
            try await bothHear("closed")
            await cluster.stop(hosts.0, hosts.1)
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE state = 'discarded'") == 2)
        }
    }

    @Test("A job with run_on is served by hosts of that label alone; without one its runs wait, everybody says so, and its due times are all accounted for when one comes")
    func runOn() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Toml.job("eu", of: "good", "every = \"1s\"\nrun_on = [\"eu\", \"uk\"]")
                + Toml.job("queue", of: "good", "schedule = \"none\"\nrun_on = [\"eu\"]") + Toml.job("any", of: "good", "every = \"1s\"")
            let a = try await cluster.start("a", jobs, host: "labels = [\"eu\"]")
            let b = try await cluster.start("b", jobs, host: "labels = [\"us\"]")
            try await cluster.until("SELECT count(*) >= 3 FROM runs WHERE job = 'eu' AND state = 'succeeded'")
            #expect(try await test.jobhost("hosts", "--config", "b.toml").output.contains("eu"))
            await cluster.stop(a)
            // The other one lives, fires what it may, and tells what nobody does.
            try await b.logs("job eu: no host that lives has a label of its run_on (eu, uk): its runs wait")
            let last = try cluster.ledger.number("SELECT cursor FROM job_states WHERE job = 'eu'")
            try await cluster.until("SELECT cursor > \(last) + 3000000 FROM job_states WHERE job = 'any'")
            #expect(try cluster.ledger.number("SELECT cursor FROM job_states WHERE job = 'eu'") == last)
            try cluster.ledger.execute("SELECT jobhost.enqueue('queue', '{}')")
            try await cluster.until("SELECT state FROM runs WHERE job = 'queue'", "available")
            let waits = try await test.jobhost("runs", "queue", "--json", "--config", "b.toml").output
            #expect(waits.contains("queue runs on hosts with the label eu, and this is none of them"), "\(waits)")

            let again = try await cluster.start("a", jobs, host: "labels = [\"eu\"]")
            try await cluster.until("SELECT owner FROM runs WHERE job = 'queue' AND state = 'succeeded'", "a")
            try await cluster.until("SELECT count(*) >= 3 FROM runs WHERE job = 'eu' AND state = 'succeeded' AND fire_time > \(last) + 3000000")
            #expect(try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE job <> 'any'") == ["a"])
            await cluster.stop(again, b)
            #expect(try cluster.ledger.faults(every: ["eu": 1_000_000, "any": 1_000_000]) == [])
        }
    }

    @Test("Each host has its share: only some jobs or labels, fires alone (consume = false), or what waits alone (schedule = false), which also has the retries; where nobody fires, the schedule stands still and is accounted for later")
    func shares() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("second", PluginSource.entry("return context->attempt > 1 ? JOB_SUCCEEDED : JOB_RETRY;"))
            let jobs = Toml.plugin("good") + Toml.plugin("second") + Toml.job("pay", of: "good", "every = \"1s\"\nlabels = [\"money\"]")
                + Toml.job("tick", of: "good", "every = \"1s\"") + Toml.job("queue", of: "good", Toml.once)
                + Toml.job("again", of: "second", "every = \"1s\"\nconcurrency = 4\nbreaker = false\nretry = { max_attempts = 9 }")
            let rest = "only = [\"tick\", \"queue\", \"again\"]\n"
            let money = try await cluster.start("money", jobs, host: "only = [\"money\"]")
            let fires = try await cluster.start("fires", jobs, host: rest + "consume = false")
            let takes = try await cluster.start("takes", jobs, host: rest + "schedule = false")
            for _ in 0..<5 { try cluster.ledger.execute("SELECT jobhost.enqueue('queue', '{}')") }
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'queue' AND state = 'succeeded'", "5")
            try await cluster.until("SELECT min(n) >= 3 AND count(*) = 3 FROM (SELECT count(*) AS n FROM runs WHERE job <> 'queue' AND state = 'succeeded' GROUP BY job) c")
            func owners(_ condition: String) throws -> [String] {
                try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE state = 'succeeded' AND \(condition)")
            }
            #expect(try owners("job = 'pay'") == ["money"])
            #expect(try owners("job = 'tick' AND trigger = 'schedule'") == ["fires"])
            #expect(try owners("job = 'queue'") == ["takes"])
            #expect(try owners("job = 'again'") == ["takes"])

            // Nobody is left who takes what waits, then nobody who fires.
            await cluster.stop(takes)
            try cluster.ledger.execute("SELECT jobhost.enqueue('queue', '{}')")
            func fire(_ does: Bool) async throws {
                let config = try #require(Proc.text(of: test.folder + "/fires.toml"))
                try test.write(config.replacing("schedule = \(!does)\n", with: "").replacing("[host]\n", with: "[host]\nschedule = \(does)\n"), to: "fires.toml")
                let reloaded = try await test.jobhost("reload", "--config", "fires.toml")
                #expect(reloaded.code == 0, "\(reloaded)")
            }
            try await fire(false)
            // What had been claimed ahead by then has its entry.
            let last = try cluster.ledger.number("SELECT cursor FROM job_states WHERE job = 'tick'")
            try await cluster.until("SELECT max(fire_time) > \(last) + 3000000 FROM runs WHERE job = 'pay' AND state = 'succeeded'")
            #expect(try cluster.ledger.number("SELECT cursor FROM job_states WHERE job = 'tick'") == last)
            #expect(try cluster.ledger.texts("SELECT state FROM runs WHERE job = 'queue' AND state <> 'succeeded'") == ["available"])
            try await fire(true)
            try await cluster.until("SELECT count(*) > 2 FROM runs WHERE job = 'tick' AND trigger = 'schedule' AND state = 'succeeded' AND fire_time > \(last) + 3000000")
            #expect(try cluster.ledger.texts("SELECT state FROM runs WHERE job = 'queue' AND state <> 'succeeded'") == ["available"])
            let back = try await cluster.start("takes", jobs, host: rest + "schedule = false")
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'queue' AND state = 'succeeded'", "6")
            await cluster.stop(money, fires, back)
            #expect(try cluster.ledger.faults(every: ["pay": 1_000_000, "tick": 1_000_000, "again": 1_000_000]) == [])
        }
    }

    @Test("A rate holds over all hosts together; what is over it waits, and says for what, until there is room or the rate is gone")
    func rate() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            func jobs(_ rate: String) -> String {
                Toml.plugin("good") + Toml.job("calls", of: "good", "schedule = \"none\"\nconcurrency = 4\n\(rate)") + Toml.job("other", of: "good", Toml.once)
            }
            let limited = jobs("rate = { runs = 5, per = \"1d\" }")
            let hosts = try await (cluster.start("a", limited), cluster.start("b", limited), cluster.start("c", limited))
            try cluster.ledger.execute("SELECT jobhost.enqueue_many('calls', array_fill('{}'::text, ARRAY[12]))")
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'calls' AND state = 'succeeded'", "5")
            // Nobody takes more of them, while other jobs go on.
            for _ in 0..<6 { try cluster.ledger.execute("SELECT jobhost.enqueue('other', '{}')") }
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'other' AND state = 'succeeded'", "6")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE job = 'calls' AND state = 'available'") == 7)
            while true {
                let explained = try await test.jobhost("explain", "calls", "--at", "now", "--config", "b.toml").output
                if explained.contains("as many have started as its rate allows (5 runs in 1d); the next may at 20") { break }
                try Task.checkCancellation()
            }
            /// What a host has of the job, and how often it has read its files.
            func served(by host: String) async throws -> (job: String, generation: Int?, digest: [String]) {
                let shown = try await test.jobhost("show", "calls", "--json", "--config", "\(host).toml").output
                let status = try await test.jobhost("status", "--json", "--config", "\(host).toml").output
                let digest = try cluster.ledger.texts("SELECT digest FROM definitions WHERE job = 'calls' AND host = '\(host)'")
                return (shown, status.number(after: "generation"), digest)
            }
            let before = try await served(by: "b")
            // Another rate, on one host: `plan` says that it would be alone with it.
            try test.write(
                try #require(Proc.text(of: test.folder + "/a.toml")).replacing("rate = { runs = 5, per = \"1d\" }", with: "rate = { runs = 100 }"), to: "a.toml")
            let plan = try await test.jobhost("plan", "--config", "a.toml")
            #expect((plan.output + plan.errors).contains("job calls: a, b and c run different configs of it"), "\(plan.output) \(plan.errors)")
            #expect(try await test.jobhost("reload", "--config", "a.toml").code == 0)
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'calls' AND state = 'succeeded'", "12")
            // Each reads its own files: the others go on as they were.
            let (a, b) = try await (served(by: "a"), served(by: "b"))
            #expect(a.job.contains("\"100 runs in 1m\"") && a.generation == 2, "\(a)")
            #expect(before.job.contains("\"5 runs in 1d\"") && b.job.contains("\"5 runs in 1d\""), "\(b)")
            #expect(before.generation == 1 && b.generation == 1)
            #expect(b.digest.count == 1 && b.digest == before.digest && a.digest != b.digest)
            await cluster.stop(hosts.0, hosts.1, hosts.2)
            #expect(try cluster.ledger.faults() == [])
        }
    }

    @Test("Hosts that differ are told of; a run for a job that only one of them knows waits for that one")
    func different() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let common = Toml.plugin("good") + Toml.job("shared", of: "good", Toml.once)
            let a = try await cluster.start("a", common + Toml.job("ours", of: "good", Toml.once))
            let b = try await cluster.start("b", common.replacing("schedule = \"none\"", with: "schedule = \"none\"\npriority = 5"))
            try await b.logs("job shared: a and b run different configs of it")
            #expect(try await test.jobhost("status", "--config", "b.toml").output.contains("job shared: a and b run different configs of it"))
            try cluster.ledger.execute("SELECT jobhost.enqueue('ours', '{}'), jobhost.enqueue('nobodys', '{}')")
            try await cluster.until("SELECT owner FROM runs WHERE job = 'ours' AND state = 'succeeded'", "a")
            try await cluster.until("SELECT refused FROM enqueue_inbox WHERE job = 'nobodys'", "there is no job \"nobodys\"")
            await cluster.stop(a, b)
        }
    }

    @Test("Hosts with different libraries of one plugin are told of, by the log, status and plan, until they have the same")
    func differentLibraries() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            try await test.plugin("other", PluginSource.says("done otherwise"))
            let jobs = Toml.plugin("good") + Toml.job("shared", of: "good", Toml.once)
            let a = try await cluster.start("a", jobs)
            let b = try await cluster.start("b", jobs.replacing("libgood.so", with: "libother.so"))
            let sentence = "job shared: a and b run different libraries of it"
            for host in [a, b] { try await host.logs(sentence) }
            for name in ["a", "b"] {
                #expect(try await test.jobhost("status", "--config", "\(name).toml").output.contains(sentence))
            }
            /// What `plan` says of this host with that library.
            func plan(_ library: String) async throws -> String {
                let config = try #require(Proc.text(of: test.folder + "/b.toml"))
                try test.write(config.replacing("libother.so", with: library).replacing("libgood.so", with: library), to: "b.toml")
                let answer = try await test.jobhost("plan", "--config", "b.toml")
                return answer.output + answer.errors
            }
            let same = try await plan("libgood.so")
            #expect(!same.contains("different libraries"), "\(same)")
            let reloaded = try await test.jobhost("reload", "--config", "b.toml")
            #expect(reloaded.code == 0, "\(reloaded)")
            while try await test.jobhost("status", "--config", "a.toml").output.contains("different libraries") { try Task.checkCancellation() }
            let other = try await plan("libother.so")
            #expect(other.contains(sentence), "\(other)")
            await cluster.stop(a, b)
        }
    }
}
