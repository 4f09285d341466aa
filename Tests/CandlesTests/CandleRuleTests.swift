import ExchangeTestKit
import ExchangeKit
import JobKit
import Testing

@testable import Candles

@Suite struct CandleRuleTests {
    private func text(_ market: Market, _ interval: String) throws -> [String] { try market.rows(interval).map(\.description) }

    /// Between the comparison and the remaking of a minute another run reads on: its trades stay.
    @Test func whatAnotherRunReadsWhileMinutesAreComparedStays() throws {
        let market = try Market()
        try market.trade(1, at: at(0), "10", "1")
        try market.run(now: at(5))
        try market.exchange.connection.run("UPDATE candles SET trades = 9 WHERE interval = '1m'")
        var (isCompared, others) = (false, 0)
        market.exchange.connection.faultPoint = { point in
            guard case .before(let sql) = point, others == 0 else { return }
            if sql.contains("count(*) AS trades") { isCompared = true }
            guard isCompared, sql.hasPrefix("BEGIN") else { return }
            others += 1
            do {
                try market.trade(2, at: at(0) + 1, "12", "1")
                try market.run(now: at(5))
            } catch {
                Issue.record("\(error)")
            }
        }
        try market.run(now: at(5)) { $0.lookback = .minutes(10) }
        market.exchange.connection.faultPoint = nil
        #expect(others == 1)
        #expect(try market.rows("1m").map { "\($0.candle.open) \($0.candle.close) \($0.candle.trades)" } == ["10 12 2"])
    }

