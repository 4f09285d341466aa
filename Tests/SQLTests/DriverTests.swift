import Foundation
import PostgresTestKit
import SQL
import Testing

/// The rules of both drivers: each test runs on every database that is here.
enum Database {
    /// A database with one table, or that of `script`, where `BLOB` is a word of both. Gone afterwards.
    static func use(
        _ dialect: SQLDialect, _ script: String = "CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT, amount DOUBLE PRECISION, raw BLOB)",
        _ body: (any SQLConnection) throws -> Void
    ) throws {
        switch dialect {
        case .sqlite:
            let connection = try SQLiteConnection(path: ":memory:")
            try connection.execute(script)
            try body(connection)
        case .postgresql:
            let schema = try TestPostgres.make()
            defer { try? TestPostgres.drop(schema) }
            let connection = try PostgresConnection(PostgresAddress(schema.url))
            defer { connection.close() }
            try connection.execute(script.replacingOccurrences(of: "BLOB", with: "BYTEA"))
            try body(connection)
        }
    }
}

private let everywhere = TestPostgres.dialects

/// A database in memory.
private func memory(_ script: String = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, amount REAL, raw BLOB)") throws -> SQLiteConnection {
    let connection = try SQLiteConnection(path: ":memory:")
    try connection.execute(script)
    return connection
}

@Suite struct ValuesAndColumns {
    @Test(arguments: everywhere) func everyTypeComesBackAsItWentIn(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            try db.run(
                "INSERT INTO t VALUES (?, ?, ?, ?)",
                [.int(Int64.min), .text("naïve \u{1} 🦆"), .double(0.1), .bytes([0, 255, 0])])
            let row = try #require(try db.first("SELECT id, name, amount, raw FROM t") { row in
                (try row.int64("id"), try row.text("name"), try row.double("amount"), try row.bytes("raw"))
            })
            #expect(row.0 == .min)
            #expect(row.1 == "naïve \u{1} 🦆")
            #expect(row.2 == 0.1)
            #expect(row.3 == [0, 255, 0])
        }
    }

    @Test(arguments: everywhere) func emptyTextAndEmptyBytesAreNotNull(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            try db.run("INSERT INTO t VALUES (1, ?, NULL, ?)", ["", .bytes([])])
            let values = try db.first("SELECT name, raw, amount FROM t") { [$0.value(0), $0.value(1), $0.value(2)] }
            #expect(values == [.text(""), .bytes([]), .null])
        }
    }

    @Test(arguments: everywhere) func booleansAreZeroAndOneAndNothingElse(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            #expect(try db.first("SELECT CAST(? AS boolean)", [true]) { try $0.bool(0) } == true)
            #expect(try db.first("SELECT CAST(? AS boolean)", [false]) { try $0.bool(0) } == false)
            let error = #expect(throws: SQLError.self) { try db.first("SELECT 2 AS flag") { try $0.bool("flag") } }
            #expect(error?.kind == .column)
            #expect(error?.message == "column \"flag\" holds an integer, not a boolean")
        }
    }

    @Test(arguments: everywhere, ["NULL", "'12'", "1.0", "CAST('1' AS BLOB)"])
    func anIntegerIsNeverGuessed(dialect: SQLDialect, literal: String) throws {
        try Database.use(dialect) { db throws in
            let literal = dialect == .postgresql ? literal.replacingOccurrences(of: "BLOB", with: "BYTEA") : literal
            let error = #expect(throws: SQLError.self) { try db.first("SELECT \(literal)") { try $0.int64(0) } }
            #expect(error?.kind == .column)
        }
    }

    @Test(arguments: everywhere) func aBinaryFloatIsNeverReadAsText(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let error = #expect(throws: SQLError.self) { try db.first("SELECT CAST(0.1 AS DOUBLE PRECISION) AS amount") { try $0.text(0) } }
            #expect(error?.message == "column \"amount\" holds a binary float, not text")
            #expect(try db.first("SELECT 9007199254740993") { try $0.text(0) } == "9007199254740993")
        }
    }

    @Test(arguments: everywhere) func theBytesOfATextAreThoseOfItsString(dialect: SQLDialect) throws {
        func bytes(_ db: any SQLConnection, _ literal: String) throws -> [UInt8]? {
            var found: [UInt8] = []
            return try db.first("SELECT \(literal)") { row in
                try row.withText(0) { found = Array($0) }
                return found
            }
        }
        try Database.use(dialect) { db throws in
            for text in ["", "100.53", "½ of a text that is longer than a small string"] { #expect(try bytes(db, "'\(text)'") == Array(text.utf8)) }
            #expect(try bytes(db, "9007199254740993") == Array("9007199254740993".utf8))
            for literal in ["NULL", "CAST(0.1 AS DOUBLE PRECISION)"] {
                let error = #expect(throws: SQLError.self) { try bytes(db, literal) }
                #expect(error?.kind == .column)
            }
        }
    }

    @Test(arguments: everywhere) func aMissingColumnNamesThoseThatAreThere(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let error = #expect(throws: SQLError.self) { try db.first("SELECT 1 AS a, 2 AS b") { try $0.int64("c") } }
            #expect(error?.message == "no column \"c\"; there are: a, b")
        }
    }
}

