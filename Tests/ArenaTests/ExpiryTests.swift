import ExchangeKit
import SQL
import Testing

@testable import Arena
@testable import ExchangeKit
@testable import OrderExpiry

@Suite struct ExpiryTests {
    /// Two minutes of the demo: orders expire by themselves, the simulated engine answers within
    /// a tick, and nobody's money is lost.
    @Test func ordersExpireThroughTheSimulatedEngine() throws {
        let stage = try Stage()
        let orders = Exchange(connection: stage.exchange.connection, place: "memory", statements: .orderExpiry)
        var settings = OrderExpiryEntry.Settings()
        (settings.mode, settings.engine) = (.live, .ack)
        var (requested, expired, failures) = (0, 0, 0)
        for index in Int64(0) ..< 40 {
            let now = noon + index * 3_000
            try stage.tick(at: now)
            guard index % 3 == 2 else { continue }
            var run = ExpiryRun(orders, settings, now: now)
            try run.run(isCancelled: { false })
            requested += run.report.requested
            expired += run.report.expired
            failures += run.report.errors + run.report.unanswered
        }
        #expect(requested >= 5)
        #expect(expired >= requested - 3)
        #expect(failures == 0)
        #expect(try Ledger(stage.exchange).differences() == [])
    }
}
