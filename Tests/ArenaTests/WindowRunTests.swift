import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import Arena
@testable import ExchangeKit

@Suite struct WindowRunTests {
    private let hour: Int64 = 3_600_000
    /// One pair and no crowd, so that a test sees what agents do.
    private let small: (inout TickEntry.Settings) -> Void = { $0.accounts = 0; $0.pairs = ["BTC/USD": Amount(64_000)] }

    @Test func agentsTradeOnceInEachWindowOf2Hours() throws {
        let stage = try Stage()
        var opened: [Int64] = []
        var idle: [String] = []
        // 30 market minutes a tick, from 2025-12-29 12:00.
        for index in Int64(0) ..< 9 {
            try stage.tick(at: noon + index * 30_000)
            let report = try stage.trade(at: noon + index * 30_000)
            if let window = report.window { opened.append(window.opens) } else { idle.append(report.idle) }
        }
        let begin = noon - 7 * 24 * hour
        #expect(opened == [begin, begin + 2 * hour, begin + 4 * hour])
        #expect(idle.first == "the next window of 'main' opens at 2025-12-29 14:00 of its time, in 1h")
        #expect(idle.count == 6)
        #expect(try stage.number("SELECT count(*) FROM simulation_windows WHERE state = 'traded'") == 3)
    }

    @Test func moneyIsOnlyMovedAndEveryTradePaysItsFee() throws {
        let stage = try Stage()
        for index in Int64(0) ..< 40 {
            try stage.tick(at: noon + index * 30_000)
            try stage.trade(at: noon + index * 30_000)
        }
        #expect(try Ledger(stage.exchange).differences() == [])
        #expect(try stage.number("SELECT CAST(sum(trades) AS bigint) FROM simulation_agents") > 10)
        let fees = try stage.texts("SELECT fees FROM simulation_agents").reduce(Amount.zero) { try $0 + Amount(parsing: $1) }
        #expect(try stage.texts("SELECT available FROM wallets WHERE owner = 'platform:fees'") == [fees.description])
        // Whoever only holds has paid three times, at least 0.25 each.
        #expect(try stage.texts("SELECT strategy, trades FROM simulation_agents WHERE name = 'holder'") == ["hold 3"])
        #expect(try stage.number("SELECT count(*) FROM wallets WHERE owner LIKE 'agent:%' AND available < '0'") == 0)
    }

    /// What lies in the tables from the beginning, as a platform's own history does, is not seen
    /// before the market's clock has come to it: not in prices, not in what is paid for them.
    @Test func agentsSeeNothingLaterThanTheMarketsClock() throws {
        let stage = try Stage()
        try stage.tick(small)
        let clock = try stage.number("SELECT clock_ms FROM simulations")
        let pair = try stage.number("SELECT id FROM pairs")
        for (id, later) in [(1_000_000, Int64(0)), (1_000_001, 1), (1_000_002, 3_600_000)] {
            try stage.test.trade(pair, Int64(id), at: clock + later, "1", "5")
        }
        let view = try stage.exchange.marketView(of: "main", currency: nil, clock: clock, steps: 12, step: 60_000)
        let known = try stage.texts("SELECT price FROM trades WHERE ts_ms < \(clock) ORDER BY ts_ms DESC, id DESC LIMIT 1")
        #expect(view.pairs.map(\.price.description) == known)
        #expect(view.pairs[0].history.allSatisfy { $0 > Amount(1_000) })
        try stage.trade()
        let paid = try stage.texts("SELECT decision FROM simulation_decisions WHERE agent = 'holder'")
        #expect(paid[0].contains("filled at \(view.pairs[0].ask)"))
        // … and with the clock past them they are there.
        let later = try stage.exchange.marketView(of: "main", currency: nil, clock: clock + 1, steps: 1, step: 60_000)
        #expect(later.pairs.map(\.price) == [.one])
    }

    @Test func windowsThatWentByAreToldNotMadeUpFor() throws {
        let stage = try Stage()
        try stage.tick(small)
        try stage.trade()
        for index in Int64(1) ... 16 { try stage.tick(at: noon + index * 30_000, small) }
        let report = try stage.trade(at: noon + 16 * 30_000)
        #expect(report.missed == 3)
        #expect(report.lines.map(\.text).first == "3 windows went by without a run: agents decide on what is there now")
        #expect(try stage.number("SELECT count(*) FROM simulation_windows") == 2)
    }