@Suite struct Parameters {
    @Test(arguments: everywhere) func namesAreBoundWhereverTheyAreUsed(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            try db.run("INSERT INTO t (id, name) VALUES (:id, :name || '/' || :id)", named: ["id": 7, "name": "x"])
            #expect(try db.first("SELECT name FROM t WHERE id = 7") { try $0.text(0) } == "x/7")
        }
    }

    @Test(arguments: everywhere) func aMissingNameIsAnErrorAndNotNull(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let error = #expect(throws: SQLError.self) { try db.run("SELECT :from, :to", named: ["from": 1, "until": 2]) }
            #expect(error?.kind == .parameter)
            #expect(error?.message == "no value for :to; there are: :from, :until")
        }
    }

    @Test(arguments: everywhere) func anUnusedNameIsAnErrorUnlessAllowed(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let error = #expect(throws: SQLError.self) { try db.run("SELECT :a", named: ["a": 1, "b": 2]) }
            #expect(error?.message == "the statement has no parameter :b")
            #expect(throws: Never.self) { try db.run("SELECT :a", named: ["a": 1, "b": 2], ignoringUnused: true) }
        }
    }

    @Test(arguments: everywhere) func theNumberOfPositionalValuesHasToFit(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let error = #expect(throws: SQLError.self) { try db.run("SELECT ?, ?", [1]) }
            #expect(error?.message == "1 values for 2 parameters")
        }
    }

    @Test(arguments: everywhere) func valuesNeverLeakIntoTheNextUseOfACachedStatement(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let sql = "SELECT :a"
            _ = try db.first("SELECT 1") { _ in }
            do {
                let statement = try db.prepare(sql)
                try statement.bind(["a": "secret"])
                #expect(try statement.step())
            }
            let again = try db.prepare(sql)
            #expect(try again.step())
            #expect(again.value(0) == .null)
        }
    }
}

