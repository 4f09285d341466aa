import JobConfig
import Testing

struct HTTPReaderTests {
    private let token = String(repeating: "a", count: 32)
    private func http(_ lines: String) -> String { "[http]\n" + lines + "\n" }

    @Test(arguments: [
        ("localhost:9480", "127.0.0.1", true), ("127.0.0.2:1", "127.0.0.2", true), ("[::1]:0", "::1", true),
        ("0.0.0.0:9480", "0.0.0.0", false), ("[::]:80", "::", false), ("192.168.1.4:80", "192.168.1.4", false),
        ("[fd00::7]:9480", "fd00::7", false),
    ])
    func addressesAreNumbers(_ text: String, _ host: String, _ isLoopback: Bool) throws {
        let address = try ListenAddress(text)
        #expect(address.host == host)
        #expect(address.isLoopback == isLoopback)
    }

    @Test(arguments: ["example.org:80", ":9480", "127.0.0.1", "127.0.0.1:99999", "127.0.0:1", "127.0.0.1:+1", "1.2.3.+4:1", "[::1:80", "[g::1]:80", ""])
    func whatIsNoAddressIsRefused(_ text: String) {
        #expect(throws: ListenAddress.Refusal.self) { try ListenAddress(text) }
    }

    @Test func otherMachinesNeedAToken() throws {
        #expect(
            findings(http("listen = \"0.0.0.0:9480\"")) == [
                "jobs.toml:2:10: 'listen' = \"0.0.0.0:9480\" is reached from other machines, which needs tokens "
                    + "(set read_token, and act_token if somebody is to act there; or listen on \"127.0.0.1:9480\")"
            ])
        let config = try load(http("listen = \"0.0.0.0:9480\"\nread_token = \"file:r\""), files: ["/etc/host/r": token])
        #expect(config.http.readTokens == [AccessToken(name: "read_token", secret: token)])
        #expect(config.http.actTokens.isEmpty)
    }

    @Test func aFileHoldsATokenALine() throws {
        let text = "# who may act\nalice \(token)1\n\n  \(token)2\r\nalice\t\(token)3\n"
        let config = try load(http("act_token = \"file:keys/act\""), files: ["/etc/host/keys/act": text])
        #expect(
            config.http.actTokens == [
                AccessToken(name: "alice", secret: token + "1"), AccessToken(name: "act_token", secret: token + "2"),
                AccessToken(name: "alice", secret: token + "3"),
            ])
    }

    @Test(arguments: [
        ("short", "line 1: a token has 32 … 256 visible ASCII characters"), ("# none\n", "line 1: it holds no token"),
        ("a b c", "line 1: expected a token, or a name and a token"),
        ("0123456789abcdef0123456789abcde", "line 1: a token has 32 … 256 visible ASCII characters"),
        ("\nal/ice 0123456789abcdef0123456789abcdef", "line 2: the name before the token may have up to 64 letters"),
    ])
    func whatIsNoTokenIsSaidWithoutIt(_ content: String, _ message: String) {
        let found = findings(http("read_token = \"file:r\""), files: ["/etc/host/r": content])
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("jobs.toml:2:14: the tokens' file /etc/host/r, \(message)") == true, "\(found)")
        #expect(found.first?.contains("0123456789") == false)
    }

    @Test func aTokenDoesNotStandInTheConfig() {
        let found = findings(http("act_token = \"hunter2hunter2hunter2\""))
        #expect(found.count == 1 && found[0].hasPrefix("jobs.toml:2:13: 'act_token' must be \"file:\" and the path"), "\(found)")
        #expect(!found[0].contains("hunter2"))
        #expect(findings(http("act_token = \"file:gone\"")) == ["jobs.toml:2:13: cannot read the tokens' file /etc/host/gone: no such file or directory"])
    }

    /// Whatever prints a config prints no token.
    @Test func aTokenIsNeverPrinted() throws {
        let config = try load(http("act_token = \"file:r\""), files: ["/etc/host/r": token])
        var dumped = ""
        dump(config, to: &dumped)
        for text in ["\(config)", String(reflecting: config), dumped] { #expect(!text.contains(token)) }
    }

    @Test func originsAreAsBrowsersWriteThem() throws {
        let config = try load(http("allowed_origins = [\"https://desk.example\", \"http://127.0.0.1:8080\"]"))
        #expect(config.http.allowedOrigins == ["https://desk.example", "http://127.0.0.1:8080"])
        for bad in ["*", "https://desk.example/", "https://Desk.example", "ftp://desk.example", "https://", "desk.example", "null"] {
            #expect(findings(http("allowed_origins = \"\(bad)\"")).count == 1, "\(bad)")
        }
    }

    @Test func outboxesAreDatabasesByName() throws {
        let secret = "postgresql://u:hunter2@db/x"
        let config = try load(http("outbox = { b = \"file:r\", a = \"sqlite:var/x.db\" }"), files: ["/etc/host/r": secret])
        #expect(config.http.outboxes == [OutboxSource(name: "a", url: "sqlite:/etc/host/var/x.db"), OutboxSource(name: "b", url: secret)])
        var dumped = ""
        dump(config, to: &dumped)
        for text in ["\(config)", String(reflecting: config), dumped] { #expect(!text.contains("hunter2")) }
        #expect(
            findings(http("outbox = { a = \"mysql://u:hunter2@db/x\" }")) == [
                "jobs.toml:2:16: 'outbox.a' must be \"sqlite:\" and a path or a \"postgresql://\" URL (as in \"sqlite:var/exchange.db\", or \"file:\" and the path of a file that holds it)"
            ])
        #expect(findings(http("outbox = { \"a b\" = \"sqlite:x\" }")).count == 1)
        let many = (1...9).map { "a\($0) = \"sqlite:x\"" }.joined(separator: ", ")
        #expect(findings(http("outbox = { \(many) }")).first?.contains("names 9 databases") == true)
    }

    @Test func aRotatedTokenIsAChange() throws {
        let text = http("act_token = \"file:r\"")
        let (old, new) = (try load(text, files: ["/etc/host/r": token]), try load(text, files: ["/etc/host/r": token + "2"]))
        #expect(ConfigDiff.diff(old: old, new: new).host == ["http.act_token"])
    }
}
