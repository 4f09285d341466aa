import Glibc
import JobJSON
import SQL
import Testing

/// What people are told when the host itself goes.
@Suite("Alerts over a host's end, end to end", .timeLimit(.minutes(8))) struct AlertTests {
    private static let job = Toml.plugin("p") + Toml.job("j", of: "p", Toml.once)

    @Test("SIGTERM: what is gathered is told before the host ends, by a program that it runs after its last worker")
    func lastWords() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("p", PluginSource.fails)
            try test.config(Self.job + Toml.alertsToBeacon.replacing("gather = \"0s\"", with: "gather = \"1h\""))
            let host = try await test.start()
            #expect(try await test.jobhost("trigger", "j", "--wait").code == 1)
            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            let message = try await beacon.hears("alert").rest
            #expect(message.contains("run 1 of j is a dead letter") && message.contains("no such account"), "\(message)")
        }
    }

    @Test("SIGKILL while nobody takes a message: the next life of the host sends it")
    func undelivered() async throws {
        try await TestHost.with { test in
            let beacon = try test.beacon()
            try await test.plugin("p", PluginSource.fails)
            // Nobody is there until the file is.
            try test.config(Self.job + Toml.alertsToBeacon.replacing("\"line=", with: "\"test -e there || exit 4; line="))
            let first = try await test.start()
            #expect(try await test.jobhost("trigger", "j", "--wait").code == 1)
            try await first.logs("an alert was not taken, it is tried again: /bin/sh exited with code 4")
            first.signal(SIGKILL)
            #expect(await first.exitCode() == -SIGKILL)
            try test.write("", to: "there")
            let second = try await test.start()
            let message = try await beacon.hears("alert").rest
            #expect(message.contains("run 1 of j is a dead letter") && message.contains("no such account"), "\(message)")
            second.signal(SIGTERM)
            #expect(await second.exitCode() == 0)
        }
    }

    /// Prints "port N", then for each message whether its signature is right, which delivery it is, and the message. Does
    /// not take the first one, so that it comes again.
    private static let receiver = #"""
        from hashlib import sha256
        from hmac import compare_digest, new
        from http.server import BaseHTTPRequestHandler, HTTPServer
        from json import dumps, loads
        class Hook(BaseHTTPRequestHandler):
            isFirst = True
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signed = self.headers["X-Jobhost-Timestamp"].encode() + b"." + body
                wanted = "sha256=" + new(b"s3cret", signed, sha256).hexdigest()
                taken, Hook.isFirst = not Hook.isFirst, False
                print(dumps({"signed": compare_digest(wanted, self.headers["X-Jobhost-Signature"]), "taken": taken,
                             "delivery": self.headers["X-Jobhost-Delivery"], "message": loads(body)}), flush=True)
                self.send_response(204 if taken else 503)
                self.end_headers()
            def log_message(self, *_):
                pass
        server = HTTPServer(("127.0.0.1", 0), Hook)
        print("port", server.server_address[1], flush=True)
        server.serve_forever()
        """#

    /// What the receiver has been told.
    private struct Told {
        struct Line {
            var message: Int
            var what: String
            var text: String
            var count: Int
        }
        let receiver: Child

        var messages: [JSON] { receiver.output.all.dropFirst().compactMap { try? JSON(parsing: Array($0.utf8)) } }

        /// Lines of the messages that were taken: "breaker_opened:b firing".
        var lines: [Line] {
            messages.filter { $0["taken"] == true }.enumerated().flatMap { index, told in
                (told["message"]?["alerts"]?.arrayValue ?? []).map { line in
                    Line(
                        message: index, what: "\(line["key"]?.stringValue ?? "") \(line["state"]?.stringValue ?? "")",
                        text: line["text"]?.stringValue ?? "", count: Int(line["count"]?.canonicalText ?? "") ?? 0)
                }
            }
        }

        func hears(_ words: String...) async throws {
            for what in words {
                while true {
                    let seen = receiver.output.all.count
                    if lines.contains(where: { $0.what == what }) { break }
                    guard await receiver.output.next(from: seen, where: { _ in true }) != nil else {
                        let failure = TestHost.Failure("nobody was told of \(what), but of \(lines.map(\.what))")
                        if Task.isCancelled { Issue.record(failure) }
                        throw failure
                    }
                }
            }
        }
    }

    @Test("Each kind of trouble of a real host arrives at a webhook, signed, those of one moment together, none twice, and when it is over")
    func everyKind() async throws {
        try await TestHost.with { test in
            let clock = try await ClockShift(test)
            clock.set(0)
            try test.write("s3cret\n", to: "sign.key")
            let receiver = try test.run("/usr/bin/env", "python3", "-c", Self.receiver)
            let port = try #require(await receiver.output.next(where: { $0.hasPrefix("port ") })).line.dropFirst(5)
            let told = Told(receiver: receiver)
            let fails = PluginSource.entry(
                #"if (asked(context, "fail")) { context->fail(context, 7, JOB_STR("no such account")); return JOB_FAILED; } return JOB_SUCCEEDED;"#)
            for plugin in ["p", "q"] { try await test.plugin(plugin, fails) }
            /// `listen`: the receiver's port is taken, 0 is not.
            func config(listen: Substring) throws {
                try test.config(
                    "[http]\nlisten = \"127.0.0.1:\(listen)\"\n[alerts]\ngather = \"3s\"\nsecret = \"file:sign.key\"\nwebhooks = [\"http://127.0.0.1:\(port)/hook\"]\n"
                        + Toml.plugin("p") + Toml.plugin("q") + Toml.job("other", of: "q", Toml.once)
                        + Toml.job("trips", of: "p", "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = { failures = 1 }")
                        + Toml.job("sick", of: "p", Toml.once) + "[jobs.sick.health]\ncritical = { failing_for = \"1ms\" }\n"
                        + Toml.job("tick", of: "p", "every = \"1s\"\ncatch_up = { policy = \"skip\" }"))
            }
            let (fail, good) = (#"{"how": "fail"}"#, #"{"how": "well"}"#)

            try config(listen: port)
            let host = try await test.start(clock.environment)
            try await host.logs("✓ tick")
            // All at once: a port that is taken, a job that fails, one whose breaker opens, fires that were jumped over, a
            // library that is none.
            for job in ["trips", "sick"] { #expect(try await test.jobhost("trigger", job, "--payload", fail, "--wait").code == 1) }
            clock.set(300)
            try await test.plugin("spare", fails)
            try test.write("no library", to: "plugins/libq.so")
            #expect(try await test.jobhost("reload").output.contains("q"))
            try await told.hears(
                "host_problem:http firing", "run_discarded:trips happened", "breaker_opened:trips firing", "run_discarded:sick happened",
                "job_critical:sick firing", "fires_missed:tick happened", "plugin_refused:q firing")
            // What one cause makes comes together.
            let cause = told.lines.filter { $0.what == "run_discarded:trips happened" || $0.what == "breaker_opened:trips firing" }
            #expect(cause.count == 2 && Set(cause.map(\.message)).count == 1, "\(told.lines)")
            #expect(told.lines.contains { $0.what == "breaker_opened:trips firing" && $0.text.contains("no such account") }, "\(told.lines)")

            // What is over is told; what goes on is not told again; what happens again is counted.
            for _ in 1...3 { #expect(try await test.jobhost("trigger", "sick", "--payload", fail, "--wait").code == 1) }
            let lock = try test.ledger.locked()
            try await told.hears("store_trouble firing")
            lock.close()
            try await host.logs("the store answers again")
            #expect(try await test.jobhost("trigger", "sick", "--payload", good, "--wait").code == 0)
            #expect(try await test.jobhost("breaker", "trips", "close").code == 0)
            try test.write("[host\n", to: "jobs.toml")
            #expect(try await test.jobhost("reload").code != 0)
            try await told.hears("store_trouble resolved", "job_critical:sick resolved", "breaker_opened:trips resolved", "reload_refused firing")
            rename(test.library("spare"), test.library("q"))
            try config(listen: "0")
            #expect(try await test.jobhost("reload").code == 0)
            clock.set(4 * 3_600)
            try await told.hears("plugin_refused:q resolved", "reload_refused resolved", "host_problem:http resolved", "clock_trouble firing")

            host.signal(SIGTERM)
            #expect(await host.exitCode() == 0)
            try await told.hears("run_discarded:sick happened")
            let (messages, lines) = (told.messages, told.lines)
            #expect(messages.allSatisfy { $0["signed"] == true && $0["delivery"] == $0["message"]?["id"] && $0["message"]?["host"] == "test" }, "\(messages)")
            // The one that was not taken came again as what it is; no other did.
            #expect(messages.count > 1 && messages[0]["message"] == messages[1]["message"])
            let ids = messages.dropFirst().compactMap { $0["delivery"]?.stringValue }
            #expect(Set(ids).count == ids.count, "\(ids)")
            let standing = lines.map(\.what).filter { !$0.hasSuffix("happened") }
            #expect(Set(standing).count == standing.count, "\(standing)")
            // Once at first, then what came since, with its count.
            #expect(lines.filter { $0.what == "run_discarded:sick happened" }.map(\.count) == [1, 3])
            let kinds: Set = [
                "breaker_opened", "run_discarded", "fires_missed", "job_critical", "plugin_refused", "reload_refused", "store_trouble", "clock_trouble",
                "host_problem",
            ]
            #expect(Set(lines.map { String($0.what.prefix { $0 != ":" && $0 != " " }) }) == kinds)
        }
    }
}
