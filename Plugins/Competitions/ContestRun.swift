import ExchangeKit
import JobKit

/// One run: takes every contest that is over as far as it goes. Each step is one transaction
/// that leaves the contest where the next run, whoever makes it, goes on.
struct ContestRun {
    let exchange: Exchange
    let tables: ContestTables
    let kind: ContestKind
    let settings: ContestSettings
    /// Who does it, for the activity log.
    let actor: String
    let now: Int64
    var report = ContestReport()
    private var payoutsThisHour: Int64 = 0

    init(_ exchange: Exchange, _ kind: ContestKind, _ settings: ContestSettings, actor: String, now: Int64) {
        self.exchange = exchange
        self.kind = kind
        self.settings = settings
        self.actor = actor
        self.now = now
        tables = ContestTables(exchange: exchange)
    }

    private var dueUntil: Int64 { now - min(settings.settleAfter.milliseconds, now) }

    /// - Throws: `CancellationNotice` between two steps; what is done stays done.
    mutating func run(isCancelled: () -> Bool) throws {
        let due = try tables.due(kind, until: dueUntil)
        report.due = due.count
        report.nextEnd = try tables.nextEnd(kind)
        payoutsThisHour = try exchange.count("settled_since", inHourBefore: now)
        for id in due where report.halt == nil {
            do {
                if settings.mode == .live {
                    try advance(id, isCancelled)
                } else {
                    try pretend(id)
                }
            } catch let error where error.concernsTheRun {
                throw error
            } catch {
                report.fail("\(kind.rawValue) \(id): \(error)")
            }
        }
    }

    /// Steps on until the contest is settled, or a cap or a fault stops it.
    private mutating func advance(_ id: String, _ isCancelled: () -> Bool) throws {
        // Each turn moves the contest on, or finds that somebody else did.
        for _ in 0 ..< 20 {
            if isCancelled() { throw CancellationNotice() }
            guard let contest = try tables.contest(id) else { return }
            switch contest.nextStep(try tables.counts(id), dueUntil: dueUntil) {
            case .wait, .done: return
            case .giveUp(let reason): throw JobFailure.permanent(reason)
            case .begin: try exchange.write { _ = try move(contest, to: .ending, pot: nil) }
            case .freeze: try freeze(contest, isCancelled)
            case .decide: try exchange.write { try decide(id) }
            case .giveBack(let reason): try exchange.write { try giveBack(id, reason) }
            case .pay: guard try pay(contest, isCancelled) else { return }
            case .close: try close(id)
            }
        }
    }

    /// false: somebody was faster.
    private func move(_ contest: Contest, to status: ContestStatus, pot: Amount?) throws -> Bool {
        try exchange.run("move_contest", [
            "competition": .text(contest.id), "version": .int(contest.version), "status": .text(status.rawValue),
            "pot": pot.map { .amount($0) } ?? .null,
        ]) == 1
    }

    /// As `nextStep` says, read again with the write lock; nil: somebody was faster.
    private func current(_ id: String, if step: (ContestStep) -> Bool) throws -> Contest? {
        guard let contest = try tables.contest(id) else { return nil }
        return step(contest.nextStep(try tables.counts(id), dueUntil: dueUntil)) ? contest : nil
    }

    // MARK: Freezing

    private mutating func freeze(_ contest: Contest, _ isCancelled: () -> Bool) throws {
        let values = try exchange.read { try EquityAtEnd(exchange, contest) }.values.sorted { $0.key < $1.key }
        // The past does not change: what was read holds for every batch.
        for start in stride(from: 0, to: values.count, by: settings.batch) {
            if isCancelled() { throw CancellationNotice() }
            try exchange.write {
                for (account, value) in values[start ..< min(start + settings.batch, values.count)] {
                    try exchange.run("freeze_entrant", [
                        "competition": .text(contest.id), "account": .text(account), "equity": .amount(value.equity),
                        "transferred": .amount(value.transferred),
                    ])
                }
            }
        }
        report.debug(
            "\(contest.title): the equity of \(counted(values.count, "entrant")) at \(utcText(contest.endsAt)) is frozen")
    }

    // MARK: Deciding

