import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import Tickers

@Suite struct TickersEntryTests {
    @Test(arguments: [
        (#"{"valid_for": "0s"}"#, "valid_for: 0s would show no ticker at all"),
        (#"{"recount": "0s"}"#, "recount: 0s would count a pair again in every run"),
        (#"{"batch": 0}"#, "batch: 0 is out of range (at least 1, at most 1000000)"),
        (#"{"valid_fro": "1m"}"#, "unknown setting 'valid_fro' (did you mean 'valid_for'?)"),
        (#"{"sql": {"tickers": "SELECT 1"}}"#, "sql.tickers: there is no such statement"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        let said = try #require(TestRun(settings: settings).validate(TickersEntry.self))
        #expect(said.hasPrefix(sentence), "\(said)")
    }

    @Test func defaultsAreTheSpecifiedOnes() {
        #expect(TickersEntry.info.defaultSchedule == "every 5s")
        #expect(TickersEntry.Settings().validFor == .seconds(15))
    }

    @Test func aRunTellsWhatItDid() throws {
        let market = try Market(.disk, pairs: [])
        let test = TestRun(settings: #"{"database": "\#(market.test.database)"}"#)
        #expect(test.run(TickersEntry.self) == .nothingToDo)
        #expect(test.text == "0 active pairs")
        try market.test.pair("XRP/ETH")
        try market.trade(1, at: at(0), "5", "1")
        try market.setClock(at(1))
        #expect(test.run(TickersEntry.self) == .succeeded)
        #expect(test.text.hasPrefix("Updated 1 of 1 ticker: 0 trades came, 0 went, 1 pair counted from all trades, 0 errors ("))
        #expect(test.items == 1)
        #expect(test.log.map(\.text) == ["XRP/ETH: last 5, 1 trades, volume 1"])
        #expect(test.samples.contains { $0.name == "tickers_active_pairs" && $0.value == 1 })
        try market.trade(2, at: at(5), "NaN", "1")
        #expect(test.run(TickersEntry.self) == .succeeded)
        #expect(test.text.hasPrefix("Updated 0 of 1 ticker: 0 trades came, 0 went, 1 error ("))
        #expect(test.run(TickersEntry.self) == .nothingToDo)
        #expect(test.text == "no trade came or went; 1 pair valid for another 15s")
    }

    @Test func aCancelledRunSaysSo() throws {
        let market = try Market(.disk)
        let test = TestRun(settings: #"{"database": "\#(market.test.database)"}"#)
        test.isCancelled = true
        #expect(test.run(TickersEntry.self) == .cancelled)
    }

    /// Foreign schema (a) of the specification: ids as text, instants as timestamps.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func statementsOfOnesOwnReplaceOurs() throws {
        let market = try Market(.disk, pairs: [])
        try market.test.connection.execute("""
            CREATE TABLE trading_pairs (n INTEGER PRIMARY KEY, id TEXT, symbol TEXT, status TEXT);
            INSERT INTO trading_pairs VALUES (1, '6f1c', 'ETH/USD', 'ACTIVE'), (2, '6f1d', 'BTC/USD', 'HALTED');
            INSERT INTO pairs (id, symbol, base, quote, created_ms) SELECT n, symbol, '', '', 0 FROM trading_pairs;
            CREATE TABLE fills (n INTEGER PRIMARY KEY, pair TEXT, created_at TEXT, rate TEXT, qty TEXT);
            INSERT INTO fills VALUES (1, '6f1c', '2026-01-05T11:00:00Z', '100', '1'), (2, '6f1c', '2026-01-05T11:30:00Z', '110', '2');
            """)
        let columns = "f.n, unixepoch(f.created_at) * 1000, f.rate, f.qty"
        let from = "FROM fills f JOIN trading_pairs p ON p.id = f.pair"
        let mine: [String: String] = [
            "pairs": "SELECT n, symbol, status = 'ACTIVE', 1767614400000 FROM trading_pairs",
            "newest_seq": "SELECT coalesce(max(n), 0) FROM fills",
            "new_trades": "SELECT \(columns), f.n, p.n \(from) WHERE f.n > :after ORDER BY f.n LIMIT :limit",
            "trades_between": "SELECT \(columns) \(from) WHERE p.n = :pair AND unixepoch(f.created_at) * 1000 >= :from "
                + "AND unixepoch(f.created_at) * 1000 < :until AND f.n <= :upto ORDER BY 2, 1 LIMIT :limit",
        ]
        let settings = JSON.object(JSONObject([
            ("database", .string(market.test.database)),
            ("sql", .object(JSONObject(mine.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))),
        ]))
        #expect(TestRun(settings: settings.text).run(TickersEntry.self) == .succeeded)
        #expect(try market.ticker() == "last 110 open 100 high 110 low 100 change 10 10 volume 3 320 trades 2")
    }
}
