import JobConfig
import JobCore
import Testing

struct HealthReaderTests {
    private func policy(_ health: String) throws -> HealthPolicy { try #require(try load(job("health = \(health)")).jobs["j"]).health }

    @Test func whatIsWrittenReplacesItsDefaultAndNothingElse() throws {
        let read = try policy(#"{ warning = { success_age = "60s", metrics = { gap = 1, "rate.x" = 0.5 } }, critical = { breaker = "none", errors_per_hour = 0 } }"#)
        #expect(read.warning == HealthBounds(
            successAge: .seconds(60), failingFor: .seconds(60), errorsPerHour: 5, breaker: .halfOpen, metrics: ["gap": 1, "rate.x": 0.5]))
        #expect(read.critical == HealthBounds(failingFor: .seconds(3_600)))
        #expect(try policy(#"{ warning = { failing_for = "none" } }"#).warning.failingFor == nil)
        #expect(try policy("{}") == HealthPolicy())
    }

    @Test func defaultsHoldForEveryJob() throws {
        let config = try load("[defaults]\nhealth = { critical = { duration = \"5s\" } }\n" + job("every = \"1m\""))
        #expect(config.jobs["j"]?.health.critical.duration == .seconds(5))
    }

    @Test(arguments: [
        (#"{ warnings = {} }"#, "unknown key 'warnings' in 'health' (did you mean 'warning'?)"),
        (#"{ warning = { age = "1s" } }"#, "unknown key 'age' in 'warning'"),
        (#"{ critical = { breaker = "closed" } }"#, "'breaker' must be \"half_open\", \"open\" or \"none\", found the string \"closed\""),
        (#"{ critical = { metrics = { gap = "1" } } }"#, "the bound of 'gap' must be a finite number, found the string \"1\""),
        (#"{ critical = { metrics = { gap = inf } } }"#, "the bound of 'gap' must be a finite number"),
        (#"{ warning = { errors_per_hour = -1 } }"#, "'errors_per_hour' must be an integer, 0 … 1000000, found the integer -1"),
    ])
    func whatIsWrongIsSaid(_ health: String, _ message: String) {
        let found = findings(job("health = \(health)"))
        #expect(found.count == 1 && found[0].contains(message), "\(found)")
    }
}

struct AlertReaderTests {
    @Test func everythingIsRead() throws {
        let alerts = try load(
            """
            [alerts]
            webhooks = ["http://127.0.0.1:9000/a?k=1", "http://[::1]/b", "https://hooks.example/T0/b?c", "file:chat"]
            ca_file = "own.pem"
            secret = "file:key"
            command = ["page", "--team", "ops"]
            level = "critical"
            gather = "0s"
            again = "none"
            """, files: ["/etc/host/key": "s3cret\n", "/etc/host/chat": "https://chat.example/T0/B0?k=1\n", "/etc/host/own.pem": "-----BEGIN CERTIFICATE-----\n"]).alerts
        #expect(alerts.webhooks.map(\.shown) == ["http://127.0.0.1:9000/a", "http://[::1]/b", "https://hooks.example/T0/b", "https://chat.example/…"])
        #expect(alerts.webhooks.last?.whole == "https://chat.example/T0/B0?k=1")
        #expect(alerts.caFile == "/etc/host/own.pem")
        #expect(alerts.secret?.secret == "s3cret")
        #expect(alerts.command == ["page", "--team", "ops"])
        #expect(alerts.level == .critical)
        #expect(alerts.gather == .zero)
        #expect(alerts.again == nil)
        #expect(!"\(alerts)".contains("s3cret"))
    }

    @Test(arguments: [
        ("webhooks = [\"x\"]", "jobs.toml:2:13: 'webhooks': it is no https:// or http:// URL (such as \"https://alerts.example/hook\""),
        ("webhooks = [\"file:gone\"]", "jobs.toml:2:13: cannot read the webhook's file /etc/host/gone: no such file or directory"),
        ("webhooks = [\"file:odd\"]", "jobs.toml:2:13: 'webhooks': the content of odd: it is no https:// or http:// URL"),
        ("ca_file = \"gone\"", "jobs.toml:2:11: cannot read /etc/host/gone: no such file or directory"),
        ("ca_file = \"odd\"", "jobs.toml:2:11: there is no certificate in /etc/host/odd ('ca_file' wants PEM"),
        ("secret = \"abc\"", "jobs.toml:2:10: 'secret' must be \"file:\" and the path of a file that holds it"),
        ("secret = \"file:gone\"", "jobs.toml:2:10: cannot read the secret's file /etc/host/gone: no such file or directory"),
        ("again = \"1s\"", "jobs.toml:2:9: 'again' must be a duration, 1m … 30d, or \"none\", found the string \"1s\""),
        ("webhook = []", "jobs.toml:2:1: unknown key 'webhook' in [alerts] (did you mean 'webhooks'?)"),
    ])
    func whatIsWrongIsSaid(_ line: String, _ message: String) {
        let found = findings("[alerts]\n\(line)\n", files: ["/etc/host/odd": "nonsense"])
        #expect(found.count == 1 && found[0].hasPrefix(message), "\(found)")
    }
}
