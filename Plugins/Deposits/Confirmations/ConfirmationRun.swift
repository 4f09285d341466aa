import ExchangeKit
import JobKit

/// One run: ask each chain about the deposits that are under way, and write down what changed.
struct ConfirmationRun {
    private let exchange: Exchange
    private let tables: DepositTables
    private let plans: [ChainPlan]
    private let settings: ConfirmationsEntry.Settings
    private let now: Int64
    private let open: (ChainPlan) throws -> any Chain

    private(set) var report = ChainReport()
    private(set) var checked = 0
    private(set) var updated = 0
    private(set) var confirmed = 0
    private(set) var reversals = 0
    /// Chains that had something to check.
    private(set) var chains = 0
    private(set) var heads: [String: Int64] = [:]

    /// - Parameter open: the adapter of a chain.
    init(
        _ exchange: Exchange, _ plans: [ChainPlan], _ settings: ConfirmationsEntry.Settings, now: Int64,
        open: @escaping (ChainPlan) throws -> any Chain
    ) {
        self.exchange = exchange
        self.plans = plans
        self.settings = settings
        self.now = now
        self.open = open
        tables = DepositTables(exchange: exchange)
    }

    /// - Throws: `CancellationNotice` between two batches; what is done stays done.
    mutating func run(isCancelled: () -> Bool) throws {
        var problems: [String] = []
        let deposits = try exchange.read { try tables.rows("watched") { problems.append($0) } }
        for problem in problems { report.fail(problem) }
        let byChain = Dictionary(grouping: deposits, by: \.chain)
        for (name, deposits) in byChain.sorted(by: { $0.key < $1.key }) {
            chains += 1
            do {
                guard let plan = plans.first(where: { $0.name == name }) else {
                    let waiting = counted(deposits.count, "deposit")
                    throw JobFailure.permanent("\(waiting) on a chain that chains.\(name) does not describe")
                }
                try check(deposits, of: plan, isCancelled)
            } catch {
                try report.leaveOut(chain: name, error)
            }
        }
    }

    private mutating func check(_ deposits: [Deposit], of plan: ChainPlan, _ isCancelled: () -> Bool) throws {
        let chain = try open(plan)
        try chain.verify()
        let head = try chain.seenHead(plan.name)
        let view = ChainView(
            chain: chain, plan: plan, head: head, isBehind: try isBehind(head, plan), required: try required(plan))
        let rules = DepositRules(
            watch: plan.watch ?? view.required * 4, dropAfter: settings.dropAfter.milliseconds)
        heads[plan.name] = head.height
        let isNews = try !view.isBehind && exchange.checkpoint(headName(plan))?.position != head.height
        for start in stride(from: 0, to: deposits.count, by: settings.batch) {
            if isCancelled() { throw CancellationNotice() }
            let end = min(start + settings.batch, deposits.count)
            let batch = Array(deposits[start ..< end])
            // The head is on record when everything was asked about: with the last of it, one wait for the disk less.
            try apply(batch, try view.facts(of: batch), rules, view, head: isNews && end == deposits.count ? head.height : nil)
        }
    }

    private func headName(_ plan: ChainPlan) -> String { "deposits/head/" + plan.name }

    /// A node that lags behind what was seen before cannot say that something is not there.
    private mutating func isBehind(_ head: ChainHead, _ plan: ChainPlan) throws -> Bool {
        guard let known = try exchange.checkpoint(headName(plan))?.position, head.height < known else { return false }
        report.warn(
            "chain \(plan.name): the node's newest block is \(head.height), \(known) was seen before: nothing is taken for gone")
        return true
    }

    private func required(_ plan: ChainPlan) throws -> Int64 {
        if let number = plan.confirmations { return number }
        try exchange.run("put_chain", ["name": .text(plan.name), "confirmations": .int(plan.defaultConfirmations)])
        let stored = try exchange.first("chain", ["name": .text(plan.name)]) { try $0.int64(0) }
        return max(1, stored ?? plan.defaultConfirmations)
    }

    // MARK: Writing

    /// - Parameter head: to be put on record; nil: nothing is.
    private mutating func apply(
        _ batch: [Deposit], _ facts: [DepositFact], _ rules: DepositRules, _ view: ChainView, head: Int64?
    ) throws {
        var changes: [(old: Deposit, new: Deposit, actions: [DepositAction])] = []
        for (old, fact) in zip(batch, facts) {
            let (new, actions) = rules.next(old, fact, head: view.head.height, now: now)
            if new != old { changes.append((old, new, actions)) }
        }
        checked += batch.count
        guard !changes.isEmpty || head != nil else { return }
        // What was written, told only when it is.
        let written = try exchange.writeOfChain {
            if let head { try exchange.putCheckpoint(headName(view.plan), head, at: now) }
            return try changes.filter { change in
                guard try tables.update(change.old, change.new, now: now) else { return false }
                for action in change.actions { try record(action, change.old, change.new, view) }
                return true
            }
        }
        let ids = Set(written.map(\.old.id))
        for change in changes where !ids.contains(change.old.id) {
            report.debug("deposit \(change.old.id): changed by another program meanwhile, left to the next run")
        }
        for change in written { tell(change.old, change.new, change.actions, view) }
    }