    private mutating func decide(_ id: String) throws {
        guard let contest = try current(id, if: { $0 == .decide }) else { return }
        let outcome = try ContestOutcome(contest, try tables.entrants(id))
        try check(contest, holds: outcome.pot)
        for row in outcome.rows {
            try exchange.run("decide_entrant", [
                "competition": .text(id), "account": .text(row.entrant.account), "place": .int(Int64(row.place)),
                "return_percent": .amount(row.returnPercent), "payout": row.payout.isZero ? .null : .amount(row.payout),
            ])
        }
        guard try move(contest, to: outcome.isTie ? .refunding : .paying, pot: outcome.pot) else { return }
        tell(contest, outcome)
    }

    private mutating func giveBack(_ id: String, _ reason: RefundReason) throws {
        guard let contest = try current(id, if: { $0 == .giveBack(reason) }) else { return }
        let entrants = try tables.entrants(id)
        let pot = try entrants.reduce(contest.prizePool) { try $0 + $1.paid }
        try check(contest, holds: pot)
        for entrant in entrants {
            try exchange.run("decide_entrant", [
                "competition": .text(id), "account": .text(entrant.account), "place": .null, "return_percent": .null,
                "payout": entrant.paid.isZero ? .null : .amount(entrant.paid),
            ])
        }
        guard try move(contest, to: .refunding, pot: pot) else { return }
        report.info("\(contest.title) is refunded: \(reason)")
    }

    private func check(_ contest: Contest, holds pot: Amount) throws {
        let ledger = Ledger(exchange)
        let wallet = try ledger.wallet(owner: contest.escrow, currency: contest.currency)
        let held = try ledger.wallet(wallet)?.available ?? .zero
        guard held >= pot else {
            throw JobFailure.permanent(
                "its wallet '\(contest.escrow)' holds \(held) \(contest.currency), \(pot) were to be paid in")
        }
    }

    private mutating func tell(_ contest: Contest, _ outcome: ContestOutcome) {
        let best = outcome.rows.prefix(3).map { row in
            let prize = row.payout.isZero ? "" : ", \(row.payout.readable()) \(contest.currency)"
            return "\(row.place). \(row.entrant.name) (\(row.returnPercent.readable()) %\(prize))"
        }
        let more = outcome.rows.count > 3 ? " … of \(counted(outcome.rows.count, "entrant"))" : ""
        let result = outcome.isTie ? " is a tie and refunded" : ", pot \(outcome.pot.readable()) \(contest.currency)"
        report.info("\(contest.title)\(result): \(best.joined(separator: ", "))\(more)")
    }

    // MARK: Paying

    /// false: not everybody could be paid now.
    private mutating func pay(_ contest: Contest, _ isCancelled: () -> Bool) throws -> Bool {
        var isComplete = true
        for payout in try tables.unsettled(contest.id) {
            if isCancelled() { throw CancellationNotice() }
            guard withinCaps(payout, contest) else { return false }
            do {
                let isOurs = try exchange.write { try pay(payout, of: contest) }
                if isOurs { count(payout, contest) }
            } catch let error where error.concernsTheRun {
                throw error
            } catch {
                isComplete = false
                report.fail("\(contest.title): paying \(payout.name): \(error)")
            }
        }
        return isComplete
    }

    /// false: somebody was faster, or the contest is not being paid any more: it was cancelled meanwhile.
    private func pay(_ payout: Payout, of contest: Contest) throws -> Bool {
        guard try tables.contest(contest.id)?.status == contest.status else { return false }
        let settled = try exchange.run("settle_entrant", [
            "competition": .text(contest.id), "account": .text(payout.account), "payout": .text(payout.amountText),
            "now": .int(now),
        ])
        guard settled == 1 else { return false }
        let isPrize = contest.status == .paying
        let key = "\(isPrize ? "prize" : "refund"):\(contest.id):\(payout.account)"
        let ledger = Ledger(exchange)
        let escrow = try ledger.wallet(owner: contest.escrow, currency: contest.currency)
        let legs = [Ledger.Leg(escrow, .available, try -payout.amount), .init(payout.wallet, .available, payout.amount)]
        try ledger.post(cause: key, kind: isPrize ? "prize" : "refund", legs, at: now)
        let detail = JSONObject([
            ("competition_id", .string(contest.id)), ("kind", .string(contest.kind.rawValue)),
            ("account_id", .string(payout.account)), ("wallet_id", .number(String(payout.wallet))),
            ("amount", .string(payout.amount.description)), ("currency", .string(contest.currency)),
        ])
        try exchange.emit(isPrize ? "PrizePaid" : "EntryRefunded", key: key, detail, at: now)
        try exchange.note(
            actor: actor, action: isPrize ? "prize.pay" : "entry.refund", subject: "account:\(payout.account)", detail, at: now)
        return true
    }

