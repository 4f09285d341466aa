import SQL
import Testing

/// A server with a folder of its own, gone afterwards.
struct PostgresServer {
    var folder: String
    var url: String
    /// As the host sees it.
    var ledger: LedgerFile { LedgerFile(path: "", server: url) }

    /// Its own, in microseconds.
    func clock() throws -> Int { try ledger.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint") }

    /// Asks the database until this is its answer. A test's time limit ends it.
    func until(_ sql: String, _ wanted: String = "1") async throws {
        while true {
            let answer = try ledger.texts(sql).first
            if answer == wanted { return }
            // At its time limit a test says no more than that; this is what one wants to know.
            if Task.isCancelled { Issue.record(TestHost.Failure("still \(answer ?? "no row") instead of \(wanted): \(sql)")) }
            try Task.checkCancellation()
            // In the server, by its own clock.
            _ = try ledger.texts("SELECT 1 FROM pg_sleep(0.05)")
        }
    }

    /// `immediate`: as after a crash.
    func restart(_ mode: String) async throws {
        let script = try Child(
            TestHost.sources + "/scripts/postgres", ["restart", folder, mode], environment: TestHost.environment(), folder: "/")
        guard await script.exitCode() == 0 else { throw TestHost.Failure(script.errors.all.joined(separator: "\n")) }
    }

    /// What scripts/postgres prints of what it did to this server.
    func script(_ verb: String) async throws -> String {
        let script = try Child(TestHost.sources + "/scripts/postgres", [verb, folder], environment: TestHost.environment(), folder: "/")
        guard await script.exitCode() == 0, let line = script.output.all.last else {
            throw TestHost.Failure(script.errors.all.joined(separator: "\n"))
        }
        return line
    }

    static func with(_ test: TestHost, _ body: (PostgresServer) async throws -> Void) async throws {
        let script = TestHost.sources + "/scripts/postgres"
        let folder = test.folder + "-db"
        let start = try Child(script, ["start", folder], environment: TestHost.environment(), folder: "/")
        let code = await start.exitCode()
        var result: Result<Void, any Error> = .success(())
        if code == 0, let url = start.output.all.last {
            do { try await body(PostgresServer(folder: folder, url: url)) } catch { result = .failure(error) }
        } else {
            result = .failure(TestHost.Failure(start.errors.all.joined(separator: "\n")))
        }
        // Before the server goes, so that nobody waits for it.
        await test.killHosts()
        _ = await (try Child(script, ["stop", folder], environment: TestHost.environment(), folder: "/")).exitCode()
        try result.get()
    }
}
