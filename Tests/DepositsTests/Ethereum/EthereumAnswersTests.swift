import ExchangeKit
import JobKit
import Testing

@testable import Deposits

/// What a real node says seldom, or not on command.
@Suite struct EthereumAnswersTests {
    private static let token = "0xdac17f958d2ee523a2206206994597c13d831ec7"
    private static let address = "0xa11ce00000000000000000000000000000000001"

    private static func log(
        _ hash: String = "0xaa", topics: Int = 3, data: String = "0x" + String(repeating: "0", count: 63) + "7",
        topic: String = TransferLog.topic, removed: Bool = false
    ) -> JSON {
        let word = "0x000000000000000000000000" + address.dropFirst(2)
        return .make([
            ("address", .string(token.uppercased().replacing("0X", with: "0x"))),
            ("topics", .array([.string(topic), .string(word), .string(word), .string(word)].prefix(topics).map { $0 })),
            ("data", .string(data)), ("transactionHash", .string(hash)), ("removed", .bool(removed)),
        ])
    }

    @Test func anERC20TransferIsReadWithoutCase() throws {
        let log = try #require(try TransferLog(Self.log()))
        #expect(log.token == Self.token)
        #expect(log.recipient == Self.address)
        #expect(log.units.description == "7")
    }

    @Test func otherEventsAreNoTransfers() throws {
        #expect(try TransferLog(Self.log(topics: 4, data: "0x")) == nil)
        #expect(try TransferLog(Self.log(topics: 1)) == nil)
        #expect(try TransferLog(Self.log(data: "0x07")) == nil)
        #expect(try TransferLog(Self.log(topic: "0x" + String(repeating: "1", count: 64))) == nil)
        #expect(throws: ChainNode.Nonsense.self) { try TransferLog(Self.log(data: "0xzz")) }
    }

    /// Logs that a reorganisation took back, and a transaction between two blocks.
    @Test func removedLogsAreIgnored() throws {
        let node = try ScriptedNode { method, params in
            switch method {
            case "eth_getLogs": return .array([Self.log("0xaa", removed: true)])
            case "eth_getBlockByNumber":
                return .make([("number", params[0]), ("hash", "0xb10c"), ("transactions", .array([]))])
            default: throw ScriptedNode.Fault(code: -32601)
            }
        }
        let chain = try chain(node)
        #expect(try chain.transfers(in: 1 ... 3) { _ in true } == [])
    }

    @Test func aTransactionThatIsNeitherHereNorThereIsNotJudged() throws {
        let node = try ScriptedNode { method, _ in
            // Its block came between the two questions.
            method == "eth_getTransactionReceipt" ? .null : .make([("blockHash", "0xb10c"), ("to", .null), ("value", "0x1")])
        }
        #expect(try chain(node).sightings(["0xaa"]) == [:])
    }

    @Test func aReceiptOfAnotherBlockThanTheTransactionIsNotJudged() throws {
        let node = try ScriptedNode { method, _ in
            method == "eth_getTransactionReceipt"
                ? .make([("blockHash", "0xaaaa"), ("blockNumber", "0x1"), ("status", "0x1"), ("logs", .array([]))])
                : .make([("blockHash", "0xbbbb"), ("to", .null), ("value", "0x1")])
        }
        #expect(try chain(node).sightings(["0xaa"]) == [:])
    }

    @Test func aBlockOfAnotherHeightIsNonsense() throws {
        let node = try ScriptedNode { _, _ in .make([("number", "0x9"), ("hash", "0xb10c")]) }
        let failure = #expect(throws: JobFailure.self) { try chain(node).blockHashes([8]) }
        #expect(failure?.kind == .transient)
        #expect(failure?.text.contains("asked for block 8, got another one") == true)
    }

    private func chain(_ node: ScriptedNode) throws -> any Chain {
        var settings = ChainSettings()
        settings.url = node.url
        settings.tokens = [TokenSettings(contract: Self.token, currency: "USDT", decimals: 6)]
        settings.attempts = 1
        let set = try ChainSet(["ethereum": settings])
        return try set.open(set.plans[0], Platform().exchange, mayRecord: false)
    }
}
