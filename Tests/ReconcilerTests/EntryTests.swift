import ExchangeKit
import ExchangeTestKit
import Foundation
import JobCore
import JobKit
import OutsideTestKit
import Testing

@testable import Reconciler

@Suite struct EntryTests {
    private func problem(_ settings: String) -> String? { TestRun(settings: settings).validate(ReconcilerEntry.self) }

    @Test func `Settings that cannot work are refused with a reason`() {
        #expect(problem("{}") == nil)
        #expect(problem(#"{"exchange": "kraken"}"#) == #"exchange: "kraken" is not allowed (one of "paper", "binance")"#)
        #expect(problem(#"{"exchange": "binance", "api_key": ""}"#)
            == "api_key: there is none; write \"file:\" and a path, or \"env:\" and the name of a variable")
        #expect(problem(#"{"exchange": "binance", "url": "api.binance.com"}"#) == "url: this is no address; write \"https://\" and a host")
        #expect(problem(#"{"exchange": "binance", "recv_window": "2m"}"#) == "recv_window: 2m is not above 0 and at most 60s")
        #expect(problem(#"{"max_settlement": {"USD": "0"}}"#) == "max_settlement.USD: 0 is not above 0")
        #expect(problem(#"{"failure_delay": "2h"}"#) == "max_failure_delay (1h) is shorter than failure_delay (2h)")
        #expect(problem(#"{"calls": {"in_flight": 0}}"#)?.hasPrefix("calls.in_flight: 0 is out of range") == true)
        #expect(problem(#"{"sql": {"due_order": "x"}}"#)?.hasPrefix("sql.due_order: there is no such statement") == true)
    }

    @Test func `The defaults are those of the documentation`() {
        let settings = ReconcilerEntry.Settings()
        let policy = settings.calls.policy
        #expect(ReconcilerEntry.info.defaultSchedule == "every 45s")
        #expect(settings.syncAfter == .minutes(5))
        #expect(settings.batch == 200)
        #expect(policy.inFlight == 10)
        #expect(policy.breaker == BreakerPolicy(failures: 5, window: .seconds(60), openFor: .seconds(120), successes: 2))
        #expect(policy.retry.maxAttempts == 4)
        #expect(policy.retry.initial == .milliseconds(300))
        #expect(policy.retry.max == .seconds(2))
    }

    @Test func `The paper exchange answers in simulations only`() throws {
        let test = try TestExchange(.disk, purpose: .live)
        let run = TestRun(settings: #"{"database": "\#(test.database)", "mode": "live"}"#)
        #expect(run.run(ReconcilerEntry.self) == .badSettings)
        #expect(run.text.hasSuffix("was not created as a simulation"))
    }

    @Test func `A run ends with one line, and its metrics have their names`() throws {
        let shop = try Shop(.disk)
        try shop.truth(shop.order(), "filled", "2")
        try shop.truth(shop.order(owner: "user:2"), "new", "0")
        let run = TestRun(settings: #"{"database": "\#(shop.test.database)", "mode": "live"}"#)
        #expect(run.run(ReconcilerEntry.self) == .succeeded)
        #expect(run.text.hasPrefix("Checked 2 orders: 1 updated, 1 filled, 0 errors ("))
        #expect(run.items == 1)
        func value(_ name: String) -> Double? { run.samples.first { $0.name == name }?.value }
        #expect(value("reconciler_total_reconciled") == 2)
        #expect(value("reconciler_discrepancies") == 1)
        #expect(value("reconciler_errors") == 0)
        #expect(run.samples.first { $0.name == "reconciler_transitions" }?.labels == ["from": "new", "to": "filled"])
        for name in ["reconciler_last_run_seconds", "reconciler_duration_seconds"] { #expect(value(name) != nil, "\(name)") }
        // One of two differed: critical.
        #expect(value("reconciler_health") == 2)
        #expect(run.log.last?.text == "health critical: 1 of 2 orders differed")
        let rules = run.samples.filter { $0.name == "reconciler_health_rule" }.compactMap { $0.labels["rule"] }
        #expect(rules == ["breaker", "cycle", "discrepancies", "errors", "age"])

        let idle = TestRun(settings: run.settings)
        idle.state = run.stateAlways
        #expect(idle.run(ReconcilerEntry.self) == .nothingToDo)
        #expect(idle.text == "no order is due for a sync")
        #expect(idle.samples.contains { $0.name == "reconciler_last_run_age_seconds" })
    }

    @Test func `The thresholds of health, each exactly`() {
        func level(_ change: (inout Health) -> Void) -> HealthLevel {
            var health = Health(checked: 1_000)
            change(&health)
            return health.level
        }
        #expect(level { _ in } == .healthy)
        #expect(level { $0.breaker = .halfOpen } == .warning)
        #expect(level { $0.breaker = .open(until: .epoch) } == .critical)
        let cases: [(WritableKeyPath<Health, Int64>, [(Int64, HealthLevel)])] = [
            (\.cycleMilliseconds, [(9_999, .healthy), (10_000, .warning), (30_000, .warning), (30_001, .critical)]),
        ]
        for (path, points) in cases {
            for (value, expected) in points { #expect(level { $0[keyPath: path] = value } == expected, "\(value)") }
        }
        for (value, expected) in [(9, .healthy), (10, .warning), (50, .warning), (51, .critical)] as [(Int, HealthLevel)] {
            #expect(level { $0.discrepancies = value } == expected)
        }
        for (value, expected) in [(4, .healthy), (5, .warning), (20, .warning), (21, .critical)] as [(Int, HealthLevel)] {
            #expect(level { $0.errorsThisHour = value } == expected)
        }
        for (value, expected) in [(60_000, .healthy), (60_001, .warning), (300_000, .warning), (300_001, .critical)] as [(Int64, HealthLevel)] {
            #expect(level { $0.ageMilliseconds = value } == expected)
        }
    }

    @Test func `An exchange that is down opens the breaker, and the next run does not call it`() throws {
        let server = try BinanceServer { _ in .respond(500) }
        defer { server.server.close() }
        let shop = try Shop(.disk, at: "binance")
        for _ in 0 ..< 30 { try shop.order(owner: nil) }
        let settings = """
            {"database": "\(shop.test.database)", "mode": "live", "exchange": "binance", "url": "\(server.server.url)",
             "api_key": "\(BinanceServer.apiKey)", "api_secret": "\(BinanceServer.apiSecret)",
             "calls": {"in_flight": 1, "retry": {"initial": "1ms", "max": "1ms"}}}
            """
        let first = TestRun(settings: settings)
        #expect(first.run(ReconcilerEntry.self) == .failed)
        #expect(first.log.contains { $0.text == "binance: breaker opened, 5 failures within 60s, the last: failed" })
        let asked = server.server.requests.count
        #expect(asked == 5 * 4 + 1)

        let second = TestRun(settings: settings)
        second.state = first.stateAlways
        #expect(second.run(ReconcilerEntry.self) == .failed)
        #expect(second.text.hasPrefix("binance: not called, its breaker is open (5 failures within 60s, the last: failed). Checked 0 orders"))
        #expect(server.server.requests.count == asked)
        #expect(second.samples.contains { $0.name == "reconciler_health_rule" && $0.labels == ["rule": "breaker"] && $0.value == 2 })
        for text in (first.log + second.log).map(\.text) + [first.text, second.text] {
            #expect(!text.contains(BinanceServer.apiKey) && !text.contains(BinanceServer.apiSecret))
        }
    }
}
