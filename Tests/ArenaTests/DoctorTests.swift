import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import Arena

@Suite struct ArenaDoctorTests {
    private func tick(_ test: TestExchange, at now: Int64) throws {
        var tick = ArenaTick(
            test.exchange, try ArenaPlan(TickEntry.Settings()), ArenaDriver(job: "arena-tick", cause: "", isRetry: false, now: now))
        _ = try tick.run(isCancelled: { false }) { _, _, _ in }
    }

    private func market(_ test: TestExchange, at now: Int64, job: String = "arena-tick", _ settings: String = "") -> String {
        test.doctor(TickEntry.self, at: now, job: job, settings).joined(separator: "; ")
    }

    @Test func theMarketIsWatched() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        #expect(market(test, at: noon) == "ok market: simulation 'main' begins with the first tick")
        try tick(test, at: noon)
        let clock = "1 tick, its clock says 2025-12-29 12:30, the last"
        #expect(market(test, at: noon + 30_000) == "ok market: \(clock) 30s ago by job 'arena-tick'")
        #expect(market(test, at: noon + 900_000) == "warning market: \(clock) 15m ago by job 'arena-tick'; does the job run? jobhost show arena-tick")
        #expect(market(test, at: noon, job: "other") == "warning market: \(clock) 0s ago by job 'arena-tick': two jobs on one simulation; give this one another name")
        #expect(market(test, at: noon, #""mode": "historical", "pair": "XRP/ETH", "file": "/nowhere.csv""#)
            == "error file: /nowhere.csv cannot be read: No such file or directory; "
            + "error market: simulation 'main' is simulated, the settings say historical; give it another name")
    }

    @Test func aLiveExchangeIsRefused() throws {
        let test = try TestExchange(.disk, purpose: .live, statements: .arena, at: noon)
        #expect(market(test, at: noon).hasPrefix("error purpose: this is a live exchange"))
    }

    @Test func aDatabaseThatIsNotThereIsMadeByTheFirstTick() {
        let test = TestRun(settings: #"{"database": "sqlite:/nowhere/x.db"}"#)
        #expect(test.doctor(TickEntry.self) == .succeeded)
        #expect(test.findings == [.init(.ok, "database", "/nowhere/x.db is not there yet: the first tick creates it")])
    }
}
