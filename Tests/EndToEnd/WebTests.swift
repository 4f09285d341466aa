import Glibc
import SQL
import Testing

/// The real host over TCP, with the tools that people use.
@Suite("API, page, metrics and alerts, end to end", .timeLimit(.minutes(8))) struct WebTests {
    private func config(_ more: String = "", http: String = "listen = \"127.0.0.1:0\"", job: String = "") -> String {
        "[http]\n\(http)\n\(more)\n[plugins.p]\nlibrary = \"libp.so\"\n[jobs.j]\nplugin = \"p\"\nentry = \"run\"\nschedule = \"none\"\n"
            + "retry = { max_attempts = 1 }\n" + job
    }

    private func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    @Test("Nothing is written without a token; with one it is, and the audit says who from where")
    func actsWithAToken() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config())
            let host = try await test.start()
            let web = try await host.address()
            let page = try await test.curl(web + "/")
            #expect(page.contains("<title>") && page.contains("default-src 'none'"), "\(page)")
            let refused = try await test.curl("-X", "POST", web + "/api/v1/jobs/j/trigger")
            #expect(refused.contains("401") && refused.contains("acting needs a token"), "\(refused)")
            let token = read(test.folder + "/var/act.token").filter { !$0.isNewline }
            let bearer = "Authorization: Bearer \(token)"
            let foreign = try await test.curl("-X", "POST", "-H", bearer, "-H", "Origin: https://evil.example", web + "/api/v1/jobs/j/trigger")
            #expect(foreign.contains("403"), "\(foreign)")
            #expect(try await test.curl(web + "/api/v1/runs").contains("\"runs\":[]"))
            let done = try await test.curl("-H", bearer, "-d", #"{"reason":"by hand"}"#, web + "/api/v1/jobs/j/trigger")
            #expect(done.contains("200 OK") && done.contains("\"inserted\":true"), "\(done)")
            try await host.logs("✓ j run 1")
            let audit = try await test.jobhost("audit", "j")
            #expect(audit.output.contains("act.token from 127.0.0.1") && audit.output.contains("by hand"), "\(audit.output)")
        }
    }

    @Test("A stream tells of a run as it starts and ends, and goes on after its last id")
    func streamsEvents() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config())
            let host = try await test.start()
            let web = try await host.address()
            let stream = try Child(
                "/usr/bin/env", ["curl", "-sSN", "-m", "100", web + "/api/v1/events"], environment: TestHost.environment(), folder: test.folder)
            defer { stream.signal(SIGKILL) }
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            try await test.jobhost("trigger", "j", "--wait")
            let started = try #require(await stream.output.next(where: { $0.hasPrefix("event: run_started") }))
            let ended = try #require(await stream.output.next(where: { $0.hasPrefix("event: run_ended") }))
            let what = try #require(await stream.output.next(from: started.index, where: { $0.hasPrefix("data: ") }))
            #expect(what.line.contains("\"job\":\"j\""))
            let how = try #require(await stream.output.next(from: ended.index, where: { $0.hasPrefix("data: ") }))
            #expect(how.line.contains("\"outcome\":\"succeeded\""))
            // From there on: only what came later.
            let id = try #require(stream.output.all[...how.index].last { $0.hasPrefix("id: ") }?.dropFirst(4))
            try await test.jobhost("trigger", "j", "--wait")
            let again = try Child(
                "/usr/bin/env", ["curl", "-sSN", "-m", "100", "-H", "Last-Event-ID: \(id)", web + "/api/v1/events?kind=run_ended"],
                environment: TestHost.environment(), folder: test.folder)
            defer { again.signal(SIGKILL) }
            let second = try #require(await again.output.next(where: { $0.hasPrefix("event: run_ended") }))
            #expect(await again.output.next(from: second.index, where: { $0.contains("\"id\":2") }) != nil, "\(again.output.all)")
        }
    }

    @Test("A stream goes on after its last id over a restart and over SIGKILL: every run's end is heard")
    func streamsOverRestarts() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try await test.plugin("long", PluginSource.hangs)
            try test.config(
                config() + Toml.plugin("long") + Toml.job("long", of: "long", "schedule = \"none\"\nretry = { max_attempts = 1 }\ntimeout = \"90s\""))
            func listen(_ id: Substring?) throws -> Child {
                try test.command(
                    "/usr/bin/env", "curl", "-sSN", "-m", "100", "--unix-socket", test.folder + "/var/jobhost.sock",
                    "-H", id.map { "Last-Event-ID: \($0)" } ?? "X-None: 1", "http://localhost/api/v1/events?kind=run_ended,run_started")
            }
            /// What it said about the end of this run, and the last id by then: none before it has all that it had missed.
            func hears(_ stream: Child, endOf run: Int) async throws -> (how: String, id: Substring?) {
                let mark = "\"id\":\(run),"
                let how = try #require(await stream.output.next(where: { $0.hasPrefix("data: ") && $0.contains(mark) && $0.contains("\"outcome\"") }))
                let lines = stream.output.all
                #expect(lines[how.index - 1].hasPrefix("event: run_ended") && !lines.contains("event: reset"), "\(lines)")
                return (how.line, lines[..<how.index].last { $0.hasPrefix("id: ") }?.dropFirst(4))
            }
            var host = try await test.start()
            var stream = try listen(nil)
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            try await test.jobhost("trigger", "j", "--wait")
            var id = try #require(try await hears(stream, endOf: 1).id)

            // One more ends, one is under way as the host dies; of neither the listener has heard.
            try await test.jobhost("trigger", "j", "--wait")
            try await test.jobhost("trigger", "long")
            #expect(await stream.output.next(where: { $0.hasPrefix("data: ") && $0.contains("\"run\":3") }) != nil)
            stream.signal(SIGKILL)
            host.signal(SIGKILL)
            _ = await host.exitCode()
            host = try await test.start()
            stream = try listen(id)
            #expect(try await hears(stream, endOf: 2).how.contains("\"outcome\":\"succeeded\""))
            #expect(try await hears(stream, endOf: 3).how.contains("\"outcome\":\"lost\""))
            try await test.jobhost("trigger", "j", "--wait")
            id = try #require(try await hears(stream, endOf: 4).id)
            stream.signal(SIGKILL)

            // An orderly end; another run before anybody is back.
            try await test.jobhost("trigger", "j", "--wait")
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            host = try await test.start()
            try await test.jobhost("trigger", "j", "--wait")
            stream = try listen(id)
            for run in [5, 6] { #expect(try await hears(stream, endOf: run).how.contains("\"outcome\":\"succeeded\"")) }
            // What had been heard is not told again, but for what ended a moment before.
            #expect(!stream.output.all.contains { $0.contains("\"id\":2,") })
        }
    }

    @Test("What jobs tell others in their outbox is streamed, each once, over a restart too")
    func streamsTheOutbox() async throws {
        try await TestHost.with { test in
            let database = try SQLiteConnection(path: test.folder + "/x.db")
            defer { database.close() }
            try database.execute(
                "PRAGMA journal_mode = WAL; CREATE TABLE outbox_events (seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT, key TEXT UNIQUE, payload TEXT, created_ms INTEGER)")
            func put(_ key: String) throws {
                try database.run(
                    "INSERT INTO outbox_events (event, key, payload, created_ms) VALUES ('OrderExpired', ?, '{\"amount\":\"0.10\"}', 1777888800000)",
                    [.text(key)])
            }
            func listen(_ id: Substring?) throws -> Child {
                try test.command(
                    "/usr/bin/env", "curl", "-sSN", "-m", "100", "--retry", "60", "--retry-delay", "1", "--unix-socket", test.folder + "/var/jobhost.sock",
                    "-H", id.map { "Last-Event-ID: \($0)" } ?? "X-None: 1", "http://localhost/api/v1/events?kind=outbox")
            }
            func hears(_ stream: Child, _ key: String) async throws -> (line: String, id: Substring?) {
                let found = try #require(await stream.output.next(where: { $0.hasPrefix("data: ") && $0.contains("\"key\":\"\(key)\"") }))
                return (found.line, stream.output.all[..<found.index].last { $0.hasPrefix("id: ") }?.dropFirst(4))
            }
            try await test.plugin("p", PluginSource.succeeds)
            // Before the host began: nobody's who listens from now on.
            try put("old")
            let more = "outbox = { exchange = \"sqlite:x.db\" }"
            try test.config(config(http: "listen = \"127.0.0.1:0\"\n" + more))
            var host = try await test.start()
            _ = try await host.address()
            var stream = try listen(nil)
            #expect(await stream.output.next(where: { $0 == "event: hello" }) != nil)
            // How far it is known to be is in the id.
            try put("first")
            let first = try await hears(stream, "first")
            #expect(first.line.contains(#""payload":{"amount":"0.10"}"#) && first.line.contains(#""outbox":"exchange""#), "\(first.line)")
            #expect(first.line.contains(#""at":"2026-05-04T10:00:00Z""#) && first.line.contains(#""event":"OrderExpired""#), "\(first.line)")
            try put("second")
            let id = try #require(try await hears(stream, "second").id)
            stream.signal(SIGKILL)
            try put("while nobody listened")
            host.signal(SIGKILL)
            _ = await host.exitCode()
            try put("while no host was there")
            host = try await test.start()
            _ = try await host.address()
            // 503 as long as it has not read its outboxes yet.
            stream = try listen(id)
            _ = try await hears(stream, "while nobody listened")
            _ = try await hears(stream, "while no host was there")
            try put("last")
            _ = try await hears(stream, "last")
            let keys = stream.output.all.filter { $0.hasPrefix("data: ") && $0.contains("\"key\"") }
            #expect(keys.count == 3, "\(keys)")
        }
    }

    @Test("At the socket the kernel says who asks: another user is refused, whatever the file's mode", .enabled(if: geteuid() == 0, "only root can ask as somebody else"))
    func othersAreRefusedAtTheSocket() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config(http: ""))
            _ = try await test.start()
            let socket = test.folder + "/var/jobhost.sock"
            for path in [test.folder, test.folder + "/var"] { #expect(chmod(path, 0o755) == 0) }
            #expect(chmod(socket, 0o666) == 0)
            for more in [["http://localhost/api/v1/host"], ["-X", "POST", "http://localhost/api/v1/jobs/j/trigger"]] {
                let words = ["--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-sS", "-m", "30", "-i", "--unix-socket", socket] + more
                let child = try Child("/usr/bin/setpriv", words, environment: TestHost.environment(), folder: "/")
                _ = await child.exitCode()
                let answer = (child.output.all + child.errors.all).joined(separator: "\n")
                #expect(answer.contains("403 Forbidden") && answer.contains("uid 65534") && answer.contains("for the host's own user"), "\(answer)")
            }
            #expect(try await test.curl("--unix-socket", socket, "http://localhost/api/v1/host").contains("200 OK"))
            #expect(try test.ledger.texts("SELECT count(*) FROM runs") == ["0"])
        }
    }

    @Test("A reload rotates tokens and moves the listener")
    func reloadsHTTP() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            let http = "listen = \"127.0.0.1:0\"\nread_token = \"file:read\"\nact_token = \"file:act\""
            try test.write("grafana 0123456789abcdef0123456789abcdef\n", to: "read")
            try test.write("alice 0123456789abcdef0123456789abcdefg\n", to: "act")
            try test.config(config(http: http))
            let host = try await test.start()
            let web = try await host.address()
            #expect(try await test.curl(web + "/api/v1/host").contains("401"))
            #expect(try await test.curl("-H", "Authorization: Bearer 0123456789abcdef0123456789abcdef", web + "/api/v1/host").contains("200 OK"))
            try test.write("grafana fedcba9876543210fedcba9876543210\n", to: "read")
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await test.curl("-H", "Authorization: Bearer 0123456789abcdef0123456789abcdef", web + "/api/v1/host").contains("401"))
            let caller = try await test.curl("-H", "Authorization: Bearer fedcba9876543210fedcba9876543210", web + "/api/v1/caller")
            #expect(caller.contains("grafana from 127.0.0.1") && caller.contains("\"may_act\":false"), "\(caller)")
            #expect(!host.errors.all.joined().contains("fedcba9876543210fedcba9876543210"))
            try test.config(config(http: ""))
            #expect(try await test.jobhost("reload").code == 0)
            #expect(try await test.curl(web + "/livez").contains("curl: ("))
        }
    }

    /// With the scrape config and the alert rules that come with the project.
    @Test(
        "A Prometheus scrapes the host, and promtool finds no fault with what it says",
        .enabled(if: TestHost.isThere("prometheus") && TestHost.isThere("promtool"), "scripts/setup --test installs them"))
    func isScraped() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config())
            let host = try await test.start()
            let web = try await host.address()
            #expect(try await test.jobhost("trigger", "j", "--wait").code == 0)
            let checked = try Child(
                "/bin/sh", ["-c", "curl -sS -m 60 \(web)/metrics | promtool check metrics"], environment: TestHost.environment(), folder: test.folder)
            #expect(await checked.exitCode() == 0, "\(checked.output.all + checked.errors.all)")

            let deploy = TestHost.sources + "/deploy/prometheus"
            let scrape = read(deploy + "/scrape.yml").replacing("127.0.0.1:9480", with: web.dropFirst("http://".count)).replacing("15s", with: "2s")
            try test.write(scrape + "rule_files: [\"\(deploy)/alerts.yml\"]\n", to: "prometheus.yml")
            let prometheus = try test.run(
                "/usr/bin/env", "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address=127.0.0.1:0")
            let heard = try #require(await prometheus.errors.next(where: { $0.contains("\"Listening on\"") }))
            let asked = "http://" + (heard.line.split(separator: " ").last { $0.hasPrefix("address=") }?.dropFirst("address=".count) ?? "")
            // Until its first look has come, as long as the suite's limit lasts.
            var answer = ""
            while !answer.contains("outcome=\"succeeded\"") {
                try Task.checkCancellation()
                let query = try Child(
                    "/usr/bin/env", ["promtool", "query", "instant", asked, #"jobhost_attempts_total{job="jobhost"} > 0"#],
                    environment: TestHost.environment(), folder: test.folder)
                _ = await query.exitCode()
                answer = query.output.all.joined(separator: "\n")
            }
            #expect(answer.contains("=\"j\""), "\(answer)")
            let up = try await test.curl(asked + "/api/v1/targets?state=active")
            #expect(up.contains("\"health\":\"up\"") && up.contains("\"lastError\":\"\""), "\(up)")
            #expect(try await test.curl(asked + "/api/v1/rules").contains("JobHostDown"))
        }
    }

    @Test("What takes two persons waits for another one, over a restart, and is done once")
    func asksASecondPerson() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.succeeds)
            try test.write("alice 0123456789abcdef0123456789abcdefa\nbob 0123456789abcdef0123456789abcdefb\n", to: "act")
            try test.config(config(http: "listen = \"127.0.0.1:0\"\nact_token = \"file:act\"", job: "approval = 2\n"))
            var host = try await test.start()
            var web = try await host.address()
            func post(_ person: String, _ path: String) async throws -> String {
                try await test.curl("-X", "POST", "-H", "Authorization: Bearer 0123456789abcdef0123456789abcdef\(person)", "-d", #"{"reason":"month end"}"#, web + "/api/v1" + path)
            }
            let asked = try await post("a", "/jobs/j/trigger")
            #expect(asked.contains("409") && asked.contains("needs_approval") && asked.contains("jobhost ask approve 1"), "\(asked)")
            // Said twice it is still one ask.
            #expect(try await post("a", "/jobs/j/trigger").contains("waits for a second person already"))
            // What stops a job is one person's.
            #expect(try await post("a", "/jobs/j/pause").contains("200 OK"))
            #expect(try await post("a", "/jobs/j/resume").contains("needs_approval"))
            host.signal(SIGTERM)
            _ = await host.exitCode()
            host = try await test.start()
            web = try await host.address()
            #expect(try await post("a", "/asks/1/approve").contains("you are alice, who asked for it"))
            #expect(try await test.jobhost("runs", "j", "--json").output.contains("\"runs\": []"))
            #expect(try await post("b", "/asks/2/approve").contains("\"state\":\"approved\""))
            let approved = try await post("b", "/asks/1/approve")
            #expect(approved.contains("200 OK") && approved.contains("\"decided_by\":\"bob\""), "\(approved)")
            try await host.logs("✓ j run 1")
            #expect(try await post("b", "/asks/1/approve").contains("request 1 is approved by bob"))
            let audit = try await test.jobhost("audit", "j").output
            #expect(audit.contains("alice, approved by bob") && audit.contains("bob from 127.0.0.1"), "\(audit)")
            #expect(try await test.jobhost("ask", "list").output.contains("request 1: trigger of j, by alice"))
            // Nor is it ended by one person that opens it again, for a shorter time.
            #expect(try await test.jobhost("breaker", "j", "open", "--reason", "month end").code == 0)
            #expect(try await test.jobhost("breaker", "j", "open").code == 0)
            let shorter = try await test.jobhost("breaker", "j", "open", "--until", "in 2s")
            #expect(shorter.code != 0 && shorter.errors.contains("held open without an end: ending that sooner takes two persons"), "\(shorter.errors)")
            // On the socket it is the machine's user who asks: one more person.
            let own = try await test.jobhost("trigger", "j")
            #expect(own.code == 6 && own.errors.contains("takes two persons"), "\(own.errors)")
            #expect(try await test.jobhost("ask", "refuse", "3").output.contains("is withdrawn"))
        }
    }

    @Test("A taken port stops no job; it is said, and taken once it is free")
    func runsWithoutItsPort() async throws {
        try await TestHost.with { first in
            try await first.plugin("p", PluginSource.succeeds)
            try first.config(config())
            let holder = try await first.start()
            let taken = try await holder.address().dropFirst("http://".count)
            try await TestHost.with { test in
                try await test.plugin("p", PluginSource.succeeds)
                try test.config(config(http: "listen = \"\(taken)\"", job: "on_start = true\n"))
                let host = try await test.start()
                try await host.logs("\(taken) is already in use by another program")
                try await host.logs("✓ j run 1")
                #expect(try await test.jobhost("status").output.contains("\(taken) is already in use"))
                holder.signal(SIGTERM)
                _ = await holder.exitCode()
                #expect(try await host.address() == "http://\(taken)")
            }
        }
    }

    @Test("An alert reaches a command with its message, and a test tells who did not take it")
    func tellsSomebody() async throws {
        try await TestHost.with { test in
            try await test.plugin("p", PluginSource.entry("context->fail(context, 7, JOB_STR(\"<b>no & money</b>\")); return JOB_FAILED;"))
            let alerts = "[alerts]\ngather = \"0s\"\ncommand = [\"sh\", \"-c\", \"cat >> '\(test.folder)/told'; echo >> '\(test.folder)/told'\"]\n"
            try test.config(config(alerts))
            let host = try await test.start()
            #expect(try await test.jobhost("alert", "test", "--reason", "new").code == 0)
            #expect(read(test.folder + "/told").contains("\"kind\":\"test\""))
            try await test.jobhost("trigger", "j", "--wait")
            try await host.logs("alert happened: run 1 of j is a dead letter", "<b>no & money</b>")
            try test.config(config("[alerts]\ncommand = [\"sh\", \"-c\", \"echo out of paper >&2; exit 3\"]\n"))
            #expect(try await test.jobhost("reload").code == 0)
            let failed = try await test.jobhost("alert", "test")
            #expect(failed.code == 1)
            #expect(failed.output.contains("sh exited with code 3; it printed: out of paper"), "\(failed.output)")
            let told = read(test.folder + "/told")
            #expect(told.contains("\"kind\":\"run_discarded\"") && told.contains("<b>no & money</b>"), "\(told)")
        }
    }
}
