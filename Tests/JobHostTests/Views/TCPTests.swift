import Glibc
import JobConfig
import JobCore
import JobJSON
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import JobHost

/// The real listener on a loopback port.
struct TCPTests {
    private static let token = "0123456789abcdef0123456789abcdef"
    /// What each answer carries.
    private static let strict = [
        "Content-Security-Policy: default-src 'none'; ", "X-Content-Type-Options: nosniff\r\n", "X-Frame-Options: DENY\r\n",
        "Referrer-Policy: no-referrer\r\n", "Cross-Origin-Opener-Policy: same-origin\r\n", "Cross-Origin-Resource-Policy: same-origin\r\n",
        "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n",
    ]

    private func settings(_ listen: String? = "127.0.0.1:0", read: String? = nil, act: String? = token) -> HTTPSettings {
        var http = HTTPSettings(listen: listen)
        http.readTokens = read.map { [AccessToken(name: "reader", secret: $0)] } ?? []
        http.actTokens = act.map { [AccessToken(name: "alice", secret: $0)] } ?? []
        http.allowedOrigins = ["https://desk.example"]
        return http
    }

    private func port(_ serving: APIServer.Serving) throws -> Int {
        guard case .serves(let authority, _) = serving else { throw HostFailure(message: "\(serving)") }
        return try #require(authority.split(separator: ":").last.flatMap { Int($0) })
    }

