import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import ExchangeKit

@Suite struct ExchangeTests {
    private func withFolder(_ body: (URL) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "exchange-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder)
    }
    private func location(_ folder: URL, sql: [String: String] = [:]) -> ExchangeLocation {
        ExchangeLocation(
            database: "sqlite:" + folder.appending(path: "x.db").path, lockTimeout: .milliseconds(20), sql: sql)
    }

    @Test func openingMakesNothing() throws {
        try withFolder { folder in
            let refusal = #expect(throws: JobFailure.self) { try Exchange.open(location(folder), statements: StatementSet([:])) }
            #expect(refusal?.kind == .transient)
            #expect(refusal?.text.hasPrefix("cannot open the exchange database ") == true)
            #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "x.db").path))
        }
    }

    /// SQLite's words: FULL (2) waits for the disk at every commit, NORMAL (1) does not.
    @Test(arguments: [(Exchange.Durability.everything, Int64(2)), (.derived, 1)])
    func whatAPowerCutMayTake(_ durability: Exchange.Durability, _ synchronous: Int64) throws {
        try withFolder { folder in
            try Exchange.openSimulation(location(folder), statements: StatementSet([:]), at: 0).exchange.close()
            let exchange = try Exchange.open(location(folder), statements: StatementSet([:]), durability: durability)
            #expect(try exchange.connection.first("PRAGMA synchronous") { try $0.int64(0) } == synchronous)
        }
    }

    @Test func aDatabaseOfSomethingElseIsRefused() throws {
        try withFolder { folder in
            let connection = try SQLiteConnection(path: folder.appending(path: "x.db").path)
            try connection.execute("CREATE TABLE t (a)")
            let refusal = #expect(throws: JobFailure.self) { try Exchange.open(location(folder), statements: StatementSet([:])) }
            #expect(refusal?.kind == .permanent)
            #expect(refusal?.text.contains("has no exchange schema") == true)
            try connection.execute(
                """
                CREATE TABLE exchange_info (id INTEGER PRIMARY KEY, purpose TEXT, schema_version INTEGER);
                INSERT INTO exchange_info VALUES (1, 'live', 99);
                """)
            let newer = #expect(throws: JobFailure.self) { try Exchange.open(location(folder), statements: StatementSet([:])) }
            #expect(newer?.text.hasSuffix("has version 99 of the exchange schema, this plugin knows 1") == true)
        }
    }

    @Test func anEmptyOneMayBeInTheMaking() throws {
        try withFolder { folder in
            _ = try SQLiteConnection(path: folder.appending(path: "x.db").path)
            let notYet = #expect(throws: JobFailure.self) { try Exchange.open(location(folder), statements: StatementSet([:])) }
            #expect(notYet?.kind == .transient)
            #expect(notYet?.text.contains("is empty so far") == true)
        }
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        try withFolder { folder in
            try String(repeating: "not a database ", count: 100)
                .write(to: folder.appending(path: "x.db"), atomically: true, encoding: .utf8)
            let refusal = #expect(throws: JobFailure.self) { try Exchange.open(location(folder), statements: StatementSet([:])) }
            #expect(refusal?.kind == .permanent)
        }
    }

    @Test func aSimulationIsMadeOnceAndStaysOne() throws {
        try withFolder { folder in
            let first = try Exchange.openSimulation(location(folder), statements: StatementSet([:]), at: 5)
            #expect(first.created)
            #expect(try first.exchange.purpose() == .simulation)
            first.exchange.close()
            let second = try Exchange.openSimulation(location(folder), statements: StatementSet([:]), at: 6)
            #expect(!second.created)
            second.exchange.close()
        }
    }

    @Test func aLockedDatabaseIsTriedAgainLater() throws {
        try withFolder { folder in
            let (exchange, _) = try Exchange.openSimulation(location(folder), statements: StatementSet([:]), at: 0)
            let other = try SQLiteConnection(path: exchange.place)
            try other.transaction(.immediate) {
                let refusal = #expect(throws: JobFailure.self) { try exchange.write {} }
                #expect(refusal?.kind == .transient)
                #expect(refusal?.text == "the exchange database \(exchange.place) is locked by another program")
            }
            exchange.close()
        }
    }

