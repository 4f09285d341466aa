import ExchangeKit
import JobKit
import OutsideKit

/// Bitcoin Core, by the JSON-RPC of a wallet that watches the deposit addresses. `url` ends with
/// `/wallet/NAME` where the node has several. The ordinal of a deposit is its output's number.
///
/// Methods as documented for Bitcoin Core 0.20 and later: `getblockchaininfo`, `getblockhash`,
/// `gettransaction`, `listsinceblock`.
final class BitcoinChain: Chain {
    private let plan: ChainPlan
    private let node: ChainNode
    private let genesis: GenesisRecord

    init(_ plan: ChainPlan, _ node: ChainNode, _ genesis: GenesisRecord) {
        self.plan = plan
        self.node = node
        self.genesis = genesis
    }

    /// RPC_INVALID_ADDRESS_OR_KEY: no such transaction in this wallet.
    private static let noSuchTransaction = -5
    /// RPC_INVALID_PARAMETER: a height beyond the head.
    private static let outOfRange = -8

    private static func hash(of height: Int64) -> JSONRPC.Call { JSONRPC.Call("getblockhash", [.number(String(height))]) }

    func verify() throws {
        let (first, isSyncing) = try node.askAll("genesis", [Self.hash(of: 0), JSONRPC.Call("getblockchaininfo")]) { answers in
            (try answers[0].string("getblockhash"),
             try answers[1].object("getblockchaininfo").member("initialblockdownload") != .bool(false))
        }
        try genesis.check(first)
        if isSyncing { throw JobFailure.transient("chain \(plan.name): the node is still downloading blocks") }
    }

    func head() throws -> ChainHead {
        try node.askAll("newest block", [JSONRPC.Call("getblockchaininfo")]) { answers in
            ChainHead(height: try answers[0].object("getblockchaininfo").member("blocks").integer("blocks"))
        }
    }

    func blockHashes(_ heights: Set<Int64>) throws -> [Int64: String] {
        let heights = heights.sorted()
        return try node.ask(counted(heights.count, "block"), heights.map(Self.hash)) { answers in
            var hashes: [Int64: String] = [:]
            for (height, answer) in zip(heights, answers) { hashes[height] = try Self.hash(in: answer) }
            return hashes
        }
    }

    /// nil: there is no block at that height.
    private static func hash(in answer: ChainNode.Answer) throws -> String? {
        if case .failure(let fault) = answer, fault.code == outOfRange { return nil }
        return try answer.get().string("getblockhash")
    }

    func sightings(_ transactions: Set<String>) throws -> [String: Sighting] {
        let ids = transactions.sorted()
        let calls = ids.map { JSONRPC.Call("gettransaction", [.string($0), true]) }
        return try node.ask(counted(ids.count, "transaction"), calls) { answers in
            var seen: [String: Sighting] = [:]
            for (id, answer) in zip(ids, answers) {
                if case .failure(let fault) = answer, fault.code == Self.noSuchTransaction {
                    seen[id] = .unknown
                } else {
                    seen[id] = try sighting(try answer.get().object("gettransaction"))
                }
            }
            return seen
        }
    }

    private func sighting(_ transaction: JSONObject) throws -> Sighting {
        let confirmations = try transaction.member("confirmations").integer("confirmations")
        if confirmations == 0 { return .waiting }
        // Below zero: another transaction has spent the same coins.
        guard confirmations > 0 else { return .unknown }
        var inclusion = Inclusion(
            block: try transaction.member("blockheight").integer("blockheight"),
            blockHash: try transaction.member("blockhash").string("blockhash"), succeeded: true, transfers: [:])
        for output in try transaction.member("details").array("details") {
            guard let (ordinal, transfer) = try received(try output.object("details")) else { continue }
            inclusion.transfers[ordinal] = transfer
        }
        return .included(inclusion)
    }

    /// nil: sent, mined, or to nobody.
    private func received(_ output: JSONObject) throws -> (ordinal: Int, transfer: Transfer)? {
        guard output["category"] == "receive", let address = output["address"] else { return nil }
        guard case .number(let text) = try output.member("amount"), let amount = Amount(text),
            let units = TokenUnits(amount, decimals: plan.decimals)
        else { throw ChainNode.Nonsense("an amount is no number of coins") }
        let transfer = Transfer(address: canonical(address: try address.string("address")), token: "", units: units)
        return (Int(try output.member("vout").integer("vout")), transfer)
    }

    func transfers(in range: ClosedRange<Int64>, isOurs: (String) throws -> Bool) throws -> [ChainTransfer] {
        // Everything since the block before; from the beginning without one.
        let edges = [max(0, range.lowerBound - 1), range.upperBound]
        let before = try node.ask("blocks \(range)", edges.map(Self.hash)) { answers in
            guard try Self.hash(in: answers[1]) != nil else {
                throw ChainNode.Nonsense("the node has no block \(range.upperBound)")
            }
            return try Self.hash(in: answers[0])
        }
        let since: [JSON] = range.lowerBound > 0 ? [.string(before ?? "")] : [""]
        let call = JSONRPC.Call("listsinceblock", since + [1, true, false])
        let found = try node.askAll("transactions of blocks \(range)", [call]) { answers in
            try answers[0].object("listsinceblock").member("transactions").array("transactions").compactMap {
                try listed($0.object("a transaction"), range)
            }
        }
        return try found.filter { try !$0.transfer.units.isZero && isOurs($0.transfer.address) }
    }

    /// nil: not received, or in no block of the range.
    private func listed(_ entry: JSONObject, _ range: ClosedRange<Int64>) throws -> ChainTransfer? {
        guard try entry.member("confirmations").integer("confirmations") > 0, let (ordinal, transfer) = try received(entry) else {
            return nil
        }
        let block = try entry.member("blockheight").integer("blockheight")
        guard range.contains(block) else { return nil }
        return ChainTransfer(
            transaction: try entry.member("txid").string("txid"), ordinal: ordinal, transfer: transfer, block: block,
            blockHash: try entry.member("blockhash").string("blockhash"))
    }

    /// Bech32 addresses may be written in capitals (BIP 173); in the older ones case counts.
    func canonical(address: String) -> String {
        let lower = address.lowercased()
        return ["bc1", "tb1", "bcrt1"].contains { lower.hasPrefix($0) } ? lower : address
    }
    func canonical(transaction: String) -> String { transaction.lowercased() }
}