    private func record(_ action: DepositAction, _ old: Deposit, _ new: Deposit, _ view: ChainView) throws {
        let identity = new.identity(view.chain.canonical(transaction: new.transaction))
        let subject = "deposit:\(new.id)"
        var detail = new.event
        detail["before"] = .string(old.status.rawValue)
        detail["status"] = .string(new.status.rawValue)
        if !new.reason.isEmpty { detail["reason"] = .string(new.reason) }
        switch action {
        case .confirmed:
            // Again in another block: that is news, too.
            try exchange.emit("DepositConfirmed", key: "\(identity):confirmed:\(new.blockHash ?? "")", new.event, at: now)
        case .reversalRequired:
            try exchange.emit("DepositReversalRequired", key: "\(identity):reversal:\(old.blockHash ?? "")", detail, at: now)
        case .moved, .gone, .dropped, .failed, .returned:
            break
        }
        if case .moved = action { return }
        let name = switch action {
        case .confirmed: "confirm"
        case .gone, .moved: "reorganise"
        case .dropped: "drop"
        case .failed: "fail"
        case .reversalRequired: "require_reversal"
        case .returned: "return"
        }
        try exchange.note(actor: "deposits", action: "deposit.\(name)", subject: subject, detail, at: now)
    }

    private mutating func tell(_ old: Deposit, _ new: Deposit, _ actions: [DepositAction], _ view: ChainView) {
        updated += 1
        let what = new.title
        report.debug("\(what): \(new.status.rawValue), \(counted(new.confirmations, "confirmation")) of \(view.required)")
        for action in actions {
            switch action {
            case .confirmed: confirmed += 1
            case .moved(let from, let to): report.warn("\(what): a reorganisation moved it from block \(from) to \(to)")
            case .gone(let from): report.warn("\(what): a reorganisation took it out of block \(from), it waits again")
            case .dropped: report.warn("\(what): dropped, \(new.reason)")
            case .failed: report.warn("\(what): \(new.status.rawValue), \(new.reason)")
            case .reversalRequired:
                reversals += 1
                report.alert(
                    "\(what): REVERSAL_REQUIRED, \(new.reason). It was credited to wallet \(new.wallet); "
                        + "nothing is debited by itself")
            case .returned: report.warn("\(what): back in block \(new.block ?? 0), nothing has to be reversed")
            }
        }
    }
}

/// A chain at one moment, and what it says of deposits.
struct ChainView {
    var chain: any Chain
    var plan: ChainPlan
    var head: ChainHead
    /// The node lags behind what it said before.
    var isBehind: Bool
    /// Confirmations.
    var required: Int64

    /// One fact for each. Where the contents of the block were compared before, its hash is
    /// enough: thousands of deposits in few blocks cost few questions.
    func facts(of deposits: [Deposit]) throws -> [DepositFact] {
        let known = deposits.compactMap { $0.blockHash == nil ? nil : $0.block }.filter { $0 <= head.height }
        let hashes = known.isEmpty ? [:] : try chain.blockHashes(Set(known))
        func isUnchanged(_ deposit: Deposit) -> Bool {
            guard deposit.verified, let block = deposit.block, let hash = deposit.blockHash else { return false }
            return hashes[block] == hash
        }
        let asked = Set(deposits.filter { !isUnchanged($0) }.map { chain.canonical(transaction: $0.transaction) })
        let sightings = asked.isEmpty ? [:] : try chain.sightings(asked)
        return deposits.map { deposit in
            if isUnchanged(deposit), let block = deposit.block, let hash = deposit.blockHash {
                return included(block, hash, isFinal: false, fault: nil)
            }
            return fact(deposit, sightings[chain.canonical(transaction: deposit.transaction)], hashes)
        }
    }

    private func fact(_ deposit: Deposit, _ sighting: Sighting?, _ hashes: [Int64: String]) -> DepositFact {
        switch sighting {
        case .included(let inclusion):
            let fault = deposit.fault(in: inclusion, asset: plan.asset(deposit.token), canonical: chain.canonical(address:))
            return included(inclusion.block, inclusion.blockHash, isFinal: inclusion.isFinal, fault: fault)
        case nil: return .unknowable
        case .waiting, .unknown:
            if isBehind || !isGone(deposit, hashes) { return .unknowable }
            return sighting == .waiting ? .waiting : .absent
        }
    }

    /// That a transaction is not there says a node, too, that has not got so far: behind one address there may be several.
    /// Gone from its block is what another block stands in the place of.
    private func isGone(_ deposit: Deposit, _ hashes: [Int64: String]) -> Bool {
        guard let block = deposit.block else { return true }
        guard let known = deposit.blockHash else { return block <= head.height }
        guard let hash = hashes[block] else { return false }
        return hash != known || deposit.status != .credited
    }

    private func included(_ block: Int64, _ hash: String, isFinal: Bool, fault: DepositFault?) -> DepositFact {
        let isSettled = plan.confirmOn == .depth ? head.height - block + 1 >= required : head.settled.map { block <= $0 } ?? false
        return .included(block: block, hash: hash, isSettled: isFinal || isSettled, isFinal: isFinal, fault: fault)
    }
}
