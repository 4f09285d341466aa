import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import Tickers

@Suite struct TickerRuleTests {
    private let day = Market.day

    @Test func theStatisticsOf24Hours() throws {
        let market = try Market()
        for (id, seconds, price, size) in [
            (1, -day - 1, "9", "9"), (2, -3_600, "0.5", "2"), (3, -1_800, "0.8", "1"), (4, -900, "0.4", "10"), (5, -1, "0.6", "1"),
        ] as [(Int64, Int64, String, String)] { try market.trade(id, at: at(seconds), price, size) }
        try market.run(at(0))
        #expect(try market.ticker() == "last 0.6 open 0.5 high 0.8 low 0.4 change 0.1 20 volume 14 6.4 trades 4")
        #expect(try market.ticker() == market.expected(now: at(0)))
    }

    /// [now − 24 h, now): to the millisecond.
    @Test func theWindowBeginsInclusiveAndEndsExclusive() throws {
        let market = try Market()
        try market.trade(1, at: at(0), "1", "1")
        for (now, trades) in [
            (at(0), nil), (at(0) + 1, 1), (at(day), 1), (at(day) + 1, 0),
        ] as [(Int64, Int64?)] {
            try market.run(now)
            #expect(try market.test.texts("SELECT trades FROM tickers").first == trades.map(String.init), "\(now - at(0))")
        }
    }

    @Test func withoutATradeItIsTheLastPriceAndZeros() throws {
        let market = try Market(pairs: ["A/B", "C/D", "E/F"])
        try market.trade(1, at: at(-3 * day), "5", "1", pair: 1)
        try market.trade(1, at: at(-10), "7", "1", pair: 2)
        try market.run(at(0))
        #expect(try market.ticker(1) == "last 5 open 5 high 5 low 5 change 0 0 volume 0 0 trades 0")
        #expect(try market.ticker(3) == nil)
        // … also when its last one has left.
        try market.run(at(day))
        #expect(try market.ticker(2) == "last 7 open 7 high 7 low 7 change 0 0 volume 0 0 trades 0")
        try market.trade(2, at: at(day), "8", "2", pair: 2)
        try market.run(at(day + 1))
        #expect(try market.ticker(2) == "last 8 open 8 high 8 low 8 change 0 0 volume 2 16 trades 1")
    }

    @Test func tradesOfTheSameMillisecondAreOrderedById() throws {
        let market = try Market()
        // Arriving out of order, in two runs.
        try market.trade(12, at: at(-5), "12", "1")
        try market.trade(10, at: at(-5), "10", "1")
        try market.run(at(0))
        #expect(try market.ticker()?.hasPrefix("last 12 open 10 ") == true)
        try market.trade(13, at: at(-5), "13", "1")
        try market.trade(9, at: at(-5), "9", "1")
        try market.trade(11, at: at(-5), "11", "1")
        try market.run(at(1))
        #expect(try market.ticker()?.hasPrefix("last 13 open 9 high 13 low 9 ") == true)
    }

    @Test func aLateTradeIsPutWhereItBelongs() throws {
        let market = try Market()
        try market.trade(1, at: at(-3_600), "10", "1")
        try market.trade(2, at: at(-60), "11", "1")
        try market.run(at(0))
        // Older than the first, higher than all; older than the window; newer than the window's
        // beginning only when it arrives.
        for (id, seconds, price) in [(3, -7_200, "20"), (4, -day - 1, "99"), (5, -day + 3, "1")] as [(Int64, Int64, String)] {
            try market.trade(id, at: at(seconds), price, "1")
        }
        try market.run(at(2))
        #expect(try market.ticker() == "last 11 open 1 high 20 low 1 change 10 1000 volume 4 42 trades 4")
        try market.run(at(4))
        #expect(try market.ticker() == market.expected(now: at(4)))
    }

    @Test func aLateTradeOfAQuietPairIsItsLastPrice() throws {
        let market = try Market()
        try market.trade(1, at: at(-3 * day), "5", "1")
        try market.run(at(0))
        try market.trade(2, at: at(-2 * day), "6", "1")
        try market.trade(3, at: at(-4 * day), "4", "1")
        try market.run(at(5))
        #expect(try market.ticker() == "last 6 open 6 high 6 low 6 change 0 0 volume 0 0 trades 0")
    }

    @Test func aTradeAheadOfItsTimeWaits() throws {
        let market = try Market()
        try market.run(at(0))
        try market.trade(1, at: at(8), "5", "1")
        #expect(try market.run(at(5)).came == 0)
        #expect(try market.ticker() == nil)
        let report = try market.run(at(10))
        #expect((report.came, report.updated) == (1, 1))
        #expect(try market.ticker() == market.expected(now: at(10)))
    }