@Suite struct Statements {
    @Test(arguments: everywhere) func aSecondStatementIsRefusedAndATrailingCommentIsNot(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let error = #expect(throws: SQLError.self) { try db.prepare("DELETE FROM t; DROP TABLE t") }
            #expect(error?.message == "more than one statement")
            #expect(throws: Never.self) { try db.prepare("DELETE FROM t; -- that is all\n") }
            let empty = #expect(throws: SQLError.self) { try db.prepare("  -- nothing") }
            #expect(empty?.kind == .statement)
        }
    }

    @Test(arguments: everywhere) func theSameTextTwiceAtOnceIsTwoStatements(dialect: SQLDialect) throws {
        try Database.use(dialect, "CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (1), (2)") { db throws in
            var pairs: [[Int64]] = []
            let sql = "SELECT v FROM n ORDER BY v"
            _ = try db.rows(sql) { outer in
                let left = try outer.int64(0)
                _ = try db.rows(sql) { pairs.append([left, try $0.int64(0)]) }
            }
            #expect(pairs == [[1, 1], [1, 2], [2, 1], [2, 2]])
        }
    }

    @Test(arguments: everywhere) func changesAreThoseOfTheStatement(dialect: SQLDialect) throws {
        try Database.use(dialect, "CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (1), (2), (3)") { db throws in
            #expect(try db.run("UPDATE n SET v = v + 1 WHERE v >= 2") == 2)
            #expect(try db.run("UPDATE n SET v = 0 WHERE v = 99") == 0)
            try db.run("INSERT INTO n VALUES (9)")
        }
    }

    @Test func theNewestRowHasANumber() throws {
        let db = try memory("CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (1), (2), (3)")
        try db.run("INSERT INTO n VALUES (9)")
        #expect(db.lastInsertRowID == 4)
    }

    @Test func aMisspeltColumnInQuotesIsNotAString() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.prepare("SELECT \"nmae\" FROM t") }
        #expect(error?.kind == .statement)
        #expect(error?.message == "no such column: nmae")
    }

    @Test(arguments: everywhere) func aClosedConnectionSaysSo(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let held = try db.prepare("SELECT 1")
            db.close()
            db.close()
            #expect(#expect(throws: SQLError.self) { try held.step() }?.kind == .closed)
            #expect(#expect(throws: SQLError.self) { try db.prepare("SELECT 1") }?.kind == .closed)
        }
    }

    @Test func manyDifferentStatementsPassThroughASmallCache() throws {
        var options = SQLiteOptions()
        options.cachedStatements = 3
        let db = try SQLiteConnection(path: ":memory:", options: options)
        for round in 0..<3 {
            for number in 0..<10 {
                #expect(try db.first("SELECT \(number)") { try $0.int64(0) } == Int64(number), "round \(round)")
            }
        }
    }
}

@Suite struct Transactions {
    private struct Refusal: Error {}

    private func count(_ db: any SQLConnection) throws -> Int64? {
        try db.first("SELECT count(*) FROM n") { try $0.int64(0) }
    }

