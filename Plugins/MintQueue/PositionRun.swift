import ExchangeKit
import JobKit
import OutsideKit
import SQL

/// One trade's orders: places again what failed, as far as it may.
struct PositionRun: RunReport {
    let exchange: Exchange
    let gateway: any OrderGateway
    let settings: PositionSettings
    let actor: String
    let payload: PositionPayload
    let now: Int64

    var notes = RunNotes()
    private(set) var placed = 0
    private(set) var left = 0
    /// For a human.
    private(set) var problems: [String] = []
    /// To be looked at again: no answer yet, or refused just now.
    private(set) var open: [String] = []

    init(
        _ exchange: Exchange, _ gateway: any OrderGateway, _ settings: PositionSettings, actor: String,
        payload: PositionPayload, now: Int64
    ) {
        self.exchange = exchange
        self.gateway = gateway
        self.settings = settings
        self.actor = actor
        self.payload = payload
        self.now = now
    }

    /// - Throws: `JobFailure.transient` when the gateway gives no answer at all; `CancellationNotice`.
    mutating func run(isCancelled: () -> Bool) throws -> RunOutcome {
        for id in payload.originalOrders where halt == nil {
            if isCancelled() { throw CancellationNotice() }
            do {
                try manage(id.text)
            } catch let error as AmountError {
                giveUp("order \(id.text): \(error)")
            }
        }
        return outcome()
    }

    private func outcome() -> RunOutcome {
        let shadow = settings.mode == .live ? "" : " (shadow, nothing written)"
        let text = "Managed \(counted(payload.originalOrders.count, "order")) of trade \(payload.tradeId.text)\(shadow): "
            + "\(placed) placed again, \(left) left as they are"
        if let halt { return .failed("Halted: \(halt). \(text)", code: 1) }
        if !problems.isEmpty { return .failed("\(problems.joined(separator: "; ")). \(text)", code: 2) }
        if !open.isEmpty { return .retry("\(open.joined(separator: "; ")). \(text)") }
        return placed == 0 ? .nothingToDo("\(text)") : .succeeded(text)
    }

    private mutating func manage(_ original: String) throws {
        var asked = false
        for _ in 0 ..< 4 {
            let chain = try load(original)
            guard let last = chain.last else {
                giveUp("order \(original) is not on record: nothing is known to place")
                return
            }
            let age = now - payload.createdAt.milliseconds
            switch try Replacement.decide(chain, age: age, maxAge: settings.maxAge.milliseconds) {
            case .leave(let reason):
                left += 1
                debug("order \(last.clientID) \(reason)")
                return
            case .giveUp(let reason):
                giveUp("order \(original) \(reason)")
                return
            case .ask:
                guard !asked else {
                    open.append("order \(last.clientID) is not settled")
                    return
                }
                asked = true
                guard settings.mode == .live else {
                    debug("would ask what became of order \(last.clientID)")
                    return
                }
                guard try ask(last) else { return }
            case .place(let clientID, let quantity):
                guard try withinCaps(last, quantity) else { return }
                guard settings.mode == .live else {
                    placed += 1
                    debug("would place \(quantity) of order \(original) again as \(clientID)")
                    return
                }
                guard let order = try take(clientID, of: original, last, quantity) else { continue }
                try place(order)
                return
            case .send:
                guard try withinCaps(last, last.quantity) else { return }
                guard settings.mode == .live else {
                    placed += 1
                    debug("would send order \(last.clientID) of \(last.quantity)")
                    return
                }
                // On record first: whoever comes after a crash asks before sending again.
                guard try mark(last, "pending"), let order = try order(last.clientID) else { continue }
                try place(order)
                return
            }
        }
        open.append("order \(original) is being changed by others")
    }

    private mutating func giveUp(_ problem: String) {
        problems.append(problem)
        fail(problem)
    }

    // MARK: On record

    /// The original and what was placed in its stead.
    private func load(_ original: String) throws -> [PlacedOrder] {
        var chain: [PlacedOrder] = []
        for number in 0 ... Replacement.most {
            let id = number == 0 ? original : "\(original)-\(number)"
            guard let order = try order(id) else { break }
            chain.append(order)
        }
        return chain
    }

    private func order(_ clientID: String) throws -> PlacedOrder? {
        try exchange.first("order", ["exchange": .text(settings.exchange), "client": .text(clientID)]) { row in
            // A statement of one's own from before the owner was read would say of every order that nobody's money is in it.
            guard row.columnNames.count > 10 else {
                throw JobFailure.permanent("the statement 'order' of the settings has no 11th column, the order's owner")
            }
            return PlacedOrder(
                clientID: try row.text(0), pair: try row.int64(1), symbol: try row.text(2), side: try row.text(3),
                price: try row.amount(4), quantity: try row.amount(5), executed: try row.amount(6), status: try row.text(7),
                isPlaced: try row.bool(8), version: try row.int64(9), owner: try row.textOrNil(10))
        }
    }

