import ExchangeKit
import JobKit

/// What one looks at by hand when margin calls do not come, or too many.
struct MarginDoctor {
    let exchange: Exchange
    let settings: MarginCheckEntry.Settings
    let check: DoctorContext

    func look() throws {
        check.mode(settings.mode)
        let tables = MarginTables(exchange: exchange)
        var problems: [String] = []
        let (accounts, prices) = try exchange.read {
            (try tables.accounts(&problems), try tables.prices(now: check.now, settings))
        }
        tell(accounts, problems)
        tell(prices, usedBy: accounts)
        let hour = try exchange.count("closings_since", inHourBefore: check.now)
        if hour >= Int64(settings.maxClosingsPerHour) {
            check.error(
                "closings", "\(hour) in the last hour, as many as max_closings_per_hour allows: "
                    + "the job closes nothing more until that has passed")
        } else {
            check.ok("closings", "\(hour) in the last hour; \(settings.maxClosingsPerHour) are allowed")
        }
    }

    private func tell(_ accounts: [MarginAccount], _ problems: [String]) {
        if let first = problems.first {
            let more = problems.count > 1 ? "; and \(problems.count - 1) more" : ""
            check.error("accounts", "\(first)\(more): not valued until that is corrected")
        }
        guard !accounts.isEmpty else { return check.ok("accounts", "none has an open position: there is nothing to watch") }
        let positions = accounts.reduce(0) { $0 + $1.positions.count }
        check.ok("accounts", "\(counted(accounts.count, "account")) with \(counted(positions, "open position"))")
    }

    private func tell(_ prices: PriceBook, usedBy accounts: [MarginAccount]) {
        let positions = accounts.flatMap(\.positions)
        let used = Dictionary(positions.map { ($0.pair, $0.symbol) }) { first, _ in first }
        let missing = used.filter { prices.pairs[$0.key] == nil }.values.sorted()
        if !missing.isEmpty {
            check.error(
                "prices", "none at all for \(missing.joined(separator: ", ")): its accounts cannot be valued; "
                    + "does the feed write quotes?")
        }
        let doubtful = used.keys.sorted().compactMap { prices.pairs[$0] }.compactMap { pair in
            pair.doubt.map { (pair.symbol, $0) }
        }
        if let (symbol, doubt) = doubtful.first {
            check.error(
                "prices", "\(doubtful.count) of \(counted(used.count, "pair")) with open positions may not be closed on: "
                    + "\(symbol), \(doubt); is the price feed up?")
        }
        guard missing.isEmpty, doubtful.isEmpty, !used.isEmpty else { return }
        let oldest = used.keys.compactMap { prices.pairs[$0]?.newest.instant }.min() ?? check.now
        check.ok("prices", "of all \(counted(used.count, "pair")) with open positions, the oldest \(check.age(of: oldest)) old")
    }
}
