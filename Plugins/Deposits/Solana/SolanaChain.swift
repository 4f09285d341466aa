import ExchangeKit
import JobKit
import OutsideKit

/// Solana's JSON-RPC. A block's height is its slot; a transaction is known by its first
/// signature. The ordinal of a deposit is the number of the account, among those that the
/// transaction names, that holds more afterwards: what counts is the balance, whichever programs
/// moved it. Tokens are paid to the owner of the token account.
final class SolanaChain: Chain {
    private let plan: ChainPlan
    private let node: ChainNode
    private let genesis: GenesisRecord

    init(_ plan: ChainPlan, _ node: ChainNode, _ genesis: GenesisRecord) {
        self.plan = plan
        self.node = node
        self.genesis = genesis
    }

    /// A slot in which no block was made, or none that is kept. It stays so.
    private static let skipped: Set<Int> = [-32007, -32009]
    /// The node has no block of that slot yet.
    private static let notAvailable = -32004
    /// In the place of the hash of a slot without a block.
    private static let noBlock = "skipped"
    /// Signatures in one question.
    private static let mostSignatures = 256

    private static func options(_ more: [(String, JSON)] = []) -> JSON {
        .object(JSONObject([("commitment", "confirmed")] + more))
    }
    private static func block(_ slot: Int64, details: String) -> JSONRPC.Call {
        JSONRPC.Call("getBlock", [.number(String(slot)), options([
            ("transactionDetails", .string(details)), ("rewards", false), ("maxSupportedTransactionVersion", 0),
        ])])
    }

    func verify() throws {
        try genesis.check(try node.askAll("genesis", [JSONRPC.Call("getGenesisHash")]) { try $0[0].string("getGenesisHash") })
    }

    func head() throws -> ChainHead {
        let final = JSONRPC.Call("getSlot", [.object(JSONObject([("commitment", "finalized")]))])
        let calls = [JSONRPC.Call("getSlot", [Self.options()])] + (plan.confirmOn == .depth ? [] : [final])
        return try node.askAll("newest slot", calls) { answers in
            ChainHead(
                height: try answers[0].integer("getSlot"), settled: answers.count > 1 ? try answers[1].integer("getSlot") : nil)
        }
    }

    func blockHashes(_ heights: Set<Int64>) throws -> [Int64: String] {
        let slots = heights.sorted()
        return try node.ask(counted(slots.count, "block"), slots.map { Self.block($0, details: "none") }) { answers in
            var hashes: [Int64: String] = [:]
            for (slot, answer) in zip(slots, answers) { hashes[slot] = try Self.hash(in: answer) }
            return hashes
        }
    }

    /// nil: the slot lies ahead of the node.
    private static func hash(in answer: ChainNode.Answer) throws -> String? {
        if case .failure(let fault) = answer {
            if skipped.contains(fault.code) { return noBlock }
            if fault.code == notAvailable { return nil }
        }
        let block = try answer.get()
        return block == .null ? nil : try block.object("getBlock").member("blockhash").string("blockhash")
    }

    // MARK: Transactions

    private struct Status {
        var slot: Int64
        var isFinal: Bool
    }

    func sightings(_ transactions: Set<String>) throws -> [String: Sighting] {
        let signatures = transactions.sorted()
        var seen: [String: Sighting] = [:]
        let statuses = try statuses(signatures, &seen)
        let included = statuses.keys.sorted()
        guard !included.isEmpty else { return seen }
        let hashes = try blockHashes(Set(statuses.values.map(\.slot)))
        let calls = included.map {
            JSONRPC.Call("getTransaction", [.string($0), Self.options([
                ("encoding", "jsonParsed"), ("maxSupportedTransactionVersion", 0),
            ])])
        }
        return try node.askAll(counted(included.count, "transaction"), calls) { answers in
            var seen = seen
            for (signature, answer) in zip(included, answers) where answer != .null {
                guard let status = statuses[signature], let hash = hashes[status.slot], hash != Self.noBlock else { continue }
                let transaction = try answer.object("getTransaction")
                // Moved between the questions: the next run will know.
                guard try transaction.member("slot").integer("slot") == status.slot else { continue }
                let (succeeded, transfers) = try Self.effects(transaction)
                seen[signature] = .included(Inclusion(
                    block: status.slot, blockHash: hash, succeeded: succeeded, transfers: transfers, isFinal: status.isFinal))
            }
            return seen
        }
    }

    /// Those that are in a block; the others go into `seen`.
    private func statuses(_ signatures: [String], _ seen: inout [String: Sighting]) throws -> [String: Status] {
        let groups = stride(from: 0, to: signatures.count, by: Self.mostSignatures).map {
            Array(signatures[$0 ..< min($0 + Self.mostSignatures, signatures.count)])
        }
        let calls = groups.map {
            JSONRPC.Call("getSignatureStatuses", [
                .array($0.map { .string($0) }), .object(JSONObject([("searchTransactionHistory", true)])),
            ])
        }
        let (statuses, others) = try node.askAll(counted(signatures.count, "transaction"), calls) { answers in
            let values = try zip(groups, answers).flatMap { group, answer in
                let values = try answer.object("getSignatureStatuses").member("value").array("value")
                guard values.count == group.count else { throw ChainNode.Nonsense("\(values.count) statuses for \(group.count)") }
                return values
            }
            return try Self.statuses(signatures, values)
        }
        seen = others
        return statuses
    }

