import ExchangeKit
import JobKit

/// One run: value every account, call, and close what has to be closed.
struct MarginRun {
    private let exchange: Exchange
    private let tables: MarginTables
    private let settings: MarginCheckEntry.Settings
    private let now: Int64
    /// Of the run's cause: retries announce nothing twice.
    private let cause: String
    private(set) var report = MarginReport()

    init(_ exchange: Exchange, _ settings: MarginCheckEntry.Settings, now: Int64, cause: String) {
        self.exchange = exchange
        self.settings = settings
        self.now = now
        self.cause = cause
        tables = MarginTables(exchange: exchange)
    }

    /// - Throws: `CancellationNotice` between two accounts; what is done stays done.
    mutating func run(isCancelled: () -> Bool) throws {
        let (accounts, prices, requested) = try exchange.read {
            var problems: [String] = []
            let accounts = try tables.accounts(&problems)
            for problem in problems { report.fail(problem) }
            return (accounts, try tables.prices(now: now, settings), try pending())
        }
        report.accounts = accounts.count
        for (_, pair) in prices.pairs.sorted(by: { $0.key < $1.key }) {
            if let doubt = pair.doubt { report.warn("\(pair.symbol) is not used for closing: \(doubt)") }
        }
        let below = try callAll(accounts, prices, requested, isCancelled)
        try liquidateAll(below, prices, isCancelled)
    }

    private func pending() throws -> [Int64: Amount] {
        guard settings.close == .request else { return [:] }
        return try tables.requested(since: now - settings.requestAgain.milliseconds)
    }

    // MARK: Margin calls

    /// Values all accounts; returns those to liquidate, with what that would take.
    private mutating func callAll(
        _ accounts: [MarginAccount], _ prices: PriceBook, _ requested: [Int64: Amount], _ isCancelled: () -> Bool
    ) throws -> [(state: MarginState, closings: [Closing])] {
        var below: [(state: MarginState, closings: [Closing])] = []
        for account in accounts {
            if isCancelled() { throw CancellationNotice() }
            do {
                let state = try prices.value(account)
                report.observe(state.level)
                if state.isBelow(settings.callLevel) { try call(state) }
                let asked = try Self.afterRequests(state, requested)
                let closings = try asked.closings(
                    settings.order, stopOut: settings.stopOutLevel, partialPoints: settings.partialPoints)
                if !closings.isEmpty {
                    below.append((asked, closings))
                } else if asked.isAtOrBelow(settings.stopOutLevel) {
                    report.warn("\(account.name) is at \(percent(asked.level)) and nothing of it may be closed")
                }
            } catch let problem as ValuationProblem {
                report.fail("account \(account.name): \(problem)")
            } catch let error as AmountError {
                report.fail("account \(account.name): \(error)")
            }
        }
        return below
    }

    /// As if the application had closed what it was asked to.
    private static func afterRequests(_ state: MarginState, _ requested: [Int64: Amount]) throws -> MarginState {
        var state = state
        for valued in state.positions {
            guard let size = requested[valued.position.id] else { continue }
            state = try state.after(Closing(valued: valued, size: size))
        }
        return state
    }

    private mutating func call(_ state: MarginState) throws {
        guard let level = state.level else { return }
        if let last = try tables.lastCall(state.account.id) {
            let (age, overflow) = now.subtractingReportingOverflow(last.instant)
            let isOld = overflow || age >= settings.repeatAfter.milliseconds
            guard try isOld || level <= last.level - settings.repeatWorse else { return }
        }
        if settings.mode == .live {
            let key = "margin-call:\(cause):\(state.account.id)"
            let isNew = try exchange.write {
                let recorded = try exchange.run("put_call", [
                    "account": .int(state.account.id), "cause": .text(key), "level": .amount(level),
                    "equity": .amount(state.equity), "used_margin": .amount(state.usedMargin), "now": .int(now),
                ]) == 1
                if recorded { try exchange.emit("MarginCallIssued", key: key, Self.event(state), at: now) }
                return recorded
            }
            guard isNew else { return }
        }
        report.calls += 1
        let currency = state.account.currency
        report.info(
            "margin call: \(state.account.name) at \(percent(level)), equity \(state.equity.readable()) \(currency) "
                + "on margin \(state.usedMargin.readable()) \(currency)")
    }