    @Test func itReadsForThisMachineAndActsForTokens() async throws {
        try await withServer { host, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let read = try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: 127.0.0.1:\(port)")
            let evil = try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: evil.example")
            let page = try await tcp(port, "GET / HTTP/1.1\r\nHost: 127.0.0.1:\(port)")
            let nothing = try await tcp(port, "GET /nothing HTTP/1.1\r\nHost: 127.0.0.1:\(port)")
            for (answer, status) in [(read, 200), (page, 200), (evil, 403), (nothing, 404)] {
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(answer.prefix(80))")
                for header in Self.strict { #expect(answer.lowercased().contains("\r\n\(header.lowercased())"), "\(header) of \(status)") }
            }
            #expect(read.lowercased().contains("\r\ncache-control: no-store\r\n"))
            let post = "POST /api/v1/reload HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nContent-Length: 0"
            let without = try await tcp(port, post)
            #expect(without.hasPrefix("HTTP/1.1 401"))
            #expect(without.contains("www-authenticate: Bearer") || without.contains("WWW-Authenticate: Bearer"))
            #expect(try await tcp(port, post + "\r\nOrigin: https://evil.example\r\nAuthorization: Bearer \(Self.token)").hasPrefix("HTTP/1.1 403"))
            #expect(host.commands.isEmpty)
            #expect(try await tcp(port, post + "\r\nAuthorization: Bearer \(Self.token)").hasPrefix("HTTP/1.1 200"))
            let actor = try #require(host.commands.first?.actor)
            #expect(actor.name == "alice from 127.0.0.1")
            #expect(actor.via == "http")
        }
    }

    /// Whoever comes while the host starts is told so, and whoever comes while the API takes over finds the door open.
    @Test func theDoorkeepersDoorsStayOpen() async throws {
        try await withServer { _, socket, server in
            let path = socket + ".door"
            let keeper = Doorkeeper(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            try await keeper.stand(socketPath: path, http: settings())
            let doors = try #require(await keeper.leave())
            let port = try #require(doors.tcp?.listener.port)
            let ready = "/readyz HTTP/1.1\r\nHost: 127.0.0.1:\(port)"
            let starting = try await tcp(port, "GET " + ready)
            #expect(starting.hasPrefix("HTTP/1.1 503") && starting.hasSuffix("starting\n"))
            #expect(try await tcp(port, "HEAD " + ready).hasSuffix("\r\n\r\n"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        for _ in 0..<25 {
                            let answer = try await tcp(port, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1:\(port)")
                            #expect(answer.hasPrefix("HTTP/1.1 200"), "\(answer)")
                        }
                    }
                }
                await server.take(over: doors)
                #expect(try await raw(unix: path, "GET /api/v1/host HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").hasPrefix("HTTP/1.1 200"))
                #expect(try await tcp(port, "GET " + ready).hasPrefix("HTTP/1.1 503"))
                #expect(try self.port(try await server.serve(settings(), stateDir: "/nowhere")) == port)
                #expect(try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: 127.0.0.1:\(port)").hasPrefix("HTTP/1.1 200"))
                try await group.waitForAll()
            }
        }
    }

    @Test func thePageIsServedWithItsTag() async throws {
        try await withServer { _, _, server in
            let port = try port(try await server.serve(settings(read: "another-0123456789abcdef"), stateDir: "/nowhere"))
            let page = try await tcp(port, "GET / HTTP/1.1\r\nHost: x")
            #expect(page.hasPrefix("HTTP/1.1 200") && page.contains("<title>"))
            let tag = try #require(PageFiles.file(at: "/")?.digest)
            // What it is made of stays what it is, so no browser asks for it twice.
            let style = try await tcp(port, "GET /\(PageFiles.place)/style.css HTTP/1.1\r\nHost: x")
            #expect(page.contains("\"\(PageFiles.place)/app.js\"") && style.hasPrefix("HTTP/1.1 200") && style.contains("immutable"))
            let again = try await tcp(port, "GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"\(tag)\"")
            #expect(again.hasPrefix("HTTP/1.1 304") && !again.contains("<title>"))
            #expect(try await tcp(port, "GET /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1").hasPrefix("HTTP/1.1 401"))
            for path in ["/../jobs.toml", "/%2e%2e/jobs.toml", "//etc/passwd", "/static/index.html", "/app.js%00"] {
                let answer = try await tcp(port, "GET \(path) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(Self.token)")
                #expect(answer.hasPrefix("HTTP/1.1 404") || answer.hasPrefix("HTTP/1.1 400"), "\(path): \(answer.prefix(60))")
            }
        }
    }

    /// What stands at the document's end; nil: nothing.
    private func standing(_ document: String) -> Substring? {
        guard let begin = document.firstRange(of: "<script type=\"application/json\" id=\"first\">") else { return nil }
        return document[begin.upperBound...].firstRange(of: "</script>").map { document[begin.upperBound..<$0.lowerBound] }
    }

    /// The document with the answer in it. It does not wait for one for longer than half a second, which on a busy machine is
    /// not always enough.
    private func answered(_ document: () async throws -> String) async throws -> String {
        for _ in 0..<50 {
            let text = try await document()
            if standing(text) != nil { return text }
        }
        return try await document()
    }

    @Test func whatThePageAsksFirstStandsInItsDocumentForWhoMayRead() async throws {
        try await withServer { host, socket, server in
            host.edit { $0.jobs[0].problems = ["</script><script>alert(1)</script>"] }
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let document = try await answered { try await tcp(port, "GET / HTTP/1.1\r\nHost: 127.0.0.1:\(port)") }
            #expect(document.contains("<html data-first=\"\(PageDocument.rows)\" lang=") && document.lowercased().contains("cache-control: no-store"))
            let answer = try JSON(parsing: String(try #require(standing(document))))
            let asked = try await tcp(port, "GET /api/v1/overview?first=\(PageDocument.rows) HTTP/1.1\r\nHost: 127.0.0.1:\(port)")
            #expect(answer == (try JSON(parsing: String(try #require(asked.firstRange(of: "\r\n\r\n").map { asked[$0.upperBound...] })))))
            #expect(answer["jobs"]?.arrayValue?.first?["problems"]?.arrayValue?.first?.stringValue == "</script><script>alert(1)</script>")
            let overSocket = try await answered { try await raw(unix: socket, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") }
            #expect(standing(overSocket) != nil)
            // A page elsewhere whose name was made to lead here; and where reading needs a token, which a browser sends with no document.
            #expect(standing(try await tcp(port, "GET / HTTP/1.1\r\nHost: evil.example")) == nil)
            #expect(standing(try await tcp(port, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1:\(port)")) == nil)
            _ = try await server.serve(settings(read: "another-0123456789abcdef"), stateDir: "/nowhere")
            #expect(standing(try await tcp(port, "GET / HTTP/1.1\r\nHost: 127.0.0.1:\(port)")) == nil)
            let withToken = try await answered { try await tcp(port, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer another-0123456789abcdef") }
            #expect(standing(withToken) != nil)
        }
    }

    @Test(.timeLimit(.minutes(5))) func theDocumentEndsThoughTheHostDoesNotAnswer() async throws {
        try await withServer { host, _, server in
            let (released, release) = AsyncStream.makeStream(of: Void.self)
            host.onSnapshot { for await _ in released {} }
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let document = try await tcp(port, "GET / HTTP/1.1\r\nHost: 127.0.0.1:\(port)")
            #expect(document.contains("</html>") && standing(document) == nil)
            release.finish()
        }
    }

    @Test func pagesElsewhereReadIfAllowed() async throws {
        try await withServer { _, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let read = try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: localhost\r\nOrigin: https://desk.example")
            #expect(read.lowercased().contains("access-control-allow-origin: https://desk.example"))
            let foreign = try await tcp(port, "GET /api/v1/host HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example")
            #expect(!foreign.lowercased().contains("access-control-allow-origin"))
            // What a market's page counts down by.
            let timer = try await tcp(port, "GET /api/v1/timer?entry=roll HTTP/1.1\r\nHost: localhost\r\nOrigin: https://desk.example")
            #expect(timer.hasPrefix("HTTP/1.1 200") && timer.lowercased().contains("access-control-allow-origin: https://desk.example"))
            #expect(timer.contains("\"entry\":\"roll\"") && timer.contains("\"now\":"))
            let before = try await tcp(
                port, "OPTIONS /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nOrigin: https://desk.example\r\nAccess-Control-Request-Method: GET")
            #expect(before.hasPrefix("HTTP/1.1 204"))
            #expect(before.lowercased().contains("access-control-allow-methods: get, head"))
        }
    }

    @Test func guessersAreHeldOff() async throws {
        try await withServer { _, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let head = "GET /api/v1/host HTTP/1.1\r\nHost: localhost"
            for _ in 0..<10 { #expect(try await tcp(port, head + "\r\nAuthorization: Bearer wrong").hasPrefix("HTTP/1.1 401")) }
            let held = try await tcp(port, head + "\r\nAuthorization: Bearer another")
            #expect(held.hasPrefix("HTTP/1.1 429"))
            #expect(held.lowercased().contains("retry-after: 6"))
            #expect(try await tcp(port, head).hasPrefix("HTTP/1.1 200"))
            // Whoever has a right one is not held up by those who share the address.
            #expect(try await tcp(port, head + "\r\nAuthorization: Bearer \(Self.token)").hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func aReloadRotatesTokensOnTheSameListener() async throws {
        try await withServer { _, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            #expect(try await server.serve(settings(), stateDir: "/nowhere") == .unchanged)
            let other = "fedcba9876543210fedcba9876543210"
            _ = try await server.serve(settings(act: other), stateDir: "/nowhere")
            let head = "GET /api/v1/host HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
            #expect(try await tcp(port, head + Self.token).hasPrefix("HTTP/1.1 401"))
            #expect(try await tcp(port, head + other).hasPrefix("HTTP/1.1 200"))
            #expect(try await server.serve(settings(nil), stateDir: "/nowhere") == .off)
            // The kernel may let one more in; nobody answers it.
            #expect((try? await tcp(port, head + other)) ?? "" == "")
        }
    }

    @Test func aTakenPortIsSaidAndTakenOnceItIsFree() async throws {
        try await withServer { _, _, server in
            let other = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
            let taken = "127.0.0.1:\(try #require(other.localAddress?.port))"
            let error = await #expect(throws: APIServerError.self) { try await server.serve(settings(taken), stateDir: "/nowhere") }
            #expect(error?.message == "\(taken) is already in use by another program")
            try await other.close().get()
            // The kernel gives a closed port back in its own time; the host tries again as well.
            var serving: APIServer.Serving?
            for _ in 0..<1_000 where serving == nil { serving = try? await server.serve(settings(taken), stateDir: "/nowhere") }
            #expect(serving == .serves(authority: taken, actTokenFile: nil))
        }
    }

    /// On this machine a host without a configured token makes one, for its own user only.
    @Test func theHostMakesAnActingTokenOfItsOwn() async throws {
        let folder = try TestFolder()
        let path = folder.path
        try await withServer { host, _, server in
            let serving = try await server.serve(settings(act: nil), stateDir: path)
            let port = try port(serving)
            #expect(serving == .serves(authority: "127.0.0.1:\(port)", actTokenFile: path + "/act.token"))
            var info = stat()
            #expect(stat(path + "/act.token", &info) == 0 && info.st_mode & 0o777 == 0o600)
            let token = try Files.read(path + "/act.token").trimmingSuffix { $0.isNewline }
            #expect(token.count == 64)
            let post = "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer "
            #expect(try await tcp(port, post + token).hasPrefix("HTTP/1.1 200"))
            #expect(host.commands.count == 1)
            // Kept over restarts of the listener.
            #expect(try TokenFile(stateDir: path).token() == token)
        }
    }

    @Test func addressesOfOtherMachinesGetNoTokenOfThemselves() async throws {
        let folder = try TestFolder()
        let path = folder.path
        try await withServer { _, _, server in
            let port = try port(try await server.serve(settings("0.0.0.0:0", read: "another-0123456789abcdef", act: nil), stateDir: path))
            let post = try await tcp(port, "POST /api/v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer another-0123456789abcdef")
            #expect(post.hasPrefix("HTTP/1.1 403") && post.contains("nobody may act over TCP here"))
            #expect(access(path + "/act.token", F_OK) != 0)
        }
    }

    /// Its length, and no byte of it: the next answer on the connection begins where the head ends.
    @Test func headIsGetWithoutTheBody() async throws {
        try await withServer { host, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            for (path, status) in [
                ("/api/v1/jobs", 200), ("/api/v1/plugins", 200), ("/metrics", 200), ("/livez", 200), ("/", 200), ("/api/v1/events", 200),
                ("/api/v1/jobs/nobody", 404), ("/nowhere", 404), ("/api/v1/reload", 405),
            ] {
                let both = try await tcp(port, "HEAD \(path) HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost")
                let answers = both.split(separator: "HTTP/1.1 ", omittingEmptySubsequences: false)
                try #require(answers.count == 3, "\(path): \(both.prefix(300))")
                #expect(answers[1].hasPrefix("\(status) ") && answers[1].hasSuffix("\r\n\r\n"), "\(path): \(answers[1])")
                #expect(answers[2].hasPrefix("200 ") && answers[2].hasSuffix("\r\n\r\nok\n"), "\(path): \(answers[2])")
                // What is sent as it comes has no length.
                guard path != "/api/v1/events", path != "/metrics", path != "/" else { continue }
                let get = try await tcp(port, "GET \(path) HTTP/1.1\r\nHost: localhost")
                func field(_ name: String, of answer: some StringProtocol) -> String? {
                    answer.split(separator: "\r\n").first { $0.lowercased().hasPrefix(name + ": ") }.map { String($0) }
                }
                // Of a refusal that names the method, the length is another.
                if status != 405 { #expect(field("content-length", of: answers[1]) == field("content-length", of: get), "\(path)") }
                if let tag = field("etag", of: get) { #expect(field("etag", of: answers[1]) == tag, "\(path)") }
            }
            #expect(host.commands.isEmpty)
            // A stream that nobody reads does not stay.
            try await eventually { server.hub.figures.listeners == 0 }
        }
    }

    // MARK: Those who cost

    @Test func slowClientsAreCutOff() async throws {
        var limits = HTTPLimits.patient
        limits.idle = .milliseconds(200)
        limits.body = .milliseconds(200)
        try await withServer(limits: limits) { _, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            // Each sends the beginning of something and then nothing: the server ends it.
            for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nAuthorization: Bearer \(Self.token)\r\n\r\n{"] {
                _ = try await raw(port, beginning)
            }
            // On a busy machine a quick one may be too slow as well.
            var answer = ""
            for _ in 0..<100 where answer.isEmpty { answer = try await tcp(port, "GET /livez HTTP/1.1\r\nHost: x") }
            #expect(answer.hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test("A client that sends byte after byte is cut off at the limit all the same, and others are served meanwhile", .timeLimit(.minutes(5)))
    func dripsAreCutOff() async throws {
        var limits = HTTPLimits.patient
        (limits.idle, limits.body) = (.seconds(3), .seconds(3))
        try await withServer(limits: limits) { host, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let head = "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "
            let body = "POST /api/v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nAuthorization: Bearer \(Self.token)\r\n\r\n"
            for beginning in [head, body, "G"] {
                let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port).get()
                try await channel.writeAndFlush(ByteBuffer(string: beginning)).get()
                let drip = channel.eventLoop.scheduleRepeatedTask(initialDelay: .zero, delay: .milliseconds(50)) { _ in
                    channel.writeAndFlush(ByteBuffer(string: "a"), promise: nil)
                }
                // A quick one may be too slow as well on a busy machine.
                var answer = ""
                for _ in 0..<100 where answer.isEmpty { answer = try await tcp(port, "GET /livez HTTP/1.1\r\nHost: x") }
                #expect(answer.hasPrefix("HTTP/1.1 200"))
                try await channel.closeFuture.get()
                drip.cancel()
            }
            #expect(host.commands.isEmpty)
        }
    }

    @Test("One address cannot have all connections: what it has beyond its share is closed, and others are served", .timeLimit(.minutes(5)))
    func connectionsOfOneAddressAreBounded() async throws {
        var limits = HTTPLimits.patient
        (limits.connections, limits.connectionsOfOne, limits.idle) = (8, 4, .hours(1))
        try await withServer(limits: limits) { _, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            func connect(from source: String) async throws -> any Channel {
                try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .bind(to: SocketAddress(ipAddress: source, port: 0)).connect(host: "127.0.0.1", port: port).get()
            }
            var held: [any Channel] = []
            for _ in 0..<4 { held.append(try await connect(from: "127.0.0.1")) }
            // Which of them are let in is the system's choice.
            for _ in 0..<3 { held.append(try await connect(from: "127.0.0.1")) }
            try await eventually { held.count { $0.isActive } == 4 }
            let other = try await connect(from: "127.0.0.2")
            #expect(other.isActive)
            #expect(try await raw(port, from: "127.0.0.3", "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").hasPrefix("HTTP/1.1 200"))
            let areHeld = held.count { $0.isActive } == 4
            #expect(areHeld)
            // Whoever leaves makes room.
            for channel in held where channel.isActive { try await channel.close().get() }
            var answer = ""
            try await eventually {
                answer = (try? await tcp(port, "GET /livez HTTP/1.1\r\nHost: x")) ?? ""
                return answer.hasPrefix("HTTP/1.1 200")
            }
            try await other.close().get()
        }
    }

    @Test("Over TCP nobody is the command line by calling itself so")
    func theAuditKnowsTheWay() async throws {
        try await withServer { host, socket, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let agent = "User-Agent: \(APIClientName.userAgent)"
            _ = try await tcp(port, "POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer \(Self.token)\r\n\(agent)")
            #expect(host.commands.map(\.actor.via) == ["http"])
            _ = try await ask(socket, "POST", "/api/v1/pause")
            _ = try await raw(unix: socket, "POST /api/v1/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            #expect(host.commands.map(\.actor.via) == ["http", "cli", "http"])
        }
    }

    @Test func hugeHeadsAreRefused() async throws {
        try await withServer { _, _, server in
            let port = try port(try await server.serve(settings(), stateDir: "/nowhere"))
            let long = "GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + String(repeating: "a", count: 9_000)
            let many = "GET /livez HTTP/1.1\r\nHost: x" + (0..<70).map { "\r\nX-\($0): a" }.joined()
            let much = "GET /livez HTTP/1.1\r\nHost: x" + (0..<40).map { "\r\nX-\($0): " + String(repeating: "a", count: 1_000) }.joined()
            for head in [long, many, much] {
                let answer = try await tcp(port, head)
                #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(80))")
            }
            #expect(try await tcp(port, "GET /livez HTTP/1.1\r\nHost: x").hasPrefix("HTTP/1.1 200"))
        }
    }
}

/// One raw request; all bytes until the server closes.
func tcp(_ port: Int, _ head: String) async throws -> String { try await raw(port, head + "\r\nConnection: close\r\n\r\n") }

func raw(_ port: Int, _ bytes: String) async throws -> String {
    try await exchange(bytes) { try await $0.connect(host: "127.0.0.1", port: port, channelInitializer: asAsync) }
}

func raw(_ port: Int, from source: String, _ bytes: String) async throws -> String {
    try await exchange(bytes) {
        try await $0.bind(to: SocketAddress(ipAddress: source, port: 0)).connect(host: "127.0.0.1", port: port, channelInitializer: asAsync)
    }
}

func raw(unix path: String, _ bytes: String) async throws -> String {
    try await exchange(bytes) { try await $0.connect(unixDomainSocketPath: path, channelInitializer: asAsync) }
}

private typealias RawChannel = NIOAsyncChannel<ByteBuffer, ByteBuffer>

@Sendable private func asAsync(_ channel: any Channel) -> EventLoopFuture<RawChannel> {
    channel.eventLoop.makeCompletedFuture { try RawChannel(wrappingChannelSynchronously: channel) }
}

private func exchange(_ bytes: String, _ connect: (ClientBootstrap) async throws -> RawChannel) async throws -> String {
    let channel = try await connect(ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton))
    return try await channel.executeThenClose { inbound, outbound in
        var text = ""
        // Whoever is cut off has what came until then.
        do {
            try await outbound.write(ByteBuffer(string: bytes))
            for try await part in inbound { text += String(buffer: part) }
        } catch {}
        return text
    }
}

extension String {
    fileprivate func trimmingSuffix(_ isPart: (Character) -> Bool) -> String {
        var out = self
        while let last = out.last, isPart(last) { out.removeLast() }
        return out
    }
}
