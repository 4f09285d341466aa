import ExchangeKit
import JobKit
import SQL

/// One run: what the engine has answered, then what is newly due; in batches, each one
/// transaction in which every order is a savepoint of its own.
struct ExpiryRun {
    private let exchange: Exchange
    private let settings: OrderExpiryEntry.Settings
    /// Milliseconds since 1970 UTC.
    private let now: Int64
    private(set) var report = ExpiryReport()

    init(_ exchange: Exchange, _ settings: OrderExpiryEntry.Settings, now: Int64) {
        self.exchange = exchange
        self.settings = settings
        self.now = now
    }

    /// - Throws: `CancellationNotice` between two batches; what is done stays done.
    mutating func run(isCancelled: () -> Bool, progress: (ExpiryReport) -> Void = { _ in }) throws {
        report.ordersThisHour = try exchange.count("expiries_since", inHourBefore: now)
        // Also with engine = "database": what was asked for before the setting changed is ended.
        let removals = Queue(statement: "waiting_orders", instant: 15, values: [:], read: Removal.read) { try $0.follow($1) }
        try work(through: removals, isCancelled, progress)
        let due = Queue(statement: "due_orders", instant: 12, values: ["now": .int(now)], read: ExpiringOrder.read) {
            try $0.end($1)
        }
        try work(through: due, isCancelled, progress)
    }

    // MARK: Batches

    private struct Queue<Item> {
        var statement: String
        /// The column by which it is ordered; column 0 is the order's id.
        var instant: Int
        var values: [String: SQLValue]
        var read: (any SQLStatement) throws -> Item
        var act: (inout ExpiryRun, Item) throws -> Void
    }

    /// Reads without a lock, so that a run that finds nothing disturbs nobody, then works on
    /// what it has read: what changed in between loses its compare-and-set and is left alone.
    private mutating func work<Item>(
        through queue: Queue<Item>, _ isCancelled: () -> Bool, _ progress: (ExpiryReport) -> Void
    ) throws {
        var values = queue.values
        values["limit"] = .int(settings.batch)
        (values["after_ms"], values["after_id"]) = (.int(Int64.min), "")
        while report.halt == nil {
            if isCancelled() { throw CancellationNotice() }
            var items: [(id: String, item: Item)] = []
            var count = 0
            try exchange.forEach(queue.statement, values) { row in
                let id = try row.text(0)
                count += 1
                (values["after_ms"], values["after_id"]) = (.int(try row.int64(queue.instant)), .text(id))
                do {
                    items.append((id, try queue.read(row)))
                } catch {
                    report.fail(id, error)
                }
            }
            if settings.mode == .live {
                try write(items, queue.act)
            } else {
                for (id, item) in items where report.halt == nil { try one(id, item, queue.act) }
            }
            progress(report)
            if count < settings.batch { return }
        }
    }

    private mutating func write<Item>(
        _ items: [(id: String, item: Item)], _ act: (inout ExpiryRun, Item) throws -> Void
    ) throws {
        if items.isEmpty { return }
        let before = report
        do {
            try exchange.write {
                for (id, item) in items where report.halt == nil {
                    try one(id, item) { run, item in try run.exchange.write { try act(&run, item) } }
                }
            }
        } catch {
            // Rolled back: nothing of it has happened.
            report = before
            throw error
        }
    }

    private mutating func one<Item>(_ id: String, _ item: Item, _ act: (inout ExpiryRun, Item) throws -> Void) throws {
        let before = report
        do {
            try act(&self, item)
        } catch let error where error.concernsTheRun {
            throw error
        } catch {
            report = before
            report.fail(id, error)
            if error is JobFailure { report.refused += 1 }
        }
    }

    /// false, with the halt set: a cap stops the run here.
    /// - Parameter isNew: not one whose removal was asked for, which has been counted then.
    private mutating func isWithinCaps(_ order: ExpiringOrder, isNew: Bool) -> Bool {
        if let cap = settings.maxRelease[order.currency], order.locked > cap {
            report.halt = "order \(order.id) holds \(order.locked.readable()) \(order.currency), "
                + "above max_release.\(order.currency) (\(cap.readable())): stopped there"
        } else if let reason = settings.caps.reached(
            inRun: report.expired + report.requested, inHour: isNew ? report.ordersThisHour : 0) {
            report.halt = reason + ": stopped there"
        }
        return report.halt == nil
    }

    // MARK: Newly due

    private mutating func end(_ order: ExpiringOrder) throws {
        guard isWithinCaps(order, isNew: true) else { return }
        switch settings.engine {
        case .database: try expire(order, wasAsked: false)
        case .ack: try ask(order)
        }
    }

    /// Marks the order and asks the engine to take it out of its book; nothing is released.
    private mutating func ask(_ order: ExpiringOrder) throws {
        if settings.mode == .live {
            guard try set("begin_expiry", order) else { return leave(order) }
            try exchange.run("put_expiry", [
                "id": .text(order.id), "state": "requested", "asked_ms": .int(now), "asks": 1, "released": nil,
                "ended_ms": nil, "now": .int(now),
            ])
            try request(order, number: 1)
        }
        report.requested += 1
        report.ordersThisHour += 1
        report.debug("order \(order.id) of \(order.owner): removal requested")
    }

