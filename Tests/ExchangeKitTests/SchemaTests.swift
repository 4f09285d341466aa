import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import ExchangeKit

/// What a migration is made of, and what a plugin needs of it.
@Suite struct SchemaTests {
    private static let candles = StatementSet(
        "candles", shared: [.checkpoints],
        sqlite: [
            "pairs": "SELECT id, symbol FROM pairs WHERE active = 1",
            "put": """
                INSERT INTO candles (pair_id, interval, open_ms) VALUES (:pair, :interval, :open)
                ON CONFLICT (pair_id, interval, open_ms) DO UPDATE SET close = :close
                """,
            "drop": "DELETE FROM candles WHERE open_ms < :before",
            "paper": "SELECT hash FROM paper_blocks",
        ])

    @Test func `The objects of a migration make the same database as the migration`() throws {
        let (whole, parts) = (try SQLiteConnection(path: ":memory:"), try SQLiteConnection(path: ":memory:"))
        let objects = SchemaPlan.objects(.sqlite)
        for step in StatementSet.migrations(.sqlite) { try whole.execute(step.sql) }
        for object in objects { try parts.execute(object.sql) }
        let names = "SELECT type || ' ' || name || ' ' || tbl_name FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY 1"
        let made = try whole.rows(names) { try $0.text(0) }
        #expect(try parts.rows(names) { try $0.text(0) } == made)
        #expect(objects.map { "\($0.kind.rawValue) \($0.name) \($0.table)" }.sorted() == made)
        for object in objects where object.kind == .table {
            let facts = try #require(try TableFacts.read(object.name, whole))
            #expect(Dictionary(uniqueKeysWithValues: object.columns.map { ($0.name, $0.type) }) == facts.columns)
            let keys = Set(facts.indexes.values.filter(\.isKey).map(\.columns))
            #expect(Set(object.keys).isSubset(of: keys), "\(object.name)")
        }
    }

