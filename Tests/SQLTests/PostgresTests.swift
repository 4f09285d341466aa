import Glibc
import PostgresTestKit
import SQL
import Testing

// What only PostgreSQL's driver does.

@Suite struct PostgresTexts {
    /// The translation, as the server sees it: what it computes is what was meant.
    @Test(.enabled(if: TestPostgres.url != nil), arguments: [
        ("SELECT :a::text || ':a' || ?1", "x:ax"),
        ("SELECT :a || E'\\':a' /* :b /* ? */ ' */ -- '?", "x':a"),
        ("SELECT $$ :a ? $$ || :a", " :a ? x"),
        ("SELECT $t$ $$ :a $t$ || :a", " $$ :a x"),
        ("SELECT \"a:b?\" || :a FROM (SELECT 'y' AS \"a:b?\") q", "yx"),
        ("SELECT (ARRAY['p', 'q', 'r'])[1:2] :: text || :a;", "{p,q}x"),
        ("SELECT 'e' || 'it''s' || :a", "eit'sx"),
    ])
    func parametersAreOnlyWhereTheyAreMeant(sql: String, answer: String) throws {
        try Database.use(.postgresql) { db throws in
            #expect(try db.first(sql, ["x"]) { try $0.text(0) } == answer)
        }
    }

    @Test(.enabled(if: TestPostgres.url != nil)) func nativeParametersAreRefusedWithASentence() throws {
        try Database.use(.postgresql) { db throws in
            let error = #expect(throws: SQLError.self) { try db.prepare("SELECT $1") }
            #expect(error?.message == "parameters are written :name or ?, not $1")
        }
    }
}

@Suite struct Addresses {
    @Test(arguments: [
        ("postgresql://ops:s3cret-word@db1,db2:5433/back?sslmode=require", "postgresql://ops@db1,db2:5433/back"),
        ("postgres://ops:pa%2Fss%40word@db/back", "postgresql://ops@db/back"),
        ("postgresql://ops@db/back?password=s3cret-word", "postgresql://ops@db/back"),
        ("postgresql:///back?host=/run/postgresql", "postgresql:///back"),
        ("postgresql://ops:what?#is:this@db/back", "postgresql://ops@db/back"),
    ])
    func anAddressShowsNoSecret(url: String, shown: String) throws {
        #expect(try PostgresAddress(url).description == shown)
        #expect("\(try SQLAddress(url))" == shown)
    }

    @Test(arguments: ["postgresql://ops:pa@ss@db/x", "postgresql://ops:pa/ss@db/x", "postgresql://db/x?password=a@b"])
    func whatWouldBeTakenForAHostIsRefusedWithoutShowingIt(url: String) {
        let error = #expect(throws: SQLError.self) { try PostgresAddress(url) }
        #expect(error?.message.contains("write @ as %40") == true)
        #expect(error?.message.contains("ss") == false || error?.message.contains("pa@ss") == false)
    }

    @Test func otherDatabasesAreRefused() {
        let error = #expect(throws: SQLError.self) { try SQLAddress("mysql://x") }
        #expect(error?.message == "a database is written \"sqlite:\" and a path, or \"postgresql://user@host/name\"")
    }

    @Test(.enabled(if: TestPostgres.url != nil)) func aRefusedConnectionNamesThePlaceAndNotThePassword() throws {
        let error = #expect(throws: SQLError.self) {
            try PostgresConnection(PostgresAddress("postgresql://ops:s3cret-word@127.0.0.1:1/s3cret-word"))
        }
        #expect(error?.kind == .cannotOpen)
        #expect(error?.isTransient == true)
        #expect(error?.message.hasPrefix("cannot connect to postgresql://ops@127.0.0.1:1/") == true)
        #expect(error?.message.contains("s3cret-word@") == false)
    }
}