    @Test func theSecondHighestTakesOverWhenTheHighestLeaves() throws {
        let market = try Market()
        for (id, price) in zip(Int64(1)..., ["5", "9", "7", "8", "6", "6"]) { try market.trade(id, at: at(id * 10), price, "1") }
        for (now, high, low) in [(at(61), "9", "5"), (at(day + 11), "9", "6"), (at(day + 21), "8", "6"), (at(day + 41), "6", "6")] {
            try market.run(now)
            #expect(try market.test.texts("SELECT high, low FROM tickers") == ["\(high) \(low)"])
        }
    }

    @Test func validFor15SecondsWhetherOrNotItHasChanged() throws {
        let market = try Market()
        try market.trade(1, at: at(-1), "5", "1")
        #expect(try market.run(at(0)).updated == 1)
        #expect(try market.validUntil() == at(15))
        let quiet = try market.run(at(5))
        #expect(quiet.updated == 0)
        #expect(try market.validUntil() == at(20))
        #expect(quiet.outcome(milliseconds: 1, validFor: .seconds(15)) == .nothingToDo("no trade came or went; 1 pair valid for another 15s"))
    }

    @Test func aPairWithItsOwnClockIsCountedByIt() throws {
        let market = try Market(pairs: ["A/B", "C/D"])
        for pair in [Int64(1), 2] { try market.trade(1, at: at(-30 * day), "5", "1", pair: pair) }
        try market.setClock(at(-30 * day) + 1)
        try market.run(at(0))
        #expect(try market.ticker(1)?.hasSuffix("trades 1") == true)
        #expect(try market.ticker(2)?.hasSuffix("trades 0") == true)
        #expect(try market.validUntil(1) == at(15))
        try market.setClock(at(-29 * day) + 1)
        try market.run(at(5))
        #expect(try market.ticker(1)?.hasSuffix("trades 0") == true)
    }

    /// A simulated market makes a tick while a run is under way: its trades are read, but lie
    /// behind the clock that the run began with.
    @Test func aClockThatMovesDuringARunIsFollowedByTheNextOne() throws {
        let market = try Market(.disk)
        try market.trade(1, at: at(0), "5", "1")
        try market.setClock(at(10))
        try market.run(at(0))
        let own = try Exchange.open(market.test.location, statements: .tickers)
        defer { own.close() }
        try market.trade(2, at: at(5), "6", "1")
        var isTicked = false
        own.connection.faultPoint = { point in
            guard case .before(let sql) = point, !isTicked, sql.contains("ORDER BY seq LIMIT") || sql.contains("ORDER BY tx FETCH") else { return }
            isTicked = true
            _ = try? market.trade(3, at: at(15), "7", "1")
            _ = try? market.setClock(at(20))
        }
        let report = try market.run(at(5), on: own)
        #expect((isTicked, report.updated) == (true, 1))
        #expect(try market.ticker() == market.expected(now: at(10)))
        try market.run(at(10))
        #expect(try market.ticker() == market.expected(now: at(20)))
    }

    @Test func aClockThatIsSetBackIsCountedAnew() throws {
        let market = try Market()
        for (id, seconds) in [(1, 0), (2, 3_600), (3, day + 1_800)] as [(Int64, Int64)] {
            try market.trade(id, at: at(seconds), "\(id)", "1")
        }
        try market.setClock(at(day + 2_000))
        try market.run(at(0))
        #expect(try market.ticker() == market.expected(now: at(day + 2_000)))
        try market.setClock(at(3_601))
        #expect(try market.run(at(5)).built == 1)
        #expect(try market.ticker() == market.expected(now: at(3_601)))
        // By less than a minute: hosts differ that much, the window waits.
        try market.setClock(at(3_590))
        #expect(try market.run(at(10)).built == 0)
        #expect(try market.ticker() == market.expected(now: at(3_601)))
    }

    @Test func aDelistedPairHasNoTickerAndAListedOneIsCountedFromAllTrades() throws {
        let market = try Market(pairs: ["A/B", "C/D"])
        for pair in [Int64(1), 2] { try market.trade(1, at: at(-100), "5", "1", pair: pair) }
        try market.run(at(0))
        try market.test.connection.run("UPDATE pairs SET active = 0 WHERE id = 1")
        try market.trade(2, at: at(1), "6", "1")
        let report = try market.run(at(5))
        #expect((report.delisted, report.activePairs, report.updated) == (1, 1, 0))
        #expect(try market.ticker(1) == nil)
        #expect(try market.ticker(2) != nil)
        #expect(try market.test.count("ticker_extremes") == 2)
        try market.trade(3, at: at(6), "7", "1")
        try market.test.connection.run("UPDATE pairs SET active = 1 WHERE id = 1")
        #expect(try market.run(at(10)).built == 1)
        #expect(try market.ticker(1) == market.expected(now: at(10)))
    }

