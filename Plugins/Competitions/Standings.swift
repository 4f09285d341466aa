import ExchangeKit

/// What an entrant traded with, and what is left of it at the end.
struct Performance: Hashable, Sendable {
    /// Above zero.
    var start: Amount
    /// At the end, as it stands in the account.
    var equity: Amount
    /// Paid into the account less paid out of it meanwhile: that is no return.
    var transferred: Amount

    var gain: Amount { get throws(AmountError) { try equity - transferred - start } }

    /// Return in percent, six decimals: for people. Ranks compare exactly.
    var returnPercent: Amount {
        get throws(AmountError) { try gain.times(.hundred, over: start, .halfEven).rounded(to: 6, .halfEven) }
    }
}

/// Who is where. Equal returns share a place and the places behind them stay empty: 1, 2, 2, 4
/// (standard competition ranking).
struct Standings: Hashable, Sendable {
    struct Row: Hashable, Sendable {
        var account: String
        /// From 1.
        var place: Int
    }
    /// The best first; of equal ones in the order they were given.
    let rows: [Row]

    /// Returns are compared as the fractions they are, gain ÷ start, without rounding.
    init(_ entrants: [(account: String, performance: Performance)]) throws(AmountError) {
        var entries: [(account: String, start: Amount, gain: Amount)] = []
        for (account, performance) in entrants {
            entries.append((account, performance.start, try performance.gain))
        }
        // a ÷ b > c ÷ d as a × d > c × b: starts are above zero.
        let sorted = entries.enumerated().sorted { a, b in
            if Amount.product(b.element.gain, a.element.start, isLessThan: a.element.gain, b.element.start) { return true }
            if Amount.product(a.element.gain, b.element.start, isLessThan: b.element.gain, a.element.start) { return false }
            return a.offset < b.offset
        }.map(\.element)
        var rows: [Row] = []
        for (index, entry) in sorted.enumerated() {
            let above = sorted[max(0, index - 1)]
            let isTied = index > 0 && !Amount.product(entry.gain, above.start, isLessThan: above.gain, entry.start)
            rows.append(Row(account: entry.account, place: isTied ? rows[index - 1].place : index + 1))
        }
        self.rows = rows
    }

    /// Two or more share the first place.
    var isTiedAtTheTop: Bool { rows.count > 1 && rows[1].place == 1 }
}

/// How a pot is shared out.
struct PrizePlan: Hashable, Sendable {
    /// Percent of the pot after the platform's fee, by place from the first; at most 100 in all.
    var shares: [Amount]
    /// Percent of the pot.
    var platformFee: Amount
    /// Prizes are multiples of it; zero: of 10⁻¹⁸.
    var step: Amount

    /// One winner takes what the platform leaves.
    static func winnerTakesAll(platformFee: Amount, step: Amount) -> PrizePlan {
        PrizePlan(shares: [.hundred], platformFee: platformFee, step: step)
    }

    /// What cannot be: a sentence; nil: all is well.
    var fault: String? {
        if let bad = shares.first(where: \.isNegative) { return "prizes: \(bad) is below 0" }
        guard let sum = try? shares.reduce(Amount.zero, { try $0 + $1 }), sum <= .hundred else {
            return "prizes: the places get more than 100 percent"
        }
        if platformFee.isNegative || platformFee > .hundred { return "platform_fee: \(platformFee) is no percentage" }
        if step.isNegative { return "prize_step: \(step) is below 0" }
        return nil
    }

    /// The prize of each row of the standings, rounded down; what rounding, the fee and places
    /// without an entrant leave is the platform's. Those who share a place split the sum of
    /// the places they take up. Prizes and rest add up to the pot exactly.
    func share(_ pot: Amount, among standings: Standings) throws(AmountError) -> (prizes: [Amount], rest: Amount) {
        let fee = try pot.times(platformFee, over: .hundred, .down).roundedToMultiple(of: step, .down)
        let shared = try pot - fee
        var prizes: [Amount] = []
        var rest = pot
        var index = 0
        while index < standings.rows.count {
            let tied = standings.rows[index...].prefix { $0.place == standings.rows[index].place }.count
            var sum = Amount.zero
            for percent in shares.dropFirst(index).prefix(tied) {
                sum = try sum + shared.times(percent, over: .hundred, .down).roundedToMultiple(of: step, .down)
            }
            guard let count = Int32(exactly: tied) else { throw .outOfRange }
            let each = try sum.over(Amount(count), .down).roundedToMultiple(of: step, .down)
            for _ in 0 ..< tied {
                prizes.append(each)
                rest = try rest - each
            }
            index += tied
        }
        return (prizes, rest)
    }
}