    private mutating func count(_ payout: Payout, _ contest: Contest) {
        payoutsThisHour += 1
        if contest.status == .paying { report.prizes += 1 } else { report.refunds += 1 }
        let what = contest.status == .paying ? "prize" : "refund"
        report.debug("\(contest.title): \(what) of \(payout.amount) \(contest.currency) to \(payout.name)")
    }

    /// false, with the halt set: a cap stops the run here.
    private mutating func withinCaps(_ payout: Payout, _ contest: Contest) -> Bool {
        if settings.maxPayout.isPositive, payout.amount > settings.maxPayout {
            report.halt = "\(payout.name) is to get \(payout.amount.readable()) \(contest.currency) of \(contest.title), "
                + "above max_payout (\(settings.maxPayout.readable())): stopped there"
        } else if let reason = settings.caps.reached(inRun: report.payouts, inHour: payoutsThisHour) {
            report.halt = reason + ": stopped there"
        }
        return report.halt == nil
    }

    // MARK: Closing

    private mutating func close(_ id: String) throws {
        let closed = try exchange.write { () -> Contest? in
            guard let contest = try current(id, if: { $0 == .close }), let pot = contest.pot else { return nil }
            let payouts = try exchange.rows("payouts", ["competition": .text(id)]) { try $0.amount(0) }
            let rest = try payouts.reduce(pot) { try $0 - $1 }
            let isEnded = contest.status == .paying
            guard try move(contest, to: isEnded ? .ended : .refunded, pot: pot) else { return nil }
            if !rest.isZero { try payPlatform(rest, contest) }
            let name = contest.kind == .challenge ? "Challenge" : "Competition"
            let detail = JSONObject([
                ("competition_id", .string(id)), ("name", .string(contest.name)), ("pot", .string(pot.description)),
                ("payouts", .number(String(payouts.count))), ("platform", .string(rest.description)),
                ("currency", .string(contest.currency)),
            ])
            let what = isEnded ? "ended" : "refunded"
            try exchange.emit(name + (isEnded ? "Ended" : "Refunded"), key: "\(what):\(id)", detail, at: now)
            try exchange.note(actor: actor, action: "contest.\(what)", subject: "competition:\(id)", detail, at: now)
            return contest
        }
        guard let closed else { return }
        if closed.status == .paying { report.ended += 1 } else { report.refunded += 1 }
    }

    /// Fee, remainder, or the prizes of its own that nobody won.
    private func payPlatform(_ rest: Amount, _ contest: Contest) throws {
        let ledger = Ledger(exchange)
        let escrow = try ledger.wallet(owner: contest.escrow, currency: contest.currency)
        let platform = try ledger.wallet(owner: settings.platformWallet, currency: contest.currency)
        try ledger.post(
            cause: "contest-rest:\(contest.id)", kind: "contest-rest",
            [.init(escrow, .available, try -rest), .init(platform, .available, rest)], at: now)
    }

    // MARK: Shadow

    /// What would be done, without a write.
    private mutating func pretend(_ id: String) throws {
        let (contest, counts) = try exchange.read { (try tables.contest(id), try tables.counts(id)) }
        guard let contest else { return }
        switch contest.nextStep(counts, dueUntil: dueUntil) {
        case .wait, .done: return
        case .giveUp(let reason): throw JobFailure.permanent(reason)
        case .giveBack(let reason):
            report.refunded += 1
            report.refunds += Int(counts.entrants)
            report.info("\(contest.title) is refunded: \(reason)")
        case .begin, .freeze, .decide:
            let outcome = try exchange.read {
                let values = try EquityAtEnd(exchange, contest).values
                return try ContestOutcome(contest, try tables.entrants(id).map { entrant in
                    var entrant = entrant
                    entrant.finalEquity = entrant.finalEquity ?? values[entrant.account]?.equity
                    entrant.transferred = entrant.transferred ?? values[entrant.account]?.transferred
                    return entrant
                })
            }
            if outcome.isTie { report.refunded += 1 } else { report.ended += 1 }
            let payouts = outcome.rows.count { !$0.payout.isZero }
            if outcome.isTie { report.refunds += payouts } else { report.prizes += payouts }
            tell(contest, outcome)
        case .pay, .close:
            report.info("\(contest.title): \(counted(counts.unsettled, "payout")) left to pay")
        }
    }
}
