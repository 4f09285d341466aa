import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import OutsideTestKit
import Testing

@testable import MintQueue

@Suite struct MintEntryTests {
    private let sale = #"{"assetId": 7, "size": "1.5", "createdAt": "2026-01-05T12:00:00Z"}"#

    @Test(arguments: [
        ("{}", "url: minter = \"http\" needs its address"),
        (#"{"url": "ftp://x"}"#, "url: this is no address"),
        (#"{"url": "http://minter.example", "token": "env:MINTER"}"#, "url: a token does not go over plain http to another machine"),
        (#"{"minter": "paper", "max_size": "-1"}"#, "max_size: -1 is below 0"),
        (#"{"minter": "ppaer"}"#, "minter: \"ppaer\" is not allowed (one of \"http\", \"paper\")"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        let said = TestRun(settings: settings).validate(MintEntry.self)
        #expect(said?.hasPrefix(sentence) == true, "\(said ?? "accepted")")
    }

    @Test func badSettingsOfPositionsToo() throws {
        #expect(TestRun(settings: "{}").validate(ManagePositionEntry.self)?.hasPrefix("url: gateway = \"http\" needs its address") == true)
        #expect(TestRun(settings: #"{"gateway": "paper", "exchange": ""}"#).validate(ManagePositionEntry.self) == "exchange: the name is empty")
        #expect(TestRun(settings: #"{"gateway": "paper", "max_notional": "-2"}"#).validate(ManagePositionEntry.self) == "max_notional: -2 is below 0")
    }

    @Test func thePayloadSchemaLetsTheHostRefuseAtTheDoor() {
        #expect(MintEntry.info.payloadSchema
            == #"{"type":"object","additionalProperties":false,"properties":{"assetId":{"type":["string","integer"]},"#
            + #""size":{"type":["string","number"],"format":"decimal"},"createdAt":{"type":["string","integer"]}},"#
            + #""required":["assetId","size","createdAt"]}"#)
        #expect(ManagePositionEntry.info.payloadSchema.contains(#""originalOrders":{"type":"array","items":{"type":["string","integer"]}}"#))
        #expect(MintEntry.info.defaultSchedule == "" && ManagePositionEntry.info.defaultSchedule == "")
    }

    @Test(arguments: [
        (#"{"assetId": 7, "size": "x", "createdAt": 0}"#, "payload: 'x' is not a decimal number"),
        (#"{"assetId": 7, "size": "1", "createdAt": "soon"}"#, "payload: createdAt: an instant is \"2026-05-01T12:00:00Z\""),
        (#"{"assetId": true, "size": "1", "createdAt": 0}"#, "payload: assetId: an id is a text of 1 to 200 bytes or a whole number"),
        (#"{"assetId": 7, "size": "0", "createdAt": 0}"#, "payload: size 0 is not above 0"),
        (#"{"assetId": 7, "createdAt": 0}"#, "payload: "),
    ])
    func aPayloadThatMakesNoSenseIsForGood(_ payload: String, _ sentence: String) {
        let test = TestRun(settings: #"{"minter": "paper", "mode": "live"}"#, payload: payload)
        #expect(test.run(MintEntry.self) == .failed)
        #expect(test.text.hasPrefix(sentence), "\(test.text)")
    }

    /// Its number is another sale's in another store, or in a new one.
    @Test func aRunWithoutAUniqueKeyMintsNothing() throws {
        let exchange = try TestExchange(.disk, statements: .mintQueue)
        let test = TestRun(settings: #"{"minter": "paper", "mode": "live", "database": "\#(exchange.database)"}"#, payload: sale)
        test.idempotencyKey = "run-17"
        #expect(test.run(MintEntry.self) == .failed)
        #expect(test.text == "it was enqueued without a unique key, and run-17 is another sale's in another store: nothing was sent; "
            + "enqueue it with the sale's own id as its key")
        #expect(try exchange.count("mint_requests") == 0)
        #expect(["run-", "run-1a", "rerun-1", "run-1 ", "sale-1"].allSatisfy { !MintOrder.isNumbered($0) })
    }

    /// Sent before such keys were refused, and what became of it is not known.
    @Test func oneThatIsOnRecordUnderItsNumberIsAskedForAndNotRefused() throws {
        let exchange = try TestExchange(.disk, statements: .mintQueue)
        try exchange.connection.run(
            """
            INSERT INTO mint_requests (cause, asset_id, size, status, attempts, created_ms, updated_ms)
            VALUES ('run-17', '7', '1.5', 'failed', 1, 0, 0)
            """)
        let test = TestRun(settings: #"{"minter": "paper", "mode": "live", "database": "\#(exchange.database)"}"#, payload: sale)
        test.idempotencyKey = "run-17"
        #expect(test.run(MintEntry.self) == .failed)
        #expect(test.text.contains("was refused"), "\(test.text)")
        #expect(try exchange.count("mint_requests") == 1)
    }

    @Test func offItWaitsInTheQueueInsteadOfBeingLost() {
        let mint = TestRun(settings: #"{"minter": "paper", "mode": "off"}"#, payload: sale)
        #expect(mint.run(MintEntry.self) == .snooze)
        #expect(mint.snoozeUntil != nil)
        let position = TestRun(
            settings: #"{"gateway": "paper", "mode": "off"}"#, payload: #"{"tradeId": 1, "originalOrders": [], "createdAt": 0}"#)
        #expect(position.run(ManagePositionEntry.self) == .snooze)
    }

    @Test func onPaperItMintsInASimulation() throws {
        let exchange = try TestExchange(.disk, statements: .mintQueue)
        let test = TestRun(
            settings: #"{"minter": "paper", "mode": "live", "database": "\#(exchange.database)", "paper": {"lost_percent": 100, "refused_percent": 0}}"#,
            payload: sale)
        test.idempotencyKey = "sale-1"
        #expect(test.run(MintEntry.self) == .succeeded)
        #expect(test.text == "Minted: mint sale-1 of 1.5 of asset 7, reference paper-sale-1, 1 request sent")
        #expect(try exchange.texts("SELECT key, size, status FROM paper_mints") == ["sale-1 1.5 minted"])
        #expect(test.samples.contains { $0.name == "mints" && $0.labels == ["result": "minted"] && $0.value == 1 })
        #expect(test.items == 1)
    }

    @Test func onPaperPositionsArePlacedInASimulation() throws {
        let exchange = try TestExchange(.disk, statements: .mintQueue)
        try exchange.connection.run(
            """
            INSERT INTO exchange_orders (exchange, client_id, pair_id, side, price, quantity, executed, status, placed_ms)
            VALUES ('main', 't', ?, 'buy', '100', '10', '4', 'expired', 1)
            """, [.int(try exchange.pair("BTC/USD"))])
        let test = TestRun(
            settings: #"{"gateway": "paper", "mode": "live", "max_age": "100000d", "database": "\#(exchange.database)", "paper": {"lost_percent": 0, "refused_percent": 0}}"#,
            payload: #"{"tradeId": 17, "originalOrders": ["t"], "createdAt": 0}"#)
        #expect(test.run(ManagePositionEntry.self) == .succeeded)
        #expect(test.text == "Managed 1 order of trade 17: 1 placed again, 0 left as they are")
        #expect(try exchange.texts("SELECT client_id, quantity, status FROM paper_placements") == ["t-1 6 filled"])
    }

    @Test func paperKeepsAwayFromRealMoney() throws {
        let exchange = try TestExchange(.disk, purpose: .live, statements: .mintQueue)
        let settings = #"{"minter": "paper", "mode": "live", "database": "\#(exchange.database)"}"#
        let test = TestRun(settings: settings, payload: sale)
        #expect(test.run(MintEntry.self) == .failed)
        #expect(test.text.hasSuffix("was not created as a simulation: nothing is minted or placed on paper there"))
        #expect(try exchange.count("mint_requests") == 0)
    }

    @Test func overHTTPTheBreakerIsKeptForTheNextRun() throws {
        let server = try LoopbackServer { _ in .respond(500) }
        defer { server.close() }
        let exchange = try TestExchange(.disk, statements: .mintQueue)
        let test = TestRun(
            settings: #"{"url": "\#(server.url)", "mode": "live", "database": "\#(exchange.database)", "calls": {"retry": {"max_attempts": 1}, "breaker": {"failures": 2}}}"#,
            payload: sale)
        test.idempotencyKey = "sale-1"
        // The order and the question after it are two failures.
        #expect(test.run(MintEntry.self) == .retry)
        let kept = try #require(test.stateAlways)
        #expect(server.requests.map(\.method) == ["PUT", "GET"])
        test.state = kept
        #expect(test.run(MintEntry.self) == .retry)
        #expect(test.text.contains("breaker is open"), "\(test.text)")
        #expect(test.notBefore != nil)
        #expect(server.requests.count == 2)
        #expect(try exchange.texts("SELECT status, attempts FROM mint_requests") == ["unknown 1"])
    }

    @Test func theTokenIsSentAndNeverSaid() throws {
        let server = try LoopbackServer { _ in .json(#"{"reason": "Bearer hunter2 may not"}"#, status: 422) }
        defer { server.close() }
        let exchange = try TestExchange(.disk, statements: .mintQueue)
        let test = TestRun(
            settings: #"{"url": "\#(server.url)", "token": "hunter2", "mode": "live", "database": "\#(exchange.database)"}"#, payload: sale)
        #expect(test.run(MintEntry.self) == .failed)
        #expect(server.requests.first?.headers["authorization"] == "Bearer hunter2")
        let said = test.text + test.log.map(\.text).joined() + (try exchange.texts("SELECT reason FROM mint_requests").joined())
        #expect(said.contains("may not") && !said.contains("hunter2"), "\(said)")
    }
}
