import SQL

/// Money moves here and nowhere else: as entries that add up to zero in every currency, in the
/// transaction of their cause, once for each cause.
public struct Ledger {
    public enum Bucket: String, Sendable {
        case available, locked
    }
    /// One entry: `amount` into (or, negative, out of) a wallet's bucket.
    public struct Leg: Hashable, Sendable {
        public var wallet: Int64
        public var bucket: Bucket
        public var amount: Amount
        /// What is owed is owed: this entry may take the wallet's available money below zero.
        public var isOwed: Bool
        public init(_ wallet: Int64, _ bucket: Bucket = .available, _ amount: Amount, isOwed: Bool = false) {
            self.wallet = wallet
            self.bucket = bucket
            self.amount = amount
            self.isOwed = isOwed
        }
    }

    private let exchange: Exchange
    public init(_ exchange: Exchange) { self.exchange = exchange }

    /// Applies a cause. Must be called inside `exchange.write`: everything or nothing.
    ///
    /// - Parameter cause: unique for ever, such as "liquidation:17:3".
    /// - Returns: false when money has already moved for this cause; nothing was changed.
    /// - Throws: `LedgerError` for legs that do not add up, a wallet that is not there or one
    ///   that would go below zero.
    @discardableResult
    public func post(cause: String, kind: String, _ legs: [Leg], at now: Int64) throws -> Bool {
        guard try exchange.run("put_cause", ["cause": .text(cause), "kind": .text(kind), "now": .int(now)]) == 1 else {
            return false
        }
        var sums: [String: Amount] = [:]
        for leg in legs {
            let currency = try move(leg, cause: cause, at: now)
            sums[currency] = try (sums[currency] ?? .zero) + leg.amount
        }
        if let off = sums.sorted(by: { $0.key < $1.key }).first(where: { !$0.value.isZero }) {
            throw LedgerError.unbalanced(cause: cause, currency: off.key, by: off.value)
        }
        return true
    }

    private func move(_ leg: Leg, cause: String, at now: Int64) throws -> String {
        guard let wallet = try wallet(leg.wallet) else { throw LedgerError.noWallet(leg.wallet) }
        if !wallet.isEmpty, !wallet.isKnown { try openAccount(of: leg.wallet, wallet, at: now) }
        var (available, locked) = (wallet.available, wallet.locked)
        switch leg.bucket {
        case .available: available = try available + leg.amount
        case .locked: locked = try locked + leg.amount
        }
        let overdrawn = available.isNegative && leg.amount.isNegative && !wallet.mayBeNegative && !leg.isOwed
        if locked.isNegative || overdrawn {
            throw LedgerError.insufficient(wallet: leg.wallet, cause: cause)
        }
        try exchange.run("put_entry", [
            "cause": .text(cause), "wallet": .int(leg.wallet), "bucket": .text(leg.bucket.rawValue),
            "amount": .amount(leg.amount),
        ])
        let changed = try exchange.run("set_wallet", [
            "id": .int(leg.wallet), "available": .amount(available), "locked": .amount(locked),
            "old_available": .text(wallet.availableText), "old_locked": .text(wallet.lockedText),
        ])
        if changed != 1 { throw LedgerError.changedMeanwhile(wallet: leg.wallet) }
        return wallet.currency
    }

    // MARK: Wallets

    public struct Wallet: Hashable, Sendable {
        public var currency: String
        public var available: Amount
        public var locked: Amount
        public var mayBeNegative: Bool
        public var isEmpty: Bool { available.isZero && locked.isZero }
        /// It has entries; false may be old.
        var isKnown: Bool
        // As stored: what the compare-and-set compares with.
        var availableText: String
        var lockedText: String
    }

    public func wallet(_ id: Int64) throws -> Wallet? {
        try exchange.first("wallet", ["id": .int(id)]) { row in
            Wallet(
                currency: try row.text(0), available: try row.amount(1), locked: try row.amount(2),
                mayBeNegative: try row.bool(3), isKnown: try row.bool(4), availableText: try row.text(1), lockedText: try row.text(2))
        }
    }

    /// The wallet of an owner in a currency, made empty where it is missing.
    public func wallet(owner: String, currency: String, mayBeNegative: Bool = false) throws -> Int64 {
        let key: [String: SQLValue] = ["owner": .text(owner), "currency": .text(currency)]
        if let id = try exchange.first("find_wallet", key, { try $0.int64(0) }) { return id }
        try exchange.run("create_wallet", key.merging(["may_be_negative": .bool(mayBeNegative)]) { $1 })
        guard let id = try exchange.first("find_wallet", key, { try $0.int64(0) }) else {
            throw LedgerError.noWallet(0)
        }
        return id
    }

    // MARK: Wallets that were there before

