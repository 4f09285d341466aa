import Glibc
import Testing

/// Webhooks over TLS, to a server on the loopback with an authority of its own.
@Suite("https webhooks, end to end", .timeLimit(.minutes(8))) struct WebhookTests {
    /// Prints "port N", then a line for each request. /moved sends elsewhere, /broken is an error.
    private static let server = #"""
        from http.server import BaseHTTPRequestHandler, HTTPServer
        from json import dumps, loads
        from ssl import PROTOCOL_TLS_SERVER, SSLContext
        class Hook(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                print(dumps([self.path, self.headers["X-Jobhost-Signature"], self.headers["Content-Type"], loads(body)["alerts"][0]["text"]]), flush=True)
                self.send_response({"/moved": 302, "/broken": 500}.get(self.path, 204))
                if self.path == "/moved":
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
            def do_GET(self):
                print("GET " + self.path, flush=True)
                self.send_response(200)
                self.end_headers()
            def log_message(self, *_):
                pass
        class Quiet(HTTPServer):
            def handle_error(self, *_):
                pass
        server = Quiet(("127.0.0.1", 0), Hook)
        context = SSLContext(PROTOCOL_TLS_SERVER)
        context.load_cert_chain("server.pem", "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        print("port", server.server_address[1], flush=True)
        server.serve_forever()
        """#

    private static let certificates = """
        set -e
        key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        openssl req -x509 $key -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
        openssl req $key -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost' > names
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
        """

    private func config(_ alerts: String) -> String {
        "[alerts]\ngather = \"0s\"\nsecret = \"file:sign.key\"\n\(alerts)\n[plugins.p]\nlibrary = \"libp.so\"\n"
            + "[jobs.j]\nplugin = \"p\"\nentry = \"run\"\nschedule = \"none\"\nretry = { max_attempts = 1 }\n"
    }

    @Test("A webhook over TLS gets its message, signed, from a host that has verified who it is")
    func overTLS() async throws {
        try await TestHost.with { test in
            try test.write("s3cret\n", to: "sign.key")
            let made = try test.run("/bin/sh", "-c", Self.certificates)
            #expect(await made.exitCode() == 0, "\(made.errors.all)")
            let server = try test.run("/usr/bin/env", "python3", "-c", Self.server)
            let port = try #require(await server.output.next(where: { $0.hasPrefix("port ") })).line.dropFirst(5)
            // What a quoted text of curl's could trip over.
            try await test.plugin(
                "p", PluginSource.entry(#"context->fail(context, 7, JOB_STR("it said \"no\\way\"\nurl = \"file:///etc/passwd\" {a,b} @x %{y} é")); return JOB_FAILED;"#))
            try test.write("https://localhost:\(port)/hook?key=hidden\n", to: "hook.url")
            try test.config(config("webhooks = [\"file:hook.url\"]\nca_file = \"ca.pem\""))
            let host = try await test.start()
            #expect(try await test.jobhost("alert", "test").code == 0)
            let first = try #require(await server.output.next(where: { $0.hasPrefix("[") }))
            #expect(first.line.contains(#"["/hook?key=hidden", "sha256="#) && first.line.contains("application/json") && first.line.contains("a test of the alerts"))
            try await test.jobhost("trigger", "j", "--wait")
            let dead = try #require(await server.output.next(from: first.index + 1, where: { $0.hasPrefix("[") }))
            #expect(dead.line.contains(#"it said \"no\\way\""#) && dead.line.contains("{a,b} @x %{y}"), "\(dead.line)")
            // Who reads the list may not know how to send.
            let list = try await test.jobhost("alert", "list").output
            #expect(list.contains("https://localhost:\(port)/…") && !list.contains("hidden"), "\(list)")
            #expect(!host.errors.all.joined().contains("hidden"))
        }
    }

    @Test("Who cannot prove who it is, errs, or sends elsewhere has not taken the message")
    func refused() async throws {
        try await TestHost.with { test in
            try test.write("s3cret\n", to: "sign.key")
            let made = try test.run("/bin/sh", "-c", Self.certificates)
            #expect(await made.exitCode() == 0, "\(made.errors.all)")
            let server = try test.run("/usr/bin/env", "python3", "-c", Self.server)
            let port = try #require(await server.output.next(where: { $0.hasPrefix("port ") })).line.dropFirst(5)
            try await test.plugin("p", PluginSource.succeeds)
            try test.config(config("webhooks = [\"https://localhost:\(port)/hook\"]"))
            _ = try await test.start()
            let unknown = try await test.jobhost("alert", "test")
            #expect(unknown.code == 1 && unknown.output.contains("SSL certificate problem: unable to get local issuer certificate"), "\(unknown.output)")
            for (url, problem) in [
                ("https://127.0.0.1:\(port)/hook", "no alternative certificate subject name matches"), ("https://localhost:\(port)/broken", "returned error: 500"),
                ("https://localhost:\(port)/moved", "Maximum (0) redirects followed"),
            ] {
                try test.config(config("webhooks = [\"\(url)\"]\nca_file = \"ca.pem\""))
                #expect(try await test.jobhost("reload").code == 0)
                let answer = try await test.jobhost("alert", "test")
                #expect(answer.code == 1 && answer.output.contains(problem), "\(answer.output)")
            }
            // Nobody whose certificate was refused has seen a message, and nobody was sent elsewhere.
            server.signal(SIGKILL)
            _ = await server.exitCode()
            #expect(server.output.all.filter { $0.contains("/hook") || $0.hasPrefix("GET") } == [])
        }
    }
}
