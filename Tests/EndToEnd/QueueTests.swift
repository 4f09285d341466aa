import Glibc
import SQL
import Testing

/// Queues under many at once: unique keys, rates.
@Suite("Queues under many at once, end to end", .serialized, .timeLimit(.minutes(12)))
struct QueueTests {
    enum Kind: String, CaseIterable { case sqlite, postgresql }
    private static let kinds: [Kind] = getenv("JOBHOST_TEST_POSTGRES") == nil ? [.sqlite] : Kind.allCases

    /// `hosts` of them on one server, or one on its file.
    private func with(
        _ kind: Kind, hosts: Int, _ jobs: String, plugin: String = PluginSource.succeeds, _ body: (TestHost, LedgerFile, _ hosts: [(name: String, child: Child)], _ server: String?) async throws -> Void
    ) async throws {
        try await TestHost.with { test in
            try await test.plugin("good", plugin)
            guard kind == .postgresql else {
                try test.write("[host]\nname = \"h0\"\nstate_dir = \"var-h0\"\n[store]\nurl = \"sqlite:var/jobhost.db\"\n" + jobs, to: "h0.toml")
                let host = try test.foreground("run", "--config", "h0.toml")
                try await host.logs("serving ")
                return try await body(test, test.ledger, [("h0", host)], nil)
            }
            try await PostgresServer.with(test) { server in
                var all: [(name: String, child: Child)] = []
                for number in 0..<hosts {
                    let name = "h\(number)"
                    try test.write("[host]\nname = \"\(name)\"\nstate_dir = \"var-\(name)\"\n[store]\nurl = \"\(server.url)\"\n" + jobs, to: "\(name).toml")
                    let host = try test.foreground("run", "--config", "\(name).toml")
                    try await host.logs("serving ")
                    all.append((name, host))
                }
                try await body(test, server.ledger, all, server.url)
            }
        }
    }

