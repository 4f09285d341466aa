import ExchangeKit
import JobKit
import SQL

enum DepositStatus: String, CaseIterable, Sendable {
    /// In no block (yet, or any more).
    case pending = "PENDING"
    /// In a block that may still go.
    case confirming = "CONFIRMING"
    /// Deep enough to be credited.
    case confirmed = "CONFIRMED"
    case credited = "CREDITED"
    /// The guard wants somebody to look at it.
    case held = "HELD"
    /// It can never be credited; `reason` says why.
    case failed = "FAILED"
    /// Its amount does not fit into `Amount`: refused, never cut.
    case amountUnsupported = "AMOUNT_UNSUPPORTED"
    /// The chain has not known it for long.
    case dropped = "DROPPED"
    /// Credited, and then gone from the chain: a human decides.
    case reversalRequired = "REVERSAL_REQUIRED"
}

/// A row of `deposits`.
struct Deposit: Hashable, Sendable {
    /// As text: other platforms have other ids.
    var id: String
    var wallet: Int64
    /// The wallet's.
    var currency: String
    var chain: String
    var transaction: String
    var ordinal: Int
    /// "": not told.
    var address: String
    /// "": the native coin.
    var token: String
    /// nil: not told.
    var units: String?
    var amount: Amount
    var status: DepositStatus
    var block: Int64?
    var blockHash: String?
    var confirmations: Int64
    var reason: String
    /// What the chain says of the transfer in that block was compared with this row.
    var verified: Bool
    /// `confirmations` still looks at it.
    var watched: Bool
    /// Milliseconds; since then the chain does not know the transaction.
    var missing: Int64?
    /// Compare-and-set.
    var version: Int64
    /// Milliseconds.
    var created: Int64

    /// What a deposit is known by, for ever: chain, transaction, number of the transfer.
    /// - Parameter transaction: in the chain's one form.
    func identity(_ transaction: String) -> String { "deposit:\(chain):\(transaction):\(ordinal)" }
}

extension Deposit {
    /// A row of one of the statements that give deposits.
    init(_ row: any SQLStatement) throws {
        let word = try row.text(10)
        guard let status = DepositStatus(rawValue: word) else {
            let known = DepositStatus.allCases.map(\.rawValue).joined(separator: ", ")
            throw JobFailure.permanent("the status '\(word)' is none of \(known)")
        }
        self.status = status
        id = try row.text(0)
        wallet = try row.int64(1)
        currency = try row.text(2)
        chain = try row.text(3)
        transaction = try row.text(4)
        ordinal = Int(try row.int64(5))
        address = try row.text(6)
        token = try row.text(7)
        units = try row.textOrNil(8)
        amount = try row.amount(9)
        block = try row.int64OrNil(11)
        blockHash = try row.textOrNil(12)
        confirmations = try row.int64(13)
        reason = try row.text(14)
        verified = try row.bool(15)
        watched = try row.bool(16)
        missing = try row.int64OrNil(17)
        version = try row.int64(18)
        created = try row.int64(19)
    }
}

/// The tables that all entries share.
struct DepositTables {
    let exchange: Exchange

    /// Rows of one of the statements that give deposits. One that cannot be read is told and
    /// left out.
    func rows(_ statement: String, _ problem: (String) -> Void) throws -> [Deposit] {
        var found: [Deposit] = []
        try exchange.forEach(statement) { row in
            do {
                found.append(try Deposit(row))
            } catch {
                problem("deposit \((try? row.text(0)) ?? "?"): \(error)")
            }
        }
        return found
    }

    func deposit(_ id: String) throws -> Deposit? { try exchange.first("deposit", ["id": .text(id)]) { try Deposit($0) } }

    /// false: somebody was faster.
    func update(_ old: Deposit, _ new: Deposit, now: Int64) throws -> Bool {
        try exchange.run("update_deposit", [
            "id": .text(old.id), "version": .int(old.version), "old_status": .text(old.status.rawValue),
            "status": .text(new.status.rawValue), "block": .int(new.block), "block_hash": .text(new.blockHash),
            "confirmations": .int(new.confirmations), "reason": .text(new.reason), "verified": .bool(new.verified),
            "watched": .bool(new.watched), "missing_ms": .int(new.missing), "now": .int(now),
        ]) == 1
    }
}

extension Deposit {
    /// For log lines.
    var title: String { "deposit \(id) (\(amount) \(currency), \(chain) \(transaction))" }

    /// What every event of a deposit carries.
    var event: JSONObject {
        JSONObject([
            ("deposit_id", .string(id)), ("chain", .string(chain)), ("tx_hash", .string(transaction)),
            ("ordinal", .number(String(ordinal))), ("address", .string(address)), ("token", .string(token)),
            ("wallet_id", .number(String(wallet))), ("currency", .string(currency)), ("amount", .string(amount.description)),
            ("block", block.map { .number(String($0)) } ?? .null), ("block_hash", blockHash.map { .string($0) } ?? .null),
            ("confirmations", .number(String(confirmations))),
        ])
    }
}
