import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import Candles

@Suite struct CandlesDoctorTests {
    private let test: TestExchange
    init() throws { test = try TestExchange(.disk, statements: .candles) }

    private func findings(at now: Int64) -> [String] { test.doctor(CandlesEntry.self, at: now, job: "candles-1m") }

    private func run(at now: Int64) throws {
        var run = try CandleRun(test.exchange, CandlePlan(CandlesEntry.Settings()), now: now)
        try run.run(isCancelled: { false })
    }

    @Test func withoutPairsThatIsAll() {
        #expect(findings(at: at(0)) == ["warning pairs: 0 active pairs: no candle is made; activate one in the table pairs (active = 1)"])
    }

    @Test func allIsWellAfterARun() throws {
        let (a, b) = (try test.pair("XRP/ETH"), try test.pair("BTC/USD"))
        try test.trade(a, 1, at: at(0), "5", "1")
        try test.trade(b, 1, at: at(2), "5", "1")
        try run(at: at(3))
        #expect(findings(at: at(4)) == [
            "ok pairs: 2 active pairs", "ok trades: the newest is 2m old, in the quietest pair 4m", "ok backlog: all trades are read",
            "ok candles: every traded minute of the last day has its candle",
        ])
    }

    @Test func tradesForTheNextRunAreNoTrouble() throws {
        let pair = try test.pair("XRP/ETH")
        try test.trade(pair, 1, at: at(0), "5", "1")
        try run(at: at(1))
        try test.trade(pair, 2, at: at(2), "5", "1")
        #expect(findings(at: at(3)).contains("ok backlog: 1 trade for the next run"))
    }

    @Test func aBacklogNamesThePairAndBothInstants() throws {
        let pair = try test.pair("XRP/ETH")
        try test.trade(pair, 1, at: at(0), "5", "1")
        try run(at: at(1))
        for id in Int64(2) ... 4 { try test.trade(pair, id, at: at(id * 5), "5", "1") }
        #expect(findings(at: at(30)).contains(
            "warning backlog: 3 trades are not read: XRP/ETH was traded at 2019-10-11 00:20, its candles end at 2019-10-11 00:01; "
                + "does the job run? jobhost show candles-1m"))
    }

    @Test func aJobThatNeverRanHasABacklog() throws {
        try test.trade(try test.pair("XRP/ETH"), 1, at: at(0), "5", "1")
        #expect(findings(at: at(1)).contains { $0.hasPrefix("warning backlog: 1 trade") && $0.contains("it has no candle yet") })
    }

    @Test func aPairWithoutTradesForADayIsNamed() throws {
        let pair = try test.pair("XRP/ETH")
        try test.pair("OLD/USD")
        try test.trade(pair, 1, at: at(0), "5", "1")
        try run(at: at(1))
        #expect(findings(at: at(2)).contains(
            "warning trades: no trade for a day in 1 of 2 pairs (OLD/USD); does the feed write them?"))
        #expect(findings(at: at(2 * 1_440)).contains(
            "warning trades: no trade for a day in 2 of 2 pairs (XRP/ETH, OLD/USD); does the feed write them?"))
    }

    @Test func aTradedMinuteWithoutItsCandleIsFound() throws {
        let pair = try test.pair("XRP/ETH")
        for id in Int64(1) ... 3 { try test.trade(pair, id, at: at(id), "5", "1") }
        try run(at: at(4))
        try test.connection.run("DELETE FROM candles WHERE interval = '1m' AND open_ms = ?", [.int(at(2))])
        #expect(findings(at: at(5)).contains(
            "warning candles: 1 traded minute of the last day without a candle, the first in XRP/ETH at 2019-10-11 00:02: "
                + "trades that cannot be used (the log of that run names them), or candles that somebody deleted"))
    }
}
