import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import Arena
@testable import Candles
@testable import ExchangeKit

/// The trades of a real market and the candles that somebody else made of them, beside the project:
/// `JOBHOST_SHARED`, or `../shared` beside the package.
private enum RealTrades {
    static let folder: String = {
        if let named = ProcessInfo.processInfo.environment["JOBHOST_SHARED"] { return named + "/data" }
        var root = URL(filePath: #filePath).resolvingSymlinksInPath()
        for _ in 0 ..< 4 { root.deleteLastPathComponent() }
        return root.appending(path: "shared/data").path
    }()
    static let trades = folder + "/xrp_eth_trades.csv"
    static var isThere: Bool { FileManager.default.fileExists(atPath: trades) }

    static func candles() throws -> [String] {
        let text = try String(contentsOfFile: folder + "/xrp_eth_candles_1m.csv", encoding: .utf8)
        return try text.split(separator: "\n").dropFirst().map { line in
            let fields = line.split(separator: ",")
            return try ([String(fields[0])] + fields[1 ... 6].map { try Amount(parsing: $0).description } + [String(fields[7])]).joined(separator: " ")
        }
    }
}

@Suite struct TableReplayTests {
    private let all = "SELECT t.id, ts_ms, side, price, amount FROM trades t JOIN pairs p ON p.id = t.pair_id WHERE p.symbol = ? ORDER BY ts_ms, t.id"

    /// Tick by tick from a file, then from that table into another pair: both give the published candles.
    @Test(.enabled(if: RealTrades.isThere, "no trades in \(RealTrades.folder); set JOBHOST_SHARED"))
    func theRealTradesGiveTheRightCandles() throws {
        let stage = try Stage()
        let candles = Exchange(connection: stage.exchange.connection, place: "memory", statements: .candles)
        var ticks = 0
        func replay(_ change: @escaping (inout TickEntry.Settings) -> Void) throws {
            while try stage.tick(at: noon, { $0.mode = .historical; $0.speed = "6h"; change(&$0) }).summary != nil {
                ticks += 1
                // Candles follow the market while it moves.
                var run = try CandleRun(candles, CandlePlan(CandlesEntry.Settings()), now: noon)
                try run.run(isCancelled: { false })
            }
        }
        try replay { $0.simulation = "file"; $0.file = RealTrades.trades; $0.pair = "XRP/ETH" }
        #expect(ticks == 10)
        try replay { $0.simulation = "table"; $0.sourcePair = "XRP/ETH"; $0.pair = "XRP2/ETH" }
        #expect(ticks == 20)
        let expected = try RealTrades.candles()
        #expect(expected.count == 2_469)
        for symbol in ["XRP/ETH", "XRP2/ETH"] {
            #expect(try stage.test.texts(all, [.text(symbol)]).count == 12_477)
            let made = try stage.test.texts(
                """
                SELECT open_ms, open, high, low, close, volume, quote_volume, c.trades
                FROM candles c JOIN pairs p ON p.id = c.pair_id WHERE interval = '1m' AND p.symbol = ? ORDER BY open_ms
                """, [.text(symbol)])
            #expect(made == expected, "\(symbol)")
        }
    }

    private func line(_ id: Int, _ minutes: Int64) -> String { "\(id),\(1_570_752_000_000 + minutes * 60_000 + 5_000),buy,0.5,\(id)" }

    @Test func aTableIsReplayedFromAStartToAnEndAndGoesOnWhereItWas() throws {
        let stage = try Stage()
        let file = try stage.file((0 ..< 20).map { line($0, Int64($0) * 60) })
        try stage.tick { $0.mode = .historical; $0.simulation = "a"; $0.file = file; $0.pair = "XRP/ETH"; $0.speed = "max" }
        let replay: (inout TickEntry.Settings) -> Void = {
            $0.mode = .historical; $0.simulation = "b"; $0.sourcePair = "XRP/ETH"; $0.pair = "COPY/ETH"; $0.speed = "2h"
            $0.start = "2019-10-11T02:00:00Z"; $0.end = "2019-10-11T07:00:00Z"
        }
        #expect(try stage.tick(replay).trades == 2)
        #expect(try stage.tick(replay).trades == 2)
        #expect(try stage.tick(replay).summary == "Replayed 1 trade into COPY/ETH, up to 2019-10-11 08:00: the table is finished")
        #expect(try stage.test.texts(all, [.text("COPY/ETH")]).map { $0.prefix { $0 != " " } } == ["2", "3", "4", "5", "6"])
    }

    @Test func aTableOfOnesOwnIsReadByAStatementOfOnesOwn() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        try test.connection.execute("CREATE TABLE archive (n bigint, at bigint, what TEXT, p TEXT, q TEXT)")
        for id in 1 ... 3 {
            try test.connection.run("INSERT INTO archive VALUES (?, ?, 'sell', '2.5', '1')", [.int(id), .int(1_570_752_000_000 + id)])
        }
        let sql = "SELECT n, at, what, p, q FROM archive WHERE at > :ts_ms OR (at = :ts_ms AND n > :id) ORDER BY at, n LIMIT :most"
        func run(_ sql: String) -> TestRun {
            TestRun(settings: #"""
                {"database": "\#(test.database)", "mode": "historical", "source_pair": "archive", "pair": "A/B", "speed": "max",
                 "sql": {"replay_trades": "\#(sql)"}}
                """#)
        }
        // One that does not obey :ts_ms would never end.
        let endless = run("SELECT n, at, what, p, q FROM archive ORDER BY at LIMIT 2")
        #expect(endless.run(TickEntry.self) == .badSettings)
        #expect(endless.text.hasPrefix("sql.replay_trades: trade 1 is not behind :ts_ms, :id"))
        let good = run(sql)
        #expect(good.run(TickEntry.self) == .succeeded, "\(good.text)")
        #expect(try test.number("SELECT count(*) FROM trades WHERE price = '2.5'") == 3)
    }

    @Test(arguments: [
        (#""file": "a", "source_pair": "A/B""#, "source_pair: trades come from the file or from a table"), ("", "file: mode = \"historical\" needs the file"),
        (#""source_pair": "C/D""#, "pair: C/D cannot be replayed into itself"),
    ])
    func settingsThatCannotBeAreRefused(_ settings: String, _ sentence: String) {
        let run = TestRun(settings: #"{"mode": "historical", "pair": "C/D"\#(settings.isEmpty ? "" : ", " + settings)}"#)
        #expect(run.validate(TickEntry.self)?.hasPrefix(sentence) == true)
    }
}
