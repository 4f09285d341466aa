import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import Tickers

@Suite struct TickersDoctorTests {
    private let test: TestExchange
    init() throws { test = try TestExchange(.disk, statements: .tickers) }

    private func findings(at now: Int64) -> [String] { test.doctor(TickersEntry.self, at: now, job: "tickers") }

    private func run(at now: Int64) throws {
        var run = TickerRun(test.exchange, TickersEntry.Settings(), now: now)
        try run.run(isCancelled: { false }) { _ in }
    }

    @Test func withoutPairsThatIsAll() {
        #expect(findings(at: at(0)) == ["warning pairs: 0 active pairs: no ticker is kept; activate one in the table pairs (active = 1)"])
    }

    @Test func beforeTheFirstRunTickersAreMissing() throws {
        try test.trade(try test.pair("XRP/ETH"), 1, at: at(0), "5", "1")
        #expect(findings(at: at(1)) == [
            "ok pairs: 1 active pair",
            "warning tickers: 1 of 1 traded pair without a ticker (XRP/ETH); does the job run? jobhost show tickers",
            "warning backlog: the job has never run on this database",
        ])
    }

    @Test func afterARunAllIsWellUntilItsTickersRunOut() throws {
        let pair = try test.pair("XRP/ETH")
        try test.trade(pair, 1, at: at(0), "5", "1")
        try run(at: at(1))
        #expect(findings(at: at(2)) == ["ok pairs: 1 active pair", "ok tickers: all 1 valid", "ok backlog: all trades are read"])
        try test.trade(pair, 2, at: at(3), "5", "1")
        let later = findings(at: at(76))
        #expect(later.contains("warning tickers: 1 of 1 ticker no longer valid, XRP/ETH since 1m; does the job run? jobhost show tickers"))
        #expect(later.contains("ok backlog: 1 trade for the next run"))
    }

    @Test func aPairThatWasNeverTradedIsNamed() throws {
        try test.trade(try test.pair("XRP/ETH"), 1, at: at(0), "5", "1")
        try test.pair("NEW/USD")
        #expect(findings(at: at(1)).contains("warning pairs: 1 of 2 active pairs never traded (NEW/USD); does the feed write trades?"))
    }
}