    @Test func anInterruptedWindowGoesOnWithWhatItSaw() throws {
        let stage = try Stage()
        try stage.tick(small)
        let clock = try stage.number("SELECT clock_ms FROM simulations")
        #expect(throws: CancellationNotice.self) { try stage.trade(cause: "w:1", cancelledAfter: 1) }
        #expect(try stage.texts("SELECT agent FROM simulation_decisions WHERE state = 'done'") == ["contrarian"])
        try stage.tick(at: noon + 30_000, small)
        let report = try stage.trade(at: noon + 31_000, cause: "w:1", isRetry: true)
        #expect((report.clock, report.decided) == (clock, 4))
        #expect(try stage.number("SELECT count(*) FROM simulation_decisions WHERE state = 'done'") == 4)
        #expect(try stage.trade(at: noon + 32_000).window == nil)
        #expect(try Ledger(stage.exchange).differences() == [])
    }

    @Test func twoAreNeverAtWorkOnOneWindow() throws {
        let stage = try Stage()
        try stage.tick(small)
        let first = ArenaDriver(job: "one", cause: "1", isRetry: false, now: noon)
        let held = SimulationGuard(stage.exchange, simulation: "main", part: WindowRun.part, first, lease: 60_000)
        #expect(try held.take() == nil)
        #expect(try stage.trade(at: noon + 1_000, job: "two").idle == "'one' is at work on this window of 'main'")
        // Another host with a store of its own may be at the same fire, by the same key.
        #expect(try held.take() == "one")
        let snapshot = ArenaDriver(job: "arena-snapshot", cause: "s", isRetry: false, now: noon)
        let other = SimulationGuard(stage.exchange, simulation: "main", part: SnapshotRun.part, snapshot, lease: 60_000)
        #expect(try other.take() == nil)
        #expect(throws: JobFailure.self) { try stage.snapshot(at: noon + 1_000, cause: "s") }
        // … and who is refused gives nothing back.
        #expect(try stage.number("SELECT count(*) FROM simulation_guards") == 2)
        other.drop()
        // The next attempt of the same run may, and anybody once the lease is over.
        let retry = ArenaDriver(job: "one", cause: "1", isRetry: true, now: noon)
        #expect(try SimulationGuard(stage.exchange, simulation: "main", part: WindowRun.part, retry, lease: 60_000).take() == nil)
        #expect(try stage.trade(at: noon + 60_000, job: "two").window != nil)
        #expect(try stage.number("SELECT count(*) FROM simulation_guards") == 0)
    }

    @Test func beforeTheFirstTickThereIsNothingToTrade() throws {
        let stage = try Stage()
        #expect(try stage.trade().idle == "the simulation 'main' begins with its first tick")
        try stage.tick(small)
        #expect(try stage.trade { $0.currency = "EUR" }.idle == "'main' has no pair with a price in EUR yet")
        // Nothing was opened at a clock that no price comes to.
        #expect(try stage.number("SELECT count(*) FROM simulation_windows") == 0)
        #expect(try stage.trade().decided == 4)
    }

    /// As one that an older version opened.
    @Test func aWindowThatSeesNoPriceIsClosed() throws {
        let stage = try Stage()
        try stage.tick(small)
        try stage.test.connection.execute("""
            INSERT INTO simulation_windows (simulation, opens_ms, clock_ms, state, missed, trades, changed_ms) VALUES ('main', 0, 1, 'open', 0, 0, 0)
            """)
        #expect(try stage.trade().idle == "'main' has no pair with a price yet")
        #expect(try stage.texts("SELECT state, trades FROM simulation_windows") == ["traded 0"])
        #expect(try stage.trade().decided == 4)
    }

