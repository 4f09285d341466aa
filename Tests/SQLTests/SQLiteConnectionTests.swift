import Foundation
import SQL
import Testing

/// A database in memory with one table.
private func memory(_ script: String = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, amount REAL, raw BLOB)") throws -> SQLiteConnection {
    let connection = try SQLiteConnection(path: ":memory:")
    try connection.execute(script)
    return connection
}

@Suite struct ValuesAndColumns {
    @Test func everyTypeComesBackAsItWentIn() throws {
        let db = try memory()
        try db.run(
            "INSERT INTO t VALUES (?, ?, ?, ?)",
            [.int(Int64.min), .text("naïve \u{0} 🦆"), .double(0.1), .bytes([0, 255, 0])])
        let row = try #require(try db.first("SELECT id, name, amount, raw FROM t") { row in
            (try row.int64("id"), try row.text("name"), try row.double("amount"), try row.bytes("raw"))
        })
        #expect(row.0 == .min)
        #expect(row.1 == "naïve \u{0} 🦆")
        #expect(row.2 == 0.1)
        #expect(row.3 == [0, 255, 0])
    }

    @Test func emptyTextAndEmptyBytesAreNotNull() throws {
        let db = try memory()
        try db.run("INSERT INTO t VALUES (1, ?, NULL, ?)", ["", .bytes([])])
        let values = try db.first("SELECT name, raw, amount FROM t") { [$0.value(0), $0.value(1), $0.value(2)] }
        #expect(values == [.text(""), .bytes([]), .null])
    }

    @Test func booleansAreZeroAndOneAndNothingElse() throws {
        let db = try memory()
        #expect(try db.first("SELECT ?", [true]) { try $0.bool(0) } == true)
        #expect(try db.first("SELECT ?", [false]) { try $0.bool(0) } == false)
        let error = #expect(throws: SQLError.self) { try db.first("SELECT 2 AS flag") { try $0.bool("flag") } }
        #expect(error?.kind == .column)
        #expect(error?.message == "column \"flag\" holds an integer, not a boolean")
    }

    @Test(arguments: ["NULL", "'12'", "1.0", "x'31'"])
    func anIntegerIsNeverGuessed(literal: String) throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.first("SELECT \(literal)") { try $0.int64(0) } }
        #expect(error?.kind == .column)
    }

    @Test func aBinaryFloatIsNeverReadAsText() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.first("SELECT 0.1 AS amount") { try $0.text(0) } }
        #expect(error?.message == "column \"amount\" holds a binary float, not text")
        #expect(try db.first("SELECT 9007199254740993") { try $0.text(0) } == "9007199254740993")
    }

    @Test func aMissingColumnNamesThoseThatAreThere() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.first("SELECT 1 AS a, 2 AS b") { try $0.int64("c") } }
        #expect(error?.message == "no column \"c\"; there are: a, b")
    }
}

@Suite struct Parameters {
    @Test func namesAreBoundWhereverTheyAreUsed() throws {
        let db = try memory()
        try db.run("INSERT INTO t (id, name) VALUES (:id, :name || '/' || :id)", named: ["id": 7, "name": "x"])
        #expect(try db.first("SELECT name FROM t WHERE id = 7") { try $0.text(0) } == "x/7")
    }