    @Test func aCandleIsOpenHighLowCloseVolumeQuoteVolumeAndCount() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.trade(2, at: at(0, 2), "12.5", "0.1")
        try market.trade(3, at: at(0, 30), "9", "2")
        try market.trade(4, at: at(0, 59), "11", "0.00000001")
        let report = try market.run(now: at(1))
        #expect(try text(market, "1m") == ["1 1m 2019-10-11 00:00 10 12.5 9 11 3.10000001 29.25000011 4 closed"])
        #expect(report.trades == 4)
        #expect(report.closed == 1)
    }

    @Test func everyIntervalIsMade() throws {
        let market = try Market()
        try market.trade(1, at: instant("2019-10-11T13:47:30Z"), "10", "1")
        try market.run(now: instant("2019-10-11T13:47:40Z"))
        #expect(try market.rows().map { "\($0.interval) \(utcText($0.open)) \($0.closed)" }.sorted() == [
            "15m 2019-10-11 13:45 false", "1M 2019-10-01 00:00 false", "1d 2019-10-11 00:00 false",
            "1h 2019-10-11 13:00 false", "1m 2019-10-11 13:47 false", "1w 2019-10-07 00:00 false",
            "30m 2019-10-11 13:30 false", "4h 2019-10-11 12:00 false", "5m 2019-10-11 13:45 false",
        ])
    }

    @Test func aBucketContainsItsOpenAndNotItsClose() throws {
        let market = try Market()
        try market.trade(1, at: at(5) - 1, "1", "1")
        try market.trade(2, at: at(5), "2", "1")
        try market.run(now: at(10))
        #expect(try text(market, "5m") == [
            "1 5m 2019-10-11 00:00 1 1 1 1 1 1 1 closed", "1 5m 2019-10-11 00:05 2 2 2 2 1 2 1 closed",
        ])
    }

    @Test func tradesOfTheSameInstantAreOrderedById() throws {
        let market = try Market()
        try market.trade(8, at: at(0, 1), "8", "1")
        try market.trade(7, at: at(0, 1), "7", "1")
        try market.trade(10, at: at(0, 1), "10", "1")
        try market.trade(9, at: at(0, 1), "9", "1")
        try market.run(now: at(1))
        #expect(try text(market, "1m") == ["1 1m 2019-10-11 00:00 7 10 7 10 4 34 4 closed"])
    }

    @Test func theFormingCandleIsNotClosedAndGrows() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.run(now: at(0, 10))
        #expect(try text(market, "1m") == ["1 1m 2019-10-11 00:00 10 10 10 10 1 10 1 forming"])
        try market.trade(2, at: at(0, 20), "11", "1")
        #expect(try market.run(now: at(0, 30)).corrected == 0)
        #expect(try text(market, "1m") == ["1 1m 2019-10-11 00:00 10 11 10 11 2 21 2 forming"])
        #expect(try market.run(now: at(1)).closed == 1)
        #expect(try text(market, "1m") == ["1 1m 2019-10-11 00:00 10 11 10 11 2 21 2 closed"])
        #expect(try market.events().isEmpty)
    }

    @Test func aRunReadsOnlyWhatIsNew() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        #expect(try market.run(now: at(1)).trades == 1)
        #expect(try market.run(now: at(2)).trades == 0)
        try market.trade(2, at: at(2, 1), "10", "1")
        #expect(try market.run(now: at(3)).trades == 1)
    }

    @Test func aJobClosesItsOwnIntervalAndTheTradesReachAll() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        let minute = try market.run(now: at(5)) { $0.interval = "1m" }
        #expect(minute.closed == 1)
        #expect(try market.rows("5m").map(\.closed) == [false])
        let five = try market.run(now: at(5)) { $0.interval = "5m" }
        #expect((five.trades, five.closed) == (0, 1))
        #expect(try market.rows("5m").map(\.closed) == [true])
    }

    @Test func aLateTradeRewritesItsCandlesInEveryIntervalAndSaysSo() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 10), "10", "1")
        try market.trade(2, at: at(6, 10), "20", "1")
        try market.run(now: at(10))
        try market.trade(3, at: at(0, 5), "9", "2")
        let report = try market.run(now: at(10)) { $0.interval = "1h" }
        // Closed were 00:00 of 1m and of 5m; the longer ones are still forming.
        #expect(report.corrected == 2)
        #expect(try text(market, "1m").first == "1 1m 2019-10-11 00:00 9 10 9 10 3 28 2 closed")
        #expect(try text(market, "5m").first == "1 5m 2019-10-11 00:00 9 10 9 10 3 28 2 closed")
        #expect(try text(market, "1M") == ["1 1M 2019-10-01 00:00 9 20 9 20 4 48 3 forming"])
        let event = try #require(try market.events().first)
        #expect(event["pair"] == "XRP/ETH")
        #expect(event["interval"] == "1m")
        #expect(event["before"]?.objectValue?["open"] == "10")
        #expect(event["after"]?.objectValue?["open"] == "9")
    }

    @Test func aLateTradeInABucketThatWasEmptyMakesAClosedCandleAndSaysSo() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 10), "10", "1")
        try market.trade(2, at: at(3, 10), "20", "1")
        try market.run(now: at(4)) { $0.interval = "1m" }
        try market.trade(3, at: at(1, 5), "9", "2")
        #expect(try market.run(now: at(4)) { $0.interval = "1m" }.corrected == 1)
        #expect(try market.rows("1m").map(\.closed) == [true, true, true])
        #expect(try market.events().map { $0["before"] } == [.null])
    }

    @Test func gapsAfterDowntimeAreFilledByTheNextRun() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.run(now: at(1))
        for minute in Int64(1) ... 180 { try market.trade(minute + 1, at: at(minute, 1), "10", "1") }
        try market.run(now: at(181))
        #expect(try market.rows("1m").count == 181)
        #expect(try market.rows("1h").map(\.candle.trades) == [60, 60, 60, 1])
    }

    @Test func emptyBucketsAreOmittedOrFlat() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.trade(2, at: at(3, 1), "20", "1")
        try market.run(now: at(5)) { $0.interval = "1m" }
        #expect(try market.rows("1m").map(\.open) == [at(0), at(3)])
        let report = try market.run(now: at(5)) { $0.interval = "1m"; $0.fill = .flat }
        #expect(report.filled == 3)
        #expect(try text(market, "1m") == [
            "1 1m 2019-10-11 00:00 10 10 10 10 1 10 1 closed", "1 1m 2019-10-11 00:01 10 10 10 10 0 0 0 closed",
            "1 1m 2019-10-11 00:02 10 10 10 10 0 0 0 closed", "1 1m 2019-10-11 00:03 20 20 20 20 1 20 1 closed",
            "1 1m 2019-10-11 00:04 20 20 20 20 0 0 0 closed",
        ])
    }

    @Test func flatCandlesAfterALateTradeRepeatItsClose() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.run(now: at(4)) { $0.interval = "1m"; $0.fill = .flat }
        try market.trade(2, at: at(1, 1), "30", "1")
        try market.run(now: at(4)) { $0.interval = "1m"; $0.fill = .flat }
        #expect(try market.rows("1m").map(\.candle.close.description) == ["10", "30", "30", "30"])
        #expect(try market.rows("1m").map(\.candle.trades) == [1, 1, 0, 0])
    }

    @Test func flatCandlesAreCorrectedWhenAnotherJobReadTheLateTrade() throws {
        let market = try Market()
        let five: (inout CandlesEntry.Settings) -> Void = { $0.interval = "5m"; $0.fill = .flat }
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.run(now: at(20), five)
        try market.trade(2, at: at(6, 1), "30", "1")
        try market.run(now: at(20)) { $0.interval = "1m"; $0.fill = .flat }
        try market.run(now: at(20), five)
        #expect(try market.rows("5m").map(\.candle.close.description) == ["10", "30", "30", "30"])
    }

    @Test func fillingIsBoundedAndGoesOnWithTheNextRun() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        let settings: (inout CandlesEntry.Settings) -> Void = { $0.interval = "1m"; $0.fill = .flat; $0.fillLimit = 4 }
        #expect(try market.run(now: at(8), settings).filled == 4)
        #expect(try market.run(now: at(8), settings).filled == 3)
        #expect(try market.rows("1m").count == 8)
    }

    @Test func theMarketsOwnClockDecidesWhatIsOver() throws {
        let market = try Market(pairs: ["SIM/USD", "XRP/ETH"])
        try market.setClock(at(0, 40), pair: 1)
        try market.trade(1, at: at(0, 1), "10", "1", pair: 1)
        try market.trade(1, at: at(0, 1), "10", "1", pair: 2)
        try market.run(now: at(1)) { $0.interval = "1m" }
        #expect(try market.rows("1m").map(\.closed) == [false, true])
    }

    /// Its last candles end as any other; nothing is made up for it after that, and nothing is missing.
    @Test func aDelistedPairsCandlesEndAndNoneFollow() throws {
        let market = try Market(pairs: ["OLD/USD", "XRP/ETH"])
        let flat: (inout CandlesEntry.Settings) -> Void = { $0.interval = "1m"; $0.fill = .flat }
        for pair in [Int64(1), 2] { try market.trade(1, at: at(0, 1), "10", "1", pair: pair) }
        try market.run(now: at(0, 30), flat)
        #expect(try market.rows("1m").map(\.closed) == [false, false])
        try market.exchange.connection.run("UPDATE pairs SET active = 0 WHERE id = 1")
        let report = try market.run(now: at(3), flat)
        #expect(report.activePairs == 1)
        #expect(report.missing.map(\.count) == [0])
        #expect(try market.rows("1m").map { "\($0.pair) \(utcText($0.open).suffix(5)) \($0.closed)" } == [
            "1 00:00 true", "2 00:00 true", "2 00:01 true", "2 00:02 true",
        ])
        // A late trade is history, and history is put right.
        try market.trade(2, at: at(0, 2), "11", "1", pair: 1)
        #expect(try market.run(now: at(3), flat).corrected == 1)
        // Listed again it goes on where it was.
        try market.exchange.connection.run("UPDATE pairs SET active = 1 WHERE id = 1")
        try market.run(now: at(3), flat)
        #expect(try market.rows("1m").filter { $0.pair == 1 }.map(\.candle.close.description) == ["11", "11", "11"])
    }

    @Test func anIntervalAddedLaterIsMadeFromThe1mCandles() throws {
        let market = try Market()
        for minute in Int64(0) ..< 12 { try market.trade(minute, at: at(minute, 1), "\(minute + 1)", "1") }
        try market.run(now: at(12)) { $0.keep = [.minute] }
        #expect(try market.rows("5m").isEmpty)
        try market.run(now: at(12)) { $0.keep = [.minute, .fiveMinutes] }
        #expect(try text(market, "5m") == [
            "1 5m 2019-10-11 00:00 1 5 1 5 5 15 5 closed", "1 5m 2019-10-11 00:05 6 10 6 10 5 40 5 closed",
            "1 5m 2019-10-11 00:10 11 12 11 12 2 23 2 forming",
        ])
    }

    @Test func anotherBeginningOfTheDayRemakesDaysWeeksAndMonths() throws {
        let market = try Market()
        // Sunday 2025-03-09 in New York: clocks go forward, 17:00 is 21:00Z from now on.
        try market.trade(1, at: instant("2025-03-09T20:59:59Z"), "10", "1")
        try market.trade(2, at: instant("2025-03-09T21:00:00Z"), "20", "1")
        try market.run(now: instant("2025-04-15T00:00:00Z"))
        #expect(try market.rows("1d").map { utcText($0.open) } == ["2025-03-09 00:00"])
        try market.run(now: instant("2025-04-15T00:00:00Z")) { $0.dayStart = "17:00 America/New_York" }
        #expect(try market.rows("1d").map { utcText($0.open) } == ["2025-03-08 22:00", "2025-03-09 21:00"])
        #expect(try market.rows("1w").map { utcText($0.open) } == ["2025-03-02 22:00", "2025-03-09 21:00"])
        #expect(try market.rows("1M").map { utcText($0.open) } == ["2025-02-28 22:00"])
    }

    @Test func missingCandlesOfTheLastDayAreCounted() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.trade(2, at: at(7, 1), "10", "1")
        let report = try market.run(now: at(10)) { $0.interval = "1m" }
        #expect(report.missing.map(\.count) == [8])
        #expect(try market.run(now: at(10)) { $0.interval = "1m"; $0.fill = .flat }.missing.map(\.count) == [0])
    }

    /// PostgreSQL keeps such a row out.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func aTradeThatCannotBeReadStopsNoOther() throws {
        let market = try Market()
        try market.trade(1, at: at(0, 1), "10", "1")
        try market.trade(2, at: at(0, 2), "ten", "1")
        try market.trade(3, at: .max, "10", "1")
        try market.trade(4, at: at(0, 4), "0", "1")
        try market.trade(5, at: at(0, 5), "11", "1157920892373161954235709850086879078532699846656405640394575840")
        try market.trade(6, at: at(0, 6), "12", "1")
        let report = try market.run(now: at(1))
        #expect(report.errors == 4)
        #expect(report.lines.first?.text == "trade seq 2: column price: 'ten' is not a decimal number")
        #expect(try text(market, "1m") == ["1 1m 2019-10-11 00:00 10 12 10 12 2 22 2 closed"])
    }

    @Test func batchesInterruptedAnywhereLoseAndRepeatNothing() throws {
        let market = try Market()
        for id in Int64(0) ..< 100 { try market.trade(id, at: at(id / 7, id % 60), "\(id % 13 + 1)", "1") }
        var settings = CandlesEntry.Settings()
        settings.batch = 9
        var rounds = 0
        while true {
            var work = try CandleRun(market.exchange, CandlePlan(settings), now: at(60))
            var asked = 0
            // Two batches, then the run is told to stop.
            do {
                try work.run(isCancelled: { asked += 1; return asked > 2 })
                break
            } catch is CancellationNotice { rounds += 1 }
        }
        #expect(rounds == 5)
        let whole = try Market()
        for (_, trade) in market.arrived { try whole.trade(trade.id, at: trade.instant, trade.price, trade.amount) }
        try whole.run(now: at(60))
        #expect(try market.rows() == whole.rows())
    }
}