    @Test func aTradeThatMakesNoSenseIsNamedOnceAndCountsNowhere() throws {
        let market = try Market()
        try market.trade(1, at: at(-50), "5", "1")
        try market.run(at(0))
        try market.trade(2, at: at(-60), "0", "1")
        try market.trade(3, at: at(1), "NaN", "1")
        try market.trade(4, at: at(2), "1", "-1")
        try market.trade(5, at: at(3), "6", "1")
        let report = try market.run(at(5))
        #expect(report.texts(.error) == [
            "trade 2 of XRP/ETH: price 0 or amount 1 makes no sense", "trade 3 of XRP/ETH: column price: 'NaN' is not a decimal number",
            "trade 4 of XRP/ETH: price 1 or amount -1 makes no sense",
        ])
        // The first and last good one are found between bad ones, on the way out too.
        for now in [at(5), at(day - 49), at(day + 3), at(day + 4)] {
            #expect(try market.run(now).errors == 0)
            #expect(try market.ticker() == market.expected(now: now))
        }
    }

    @Test func aPairThatCannotBeCountedStopsNoOther() throws {
        let market = try Market(pairs: ["A/B", "C/D"])
        for pair in [Int64(1), 2] { try market.trade(1, at: at(-100), "5", "1", pair: pair) }
        try market.run(at(0))
        let huge = "1" + String(repeating: "0", count: 20)
        for id in [Int64(2), 3] { try market.trade(id, at: at(1), "0.1", huge) }
        try market.trade(2, at: at(1), "6", "1", pair: 2)
        let report = try market.run(at(5))
        #expect(report.errors == 2)
        #expect(report.texts(.error).first?.hasPrefix("A/B: ") == true)
        #expect(try market.ticker(2) == market.expected(2, now: at(5)))
        #expect(try market.validUntil(1) == at(15))
    }

    @Test func countingAgainHealsWhatWasChangedBehindItsBack() throws {
        let market = try Market()
        for id in Int64(1) ... 4 { try market.trade(id, at: at(-id * 100), "\(id)", "1") }
        try market.run(at(0))
        // A trade is corrected in place: nobody can see that from the end of the table.
        try market.test.connection.run("UPDATE trades SET amount = '5' WHERE id = 2")
        market.trades[1].trade = try Trade(market.trades[1].trade.key, price: Amount(2), amount: Amount(5))
        #expect(try market.run(at(60)).corrected == 0)
        #expect(try market.ticker() != market.expected(now: at(60)))
        let report = try market.run(at(70)) { $0.recount = .seconds(60) }
        #expect((report.built, report.corrected) == (1, 1))
        #expect(try market.ticker() == market.expected(now: at(70)))
        #expect(try market.run(at(131)) { $0.recount = .seconds(60) }.corrected == 0)
    }

    @Test func tradesThatWereDeletedAreNoticedWhenTheyShouldLeave() throws {
        let market = try Market()
        for id in Int64(1) ... 4 { try market.trade(id, at: at(id * 10), "\(id)", "1") }
        try market.run(at(100))
        try market.test.connection.run("DELETE FROM trades WHERE id IN (1, 2)")
        market.trades.removeAll { $0.trade.key.id <= 2 }
        let report = try market.run(at(day + 41))
        #expect((report.corrected, report.built, report.errors) == (1, 1, 0))
        #expect(try market.ticker() == market.expected(now: at(day + 41)))
    }

    /// However many trades there are, the plans go through indexes.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func noStatementReadsAllTrades() throws {
        let market = try Market()
        for name in ["new_trades", "newest_seq", "trades_between", "trades_before", "trades_from", "extreme", "extreme_after", "extreme_before"] {
            let statement = try market.test.connection.prepare("EXPLAIN QUERY PLAN " + (StatementSet.tickers.files(.sqlite)[name] ?? ""))
            for index in statement.parameterNames.indices { try statement.bind(.int(0), at: index + 1) }
            var plan: [String] = []
            while try statement.step() { plan.append(try statement.text(3)) }
            #expect(!plan.contains { $0.hasPrefix("SCAN") || $0.contains("TEMP B-TREE") }, "\(name): \(plan)")
        }
    }

    @Test func costFollowsWhatCameAndWentNotTheWindow() throws {
        let market = try Market()
        for id in Int64(1) ... 300 { try market.trade(id, at: at(-day + id * 250), "\(100 + id * 37 % 41)", "1") }
        try market.run(at(0))
        // Of a run in which one trade comes and one goes, with 300 trades in the window and then
        // with ten times as many.
        func statements(_ now: Int64) throws -> Int {
            var count = 0
            market.test.connection.faultPoint = { if case .before = $0 { count += 1 } }
            defer { market.test.connection.faultPoint = nil }
            let report = try market.run(now)
            #expect((report.came, report.went, report.updated) == (1, 1, 1))
            return count
        }
        try market.trade(1_000, at: at(248), "99", "1")
        let few = try statements(at(250) + 1)
        for id in Int64(2_000) ... 5_000 { try market.trade(id, at: at(-day / 2 + id), "\(100 + id * 37 % 41)", "1") }
        try market.run(at(251))
        try market.trade(6_000, at: at(499), "99", "1")
        #expect(try statements(at(500) + 1) <= few + 2)
    }
}
