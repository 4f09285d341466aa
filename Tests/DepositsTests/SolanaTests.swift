import ExchangeKit
import JobKit
import Synchronization
import Testing

@testable import Deposits

/// A Solana node as its documentation describes the answers of these methods.
private final class SolanaNode: Sendable {
    struct Account {
        var key: String
        var before: UInt64
        var after: UInt64
    }
    struct Token {
        var account: Int64
        var mint: String
        var owner: String
        /// nil: the account was made by the transaction.
        var before: String?
        var after: String
    }
    struct Transaction {
        var signature: String
        var slot: Int64
        var accounts: [Account]
        var tokens: [Token] = []
        var hasFailed = false
        var status = "confirmed"
    }
    struct State {
        var slot: Int64 = 0
        var final: Int64 = 0
        var skipped: Set<Int64> = []
        var fork = "a"
        var transactions: [Transaction] = []
    }
    let state = Mutex(State())

    func call(_ method: String, _ params: [JSON]) throws -> JSON {
        try state.withLock { state in
            switch method {
            case "getGenesisHash": return "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
            case "getSlot":
                return .int(params.first?.objectValue?["commitment"] == "finalized" ? state.final : state.slot)
            case "getSignatureStatuses":
                let values = try params[0].array("signatures").map { Self.status(try $0.string("signature"), state) }
                return .make([("context", .make([("slot", .int(state.slot))])), ("value", .array(values))])
            case "getTransaction":
                let signature = try params[0].string("signature")
                guard let found = state.transactions.first(where: { $0.signature == signature }) else { return .null }
                let message = JSON.make([("accountKeys", Self.keys(found))])
                let body = JSON.make([("message", message), ("signatures", .array([.string(signature)]))])
                return .make([("slot", .int(found.slot)), ("meta", Self.meta(found)), ("transaction", body)])
            case "getBlocks":
                let (first, last) = (try params[0].integer("start"), try params[1].integer("end"))
                guard first <= state.slot else { return .array([]) }
                return .array((first ... min(last, state.slot)).filter { !state.skipped.contains($0) }.map { .int($0) })
            case "getBlock":
                return try Self.block(try params[0].integer("slot"), params[1].objectValue?["transactionDetails"], state)
            default: throw ScriptedNode.Fault(code: -32601)
            }
        }
    }

    private static func status(_ signature: String, _ state: State) -> JSON {
        guard let found = state.transactions.first(where: { $0.signature == signature }) else { return .null }
        let isRooted = found.slot <= state.final
        return .make([
            ("slot", .int(found.slot)), ("confirmations", isRooted ? .null : .int(state.slot - found.slot)),
            ("err", found.hasFailed ? .make([("InstructionError", .array([]))]) : .null),
            ("confirmationStatus", .string(isRooted ? "finalized" : found.status)),
        ])
    }

    private static func block(_ slot: Int64, _ details: JSON?, _ state: State) throws -> JSON {
        if slot > state.slot { throw ScriptedNode.Fault(code: -32004) }
        if state.skipped.contains(slot) { throw ScriptedNode.Fault(code: -32007) }
        var block = JSONObject([("blockhash", .string("\(slot)\(state.fork)")), ("blockHeight", .int(slot))])
        if details == "accounts" {
            block["transactions"] = .array(state.transactions.filter { $0.slot == slot }.map {
                .make([("meta", meta($0)), ("transaction", .make([
                    ("accountKeys", keys($0)), ("signatures", .array([.string($0.signature)])),
                ]))])
            })
        }
        return .object(block)
    }

    private static func keys(_ transaction: Transaction) -> JSON {
        .array(transaction.accounts.map { .make([("pubkey", .string($0.key)), ("signer", false), ("writable", true)]) })
    }

    private static func meta(_ transaction: Transaction) -> JSON {
        func tokens(_ amount: (Token) -> String?) -> JSON {
            .array(transaction.tokens.compactMap { token in
                amount(token).map {
                    .make([
                        ("accountIndex", .int(token.account)), ("mint", .string(token.mint)), ("owner", .string(token.owner)),
                        ("uiTokenAmount", .make([("amount", .string($0)), ("decimals", 6)])),
                    ])
                }
            })
        }
        return .make([
            ("err", transaction.hasFailed ? .make([("InstructionError", .array([]))]) : .null),
            ("preBalances", .array(transaction.accounts.map { .number(String($0.before)) })),
            ("postBalances", .array(transaction.accounts.map { .number(String($0.after)) })),
            ("preTokenBalances", tokens { $0.before }), ("postTokenBalances", tokens { $0.after }),
        ])
    }

    func move(_ change: (inout State) -> Void) { state.withLock { change(&$0) } }
}

@Suite struct SolanaTests {
    private let solana = SolanaNode()
    private let node: ScriptedNode
    private let platform: Platform
    private static let owner = "7xKXtg2CW87d97TXJSDpbD5jBkheTqA83TZRuJosgAsU"
    private static let mint = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"

    init() throws {
        let solana = solana
        node = try ScriptedNode { try solana.call($0, $1) }
        platform = try Platform()
        var chain = ChainSettings()
        chain.url = node.url
        chain.startBlock = 0
        chain.attempts = 1
        chain.tokens = [TokenSettings(contract: Self.mint, currency: "USDC", decimals: 6)]
        platform.chains = ["solana": chain]
        try platform.sql("INSERT INTO chains (name, confirmations) VALUES ('solana', 32)")
        try platform.sql("INSERT INTO deposit_addresses VALUES ('solana', ?, 'user:alice')", [.text(Self.owner)])
        solana.move { $0.slot = 10 }
    }

