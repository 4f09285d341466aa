import Glibc
import Testing

/// What people are told when the host itself goes.
@Suite("Alerts over a host's end, end to end", .timeLimit(.minutes(2))) struct AlertTests {
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
}