    private static func event(_ state: MarginState) -> JSONObject {
        JSONObject([
            ("account_id", .number(String(state.account.id))), ("account", .string(state.account.name)),
            ("level", .string(state.level?.description ?? "")), ("equity", .string(state.equity.description)),
            ("used_margin", .string(state.usedMargin.description)), ("currency", .string(state.account.currency)),
        ])
    }

    // MARK: Liquidations

    private mutating func liquidateAll(
        _ below: [(state: MarginState, closings: [Closing])], _ prices: PriceBook, _ isCancelled: () -> Bool
    ) throws {
        report.toLiquidate = below.count
        // One account alone is no sign of a broken feed, however few there are.
        let share = Amount.product(
            settings.haltPercent, try Amount.of(report.accounts), isLessThan: .hundred, try Amount.of(below.count))
        if below.count > 1, share {
            report.halt = "\(below.count) of \(report.accounts) accounts are at or below stop-out, "
                + "more than \(settings.haltPercent) %: "
                + "nothing was closed. Check the prices; raise halt_percent if they are right"
            return
        }
        report.closingsThisHour = try exchange.count("closings_since", inHourBefore: now)
        for (state, closings) in below where report.halt == nil {
            if isCancelled() { throw CancellationNotice() }
            do {
                switch (settings.mode, settings.close) {
                case (.live, .direct): try closeDirectly(state.account.id, prices)
                case (.live, .request): try request(state, closings)
                default: try pretend(state, closings)
                }
            } catch let error where error.concernsTheRun {
                throw error
            } catch {
                report.fail("account \(state.account.name): \(error)")
            }
        }
    }

    /// false, with the halt set: a cap stops the run here.
    private mutating func withinCaps(_ closing: Closing, _ account: MarginAccount) throws -> Bool {
        let notional = try closing.notional
        if settings.maxNotional.isPositive, notional > settings.maxNotional {
            report.halt = "closing position \(closing.valued.position.id) of \(account.name) is worth \(notional.readable()) "
                + "\(account.currency), above max_notional (\(settings.maxNotional.readable())): stopped there"
        } else if let reason = settings.caps.reached(inRun: report.liquidated, inHour: report.closingsThisHour) {
            report.halt = reason + ": stopped there"
        }
        return report.halt == nil
    }

    /// Reads the account afresh and closes one position at a time until it is above stop-out.
    private mutating func closeDirectly(_ id: Int64, _ prices: PriceBook) throws {
        let before = report
        do {
            try exchange.write {
                // Every turn closes something or finds that the application did.
                for _ in 0 ..< 1_000 {
                    guard try closeNext(of: id, prices) else { break }
                }
            }
        } catch {
            // Rolled back: nothing of it has happened.
            report = before
            throw error
        }
    }

    /// false: there is nothing (more) to close.
    private mutating func closeNext(of id: Int64, _ prices: PriceBook) throws -> Bool {
        guard let account = try tables.account(id) else { return false }
        let state = try prices.value(account)
        let next = try state.nextClosing(
            settings.order, stopOut: settings.stopOutLevel, partialPoints: settings.partialPoints)
        guard let next, try withinCaps(next, account) else { return false }
        guard try close(next, state) else {
            report.info("position \(next.valued.position.id) of \(account.name) was changed by the application, left alone")
            return true
        }
        let after = try state.after(next)
        report.closed(next, state, after: after)
        if after.positions.isEmpty, after.equity.isNegative {
            report.warn(
                "\(account.name) owes \(try after.equity.magnitude.readable()) \(account.currency) after its last position")
        }
        return true
    }

