import ExchangeKit
import JobKit
import OutsideKit

/// Ethereum and chains that speak its JSON-RPC (BSC, Polygon, …).
///
/// Deposits are transactions that pay the native coin to an address (ordinal 0) and ERC-20
/// transfers of listed contracts to it (ordinal: the number of the transfer among all ERC-20
/// transfers of the receipt, from 1, whether they are listed or not). Coins that a contract
/// sends from inside a transaction are in no receipt and are not seen.
final class EthereumChain: Chain {
    private let plan: ChainPlan
    private let node: ChainNode
    private let genesis: GenesisRecord

    init(_ plan: ChainPlan, _ node: ChainNode, _ genesis: GenesisRecord) {
        self.plan = plan
        self.node = node
        self.genesis = genesis
    }

    private static func hex(_ number: Int64) -> JSON { .string("0x" + String(number, radix: 16)) }
    private static func block(_ number: Int64, full: Bool = false) -> JSONRPC.Call {
        JSONRPC.Call("eth_getBlockByNumber", [hex(number), .bool(full)])
    }

    func verify() throws {
        let calls = [JSONRPC.Call("eth_chainId"), JSONRPC.Call("eth_syncing"), Self.block(0)]
        let (id, isSyncing, first) = try node.askAll("chain id", calls) { answers in
            (try answers[0].quantity("eth_chainId"), answers[1] != .bool(false),
             try answers[2].object("block 0").member("hash").data("hash"))
        }
        guard id == plan.chainID else {
            throw JobFailure.permanent(
                "chain \(plan.name): the node is of chain id \(id), not \(plan.chainID ?? 0); nothing it says is believed")
        }
        try genesis.check(first)
        if isSyncing { throw JobFailure.transient("chain \(plan.name): the node is still syncing") }
    }

    func head() throws -> ChainHead {
        let tag: String? = switch plan.confirmOn {
        case .depth: nil
        case .safe: "safe"
        case .finalized: "finalized"
        }
        let settled = tag.map { [JSONRPC.Call("eth_getBlockByNumber", [.string($0), false])] } ?? []
        return try node.askAll("newest block", [JSONRPC.Call("eth_blockNumber")] + settled) { answers in
            let height = try answers[0].quantity("eth_blockNumber")
            // null: nothing is final yet.
            guard answers.count > 1, answers[1] != .null else { return ChainHead(height: height) }
            return ChainHead(height: height, settled: try answers[1].object("block").member("number").quantity("number"))
        }
    }

    func blockHashes(_ heights: Set<Int64>) throws -> [Int64: String] {
        let heights = heights.sorted()
        return try node.askAll("\(counted(heights.count, "block"))", heights.map { Self.block($0) }) { answers in
            var hashes: [Int64: String] = [:]
            for (height, answer) in zip(heights, answers) where answer != .null {
                let block = try answer.object("block \(height)")
                guard try block.member("number").quantity("number") == height else {
                    throw ChainNode.Nonsense("asked for block \(height), got another one")
                }
                hashes[height] = try block.member("hash").data("hash")
            }
            return hashes
        }
    }

    // MARK: Transactions

    func sightings(_ transactions: Set<String>) throws -> [String: Sighting] {
        let hashes = transactions.sorted()
        let calls = hashes.flatMap {
            [JSONRPC.Call("eth_getTransactionReceipt", [.string($0)]), JSONRPC.Call("eth_getTransactionByHash", [.string($0)])]
        }
        return try node.askAll(counted(hashes.count, "transaction"), calls) { answers in
            var seen: [String: Sighting] = [:]
            for (index, hash) in hashes.enumerated() {
                seen[hash] = try Self.sighting(receipt: answers[2 * index], transaction: answers[2 * index + 1])
            }
            return seen
        }
    }