    /// Takes the client order id, once for ever, before anything leaves; nil: somebody was faster.
    private func take(_ clientID: String, of original: String, _ last: PlacedOrder, _ quantity: Amount) throws -> PlacedOrder? {
        try exchange.write {
            let taken = try exchange.run("put_replacement", [
                "exchange": .text(settings.exchange), "client": .text(clientID), "original": .text(original),
                "trade": .text(payload.tradeId.text), "quantity": .amount(quantity), "now": .int(now),
            ])
            guard taken == 1 else { return nil }
            let added = try exchange.run("put_order", [
                "exchange": .text(settings.exchange), "client": .text(clientID), "pair": .int(last.pair),
                "side": .text(last.side), "price": .amount(last.price), "quantity": .amount(quantity),
            ])
            guard added == 1 else { return nil }
            let detail = JSONObject([
                ("client_id", .string(clientID)), ("original", .string(original)), ("trade_id", .string(payload.tradeId.text)),
                ("symbol", .string(last.symbol)), ("side", .string(last.side)), ("price", .string(last.price.description)),
                ("quantity", .string(quantity.description)),
            ])
            try exchange.emit("OrderReplaced", key: "replacement:\(settings.exchange):\(clientID)", detail, at: now)
            try exchange.note(actor: actor, action: "order.replace", subject: "order:\(clientID)", detail, at: now)
            return try order(clientID)
        }
    }

    /// Ended, and it holds money: to whom that belongs now is not in the gateway's answer.
    private func awaitsSettlement(_ order: PlacedOrder, _ answer: GatewayAnswer) -> Bool {
        order.owner != nil && answer.isFinal
    }

    /// false: somebody was faster. Executed quantity never falls, an end is an end. An order that
    /// awaits its settlement stays open and is due: the reconciler ends it with its money.
    private func record(_ order: PlacedOrder, _ answer: GatewayAnswer) throws -> Bool {
        let awaits = awaitsSettlement(order, answer)
        return try exchange.write {
            try exchange.run("move_order", [
                "exchange": .text(settings.exchange), "client": .text(order.clientID), "version": .int(order.version),
                "status": .text(awaits ? "pending" : answer.status),
                "executed": .amount(awaits ? order.executed : max(order.executed, answer.executed)),
                "reference": answer.reference.isEmpty ? .null : .text(answer.reference),
                "synced": awaits ? .null : .int(now), "now": .int(now),
            ]) == 1
        }
    }

    /// What nobody but us knows of an order. false: somebody was faster.
    private func mark(_ order: PlacedOrder, _ status: String) throws -> Bool {
        try exchange.write {
            try exchange.run("mark_order", [
                "exchange": .text(settings.exchange), "client": .text(order.clientID), "version": .int(order.version),
                "status": .text(status),
            ]) == 1
        }
    }

    // MARK: The gateway

    private mutating func place(_ order: PlacedOrder) throws {
        do {
            guard let answer = try gateway.place(order) else {
                open.append("order \(order.clientID) was sent and nothing heard: it is asked for, not placed again")
                return
            }
            _ = try record(order, answer)
            if answer.status == "rejected" || answer.status == "expired" {
                open.append("order \(order.clientID) was refused")
            } else {
                placed += 1
                debug("order \(order.clientID) of \(order.quantity) \(order.symbol) is \(answer.status)")
            }
        } catch let error as CallError {
            // It has not left: its number is kept for it.
            _ = try mark(order, PlacedOrder.unsent)
            throw error.jobFailure
        }
    }

    /// true: there is an answer, decide anew.
    private mutating func ask(_ order: PlacedOrder) throws -> Bool {
        do {
            guard let answer = try gateway.look(order.clientID) else {
                open.append("the exchange knows nothing of order \(order.clientID): it is not placed again")
                return false
            }
            _ = try record(order, answer)
            debug("order \(order.clientID) is \(answer.status), \(answer.executed) executed")
            guard awaitsSettlement(order, answer) else { return true }
            open.append("order \(order.clientID) is \(answer.status) at the exchange, its money is not settled yet")
            return false
        } catch let error as CallError {
            throw error.jobFailure
        }
    }

    // MARK: Caps

    private mutating func withinCaps(_ order: PlacedOrder, _ quantity: Amount) throws -> Bool {
        let notional = try order.price.times(quantity, .up)
        let hour = try exchange.count("replacements_since", inHourBefore: now)
        if settings.maxNotional.isPositive, notional > settings.maxNotional {
            halt = "placing order \(order.clientID) again is worth \(notional.readable()), "
                + "above max_notional (\(settings.maxNotional.readable()))"
        } else if let reason = settings.caps.reached(inRun: placed, inHour: hour) {
            halt = reason
        }
        return halt == nil
    }
}
