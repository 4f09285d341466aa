import PostgresTestKit
import SQL
import Testing

/// Statements of a transaction that go out together.
@Suite(.enabled(if: TestPostgres.url != nil)) struct PostgresPipelines {
    /// How a connection is made: with prepared statements or without, to the server or through a transaction pooler.
    struct Way: CustomTestStringConvertible, Sendable {
        var prepared = true
        var isPooled = false
        var testDescription: String { isPooled ? "through a pooler" : prepared ? "prepared" : "not prepared" }
    }

    static let ways = [Way(), Way(prepared: false)] + (TestPostgres.pooler == nil ? [] : [Way(prepared: false, isPooled: true)])

    /// So that a run without one says that it left these out.
    @Test("Those through a pooler are among the ways", .enabled(if: TestPostgres.pooler != nil, "JOBHOST_TEST_POOLER is not set"))
    func poolerIsThere() { #expect(Self.ways.contains { $0.isPooled }) }

    private struct Refusal: Error {}

    /// A connection whose statements go together, one that looks on, and the table of one column `v`, which has a sequence
    /// of the same name and `_ids`.
    private func use(
        _ way: Way, _ change: (inout PostgresOptions) -> Void = { _ in },
        _ body: (PostgresConnection, PostgresConnection, String) throws -> Void
    ) throws {
        let schema = try TestPostgres.make()
        defer { try? TestPostgres.drop(schema) }
        let other = try PostgresConnection(PostgresAddress(schema.url))
        defer { other.close() }
        try other.execute("CREATE TABLE n (v INTEGER); CREATE SEQUENCE n_ids")
        var options = PostgresOptions()
        options.prepared = way.prepared
        options.pipelined = true
        change(&options)
        let db = try PostgresConnection(PostgresAddress(way.isPooled ? TestPostgres.pooler ?? "" : schema.server), options: options)
        defer { db.close() }
        try body(db, other, schema.name + ".n")
    }

    private func values(_ other: PostgresConnection) throws -> [Int64] {
        try other.rows("SELECT v FROM n ORDER BY v") { try $0.int64(0) }
    }

    @Test(arguments: ways) func answersAreReadInAnyOrderAndStatementsExecutedInTheirs(way: Way) throws {
        try use(way) { db, other, n throws in
            try db.transaction(.rowLocks) {
                for value in 1...3 as ClosedRange<Int64> { try db.send("INSERT INTO \(n) VALUES (?)", [.int(value)]) }
                let sum = try db.prepare("SELECT sum(v) FROM \(n)")
                try sum.send()
                try db.send("INSERT INTO \(n) VALUES (10)", [])
                let later = try db.prepare("SELECT sum(v), 'x' || ? FROM \(n)")
                try later.bind("é", at: 1)
                try later.send()
                // Bound anew at once: what was sent is as it was.
                try later.bind("z", at: 1)
                #expect(try later.step() && later.int64(0) == 16 && later.text(1) == "xé")
                #expect(try !later.step())
                #expect(try sum.step() && sum.int64(0) == 6)
                #expect(try !sum.step())
                #expect(try later.step() && later.text(1) == "xz")
                later.reset()
            }
            #expect(try values(other) == [1, 2, 3, 10])
        }
    }

    /// That is what saves the round trips: the server hears of nothing before something is waited for.
    @Test(arguments: ways) func nothingGoesOutBeforeSomethingIsWaitedFor(way: Way) throws {
        try use(way) { db, other, n throws in
            func used() throws -> Int64 { try other.first("SELECT last_value FROM n_ids WHERE is_called") { try $0.int64(0) } ?? 0 }
            let take = "SELECT nextval('\(n)_ids')"
            try db.transaction(.rowLocks) {
                for _ in 0..<3 { try db.send(take, []) }
                #expect(try used() == 0)
                #expect(try db.first(take) { try $0.int64(0) } == 4)
                try db.send(take, [])
                #expect(try used() == 4)
            }
            #expect(try used() == 5)
            // What is given up before it went out was never there.
            _ = thrown({
                try db.transaction(.rowLocks) {
                    try db.send(take, [])
                    throw Refusal()
                }
            })
            try db.transaction(.rowLocks) {}
            #expect(try used() == 5)
            // More than fit into one go.
            try db.transaction(.rowLocks) { for _ in 0..<150 { try db.send(take, []) } }
            #expect(try used() == 155)
            // Outside of a transaction each is executed at once.
            try db.send(take, [])
            #expect(try used() == 156)
        }
    }

    @Test(arguments: ways) func anErrorEndsAllBehindItAndIsTheOneThatIsThrown(way: Way) throws {
        try use(way) { db, other, n throws in
            let bad = "SELECT 1 / v FROM \(n)"
            try other.run("INSERT INTO n VALUES (0)")
            let failure = thrown({
                try db.transaction(.rowLocks) {
                    try db.send("INSERT INTO \(n) VALUES (1)", [])
                    try db.send(bad, [])
                    let behind = try db.prepare("SELECT nextval('\(n)_ids')")
                    try behind.send()
                    do { _ = try db.first("SELECT 7") { try $0.int64(0) } } catch let error as SQLError {
                        // Each that did not come to it says why.
                        _ = thrown({ _ = try behind.step() })
                        throw error
                    }
                }
            })
            #expect(failure?.sqlState == "22012" && failure?.kind == .other && failure?.sql == bad, "\(String(describing: failure))")
            #expect(try other.first("SELECT is_called FROM n_ids") { try $0.bool(0) } == false)
            // At the end it is the commit that throws, and nothing was committed.
            let late = thrown({
                try db.transaction(.rowLocks) {
                    _ = try db.first("SELECT 7") { try $0.int64(0) }
                    try db.send("INSERT INTO \(n) VALUES (2)", [])
                    try db.send(bad, [])
                }
            })
            #expect(late?.sqlState == "22012")
            // The connection goes on.
            #expect(!db.inTransaction)
            try db.transaction(.rowLocks) { try db.send("INSERT INTO \(n) VALUES (3)", []) }
            #expect(try values(other) == [0, 3])
        }
    }

    @Test(arguments: ways) func aTransactionWithinUndoesItselfAlone(way: Way) throws {
        try use(way) { db, other, n throws in
            try db.transaction(.rowLocks) {
                try db.send("INSERT INTO \(n) VALUES (1)", [])
                _ = thrown({
                    try db.transaction(.rowLocks) {
                        try db.send("INSERT INTO \(n) VALUES (2)", [])
                        _ = try db.first("SELECT 7") { try $0.int64(0) }
                        try db.send("INSERT INTO \(n) VALUES (3)", [])
                        throw Refusal()
                    }
                })
                try db.transaction(.rowLocks) { try db.send("INSERT INTO \(n) VALUES (4)", []) }
                try db.send("INSERT INTO \(n) VALUES (5)", [])
            }
            #expect(try values(other) == [1, 4, 5])
        }
    }

    @Test(arguments: ways) func aCommitAfterASwallowedFailureThrows(way: Way) throws {
        try use(way) { db, other, n throws in
            let failure = thrown({
                try db.transaction(.rowLocks) {
                    try db.send("INSERT INTO \(n) VALUES (1)", [])
                    _ = try? db.run("SELECT nothing")
                }
            })
            #expect(failure?.message == "the transaction was rolled back, since a statement in it had failed")
            #expect(try values(other) == [])
        }
    }

    @Test(arguments: ways) func limitsHoldAndAreCalledByTheirNames(way: Way) throws {
        try use(way) {
            $0.lockTimeoutMilliseconds = 50
            $0.statementTimeoutMilliseconds = 3_000
        } _: { db, other, n throws in
            try other.run("INSERT INTO n VALUES (1)")
            try other.transaction(.rowLocks) {
                try other.run("UPDATE n SET v = 2")
                let busy = thrown({
                    try db.transaction(.rowLocks) {
                        try db.send("UPDATE \(n) SET v = 3", [])
                        try db.run("SELECT 1")
                    }
                })
                #expect(busy?.kind == .busy)
            }
            let long = thrown({ try db.transaction(.rowLocks) { try db.send("SELECT pg_sleep(30)", []) } })
            #expect(long?.kind == .interrupted)
            #expect(try values(other) == [2])
        }
    }

    @Test(arguments: [Way(), Way(prepared: false)]) func aServerThatDoesNotAnswerIsGivenUp(way: Way) throws {
        try use(way) { $0.answerTimeoutMilliseconds = 2_000 } _: { db, _, _ throws in
            let failure = thrown({ try db.transaction(.rowLocks) { try db.send("SELECT pg_sleep(30)", []) } })
            #expect(failure?.kind == .io && failure?.message.hasSuffix("in 2000 ms") == true, "\(String(describing: failure))")
            // It may be at it still.
            #expect(!db.wasLostAtBegin)
            #expect(try db.first("SELECT 1") { try $0.int64(0) } == 1)
        }
    }

    /// Ended from another connection, and gone.
    private func cut(_ db: PostgresConnection, _ other: PostgresConnection) throws {
        #expect(try other.first("SELECT pg_terminate_backend(?, 5000)", [.int(Int64(db.backendPID))]) { try $0.bool(0) } == true)
    }

    private func insert(_ value: Int64, _ db: PostgresConnection, _ n: String) throws {
        try db.transaction(.rowLocks) {
            try db.send("INSERT INTO \(n) VALUES (?)", [.int(value)])
            try db.run("SELECT 1")
        }
    }

    private func insertUnseen(_ db: PostgresConnection, _ n: String) throws {
        try db.transaction(.rowLocks) { try db.send("INSERT INTO \(n) VALUES (4)", []) }
    }

    private func insertCut(_ db: PostgresConnection, _ other: PostgresConnection, _ n: String) throws {
        try db.transaction(.rowLocks) {
            try db.run("SELECT 1")
            try cut(db, other)
            try db.send("INSERT INTO \(n) VALUES (4)", [])
        }
    }

    @Test(arguments: [Way(), Way(prepared: false)]) func aConnectionCutBetweenTransactionsSaysThatAllOfItCanBeDoneAnew(way: Way) throws {
        try use(way) { db, other, n throws in
            try insert(1, db, n)
            try cut(db, other)
            let first = thrown { try insert(2, db, n) }
            let (isLost, isOver) = (db.wasLostAtBegin, !db.inTransaction)
            #expect(first?.kind == .io && isLost && isOver)
            try insert(3, db, n)
            // Also where nothing was waited for before the commit.
            try cut(db, other)
            let second = thrown { try insertUnseen(db, n) }
            let isLostAgain = db.wasLostAtBegin
            #expect(second?.kind == .io && isLostAgain)
            let left = try values(other)
            #expect(left == [1, 3])
        }
    }

    /// The server forgets what had to make room, and no transaction is lost by telling it.
    @Test func whatMakesRoomOnACutConnectionCostsNoTransaction() throws {
        try use(Way()) { $0.cachedStatements = 2 } _: { db, other, n throws in
            for number in 1...2 { try db.run("SELECT \(number)") }
            try cut(db, other)
            let failure = thrown { try insert(1, db, n) }
            let isLostAtBegin = db.wasLostAtBegin
            #expect(failure?.kind == .io && isLostAtBegin)
            try db.transaction(.rowLocks) { for number in 1...40 { try db.run("SELECT \(number)") } }
            #expect(try db.first("SELECT count(*) FROM pg_prepared_statements") { try $0.int64(0) } ?? .max <= 3)
            for number in 50...60 { try db.run("SELECT \(number)") }
            #expect(try db.first("SELECT count(*) FROM pg_prepared_statements") { try $0.int64(0) } ?? .max <= 3)
            let left = try values(other)
            #expect(left == [])
        }
    }

    /// Where something of it was answered it is another matter.
    @Test(arguments: [Way(), Way(prepared: false)]) func aConnectionCutInATransactionLosesAllOfIt(way: Way) throws {
        try use(way) { db, other, n throws in
            let failure = thrown { try insertCut(db, other, n) }
            let isLostAtBegin = db.wasLostAtBegin
            #expect(failure?.kind == .io && !isLostAtBegin)
            try insert(5, db, n)
            let left = try values(other)
            #expect(left == [5])
        }
    }

    private func insertTwo(_ db: PostgresConnection, _ n: String) throws {
        try db.transaction(.rowLocks) {
            try db.send("INSERT INTO \(n) VALUES (1)", [])
            try db.run("SELECT 1")
            try db.send("INSERT INTO \(n) VALUES (2)", [])
        }
    }

    /// The last connection is closed at `point`, if that is given.
    private func points(_ db: PostgresConnection, _ n: String, closingAt end: SQLFaultPoint?) throws -> [SQLFaultPoint] {
        var seen: [SQLFaultPoint] = []
        let one = try PostgresConnection(db.address, options: db.options)
        defer { one.close() }
        one.faultPoint = { [unowned one] point in
            seen.append(point)
            if point == end { one.close() }
        }
        do {
            try insertTwo(one, n)
        } catch let error as SQLError {
            #expect(error.kind == .closed)
        }
        return seen
    }

    @Test func faultPointsSurroundEveryStatementAndEndTheConnectionThere() throws {
        try use(Way()) { db, other, n throws in
            let all = try points(db, n, closingAt: nil)
            let texts = ["BEGIN ISOLATION LEVEL READ COMMITTED", "INSERT INTO \(n) VALUES (1)", "SELECT 1", "INSERT INTO \(n) VALUES (2)", "COMMIT"]
            #expect(all.count == 2 * texts.count)
            #expect(Set(all) == Set(texts.flatMap { [.before($0), .after($0)] }))
            // Closed at any of them, all of it is there or nothing is.
            for point in all {
                try other.run("DELETE FROM n")
                _ = try points(db, n, closingAt: point)
                // The last insert is answered together with the commit.
                let isCommitted = point == .after("COMMIT") || point == .after(texts[3])
                #expect(try values(other) == (isCommitted ? [1, 2] : []), "\(point)")
            }
        }
    }
}