    private func request(_ order: ExpiringOrder, number: Int64) throws {
        let facts = JSONObject(order.facts + [("request", .number(String(number)))])
        try exchange.emit("OrderRemovalRequested", key: "order-removal:\(order.id):\(order.version):\(number)", facts, at: now)
        try exchange.note(
            actor: "order-expiry", action: "order.request_removal", subject: "order:\(order.id)", facts, at: now)
    }

    // MARK: The engine's answers

    private mutating func follow(_ removal: Removal) throws {
        let order = removal.order
        switch try removal.step(now: now, timeout: settings.ackTimeout.milliseconds) {
        case .wait(let alert):
            report.waiting += 1
            if let alert { try self.alert(removal, alert) }
        case .leave:
            if settings.mode == .live { try close(order, "left", released: .zero) }
            leave(order)
        case .askAgain(let reason):
            report.waiting += 1
            report.fail(order.id, ExpiryProblem.removal("the engine has refused to remove it: \(reason); asked again"))
            guard settings.mode == .live else { return }
            let changed = try exchange.run(
                "ask_again", ["id": .text(order.id), "asks": .int(removal.asks), "now": .int(now)])
            if changed == 1 { try request(order, number: removal.asks + 1) }
        case .expire:
            guard isWithinCaps(order, isNew: false) else { return }
            try expire(order, wasAsked: true)
        }
    }

    /// Once for each request; counted as long as it lasts.
    private mutating func alert(_ removal: Removal, _ why: String) throws {
        report.unanswered += 1
        if removal.isAlerted { return }
        let order = removal.order
        if settings.mode == .live {
            let changed = try exchange.run(
                "put_alert", ["id": .text(order.id), "asks": .int(removal.asks), "now": .int(now)])
            guard changed == 1 else { return }
            try exchange.emit(
                "OrderRemovalUnanswered", key: "order-removal-unanswered:\(order.id):\(removal.asks)",
                JSONObject(order.facts + [("reason", .string(why))]), at: now)
        }
        report.removalFailures += 1
        report.alert("order \(order.id) of \(order.owner): \(why); \(order.locked) \(order.currency) stay locked")
    }

    private func close(_ order: ExpiringOrder, _ state: String, released: Amount) throws {
        try exchange.run("end_expiry", [
            "id": .text(order.id), "state": .text(state), "released": .amount(released), "now": .int(now),
        ])
    }

    // MARK: The end of an order

    /// Compare-and-set; false: somebody was faster.
    private func set(_ statement: String, _ order: ExpiringOrder) throws -> Bool {
        try exchange.run(
            statement, ["id": .text(order.id), "version": .text(order.version), "filled": .text(order.filledText)]) == 1
    }

    private mutating func leave(_ order: ExpiringOrder) {
        report.left += 1
        report.debug("order \(order.id) was changed by the application, left alone")
    }

    /// Status, money, events, record and activity: all in the caller's transaction.
    private mutating func expire(_ order: ExpiringOrder, wasAsked: Bool) throws {
        let (amount, warning) = try order.release(tolerance: settings.tolerance, settings.mismatch)
        var released = amount
        if settings.mode == .live {
            guard try set("expire_order", order) else { return leave(order) }
            if !amount.isZero, try !unlock(order, amount) {
                released = .zero
                report.warn("order \(order.id): its money was unlocked before, nothing more is released")
            }
            try record(order, released, wasAsked: wasAsked)
        }
        report.expired += 1
        if !wasAsked { report.ordersThisHour += 1 }
        report.add(released, order.currency)
        if let warning { report.warn("order \(order.id): \(warning); released all the same") }
        report.debug(
            "order \(order.id) of \(order.owner)\(wasAsked ? ", removed by the engine" : ""): expired, \(released) "
                + "\(order.currency) unlocked")
    }

    /// false: this order's money was unlocked before, whoever did it.
    private func unlock(_ order: ExpiringOrder, _ amount: Amount) throws -> Bool {
        let ledger = Ledger(exchange)
        let wallet = try ledger.wallet(owner: order.owner, currency: order.currency)
        // The same cause as of a cancellation: what an order still holds is given back once.
        let done = try ledger.post(
            cause: "order:\(order.id):unlock", kind: "order",
            [.init(wallet, .locked, try -amount), .init(wallet, .available, amount)], at: now)
        if done {
            try exchange.emit(
                "BalanceUnlocked", key: "balance-unlocked:order:\(order.id)",
                JSONObject([
                    ("owner", .string(order.owner)), ("currency", .string(order.currency)),
                    ("amount", .string(amount.description)), ("order_id", .string(order.id)),
                ]), at: now)
        }
        return done
    }

    private func record(_ order: ExpiringOrder, _ released: Amount, wasAsked: Bool) throws {
        if wasAsked {
            try close(order, "expired", released: released)
        } else {
            try exchange.run("put_expiry", [
                "id": .text(order.id), "state": "expired", "asked_ms": nil, "asks": 0,
                "released": .amount(released), "ended_ms": .int(now), "now": .int(now),
            ])
        }
        let facts = JSONObject(order.facts + [
            ("released", .string(released.description)), ("currency", .string(order.currency)),
        ])
        try exchange.emit("OrderExpired", key: "order-expired:\(order.id)", facts, at: now)
        try exchange.note(actor: "order-expiry", action: "order.expire", subject: "order:\(order.id)", facts, at: now)
    }
}
