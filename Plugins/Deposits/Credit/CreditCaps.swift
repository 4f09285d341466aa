import ExchangeKit

/// How much may be credited: in one deposit, in one run, in one hour. A money job stops at a cap
/// and calls somebody: something is wrong, or the cap is.
struct CreditCaps: Sendable {
    /// By currency; none: no cap.
    var perDeposit: [String: Amount]
    var perRun: [String: Amount]
    var perHour: [String: Amount]
    var counts: CountCaps

    private var inRun = Tally()
    private var inHour = Tally()

    struct Tally: Hashable {
        var count = 0
        var sums: [String: Amount] = [:]

        mutating func add(_ amount: Amount, _ currency: String) {
            count += 1
            sums[currency] = sum(with: amount, currency)
        }

        /// Beyond what an amount can say it stays at that: above every cap.
        func sum(with amount: Amount, _ currency: String) -> Amount {
            (try? (sums[currency] ?? .zero) + amount) ?? Amount(units: .max)
        }
    }

    /// - Parameter inHour: what was credited in the hour before this run.
    init(_ settings: CreditEntry.Settings, inHour: Tally) {
        perDeposit = settings.maxAmount
        perRun = settings.maxPerRun
        perHour = settings.maxPerHour
        counts = CountCaps("credits", perRun: settings.maxCreditsPerRun, perHour: settings.maxCreditsPerHour)
        self.inHour = inHour
    }

    /// Which cap stands against crediting that; nil: none.
    func refusal(_ amount: Amount, _ currency: String) -> String? {
        if let reason = counts.reached(inRun: inRun.count, inHour: Int64(inHour.count)) { return reason }
        if let cap = perDeposit[currency], amount > cap { return "\(amount) \(currency) is above max_amount (\(cap))" }
        for (name, caps, tally) in [("max_per_run", perRun, inRun), ("max_per_hour", perHour, inHour)] {
            guard let cap = caps[currency] else { continue }
            let sum = tally.sum(with: amount, currency)
            if sum > cap { return "\(name) (\(cap) \(currency)) would be passed: \(sum)" }
        }
        return nil
    }

    mutating func count(_ amount: Amount, _ currency: String) {
        inRun.add(amount, currency)
        inHour.add(amount, currency)
    }
}
