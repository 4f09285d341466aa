import ExchangeKit
import JobKit
import OutsideKit
import SQL

/// One cycle: choose orders, ask for all of them, then apply the answers one by one, each in a
/// transaction of its own. The database is not touched while the exchange is asked.
struct ReconcilerRun {
    private let exchange: Exchange
    private let adapter: any ExchangeAdapter
    private let settings: ReconcilerEntry.Settings
    /// Milliseconds since 1970 UTC.
    private let now: Int64
    private(set) var report = ReconcilerReport()

    init(_ exchange: Exchange, _ adapter: any ExchangeAdapter, _ settings: ReconcilerEntry.Settings, now: Int64) {
        self.exchange = exchange
        self.adapter = adapter
        self.settings = settings
        self.now = now
    }

    private var isLive: Bool { settings.mode == .live }

    /// - Throws: `CancellationNotice` once what has been answered is applied.
    mutating func run(isCancelled: () -> Bool) throws {
        let orders = try choose()
        report.selected = orders.count
        if orders.isEmpty { return }
        report.updatesThisHour = try exchange.count("reconciliations_since", inHourBefore: now)
        let answers = try adapter.ask(orders, exchange)
        var unchanged: [PlacedOrder] = []
        for (order, answer) in zip(orders, answers) where report.halt == nil {
            switch answer {
            case .success(let answer): try take(answer, order, &unchanged)
            case .failure(let error): try fail(order, error)
            }
        }
        try markSynced(unchanged)
        if isCancelled() { throw CancellationNotice() }
    }

    // MARK: Which orders

    private mutating func choose() throws -> [PlacedOrder] {
        var orders: [PlacedOrder] = []
        let values: [String: SQLValue] = [
            "exchange": .text(settings.exchange.rawValue), "synced_before": .int(now - settings.syncAfter.milliseconds),
            "now": .int(now), "limit": .int(settings.batch),
        ]
        var unreadable: [(id: String, reason: String)] = []
        try exchange.forEach("due_orders", values) { row in
            do {
                orders.append(try PlacedOrder(row))
            } catch {
                unreadable.append((try row.text(0), "\(error)"))
            }
        }
        for (id, reason) in unreadable {
            report.fail(order: id, reason)
            try postpone(id, failures: 1, notFound: 0, reason)
        }
        return orders
    }

    // MARK: What the exchange says

    private mutating func take(_ answer: ExchangeAnswer, _ order: PlacedOrder, _ unchanged: inout [PlacedOrder]) throws {
        let verdict: Verdict
        do {
            verdict = try Verdict(order, answer)
        } catch {
            return try trouble(order, "\(error)")
        }
        report.reconciled += 1
        switch verdict {
        case .same:
            unchanged.append(order)
            report.debug("order \(order.id): as we have it")
        case .stale(let why):
            report.warn("order \(order.id): \(why); left as it is")
            try postpone(order.id, failures: order.failures + 1, notFound: 0, why)
        case .impossible(let why):
            report.discrepancies += 1
            try trouble(order, "\(why): nothing is written, look at it", .critical)
        case .change(let change):
            report.discrepancies += 1
            try apply(change, order)
        }
    }

    private mutating func apply(_ change: Verdict.Change, _ order: PlacedOrder) throws {
        guard isWithinCaps(change, order) else { return }
        let before = report
        do {
            if isLive {
                guard try exchange.write({ try write(change, order) }) else {
                    report.left += 1
                    return report.debug("order \(order.id) was changed by the application, left alone")
                }
            }
        } catch let error where error.concernsTheRun {
            throw error
        } catch {
            report = before
            return try trouble(order, "\(error)")
        }
        report.updated += 1
        report.updatesThisHour += 1
        if change.status != order.status { report.transitions[.init(from: order.status, to: change.status), default: 0] += 1 }
        report.debug("order \(order.id): \(text(change, order))")
        if let doubt = change.settlement?.doubt { report.fail(order: order.id, doubt, .critical) }
    }

    private func text(_ change: Verdict.Change, _ order: PlacedOrder) -> String {
        "\(order.status.rawValue) \(order.executed) -> \(change.status.rawValue) \(change.executed)"
    }