    /// What a wallet held before the ledger began becomes its first entries, against the wallet
    /// `platform:opening`, so that it is the sum of its entries from then on. Nothing where it has
    /// entries. Its row has to be the one that this transaction has read (and, in PostgreSQL, locked).
    @discardableResult
    private func openAccount(of id: Int64, _ wallet: Wallet, at now: Int64) throws -> Bool {
        let isKnown = try exchange.first("has_entries", ["wallet": .int(id)]) { try $0.bool(0) } ?? false
        // Once for ever, should somebody take entries away.
        let cause = "opening:\(id)"
        guard !isKnown, try exchange.run("put_cause", ["cause": .text(cause), "kind": "opening", "now": .int(now)]) == 1 else {
            return false
        }
        for (bucket, amount) in [(Bucket.available, wallet.available), (.locked, wallet.locked)] where !amount.isZero {
            try exchange.run("put_entry", [
                "cause": .text(cause), "wallet": .int(id), "bucket": .text(bucket.rawValue), "amount": .amount(amount),
            ])
        }
        let outside = try self.wallet(owner: "platform:opening", currency: wallet.currency, mayBeNegative: true)
        _ = try move(Leg(outside, .available, try -(wallet.available + wallet.locked)), cause: cause, at: now)
        return true
    }

    /// Gives every wallet that holds money and that the ledger does not know its opening entries.
    /// Must be called inside `exchange.write`. Whoever does not call it has them made one by one,
    /// each with the first money that moves in the wallet.
    ///
    /// - Returns: how many got them.
    func openAccounts(at now: Int64) throws -> Int {
        try unopened().count { id in
            // Read again, with its lock: somebody may have been faster.
            guard let wallet = try wallet(id), !wallet.isEmpty else { return false }
            return try openAccount(of: id, wallet, at: now)
        }
    }

    /// Wallets that hold money and that the ledger does not know.
    func unopened() throws -> [Int64] {
        try exchange.rows("unopened_wallets") { row -> Int64? in
            let isEmpty = try row.amount(3).isZero && row.amount(4).isZero
            return isEmpty ? nil : try row.int64(0)
        }.compactMap(\.self)
    }

    // MARK: The invariant

    /// What does not fit: wallets that are not the sum of their entries (those without any, see
    /// `unopened`, among them), causes whose entries do not add up. Empty when all is well. Reads
    /// every entry: beside a writer, inside `exchange.read`.
    ///
    /// - Parameters:
    ///   - ignored: wallets that are not looked at.
    ///   - onEach: asked before each entry; what it throws ends the reading.
    public func differences(except ignored: Set<Int64> = [], onEach: () throws -> Void = {}) throws -> [String] {
        struct Key: Hashable { var wallet: Int64, bucket: String }
        var sums: [Key: Amount] = [:]
        var causes: [String: [String: Amount]] = [:]
        var currencies: [Int64: String] = [:]
        var found: [String] = []
        let wallets = try exchange.rows("wallets") {
            (id: try $0.int64(0), owner: try $0.text(1), currency: try $0.text(2),
             available: try $0.amount(3), locked: try $0.amount(4))
        }
        for wallet in wallets { currencies[wallet.id] = wallet.currency }
        try exchange.forEach("entries") { row in
            try onEach()
            let key = Key(wallet: try row.int64(0), bucket: try row.text(1))
            let amount = try row.amount(2)
            let cause = try row.text(3)
            let currency = currencies[key.wallet] ?? "?"
            sums[key] = try (sums[key] ?? .zero) + amount
            causes[cause, default: [:]][currency] = try (causes[cause]?[currency] ?? .zero) + amount
        }
        for wallet in wallets where !ignored.contains(wallet.id) {
            for (bucket, held) in [("available", wallet.available), ("locked", wallet.locked)] {
                let sum = sums[Key(wallet: wallet.id, bucket: bucket)] ?? .zero
                if sum != held {
                    found.append(
                        "wallet \(wallet.id) (\(wallet.owner), \(wallet.currency)): \(bucket) is \(held), its entries say \(sum)")
                }
            }
        }
        for (cause, sums) in causes.sorted(by: { $0.key < $1.key }) {
            for (currency, sum) in sums.sorted(by: { $0.key < $1.key }) where !sum.isZero {
                found.append("cause \(cause): its entries in \(currency) add up to \(sum), not to zero")
            }
        }
        return found
    }
}

public enum LedgerError: Error, Hashable, Sendable, CustomStringConvertible {
    case unbalanced(cause: String, currency: String, by: Amount)
    case insufficient(wallet: Int64, cause: String)
    case noWallet(Int64)
    case changedMeanwhile(wallet: Int64)

    public var description: String {
        switch self {
        case .unbalanced(let cause, let currency, let by): "\(cause): the entries in \(currency) are off by \(by)"
        case .insufficient(let wallet, let cause): "\(cause): wallet \(wallet) does not hold that much"
        case .noWallet(let id): "there is no wallet \(id)"
        case .changedMeanwhile(let wallet): "wallet \(wallet) was changed by another program"
        }
    }
}
