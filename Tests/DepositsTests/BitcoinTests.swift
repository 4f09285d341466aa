import ExchangeKit
import Foundation
import JobKit
import Synchronization
import Testing

@testable import Deposits

/// Bitcoin Core's wallet as its documentation describes the answers of these methods.
private final class BitcoinWallet: Sendable {
    struct Output {
        var transaction: String
        var vout: Int64
        var address: String
        /// As Bitcoin Core prints it.
        var amount: String
        var category = "receive"
        /// nil: in no block. Below zero: another transaction has spent the same coins.
        var block: Int64?
        var isConflicted = false
    }
    struct State {
        var blocks: [String] = ["000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"]
        var outputs: [Output] = []
        var isDownloading = false
        /// By how much the height that it tells is above its last block.
        var boast: Int64 = 0
        /// The code of the fault that every method answers with.
        var fault: Int?
    }
    let state = Mutex(State())

    func call(_ method: String, _ params: [JSON]) throws -> JSON {
        try state.withLock { state in
            if let fault = state.fault { throw ScriptedNode.Fault(code: fault) }
            switch method {
            case "getblockchaininfo":
                return .make([
                    ("blocks", .int(Int64(state.blocks.count - 1) + state.boast)), ("initialblockdownload", .bool(state.isDownloading)),
                ])
            case "getblockhash":
                let height = Int(try params[0].integer("height"))
                guard state.blocks.indices.contains(height) else { throw ScriptedNode.Fault(code: -8) }
                return .string(state.blocks[height])
            case "gettransaction":
                let id = try params[0].string("txid")
                let outputs = state.outputs.filter { $0.transaction == id }
                guard let first = outputs.first else { throw ScriptedNode.Fault(code: -5) }
                let details = JSON.array(outputs.map { .make(Self.entry($0)) })
                return .make(Self.place(first, state) + [("txid", .string(id)), ("details", details)])
            case "listsinceblock":
                let since = try params[0].string("blockhash")
                let height = Int64(state.blocks.firstIndex(of: since) ?? -1)
                let listed = state.outputs.filter { $0.block.map { $0 > height } ?? true }
                let entries = listed.map { output in
                    JSON.make(Self.entry(output) + Self.place(output, state) + [("txid", .string(output.transaction))])
                }
                let last = JSON.string(state.blocks.last ?? "")
                return .make([("transactions", .array(entries)), ("removed", .array([])), ("lastblock", last)])
            default: throw ScriptedNode.Fault(code: -32601)
            }
        }
    }

    private static func entry(_ output: Output) -> [(String, JSON)] {
        [
            ("address", .string(output.address)), ("category", .string(output.category)), ("amount", .number(output.amount)),
            ("vout", .int(output.vout)),
        ]
    }
    private static func place(_ output: Output, _ state: State) -> [(String, JSON)] {
        guard let block = output.block else { return [("confirmations", .int(output.isConflicted ? -3 : 0))] }
        return [
            ("confirmations", .int(Int64(state.blocks.count) - block)), ("blockheight", .int(block)),
            ("blockhash", .string(state.blocks[Int(block)])),
        ]
    }

    func mine(_ count: Int = 1, fork: String = "a") {
        state.withLock { state in
            for _ in 0 ..< count { state.blocks.append("\(state.blocks.count)\(fork)") }
        }
    }
    func receive(_ output: Output) { state.withLock { $0.outputs.append(output) } }
    func rewind(to height: Int) {
        state.withLock { state in
            state.blocks.removeSubrange(height...)
            for index in state.outputs.indices where (state.outputs[index].block ?? 0) >= Int64(height) {
                state.outputs[index].block = nil
            }
        }
    }
}

@Suite struct BitcoinTests {
    private let wallet = BitcoinWallet()
    private let node: ScriptedNode
    private let platform: Platform
    private static let address = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"

    init() throws {
        let wallet = wallet
        node = try ScriptedNode { try wallet.call($0, $1) }
        platform = try Platform()
        var chain = ChainSettings()
        chain.url = node.url + "/wallet/deposits"
        chain.user = "ops"
        chain.password = "secret"
        chain.startBlock = 0
        chain.attempts = 1
        platform.chains = ["bitcoin": chain]
        try platform.sql("INSERT INTO chains (name, confirmations) VALUES ('bitcoin', 6)")
        try platform.sql("INSERT INTO deposit_addresses VALUES ('bitcoin', ?, 'user:alice')", [.text(Self.address)])
        wallet.mine()
    }

    @Test func thePasswordMayBeAVariableOfTheWorker() throws {
        var chain = ChainSettings()
        (chain.url, chain.user, chain.password) = ("https://node.example", "ops", "env:PATH")
        let path = try #require(ProcessInfo.processInfo.environment["PATH"])
        let header = try ChainPlan(name: "bitcoin", chain).headers().first
        #expect(header?.value == "Basic " + Data("ops:\(path)".utf8).base64EncodedString())
    }

    private func output(_ transaction: String, _ amount: String, vout: Int64 = 0, block: Int64?) -> BitcoinWallet.Output {
        BitcoinWallet.Output(transaction: transaction, vout: vout, address: Self.address, amount: amount, block: block)
    }