    @Test func aMissingNameIsAnErrorAndNotNull() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.run("SELECT :from, :to", named: ["from": 1, "until": 2]) }
        #expect(error?.kind == .parameter)
        #expect(error?.message == "no value for :to; there are: :from, :until")
    }

    @Test func anUnusedNameIsAnErrorUnlessAllowed() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.run("SELECT :a", named: ["a": 1, "b": 2]) }
        #expect(error?.message == "the statement has no parameter :b")
        #expect(throws: Never.self) { try db.run("SELECT :a", named: ["a": 1, "b": 2], ignoringUnused: true) }
    }

    @Test func theNumberOfPositionalValuesHasToFit() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.run("SELECT ?, ?", [1]) }
        #expect(error?.message == "1 values for 2 parameters")
    }

    @Test func valuesNeverLeakIntoTheNextUseOfACachedStatement() throws {
        let db = try memory()
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

@Suite struct Statements {
    @Test func aSecondStatementIsRefusedAndATrailingCommentIsNot() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.prepare("DELETE FROM t; DROP TABLE t") }
        #expect(error?.message == "more than one statement")
        #expect(throws: Never.self) { try db.prepare("DELETE FROM t; -- that is all\n") }
        let empty = #expect(throws: SQLError.self) { try db.prepare("  -- nothing") }
        #expect(empty?.kind == .statement)
    }

    @Test func theSameTextTwiceAtOnceIsTwoStatements() throws {
        let db = try memory("CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (1), (2)")
        var pairs: [[Int64]] = []
        let sql = "SELECT v FROM n ORDER BY v"
        _ = try db.rows(sql) { outer in
            let left = try outer.int64(0)
            _ = try db.rows(sql) { pairs.append([left, try $0.int64(0)]) }
        }
        #expect(pairs == [[1, 1], [1, 2], [2, 1], [2, 2]])
    }

    @Test func changesAreThoseOfTheStatement() throws {
        let db = try memory("CREATE TABLE n (v INTEGER); INSERT INTO n VALUES (1), (2), (3)")
        #expect(try db.run("UPDATE n SET v = v + 1 WHERE v >= 2") == 2)
        #expect(try db.run("UPDATE n SET v = 0 WHERE v = 99") == 0)
        try db.run("INSERT INTO n VALUES (9)")
        #expect(db.lastInsertRowID == 4)
    }

    @Test func aMisspeltColumnInQuotesIsNotAString() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) { try db.prepare("SELECT \"nmae\" FROM t") }
        #expect(error?.kind == .statement)
        #expect(error?.message == "no such column: nmae")
    }

    @Test func aClosedConnectionSaysSo() throws {
        let db = try memory()
        let held = try db.prepare("SELECT 1")
        db.close()
        db.close()
        #expect(#expect(throws: SQLError.self) { try held.step() }?.kind == .closed)
        #expect(#expect(throws: SQLError.self) { try db.prepare("SELECT 1") }?.kind == .closed)
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

    private func count(_ db: SQLiteConnection) throws -> Int64? {
        try db.first("SELECT count(*) FROM n") { try $0.int64(0) }
    }

    @Test func aThrowUndoesEverything() throws {
        let db = try memory("CREATE TABLE n (v INTEGER)")
        #expect(throws: Refusal.self) {
            try db.transaction(.immediate) {
                try db.run("INSERT INTO n VALUES (1)")
                throw Refusal()
            }
        }
        #expect(try count(db) == 0)
        #expect(!db.inTransaction)
    }

    @Test func anInnerFailureUndoesOnlyItself() throws {
        let db = try memory("CREATE TABLE n (v INTEGER UNIQUE)")
        try db.transaction(.immediate) {
            try db.run("INSERT INTO n VALUES (1)")
            let error = #expect(throws: SQLError.self) {
                try db.transaction(.deferred) {
                    try db.run("INSERT INTO n VALUES (2)")
                    try db.run("INSERT INTO n VALUES (1)")
                }
            }
            #expect(error?.kind == .constraint)
            #expect(error?.extendedCode == 2067)
            try db.run("INSERT INTO n VALUES (3)")
        }
        #expect(try db.rows("SELECT v FROM n ORDER BY v") { try $0.int64(0) } == [1, 3])
    }

    @Test func faultPointsSurroundEveryStatement() throws {
        let db = try memory("CREATE TABLE n (v INTEGER)")
        var seen: [SQLFaultPoint] = []
        db.faultPoint = { seen.append($0) }
        try db.transaction(.immediate) { try db.run("INSERT INTO n VALUES (1)") }
        #expect(seen == [
            .before("BEGIN IMMEDIATE"), .after("BEGIN IMMEDIATE"),
            .before("INSERT INTO n VALUES (1)"), .after("INSERT INTO n VALUES (1)"),
            .before("COMMIT"), .after("COMMIT"),
        ])
    }

    @Test func closedAtAFaultPointTheStatementThrowsAndTheTransactionIsLost() throws {
        for (place, kept) in [
            (SQLFaultPoint.before("INSERT INTO n VALUES (2)"), [Int64]()), (.after("INSERT INTO n VALUES (2)"), []),
            (.before("COMMIT"), []), (.after("COMMIT"), [1, 2]),
        ] {
            let path = FileManager.default.temporaryDirectory.appending(path: "sql-\(UUID().uuidString).db").path
            defer { for suffix in ["", "-journal"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
            let db = try SQLiteConnection(path: path)
            try db.execute("CREATE TABLE n (v INTEGER)")
            // Held across the close, as a program under test may: it must not keep the lock.
            let held = try db.prepare("INSERT INTO n VALUES (1)")
            db.faultPoint = { [unowned db] in if $0 == place { db.close() } }
            let error = #expect(throws: SQLError.self) {
                try db.transaction(.immediate) {
                    try held.run()
                    try db.run("INSERT INTO n VALUES (2)")
                }
            }
            #expect(error?.kind == .closed)
            #expect(throws: SQLError.self) { try held.run() }
            let other = try SQLiteConnection(path: path)
            #expect(try other.rows("SELECT v FROM n ORDER BY v") { try $0.int64(0) } == kept, "\(place)")
            try other.run("INSERT INTO n VALUES (3)")
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

    @Test func longStatementsAreClipped() throws {
        let db = try memory()
        let error = #expect(throws: SQLError.self) {
            try db.prepare("SELECT " + String(repeating: "nothing, ", count: 500) + "1")
        }
        #expect(error?.sql.count == SQLError.clip + 1)
    }

    @Test func aPageLimitIsAFullDisk() throws {
        let db = try memory("PRAGMA max_page_count = 4; CREATE TABLE n (v BLOB)")
        let error = #expect(throws: SQLError.self) { try db.run("INSERT INTO n VALUES (zeroblob(100000))") }
        #expect(error?.kind == .full)
        #expect(error?.isTransient == true)
    }
}