    /// false, with the halt set: a cap stops the run here.
    private mutating func isWithinCaps(_ change: Verdict.Change, _ order: PlacedOrder) -> Bool {
        if let holding = order.holding, let settlement = change.settlement {
            for (currency, amount) in [(holding.base, settlement.base), (holding.quote, settlement.quote)] {
                if let cap = settings.maxSettlement[currency], amount > cap {
                    report.halt = "order \(order.id) would move \(amount.readable()) \(currency), "
                        + "above max_settlement.\(currency) (\(cap.readable())): stopped there"
                }
            }
        }
        if report.halt == nil, let reason = settings.caps.reached(inRun: report.updated, inHour: report.updatesThisHour) {
            report.halt = reason + ": stopped there"
        }
        return report.halt == nil
    }

    // MARK: Writing

    private func identity(_ order: PlacedOrder) -> [String: SQLValue] {
        [
            "id": .text(order.id), "version": .text(order.version), "old_status": .text(order.status.rawValue),
            "old_executed": .text(order.executedText), "now": .int(now),
        ]
    }

    /// State, money, events, record and activity in the caller's transaction; false: somebody was faster.
    private func write(_ change: Verdict.Change, _ order: PlacedOrder) throws -> Bool {
        let after = change.settlement?.after
        var values = identity(order)
        values["status"] = .text(change.status.rawValue)
        values["executed"] = .amount(change.executed)
        values["average_price"] = .text(change.averagePrice?.description)
        values["settled"] = .text(after?.settled.description)
        values["settled_quote"] = .text(after?.settledQuote.description)
        values["locked"] = .text(after?.locked.description)
        guard try exchange.run("update_order", values) == 1 else { return false }
        if let settlement = change.settlement { try settle(settlement, order) }
        try exchange.run("forget_failure", ["id": .text(order.id)])
        try exchange.run("put_reconciliation", ["id": .text(order.id), "change": .text(text(change, order)), "now": .int(now)])
        let facts = facts(change, order)
        try exchange.emit(
            "OrderReconciled", key: "order-reconciled:\(order.id):\(change.status.rawValue):\(change.executed)", facts, at: now)
        try exchange.note(
            actor: "reconciler", action: "reconciliation.update", subject: "exchange-order:\(order.id)", facts, at: now)
        return true
    }

    private func facts(_ change: Verdict.Change, _ order: PlacedOrder) -> JSONObject {
        JSONObject([
            ("order_id", .string(order.id)), ("exchange", .string(settings.exchange.rawValue)), ("symbol", .string(order.symbol)),
            ("old_status", .string(order.status.rawValue)), ("status", .string(change.status.rawValue)),
            ("old_executed", .string(order.executed.description)), ("executed", .string(change.executed.description)),
            ("average_price", change.averagePrice.map { .string($0.description) } ?? .null),
        ])
    }

    /// The exchange is a counterparty like any other: what it has taken and given goes through a
    /// wallet of its own.
    private func settle(_ settlement: Settlement, _ order: PlacedOrder) throws {
        guard let holding = order.holding, !settlement.isNothing else { return }
        let ledger = Ledger(exchange)
        let (paid, got) = holding.isBuy ? (holding.quote, holding.base) : (holding.base, holding.quote)
        let from = try ledger.wallet(owner: holding.owner, currency: paid)
        if !settlement.base.isZero || !settlement.quote.isZero {
            let to = try ledger.wallet(owner: holding.owner, currency: got)
            let theirs = "exchange:" + settings.exchange.rawValue
            let theirPaid = try ledger.wallet(owner: theirs, currency: paid, mayBeNegative: true)
            let theirGot = try ledger.wallet(owner: theirs, currency: got, mayBeNegative: true)
            let taken = try settlement.spent + settlement.beyond
            let received = holding.isBuy ? settlement.base : settlement.quote
            var legs: [Ledger.Leg] = [.init(theirPaid, .available, taken), .init(theirGot, .available, try -received)]
            if !settlement.spent.isZero { legs.append(.init(from, .locked, try -settlement.spent)) }
            // The exchange has it already: what it took beyond the lock is owed.
            if !settlement.beyond.isZero { legs.append(.init(from, .available, try -settlement.beyond, isOwed: true)) }
            legs.append(.init(to, .available, received))
            try post(ledger, "exchange-order:\(order.id):fill:\(settlement.after.settled)", "fill", legs)
        }
        if !settlement.released.isZero {
            try post(ledger, "exchange-order:\(order.id):unlock", "order", [
                .init(from, .locked, try -settlement.released), .init(from, .available, settlement.released),
            ])
            try exchange.emit(
                "BalanceUnlocked", key: "balance-unlocked:exchange-order:\(order.id)",
                JSONObject([
                    ("owner", .string(holding.owner)), ("currency", .string(paid)),
                    ("amount", .string(settlement.released.description)), ("order_id", .string(order.id)),
                ]), at: now)
        }
    }

