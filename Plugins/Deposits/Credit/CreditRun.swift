import ExchangeKit
import JobKit

/// One run: confirmed deposits into their wallets, each in one transaction, each once.
struct CreditRun {
    private let exchange: Exchange
    private let tables: DepositTables
    private let plans: [ChainPlan]
    private let settings: CreditEntry.Settings
    private let now: Int64
    private let open: (ChainPlan) throws -> any Chain
    private var caps: CreditCaps

    private(set) var report = ChainReport()
    private(set) var found = 0
    private(set) var credited = 0
    private(set) var held = 0
    private(set) var failed = 0
    private(set) var waiting = 0
    /// Chains that deposits to credit are on.
    private(set) var chains = 0

    /// - Parameter open: the adapter of a chain.
    init(
        _ exchange: Exchange, _ plans: [ChainPlan], _ settings: CreditEntry.Settings, now: Int64,
        open: @escaping (ChainPlan) throws -> any Chain
    ) throws {
        self.exchange = exchange
        self.plans = plans
        self.settings = settings
        self.now = now
        self.open = open
        tables = DepositTables(exchange: exchange)
        var hour = CreditCaps.Tally()
        try exchange.forEach("credited_since", ["since": .int(now - 3_600_000)]) { row in
            hour.add(try row.amount(1), try row.text(0))
        }
        caps = CreditCaps(settings, inHour: hour)
    }

    /// - Throws: `CancellationNotice` between two deposits; what is done stays done.
    mutating func run(isCancelled: () -> Bool) throws {
        var problems: [String] = []
        let deposits = try exchange.read { try tables.rows("creditable") { problems.append($0) } }
        for problem in problems { report.fail(problem) }
        found = deposits.count
        let byChain = Dictionary(grouping: deposits, by: \.chain)
        chains = byChain.count
        for (name, deposits) in byChain.sorted(by: { $0.key < $1.key }) where report.halt == nil {
            do {
                guard let plan = plans.first(where: { $0.name == name }) else {
                    let waiting = counted(deposits.count, "deposit")
                    throw JobFailure.permanent("\(waiting) on a chain that chains.\(name) does not describe")
                }
                let chain = try open(plan)
                try chain.verify()
                for start in stride(from: 0, to: deposits.count, by: settings.batch) where report.halt == nil {
                    try credit(Array(deposits[start ..< min(start + settings.batch, deposits.count)]), on: chain, isCancelled)
                }
            } catch {
                try report.leaveOut(chain: name, error)
            }
        }
    }

    private mutating func credit(_ deposits: [Deposit], on chain: any Chain, _ isCancelled: () -> Bool) throws {
        // Asked right before: what was confirmed half a minute ago may be gone.
        let hashes = try chain.blockHashes(Set(deposits.compactMap(\.block)))
        for deposit in deposits where report.halt == nil {
            if isCancelled() { throw CancellationNotice() }
            guard deposit.verified, let block = deposit.block, let hash = deposit.blockHash else {
                waiting += 1
                report.debug("\(deposit.title): was not compared with the chain yet, waits for the next confirmations")
                continue
            }
            guard hashes[block] == hash else {
                waiting += 1
                report.warn(
                    "\(deposit.title): block \(block) is not the one it was confirmed in, waits for the next confirmations")
                continue
            }
            try credit(deposit, chain.canonical(transaction: deposit.transaction))
        }
    }

    private mutating func credit(_ deposit: Deposit, _ transaction: String) throws {
        do {
            let decision = settings.mode == .live
                ? try exchange.write { try decide(deposit, transaction) }
                : try exchange.read { try decide(deposit, transaction) }
            tell(decision, deposit)
        } catch let error where error.concernsTheRun {
            // Nor is it a matter of the chain.
            throw RunTrouble(cause: error)
        } catch let error as CapReached {
            report.halt = "\(deposit.title): \(error.reason)"
        } catch let error as LedgerError {
            switch error {
            case .noWallet: try fail(deposit, error.description)
            // Rolled back; the next run does it.
            case .changedMeanwhile, .insufficient, .unbalanced: report.fail("\(deposit.title): \(error)")
            }
        } catch let error as AmountError {
            try fail(deposit, "the wallet cannot hold that much: \(error)")
        } catch {
            report.fail("\(deposit.title): \(error)")
        }
    }

    private enum Decision {
        case credited
        /// The money had moved before for this transfer.
        case creditedBefore
        case held(String)
        case failed(String)
        /// Another program changed the deposit.
        case overtaken
    }