    /// nil: the two do not go together, a block came in between.
    private static func sighting(receipt: JSON, transaction: JSON) throws -> Sighting? {
        guard transaction != .null else { return receipt == .null ? .unknown : nil }
        let transaction = try transaction.object("the transaction")
        guard receipt != .null else {
            let block = transaction["blockHash"]
            return block == nil || block == .null ? .waiting : nil
        }
        let receipt = try receipt.object("the receipt")
        let blockHash = try receipt.member("blockHash").data("blockHash")
        guard try transaction.member("blockHash").data("blockHash") == blockHash else { return nil }
        var inclusion = Inclusion(
            block: try receipt.member("blockNumber").quantity("blockNumber"), blockHash: blockHash,
            succeeded: try receipt.member("status").quantity("status") == 1, transfers: [:])
        if let recipient = transaction["to"], recipient != .null {
            inclusion.transfers[0] = Transfer(
                address: try recipient.data("to"), token: "", units: try transaction.member("value").units("value"))
        }
        var ordinal = 0
        for log in try receipt.member("logs").array("logs") {
            guard let transfer = try TransferLog(log) else { continue }
            ordinal += 1
            inclusion.transfers[ordinal] = Transfer(address: transfer.recipient, token: transfer.token, units: transfer.units)
        }
        return .included(inclusion)
    }

    // MARK: Blocks

    func transfers(in range: ClosedRange<Int64>, isOurs: (String) throws -> Bool) throws -> [ChainTransfer] {
        let candidates = try withTokens(range, isOurs).union(withCoins(range, isOurs))
        guard !candidates.isEmpty else { return [] }
        let seen = try sightings(candidates)
        var found: [ChainTransfer] = []
        for hash in candidates.sorted() {
            guard case .included(let inclusion)? = seen[hash], range.contains(inclusion.block) else {
                throw JobFailure.transient("chain \(plan.name): transaction \(hash) was in blocks \(range) and is not any more")
            }
            guard inclusion.succeeded else { continue }
            for (ordinal, transfer) in inclusion.transfers.sorted(by: { $0.key < $1.key }) {
                guard !transfer.units.isZero, plan.asset(transfer.token) != nil, try isOurs(transfer.address) else { continue }
                found.append(ChainTransfer(
                    transaction: hash, ordinal: ordinal, transfer: transfer, block: inclusion.block,
                    blockHash: inclusion.blockHash))
            }
        }
        return found
    }

    /// Transactions with a transfer of a listed token. A node answers a question beyond its head
    /// with an empty list: the last block is asked for in the same breath.
    private func withTokens(_ range: ClosedRange<Int64>, _ isOurs: (String) throws -> Bool) throws -> Set<String> {
        guard !plan.tokens.isEmpty else { return [] }
        let filter = JSON.object(JSONObject([
            ("fromBlock", Self.hex(range.lowerBound)), ("toBlock", Self.hex(range.upperBound)),
            ("address", .array(plan.tokens.keys.sorted().map { .string($0) })), ("topics", .array([.string(TransferLog.topic)])),
        ]))
        let calls = [JSONRPC.Call("eth_getLogs", [filter]), Self.block(range.upperBound)]
        let logs = try node.askAll("logs of blocks \(range)", calls) { answers in
            guard answers[1] != .null else { throw ChainNode.Nonsense("the node has no block \(range.upperBound)") }
            return try answers[0].array("eth_getLogs").compactMap { try TransferLog($0) }
        }
        return Set(try logs.filter { try !$0.isRemoved && !$0.units.isZero && isOurs($0.recipient) }.map(\.transaction))
    }

    /// Transactions that pay the native coin: these are in blocks, not in logs.
    private func withCoins(_ range: ClosedRange<Int64>, _ isOurs: (String) throws -> Bool) throws -> Set<String> {
        var found: Set<String> = []
        // Full blocks are large.
        for first in stride(from: range.lowerBound, through: range.upperBound, by: 10) {
            let part = first ... min(first + 9, range.upperBound)
            let payments = try node.askAll("blocks \(part)", part.map { Self.block($0, full: true) }) { answers in
                try zip(part, answers).flatMap { height, answer in
                    guard answer != .null else { throw ChainNode.Nonsense("the node has no block \(height)") }
                    let block = try answer.object("block \(height)")
                    return try block.member("transactions").array("transactions").compactMap(Self.payment)
                }
            }
            for payment in payments where try isOurs(payment.recipient) { found.insert(payment.hash) }
        }
        return found
    }

    /// nil: it makes a contract, or moves nothing.
    private static func payment(_ transaction: JSON) throws -> (hash: String, recipient: String)? {
        let transaction = try transaction.object("a transaction")
        guard let recipient = transaction["to"], recipient != .null else { return nil }
        guard try !transaction.member("value").units("value").isZero else { return nil }
        return (try transaction.member("hash").data("hash"), try recipient.data("to"))
    }

    func canonical(address: String) -> String { address.lowercased() }
    func canonical(transaction: String) -> String { transaction.lowercased() }
}
