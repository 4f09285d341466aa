import ExchangeKit
import JobKit
import OutsideKit

/// What one looks at by hand when a deposit does not arrive.
struct DepositsDoctor {
    let exchange: Exchange
    let check: DoctorContext

    /// Does each chain answer, and is it the one that was meant? Its head, by name.
    func chains(_ chains: ChainSet) throws -> [String: Int64] {
        var heads: [String: Int64] = [:]
        var memory = OutsideState()
        try chains.outside.run(check.context, &memory) {
            for plan in chains.plans {
                try check.checkCancellation()
                try check.look(at: "chain \(plan.name)") {
                    let chain = try chains.open(plan, exchange, mayRecord: false)
                    try chain.verify()
                    let head = try chain.head().height
                    heads[plan.name] = head
                    check.ok("chain \(plan.name)", "answers; its newest block is \(head)")
                }
            }
        }
        return heads
    }

    /// Do the application's listeners live?
    func listeners(_ plans: [ChainPlan], _ heads: [String: Int64], stale: Span, lag: Int64) throws {
        let monitors = try exchange.rows("monitors") { row in
            (chain: try row.text(0), heartbeat: try row.int64(1), block: try row.int64(2))
        }
        for plan in plans where !monitors.contains(where: { $0.chain == plan.name }) {
            check.warning("listener \(plan.name)", "none has ever been heard of: only the scan finds deposits there")
        }
        for monitor in monitors {
            let subject = "listener \(monitor.chain)"
            let behind = heads[monitor.chain].map { max(0, $0 - monitor.block) } ?? 0
            if check.now - monitor.heartbeat > stale.milliseconds {
                check.error(
                    subject, "last heard of \(check.age(of: monitor.heartbeat)) ago, at block \(monitor.block): restart it; "
                        + "the scan finds what it missed")
            } else if behind > lag {
                check.warning(subject, "\(counted(behind, "block")) behind the chain, at block \(monitor.block)")
            } else {
                check.ok(subject, "heard of \(check.age(of: monitor.heartbeat)) ago, at block \(monitor.block)")
            }
        }
    }

    /// Does the scan keep up?
    func scans(_ plans: [ChainPlan], _ heads: [String: Int64], blocks: Int) throws {
        for plan in plans {
            guard let head = heads[plan.name] else { continue }
            let subject = "scan \(plan.name)"
            guard let position = try exchange.checkpoint("deposits/scan/\(plan.name)")?.position else {
                check.warning(subject, "it has never been scanned; does the job run? jobhost show \(check.job)")
                continue
            }
            let left = max(0, head - position)
            if left > Int64(blocks) {
                check.warning(subject, "\(left) blocks are left, more than one run reads (max_blocks \(blocks))")
            } else {
                check.ok(subject, "up to block \(position), \(left) to go")
            }
        }
    }

    /// What has come to no end.
    func deposits(waitingAfter: Span, stuckAfter: Span) throws {
        let stats = try exchange.read { try DepositStats(exchange, before: check.now - waitingAfter.milliseconds) }
        let stuck = try StuckDeposit.all(exchange, before: check.now - stuckAfter.milliseconds, limit: 1)
        check.ok("deposits", stats.total == 0 ? "there are none" : stats.summary)
        for line in stats.warnings(now: check.now) { check.warning("deposits", line) }
        if let first = stuck.first { check.warning("stuck", "the oldest: " + first.description(now: check.now)) }
    }
}