    /// Killed before any of its statements and run again, a window is traded once.
    @Test func cutAtEveryStatementAgentsTradeOnce() throws {
        func window(_ test: TestExchange) throws {
            let exchange = try Exchange.open(test.location, statements: .arena)
            defer { exchange.close() }
            var settings = TradeWindowEntry.Settings()
            // One that could pay what it wants a second time.
            settings.agents = ["gambler": AgentSettings(.random), "holder": AgentSettings(.hold)]
            var run = WindowRun(
                exchange, try WindowPlan(settings), ArenaDriver(job: "w", cause: "w:1", isRetry: true, now: noon), mind: nil)
            try run.run { false }
        }
        func fresh() throws -> TestExchange {
            let test = try TestExchange(.disk, statements: .arena, at: noon)
            var settings = TickEntry.Settings()
            small(&settings)
            settings.tradesPerMinute = 1
            let driver = ArenaDriver(job: "t", cause: "", isRetry: false, now: noon)
            var tick = ArenaTick(test.exchange, try ArenaPlan(settings), driver)
            _ = try tick.run(isCancelled: { false }) { _, _, _ in }
            return test
        }
        func check(_ test: TestExchange, _ place: String) throws {
            #expect(try test.texts("SELECT state FROM simulation_windows") == ["traded"], "\(place)")
            #expect(try test.texts("SELECT agent FROM simulation_decisions WHERE state = 'done' ORDER BY agent") == ["gambler", "holder"], "\(place)")
            #expect(try test.texts("SELECT trades FROM simulation_agents ORDER BY name") == ["1", "1"], "\(place)")
            #expect(try test.number("SELECT count(*) FROM ledger_causes WHERE cause LIKE 'agent:main:gambler:%'") == 2, "\(place)")
            #expect(try test.number("SELECT count(*) FROM ledger_causes WHERE cause LIKE 'agent:main:holder:%'") == 2, "\(place)")
            #expect(try test.differences() == [], "\(place)")
            #expect(try test.number("SELECT count(*) FROM simulation_guards") == 0, "\(place)")
        }
        let cuts = try cutAtEveryStatement(fresh, run: window, check: check)
        #expect(cuts > 40)
    }

    @Test(arguments: [
        (#""window": "5s""#, #"window: "5s" is not between "1m" and "31d"; empty: by the mode"#),
        (#""agents": {}"#, #"agents: there is none; write { trend = { strategy = "momentum" } }"#),
        (#""agents": {"a b": {}}"#, #"agents: "a b" is no name: up to 40 letters, digits, '-', '_' and '.'"#),
        (#""capital": "0""#, "capital: 0 is not above 0"), (#""fee_minimum": "-1""#, "fee_minimum: -1 is below 0"),
        (#""fee_minimum": "100001""#, "fee_minimum: 100001 is above the capital, 100000: nobody could trade"),
        (#""simulation": """#, "simulation: the name is empty"),
    ])
    func settingsThatCannotBeAreRefused(_ settings: String, _ sentence: String) {
        #expect(TestRun(settings: "{\(settings)}").validate(TradeWindowEntry.self) == sentence)
    }

    @Test func theEntryTellsWhatItDidAndItsDoctorWhatIsThere() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        #expect(test.doctor(TradeWindowEntry.self, at: noon) == [
            "warning market: simulation 'main' begins with the first tick of its own job; until then nobody trades",
        ])
        let tick = TestRun(settings: #"{"database": "\#(test.database)"}"#)
        #expect(tick.run(TickEntry.self) == .succeeded)
        let run = TestRun(settings: #"{"database": "\#(test.database)"}"#)
        #expect(run.run(TradeWindowEntry.self) == .succeeded)
        #expect(run.text.hasPrefix("Window "))
        #expect(run.text.contains("4 agents decided: "))
        #expect(run.items == 4)
        #expect(run.samples.count { $0.name == "arena_agent_equity" } == 4)
        #expect(run.run(TradeWindowEntry.self) == .nothingToDo)
        let found = test.doctor(TradeWindowEntry.self, at: noon)
        #expect(found.count == 5)
        #expect(found[0].hasPrefix("ok window: the newest opened at "))
        #expect(found[3].hasPrefix("ok agent gambler: random: "))
    }

    @Test func aLiveExchangeIsRefused() throws {
        let test = try TestExchange(.disk, purpose: .live, statements: .arena, at: noon)
        let run = TestRun(settings: #"{"database": "\#(test.database)"}"#)
        #expect(run.run(TradeWindowEntry.self) == .failed)
        #expect(run.text.hasSuffix("was not created as a simulation: nothing invented is written there"))
        #expect(run.run(SnapshotEntry.self) == .failed)
    }
}
