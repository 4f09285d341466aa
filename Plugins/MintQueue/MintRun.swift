import ExchangeKit
import struct JobCore.SHA256
import JobKit
import OutsideKit

/// One sale's mint, from where it is on record to its end or as far as it goes now.
struct MintRun: RunReport {
    private struct Record {
        var machine: MintMachine
        var asset: String
        var size: Amount
        var version: Int64
        /// When it was last sent, milliseconds.
        var sentAt: Int64?
    }

    let exchange: Exchange
    let minter: any Minter
    let settings: MintSettings
    let actor: String
    let order: MintOrder
    let now: Int64
    var notes = RunNotes()

    init(_ exchange: Exchange, _ minter: any Minter, _ settings: MintSettings, actor: String, order: MintOrder, now: Int64) {
        self.exchange = exchange
        self.minter = minter
        self.settings = settings
        self.actor = actor
        self.order = order
        self.now = now
    }

    private var what: String { "mint \(order.key) of \(order.size) of asset \(order.asset)" }

    /// - Throws: `JobFailure.transient` to go on later; `CancellationNotice`.
    mutating func run(isCancelled: () -> Bool) throws -> RunOutcome {
        if settings.maxSize.isPositive, order.size > settings.maxSize {
            halt = "\(what) is above max_size (\(settings.maxSize))"
            return .failed("Halted: \(halt ?? ""). Raise max_size if it is right, then: jobhost dead retry", code: 1)
        }
        guard settings.mode == .live else { return .succeeded("Would send \(what) (shadow, nothing written)") }
        var record = try open()
        // Sent, asked, sent again: each turn is a step of the machine.
        for _ in 0 ..< 8 {
            if isCancelled() { throw CancellationNotice() }
            switch record.machine.nextStep(looksUp: minter.looksUp, maxSends: Int64(settings.maxSends)) {
            case .send:
                if let later = try waitForTheHour() { return later }
                record = try send(record)
            case .ask:
                let event = try ask(record)
                record = try settle(record, event)
                if event == .pending { return try waitForTheMinter(record) }
            case .done: return Self.end(record.machine, what)
            case .giveUp(let reason):
                if record.machine.status == .sent { record = try settle(record, .noAnswer(reason: reason)) }
                return .failed("\(what): \(reason)", code: 3)
            }
        }
        throw JobFailure.transient("\(what) was not settled: \(record.machine.reason)")
    }

    private static func end(_ machine: MintMachine, _ what: String) -> RunOutcome {
        machine.status == .minted
            ? .succeeded("Minted: \(what), reference \(machine.reference ?? "none"), \(counted(machine.sends, "request")) sent")
            : .failed("\(what) was refused: \(machine.reason)", code: 2)
    }

    // MARK: On record

    static func isOnRecord(_ key: String, _ exchange: Exchange) throws -> Bool {
        try exchange.first("mint", ["cause": .text(key)]) { _ in true } ?? false
    }

    private func load() throws -> Record {
        let found = try exchange.first("mint", ["cause": .text(order.key)]) { row in
            guard let status = MintStatus(rawValue: try row.text(2)) else {
                throw JobFailure.permanent("mint \(order.key) has the unknown status '\(try row.text(2))'")
            }
            return Record(
                machine: MintMachine(
                    status: status, sends: try row.int64(3), reference: try row.textOrNil(4), reason: try row.text(5)),
                asset: try row.text(0), size: try row.amount(1), version: try row.int64(6), sentAt: try row.int64OrNil(7))
        }
        guard let found else { throw JobFailure.permanent("mint \(order.key) is gone") }
        return found
    }

    /// The record of this cause; one for ever, whatever asks for it.
    private func open() throws -> Record {
        let record = try exchange.write {
            try exchange.run("put_mint", [
                "cause": .text(order.key), "asset": .text(order.asset), "size": .amount(order.size),
                "created": .int(order.createdAt), "now": .int(now),
            ])
            return try load()
        }
        guard record.asset == order.asset, record.size == order.size else {
            throw JobFailure.permanent(
                "the key \(order.key) belongs to a mint of \(record.size) of asset \(record.asset), "
                    + "this one is for \(order.size) of \(order.asset): nothing was sent",
                code: 4)
        }
        return record
    }