    private static func statuses(
        _ signatures: [String], _ values: [JSON]
    ) throws -> (included: [String: Status], others: [String: Sighting]) {
        var statuses: [String: Status] = [:]
        var others: [String: Sighting] = [:]
        for (signature, value) in zip(signatures, values) {
            guard value != .null else {
                others[signature] = .unknown
                continue
            }
            let status = try value.object("a status")
            if status["confirmationStatus"] == "processed" {
                // Not voted for yet: as good as in no block.
                others[signature] = .waiting
                continue
            }
            // Rooted: the confirmations are null.
            let isFinal = status["confirmations"] == .null || status["confirmationStatus"] == "finalized"
            statuses[signature] = Status(slot: try status.member("slot").integer("slot"), isFinal: isFinal)
        }
        return (statuses, others)
    }

    /// Who holds more after a transaction than before it, by account.
    private static func effects(_ transaction: JSONObject) throws -> (succeeded: Bool, transfers: [Int: Transfer]) {
        let meta = try transaction.member("meta").object("meta")
        let succeeded = meta["err"] == nil || meta["err"] == .null
        let body = try transaction.member("transaction").object("transaction")
        // `accounts` has them outside, `jsonParsed` in the message.
        let listed = try body["accountKeys"] ?? body.member("message").object("message").member("accountKeys")
        let accounts = try listed.array("accountKeys").map { try $0.object("an account").member("pubkey").string("pubkey") }
        let before = try meta.member("preBalances").array("preBalances")
        let after = try meta.member("postBalances").array("postBalances")
        guard before.count == accounts.count, after.count == accounts.count else {
            throw ChainNode.Nonsense("\(after.count) balances of \(accounts.count) accounts")
        }
        var transfers: [Int: Transfer] = [:]
        for (index, account) in accounts.enumerated() {
            let (old, new) = (try before[index].lamports(), try after[index].lamports())
            guard new > old else { continue }
            transfers[index] = Transfer(address: account, token: "", units: TokenUnits(new - old))
        }
        let held = try tokens(meta["preTokenBalances"])
        for (index, balance) in try tokens(meta["postTokenBalances"]) {
            let old = held[index].map { $0.mint == balance.mint ? $0.amount : 0 } ?? 0
            // The account's own lamports are its rent.
            transfers[index] = balance.amount > old
                ? Transfer(address: balance.owner, token: balance.mint, units: TokenUnits(balance.amount - old)) : nil
        }
        return (succeeded, transfers)
    }

    private struct TokenBalance {
        var mint: String
        var owner: String
        var amount: UInt64
    }

    private static func tokens(_ list: JSON?) throws -> [Int: TokenBalance] {
        guard let list, list != .null else { return [:] }
        var balances: [Int: TokenBalance] = [:]
        for entry in try list.array("token balances") {
            let entry = try entry.object("a token balance")
            let amount = try entry.member("uiTokenAmount").object("uiTokenAmount").member("amount").string("amount")
            guard let amount = UInt64(amount) else { throw ChainNode.Nonsense("the token amount '\(amount)' is no number") }
            balances[Int(try entry.member("accountIndex").integer("accountIndex"))] = TokenBalance(
                mint: try entry.member("mint").string("mint"), owner: try entry["owner"]?.string("owner") ?? "", amount: amount)
        }
        return balances
    }

    // MARK: Blocks

    func transfers(in range: ClosedRange<Int64>, isOurs: (String) throws -> Bool) throws -> [ChainTransfer] {
        let bounds: [JSON] = [.number(String(range.lowerBound)), .number(String(range.upperBound)), Self.options()]
        let calls = [JSONRPC.Call("getBlocks", bounds), JSONRPC.Call("getSlot", [Self.options()])]
        // Which slots have a block: beyond the head the list is just shorter.
        let slots = try node.askAll("blocks \(range)", calls) { answers in
            guard try answers[1].integer("getSlot") >= range.upperBound else {
                throw ChainNode.Nonsense("the node has no block \(range.upperBound)")
            }
            return try answers[0].array("getBlocks").map { try $0.integer("a slot") }
        }
        var found: [ChainTransfer] = []
        // Blocks are large: a few in one answer.
        for start in stride(from: 0, to: slots.count, by: 4) {
            let part = Array(slots[start ..< min(start + 4, slots.count)])
            found += try node.askAll("blocks \(part)", part.map { Self.block($0, details: "accounts") }) { answers in
                try zip(part, answers).flatMap { try Self.transfers(slot: $0, try $1.object("block \($0)")) }
            }.filter { try plan.asset($0.transfer.token) != nil && isOurs($0.transfer.address) }
        }
        return found
    }

    private static func transfers(slot: Int64, _ block: JSONObject) throws -> [ChainTransfer] {
        let hash = try block.member("blockhash").string("blockhash")
        return try block.member("transactions").array("transactions").flatMap { entry -> [ChainTransfer] in
            let entry = try entry.object("a transaction")
            let (succeeded, transfers) = try effects(entry)
            guard succeeded else { return [] }
            let signatures = try entry.member("transaction").object("transaction").member("signatures").array("signatures")
            guard let signature = try signatures.first?.string("a signature") else { return [] }
            return transfers.sorted { $0.key < $1.key }.map {
                ChainTransfer(transaction: signature, ordinal: $0.key, transfer: $0.value, block: slot, blockHash: hash)
            }
        }
    }

    // Base 58: case counts.
    func canonical(address: String) -> String { address }
    func canonical(transaction: String) -> String { transaction }
}

extension JSON {
    /// Solana's smallest unit; 10⁹ are a SOL.
    fileprivate func lamports() throws -> UInt64 {
        guard case .number(let text) = self, let value = UInt64(text) else { throw ChainNode.Nonsense("a balance is no number") }
        return value
    }
}
