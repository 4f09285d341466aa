import ExchangeKit
import Foundation
import Testing

@testable import Candles

/// The trades of a real market, and the 1m candles that somebody else made of them. Both lie
/// beside the project, not in it: `JOBHOST_SHARED`, or `../shared` beside the package.
enum SharedData {
    static let folder: String = {
        if let named = ProcessInfo.processInfo.environment["JOBHOST_SHARED"] { return named }
        let root = URL(filePath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return root.deletingLastPathComponent().appending(path: "shared").path
    }()

    static func lines(_ name: String) throws -> [[Substring]] {
        let text = try String(contentsOfFile: folder + "/data/" + name, encoding: .utf8)
        return text.split(separator: "\n").dropFirst().map { $0.split(separator: ",") }
    }
    static var isThere: Bool { FileManager.default.fileExists(atPath: folder + "/data/xrp_eth_trades.csv") }
}

@Suite struct RealTradesTests {
    @Test(.enabled(if: SharedData.isThere, "no xrp_eth_trades.csv in \(SharedData.folder)/data; set JOBHOST_SHARED"))
    func candlesOfRealTradesEqualThePublishedOnes() throws {
        let market = try Market()
        try market.exchange.write {
            for row in try SharedData.lines("xrp_eth_trades.csv") {
                try market.trade(#require(Int64(row[0])), at: #require(Int64(row[1])), String(row[3]), String(row[4]))
            }
        }
        let report = try market.run(now: instant("2019-11-01T00:00:00Z"))
        #expect((report.trades, report.errors) == (12_477, 0))

        let rows = try market.rows("1m")
        let expected = try SharedData.lines("xrp_eth_candles_1m.csv")
        #expect(rows.count == 2_469)
        #expect(expected.count == 2_469)
        for (row, line) in zip(rows, expected) {
            let candle = row.candle
            let numbers = [candle.open, candle.high, candle.low, candle.close, candle.volume, candle.quoteVolume]
            #expect(row.open == Int64(line[0]))
            #expect(try numbers == line[1 ... 6].map { try Amount(parsing: $0) }, "\(line[0])")
            #expect(candle.trades == Int64(line[7]))
            #expect(row.closed)
        }
        try everyLongerIntervalFollows(market)
    }

    /// Sums, extremes, first and last of the 1m candles inside.
    private func everyLongerIntervalFollows(_ market: Market) throws {
        let minutes = try market.rows("1m")
        for interval in CandleInterval.allCases.dropFirst() {
            var expected: [Int64: Candle] = [:]
            for minute in minutes {
                let open = interval.bucket(containing: minute.open, .utc).open
                guard var candle = expected[open] else {
                    expected[open] = minute.candle
                    continue
                }
                let part = minute.candle
                candle.high = max(candle.high, part.high)
                candle.low = min(candle.low, part.low)
                candle.close = part.close
                candle.last = part.last
                candle.volume = try candle.volume + part.volume
                candle.quoteVolume = try candle.quoteVolume + part.quoteVolume
                candle.trades += part.trades
                expected[open] = candle
            }
            let rows = try market.rows(interval.rawValue)
            #expect(Dictionary(uniqueKeysWithValues: rows.map { ($0.open, $0.candle) }) == expected, "\(interval.rawValue)")
        }
        let days = try market.rows("1d").map { "\(utcText($0.open)) \($0.candle.trades)" }
        #expect(days.count == 3)
    }
}
