import JobCore
import JobKit
import OutsideTestKit
import Testing

@testable import OutsideKit

@Suite struct HTTPTests {
    private func client(
        _ server: LoopbackServer, headers: [(name: String, value: String)] = [], largest: Int = 1 << 20
    ) throws -> HTTPClient {
        try HTTPClient(base: server.url, headers: headers, largest: largest)
    }
    private func attempt(_ limit: Duration = .seconds(300)) -> CallAttempt { CallAttempt("a question", timeLimit: limit) }

    /// The error of a request that gets no response.
    private func fault(
        _ reply: LoopbackServer.Reply, _ limit: Duration = .seconds(300), method: String = "GET"
    ) throws -> CallError {
        let server = try LoopbackServer { _ in reply }
        defer { server.close() }
        let client = try client(server)
        let error = #expect(throws: CallError.self) { _ = try client.send(HTTPRequest(method, "/x?signature=abc"), attempt(limit)) }
        return try #require(error)
    }

    @Test func `Requests go out as written, answers come back whole`() throws {
        let server = try LoopbackServer { request in
            .respond(201, headers: ["X-Weight": "7"], #"{"price": 0.1000, "path": "\#(request.path)"}"#)
        }
        defer { server.close() }
        let client = try client(server, headers: [("X-Key", "k1")])
        let request = HTTPRequest("POST", "/a/b?symbol=%EF%BC%91&x=a%2Bb", headers: [("X-Other", "o")], body: Array("hello".utf8))
        let response = try client.send(request, attempt())
        #expect(response.status == 201)
        #expect(response.headers["x-weight"] == "7")
        #expect(try response.json().objectValue?["price"] == .number("0.1000"))
        let seen = try #require(server.requests.first)
        #expect(seen.method == "POST")
        #expect(seen.path == "/a/b")
        #expect(seen.query == "symbol=%EF%BC%91&x=a%2Bb")
        #expect(seen.text == "hello")
        #expect(seen.headers["x-key"] == "k1")
        #expect(seen.headers["x-other"] == "o")
        #expect(seen.headers["cookie"] == nil)
    }

    @Test func `A connection serves one request after the other`() throws {
        let server = try LoopbackServer { _ in .json("1") }
        defer { server.close() }
        let client = try client(server)
        for _ in 0 ..< 20 { _ = try client.send(HTTPRequest("GET", "/"), attempt()) }
        #expect(server.requests.count == 20)
        #expect(server.connections == 1)
    }

    @Test(arguments: [400, 401, 403, 404, 418, 429, 500, 503])
    func `A status that is an error is an answer all the same`(status: Int) throws {
        let server = try LoopbackServer { _ in
            .respond(status, headers: ["WWW-Authenticate": "Basic realm=\"x\"", "Set-Cookie": "a=b"], #"{"code": -1}"#)
        }
        defer { server.close() }
        let client = try client(server)
        for _ in 0 ..< 2 {
            let response = try client.send(HTTPRequest("GET", "/"), attempt())
            #expect(response.status == status)
            #expect(try response.json().text == #"{"code":-1}"#)
        }
        #expect(server.requests.count == 2)
        #expect(server.requests.last?.headers["cookie"] == nil)
    }

    @Test func `What a status says by itself`() throws {
        func error(_ status: Int, _ headers: [String: String] = [:]) -> CallError.Kind? {
            HTTPResponse(status: status, headers: headers, body: [], what: "x", receivedAt: Instant(seconds: 1_000)).error?.kind
        }
        #expect(error(204) == nil)
        #expect(error(404) == .business)
        #expect(error(401) == .denied)
        #expect(error(500) == .unavailable)
        #expect(error(429) == .throttled(until: nil))
        #expect(error(429, ["retry-after": "30"]) == .throttled(until: Instant(seconds: 1_030)))
        #expect(error(503, ["retry-after": "1"]) == .throttled(until: Instant(seconds: 1_001)))
        #expect(error(503) == .unavailable)
    }

    @Test func `Retry-After is read as seconds and as a date`() {
        let now = Instant(seconds: 784_111_000)
        #expect(RetryAfter.instant("120", now: now) == Instant(seconds: 784_111_120))
        #expect(RetryAfter.instant(" 0 ", now: now) == now)
        // RFC 9110's own example.
        #expect(RetryAfter.instant("Sun, 06 Nov 1994 08:49:37 GMT", now: now) == Instant(seconds: 784_111_777))
        for text in ["", "soon", "-5", "1.5", "Sun, 06 Nov 1994", "Sun, 06 Foo 1994 08:49:37 GMT"] {
            #expect(RetryAfter.instant(text, now: now) == nil, "\(text)")
        }
    }

    @Test func `A dropped connection, garbage and half an answer are no answers`() throws {
        for reply in [
            LoopbackServer.Reply.drop, .raw("\u{1}\u{2}\u{3} what is this\n\n"),
            .raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"),
        ] {
            let error = try fault(reply)
            #expect(error.kind == .unavailable)
            #expect(!error.resultUnknown)
        }
    }

    @Test func `Whether a request that may not be repeated had its effect is unknown once it was sent`() throws {
        #expect(try fault(.drop, method: "POST").resultUnknown)
        let server = try LoopbackServer { _ in .drop }
        server.close()
        let client = try client(server)
        let error = #expect(throws: CallError.self) { _ = try client.send(HTTPRequest("POST", "/"), attempt()) }
        #expect(error?.resultUnknown == false)
        #expect(error?.text == "a question at http://127.0.0.1:\(server.port): no connection")
    }

    @Test func `No answer within the time limit is an error, also when it drips`() throws {
        #expect(try fault(.hang, .milliseconds(60)).text.hasSuffix("no answer within 60ms"))
        #expect(try fault(.stream(size: 1, count: 100_000, pause: 5), .milliseconds(60)).text.hasSuffix("no answer within 60ms"))
    }

    @Test(arguments: [
        LoopbackServer.Reply.respond(200, String(repeating: "y", count: 3 << 20)), .stream(size: 64 << 10, count: 100_000),
    ])
    func `An answer that is too large is broken off, whether its length was told or not`(reply: LoopbackServer.Reply) throws {
        let server = try LoopbackServer { _ in reply }
        defer { server.close() }
        let client = try client(server)
        let caught = #expect(throws: CallError.self) { _ = try client.send(HTTPRequest("GET", "/"), attempt()) }
        let error = try #require(caught)
        #expect(error.kind == .unavailable)
        #expect(error.text.hasSuffix("the answer is larger than 1048576 bytes"))
    }

    @Test func `A redirect within the origin is followed, to another one not`() throws {
        let other = try LoopbackServer { _ in .json("2") }
        defer { other.close() }
        let target = other.url
        let server = try LoopbackServer { request in
            switch request.path {
            case "/here": .respond(302, headers: ["Location": "/there"])
            case "/there": .json("1")
            default: .respond(302, headers: ["Location": "\(target)/stolen"])
            }
        }
        defer { server.close() }
        let client = try client(server, headers: [("X-Key", "secret")])
        #expect(try client.send(HTTPRequest("GET", "/here"), attempt()).json() == 1)
        let error = #expect(throws: CallError.self) { _ = try client.send(HTTPRequest("GET", "/away"), attempt()) }
        #expect(error?.text.hasSuffix("it redirects to another host, which is not followed") == true)
        #expect(other.requests.isEmpty)
    }

    @Test func `The end of the run ends a request at once`() throws {
        let server = try LoopbackServer { _ in .hang }
        defer { server.close() }
        let client = try client(server)
        let stop = Stop()
        let waiting = parallelMap([0, 1], width: 2) { index -> Bool in
            if index == 1 {
                server.waitForRequests(1)
                stop.monitor.change { $0 = true }
                return true
            }
            do {
                _ = try client.send(HTTPRequest("GET", "/"), CallAttempt(number: 1, what: "x", timeLimit: .seconds(600), stop: stop))
                return false
            } catch {
                return error is CancellationNotice
            }
        }
        #expect(waiting == [true, true])
    }

    @Test func `Messages have no path, no query, no credential`() throws {
        let error = try fault(.drop)
        #expect(error.text.hasPrefix("a question at http://127.0.0.1:"))
        #expect(!error.text.contains("/x"))
        #expect(!error.text.contains("abc"))
    }

    @Test(arguments: [
        "ftp://host", "host:80", "", "https://", "https://user:pw@host", "https://host/?key=abc", "https://host/#x",
    ])
    func `Addresses that cannot work or hold a credential are refused, without repeating them`(address: String) {
        let failure = #expect(throws: JobFailure.self) { _ = try HTTPClient.origin(of: address, key: "url") }
        #expect(failure?.kind == .badSettings)
        #expect(failure?.text.hasPrefix("url: ") == true)
        #expect(failure?.text.contains("pw") == false)
        #expect(failure?.text.contains("abc") == false)
    }

    @Test func `Only this machine is trusted with plain HTTP`() {
        #expect(HTTPClient.isProtected("https://api.binance.com"))
        #expect(HTTPClient.isProtected("http://127.0.0.1:80"))
        #expect(!HTTPClient.isProtected("http://10.0.0.1"))
    }
}