    private func stop(_ hosts: [(name: String, child: Child)]) async {
        for host in hosts { host.child.signal(SIGTERM) }
        for host in hosts { #expect(await host.child.exitCode() == 0) }
    }

    @Test("What expires before it has begun is never started: it ends as skipped, its key is free, views and metrics tell", arguments: kinds)
    func expiry(kind: Kind) async throws {
        let jobs = Toml.plugin("good") + Toml.job("mint", of: "good", Toml.once) + Toml.job("usual", of: "good", Toml.once + "\nexpires_after = \"1s\"")
        try await with(kind, hosts: 1, jobs) { test, ledger, hosts, server in
            let host = hosts[0].child
            func jobhost(_ words: String...) async throws -> TestHost.Answer {
                try await test.jobhost(arguments: words + ["--config", "h0.toml"])
            }
            for job in ["mint", "usual"] { #expect(try await jobhost("pause", job).code == 0) }
            for (expires, sentence) in [("2020-01-01T00:00:00Z", "it expires at 2020-01-01T00:00:00Z, which is not after"), ("soon", "--expires is not a time")] {
                let refused = try await jobhost("enqueue", "mint", "--expires", expires)
                #expect(refused.code == 2 && refused.errors.contains(sentence), "\(refused)")
            }
            #expect(try await jobhost("enqueue", "mint", "--key", "sale-1", "--expires", "1s").code == 0)
            try ledger.execute(server == nil ? "INSERT INTO enqueue_inbox (job) VALUES ('usual')" : "SELECT enqueue('usual')")
            for job in ["mint", "usual"] { try await host.logs("\(job): 1 waiting run expired") }
            let expired = try ledger.number("SELECT id FROM runs WHERE job = 'mint'")
            let shown = try await jobhost("show", "\(expired)")
            #expect(shown.output.contains("skipped") && shown.output.contains("expired"), "\(shown)")
            // Its key is free; this one is in time.
            #expect(try await jobhost("enqueue", "mint", "--key", "sale-1", "--expires", "1h").output.contains("already") == false)
            for job in ["mint", "usual"] { #expect(try await jobhost("resume", job).code == 0) }
            try await host.logs("✓ mint")
            let metric = #"jobhost_fires_not_run_total{job_name="usual",state="skipped",reason="expired"} 1"#
            var page = ""
            while !page.contains(metric) {
                try Task.checkCancellation()
                let curl = try Child(
                    "/usr/bin/env", ["curl", "-sS", "--unix-socket", test.folder + "/var-h0/jobhost.sock", "http://localhost/metrics"],
                    environment: TestHost.environment(), folder: test.folder)
                _ = await curl.exitCode()
                page = curl.output.all.joined(separator: "\n")
            }
            await stop(hosts)
            #expect(try ledger.texts("SELECT job || ' ' || state || ' ' || reason FROM runs WHERE state = 'skipped' ORDER BY job") == ["mint skipped expired", "usual skipped expired"])
            #expect(try ledger.texts("SELECT job || ' ' || state FROM runs WHERE state <> 'skipped'") == ["mint succeeded"])
            #expect(try ledger.faults() == [])
        }
    }

    @Test("Rows that a program inserts into the store's file one after the other start at once: none waits for the next look, each half second")
    func heardOf() async throws {
        try await with(.sqlite, hosts: 1, Toml.plugin("good") + Toml.job("mint", of: "good", Toml.once)) { test, ledger, hosts, _ in
            let (clock, count) = (ContinuousClock(), 20)
            var took: [Duration] = []
            for number in 1...count {
                let began = clock.now
                try ledger.execute("INSERT INTO enqueue_inbox (job) VALUES ('mint')")
                while try ledger.number("SELECT count(*) FROM runs WHERE state = 'succeeded'") < number { try Task.checkCancellation() }
                took.append(clock.now - began)
            }
            // By looks each takes half a second, since the one before began right after a look.
            #expect(took.sorted()[count / 2] < .milliseconds(400), "\(took)")
            await stop(hosts)
            #expect(try ledger.faults() == [])
        }
    }

    @Test("A unique key under fifty at once on the API of each host, and twenty applications: one run, and everybody is told which", arguments: kinds)
    func uniqueKeys(kind: Kind) async throws {
        let jobs = Toml.plugin("good") + Toml.job("mint", of: "good", Toml.once)
        try await with(kind, hosts: 2, jobs) { test, ledger, hosts, server in
            // An hour ahead: it lives as long as the test.
            let requests = try hosts.map { host in
                try Child(
                    "/usr/bin/env",
                    ["curl", "-sS", "-Z", "--parallel-immediate", "--parallel-max", "50", "--unix-socket", test.folder + "/var-\(host.name)/jobhost.sock"]
                        + ["-d", #"{"key": "sale-1", "delay_ms": 3600000}"#, "-H", "Content-Type: application/json", "-o", "answer-\(host.name)-#1"]
                        + ["http://localhost/api/v1/jobs/mint/enqueue#[1-50]"],
                    environment: TestHost.environment(), folder: test.folder)
            }
            try await withThrowingTaskGroup { group in
                for _ in 0..<20 {
                    group.addTask {
                        if let server {
                            let connection = try PostgresConnection(PostgresAddress(server))
                            defer { connection.close() }
                            try connection.run("SELECT jobhost.enqueue('mint', '{}', unique_key => 'sale-1', run_at => now() + interval '1 hour')")
                        } else {
                            try ledger.execute(
                                "INSERT INTO enqueue_inbox (job, unique_key, run_at_ms) VALUES ('mint', 'sale-1', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) + 3600000)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            var answers: [String] = []
            for (host, request) in zip(hosts, requests) {
                #expect(await request.exitCode() == 0, "\(request.errors.all)")
                for number in 1...50 { answers.append(try #require(Proc.text(of: test.folder + "/answer-\(host.name)-\(number)"))) }
            }
            while try ledger.number("SELECT count(*) FROM enqueue_inbox") > 0 { try Task.checkCancellation() }
            #expect(try ledger.texts("SELECT state FROM runs") == ["scheduled"])
            let run = try ledger.number("SELECT id FROM runs")
            #expect(answers.allSatisfy { $0.number(after: "id") == run }, "\(answers)")
            // Perhaps an application was first.
            #expect(answers.count { $0.replacing(" ", with: "").contains("\"inserted\":true") } <= 1)
            await stop(hosts)
            #expect(try ledger.faults() == [])
        }
    }

    private static let takesOfSQLite = """
        CREATE TABLE takes (at INTEGER, runs INTEGER);
        CREATE TRIGGER taken AFTER INSERT ON rate_takes BEGIN INSERT INTO takes VALUES (NEW.at, NEW.runs); END;
        CREATE TRIGGER more_taken AFTER UPDATE ON rate_takes BEGIN INSERT INTO takes VALUES (NEW.at, NEW.runs - OLD.runs); END;
        """
    private static let takesOfPostgres = """
        CREATE TABLE public.takes (at bigint, runs bigint);
        CREATE FUNCTION public.taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.takes VALUES (NEW.at, NEW.runs - CASE TG_OP WHEN 'UPDATE' THEN OLD.runs ELSE 0 END);
            RETURN NULL;
        END $$;
        CREATE TRIGGER taken AFTER INSERT OR UPDATE ON rate_takes FOR EACH ROW EXECUTE FUNCTION public.taken();
        """

    @Test("A rate over all hosts: no span of its length has more starts, whichever host they were on, and it is used to the full", arguments: kinds)
    func rate(kind: Kind) async throws {
        let jobs = Toml.plugin("good")
            + Toml.job("calls", of: "good", "schedule = \"none\"\nconcurrency = 8\nrate = { runs = 30, per = \"8s\" }\nretention = { runs = 1000 }")
        try await with(kind, hosts: 3, jobs) { test, ledger, hosts, server in
            // When each was taken, which is what the rate counts: the store itself forgets that after a span.
            try ledger.execute(server == nil ? Self.takesOfSQLite : Self.takesOfPostgres)
            if server == nil {
                try ledger.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90) INSERT INTO enqueue_inbox (job) SELECT 'calls' FROM n")
            } else {
                try ledger.execute("SELECT jobhost.enqueue_many('calls', array_fill('{}'::text, ARRAY[90]))")
            }
            while try ledger.number("SELECT count(*) FROM runs WHERE state = 'succeeded'") < 90 { try Task.checkCancellation() }
            await stop(hosts)
            let span = 8_000_000
            // Thirty at once, and as many after each span: none earlier, and none much later than it may.
            func look(_ instants: [Int], early: Int) {
                for (first, next) in zip(instants, instants.dropFirst(30)) {
                    #expect(next - first >= span - early && next - first < span + 1_500_000, "\(next - first) µs: \(instants)")
                }
            }
            let takes = try ledger.texts("SELECT at || ' ' || runs FROM \(server == nil ? "" : "public.")takes ORDER BY at").flatMap { line in
                let numbers = line.split(separator: " ").compactMap { Int($0) }
                return Array(repeating: numbers[0], count: numbers[1])
            }
            #expect(takes.count == 90)
            look(takes, early: 0)
            // A start comes a moment after its claim; the first ones wait for their workers.
            let starts = try ledger.texts("SELECT started_at FROM runs ORDER BY started_at").compactMap { Int($0) }
            #expect(starts.count == 90 && zip(takes, starts).allSatisfy { $0 <= $1 + span / 1_000 })
            look(Array(starts.dropFirst(30)), early: 500_000)
            if server != nil { #expect(try ledger.number("SELECT count(DISTINCT owner) FROM runs") > 1, "several hosts took part") }
            #expect(try ledger.faults() == [])
        }
    }

    @Test("A flood of priority 5 that never ends: one of priority 9 passes all that waits, one of priority 0 comes when it has waited for five minutes longer, and not before", arguments: kinds)
    func flood(kind: Kind) async throws {
        let jobs = Toml.plugin("good") + Toml.job("work", of: "good", "schedule = \"none\"\nconcurrency = 4\nretention = { runs = 100000 }")
        let works = PluginSource.entry("struct timespec while_it_works = {0, 30000000}; nanosleep(&while_it_works, NULL); return JOB_SUCCEEDED;")
        try await with(kind, hosts: 2, jobs, plugin: works) { test, ledger, hosts, server in
            let now = server == nil ? "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)" : "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
            func number(_ condition: String) throws -> Int { try ledger.number("SELECT count(*) FROM runs WHERE \(condition)") }
            func one(_ key: String, priority: Int, minus milliseconds: Int) throws {
                try ledger.execute("INSERT INTO enqueue_inbox (job, unique_key, priority, run_at_ms) VALUES ('work', '\(key)', \(priority), \(now) - \(milliseconds))")
            }
            /// Keeps so much waiting that nobody is ever done, until this is so.
            func flood(until condition: String) async throws {
                while try number(condition) == 0 {
                    try Task.checkCancellation()
                    guard try number("state = 'available'") + ledger.number("SELECT count(*) FROM enqueue_inbox") < 40 else { continue }
                    if server == nil {
                        try ledger.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30) INSERT INTO enqueue_inbox (job, priority) SELECT 'work', 5 FROM n")
                    } else {
                        try ledger.execute("SELECT enqueue_many('work', array_fill('{}'::text, ARRAY[30]), priority => 5)")
                    }
                }
            }
            try await flood(until: "state = 'succeeded'")
            // Five minutes of waiting are worth five priorities: it has waited for all of them but four seconds.
            try one("low", priority: 0, minus: 296_000)
            try await flood(until: "unique_key = 'low'")
            try one("high", priority: 9, minus: 0)
            try await flood(until: "unique_key = 'high' AND state = 'succeeded'")
            try await flood(until: "unique_key = 'low' AND state = 'succeeded'")
            await stop(hosts)

            func of(_ key: String, _ column: String) -> String { "(SELECT \(column) FROM runs WHERE unique_key = '\(key)')" }
            let flooded = "priority = 5 AND"
            // By their fences, which ascend with the claims; two hosts may claim at the same moment, each as many as it has places.
            let together = 8
            let (high, low) = (of("high", "fence"), of("low", "fence"))
            let passed = try number("\(flooded) id < \(of("high", "id")) AND (fence = 0 OR fence > \(high))")
            #expect(passed >= 20, "\(passed)")
            #expect(try number("\(flooded) id > \(of("high", "id")) AND fence > 0 AND fence < \(high)") <= together)
            #expect(try ledger.number("SELECT \(high) < \(low)") == 1)
            // Of those that came later the ones with a better rank went before the low one, the others did not, and waited.
            #expect(try number("\(flooded) id > \(of("low", "id")) AND fence > 0 AND fence < \(low)") > together)
            let worse = "\(flooded) rank > \(of("low", "rank"))"
            #expect(try number("\(worse) AND fence > 0 AND fence < \(low)") <= together)
            #expect(try number("\(worse) AND created_at < \(of("low", "started_at"))") >= 20)
            if server != nil { #expect(try ledger.number("SELECT count(DISTINCT owner) FROM runs WHERE owner <> ''") == 2) }
            #expect(try ledger.faults() == [])
        }
    }
}