    private func post(_ ledger: Ledger, _ cause: String, _ kind: String, _ legs: [Ledger.Leg]) throws {
        guard try ledger.post(cause: cause, kind: kind, legs, at: now) else {
            throw JobFailure.permanent("money has moved for '\(cause)' before, which the order does not know of")
        }
    }

    /// In one transaction: nothing happens but that the orders were looked at.
    private mutating func markSynced(_ orders: [PlacedOrder]) throws {
        guard isLive, !orders.isEmpty else { return }
        let left = try exchange.write {
            try orders.reduce(0) { left, order in
                if order.failures > 0 { try exchange.run("forget_failure", ["id": .text(order.id)]) }
                return left + (try exchange.run("mark_synced", identity(order)) == 1 ? 0 : 1)
            }
        }
        report.left += left
    }

    // MARK: No answer

    private mutating func fail(_ order: PlacedOrder, _ error: any Error) throws {
        switch error {
        case is CancellationNotice:
            report.postponed += 1
        case OrderProblem.noSuchOrder:
            report.reconciled += 1
            let times = order.notFound + 1
            let text = "the exchange does not know it (\(times) \(times == 1 ? "time" : "times"))"
            report.fail(order: order.id, text, times >= Int64(settings.alertAfter) ? .critical : .warning)
            try postpone(order.id, failures: order.failures + 1, notFound: times, text)
        case let problem as OrderProblem:
            report.reconciled += 1
            try trouble(order, "\(problem): nothing is written, look at it", .critical)
        case let error as CallError:
            try fail(order, error)
        default:
            throw error
        }
    }

    private mutating func fail(_ order: PlacedOrder, _ error: CallError) throws {
        switch error.kind {
        case .breakerOpen, .noTime, .throttled:
            // Not the order's fault: it stays where it is in the queue.
            if report.outage == nil {
                report.outage = error.text
                report.warn(error.text)
            }
            report.postponed += 1
        case .denied:
            if report.refusal == nil {
                let text = "the exchange refuses us, look at key, secret, permissions and address: \(error.text)"
                report.fail(text, .critical)
                report.refusal = text
            }
            report.postponed += 1
        case .unavailable:
            report.outage = report.outage ?? error.text
            try trouble(order, error.text)
        case .business:
            report.reconciled += 1
            try trouble(order, error.text)
        }
    }

    private mutating func trouble(_ order: PlacedOrder, _ text: String, _ level: RunNotes.Level = .error) throws {
        report.fail(order: order.id, text, level)
        try postpone(order.id, failures: order.failures + 1, notFound: 0, text)
    }

    /// Failing orders do not starve the rest.
    private func postpone(_ id: String, failures: Int64, notFound: Int64, _ reason: String) throws {
        guard isLive else { return }
        let first = max(1, settings.failureDelay.milliseconds)
        let doubled = failures > 30 ? Int64.max : first.multipliedReportingOverflow(by: 1 << max(0, failures - 1)).partialValue
        let delay = doubled < first ? settings.maxFailureDelay.milliseconds : min(doubled, settings.maxFailureDelay.milliseconds)
        try exchange.write {
            _ = try exchange.run("put_failure", [
                "id": .text(id), "failures": .int(failures), "not_found": .int(notFound), "next_sync_ms": .int(now + delay),
                "reason": .text(String(reason.prefix(500))),
            ])
        }
    }
}