    /// Everything about one deposit, in one transaction.
    private func decide(_ read: Deposit, _ transaction: String) throws -> Decision {
        guard let deposit = try tables.deposit(read.id), deposit == read else { return .overtaken }
        guard deposit.amount.isPositive else { return try refuse(deposit, .failed, "the amount is \(deposit.amount)") }
        switch try guardDecision(deposit) {
        case .allow: break
        case .hold(let reason): return try refuse(deposit, .held, reason)
        case .reject(let reason): return try refuse(deposit, .failed, "rejected: \(reason)")
        }
        if let cap = caps.refusal(deposit.amount, deposit.currency) { throw CapReached(reason: cap) }
        guard settings.mode == .live else { return .credited }
        return try move(deposit, deposit.identity(transaction))
    }

    private func move(_ deposit: Deposit, _ identity: String) throws -> Decision {
        let ledger = Ledger(exchange)
        let outside = try ledger.wallet(owner: "platform:external", currency: deposit.currency, mayBeNegative: true)
        let isNew = try ledger.post(
            cause: identity, kind: "deposit",
            [.init(deposit.wallet, .available, deposit.amount), .init(outside, .available, try -deposit.amount)], at: now)
        let reason = isNew ? "" : "this transfer had been credited before; no money moved"
        let changed = try exchange.run("credit_deposit", [
            "id": .text(deposit.id), "version": .int(deposit.version), "block_hash": .text(deposit.blockHash),
            "reason": .text(reason), "now": .int(now),
        ])
        // What was read in this transaction cannot have changed, unless a statement of the
        // platform's own sees more than ours.
        guard changed == 1 else { throw LedgerError.changedMeanwhile(wallet: deposit.wallet) }
        guard isNew else { return .creditedBefore }
        try exchange.emit("DepositCredited", key: "\(identity):credited", deposit.event, at: now)
        try exchange.emit("BalanceCredited", key: "\(identity):balance", JSONObject([
            ("wallet_id", .number(String(deposit.wallet))), ("currency", .string(deposit.currency)),
            ("amount", .string(deposit.amount.description)), ("cause", .string(identity)),
        ]), at: now)
        try exchange.note(actor: "deposits", action: "deposit.credit", subject: "deposit:\(deposit.id)", deposit.event, at: now)
        return .credited
    }

    private enum GuardDecision {
        case allow, hold(String), reject(String)
    }

    private func guardDecision(_ deposit: Deposit) throws -> GuardDecision {
        let answer = try exchange.first("credit_guard", ["id": .text(deposit.id)]) { (try $0.text(0), try $0.textOrNil(1) ?? "") }
        guard let (word, reason) = answer else { return .hold("credit_guard has no answer for it") }
        switch word.lowercased() {
        case "allow": return .allow
        case "hold", "held": return .hold(reason)
        case "reject": return .reject(reason)
        default: throw JobFailure.permanent("credit_guard answers '\(word)', which is none of allow, hold, reject")
        }
    }

    /// Out of crediting, with a reason. Only for what trying again would not change.
    private func refuse(_ deposit: Deposit, _ status: DepositStatus, _ reason: String) throws -> Decision {
        if settings.mode == .live {
            let changed = try exchange.run("refuse_deposit", [
                "id": .text(deposit.id), "version": .int(deposit.version), "status": .text(status.rawValue),
                "reason": .text(reason),
            ])
            guard changed == 1 else { return .overtaken }
            var detail = deposit.event
            detail["reason"] = .string(reason)
            let action = status == .held ? "deposit.hold" : "deposit.fail"
            try exchange.note(actor: "deposits", action: action, subject: "deposit:\(deposit.id)", detail, at: now)
        }
        return status == .held ? .held(reason) : .failed(reason)
    }

    private mutating func fail(_ deposit: Deposit, _ reason: String) throws {
        let decision = settings.mode == .live
            ? try exchange.write { try refuse(deposit, .failed, reason) } : .failed(reason)
        tell(decision, deposit)
    }

    private mutating func tell(_ decision: Decision, _ deposit: Deposit) {
        switch decision {
        case .credited:
            credited += 1
            caps.count(deposit.amount, deposit.currency)
            report.debug("\(deposit.title): credited to wallet \(deposit.wallet)")
        case .creditedBefore: report.warn("\(deposit.title): this transfer had been credited before; no money moved")
        case .held(let reason):
            held += 1
            report.warn("\(deposit.title): held\(reason.isEmpty ? "" : ", " + reason)")
        case .failed(let reason):
            failed += 1
            report.warn("\(deposit.title): FAILED, \(reason)")
        case .overtaken: report.debug("\(deposit.title): changed by another program meanwhile, left to the next run")
        }
    }
}

/// A cap stands in the way: the run stops.
private struct CapReached: Error {
    var reason: String
}
