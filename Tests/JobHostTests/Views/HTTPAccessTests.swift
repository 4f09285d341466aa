import Hummingbird
import JobConfig
import JobCore
import Testing

@testable import JobHost

/// Who may do what over TCP, as a table.
struct HTTPAccessTests {
    private static let (read, act) = ("read-0123456789abcdef", "act-0123456789abcdef0")

    private func access(read: Bool = false, act: Bool = true) -> HTTPAccess {
        HTTPAccess(
            readTokens: read ? [AccessToken(name: "grafana", secret: Self.read)] : [],
            actTokens: act ? [AccessToken(name: "alice", secret: Self.act)] : [], allowedOrigins: ["https://desk.example"])
    }

    private func verdict(
        _ access: HTTPAccess, _ method: HTTPRequest.Method = .get, _ path: String = "/api/v1/status", host: String = "127.0.0.1:9480",
        origin: String? = nil, token: String? = nil
    ) -> String {
        let credentials = Credentials(
            method: method, path: path, authority: host, origin: origin, authorization: token.map { "Bearer \($0)" }, address: "10.0.0.7")
        return switch access.judge(credentials) {
        case .passes(let caller): "\(caller.name)\(caller.mayAct ? " acts" : "")"
        case .refused(let problem, let isFailure): "\(problem.status)\(isFailure ? " counted" : "")"
        case .preflight: "preflight"
        }
    }

    @Test func withoutTokensThisMachineReads() {
        for host in ["127.0.0.1:9480", "localhost", "localhost:9480", "[::1]:9480", "[::1]", "127.0.0.1"] {
            #expect(verdict(access(), host: host) == "10.0.0.7", "\(host)")
        }
        for host in ["evil.example:9480", "localhost.evil.example", "", "127.0.0.1.evil.example", "10.0.0.1:9480"] {
            #expect(verdict(access(), host: host) == "403", "\(host)")
        }
    }

    @Test func withReadTokensNobodyReadsWithoutOne() {
        #expect(verdict(access(read: true)) == "401")
        #expect(verdict(access(read: true), host: "desk.example", token: Self.read) == "grafana from 10.0.0.7")
        #expect(verdict(access(read: true), token: Self.act) == "alice from 10.0.0.7 acts")
        #expect(verdict(access(read: true), token: "nonsense") == "401 counted")
        for path in ["/", "/app.js", "/livez", "/readyz"] { #expect(verdict(access(read: true), .get, path) == "10.0.0.7", "\(path)") }
        for path in ["/metrics", "/healthz", "/api/v1", "/app.js/../api/v1"] { #expect(verdict(access(read: true), .get, path) == "401", "\(path)") }
    }

    @Test func nothingIsWrittenWithoutAnActingToken() {
        for method in [HTTPRequest.Method.post, .put, .delete, .patch, .options] {
            #expect(verdict(access(), method) == "401", "\(method)")
            #expect(verdict(access(act: false), method) == "403", "\(method)")
        }
        #expect(verdict(access(read: true), .post, token: Self.read) == "403")
        #expect(verdict(access(), .post, token: Self.act) == "alice from 10.0.0.7 acts")
        #expect(verdict(access(), .post, token: String(Self.act.dropLast())) == "401 counted")
        #expect(verdict(access(), .post, token: Self.act + "0") == "401 counted")
    }

    @Test func noPageActsInItsVisitorsName() {
        #expect(verdict(access(), .post, origin: "http://127.0.0.1:9480", token: Self.act) == "alice from 10.0.0.7 acts")
        #expect(verdict(access(), .post, host: "jobs.example", origin: "https://jobs.example", token: Self.act) == "alice from 10.0.0.7 acts")
        for origin in ["https://evil.example", "null", "http://127.0.0.1:8080", "https://desk.example", "http://"] {
            #expect(verdict(access(), .post, origin: origin, token: Self.act) == "403", "\(origin)")
        }
    }

    @Test func allowedPagesReadAndAskBefore() {
        let open = access(), closed = access(read: true)
        #expect(verdict(open, .options, origin: "https://desk.example") == "preflight")
        #expect(verdict(open, .options, origin: "https://evil.example") == "403")
        #expect(verdict(closed, origin: "https://desk.example", token: Self.read) == "grafana from 10.0.0.7")
        #expect(verdict(closed, origin: "https://evil.example", token: Self.read) == "403")
        #expect(open.mayRead("https://desk.example") && !open.mayRead("https://evil.example"))
    }

    @Test func guessingIsBarredAndForgivenByAddress() {
        var limit = FailureLimit()
        let start = MonotonicInstant(microseconds: 5_000_000)
        for _ in 0..<10 {
            #expect(!limit.isBarred("a", now: start))
            limit.failed("a", now: start)
        }
        #expect(limit.isBarred("a", now: start))
        #expect(!limit.isBarred("b", now: start))
        #expect(limit.isBarred("a", now: start + .milliseconds(5_999)))
        #expect(!limit.isBarred("a", now: start + .seconds(6)))
        limit.failed("a", now: start + .seconds(6))
        #expect(limit.isBarred("a", now: start + .seconds(7)))
    }

    /// A flood of addresses makes no room for a guesser.
    @Test func theTableIsBoundedAndKeepsTheNewest() {
        var limit = FailureLimit()
        let start = MonotonicInstant(microseconds: 0)
        for n in 0..<3_000 { for _ in 0..<10 { limit.failed("10.0.\(n)", now: start + .microseconds(Int64(n))) } }
        #expect(limit.isBarred("10.0.2999", now: start + .milliseconds(3)))
        #expect(!limit.isBarred("10.0.0", now: start + .milliseconds(3)))
    }
}
