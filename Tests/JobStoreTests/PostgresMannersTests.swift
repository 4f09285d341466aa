import JobCore
import PostgresTestKit
import SQL
import Synchronization
import Testing

@testable import JobStore

/// How the store behaves towards the server and those who share it.
@Suite(.serialized, .timeLimit(.minutes(5)), .enabled(if: TestPostgres.url != nil)) struct PostgresManners {
    /// What the store hears of from now on; that it listens has been heard.
    private func hears(_ store: PostgresStore) async -> AsyncStream<Void>.Iterator {
        let (told, ear) = AsyncStream.makeStream(of: Void.self)
        store.listen { _ in ear.yield() }
        var heard = told.makeAsyncIterator()
        await heard.next()
        return heard
    }

    /// Those who listen are told at the commit. Nothing else tells them: a store does not ask by itself.
    @Test func whoListensHearsOfACommitWithoutAsking() async throws {
        try await TemporaryPostgres.use { store, schema in
            var heard = await hears(store)
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            for call in ["enqueue('mint')", "enqueue_many('mint', ARRAY['1', '2'])"] {
                // Hints that come within 5 ms are one.
                try application.run("SELECT setval('hinted_ms', 0)")
                try application.execute("BEGIN; SELECT \(call)")
                try application.execute("COMMIT")
                await heard.next()
            }
            // And after its connection was cut.
            try application.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = ?", [.text("LISTEN \"\(schema.name)\"")])
            await heard.next()
        }
    }

    /// A snapshot that is held keeps what is dead from being cleared away, on every table.
    @Test func whoListensHoldsBackNoVacuum() async throws {
        try await TemporaryPostgres.use { store, schema in
            var heard = await hears(store)
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            // Also after it has heard something.
            try application.run("SELECT enqueue('mint')")
            await heard.next()
            let found = try application.rows("""
                SELECT state, backend_xmin IS NULL, backend_xid IS NULL, xact_start IS NULL FROM pg_stat_activity WHERE query = ?
                """, [.text("LISTEN \"\(schema.name)\"")]) { [try $0.text(0), "\(try $0.bool(1))", "\(try $0.bool(2))", "\(try $0.bool(3))"] }
            #expect(found == [["idle", "true", "true", "true"]])
        }
    }

    /// What docs/OPERATIONS.md grants to the user of an application is all that it needs.
    @Test func anApplicationNeedsTheSchemaAndNothingMore() async throws {
        try await TemporaryPostgres.use { store, schema in
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            let role = "app_\(schema.name)"
            try application.execute("CREATE ROLE \(role)")
            defer { try? application.execute("RESET ROLE; DROP OWNED BY \(role); DROP ROLE \(role)") }
            let call = "SELECT \(schema.name).enqueue('mint', '1', unique_key => 'k', priority => 3, run_at => now(), expires_at => now() + interval '1 hour')"
            try application.execute("SET ROLE \(role)")
            #expect(throws: SQLError.self) { try application.run(call) }
            try application.execute("RESET ROLE; GRANT USAGE ON SCHEMA \(schema.name) TO \(role); SET ROLE \(role)")
            try application.run(call)
            try application.run("SELECT \(schema.name).enqueue_many('mint', ARRAY['2', '3'], unique_keys => ARRAY['a', 'b'])")
            for other in [
                "SELECT * FROM enqueue_inbox", "INSERT INTO enqueue_inbox (job) VALUES ('mint')", "SELECT payload FROM runs", "DELETE FROM runs",
                "SELECT nextval('run_ids')", "UPDATE hosts SET lease_until = 0", "SELECT * FROM state_blobs", "CREATE TABLE mine (x integer)",
            ] {
                let error = #expect(throws: SQLError.self, "\(other)") { try application.run(other) }
                #expect(error?.sqlState == "42501", "\(other): \(String(describing: error))")
            }
            try application.execute("RESET ROLE")
            let runs = try await store.drainInbox(jobs: ["mint": InboxRule()], limit: 10, now: .at(1)).runs
            #expect(runs.map(\.payload) == ["1", "2", "3"])
        }
    }

    /// At the server's own door, with no driver of ours before it.
    @Test(arguments: [
        ("repeat('1', 10485760)", "22023", "the payload has 10485760 bytes; at most 262144 are allowed"),
        ("'\"' || repeat('x', 10485760) || '\"'", "22023", "the payload has 10485762 bytes"),
        ("'\"a' || chr(0) || 'b\"'", "54000", "null character"), ("E'\"a\\x00b\"'", "22021", "invalid byte sequence"),
        ("E'\"a\\000b\"'", "22021", "invalid byte sequence"),
    ])
    func tenMegabytesAndANULAreRefusedWithASentenceAndNothingIsStored(payload: String, state: String, sentence: String) async throws {
        try await TemporaryPostgres.use { _, schema in
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            for call in ["enqueue('mint', \(payload))", "enqueue_many('mint', ARRAY['1', \(payload)])"] {
                let error = #expect(throws: SQLError.self, "\(call.prefix(80))") { try application.run("SELECT \(call)") }
                #expect(error?.sqlState == state)
                #expect(error?.message.contains(call.hasPrefix("enqueue_many") && state == "22023" ? "at most 262144" : sentence) == true, "\(String(describing: error))")
            }
            #expect(try application.first("SELECT count(*) FROM enqueue_inbox") { try $0.int64(0) } == 0)
        }
    }
}
