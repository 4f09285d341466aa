import JobCore
import PostgresTestKit
import SQL
import Testing

@testable import JobStore

/// The functions by which applications enqueue.
@Suite(.serialized, .enabled(if: TestPostgres.url != nil)) struct PostgresDoors {
    private static let jobs = ["mint": InboxRule(expiresAfter: .seconds(30))]

    private func use(_ body: (PostgresStore, PostgresConnection) async throws -> Void) async throws {
        try await TemporaryPostgres.use { store, schema in
            let application = try TemporaryPostgres.connect(schema)
            defer { application.close() }
            try await body(store, application)
        }
    }

    private static func timestamp(_ second: Int64) -> String { "to_timestamp(\(Instant.at(second).microseconds / 1_000_000))" }

    @Test func manyHaveKeysAndInstantsOfTheirOwnElseThoseOfAll() async throws {
        try await use { store, application in
            try application.run("""
                SELECT enqueue_many('mint', ARRAY['1', '2', '3', NULL], 7, unique_keys => ARRAY['a', NULL, 'a', 'b'],
                    run_at => \(Self.timestamp(60)), expires_at => \(Self.timestamp(600)),
                    run_ats => ARRAY[NULL, \(Self.timestamp(70)), NULL, NULL], expires_ats => ARRAY[NULL, NULL, NULL, \(Self.timestamp(80))])
                """)
            let runs = try await store.drainInbox(jobs: Self.jobs, limit: 10, now: .at(0)).runs
            #expect(runs.map(\.payload) == ["1", "2", ""])
            #expect(runs.map(\.uniqueKey) == ["a", nil, "b"])
            #expect(runs.map(\.availableAt) == [.at(60), .at(70), .at(60)])
            #expect(runs.map(\.expiresAt) == [.at(600), .at(600), .at(80)])
            #expect(runs.map(\.priority) == [7, 7, 7])
            // As before: nothing but payloads.
            #expect(try application.first("SELECT enqueue_many('mint', ARRAY['4', '5'])") { try $0.int64(0) } == 2)
            #expect(try application.first("SELECT enqueue_many('mint', ARRAY[]::text[])") { try $0.int64(0) } == 0)
            // An aggregate of no rows.
            #expect(try application.first("SELECT enqueue_many('mint', NULL, unique_keys => NULL)") { try $0.int64(0) } == 0)
            #expect(try await store.drainInbox(jobs: Self.jobs, limit: 10, now: .at(0)).runs.map(\.payload) == ["4", "5"])
        }
    }

    @Test(arguments: [
        ("enqueue('mint', run_at => now(), expires_at => now())", "which is not after"),
        ("enqueue_many('mint', ARRAY['1', '2'], unique_keys => ARRAY['a'])", "there are 2 payloads, and 1 unique_keys"),
        ("enqueue_many('mint', ARRAY['1'], run_ats => ARRAY[now(), now()])", "2 run_ats"),
        ("enqueue_many('mint', ARRAY['1'], expires_ats => ARRAY[]::timestamptz[])", "0 expires_ats"),
        ("enqueue_many('mint', ARRAY['1', '2'], run_at => now(), expires_ats => ARRAY[NULL, now()])", "element 2 expires before it is to run"),
        ("enqueue('mint', unique_key => repeat('k', 513))", "a unique key has 1 to 512 bytes; this one has 513"),
        ("enqueue('mint', unique_key => '')", "this one has 0"),
        ("enqueue('mint', expires_at => 'infinity')", "expires_at is infinity: give an instant"),
        ("enqueue('mint', run_at => '-infinity')", "run_at is -infinity: give an instant"),
        ("enqueue_many('mint', ARRAY['1'], expires_at => 'infinity')", "a time is infinity"),
        ("enqueue_many('mint', ARRAY['1', '2'], run_ats => ARRAY[NULL, 'infinity'::timestamptz])", "a time is infinity"),
        ("enqueue_many('mint', ARRAY['1'], expires_ats => ARRAY['-infinity'::timestamptz])", "a time is infinity"),
        ("enqueue_many('mint', ARRAY['1', '2'], unique_keys => ARRAY['a', repeat('é', 257)])", "that of element 2 has another length"),
        ("enqueue_many('mint', NULL, unique_keys => ARRAY['a', 'b'])", "there are 0 payloads, and 2 unique_keys"),
        ("enqueue_many('mint', ARRAY['1', '{'])", "invalid input syntax for type json"),
        ("enqueue_many('mint', ARRAY['1', repeat('1', 262145)])", "at most 262144 bytes"),
    ])
    func whatContradictsItselfIsRefusedWithASentenceAndNothingIsStored(call: String, sentence: String) async throws {
        try await use { _, application in
            let error = #expect(throws: SQLError.self) { try application.run("SELECT \(call)") }
            #expect(error?.message.contains(sentence) == true, "\(String(describing: error))")
            let stored = try application.first("SELECT count(*) FROM enqueue_inbox") { try $0.int64(0) }
            #expect(stored == 0)
        }
    }

    /// It has waited in the inbox for longer than it was of use: it never runs, also where all that comes is claimed at once.
    @Test func whatHasExpiredInTheInboxIsNotClaimedAsItComes() async throws {
        try await use { store, application in
            for (key, second) in [("'old'", 5), ("NULL", 90), ("'old'", 90)] {
                try application.run("SELECT enqueue('mint', '\(second)', \(key), expires_at => \(Self.timestamp(Int64(second))))")
            }
            let take = InboxTake(jobs: Self.jobs, limit: 10)
            let claims = try await store.claimWaiting(["mint": WaitingLimit(most: 9)], taking: take, owner: TemporaryStore.owner, now: .at(10))
            #expect(claims.runs.map { String(decoding: $0.payload, as: UTF8.self) } == ["90"])
            #expect(claims.runs.map(\.expiresAt) == [.at(90)])
            // The one with the key of the expired one waits in its place.
            let waiting = try await store.claimWaiting(limits: ["mint": 9], owner: TemporaryStore.owner, now: .at(10))
            #expect(waiting.map { String(decoding: $0.payload, as: UTF8.self) } == ["90"])
            #expect(try await store.counters()["mint"] == ["expired": 1])
            // It is told once.
            #expect(try await store.expireWaiting(limit: 10, now: .at(11)).map(\.uniqueKey) == ["old"])
            #expect(try await store.expireWaiting(limit: 10, now: .at(11)) == [])
        }
    }

    /// With the functions of an earlier version beside them, a call would be ambiguous.
    @Test(arguments: 1..<8)
    func ofEachFunctionThereIsOneAndWhoMayCallItIsAsItWas(version from: Int) async throws {
        try await TestPostgres.use { schema in
            let connection = try TemporaryPostgres.connect(schema)
            defer { connection.close() }
            let role = "role_\(schema.name)"
            try connection.execute("CREATE ROLE \(role)")
            defer { try? connection.execute("DROP OWNED BY \(role); DROP ROLE \(role)") }
            try PostgresMigrations.apply(Array(PostgresMigrations.all.prefix(from)), to: connection, schema: schema.name)
            try connection.execute("""
                REVOKE ALL ON FUNCTION enqueue FROM PUBLIC; GRANT EXECUTE ON FUNCTION enqueue TO \(role);
                CREATE FUNCTION sells() RETURNS bigint BEGIN ATOMIC SELECT enqueue_many('mint', ARRAY['1']); END
                """)
            try PostgresMigrations.apply(to: connection, schema: schema.name)
            let mayCall = try connection.rows("""
                SELECT p.proname || ' ' || has_function_privilege('public', p.oid, 'EXECUTE') || ' ' || has_function_privilege('\(role)', p.oid, 'EXECUTE')
                FROM pg_proc p WHERE p.pronamespace = '\(schema.name)'::regnamespace AND p.proname IN ('enqueue', 'enqueue_many') ORDER BY 1
                """) { try $0.text(0) }
            #expect(mayCall == ["enqueue false true", "enqueue_many true true"])
            // A function that was made of an old one goes on.
            #expect(try connection.first("SELECT sells() + enqueue_many('mint', ARRAY['2', '3'])") { try $0.int64(0) } == 3)
        }
    }
}