    private func payment(_ signature: String, _ lamports: UInt64, slot: Int64) -> SolanaNode.Transaction {
        SolanaNode.Transaction(signature: signature, slot: slot, accounts: [
            .init(key: "payer", before: 9_000_000_000_000, after: 9_000_000_000_000 - lamports - 5_000),
            .init(key: Self.owner, before: 7, after: 7 + lamports),
            .init(key: "11111111111111111111111111111111", before: 1, after: 1),
        ])
    }

    private func tokens(_ signature: String, slot: Int64) -> SolanaNode.Transaction {
        var transaction = SolanaNode.Transaction(signature: signature, slot: slot, accounts: [
            .init(key: "payer", before: 100_000_000, after: 90_000_000), .init(key: "source", before: 2, after: 2),
            .init(key: "destination", before: 0, after: 2_039_280), .init(key: "other", before: 2, after: 2),
        ])
        transaction.tokens = [
            .init(account: 1, mint: Self.mint, owner: "payer", before: "9000000", after: "7500000"),
            .init(account: 2, mint: Self.mint, owner: Self.owner, before: "1000000", after: "2500000"),
            // Made by this transaction, for somebody else.
            .init(account: 0, mint: Self.mint, owner: "somebody", before: nil, after: "7"),
            .init(account: 3, mint: "fake", owner: Self.owner, before: "0", after: "99"),
        ]
        return transaction
    }

    @Test func coinsAndTokensAreFoundConfirmedAndCredited() throws {
        var failed = payment("failed", 5, slot: 10)
        failed.hasFailed = true
        solana.move { state in
            state.skipped = [9]
            state.transactions = [payment("coins", 1_500_000_000, slot: 8), tokens("tokens", slot: 10), failed]
        }
        let scan = try platform.scan()
        #expect(scan.found == 2, "\(scan.report.lines)")
        #expect(try platform.test.texts("SELECT tx_hash, ordinal, token, amount FROM deposits ORDER BY id") == [
            "coins 1  1.5", "tokens 2 \(Self.mint) 1.5",
        ])
        solana.move { $0.slot = 39 }
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMED 8 32", "CONFIRMING 10 30"])
        try platform.credit()
        solana.move { $0.slot = 41 }
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["CREDITED", "CREDITED"])
        #expect(try platform.test.money("user:alice", "SOL") == "1.5 0")
        #expect(try platform.test.money("user:alice", "USDC") == "1.5 0")
    }

    /// Null confirmations: rooted, however many slots there are.
    @Test func aRootedTransactionIsConfirmed() throws {
        solana.move { $0.transactions = [payment("coins", 1, slot: 8)] }
        try platform.scan()
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMING 8 3"])
        try platform.sql("UPDATE deposits SET verified = 0")
        solana.move { $0.final = 8 }
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMED 8 3"])
    }

    @Test func whatIsOnlyProcessedWaits() throws {
        solana.move { state in
            state.transactions = [payment("coins", 1, slot: 8)]
            state.transactions[0].status = "processed"
        }
        let wallet = try Ledger(platform.exchange).wallet(owner: "user:alice", currency: "SOL")
        try platform.deposit("coins", "0.000000001", ordinal: 1, wallet: wallet, chain: "solana")
        try platform.deposit("unknown", "1", wallet: wallet, chain: "solana")
        try platform.confirm()
        #expect(try platform.test.texts("SELECT status, missing_ms FROM deposits") == ["PENDING -", "PENDING \(noon)"])
        solana.move { $0.transactions[0].status = "confirmed" }
        try platform.confirm()
        #expect(try platform.statuses() == ["CONFIRMING", "PENDING"])
    }

    @Test func aForkThatWasLeftIsGone() throws {
        solana.move { $0.transactions = [payment("coins", 1, slot: 8)] }
        try platform.scan()
        try platform.confirm()
        solana.move { state in
            state.fork = "b"
            state.transactions = []
        }
        try platform.confirm()
        #expect(try platform.statuses() == ["PENDING"])
        // In another slot of the other fork; the slot of old has no block now.
        solana.move { state in
            state.skipped = [8]
            state.transactions = [payment("coins", 1, slot: 9)]
        }
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMING 9 2"])
    }

    @Test func aSlotWithoutABlockIsScannedOverAndARangeBeyondTheHeadIsAnError() throws {
        solana.move { $0.skipped = [10] }
        #expect(try platform.scan().report.errors == 0)
        #expect(try platform.test.texts("SELECT position, note FROM checkpoints") == ["10 skipped"])
        let set = try ChainSet(platform.chains)
        let chain = try set.open(set.plans[0], platform.exchange, mayRecord: false)
        let failure = #expect(throws: JobFailure.self) { try chain.transfers(in: 5 ... 11) { _ in true } }
        #expect(failure?.text.contains("the node has no block 11") == true)
    }

    @Test func inBase58CaseCounts() throws {
        let set = try ChainSet(platform.chains)
        #expect(set.plans[0].asset(Self.mint)?.currency == "USDC")
        #expect(set.plans[0].asset(Self.mint.lowercased()) == nil)
        let chain = try set.open(set.plans[0], platform.exchange, mayRecord: false)
        #expect(chain.canonical(address: Self.owner) == Self.owner)
    }
}
