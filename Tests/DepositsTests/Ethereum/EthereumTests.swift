import ExchangeKit
import JobKit
import OutsideKit
import Testing

@testable import Deposits

/// The whole way from a block to the wallet on a real EVM. One after another: an EVM in Python
/// takes a processor for itself.
@Suite(.serialized) struct EthereumTests {
    private let node: EVMNode
    private let platform: Platform
    /// Of a token with 6 decimals that is on the list.
    private let token: String
    private static let address = "0xA11cE00000000000000000000000000000000001"

    init() throws {
        node = try EVMNode()
        platform = try Platform()
        token = try node.deploy()
        var chain = ChainSettings()
        chain.url = node.url
        chain.chainID = EVMNode.chainID
        chain.confirmations = 3
        chain.startBlock = 0
        chain.attempts = 2
        chain.timeLimit = .minutes(5)
        chain.tokens = [TokenSettings(contract: token, currency: "USDT", decimals: 6)]
        platform.chains = ["ethereum": chain]
        try platform.sql("INSERT INTO chains (name, confirmations) VALUES ('ethereum', 12)")
        try platform.sql("INSERT INTO deposit_addresses (chain, address, owner) VALUES ('ethereum', ?, 'user:alice')", [
            .text(Self.address.lowercased())
        ])
    }

    private func rows() throws -> [String] {
        try platform.test.texts("SELECT ordinal, amount, status FROM deposits ORDER BY id")
    }
    private func money(_ currency: String) throws -> String { try platform.test.money("user:alice", currency) }

