import PostgresTestKit
import SQL
import Testing

/// How long statements may take and wait is each transaction's own.
@Suite(.enabled(if: TestPostgres.url != nil), .timeLimit(.minutes(5))) struct PostgresLimits {
    struct Way: CustomTestStringConvertible, Sendable {
        var prepared = true
        var pipelined = true
        var isPooled = false
        var testDescription: String {
            (isPooled ? "through a pooler" : prepared ? "prepared" : "not prepared") + (pipelined ? ", together" : ", one by one")
        }
    }

    static let direct = [true, false].flatMap { prepared in [true, false].map { Way(prepared: prepared, pipelined: $0) } }
    static let pooled = [true, false].map { Way(prepared: false, pipelined: $0, isPooled: true) }

    private static let all = "concat_ws(' ', " + ["lock", "statement", "idle_in_transaction_session"].map { "current_setting('\($0)_timeout')" }.joined(separator: ", ") + ")"
    private static let set = "51ms 2002ms 60003ms"
    private static let unset = "0 0 0"

    private func connect(_ url: String, _ way: Way) throws -> PostgresConnection {
        var options = PostgresOptions()
        options.prepared = way.prepared
        options.pipelined = way.pipelined
        options.lockTimeoutMilliseconds = 51
        options.statementTimeoutMilliseconds = 2_002
        options.idleInTransactionMilliseconds = 60_003
        return try PostgresConnection(PostgresAddress(url), options: options)
    }

    /// A connection with limits, and one without, which looks on.
    private func use(_ way: Way, _ body: (PostgresConnection, PostgresConnection, TestPostgres.Schema) throws -> Void) throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let other = try PostgresConnection(PostgresAddress(schema.url))
        defer { other.close() }
        let db = try connect(schema.url, way)
        defer { db.close() }
        try body(db, other, schema)
    }

    /// What a transaction and a single statement find, and the server's process that did both.
    private func found(_ db: PostgresConnection) throws -> [String] {
        let ask = "SELECT \(Self.all) || ' of ' || pg_backend_pid()"
        let inside = try db.transaction(.rowLocks) { try db.first(ask) { try $0.text(0) } }
        let alone = try db.first(ask) { try $0.text(0) }
        return [inside, alone].compactMap(\.self)
    }

    @Test(arguments: direct) func nothingOfThemIsLeftInTheSession(way: Way) throws {
        try use(way) { db, other, schema throws in
            for isScript in [false, true] {
                if isScript { try db.execute("SELECT 1") }
                #expect(try found(db) == Array(repeating: "\(Self.set) of \(db.backendPID)", count: 2))
                // As it stands, which is what a session has: told by its name, as others see it.
                try db.control("SELECT set_config('application_name', '\(schema.name) ' || \(Self.all), false)")
                let left = try other.first("SELECT application_name FROM pg_stat_activity WHERE pid = ?", [.int(Int64(db.backendPID))]) { try $0.text(0) }
                #expect(left == "\(schema.name) \(Self.unset)")
            }
        }
    }

    /// Who has the same session of the server a moment later has none of them, and takes none away.
    @Test(.enabled(if: TestPostgres.pooler != nil, "JOBHOST_TEST_POOLER is not set"), arguments: pooled)
    func whoSharesTheSessionOfAPoolerHasNoneOfThem(way: Way) throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let admin = try PostgresConnection(PostgresAddress(schema.server))
        defer { admin.close() }
        // A pool of this test's own, of which one session is used.
        try admin.execute("CREATE DATABASE \(schema.name) TEMPLATE template0")
        defer { try? admin.execute("DROP DATABASE \(schema.name) WITH (FORCE)") }
        let pooler = TestPostgres.pooler ?? ""
        let url = pooler.prefix(through: pooler.lastIndex(of: "/") ?? pooler.startIndex) + schema.name
        let db = try connect(String(url), way)
        defer { db.close() }
        var options = PostgresOptions()
        options.prepared = false
        let other = try PostgresConnection(PostgresAddress(String(url)), options: options)
        defer { other.close() }
        for _ in 0..<2 {
            let pid = try other.first("SELECT pg_backend_pid()") { try $0.int64(0) } ?? 0
            #expect(try found(db) == Array(repeating: "\(Self.set) of \(pid)", count: 2))
            #expect(try found(other) == Array(repeating: "\(Self.unset) of \(pid)", count: 2))
            try other.execute("SET lock_timeout = 0; SET statement_timeout = 0; RESET ALL")
        }
    }

    /// In a transaction and alone, whatever has become of the session meanwhile.
    @Test(arguments: direct) func theyHoldAlsoAfterAReset(way: Way) throws {
        try use(way) { db, other, _ throws in
            try other.execute("CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (1)")
            try other.transaction(.rowLocks) {
                try other.run("UPDATE n SET v = 2")
                for isReset in [false, true] {
                    if isReset { try db.control("RESET ALL") }
                    let waits = [
                        thrown({ try db.transaction(.rowLocks) { _ = try db.run("UPDATE n SET v = 3") } }), thrown({ try db.run("UPDATE n SET v = 3") }),
                        thrown({ try db.execute("UPDATE n SET v = 3") }),
                    ]
                    #expect(waits.map { $0?.kind } == [.busy, .busy, .busy], "\(waits)")
                    let long = "SELECT pg_sleep(30)"
                    let works = [
                        thrown({ try db.transaction(.deferred) { _ = try db.run(long) } }), thrown({ try db.run(long) }), thrown({ try db.execute(long) }),
                    ]
                    #expect(works.map { $0?.kind } == [.interrupted, .interrupted, .interrupted], "\(works)")
                }
            }
            #expect(try db.first("SELECT v FROM n") { try $0.int64(0) } == 2)
        }
    }

    /// The server looks at a table to know a statement, and waits for who has it to himself.
    @Test(arguments: [true, false]) func theyHoldForWhatIsOnlyPreparedOrAskedForItsColumns(pipelined: Bool) throws {
        try use(Way(pipelined: pipelined)) { db, other, _ throws in
            try other.execute("CREATE TABLE n (v INTEGER)")
            let known = try db.prepare("SELECT v FROM n")
            #expect(try db.prepare("SELECT v FROM n").columnNames == ["v"])
            try other.transaction(.rowLocks) {
                try other.run("ALTER TABLE n ADD w INTEGER")
                #expect(thrown({ _ = try db.prepare("SELECT v + 1 FROM n") })?.kind == .busy)
                // Its columns may be told from memory.
                #expect([[], ["v"]].contains(known.columnNames))
                #expect(thrown({ try known.run() })?.kind == .busy)
            }
            #expect(try db.first("SELECT v + 1 AS more FROM n RIGHT JOIN (SELECT) AS one ON true") { $0.columnNames } == ["more"])
        }
    }

    /// A statement alone is committed by the server's last word, which may be that it is not.
    @Test(arguments: direct) func aStatementAloneThatFailsAtItsCommitThrows(way: Way) throws {
        try use(way) { db, other, _ throws in
            try other.execute("CREATE TABLE n (v INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO n VALUES (1)")
            let session = db.backendPID
            for _ in 0..<2 {
                #expect(thrown({ try db.run("INSERT INTO n VALUES (1)") })?.kind == .constraint)
                #expect(!db.inTransaction)
                #expect(try db.run("UPDATE n SET v = v") == 1)
            }
            #expect(db.backendPID == session)
            #expect(try other.first("SELECT count(*) FROM n") { try $0.int64(0) } == 1)
        }
    }

    /// It may have been committed, so that nobody may do it again unasked.
    @Test(arguments: direct) func aStatementAloneOnAConnectionThatWasCutThrows(way: Way) throws {
        try use(way) { db, other, _ throws in
            try other.execute("CREATE TABLE n (v INTEGER)")
            #expect(try db.run("INSERT INTO n VALUES (1)") == 1)
            #expect(try other.first("SELECT pg_terminate_backend(?, 5000)", [.int(Int64(db.backendPID))]) { try $0.bool(0) } == true)
            #expect(thrown({ try db.run("INSERT INTO n VALUES (1)") })?.kind == .io)
            #expect(!db.wasLostAtBegin && !db.inTransaction)
            #expect(try db.run("INSERT INTO n VALUES (2)") == 1)
            #expect(try other.rows("SELECT v FROM n ORDER BY v") { try $0.int64(0) } == [1, 2])
        }
    }
}
