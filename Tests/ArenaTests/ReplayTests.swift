import ExchangeKit
import Foundation
import JobKit
import Testing

@testable import Arena
@testable import Candles
@testable import ExchangeKit

@Suite struct ReplayTests {
    /// 2019-10-11T00:00:00Z plus minutes.
    private func minute(_ minutes: Int64) -> Int64 { 1_570_752_000_000 + minutes * 60_000 }
    private func line(_ id: Int64, _ minutes: Int64) -> String { "\(id),\(minute(minutes) + 5_000),buy,0.5,\(id)" }
    private func historical(_ file: String, speed: String = "max") -> (inout TickEntry.Settings) -> Void {
        { $0.mode = .historical; $0.simulation = "replay"; $0.file = file; $0.pair = "XRP/ETH"; $0.speed = speed }
    }

    @Test func allAtOnce() throws {
        let stage = try Stage()
        let file = try stage.file((0 ..< 10).map { line($0, $0 * 20) })
        let result = try stage.tick(historical(file))
        #expect(result.summary == "Replayed 10 trades into XRP/ETH, up to 2019-10-11 03:00:05: the file is finished")
        #expect(try stage.texts("SELECT id, ts_ms, side, price, amount FROM trades LIMIT 2") == [
            "0 1570752005000 buy 0.5 0", "1 1570753205000 buy 0.5 1",
        ])
        // The market has no time of its own any more: its candles are over.
        #expect(try stage.texts("SELECT symbol, clock_ms FROM pairs") == ["XRP/ETH -"])
        #expect(try stage.tick(historical(file)).idle == "the replay of \(file) into XRP/ETH is finished")
    }

    @Test func atASpeedTickByTick() throws {
        let stage = try Stage()
        let file = try stage.file((0 ..< 4).map { line($0, $0 * 20) })
        let replay = historical(file, speed: "30m")
        #expect(try stage.tick(replay).summary == "Market 2019-10-11 00:30: 2 trades replayed into XRP/ETH")
        #expect(try stage.texts("SELECT clock_ms FROM pairs") == ["\(minute(30))"])
        #expect(try stage.tick(replay).trades == 1)
        #expect(try stage.tick(replay).trades == 1)
        #expect(try stage.tick(replay).summary == nil)
        #expect(try stage.number("SELECT count(*) FROM trades") == 4)
    }

    @Test func betweenAStartAndAnEnd() throws {
        let stage = try Stage()
        let file = try stage.file((0 ..< 10).map { line($0, $0 * 60) })
        var replay = TickEntry.Settings()
        historical(file)(&replay)
        replay.start = "2019-10-11T02:00:00Z"
        replay.end = "2019-10-11T05:00:00Z"
        #expect(try stage.tick { $0 = replay }.trades == 3)
        #expect(try stage.texts("SELECT id FROM trades ORDER BY id") == ["2", "3", "4"])
    }

    @Test func anInterruptedReplayGoesOnWhereItWas() throws {
        let stage = try Stage()
        let file = try stage.file((0 ..< 45_000).map { line($0, 0) })
        #expect(throws: CancellationNotice.self) { try stage.tick(cancelledAfter: 1, historical(file)) }
        #expect(try stage.number("SELECT count(*) FROM trades") == 20_000)
        #expect(try stage.tick(historical(file)).trades == 25_000)
        #expect(try stage.number("SELECT count(*) FROM trades") == 45_000)
        #expect(try stage.number("SELECT max(id) FROM trades") == 44_999)
    }

    @Test func theSameTradesAgainAreNotThereTwice() throws {
        let stage = try Stage()
        let lines = (Int64(0) ..< 5).map { line($0, $0) }
        try stage.tick(historical(try stage.file(lines)))
        let longer = try stage.file(lines + [line(5, 5)], name: "longer.csv")
        #expect(try stage.tick(historical(longer)).trades == 1)
        #expect(try stage.number("SELECT count(*) FROM trades") == 6)
    }

    @Test(arguments: [
        ("1,1570752000000,buy,0.5", "2: 4 fields, there have to be 5: id,ts_ms,side,price,amount"),
        ("one,1570752000000,buy,0.5,1", #"2: id: "one" is not a whole number"#),
        ("1,99999999999999999,buy,0.5,1", #"2: ts_ms: "99999999999999999" is no time in milliseconds since 1970"#),
        ("1,1570752000000,BUY,0.5,1", #"2: side: "BUY" is neither buy nor sell"#),
        ("1,1570752000000,buy,1e-3,1", "2: price: '1e-3' is not a decimal number"),
        ("1,1570752000000,buy,0,1", "2: price: 0 is not above 0"),
        ("1,1570752000000,buy,1,0.1234567890123456789", "2: amount: the amount has more than 18 digits after the point"),
    ])
    func aBadLineIsNamed(_ line: String, _ sentence: String) throws {
        let stage = try Stage()
        let file = try stage.file([line])
        let refusal = #expect(throws: JobFailure.self) { try stage.tick(historical(file)) }
        #expect(refusal?.text == "\(file):\(sentence)")
        #expect(refusal?.kind == .permanent)
        #expect(try stage.number("SELECT count(*) FROM trades") == 0)
    }

    @Test func aFileWithAnotherHeaderIsRefused() throws {
        let stage = try Stage()
        let file = try stage.file([], header: "time,price")
        let refusal = #expect(throws: JobFailure.self) { try stage.tick(historical(file)) }
        #expect(refusal?.text == #"\#(file):1: the header is "time,price", it has to be "id,ts_ms,side,price,amount""#)
        let missing = #expect(throws: JobFailure.self) { try stage.tick(historical("/nowhere.csv")) }
        #expect(missing?.text == "cannot open the file of trades /nowhere.csv: No such file or directory")
    }

    @Test func windowsLineEndingsAndABlankLastLineAreFine() throws {
        let stage = try Stage()
        let file = try stage.file(["1,1570752000000,buy,0.5,1\r", "\r", ""], header: "\u{FEFF}id,ts_ms,side,price,amount\r")
        #expect(try stage.tick(historical(file)).trades == 1)
    }

    /// The whole way of the documentation: a file of trades, two runs, candles.
    @Test func fromAFileOfTradesToCandles() throws {
        let stage = try Stage()
        let file = try stage.file([
            "1,1570752001000,buy,10,1", "3,1570752002000,sell,9,2", "2,1570752002000,buy,12.5,0.1",
            "4,1570752065000,buy,11,0.00000001",
        ])
        let database = "sqlite:" + stage.folder.appending(path: "exchange.db").path
        let replay = TestRun(settings: """
            {"database": "\(database)", "mode": "historical", "simulation": "replay", "speed": "max",
             "pair": "XRP/ETH", "file": "\(file)"}
            """)
        #expect(replay.run(TickEntry.self) == .succeeded)
        let candles = TestRun(settings: #"{"database": "\#(database)", "interval": "1m"}"#)
        #expect(candles.run(CandlesEntry.self) == .succeeded)
        #expect(candles.text.hasPrefix("Closed 2 1m candles of 1 pair: 4 new trades, 10 candles written, 0 errors"))
        let location = ExchangeLocation(database: database, lockTimeout: .seconds(60), sql: [:])
        let exchange = try Exchange.open(location, statements: StatementSet([:]))
        let rows = try exchange.connection.rows(
            """
            SELECT open, high, low, close, volume, quote_volume, trades FROM candles
            WHERE interval = '1m' ORDER BY open_ms
            """, []
        ) { row in try (0 ..< 7).map { try row.text($0) }.joined(separator: " ") }
        #expect(rows == ["10 12.5 9 9 3.1 29.25 3", "11 11 11 11 0.00000001 0.00000011 1"])
        exchange.close()
    }
}