    @Test(arguments: everywhere) func aThrowUndoesEverything(dialect: SQLDialect) throws {
        try Database.use(dialect, "CREATE TABLE n (v INTEGER)") { db throws in
            #expect(throws: Refusal.self) {
                try db.transaction(.immediate) {
                    try db.run("INSERT INTO n VALUES (1)")
                    throw Refusal()
                }
            }
            #expect(try count(db) == 0)
            #expect(!db.inTransaction)
        }
    }

    @Test(arguments: everywhere) func anInnerFailureUndoesOnlyItself(dialect: SQLDialect) throws {
        try Database.use(dialect, "CREATE TABLE n (v INTEGER UNIQUE)") { db throws in
            try db.transaction(.immediate) {
                try db.run("INSERT INTO n VALUES (1)")
                let error = #expect(throws: SQLError.self) {
                    try db.transaction(.deferred) {
                        try db.run("INSERT INTO n VALUES (2)")
                        try db.run("INSERT INTO n VALUES (1)")
                    }
                }
                #expect(error?.kind == .constraint)
                #expect(dialect == .sqlite ? error?.extendedCode == 2067 : error?.sqlState == "23505")
                try db.run("INSERT INTO n VALUES (3)")
            }
            #expect(try db.rows("SELECT v FROM n ORDER BY v") { try $0.int64(0) } == [1, 3])
        }
    }

    @Test(arguments: everywhere) func faultPointsSurroundEveryStatement(dialect: SQLDialect) throws {
        try Database.use(dialect, "CREATE TABLE n (v INTEGER)") { db throws in
            var seen: [SQLFaultPoint] = []
            db.faultPoint = { seen.append($0) }
            try db.transaction(.immediate) { try db.run("INSERT INTO n VALUES (1)") }
            let begin = dialect == .sqlite ? "BEGIN IMMEDIATE" : "BEGIN ISOLATION LEVEL SERIALIZABLE"
            #expect(seen == [
                .before(begin), .after(begin),
                .before("INSERT INTO n VALUES (1)"), .after("INSERT INTO n VALUES (1)"),
                .before("COMMIT"), .after("COMMIT"),
            ])
        }
    }

    private static let faultPlaces: [(SQLFaultPoint, [Int64])] = [
        (.before("INSERT INTO n VALUES (2)"), []), (.after("INSERT INTO n VALUES (2)"), []),
        (.before("COMMIT"), []), (.after("COMMIT"), [1, 2]),
    ]

    @Test(arguments: everywhere, faultPlaces)
    func closedAtAFaultPointTheStatementThrowsAndTheTransactionIsLost(dialect: SQLDialect, at place: (SQLFaultPoint, [Int64])) throws {
        func check(_ open: () throws -> any SQLConnection) throws {
            let db = try open()
            try db.execute("CREATE TABLE n (v INTEGER)")
            // Held across the close, as a program under test may: it must not keep the lock.
            let held = try db.prepare("INSERT INTO n VALUES (1)")
            db.faultPoint = { [unowned db] in if $0 == place.0 { db.close() } }
            let error = #expect(throws: SQLError.self) {
                try db.transaction(.immediate) {
                    try held.run()
                    try db.run("INSERT INTO n VALUES (2)")
                }
            }
            #expect(error?.kind == .closed)
            #expect(throws: SQLError.self) { try held.run() }
            let other = try open()
            defer { other.close() }
            #expect(try other.rows("SELECT v FROM n ORDER BY v") { try $0.int64(0) } == place.1)
            try other.run("INSERT INTO n VALUES (3)")
        }
        switch dialect {
        case .sqlite:
            let path = FileManager.default.temporaryDirectory.appending(path: "sql-\(UUID().uuidString).db").path
            defer { for suffix in ["", "-journal"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
            try check { try SQLiteConnection(path: path) }
        case .postgresql:
            let schema = try TestPostgres.make()
            defer { try? TestPostgres.drop(schema) }
            try check { try PostgresConnection(PostgresAddress(schema.url)) }
        }
    }

    @Test func aWatchIsShownTheConnectionsOpenedInItsScope() throws {
        let seen = Seen()
        try SQLConnectionWatch.$opened.withValue({ connection in
            connection.faultPoint = { seen.points.append($0) }
        }, operation: { try memory("CREATE TABLE n (v INTEGER)") }).close()
        #expect(seen.points == [.before("CREATE TABLE n (v INTEGER)"), .after("CREATE TABLE n (v INTEGER)")])
        try memory("CREATE TABLE n (v INTEGER)").close()
        #expect(seen.points.count == 2)
    }

    private final class Seen: @unchecked Sendable { var points: [SQLFaultPoint] = [] }
}

@Suite struct Errors {
    @Test func aMissingFileIsNamed() throws {
        var options = SQLiteOptions()
        options.create = false
        let error = #expect(throws: SQLError.self) {
            try SQLiteConnection(path: "/nonexistent/exchange.db", options: options)
        }
        #expect(error?.kind == .cannotOpen)
        #expect(error?.message == "unable to open database file: /nonexistent/exchange.db")
        #expect(error?.isTransient == true)
    }

    @Test(arguments: everywhere) func longStatementsAreClipped(dialect: SQLDialect) throws {
        try Database.use(dialect) { db throws in
            let error = #expect(throws: SQLError.self) {
                try db.prepare("SELECT " + String(repeating: "nothing, ", count: 500) + "1")
            }
            #expect(error?.sql.count == SQLError.clip + 1)
        }
    }

    @Test func aPageLimitIsAFullDisk() throws {
        let db = try memory("PRAGMA max_page_count = 4; CREATE TABLE n (v BLOB)")
        let error = #expect(throws: SQLError.self) { try db.run("INSERT INTO n VALUES (zeroblob(100000))") }
        #expect(error?.kind == .full)
        #expect(error?.isTransient == true)
    }
}
