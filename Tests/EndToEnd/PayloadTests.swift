import Glibc
import SQL
import Testing

/// What is no payload is refused with a sentence and makes no run, by every door to a queue.
@Suite("Payloads that are none, end to end", .timeLimit(.minutes(12)))
struct PayloadTests {
    enum Kind: String, CaseIterable { case sqlite, postgresql }
    private static let kinds: [Kind] = getenv("JOBHOST_TEST_POSTGRES") == nil ? [.sqlite] : Kind.allCases

    private static let bad: [(name: String, text: String)] = [
        ("cut", "{\"asset\": "), ("large", "{\"asset\": 1, \"x\": \"" + String(repeating: "x", count: 10 << 20) + "\"}"),
        ("deep", "{\"asset\": 1, \"x\": " + String(repeating: "[", count: 300) + String(repeating: "]", count: 300) + "}"),
        ("deeper", String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)),
        ("nul", "{\"asset\": 1, \"x\": \"a\u{0}b\"}"), ("escaped", "{\"asset\": 1, \"x\": \"a\\u0000b\"}"), ("schema", "{\"asset\": \"seven\"}"),
    ]
    private static let good = "{\"asset\": 7}"

    /// `mint` wants an asset; `sender` enqueues what lies in the files for it, and keeps what it is told.
    private static func plugins(_ test: TestHost) async throws {
        try await test.plugin("mint", PluginSource.entry(
            "return JOB_SUCCEEDED;",
            members: #".payload_schema = JOB_STR_INIT("{\"type\":\"object\",\"required\":[\"asset\"],\"properties\":{\"asset\":{\"type\":\"integer\"}}}"),"#))
        let names = (bad.map(\.name) + ["good"]).map { "\"\($0)\"" }.joined(separator: ", ")
        try await test.plugin("sender", PluginSource.entry(
            """
            static char text[12 << 20];
            const char *names[] = {\(names)};
            for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                char path[512], line[100];
                snprintf(path, sizeof path, FOLDER "/%s.json", names[i]);
                FILE *file = fopen(path, "r");
                if (!file) return JOB_FAILED;
                size_t size = fread(text, 1, sizeof text, file);
                fclose(file);
                int code = context->enqueue(context, JOB_STR("mint"), (job_str){text, size}, JOB_NONE, 0);
                snprintf(line, sizeof line, "%s %d", names[i], code);
                append(FOLDER "/told", line, strlen(line));
            }
            return JOB_SUCCEEDED;
            """))
    }

    @Test("Invalid JSON, ten megabytes, deep nesting, NUL, a wrong shape: API, command line, SQL, a plugin", arguments: kinds)
    func refused(kind: Kind) async throws {
        try await TestHost.with { test in
            try await Self.plugins(test)
            for (name, text) in Self.bad + [("good", Self.good)] {
                try test.write(text, to: "\(name).json")
                try test.write("{\"payload\": \(text)}", to: "\(name)-body.json")
            }
            let jobs = Toml.plugin("mint") + Toml.job("mint", of: "mint", Toml.once) + Toml.plugin("sender") + Toml.job("sender", of: "sender", Toml.once)
            switch kind {
            case .sqlite:
                try test.config(jobs)
                try await doors(test, test.ledger) { text in
                    let connection = try SQLiteConnection(path: test.ledger.path)
                    defer { connection.close() }
                    try connection.run("INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', ?)", [.text(text)])
                    return nil
                }
            case .postgresql:
                try await PostgresServer.with(test) { server in
                    try test.config(jobs + "\n[store]\nurl = \"\(server.url)\"\n")
                    try await doors(test, server.ledger) { text in
                        let connection = try PostgresConnection(PostgresAddress(server.url))
                        defer { connection.close() }
                        do {
                            try connection.run("SELECT jobhost.enqueue('mint', ?)", [.text(text)])
                            return nil
                        } catch {
                            // A batch with it is refused as a whole.
                            let batch = "SELECT jobhost.enqueue_many('mint', ARRAY[?::text, ?::text])"
                            #expect(throws: SQLError.self) { try connection.run(batch, [.text(Self.good), .text(text)]) }
                            return "\(error)"
                        }
                    }
                }
            }
        }
    }

    /// `insert`: an application's way. What its database says at once; nil: the row is there.
    private func doors(_ test: TestHost, _ ledger: LedgerFile, insert: (String) throws -> String?) async throws {
        let host = try await test.start()
        var left = 0
        for (name, text) in Self.bad {
            for verb in ["enqueue", "trigger"] {
                let answer = try await post(test, verb, name)
                #expect(["400", "413"].contains(answer.status), "\(verb) \(name): \(answer)")
                #expect(answer.body.number(after: "status") == Int(answer.status) && !answer.body.contains("\"detail\":\"\""), "\(verb) \(name): \(answer)")
                let command = try await test.jobhost(verb, "mint", "--payload", "@\(name).json")
                #expect(command.code == 2 && command.errors.count > 20 && command.output.isEmpty, "\(verb) \(name): \(command)")
            }
            let exec = try await test.jobhost("exec", "mint", "--payload", "@\(name).json")
            #expect(exec.code == 2, "\(name): \(exec)")
            if let said = try insert(text) { #expect(said.count > 20, "\(name): \(said)") } else { left += 1 }
        }
        var at = 0
        for _ in 0..<left { at = try await host.logs("enqueue_inbox row", "for 'mint' is refused: ", from: at) + 1 }
        #expect(try ledger.number("SELECT count(*) FROM enqueue_inbox WHERE refused IS NULL") == 0)
        #expect(try ledger.number("SELECT count(*) FROM enqueue_inbox WHERE length(refused) > 10") == left)
        let longest = try ledger.number("SELECT max(length(CAST(payload AS text))) FROM enqueue_inbox")
        #expect(longest < 2_000, "of ten megabytes that are no payload \(longest) stay")
        #expect(try ledger.number("SELECT count(*) FROM runs") == 0)

        // By each door a good one gets in.
        #expect(try await post(test, "enqueue", "good").status == "200")
        #expect(try await test.jobhost("enqueue", "mint", "--payload", "@good.json").code == 0)
        #expect(try insert(Self.good) == nil)
        let sent = try await test.jobhost("trigger", "sender", "--wait")
        #expect(sent.code == 0, "\(sent)")
        var told: [String: Int] = [:]
        for line in (Proc.text(of: test.folder + "/told") ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            told[String(words[0])] = Int(words[1])
        }
        #expect(told["good"] == 0)
        for (name, _) in Self.bad where name != "schema" && name != "escaped" { #expect(told[name].map { $0 != 0 } == true, "\(name) \(told)") }
        // What only the host knows it says where the run is.
        at = 0
        for _ in told.values.filter({ $0 == 0 }).dropFirst() {
            at = try await host.logs("it enqueued a run of mint, which is refused: its payload", from: at) + 1
        }
        at = 0
        for _ in 0..<4 { at = try await host.logs("✓ mint", from: at) + 1 }
        host.signal(SIGTERM)
        #expect(await host.exitCode() == 0)
        #expect(try ledger.texts("SELECT DISTINCT payload FROM runs WHERE job = 'mint'").allSatisfy { $0.replacing(" ", with: "") == "{\"asset\":7}" })
        #expect(try ledger.texts("SELECT state FROM runs WHERE job = 'mint'") == Array(repeating: "succeeded", count: 4))
    }

    private func post(_ test: TestHost, _ verb: String, _ name: String) async throws -> (status: String, body: String) {
        let curl = try Child(
            "/usr/bin/env",
            ["curl", "-sS", "--unix-socket", test.folder + "/var/jobhost.sock", "--data-binary", "@\(name)-body.json", "-H", "Content-Type: application/json"]
                + ["-H", "Expect:", "-w", "\\n%{http_code}", "http://localhost/api/v1/jobs/mint/\(verb)"],
            environment: TestHost.environment(), folder: test.folder)
        _ = await curl.exitCode()
        let lines = curl.output.all
        return (lines.last ?? "", lines.dropLast().joined(separator: "\n") + curl.errors.all.joined(separator: "\n"))
    }
}
