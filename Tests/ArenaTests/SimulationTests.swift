import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import SQL
import Testing

@testable import Arena
@testable import Candles
@testable import ExchangeKit
@testable import MarginCheck

@Suite struct SimulationTests {
    @Test func theSameSeedMakesTheSameMarket() throws {
        func market(seed: Int64) throws -> [String] {
            let stage = try Stage()
            for _ in 0 ..< 3 { try stage.tick { $0.seed = seed } }
            return try stage.texts("SELECT pair_id, id, ts_ms, side, price, amount FROM trades ORDER BY seq")
        }
        let first = try market(seed: 7)
        #expect(first.count > 1_000)
        #expect(try market(seed: 7) == first)
        #expect(try market(seed: 8) != first)
    }

    @Test func aTickIs30MarketMinutesUntilTheMarketHasCaughtUp() throws {
        let stage = try Stage()
        let change: (inout TickEntry.Settings) -> Void = { $0.back = .hours(1) }
        var clocks: [Int64] = []
        for index in Int64(0) ..< 4 { clocks.append(try stage.tick(at: noon + index * 30_000, change).clock) }
        // From 11:00: 11:30, then at 12:00:30 real time 12:00, then beside the real clock.
        #expect(clocks == [noon - 1_800_000, noon, noon + 60_000, noon + 90_000])
        #expect(try stage.number("SELECT count(*) FROM trades WHERE ts_ms >= \(noon + 90_000)") == 0)
    }

    @Test func moneyIsOnlyMovedNeverMade() throws {
        let stage = try Stage()
        for index in Int64(0) ..< 20 { try stage.tick(at: noon + index * 30_000) }
        #expect(try Ledger(stage.exchange).differences() == [])
        #expect(try stage.number("SELECT count(*) FROM orders WHERE status = 'filled'") > 0)
        #expect(try stage.number("SELECT count(*) FROM orders WHERE status = 'cancelled'") > 0)
        #expect(try stage.number("SELECT count(*) FROM orders WHERE status = 'open'") > 0)
    }

    @Test func theFirstTickGivesCandlesAndMarginChecksTheirWork() throws {
        let stage = try Stage()
        let result = try stage.tick()
        #expect(result.trades > 400)
        let candles = Exchange(connection: stage.exchange.connection, place: "memory", statements: .candles)
        var run = try CandleRun(candles, CandlePlan(CandlesEntry.Settings()), now: noon)
        try run.run(isCancelled: { false })
        #expect(run.report.closed > 80)
        #expect(run.report.corrected == 0)

        let margin = Exchange(connection: stage.exchange.connection, place: "memory", statements: .marginCheck)
        var settings = MarginCheckEntry.Settings()
        settings.mode = .live
        var check = MarginRun(margin, settings, now: noon + 1_000, cause: "1")
        try check.run(isCancelled: { false })
        #expect(check.report.calls >= 2)
        #expect(check.report.liquidated == 1)
        #expect(check.report.halt == nil)
        #expect(try Ledger(stage.exchange).differences() == [])
    }

    /// Half a day of market time with all three jobs: corrections never, a halt never, some
    /// liquidations, and the books are right at the end.
    @Test func theJobsLiveTogether() throws {
        let stage = try Stage()
        let connection = stage.exchange.connection
        let candles = Exchange(connection: connection, place: "memory", statements: .candles)
        let margin = Exchange(connection: connection, place: "memory", statements: .marginCheck)
        var (calls, liquidated, halts, corrected) = (0, 0, 0, 0)
        for index in Int64(0) ..< 60 {
            let now = noon + index * 30_000
            try stage.tick(at: now)
            var run = try CandleRun(candles, CandlePlan(CandlesEntry.Settings()), now: now + 5_000)
            try run.run(isCancelled: { false })
            corrected += run.report.corrected
            var settings = MarginCheckEntry.Settings()
            settings.mode = .live
            var check = MarginRun(margin, settings, now: now + 10_000, cause: "\(index)")
            try check.run(isCancelled: { false })
            calls += check.report.calls
            liquidated += check.report.liquidated
            halts += check.report.halt == nil ? 0 : 1
        }
        #expect((corrected, halts) == (0, 0))
        #expect(calls >= 5)
        #expect(liquidated >= 3)
        #expect(try Ledger(stage.exchange).differences() == [])
    }