@Suite(.enabled(if: TestPostgres.url != nil)) struct PostgresRules {
    private struct Refusal: Error {}

    @Test func decimalsKeepEveryDigitAndSumsOfIntegersAreIntegers() throws {
        try Database.use(.postgresql) { db throws in
            let digits = "12345678901234567890.1234567890"
            #expect(try db.first("SELECT CAST(? AS numeric)", [.text(digits)]) { try $0.text(0) } == digits)
            #expect(try db.first("SELECT sum(v) FROM (VALUES (1::bigint), (2)) t (v)") { try $0.int64(0) } == 3)
            let error = #expect(throws: SQLError.self) { try db.first("SELECT 3.0") { try $0.int64(0) } }
            #expect(error?.kind == .column)
        }
    }

    @Test func aTextWithANULIsRefused() throws {
        try Database.use(.postgresql) { db throws in
            let error = #expect(throws: SQLError.self) { try db.run("INSERT INTO t (id, name) VALUES (1, ?)", ["a\u{0}b"]) }
            #expect(error?.kind == .constraint)
            #expect(error?.message == "PostgreSQL keeps no text with a NUL character (parameter 1)")
        }
    }

    @Test(arguments: [
        ("SELECT nothing", SQLError.Kind.statement, "42703"), ("INSERT INTO t (id) VALUES (1), (1)", .constraint, "23505"),
        ("SELECT CAST('x' AS integer)", .constraint, "22P02"), ("SELECT 1 / (SELECT 0)", .other, "22012"),
        ("SELECT repeat('x', 2000000000)", .tooBig, "54000"),
    ])
    func whatTheServerRefusesHasTheWordsOfBothDatabases(sql: String, kind: SQLError.Kind, state: String) throws {
        try Database.use(.postgresql) { db throws in
            let error = #expect(throws: SQLError.self) { try db.run(sql) }
            #expect(error?.kind == kind)
            #expect(error?.sqlState == state)
        }
    }

    @Test func aCommitAfterASwallowedFailureThrows() throws {
        try Database.use(.postgresql) { db throws in
            let error = #expect(throws: SQLError.self) {
                try db.transaction(.immediate) {
                    try db.run("INSERT INTO t (id) VALUES (1)")
                    _ = try? db.run("SELECT nothing")
                }
            }
            #expect(error?.message == "the transaction was rolled back, since a statement in it had failed")
            #expect(try db.first("SELECT count(*) FROM t") { try $0.int64(0) } == 0)
        }
    }

    /// Cuts the connection from another one.
    private func cut(_ pid: Int32, _ url: String) throws {
        let other = try PostgresConnection(PostgresAddress(url))
        defer { other.close() }
        #expect(try other.first("SELECT pg_terminate_backend(?, 5000)", [.int(Int64(pid))]) { try $0.bool(0) } == true)
    }

    @Test func aConnectionCutBetweenTransactionsIsOpenedAgain() throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let db = try PostgresConnection(PostgresAddress(schema.url))
        defer { db.close() }
        try db.execute("CREATE TABLE n (v INTEGER)")
        let held = try db.prepare("INSERT INTO n VALUES (?)")
        try cut(db.backendPID, schema.url)
        try db.transaction(.immediate) {
            try held.bind([1])
            try held.run()
        }
        try cut(db.backendPID, schema.url)
        // A statement of its own may have been executed before the cut was seen: that is told.
        #expect(#expect(throws: SQLError.self) { try db.run("INSERT INTO n VALUES (2)") }?.isTransient == true)
        #expect(try db.rows("SELECT v FROM n") { try $0.int64(0) } == [1])
    }

    @Test func aConnectionCutInsideATransactionLosesAllOfItAndNothingOfItIsExecutedAlone() throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let db = try PostgresConnection(PostgresAddress(schema.url))
        defer { db.close() }
        try db.execute("CREATE TABLE n (v INTEGER)")
        let error = #expect(throws: SQLError.self) {
            try db.transaction(.immediate) {
                try db.run("INSERT INTO n VALUES (1)")
                try cut(db.backendPID, schema.url)
                _ = try? db.run("INSERT INTO n VALUES (2)")
                _ = try? db.run("INSERT INTO n VALUES (3)")
            }
        }
        #expect(error?.kind == .io)
        #expect(!db.inTransaction)
        #expect(try db.first("SELECT count(*) FROM n") { try $0.int64(0) } == 0)
    }

    @Test(arguments: [true, false]) func anothersLockIsBusyWithinTheLimit(prepared: Bool) throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let holder = try PostgresConnection(PostgresAddress(schema.url))
        defer { holder.close() }
        try holder.execute("CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (1)")
        var options = PostgresOptions()
        options.prepared = prepared
        options.lockTimeoutMilliseconds = 50
        let db = try PostgresConnection(PostgresAddress(schema.url), options: options)
        defer { db.close() }
        try holder.transaction(.rowLocks) {
            try holder.run("UPDATE n SET v = 2")
            let error = #expect(throws: SQLError.self) { try db.transaction(.rowLocks) { try db.run("UPDATE n SET v = 3") } }
            #expect(error?.kind == .busy)
        }
        #expect(try db.first("SELECT v FROM n") { try $0.int64(0) } == 2)
    }

    @Test func aServerThatDoesNotAnswerIsGivenUp() throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        var options = PostgresOptions()
        options.answerTimeoutMilliseconds = 2_000
        let db = try PostgresConnection(PostgresAddress(schema.url), options: options)
        defer { db.close() }
        let error = #expect(throws: SQLError.self) { try db.run("SELECT pg_sleep(30)") }
        #expect(error?.kind == .io)
        #expect(error?.message.hasSuffix("in 2000 ms") == true)
        #expect(try db.first("SELECT 1") { try $0.int64(0) } == 1)
    }

    @Test func aStatementBeyondItsLimitIsInterrupted() throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        var options = PostgresOptions()
        options.statementTimeoutMilliseconds = 500
        let db = try PostgresConnection(PostgresAddress(schema.url), options: options)
        defer { db.close() }
        #expect(#expect(throws: SQLError.self) { try db.run("SELECT pg_sleep(30)") }?.kind == .interrupted)
    }

    @Test func whatWasReadAndChangedByAnotherIsBusyAtTheCommit() throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let (one, two) = (
            try PostgresConnection(PostgresAddress(schema.url)), try PostgresConnection(PostgresAddress(schema.url))
        )
        defer { one.close(); two.close() }
        try one.execute("CREATE TABLE n (name TEXT, v INTEGER); INSERT INTO n VALUES ('a', 1), ('b', 1)")
        func withdraw(_ db: PostgresConnection, _ name: String, meanwhile: () throws -> Void) throws {
            try db.transaction(.immediate) {
                let sum = try db.first("SELECT sum(v) FROM n") { try $0.int64(0) } ?? 0
                try meanwhile()
                if sum >= 2 { try db.run("UPDATE n SET v = v - 2 WHERE name = ?", [.text(name)]) }
            }
        }
        let error = #expect(throws: SQLError.self) {
            try withdraw(one, "a") { try withdraw(two, "b") {} }
        }
        #expect(error?.kind == .busy)
        #expect(try one.first("SELECT sum(v) FROM n") { try $0.int64(0) } == 0)
    }

    @Test func notificationsWakeTheListener() throws {
        try Database.use(.postgresql) { db throws in
            let listener = try #require(db as? PostgresConnection)
            try listener.execute("LISTEN jobhost_test")
            #expect(try listener.notifications(milliseconds: 0) == 0)
            let other = try PostgresConnection(listener.address)
            defer { other.close() }
            try other.execute("NOTIFY jobhost_test")
            #expect(try listener.notifications(milliseconds: 5_000) == 1)
        }
    }

    @Test func manyDifferentStatementsPassThroughASmallCache() throws {
        var options = PostgresOptions()
        options.cachedStatements = 3
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let db = try PostgresConnection(PostgresAddress(schema.url), options: options)
        defer { db.close() }
        for _ in 0..<3 {
            for number in 0..<10 { #expect(try db.first("SELECT \(number)") { try $0.int64(0) } == Int64(number)) }
        }
        #expect(try db.first("SELECT count(*) FROM pg_prepared_statements") { try $0.int64(0) } ?? 99 <= 4)
    }
}
