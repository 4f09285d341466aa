import ExchangeKit
import JobKit
import OutsideKit

/// What one looks at by hand when a sale is not minted or an order not placed again.
struct MintQueueDoctor {
    let exchange: Exchange
    let check: DoctorContext
    let outside: Outside

    /// Does the minter, or the gateway, answer a question about what it has never heard of?
    /// - Parameter ask: nil: it takes no questions.
    func peer(_ kind: PeerKind, _ subject: String, _ ask: ((_ key: String) throws -> Void)?) throws {
        guard kind == .http else {
            let isSimulation = try exchange.purpose() == .simulation
            return isSimulation
                ? check.ok(subject, "on paper, in the exchange's database")
                : check.error(subject, "on paper, and this is a live exchange: nothing is done; set it to \"http\" with a url")
        }
        guard let ask else { return check.ok(subject, "not asked: lookup is false, and an order would have an effect") }
        var memory = OutsideState()
        try outside.run(check.context, &memory) {
            try check.look(at: subject) {
                try ask("jobhost-doctor")
                check.ok(subject, "answers")
            }
        }
    }

    /// What has come to no end.
    func mints(_ settings: MintSettings) throws {
        var counts: [String: (count: Int64, oldest: Int64)] = [:]
        try exchange.forEach("mint_counts") { counts[try $0.text(0)] = (try $0.int64(1), try $0.int64(2)) }
        let summary = counts.sorted { $0.key < $1.key }.map { "\($0.value.count) \($0.key)" }.joined(separator: ", ")
        check.ok("mints", counts.isEmpty ? "there are none" : summary)
        if let unknown = counts["unknown"] {
            let way = settings.lookup
                ? "the minter is asked with the next attempt: jobhost dead list \(check.job)"
                : "lookup is false, so nobody asks the minter: do, and correct mint_requests"
            check.warning(
                "unknown", "\(counted(unknown.count, "mint")) with an unknown result, "
                    + "the oldest for \(check.age(of: unknown.oldest)); \(way)")
        }
        if let sent = counts["sent"], check.now - sent.oldest > settings.pendingLimit.milliseconds {
            check.warning(
                "pending", "accepted by the minter \(check.age(of: sent.oldest)) ago and not minted; "
                    + "pending_limit is \(settings.pendingLimit)")
        }
        try hour("mints_since", cap: settings.maxMintsPerHour, "max_mints_per_hour")
    }

    func replacements(_ settings: PositionSettings) throws {
        try hour("replacements_since", cap: settings.maxOrdersPerHour, "max_orders_per_hour")
    }

    private func hour(_ statement: String, cap: Int, _ setting: String) throws {
        let count = try exchange.count(statement, inHourBefore: check.now)
        if count >= Int64(cap) {
            check.error("rate", "\(count) in the last hour, as many as \(setting) allows: the others wait")
        } else {
            check.ok("rate", "\(count) in the last hour; \(cap) are allowed")
        }
    }
}
