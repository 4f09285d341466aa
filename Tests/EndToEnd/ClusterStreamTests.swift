import Glibc
import JobJSON
import Testing

/// The stream of events where several hosts share a store.
@Suite("Streams over several hosts, end to end", .serialized, .timeLimit(.minutes(12)), .enabled(if: getenv("JOBHOST_TEST_POSTGRES") != nil))
struct ClusterStreamTests: ClusterStory {
    /// Runs that a host shows as having ended lately.
    private func recent(_ test: TestHost, _ host: String) async throws -> Set<String> {
        let overview = try JSON(parsing: try await test.probe("/api/v1/overview?recent=20", in: "var-\(host)").body)
        let attempts = (overview["jobs"]?.arrayValue ?? []).flatMap { $0["recent"]?.arrayValue ?? [] }
        return Set(attempts.compactMap { $0["run"]?.canonicalText })
    }

    @Test("A listener whose host is killed goes on at another one after its last id: every end is told, also what the dead one did not tell any more")
    func goesOnElsewhere() async throws {
        try await cluster { cluster in
            let test = cluster.test
            try await test.plugin("good", PluginSource.succeeds)
            let jobs = Toml.plugin("good") + Self.everySecond + Toml.job("last", of: "good", Toml.once)
            let a = try await cluster.start("a", jobs)
            let b = try await cluster.start("b", jobs)
            let query = "kind=run_ended,elsewhere"
            let before = try test.listen(query, in: "var-a")
            #expect(await before.output.next(where: { $0 == "event: hello" }) != nil)
            let first = try cluster.clock()
            // Both have runs, and the listener hears of both.
            for event in ["run_ended", "elsewhere"] { #expect(await before.output.next(where: { $0 == "event: \(event)" }) != nil) }
            before.signal(SIGKILL)
            _ = await before.exitCode()
            let left = try cluster.clock()
            try await cluster.until("SELECT count(*) > 1 FROM runs WHERE owner = 'a' AND outcome IS NOT NULL AND finished_at > \(left)")
            a.signal(SIGKILL)
            _ = await a.exitCode()
            // Of what was cut off in the middle nothing was heard.
            let lines = before.output.all
            let heard = Array(lines[..<(lines.lastIndex(of: "") ?? 0)])
            let id = try #require(heard.last { $0.hasPrefix("id: ") }?.dropFirst(4))

            // What the dead one did not tell has been told at the other one by now, when nobody listened there.
            let unheard = try cluster.ledger.texts("""
                SELECT max(id) FROM runs WHERE owner = 'a' AND outcome IS NOT NULL AND outcome <> 'lost' AND finished_at > \(left) GROUP BY job
                """)
            while !(try await recent(test, "b").isSuperset(of: unheard)) { try Task.checkCancellation() }

            let after = try test.listen(query, in: "var-b", after: id)
            #expect(await after.output.next(where: { $0 == "data: {\"resumed\":true}" }) != nil, "\(after.output.all)")
            #expect(try await test.jobhost("enqueue", "last", "--config", "b.toml").code == 0)
            #expect(await after.output.next(where: { $0.hasPrefix("data: ") && $0.contains("\"job\":\"last\"") && $0.contains("\"succeeded\"") }) != nil)
            let last = try cluster.ledger.number("SELECT finished_at FROM runs WHERE job = 'last'")
            try Told.wait(cluster.ledger, after: first, upTo: last) { heard + after.output.all }
            #expect(!(heard + after.output.all).contains("event: reset"))
            let owners = try cluster.ledger.texts("SELECT DISTINCT owner FROM runs WHERE outcome IS NOT NULL AND finished_at BETWEEN \(first) AND \(last) ORDER BY owner")
            #expect(owners == ["a", "b"])
            await cluster.stop(b)
        }
    }
}