    @Test func aFailedTransactionLeavesNothing() throws {
        struct Stop: Error {}
        let exchange = try emptyExchange()
        #expect(throws: Stop.self) {
            try exchange.write {
                try exchange.putCheckpoint("x", 5, at: 0)
                throw Stop()
            }
        }
        #expect(try exchange.checkpoint("x") == nil)
    }

    @Test func checkpointsAndEvents() throws {
        let exchange = try emptyExchange()
        try exchange.putCheckpoint("x", 5, note: "five", at: 0)
        try exchange.putCheckpoint("x", 6, at: 0)
        let mark = try #require(try exchange.checkpoint("x"))
        #expect((mark.position, mark.note) == (6, ""))
        #expect(try exchange.emit("Happened", key: "k", JSONObject([("n", 1)]), at: 0))
        #expect(try !exchange.emit("Happened", key: "k", JSONObject(), at: 0))
        #expect(try exchange.connection.rows("SELECT payload FROM outbox_events", []) { try $0.text(0) } == [#"{"n":1}"#])
        for (event, key) in [("", "k2"), ("Happened", ""), ("Happened", String(repeating: "é", count: 257)), (String(repeating: "x", count: 513), "k2")] {
            #expect(throws: JobFailure.self) { try exchange.emit(event, key: key, JSONObject(), at: 0) }
        }
        #expect(try exchange.emit("Happened", key: String(repeating: "x", count: 512), JSONObject(), at: 0))
    }

    @Test func everyStatementCompiles() throws {
        try emptyExchange().prepareAll()
    }

    @Test func aStatementOfOnesOwn() throws {
        try withFolder { folder in
            try Exchange.openSimulation(location(folder), statements: StatementSet([:]), at: 0).exchange.close()
            let own = location(folder, sql: ["checkpoint": "SELECT 42, 'mine'"])
            let exchange = try Exchange.open(own, statements: StatementSet([:]))
            #expect(try exchange.checkpoint("whatever")?.position == 42)
            exchange.close()
            let wrong = try Exchange.open(location(folder, sql: ["checkpoint": "SELEC 42"]), statements: StatementSet([:]))
            let refusal = #expect(throws: JobFailure.self) { try wrong.prepareAll() }
            #expect(refusal?.kind == .badSettings)
            #expect(refusal?.text == #"sql.checkpoint: near "SELEC": syntax error"#)
            let missing = #expect(throws: JobFailure.self) {
                try Exchange.open(location(folder, sql: ["checkpoint": "file:/nowhere.sql"]), statements: StatementSet([:]))
            }
            #expect(missing?.text == "sql.checkpoint: cannot read the file /nowhere.sql")
        }
    }

    @Test func amountsAreReadFromTextAndIntegersNotFromFloats() throws {
        let exchange = try emptyExchange()
        func read(_ sql: String) throws -> Amount? { try exchange.connection.first("SELECT " + sql + " AS price", []) { try $0.amount(0) } }
        #expect(try read("'0.1'") == Amount(parsing: "0.1"))
        #expect(try read("7") == Amount(7))
        #expect(throws: (any Error).self) { try read("0.1") }
        #expect(throws: (any Error).self) { try read("NULL") }
        #expect(throws: JobFailure.permanent("column price: 'x' is not a decimal number")) { try read("'x'") }
    }

    /// SQLite's arithmetic is binary; PostgreSQL's needs no help.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func amountsInSmallestUnitsAreExactInSQL() throws {
        let test = try TestExchange()
        let connection = test.connection
        func say(_ expression: String) throws -> String? { try connection.first("SELECT \(expression)", []) { try $0.textOrNil(0) } ?? nil }
        #expect(try say("amount_of(150000000, 8)") == "1.5")
        #expect(try say("amount_of(-1, 18)") == "-0.000000000000000001")
        #expect(try say("amount_of(9223372036854775807, 8)") == "92233720368.54775807")
        #expect(try say("amount_of('100000000000000000000', 18)") == "100")
        #expect(try say("amount_of('200000000000000000000', 18)") == "200")
        #expect(try say("amount_of(units_of('200', 18), 18)") == "200")
        #expect(try say("amount_of('150.00', 2)") == "1.5")
        #expect(try say("amount_of(NULL, 8)") == nil)
        #expect(try say("units_of('92233720368.54775807', 8)") == "9223372036854775807")
        #expect(try say("units_of('0.10', 2)") == "10")
        #expect(try say("units_of('20', 18)") == "20000000000000000000")
        #expect(try say("units_of(rounded('33.333333335', 8), 8)") == "3333333334")
        #expect(try say("rounded('0.5', 0)") == "0")
        for (expression, reason) in [
            ("units_of('0.123', 2)", "0.123 has more than 2 decimals; rounded() says how to round"),
            ("units_of(0.1, 2)", "the amount is a binary float"), ("amount_of('x', 8)", "'x' is not a decimal number"),
            ("amount_of('1.5', 2)", "1.5 is no whole number of units"),
            ("amount_of('200000000000000000000', 0)", "the amount does not fit into 38 digits"),
            ("amount_of(1, 19)", "the digits after the point are a number from 0 to 18"),
        ] {
            let error = #expect(throws: SQLError.self) { try say(expression) }
            #expect(error?.message.hasPrefix(reason) == true, "\(error?.message ?? "")")
        }
        // Views of a platform's file may use them, though its schema is not trusted.
        try connection.execute("CREATE VIEW cents AS SELECT amount_of(150, 2) AS amount")
        #expect(try connection.first("SELECT amount FROM cents", []) { try $0.text(0) } == "1.5")
    }
}