    @Test func nativeCoinsAndTokensAreFoundConfirmedAndCredited() throws {
        let fake = try node.deploy()
        let other = "0xb0b0000000000000000000000000000000000002"
        let coin = try node.pay("1500000000000000000", to: Self.address, nonce: 0)
        // Several in one transaction: to somebody else, zero, and two that count.
        let tokens = try node.transfer(
            [(other, "1"), (Self.address, "0"), (Self.address, "12d687"), (Self.address, "1")], token: token, nonce: 1)
        try node.transfer([(Self.address, "f4240")], token: fake, nonce: 2)
        try node.transfer([(Self.address, "7")], token: token, .erc721, nonce: 3)
        let failed = try node.transfer([(Self.address, "f4240")], token: token, .fails, nonce: 4)
        try node.pay("0", to: Self.address, nonce: 5)
        try node.pay("7", to: other, nonce: 6)
        try node.mine()
        let scan = try platform.scan()
        #expect(scan.report.errors == 0, "\(scan.report.lines)")
        #expect(scan.found == 3)
        #expect(Set(try platform.test.texts("SELECT tx_hash, ordinal, token, amount FROM deposits")) == [
            "\(coin) 0  1.5", "\(tokens) 3 \(token.lowercased()) 1.234567", "\(tokens) 4 \(token.lowercased()) 0.000001",
        ])
        // A listener that took the failed one for a deposit, in other letters.
        try platform.deposit(failed.uppercased().replacing("0X", with: "0x"), "0", chain: "ethereum")
        try platform.confirm()
        #expect(Set(try platform.statuses()) == ["CONFIRMING"])
        try node.mine(2)
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["CREDITED", "CREDITED", "CREDITED", "FAILED"])
        #expect(try platform.reason("4") == "the transaction failed on the chain")
        #expect(try money("ETH") == "1.5 0")
        #expect(try money("USDT") == "1.234568 0")
        #expect(try platform.test.differences() == [])
        #expect(try platform.scan().found == 0)
    }

    @Test func anAmountOf256BitsIsRefusedNotCut() throws {
        try node.transfer([(Self.address, String(repeating: "f", count: 64))], token: token, nonce: 0)
        try node.mine(4)
        try platform.scan()
        try platform.confirm()
        try platform.credit()
        #expect(try rows() == ["1 0 AMOUNT_UNSUPPORTED"])
        #expect(try platform.test.texts("SELECT units FROM deposits") == [
            "115792089237316195423570985008687907853269984665640564039457584007913129639935"
        ])
    }

    /// The same transaction comes back in another block, behind others: other log indexes.
    @Test(arguments: ["CONFIRMING", "CONFIRMED", "CREDITED"])
    func aReorganisationIsSurvived(_ status: String) throws {
        let before = try node.snapshot()
        let hash = try node.transfer([(Self.address, "f4240")], token: token, nonce: 0)
        try node.mine()
        try platform.scan()
        let index = try logIndex(hash)
        if status != "CONFIRMING" { try node.mine(2) }
        try platform.confirm()
        if status == "CREDITED" { try platform.credit() }
        #expect(try platform.statuses() == [status])

        try node.revert(to: before)
        // Nodes of another length: as far as the old chain, without it.
        try node.pay("1", to: "0xb0b0000000000000000000000000000000000002", from: 3, nonce: 0)
        try node.mine(4)
        if status == "CONFIRMED" { #expect(try platform.credit().credited == 0) }
        try platform.confirm()
        #expect(try platform.statuses() == [status == "CREDITED" ? "REVERSAL_REQUIRED" : "PENDING"])

        try node.transfer([(Self.address, "1"), (Self.address, "2")], token: token, from: 1, nonce: 0)
        #expect(try node.transfer([(Self.address, "f4240")], token: token, nonce: 0) == hash)
        try node.mine()
        #expect(try logIndex(hash) != index)
        try platform.confirm()
        #expect(try platform.statuses() == [status == "CREDITED" ? "CREDITED" : "CONFIRMING"])
        try platform.scan()
        try node.mine(2)
        for _ in 0 ..< 2 {
            try platform.confirm()
            try platform.credit()
        }
        #expect(try platform.statuses() == ["CREDITED", "CREDITED", "CREDITED"])
        #expect(try money("USDT") == "1.000003 0")
        #expect(try platform.test.texts("SELECT count(*) FROM outbox_events WHERE event = 'BalanceCredited'") == ["3"])
        #expect(try platform.test.differences() == [])
    }

    private func logIndex(_ hash: String) throws -> JSON? {
        let receipt = try node.ask("eth_getTransactionReceipt", [.string(hash)]).object("receipt")
        return try receipt.member("logs").array("logs").first?.objectValue?["logIndex"]
    }

    @Test(arguments: ["500", "429", "garbage", "null", "error", "drop"])
    func aNodeThatFailsIsAskedAgainAndThenLeftForLater(_ fault: String) throws {
        try node.pay("1", to: Self.address, nonce: 0)
        try node.mine(3)
        try platform.scan()
        // Once is overcome.
        try node.misbehave([fault])
        #expect(try platform.confirm().report.errors == 0)
        #expect(try platform.statuses() == ["CONFIRMED"])
        // For good: nothing is written, and the run is tried again.
        try node.misbehave(Array(repeating: fault, count: 20))
        let run = try platform.credit()
        #expect(run.report.errors == 1)
        guard case .retry(let text, _, _)? = run.report.outcome(chains: run.chains) else {
            Issue.record("no retry: \(run.report.lines)")
            return
        }
        #expect(text.hasPrefix("chain ethereum: "))
        #expect(try platform.statuses() == ["CONFIRMED"])
        try node.misbehave()
        try platform.credit()
        #expect(try platform.statuses() == ["CREDITED"])
    }

    @Test func aNodeThatDoesNotAnswerIsLeftAfterTheTimeLimit() throws {
        try node.pay("1", to: Self.address, nonce: 0)
        try node.mine(3)
        try platform.scan()
        platform.chains["ethereum"]?.timeLimit = .milliseconds(300)
        try node.misbehave(["hang", "hang"])
        let run = try platform.confirm()
        #expect(run.report.texts(.error).first?.contains("no answer within 300ms") == true, "\(run.report.lines)")
        #expect(try platform.statuses() == ["PENDING"])
    }

    @Test func anotherChainIsNotBelieved() throws {
        try node.pay("1", to: Self.address, nonce: 0)
        try node.mine(3)
        try platform.scan()
        try node.misbehave(wrong: [("eth_chainId", "0x1")])
        var run = try platform.confirm()
        #expect(run.report.texts(.error) == [
            "chain ethereum: the node is of chain id 1, not 131277322940537; nothing it says is believed"
        ])
        try node.misbehave()
        platform.chains["ethereum"]?.genesis = "0x" + String(repeating: "1", count: 64)
        run = try platform.confirm()
        #expect(run.report.texts(.error).first?.contains("this is another chain, its first block is 0x") == true)
        platform.chains["ethereum"]?.genesis = nil
        // A test network that was begun anew.
        try platform.sql("UPDATE chains SET genesis = '0x00' WHERE name = 'ethereum'")
        #expect(try platform.confirm().report.errors == 1)
        #expect(try platform.statuses() == ["PENDING"])
    }

    @Test func aNodeThatIsStillSyncingIsWaitedFor() throws {
        try node.misbehave(wrong: [("eth_syncing", .object(JSONObject([("currentBlock", "0x1")])))])
        #expect(try platform.scan().report.texts(.error) == ["chain ethereum: the node is still syncing"])
    }

    /// A head that is ahead of the node's blocks, and one that goes back.
    @Test func logsPastTheHeadAreAnErrorNotAnEmptyList() throws {
        try node.mine()
        try platform.scan()
        let position = try platform.test.number("SELECT position FROM checkpoints WHERE name = 'deposits/scan/ethereum'")
        try node.misbehave(wrong: [("eth_blockNumber", "0x40")])
        let run = try platform.scan()
        #expect(run.report.errors == 1)
        #expect(run.blocks == 0)
        #expect(try platform.test.number("SELECT position FROM checkpoints WHERE name = 'deposits/scan/ethereum'") == position)
        // Asked for directly, too.
        let set = try ChainSet(platform.chains)
        let chain = try set.open(set.plans[0], platform.exchange, mayRecord: false)
        let failure = #expect(throws: JobFailure.self) { try chain.transfers(in: 1 ... 60) { _ in true } }
        #expect(failure?.text.contains("the node has no block 60") == true)
        try node.misbehave()
        try node.pay("1", to: Self.address, nonce: 0)
        try node.mine()
        #expect(try platform.scan().found == 1)
    }

    @Test func aHeadThatGoesBackTakesNothingForGone() throws {
        let before = try node.snapshot()
        try node.pay("1", to: Self.address, nonce: 0)
        try node.mine(3)
        try platform.scan()
        try platform.confirm()
        #expect(try platform.statuses() == ["CONFIRMED"])
        try node.revert(to: before)
        let run = try platform.confirm()
        #expect(run.report.texts(.warning).first?.contains("nothing is taken for gone") == true)
        #expect(try platform.statuses() == ["CONFIRMED"])
        try node.mine(4)
        try platform.confirm()
        #expect(try platform.statuses() == ["PENDING"])
    }

    @Test(arguments: [ConfirmOn.safe, .finalized])
    func whatTheChainCallsSafeOrFinalIsConfirmed(_ tag: ConfirmOn) throws {
        platform.chains["ethereum"]?.confirmOn = tag
        platform.chains["ethereum"]?.confirmations = 100
        let set = try ChainSet(platform.chains)
        try node.pay("1", to: Self.address, nonce: 0)
        let head = try node.mine()
        try platform.scan()
        let chain = try set.open(set.plans[0], platform.exchange, mayRecord: false)
        let settled = try #require(try chain.head().settled)
        try platform.confirm()
        #expect(try platform.statuses() == [settled >= head ? "CONFIRMED" : "CONFIRMING"])
        try node.mine(80)
        try platform.confirm()
        #expect(try platform.statuses() == ["CONFIRMED"])
    }

    /// Many deposits in one block: its hash is enough.
    @Test func whatWasComparedOnceCostsOneQuestionForEachBlock() throws {
        // However long an answer takes here.
        platform.chains["ethereum"]?.timeLimit = .minutes(5)
        for nonce in 0 ..< 30 { try node.pay("\(nonce + 1)", to: Self.address, nonce: nonce) }
        try node.mine(2)
        try platform.scan()
        try platform.confirm()
        #expect(try platform.statuses().count == 30)
        try node.mine()
        let before = try node.questions().count
        #expect(try platform.confirm().report.errors == 0)
        #expect(Set(try platform.statuses()) == ["CONFIRMED"])
        // Which chain, its first block, its head and the block there, and the block of the thirty deposits.
        let asked = try node.questions().dropFirst(before)
        #expect(asked.allSatisfy { $0.hasPrefix("eth_chainId") || $0.hasPrefix("eth_syncing") || $0.hasPrefix("eth_blockNumber")
            || $0.hasPrefix("eth_getBlockByNumber") }, "\(asked)")
        #expect(asked.count { $0.hasPrefix("eth_getBlockByNumber") } == 3, "\(asked)")
        #expect(asked.count <= 6, "\(asked)")
    }
}