    @Test func whatTheWalletReceivesIsCreditedAfterSixBlocks() throws {
        wallet.receive(output("aa", "0.05000000", vout: 1, block: 1))
        wallet.receive(output("aa", "0.00000001", vout: 3, block: 1))
        var sent = output("bb", "-1.00000000", block: 1)
        sent.category = "send"
        wallet.receive(sent)
        var mined = output("cc", "3.12500000", block: 1)
        mined.category = "immature"
        wallet.receive(mined)
        wallet.receive(output("dd", "1.00000000", block: nil))
        let scan = try platform.scan()
        #expect(scan.found == 2, "\(scan.report.lines)")
        #expect(try platform.test.texts("SELECT tx_hash, ordinal, amount, units FROM deposits ORDER BY id") == [
            "aa 1 0.05 5000000", "aa 3 0.00000001 1",
        ])
        #expect(node.headers["authorization"] == "Basic b3BzOnNlY3JldA==")
        wallet.mine(4)
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMING 1 5", "CONFIRMING 1 5"])
        wallet.mine()
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["CREDITED", "CREDITED"])
        #expect(try platform.test.money("user:alice", "BTC") == "0.05000001 0")
    }

    @Test func aReorganisationAndADoubleSpendAreSurvived() throws {
        wallet.receive(output("aa", "1.00000000", block: 1))
        try platform.scan()
        wallet.mine(5)
        try platform.confirm()
        #expect(try platform.statuses() == ["CONFIRMED"])
        wallet.rewind(to: 1)
        wallet.mine(6, fork: "b")
        #expect(try platform.credit().waiting == 1)
        try platform.confirm()
        #expect(try platform.statuses() == ["PENDING"])
        #expect(try platform.test.texts("SELECT missing_ms FROM deposits") == ["-"])
        // Its coins went elsewhere.
        wallet.state.withLock { $0.outputs[0].isConflicted = true }
        try platform.confirm()
        #expect(try platform.test.texts("SELECT missing_ms FROM deposits") == ["\(noon)"])
        try platform.confirm(at: noon + 86_400_000)
        #expect(try platform.statuses() == ["DROPPED"])
    }

    /// It would confirm everything, and make every true head look like that of a node that lags behind.
    @Test func anAbsurdHeadIsNotBelieved() throws {
        wallet.receive(output("aa", "1.00000000", block: 1))
        try platform.scan()
        wallet.state.withLock { $0.boast = 1_000_000 }
        let run = try platform.confirm()
        #expect(run.report.texts(.error) == ["chain bitcoin: the node has no block at its head 1000001: not believed"])
        #expect(try platform.statuses() == ["PENDING"])
        wallet.state.withLock { $0.boast = 0 }
        #expect(try platform.confirm().report.texts(.warning) == [])
        #expect(try platform.rows() == ["CONFIRMING 1 1"])
    }

    /// Of two nodes behind one address, one is a little behind.
    @Test func aHeadALittleAboveTheLastBlockIsThatBlock() throws {
        wallet.receive(output("aa", "1.00000000", block: 1))
        try platform.scan()
        wallet.mine(4)
        wallet.state.withLock { $0.boast = 3 }
        #expect(try platform.confirm().report.errors == 0)
        #expect(try platform.rows() == ["CONFIRMING 1 5"])
    }

    @Test func aTransactionThatTheWalletDoesNotKnowIsAbsent() throws {
        let wallet = try Ledger(platform.exchange).wallet(owner: "user:alice", currency: "BTC")
        try platform.deposit("ee", "1", wallet: wallet, chain: "bitcoin")
        try platform.confirm()
        #expect(try platform.test.texts("SELECT status, missing_ms FROM deposits") == ["PENDING \(noon)"])
    }

    @Test(arguments: [-28, -9, -32603])
    func aNodeThatWarmsUpIsWaitedFor(_ code: Int) throws {
        wallet.state.withLock { $0.fault = code }
        let run = try platform.scan()
        guard case .retry? = run.report.outcome(chains: 1) else {
            Issue.record("no retry: \(run.report.lines)")
            return
        }
    }

    @Test func aNodeThatDownloadsOrIsOfAnotherNetworkIsNotBelieved() throws {
        wallet.state.withLock { $0.isDownloading = true }
        #expect(try platform.scan().report.texts(.error) == ["chain bitcoin: the node is still downloading blocks"])
        wallet.state.withLock { $0.blocks[0] = "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943" }
        #expect(try platform.scan().report.texts(.error).first?.hasPrefix("chain bitcoin: this is another chain") == true)
    }

    @Test func aRangeBeyondTheHeadIsAnError() throws {
        let set = try ChainSet(platform.chains)
        let chain = try set.open(set.plans[0], platform.exchange, mayRecord: false)
        let failure = #expect(throws: JobFailure.self) { try chain.transfers(in: 1 ... 2) { _ in true } }
        #expect(failure?.text.contains("the node has no block 2") == true)
        #expect(try chain.blockHashes([1, 2]) == [1: "1a"])
        // The list has all that came since; only the range is asked for.
        wallet.mine(2)
        for block in Int64(1) ... 3 { wallet.receive(output("t\(block)", "1.00000000", block: block)) }
        #expect(try chain.transfers(in: 2 ... 2) { _ in true }.map(\.transaction) == ["t2"])
    }

    @Test func bech32IsFoundWithoutCaseAndBase58WithIt() throws {
        let set = try ChainSet(platform.chains)
        let chain = try set.open(set.plans[0], platform.exchange, mayRecord: false)
        #expect(chain.canonical(address: Self.address.uppercased()) == Self.address)
        #expect(chain.canonical(address: "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa") == "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")
    }
}
