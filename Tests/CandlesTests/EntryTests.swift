import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import Candles

/// The entry as a worker sees it: settings as JSON, a database on disk.
@Suite struct CandlesEntryTests {
    private func withDatabase(_ body: (_ path: String, _ settings: String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "candles-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "exchange.db").path
        let location = ExchangeLocation(database: "sqlite:" + path, lockTimeout: .seconds(60), sql: [:])
        try Exchange.openSimulation(location, statements: StatementSet([:]), at: 0).exchange.close()
        try body(path, #"{"database": "sqlite:\#(path)", "interval": "1m"}"#)
    }

    @Test func aRunTellsWhatItDid() throws {
        try withDatabase { path, settings in
            let connection = try SQLiteConnection(path: path)
            try connection.execute("""
                INSERT INTO pairs (id, symbol, base, quote, created_ms) VALUES (1, 'XRP/ETH', 'XRP', 'ETH', 0);
                INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (1, 1, 1570752000000, 'buy', '0.5', '2');
                """)
            connection.close()
            let test = TestRun(settings: settings)
            #expect(test.run(CandlesEntry.self) == .succeeded)
            #expect(test.text.hasPrefix("Closed 1 1m candle of 1 pair: 1 new trade, 9 candles written, 0 errors ("))
            #expect(test.items == 2)
            #expect(test.samples.contains { $0.name == "candles_missing" && $0.labels == ["interval": "1m"] })
            #expect(test.run(CandlesEntry.self) == .nothingToDo)
            #expect(test.text == "no new trades, no 1m candle due")
        }
    }

    @Test func withoutActivePairsThereIsNothingToDo() throws {
        try withDatabase { _, settings in
            let test = TestRun(settings: settings)
            #expect(test.run(CandlesEntry.self) == .nothingToDo)
            #expect(test.text == "0 active pairs")
        }
    }

    @Test func aCancelledRunSaysSo() throws {
        try withDatabase { _, settings in
            let test = TestRun(settings: settings)
            test.isCancelled = true
            #expect(test.run(CandlesEntry.self) == .cancelled)
        }
    }

    @Test func aMissingDatabaseIsTriedAgain() {
        let test = TestRun(settings: #"{"database": "sqlite:/nowhere/at/all.db"}"#)
        #expect(test.run(CandlesEntry.self) == .retry)
        #expect(test.text.hasPrefix("cannot open the exchange database /nowhere/at/all.db: is the path right, and may this user write in its folder?"))
    }

    @Test(arguments: [
        (#"{"interval": "1x"}"#, #"interval: "1x" is not allowed"#),
        (#"{"interval": "5m", "keep": ["1h"]}"#, #"interval: "5m" is not among those in keep (1m, 1h)"#),
        (#"{"day_start": "17:00 America/NewYork"}"#, #"day_start "17:00 America/NewYork": the time zone"#),
        (#"{"day_start": "noon"}"#, #"day_start "noon": write "UTC" or a time and a zone"#),
        (#"{"database": "mongodb://x"}"#, #"database: a database is written"#),
        (#"{"sql": {"new_trade": "SELECT 1"}}"#, "sql.new_trade: there is no such statement"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        let said = try #require(TestRun(settings: settings).validate(CandlesEntry.self))
        #expect(said.hasPrefix(sentence), "\(said)")
    }

    @Test func aStatementOfOnesOwnReplacesOurs() throws {
        try withDatabase { path, _ in
            let connection = try SQLiteConnection(path: path)
            try connection.execute("""
                INSERT INTO pairs (id, symbol, base, quote, created_ms) VALUES (1, 'XRP/ETH', 'XRP', 'ETH', 0);
                CREATE TABLE fills (n INTEGER PRIMARY KEY, at_s INTEGER, rate TEXT, qty TEXT);
                INSERT INTO fills VALUES (1, 1570752000, '0.5', '2'), (2, 1570752001, '0.7', '2');
                """)
            let own = path + ".sql"
            try "SELECT n, 1, n, at_s * 1000, rate, qty FROM fills WHERE n > :after ORDER BY n LIMIT :limit"
                .write(toFile: own, atomically: true, encoding: .utf8)
            let test = TestRun(settings: #"{"database": "sqlite:\#(path)", "sql": {"new_trades": "file:\#(own)"}}"#)
            #expect(test.run(CandlesEntry.self) == .succeeded)
            let high = try connection.rows("SELECT high FROM candles WHERE interval = '1m'", []) { try $0.text(0) }
            #expect(high == ["0.7"])
        }
    }
}
