import ExchangeKit
import JobKit

/// One run: look into the blocks since the last one for deposits that the listener missed, and
/// whether the listener lives.
struct ScanRun {
    private let exchange: Exchange
    private let plans: [ChainPlan]
    private let settings: ScanEntry.Settings
    private let now: Int64
    private let open: (ChainPlan) throws -> any Chain
    private let restart: (RestartCommand) -> RestartCommand.Outcome

    private(set) var report = ChainReport()
    private(set) var blocks: Int64 = 0
    private(set) var found = 0
    private(set) var known = 0
    /// Listeners that are not active.
    private(set) var stale = 0
    /// Blocks that are left for the next run, by chain.
    private(set) var behind: [String: Int64] = [:]

    /// - Parameters:
    ///   - open: the adapter of a chain.
    ///   - restart: runs the restart command and waits for its end.
    init(
        _ exchange: Exchange, _ plans: [ChainPlan], _ settings: ScanEntry.Settings, now: Int64,
        open: @escaping (ChainPlan) throws -> any Chain,
        restart: @escaping (RestartCommand) -> RestartCommand.Outcome
    ) {
        self.exchange = exchange
        self.plans = plans
        self.settings = settings
        self.now = now
        self.open = open
        self.restart = restart
    }

    /// - Throws: `CancellationNotice` between two ranges; what is done stays done.
    mutating func run(isCancelled: () -> Bool) throws {
        let monitors = try exchange.rows("monitors") {
            Monitor(chain: try $0.text(0), heartbeat: try $0.int64(1), lastBlock: try $0.int64(2))
        }
        for monitor in monitors { try watch(monitor) }
        for plan in plans {
            do {
                try scan(plan, monitors.first { $0.chain == plan.name }, isCancelled)
            } catch {
                try report.leaveOut(chain: plan.name, error)
            }
        }
    }

    private struct Monitor {
        var chain: String
        /// Milliseconds.
        var heartbeat: Int64
        var lastBlock: Int64
    }

    // MARK: The listener

    private mutating func watch(_ monitor: Monitor) throws {
        let age = now - monitor.heartbeat
        guard age > settings.monitorStale.milliseconds else { return }
        stale += 1
        report.alert(
            "Blockchain monitoring is not active! The listener of \(monitor.chain) was last heard of "
                + "\(Span.seconds(age / 1_000)) ago, at block \(monitor.lastBlock)")
        guard !settings.restart.isEmpty else { return }
        let name = "deposits/restart/" + monitor.chain
        if let last = try exchange.checkpoint(name)?.position, now - last < settings.restartEvery.milliseconds { return }
        // Before it is run: a run that dies in it does not try at once again.
        try exchange.write { try exchange.putCheckpoint(name, now, at: now) }
        let argv = settings.restart.map { $0 == "{chain}" ? monitor.chain : $0 }
        let outcome = restart(RestartCommand(argv: argv, timeout: settings.restartTimeout.milliseconds))
        let text = "restart command of \(monitor.chain), \(argv[0]), \(outcome)"
        if outcome == .succeeded { report.info(text) } else { report.fail(text) }
    }

    // MARK: Blocks

    private mutating func scan(_ plan: ChainPlan, _ monitor: Monitor?, _ isCancelled: () -> Bool) throws {
        let chain = try open(plan)
        try chain.verify()
        try exchange.run("put_chain", ["name": .text(plan.name), "confirmations": .int(plan.defaultConfirmations)])
        let head = try chain.head().height
        if let monitor, head - monitor.lastBlock > settings.monitorLag {
            report.warn(
                "the listener of \(plan.name) is at block \(monitor.lastBlock), \(head - monitor.lastBlock) behind the chain")
        }
        guard var next = try start(chain, plan, monitor, head: head) else { return }
        // Asked for by no one: what one run does is bounded.
        let end = min(head, next + Int64(settings.maxBlocks) - 1)
        while next <= end {
            if isCancelled() { throw CancellationNotice() }
            let last = min(next + plan.range - 1, end)
            try scan(next ... last, chain, plan)
            next = last + 1
        }
        behind[plan.name] = head - end
        if head > end { report.info("chain \(plan.name): \(counted(head - end, "block")) are left for the next run") }
    }