    /// false: the application was faster.
    private func close(_ closing: Closing, _ state: MarginState) throws -> Bool {
        let position = closing.valued.position
        let profit = try closing.profit
        let before = try exchange.first("realised", ["position": .int(position.id)]) { try $0.amountOrNil(0) }
        let realised = try ((before ?? nil) ?? .zero) + profit
        let changed = closing.isWhole
            ? try exchange.run("close_position", [
                "position": .int(position.id), "version": .int(position.version),
                "price": .amount(closing.valued.price), "realised": .amount(realised), "now": .int(now),
            ])
            : try exchange.run("reduce_position", [
                "position": .int(position.id), "version": .int(position.version),
                "size": .amount(try position.size - closing.size), "realised": .amount(realised), "now": .int(now),
            ])
        guard changed == 1 else { return false }
        let key = "liquidation:\(position.id):\(position.version)"
        let ledger = Ledger(exchange)
        let house = try ledger.wallet(owner: "platform:trading", currency: state.account.currency, mayBeNegative: true)
        let legs = [
            Ledger.Leg(state.account.wallet, .available, profit, isOwed: true),
            Ledger.Leg(house, .available, try -profit),
        ]
        try ledger.post(cause: key, kind: "liquidation", legs, at: now)
        try record(closing, state, "done")
        try exchange.emit("PositionLiquidated", key: key, Self.event(closing, state), at: now)
        try exchange.note(
            actor: "margin-check", action: "position.liquidate", subject: "position:\(position.id)",
            Self.event(closing, state), at: now)
        return true
    }

    private func record(_ closing: Closing, _ state: MarginState, _ what: String) throws {
        try exchange.run("put_liquidation", [
            "account": .int(state.account.id), "position": .int(closing.valued.position.id),
            "version": .int(closing.valued.position.version), "state": .text(what), "size": .amount(closing.size),
            "price": .amount(closing.valued.price), "profit": .amount(try closing.profit),
            "level": .amount(state.level ?? .zero), "now": .int(now),
        ])
    }

    private static func event(_ closing: Closing, _ state: MarginState) throws -> JSONObject {
        let position = closing.valued.position
        return JSONObject([
            ("account_id", .number(String(state.account.id))), ("account", .string(state.account.name)),
            ("position_id", .number(String(position.id))), ("version", .number(String(position.version))),
            ("pair", .string(position.symbol)), ("side", .string(position.side.rawValue)),
            ("size", .string(closing.size.description)), ("price", .string(closing.valued.price.description)),
            ("profit", .string(try closing.profit.description)), ("currency", .string(state.account.currency)),
            ("level", .string(state.level?.description ?? "")),
        ])
    }

    private mutating func request(_ state: MarginState, _ closings: [Closing]) throws {
        var state = state
        for closing in closings {
            guard try withinCaps(closing, state.account) else { return }
            try exchange.write {
                try record(closing, state, "requested")
                // With the cause: repeated after `request_again`, not by a retry.
                let key = "liquidation-request:\(closing.valued.position.id):\(closing.valued.position.version):\(cause)"
                try exchange.emit("LiquidationRequested", key: key, Self.event(closing, state), at: now)
            }
            let after = try state.after(closing)
            report.closed(closing, state, after: after)
            state = after
        }
    }

    private mutating func pretend(_ state: MarginState, _ closings: [Closing]) throws {
        var state = state
        for closing in closings {
            guard try withinCaps(closing, state.account) else { return }
            let after = try state.after(closing)
            report.closed(closing, state, after: after)
            state = after
        }
    }
}

func percent(_ level: Amount?) -> String { level.map { $0.readable() + " %" } ?? "no level" }

extension Amount {
    /// A small whole number.
    static func of(_ count: Int) throws(AmountError) -> Amount {
        guard let small = Int32(exactly: count) else { throw .outOfRange }
        return Amount(small)
    }
}