    @Test func aRetryOfATickThatWasMadeDoesNothing() throws {
        let stage = try Stage()
        try stage.tick(cause: "tick:1")
        let count = try stage.number("SELECT count(*) FROM trades")
        let retry = try stage.tick(cause: "tick:1", isRetry: true)
        #expect(retry.summary == nil)
        #expect(retry.idle == "this tick was made by the attempt before")
        #expect(try stage.number("SELECT count(*) FROM trades") == count)
    }

    @Test func twoJobsCannotDriveOneSimulation() throws {
        let stage = try Stage()
        try stage.tick(job: "one")
        let refusal = #expect(throws: JobFailure.self) { try stage.tick(at: noon + 30_000, job: "two") }
        #expect(refusal?.text == "the simulation 'main' is driven by the job 'one' (last tick 30 s ago); give this one another name")
        // Unless the other has been gone for two minutes.
        try stage.tick(at: noon + 120_000, job: "two")
    }

    @Test func simulationsKeepTheirPairsApart() throws {
        let stage = try Stage()
        try stage.tick()
        let refusal = #expect(throws: JobFailure.self) { try stage.tick(job: "other") { $0.simulation = "other" } }
        #expect(refusal?.text == "the pair BTC/USD belongs to the simulation 'main', 'other' keeps away from it")
        try stage.tick(job: "other") { $0.simulation = "other"; $0.pairs = ["DOGE/EUR": .one] }
        #expect(try stage.texts("SELECT symbol FROM pairs WHERE simulation = 'other'") == ["DOGE/EUR"])
    }

    @Test func aDatabaseThatIsNoSimulationIsRefused() throws {
        let stage = try Stage()
        let path = stage.folder.appending(path: "real.db").path
        let connection = try SQLiteConnection(path: path)
        try connection.execute(Exchange.schemaScript(purpose: .live, at: 0))
        connection.close()
        let test = TestRun(settings: #"{"database": "sqlite:\#(path)"}"#)
        #expect(test.run(TickEntry.self) == .failed)
        #expect(test.text == "\(path) was not created as a simulation: nothing invented is written there. Name another database, it will be created")
    }

    @Test func aForeignDatabaseIsLeftAsItIs() throws {
        let stage = try Stage()
        let path = stage.folder.appending(path: "app.db").path
        let connection = try SQLiteConnection(path: path)
        try connection.execute("CREATE TABLE users (id INTEGER)")
        let test = TestRun(settings: #"{"database": "sqlite:\#(path)"}"#)
        #expect(test.run(TickEntry.self) == .failed)
        #expect(try connection.rows("SELECT name FROM sqlite_schema", []) { try $0.text(0) } == ["users"])
    }

    @Test func theDatabaseIsMadeWithItsFolder() throws {
        let stage = try Stage()
        let path = stage.folder.appending(path: "var/deep/exchange.db").path
        let test = TestRun(settings: #"{"database": "sqlite:\#(path)", "pairs": {"BTC/USD": "64000"}}"#)
        #expect(test.run(TickEntry.self) == .succeeded)
        #expect(test.log.first?.text == "created the simulated exchange \(path)")
        #expect(test.text.hasPrefix("Market 20"))
        #expect(test.text.contains("BTC/USD 6"))
    }

    @Test(arguments: [
        (#"{"pairs": {}}"#, #"pairs: there is none"#),
        (#"{"pairs": {"BTCUSD": "1"}}"#, #"pairs: "BTCUSD" is no pair; write base and quote"#),
        (#"{"pairs": {"A/B": "0"}}"#, "pairs.A/B: the price 0 is not above 0"),
        (#"{"speed": "max"}"#, #"speed: "max" is not understood; write market time in a tick, "30m""#),
        (#"{"mode": "historical"}"#, #"file: mode = "historical" needs the file"#),
        (#"{"mode": "historical", "file": "x"}"#, #"pair: mode = "historical" needs the pair"#),
        (#"{"start": "yesterday"}"#, #"start: "yesterday" is not understood"#),
        (#"{"start": "2020-01-02", "end": "2020-01-01"}"#, "end (2020-01-01) is not after start (2020-01-02)"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        let said = try #require(TestRun(settings: settings).validate(TickEntry.self))
        #expect(said.hasPrefix(sentence), "\(said)")
    }
}
