import ExchangeKit
import JobKit
import OutsideKit
import SQL

/// What one looks at by hand when orders at another exchange are not what we think.
struct ReconcilerDoctor {
    let exchange: Exchange
    let settings: ReconcilerEntry.Settings
    let check: DoctorContext

    func look(_ adapter: any ExchangeAdapter, _ outside: Outside) throws {
        check.mode(settings.mode)
        let name = settings.exchange.rawValue
        if settings.exchange == .paper, try exchange.purpose() != .simulation {
            check.error("exchange", "paper, and this is a live exchange: nothing is done; set exchange = \"binance\"")
        } else {
            var memory = OutsideState()
            try outside.run(check.context, &memory) {
                try check.look(at: "exchange") { check.ok("exchange", "\(name) \(try adapter.greeting())") }
            }
        }
        try orders(name)
        try failures()
    }

    private func orders(_ name: String) throws {
        // Twice: an order may have become due just after the last run.
        let limit = 2 * settings.syncAfter.milliseconds
        let values: [String: SQLValue] = ["exchange": .text(name), "synced_before": .int(check.now - limit)]
        let found = try exchange.first("open_orders", values) { row in
            (count: try row.int64(0), overdue: try row.int64(1), oldest: try row.int64OrNil(2))
        }
        guard let found, let oldest = found.oldest else {
            return check.ok("orders", "\(counted(found?.count ?? 0, "open order")), each asked for in time")
        }
        check.warning(
            "orders", "\(found.overdue) of \(counted(found.count, "open order")) not asked for in time, the oldest for "
                + "\(check.age(of: oldest)) (sync_after is \(settings.syncAfter)); does the job run? jobhost show \(check.job)")
    }

    private func failures() throws {
        let failing = try exchange.rows("failing_orders", ["failures": .int(settings.alertAfter)]) { row in
            (id: try row.text(0), count: try row.int64(1), reason: try row.text(2))
        }
        guard let worst = failing.first else { return check.ok("failures", "none of \(settings.alertAfter) in a row") }
        check.error(
            "failures", "\(counted(failing.count, "order")) could not be asked for \(settings.alertAfter) "
                + "times in a row or more; "
                + "order \(worst.id) \(worst.count) times: \(worst.reason)")
    }
}