    @Test func `Both dialects have the same tables, columns and keys`() throws {
        let (sqlite, postgresql) = (SchemaPlan.objects(.sqlite), SchemaPlan.objects(.postgresql))
        #expect(sqlite.filter { $0.kind == .table }.map(\.name) == postgresql.filter { $0.kind == .table }.map(\.name))
        let indexes = Set(postgresql.filter { $0.kind == .index }.map(\.name))
        for object in sqlite where object.kind == .index { #expect(indexes.contains(object.name)) }
        for table in sqlite where table.kind == .table {
            let other = try #require(postgresql.first { $0.title == table.title })
            #expect(other.columns.map(\.name).filter { ($0, table.name) != ("tx", "trades") } == table.columns.map(\.name))
            #expect(other.references == table.references)
        }
    }

    @Test func `Needs are what the statements use, by SQLite's own word`() throws {
        let needs = try SchemaNeeds(Self.candles, .sqlite, simulation: false)
        #expect(needs.tables.keys.sorted() == ["candles", "checkpoints", "exchange_info", "pairs"])
        #expect(needs.tables["pairs"]?.columns == ["active", "id", "symbol"])
        #expect(needs.tables["pairs"]?.rights == ["SELECT"])
        #expect(needs.tables["candles"]?.rights == ["SELECT", "INSERT", "UPDATE (close)", "DELETE"])
        #expect(needs.tables["candles"]?.keys == [["pair_id", "interval", "open_ms"]])
        #expect(try SchemaNeeds(Self.candles, .sqlite, simulation: true).tables["paper_blocks"]?.rights == ["SELECT"])
        // Who replaces the statements that use a table needs it no more.
        let own = Self.candles.replacing(["pairs": "SELECT rowid, name FROM theirs"])
        #expect(try SchemaNeeds(own, .sqlite, simulation: false).tables["pairs"] == nil)
    }

    @Test func `A plan has what its tables refer to, and their indexes and triggers`() throws {
        let plan = try SchemaPlan(StatementSet(["x": "SELECT size FROM positions"]), .postgresql, simulation: false)
        let titles = plan.objects.map(\.title)
        for title in ["table wallets", "table accounts", "table pairs", "table positions", "index positions_open",
                      "function positions_history", "trigger positions_history"] {
            #expect(titles.contains(title))
        }
        #expect(!titles.contains("table orders"))
    }

    // MARK: On a database

    private func answer(
        _ test: TestExchange?, _ request: SchemaRequest, database: String? = nil, sql: [String: String] = [:]
    ) -> [String] {
        let texts = (try? JSON(encoding: sql).text) ?? "{}"
        let run = TestRun(settings: #"{"database": "\#(database ?? test?.database ?? "")", "sql": \#(texts)}"#)
        let code = run.schema(SchemaTestEntry.self, request)
        return run.findings.map { "\($0.level) \($0.subject): \($0.text.prefix { $0 != "\n" })" }
            + (code == .succeeded ? [] : ["\(code): \(run.text)"])
    }

    @Test func `A database with all that is needed is told so`() throws {
        let test = try TestExchange(.disk, purpose: .live)
        #expect(answer(test, SchemaRequest(.check)) == ["ok schema: \(try test.location.address()) has all 4 tables with their columns"])
    }

    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func `What is missing or differs is named, with what to do`() throws {
        let test = try TestExchange(.disk, purpose: .live)
        try test.connection.execute(
            """
            DROP TABLE checkpoints;
            ALTER TABLE pairs DROP COLUMN active;
            DROP TABLE candles;
            CREATE TABLE candles (pair_id TEXT, interval TEXT, open_ms INTEGER, close TEXT);
            """)
        #expect(answer(test, SchemaRequest(.check)) == [
            "warning table candles: pair_id is TEXT, not INTEGER: replace the statements that use it if they cannot read it (settings: sql)",
            "error table candles: nothing makes (pair_id, interval, open_ms) unique: the same row could be written twice; add a unique index",
            "warning index candles_forming: candles has no such index: runs read more the longer the table is:",
            "error table checkpoints: there is none; jobhost schema apply makes it",
            "error table pairs: it has no column active INTEGER; add it, or replace the statements that use it (settings: sql)",
        ])
    }

    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func `A statement of one's own is held against ours`() throws {
        let test = try TestExchange(.disk, purpose: .live)
        #expect(answer(test, SchemaRequest(.check), sql: ["pairs": "SELECT 1, 'x'"]).last?.contains("1 statement of your own fit") == true)
        #expect(answer(test, SchemaRequest(.check), sql: ["pairs": "SELECT 1"])
            == ["error statements: sql.pairs: it has 1 column, 2 are read: id, symbol"])
        #expect(answer(test, SchemaRequest(.check), sql: ["drop": "DELETE FROM candles WHERE open_ms < :til"])
            == ["error statements: sql.drop: there is no parameter :til; there are: :before"])
        #expect(answer(test, SchemaRequest(.check), sql: ["pairs": "SELECT id, symbol FROM nowhere"])
            == ["error statements: sql.pairs: no such table: nowhere"])
    }

    @Test func `Apply makes what is missing beside a platform's own tables, once`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "schema-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.appending(path: "platform.db").path
        let theirs = try SQLiteConnection(path: path)
        try theirs.execute("CREATE TABLE trading_pairs (id TEXT PRIMARY KEY, symbol TEXT)")
        let database = "sqlite:" + path
        #expect(answer(nil, SchemaRequest(.check), database: database).contains("error table candles: there is none; jobhost schema apply makes it"))
        let made = answer(nil, SchemaRequest(.apply), database: database)
        #expect(made.contains("ok table candles: made") && made.contains("ok index candles_forming: made"))
        #expect(answer(nil, SchemaRequest(.apply), database: database) == ["ok schema: \(path) has all that is needed"])
        #expect(answer(nil, SchemaRequest(.check), database: database) == ["ok schema: \(path) has all 4 tables with their columns"])
        #expect(try theirs.first("SELECT purpose FROM exchange_info") { try $0.text(0) } == "live")
        #expect(answer(nil, SchemaRequest(.apply, simulation: true), database: database)
            == ["failed: \(path) was made as a live database, that is never changed"])
    }

    @Test func `A table of theirs by one of our names is left alone, and nothing is made`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "schema-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let path = folder.appending(path: "platform.db").path
        let theirs = try SQLiteConnection(path: path)
        try theirs.execute("CREATE TABLE pairs (uuid TEXT PRIMARY KEY, name TEXT)")
        let refused = answer(nil, SchemaRequest(.apply), database: "sqlite:" + path)
        #expect(refused == ["""
            failed: nothing was made: table pairs: it has no column active INTEGER; add it, or replace the statements \
            that use it (settings: sql)
            """])
        #expect(try theirs.first("SELECT count(*) FROM sqlite_schema WHERE type = 'table'") { try $0.int64(0) } == 1)
        // With the statements replaced that use it, it is no matter of ours.
        let own = answer(nil, SchemaRequest(.apply), database: "sqlite:" + path, sql: ["pairs": "SELECT uuid, name FROM pairs"])
        #expect(own.contains("ok table candles: made"))
    }

    @Test func `Print and grants say it in the dialect that is asked for`() throws {
        let print = answer(nil, SchemaRequest(.print, dialect: "postgresql"), database: "sqlite:x")
        #expect(print.map { String($0.prefix { $0 != ":" }) } == [
            "ok table exchange_info", "ok table checkpoints", "ok table pairs", "ok table candles", "ok index candles_forming",
            "ok row exchange_info",
        ])
        #expect(answer(nil, SchemaRequest(.grants, dialect: "postgresql", role: "candler"), database: "sqlite:x") == [
            "ok rights on candles of candler: GRANT SELECT, INSERT, UPDATE (close), DELETE ON candles TO candler;",
            "ok rights on checkpoints of candler: GRANT SELECT, INSERT, UPDATE (note, position, updated_ms) ON checkpoints TO candler;",
            "ok rights on exchange_info of candler: GRANT SELECT ON exchange_info TO candler;",
            "ok rights on pairs of candler: GRANT SELECT ON pairs TO candler;",
        ])
        #expect(answer(nil, SchemaRequest(.print, dialect: "oracle"), database: "sqlite:x")
            == ["badSettings: there is no dialect \"oracle\"; there are sqlite and postgresql"])
    }

    fileprivate final class SchemaTestEntry: ExchangeEntry {
        struct Settings: ExchangeSettings {
            var database = ExchangeLocation.defaultDatabase
            var lockTimeout = ExchangeLocation.defaultLockTimeout
            var sql: [String: String] = [:]
        }
        static let statements = SchemaTests.candles
        static let info = EntryInfo(id: "schema", description: "For this test.")
        init(settings: Settings) {}
        func run(_ context: RunContext) -> RunOutcome { .succeeded() }
    }
}