    private func checkpointName(_ plan: ChainPlan) -> String { "deposits/scan/" + plan.name }

    /// The first block to look into; nil: the node is not as far as the last run was.
    private mutating func start(_ chain: any Chain, _ plan: ChainPlan, _ monitor: Monitor?, head: Int64) throws -> Int64? {
        guard let (position, hash) = try exchange.checkpoint(checkpointName(plan)) else {
            return min(plan.startBlock ?? monitor?.lastBlock ?? head, head)
        }
        guard head >= position else {
            report.warn(
                "chain \(plan.name): the node's newest block is \(head), block \(position) was scanned before: it lags behind")
            return nil
        }
        // The hash of a block stands for all before it.
        if try chain.blockHashes([position])[position] == hash { return position + 1 }
        let back = max(plan.watch ?? (plan.confirmations ?? plan.defaultConfirmations) * 4, plan.range)
        let first = max(0, position - back)
        report.warn("chain \(plan.name): block \(position) was replaced by a reorganisation, scanning again from block \(first)")
        return first
    }

    private mutating func scan(_ range: ClosedRange<Int64>, _ chain: any Chain, _ plan: ChainPlan) throws {
        // The hash before the contents: if a reorganisation comes between, the next run sees it.
        guard let hash = try chain.blockHashes([range.upperBound])[range.upperBound] else {
            throw JobFailure.transient("chain \(plan.name): the node has no block \(range.upperBound)")
        }
        let transfers = try chain.transfers(in: range) { try owner(of: $0, plan) != nil }
        let new = try exchange.writeOfChain {
            let new = try transfers.filter { try put($0, plan) }
            try exchange.putCheckpoint(checkpointName(plan), range.upperBound, note: hash, at: now)
            return new
        }
        blocks += Int64(range.count)
        found += new.count
        known += transfers.count - new.count
        for transfer in new {
            let place = "transfer \(transfer.ordinal) of \(transfer.transaction) in block \(transfer.block)"
            report.info("found on \(plan.name): \(place)")
        }
    }

    private func owner(of address: String, _ plan: ChainPlan) throws -> String? {
        try exchange.first("address_owner", ["chain": .text(plan.name), "address": .text(address)]) { try $0.text(0) }
    }

    /// false: it is known.
    private func put(_ found: ChainTransfer, _ plan: ChainPlan) throws -> Bool {
        let transfer = found.transfer
        guard let asset = plan.asset(transfer.token), let owner = try owner(of: transfer.address, plan) else { return false }
        let wallet = try Ledger(exchange).wallet(owner: owner, currency: asset.currency)
        var (amount, status, reason) = (Amount.zero, DepositStatus.pending, "")
        do {
            amount = try transfer.units.amount(decimals: asset.decimals)
        } catch {
            status = .amountUnsupported
            reason = "\(transfer.units) units with \(asset.decimals) decimals: \(error)"
        }
        let isNew = try exchange.run("put_deposit", [
            "wallet": .int(wallet), "chain": .text(plan.name), "tx_hash": .text(found.transaction),
            "ordinal": .int(found.ordinal), "address": .text(transfer.address), "token": .text(transfer.token),
            "units": .text(transfer.units.description), "amount": .amount(amount), "status": .text(status.rawValue),
            "reason": .text(reason), "now": .int(now),
        ]) == 1
        guard isNew else { return false }
        try exchange.note(
            actor: "deposits", action: "deposit.find", subject: "transfer:\(plan.name):\(found.transaction):\(found.ordinal)",
            JSONObject([
                ("block", .number(String(found.block))), ("wallet_id", .number(String(wallet))),
                ("currency", .string(asset.currency)), ("units", .string(transfer.units.description)),
            ]), at: now)
        return true
    }
}
