import Arena
import ExchangeTestKit
import JobKit
import Testing

@testable import Reconciler

@Suite struct SimulationTests {
    @Test func `In a simulated market the exchange disagrees now and then, and is reconciled`() throws {
        let test = try TestExchange(.disk)
        var updated = 0
        var checked = 0
        var state: StateValue?
        for tick in 1 ... 12 {
            let market = TestRun(settings: #"{"database": "\#(test.database)", "seed": 7, "trades_per_minute": 1}"#)
            market.idempotencyKey = "tick:\(tick)"
            #expect(market.run(TickEntry.self) == .succeeded, "\(market.text)")
            let run = TestRun(settings: #"{"database": "\#(test.database)", "mode": "live", "sync_after": "0s"}"#)
            run.state = state
            let code = run.run(ReconcilerEntry.self)
            #expect(code == .succeeded || code == .nothingToDo, "\(run.text)")
            state = run.stateAlways
            updated += Int(run.items)
            checked += Int(run.samples.first { $0.name == "reconciler_total_reconciled" }?.value ?? 0)
        }
        // It agrees more often than not.
        #expect(updated > 3)
        #expect(checked > 2 * updated)
        #expect(try test.number(
            """
            SELECT count(*) FROM exchange_orders o JOIN paper_orders p ON p.client_id = o.client_id
            WHERE o.status <> p.status OR o.executed <> p.executed
            """) == 0)
        #expect(try test.differences().isEmpty)
    }
}
