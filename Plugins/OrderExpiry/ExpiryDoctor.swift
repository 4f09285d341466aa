import ExchangeKit
import JobKit
import SQL

/// What one looks at by hand when orders outlive their time.
struct ExpiryDoctor {
    /// Past their time for longer than that, somebody should look.
    private static let patience: Int64 = 5 * 60_000
    private static let most = 1_000

    let exchange: Exchange
    let settings: OrderExpiryEntry.Settings
    let check: DoctorContext

    func look() throws {
        check.mode(settings.mode)
        try due()
        if settings.engine == .ack { try waiting() }
    }

    private func due() throws {
        let values: [String: SQLValue] = [
            "now": .int(check.now), "after_ms": .int(Int64.min), "after_id": .text(""), "limit": .int(Self.most + 1),
        ]
        let expiries = try exchange.rows("due_orders", values) { try $0.int64(12) }
        guard let oldest = expiries.first else { return check.ok("orders", "none is past its time") }
        let count = expiries.count > Self.most ? "more than \(Self.most)" : "\(expiries.count)"
        let text = "\(count) past their time and open, the oldest for \(check.age(of: oldest))"
        guard check.now - oldest > Self.patience else { return check.ok("orders", text) }
        let why = settings.mode == .live
            ? "does the job run, and what does its log say? jobhost show \(check.job)" : "mode is \(settings.mode.rawValue)"
        check.warning("orders", "\(text); \(why)")
    }

    private func waiting() throws {
        let values: [String: SQLValue] = ["after_ms": .int(Int64.min), "after_id": .text(""), "limit": .int(Self.most + 1)]
        let asked = try exchange.rows("waiting_orders", values) { (at: try $0.int64(15), answer: try $0.textOrNil(17)) }
        let late = asked.filter { $0.answer == nil && check.now - $0.at > settings.ackTimeout.milliseconds }
        if late.isEmpty {
            check.ok("engine", asked.isEmpty ? "nothing was asked of it" : "\(asked.count) removals asked for, none overdue")
        } else {
            let oldest = late.map(\.at).min() ?? check.now
            check.error(
                "engine", "\(counted(late.count, "removal")) without an answer, "
                    + "the oldest asked for \(check.age(of: oldest)) ago: "
                    + "is the matching engine up, and does it read the outbox?")
        }
    }
}
