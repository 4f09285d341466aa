import Glibc
import SQL
import Testing

/// Older and newer programs on one store, and what hosts tell each other of what runs.
@Suite("Several hosts of different versions, clocks and places, end to end", .serialized, .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct ClusterVersionTests: ClusterStory {
    @Test("A newer host has made a format beside which this program may serve: those that serve go on, more may come; of one that says nothing of the kind they start nothing from the next claim on, and say so")
    func rollingUpgrade() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Self.everySecond
            let a = try await cluster.start("a", jobs)
            let known = try cluster.ledger.number("SELECT max(version) FROM schema_migrations")
            try cluster.ledger.execute("INSERT INTO schema_migrations (version, name, compatible) VALUES (\(known + 1), 'later', \(known))")
            let newest = try cluster.ledger.number("SELECT max(id) FROM runs")
            let b = try await cluster.start("b", jobs)
            try await cluster.until("SELECT count(DISTINCT job) = 6 FROM runs WHERE id > \(newest) + 6 AND state = 'succeeded'")
            #expect(try await test.jobhost("store", "check", "--config", "a.toml").code == 0)

            // On connections that nobody has cut.
            try cluster.ledger.execute("INSERT INTO schema_migrations (version, name) VALUES (\(known + 2), 'much later')")
            let told = "has format \(known + 2) and this program knows formats up to \(known): a newer version serves it; upgrade this host"
            for host in [a, b] { try await host.logs(told, "What runs here goes on and is recorded, and nothing new starts") }
            try await cluster.until("SELECT count(*) FROM runs WHERE state = 'running'", "0")
            let last = try cluster.ledger.number("SELECT max(fence) FROM runs")
            _ = try cluster.ledger.texts("SELECT 1 FROM pg_sleep(2)")
            #expect(try cluster.ledger.number("SELECT max(fence) FROM runs") == last)
            let check = try await test.jobhost("store", "check", "--config", "a.toml")
            #expect(check.code != 0 && (check.output + check.errors).contains("has format \(known + 2)"), "\(check.output)\(check.errors)")

            try cluster.ledger.execute("DELETE FROM schema_migrations WHERE version > \(known)")
            try await cluster.until("SELECT count(DISTINCT job) = 6 FROM runs WHERE fence > \(last) AND state = 'succeeded'")
            await cluster.stop(a, b)
            #expect(try cluster.ledger.faults(every: Self.periods) == [])
        }
    }

    @Test("How far a run is that another host executes is shown here, by command and API, within a few seconds")
    func progressElsewhere() async throws {
        try await cluster { cluster in
            let test = cluster.test
            let (beacon, gate) = (try test.beacon(), try test.gate())
            try await test.plugin("slow", PluginSource.entry(
                """
                context->progress(context, 3, 12, JOB_STR("of the wallets"));
                tell("began");
                wait_gate();
                context->progress(context, 9, 12, JOB_STR("of the wallets"));
                tell("moved");
                wait_gate();
                return JOB_SUCCEEDED;
                """))
            let jobs = Toml.plugin("slow") + Toml.job("slow", of: "slow", Toml.once)
            let runs = try await cluster.start("a", jobs)
            let looks = try await cluster.start("b", jobs, host: "schedule = false\nconsume = false")
            #expect(try await test.jobhost("enqueue", "slow", "--config", "a.toml").code == 0)
            _ = try await beacon.hears("began")
            let run = try #require(try cluster.ledger.texts("SELECT id FROM runs WHERE job = 'slow'").first)
            func shown(_ words: String...) async throws -> String {
                let from = try cluster.clock()
                while true {
                    let asked = try cluster.clock()
                    let (text, json) = (try await test.jobhost("show", run, "--config", "b.toml").output, try await test.jobhost("show", run, "--json", "--config", "b.toml").output)
                    if words.allSatisfy({ text.contains($0) }) { return json }
                    try #require(asked <= from + 5_000_000, "not heard of: \(text)")
                }
            }
            let first = try await shown("running for", "25", "of the wallets")
            #expect(first.contains("\"done\": 3") && first.contains("\"total\": 12"), "\(first)")
            // Where nothing moves nothing is written.
            let writes = "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables WHERE relname = 'progress'"
            func written() throws -> Int {
                // What a session has done shows within a second.
                _ = try cluster.ledger.texts("SELECT 1 FROM pg_sleep(2)")
                return try cluster.ledger.number(writes)
            }
            let before = try written()
            _ = try cluster.ledger.texts("SELECT 1 FROM pg_sleep(3)")
            #expect(try cluster.ledger.number(writes) == before)
            try gate.open()
            _ = try await beacon.hears("moved")
            _ = try await shown("75", "of the wallets")
            try gate.open()
            try await cluster.until("SELECT state FROM runs WHERE job = 'slow'", "succeeded")
            try await cluster.until("SELECT count(*) FROM progress", "0")
            await cluster.stop(runs, looks)
        }
    }

    @Test("A run of the start that the store refuses, since this machine's clock is wrong, is enqueued once the clock is right, and once; until then its health and its alerts say so")
    func startWithAWrongClock() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let (clock, beacon) = (try await ClockShift(test), try test.beacon())
            let jobs = Toml.alertsToBeacon + Toml.plugin("good") + Toml.job("other", of: "good", Toml.once)
            let host = try await cluster.start("a", jobs, environment: clock.environment)
            clock.set(60)
            try await host.logs("s ahead of the database's")
            let health = try await test.probe("/healthz", in: "var-a", until: 503)
            #expect(health.contains("\"kind\":\"clock\"") && health.contains("s ahead of the database's"), "\(health)")
            let told = await beacon.lines.next { $0.hasPrefix("alert") && $0.contains("\"clock_trouble\"") && $0.contains("s ahead of the database's") }
            #expect(told != nil, "\(beacon.lines.all)")
            let config = try #require(Proc.text(of: test.folder + "/a.toml"))
            try test.write(config + Toml.job("first", of: "good", "schedule = \"none\"\non_start = true"), to: "a.toml")
            let reload = try await test.jobhost("reload", "--config", "a.toml")
            #expect(reload.code == 0, "\(reload.output)\(reload.errors)")
            #expect(try cluster.ledger.number("SELECT count(*) FROM runs") == 0)
            clock.set(0)
            try await cluster.until("SELECT count(*) FROM runs WHERE job = 'first' AND state = 'succeeded'")
            // Asked each second as long as it was owed, and not again.
            _ = try cluster.ledger.texts("SELECT 1 FROM pg_sleep(2.5)")
            #expect(try cluster.ledger.texts("SELECT trigger FROM runs") == ["start"])
            try await test.probe("/healthz", in: "var-a", until: 200)
            await cluster.stop(host)
        }
    }

    @Test("A host whose clock is four seconds off serves, ahead or behind; at six it starts nothing, says so, and serves again when it is right")
    func clockAtItsBound() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let clock = try await ClockShift(test)
            let host = try await cluster.start("a", Toml.plugin("good") + Toml.job("mint", of: "good", Toml.once), environment: clock.environment)
            func enqueue(_ key: String) throws { try cluster.ledger.execute("SELECT enqueue('mint', unique_key => '\(key)')") }
            func ends(_ key: String) async throws {
                try await cluster.until("SELECT count(*) FROM runs WHERE unique_key = '\(key)' AND state = 'succeeded'")
            }
            for (sign, words) in [(Int64(1), "ahead of"), (-1, "behind")] {
                clock.set(4 * sign)
                // As the host itself has told since.
                try await cluster.until("SELECT abs(skew_us - \(4_000_000 * sign)) < 900000 FROM hosts")
                try enqueue("four \(words)")
                try await ends("four \(words)")
                clock.set(6 * sign)
                try await host.logs("s \(words) the database's: nothing starts here beyond 5 s")
                try enqueue("six \(words)")
                _ = try cluster.ledger.texts("SELECT 1 FROM pg_sleep(2.5)")
                #expect(try cluster.ledger.number("SELECT count(*) FROM runs WHERE unique_key = 'six \(words)' AND attempt > 0") == 0)
                clock.set(0)
                try await ends("six \(words)")
            }
            await cluster.stop(host)
            let said = host.errors.all.filter { $0.contains("the database's: nothing starts here") }
            #expect(said.allSatisfy { $0.contains("clock is 5 s") || $0.contains("clock is 6 s") }, "\(said)")
            #expect(try cluster.ledger.faults() == [])
        }
    }
}