    /// nil: somebody was faster.
    private func save(_ record: Record, as machine: MintMachine) throws -> Record? {
        try exchange.write {
            let changed = try exchange.run("move_mint", [
                "cause": .text(order.key), "version": .int(record.version), "status": .text(machine.status.rawValue),
                "attempts": .int(machine.sends), "reference": .text(machine.reference), "reason": .text(machine.reason),
                "now": .int(now),
            ])
            guard changed == 1 else { return nil }
            if machine.status != record.machine.status { try announce(machine) }
            return try load()
        }
    }

    private func announce(_ machine: MintMachine) throws {
        let detail = JSONObject([
            ("key", .string(order.key)), ("asset_id", .string(order.asset)), ("size", .string(order.size.description)),
            ("reference", .string(machine.reference ?? "")), ("reason", .string(machine.reason)),
        ])
        let event: String? = switch machine.status {
        case .minted: "AssetMinted"
        case .failed: "MintFailed"
        case .unknown: "MintUnknown"
        case .requested, .sent: nil
        }
        if let event { try exchange.emit(event, key: eventKey(event, machine), detail, at: now) }
        try exchange.note(
            actor: actor, action: "mint.\(machine.status.rawValue)", subject: "mint:\(order.key)", detail, at: now)
    }

    /// A key may be as long as an event's: with the rest it would be too long.
    private func eventKey(_ event: String, _ machine: MintMachine) -> String {
        let key = "\(event):\(order.key):\(machine.sends)"
        guard key.utf8.count > Exchange.longestEventKey else { return key }
        return "\(event):sha256-\(SHA256.hex(of: Array(order.key.utf8))):\(machine.sends)"
    }

    /// Records what was heard; an end that somebody else has recorded meanwhile stays.
    private mutating func settle(_ record: Record, _ event: MintEvent) throws -> Record {
        var record = record
        for _ in 0 ..< 10 {
            var machine = record.machine
            guard machine.hear(event) else { return record }
            if let saved = try save(record, as: machine) {
                debug("\(what) is \(machine.status.rawValue)\(machine.reason.isEmpty ? "" : ": \(machine.reason)")")
                return saved
            }
            record = try load()
        }
        throw JobFailure.transient("\(what) is being changed by others")
    }

    // MARK: The minter

    private mutating func send(_ record: Record) throws -> Record {
        var machine = record.machine
        machine.beginSending()
        // On record first: whoever comes after a crash asks before sending again.
        guard let sent = try save(record, as: machine) else { return try load() }
        do {
            return try settle(sent, try minter.put(order))
        } catch let error as CallError {
            _ = try settle(sent, .notSent(reason: error.text))
            throw error.jobFailure
        }
    }

    private mutating func ask(_ record: Record) throws -> MintEvent {
        do {
            return try minter.look(order.key)
        } catch let error as CallError {
            _ = try settle(record, .noAnswer(reason: error.text))
            throw error.jobFailure
        }
    }

    /// Accepted and not done: asked again later, which costs no attempt.
    private func waitForTheMinter(_ record: Record) throws -> RunOutcome {
        // Since it was sent, whatever was or was not heard meanwhile.
        let age = now - (record.sentAt ?? now)
        guard age < settings.pendingLimit.milliseconds else {
            let time = Span.milliseconds(age / 1_000 * 1_000)
            return .failed("\(what) is pending at the minter for \(time), longer than pending_limit", code: 5)
        }
        let later = now + max(1, settings.pendingEvery.milliseconds)
        return .snooze(until: later * 1_000, "\(what) is pending at the minter")
    }

    /// nil: there is room below the cap of an hour.
    private mutating func waitForTheHour() throws -> RunOutcome? {
        let sent = try exchange.count("mints_since", inHourBefore: now)
        guard sent >= Int64(settings.maxMintsPerHour) else { return nil }
        halt = "max_mints_per_hour (\(settings.maxMintsPerHour)) is reached, \(what) waits"
        return .snooze(until: (now + 60_000) * 1_000, "max_mints_per_hour (\(settings.maxMintsPerHour)) is reached")
    }
}
