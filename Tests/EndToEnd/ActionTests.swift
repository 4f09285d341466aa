import Glibc
import JobJSON
import Testing

/// Each thing that the API's document says can be done, on a real host over TCP.
@Suite("Whoever acts, end to end", .timeLimit(.minutes(8))) struct ActionTests {
    private static let (alice, bob) = ("0123456789abcdef0123456789abcdefalice", "0123456789abcdef0123456789abcdefbob")
    private static let http = "[http]\nlisten = \"127.0.0.1:0\"\nact_token = \"file:act\"\n"
    private static let store = getenv("JOBHOST_TEST_POSTGRES") == nil ? ["sqlite"] : ["sqlite", "postgresql"]
    /// Fails where its payload says so.
    private static let plugin = PluginSource.entry(
        #"if (asked(context, "fail")) { context->fail(context, 7, JOB_STR("as it was asked")); return JOB_FAILED; } return JOB_SUCCEEDED;"#)

    /// Of a store, by its name.
    private func served(_ store: String, _ jobs: String, _ body: (TestHost, LedgerFile, Child, String) async throws -> Void) async throws {
        try await TestHost.with { test in
            func serve(_ keys: String, _ ledger: LedgerFile) async throws {
                try await test.plugin("p", Self.plugin)
                try test.write("alice \(Self.alice)\nbob \(Self.bob)\n", to: "act")
                try test.config(Self.http + keys + Toml.plugin("p") + jobs)
                let host = try await test.start()
                try await body(test, ledger, host, try await host.address())
            }
            if store == "sqlite" {
                try await serve("", test.ledger)
            } else {
                try await PostgresServer.with(test) { server in try await serve("[store]\nurl = \"\(server.url)\"\n", server.ledger) }
            }
        }
    }

    /// Something to press, and what the audit says of it.
    private struct Step {
        var operation: String
        var path: String
        var body: [(String, JSON)] = []
        /// "action of job by who", in order; none: it changes nothing.
        var audit: [String]
        /// What it takes to be possible is not there.
        var status = 200
    }

    private func until(_ ledger: LedgerFile, _ sql: String, _ wanted: String = "1") async throws {
        while try ledger.texts(sql).first != wanted {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    @Test(
        "Every action of the API's document is in the audit with who, what, why and from where; without a token none is done",
        arguments: store)
    func everyActionIsAudited(_ store: String) async throws {
        let yearly = Toml.job("yearly", of: "p", "cron = \"0 0 1 1 *\"\nbreaker = { failures = 3 }")
        let two = Toml.job("two", of: "p", Toml.once + "\napproval = 2")
        try await served(store, Toml.job("j", of: "p", Toml.once) + yearly + two) { test, ledger, host, web in
            // Dead letters to retry and to discard, one that has ended, one that waits; a library before this one.
            for _ in 1...3 { #expect(try await test.jobhost("trigger", "j", "--payload", #"{"how": "fail"}"#, "--wait").code == 1) }
            #expect(try await test.jobhost("enqueue", "j", "--delay", "1h").code == 0)
            try await test.plugin("p", Self.plugin.replacing("1.0.0", with: "2.0.0"))
            #expect(try await test.jobhost("reload").code == 0)
            for ask in 1...2 { #expect(try await test.ask("POST", web + "/api/v1/jobs/two/trigger", #"{"payload": {"n": \#(ask)}}"#, token: Self.alice).status == 409) }
            try await until(ledger, "SELECT count(*) FROM audit WHERE action = 'ask'", "2")

            let isShared = store == "postgresql"
            let steps = [
                Step(operation: "POST /jobs/{job}/trigger", path: "/jobs/j/trigger", audit: ["trigger of j by alice"]),
                Step(operation: "POST /jobs/{job}/enqueue", path: "/jobs/j/enqueue", audit: ["enqueue of j by alice"]),
                Step(operation: "POST /jobs/{job}/disable", path: "/jobs/j/disable", audit: ["disable of j by alice"]),
                Step(operation: "POST /jobs/{job}/enable", path: "/jobs/j/enable", audit: ["enable of j by alice"]),
                Step(operation: "POST /jobs/{job}/pause", path: "/jobs/j/pause", audit: ["pause of j by alice"]),
                Step(operation: "POST /jobs/{job}/resume", path: "/jobs/j/resume", audit: ["resume of j by alice"]),
                Step(operation: "POST /jobs/{job}/breaker", path: "/jobs/yearly/breaker", body: [("action", "open")], audit: ["breaker open of yearly by alice"]),
                Step(
                    operation: "POST /jobs/{job}/backfill", path: "/jobs/yearly/backfill",
                    body: [("from", "2024-01-01T00:00:00Z"), ("to", "2025-01-02T00:00:00Z")], audit: ["backfill of yearly by alice"]),
                Step(operation: "POST /runs/{run}/retry", path: "/runs/1/retry", audit: ["retry of j by alice"]),
                Step(operation: "POST /dead/{run}/retry", path: "/dead/2/retry", audit: ["retry of j by alice"]),
                Step(operation: "POST /dead/{run}/discard", path: "/dead/3/discard", audit: ["discard of j by alice"]),
                Step(operation: "POST /runs/{run}/cancel", path: "/runs/4/cancel", audit: ["cancel of j by alice"]),
                // Approved, it is done in the name of both.
                Step(operation: "POST /asks/{ask}/approve", path: "/asks/1/approve", audit: ["approve of two by bob", "trigger of two by alice, approved by bob"]),
                Step(operation: "POST /asks/{ask}/refuse", path: "/asks/2/refuse", audit: ["refuse of two by bob"]),
                Step(operation: "POST /plugins/{plugin}/rollback", path: "/plugins/p/rollback", audit: ["plugin rollback of  by alice"]),
                Step(operation: "POST /hosts/{host}/drain", path: "/hosts/test/drain", audit: isShared ? ["drain host of  by alice"] : [], status: isShared ? 200 : 409),
                Step(operation: "POST /hosts/{host}/undrain", path: "/hosts/test/undrain", audit: isShared ? ["undo drain host of  by alice"] : [], status: isShared ? 200 : 409),
                Step(operation: "POST /alerts/test", path: "/alerts/test", audit: ["alert test of  by alice"]),
                // It says what would be, and changes nothing.
                Step(operation: "POST /plan", path: "/plan", audit: []),
                Step(operation: "POST /reload", path: "/reload", audit: ["reload of  by alice"]),
                Step(operation: "POST /pause", path: "/pause", audit: ["pause of  by alice"]),
                Step(operation: "POST /resume", path: "/resume", audit: ["resume of  by alice"]),
                Step(operation: "POST /stop", path: "/stop", audit: ["stop of  by alice"]),
            ]
            let operations = try await Operations(test, web).acting
            #expect(operations == Set(steps.map(\.operation)), "what is new lands in the audit too: say here how it is pressed")

            // By nobody: nothing is done, whatever the request.
            let tables = ["audit", "runs", "asks", "controls", "breakers", "reloads", "attempts"].map { "(SELECT count(*) FROM \($0))" }
            let rows = "SELECT " + tables.joined(separator: " || ' ' || ") + " || ' ' || (SELECT max(fence) FROM runs)"
            let before = try ledger.texts(rows)
            for step in steps {
                let method = String(step.operation.prefix { $0 != " " })
                for token in ["", "0123456789abcdef0123456789abcdefmallory"] {
                    let refused = try await test.ask(method, web + "/api/v1" + step.path, JSON.object(JSONObject(step.body)).canonicalText, token: token)
                    // After some wrong ones the address is asked for patience.
                    #expect(refused.status == 401 || (refused.status == 429 && !token.isEmpty), "\(step.operation): \(refused)")
                }
            }
            #expect(try ledger.texts(rows) == before)

            for (number, step) in steps.enumerated() {
                let base = try ledger.number("SELECT max(id) FROM audit")
                let (reason, method) = ("because of \(number)", String(step.operation.prefix { $0 != " " }))
                let token = step.audit.first?.hasSuffix("by bob") == true ? Self.bob : Self.alice
                let body = JSON.object(JSONObject(step.body + [("reason", .string(reason))]))
                let done = try await test.ask(method, web + "/api/v1" + step.path, body.canonicalText, token: token)
                #expect(done.status == step.status, "\(step.operation): \(done)")
                if step.operation == "POST /stop" { #expect(await host.exitCode() == 0) }
                // What the host does by itself stands beside it.
                let added = "FROM audit WHERE id > \(base) AND via <> 'host'"
                if !step.audit.isEmpty { try await until(ledger, "SELECT CASE WHEN count(*) >= \(step.audit.count) THEN 1 ELSE 0 END \(added)") }
                let found = try ledger.texts("SELECT action || ' of ' || coalesce(job, '') || ' by ' || actor || ' via ' || via || ': ' || reason \(added) ORDER BY id")
                // An approved one is done for the reason that it was asked for.
                #expect(found == step.audit.map { line in
                    line.contains("approved") ? "\(line) via http: " : "\(line) from 127.0.0.1 via http: \(reason)"
                }, "\(step.operation)")
            }
            #expect(try ledger.texts("SELECT detail FROM audit WHERE action = 'discard'") == ["run 3"])
        }
    }

    @Test("What takes two persons is done when the second one agrees and not before, each action; what stops a job is one person's")
    func everyActionOfAJobThatTakesTwo() async throws {
        let two = Toml.job("two", of: "p", "cron = \"0 0 1 1 *\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 9 }\napproval = 2")
        try await served("sqlite", two) { test, ledger, host, web in
            var covered: Set<String> = []
            func press(_ operation: String, _ path: String, _ body: String, _ token: String) async throws -> TestHost.WebAnswer {
                covered.insert(operation)
                return try await test.ask("POST", web + "/api/v1" + path, body, token: token)
            }
            /// What the store has of the job, but for asks and the audit.
            func state() throws -> [String] {
                try ledger.texts("""
                    SELECT 'run ' || id || ' ' || state || ' ' || payload || coalesce(unique_key, '') FROM runs WHERE state <> 'scheduled'
                    UNION ALL SELECT 'switch ' || coalesce(enabled, 'none') || ' ' || paused FROM controls
                    UNION ALL SELECT 'breaker ' || data FROM breakers ORDER BY 1
                    """)
            }
            var asks = 0
            /// Asked for by one, done when the other agrees; `effect` is what the ledger says then.
            func takesTwo(_ operation: String, _ path: String, _ body: String, action: String, effect: String) async throws {
                let before = try state()
                let asked = try await press(operation, path, body, Self.alice)
                #expect(asked.status == 409 && asked.body["code"] == "needs_approval", "\(path): \(asked)")
                asks += 1
                try await until(ledger, "SELECT count(*) FROM audit WHERE action = 'ask' AND job = 'two' AND actor = 'alice from 127.0.0.1' AND reason = 'it is time'", "\(asks)")
                #expect(try state() == before, "\(path) is done before anybody agrees")
                let own = try await test.ask("POST", web + "/api/v1/asks/\(asks)/approve", token: Self.alice)
                #expect(own.status == 409, "\(path): \(own)")
                #expect(try state() == before, "\(path) is done by one person")
                let approved = try await test.ask("POST", web + "/api/v1/asks/\(asks)/approve", token: Self.bob)
                #expect(approved.status == 200 && approved.body["ask"]?["state"] == "approved", "\(path): \(approved)")
                try await until(ledger, "SELECT count(*) > 0 FROM audit WHERE action = '\(action)' AND actor = 'alice, approved by bob' AND reason = 'it is time'")
                try await until(ledger, effect)
            }
            func isOnes(_ operation: String, _ path: String, _ body: String = "{}", effect: String = "SELECT 1") async throws {
                let done = try await press(operation, path, body, Self.alice)
                #expect(done.status == 200, "\(path): \(done)")
                try await until(ledger, effect)
            }
            let fails = #"{"payload": {"how": "fail"}, "reason": "it is time"}"#
            let why = #"{"reason": "it is time"}"#
            func has(_ run: Int, _ condition: String) -> String { "SELECT count(*) FROM runs WHERE id = \(run) AND \(condition)" }

            try await takesTwo("POST /jobs/{job}/trigger", "/jobs/two/trigger", fails, action: "trigger", effect: has(1, "state = 'discarded' AND payload LIKE '%fail%'"))
            try await takesTwo(
                "POST /jobs/{job}/enqueue", "/jobs/two/enqueue", #"{"payload": {"how": "fail"}, "key": "k-1", "priority": 3, "reason": "it is time"}"#,
                action: "enqueue", effect: has(2, "state = 'discarded' AND unique_key = 'k-1' AND priority = 3"))
            try await takesTwo("POST /runs/{run}/retry", "/runs/1/retry", why, action: "retry", effect: has(3, "state = 'discarded' AND retry_of = 1"))
            try await takesTwo("POST /dead/{run}/retry", "/dead/2/retry", why, action: "retry", effect: has(4, "state = 'discarded' AND retry_of = 2"))
            try await takesTwo("POST /dead/{run}/discard", "/dead/4/discard", why, action: "discard", effect: has(4, "state = 'cancelled'"))
            try await takesTwo(
                "POST /jobs/{job}/backfill", "/jobs/two/backfill", #"{"from": "2024-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z", "reason": "it is time"}"#,
                action: "backfill", effect: "SELECT count(*) = 2 FROM runs WHERE trigger = 'backfill' AND state = 'succeeded'")
            let runs = try ledger.number("SELECT count(*) FROM runs")
            try await isOnes("POST /jobs/{job}/backfill", "/jobs/two/backfill", #"{"from": "2024-01-01T00:00:00Z", "to": "2025-01-02T00:00:00Z", "dry_run": true}"#)
            #expect(try ledger.number("SELECT count(*) FROM runs") == runs)

            func control(_ condition: String) -> String { "SELECT count(*) FROM controls WHERE job = 'two' AND \(condition)" }
            try await isOnes("POST /jobs/{job}/pause", "/jobs/two/pause", effect: control("paused = 1"))
            try await takesTwo("POST /jobs/{job}/resume", "/jobs/two/resume", why, action: "resume", effect: control("paused = 0"))
            try await isOnes("POST /jobs/{job}/disable", "/jobs/two/disable", effect: control("enabled = 0"))
            try await takesTwo("POST /jobs/{job}/enable", "/jobs/two/enable", why, action: "enable", effect: control("enabled = 1"))
            try await takesTwo(
                "POST /jobs/{job}/enable", "/jobs/two/enable", #"{"as_configured": true, "reason": "it is time"}"#, action: "enable as configured",
                effect: control("enabled IS NULL"))
            func breaker() async throws -> JSON? {
                try await test.ask("GET", web + "/api/v1/jobs/two").body["breaker"]?["state"]
            }
            for (action, state) in [("close", "closed"), ("reset", "closed"), ("disable", "disabled")] as [(String, JSON)] {
                try await isOnes("POST /jobs/{job}/breaker", "/jobs/two/breaker", #"{"action": "open"}"#)
                #expect(try await breaker() == "forced_open")
                try await takesTwo(
                    "POST /jobs/{job}/breaker", "/jobs/two/breaker", #"{"action": "\#(action)", "reason": "it is time"}"#, action: "breaker \(action)", effect: "SELECT 1")
                #expect(try await breaker() == state, "\(action)")
            }
            try await takesTwo(
                "POST /jobs/{job}/enqueue", "/jobs/two/enqueue", #"{"delay_ms": 3600000, "reason": "it is time"}"#, action: "enqueue",
                effect: "SELECT count(*) FROM runs WHERE state = 'scheduled' AND trigger = 'enqueued'")
            let waits = try ledger.number("SELECT max(id) FROM runs WHERE trigger = 'enqueued'")
            try await isOnes("POST /runs/{run}/cancel", "/runs/\(waits)/cancel", effect: has(waits, "state = 'cancelled'"))

            let ofJobs = try await Operations(test, web).acting.filter { $0.contains("{job}") || $0.contains("{run}") }
            #expect(covered == ofJobs, "what is new takes two persons or one: say here which")
        }
    }
}
