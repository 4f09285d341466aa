import ExchangeKit
import JobKit
import OutsideKit
import OutsideTestKit
import Testing

@testable import MintQueue

/// The protocol of the minter and of the order gateway, against a server on loopback.
@Suite struct HTTPTests {
    private let order = MintOrder(key: "sale 1/ü", asset: "7", size: Amount(2), createdAt: noon)

    private func peer(_ attempts: Int = 1) -> Peer {
        var calls = CallSettings()
        calls.retry.maxAttempts = attempts
        calls.retry.initial = .milliseconds(1)
        calls.timeLimit = .minutes(5)
        return Peer("minter", calls.policy)
    }
    private func put(_ reply: LoopbackServer.Reply, attempts: Int = 1) throws -> (Result<MintEvent, any Error>, [LoopbackServer.Request]) {
        let server = try LoopbackServer { _ in reply }
        defer { server.close() }
        let minter = HTTPMinter(http: try HTTPClient(base: server.url + "/v1"), peer: peer(attempts), looksUp: true)
        return (Result { try minter.put(order) }, server.requests)
    }
    private func look(_ reply: LoopbackServer.Reply) throws -> Result<MintEvent, any Error> {
        let server = try LoopbackServer { _ in reply }
        defer { server.close() }
        let minter = HTTPMinter(http: try HTTPClient(base: server.url), peer: peer(), looksUp: true)
        return Result { try minter.look("sale-1") }
    }

    @Test func aMintIsPutUnderItsKey() throws {
        let (event, requests) = try put(.json(#"{"status": "minted", "reference": "0xabc"}"#, status: 201))
        #expect(try event.get() == .minted(reference: "0xabc"))
        let request = try #require(requests.first)
        #expect(request.method == "PUT" && request.path == "/v1/mints/sale%201%2F%C3%BC")
        #expect(request.headers["idempotency-key"] != nil && request.headers["content-type"] == "application/json")
        #expect(request.text == #"{"assetId":"7","size":"2","createdAt":1767614400000}"#)
    }

    @Test(arguments: [
        (LoopbackServer.Reply.json(#"{"status": "pending"}"#, status: 202), MintEvent.pending),
        (.json(#"{"status": "failed", "reason": "out of stock"}"#), .refused(reason: "out of stock")),
    ])
    func whatTheMinterSays(_ reply: LoopbackServer.Reply, _ event: MintEvent) throws {
        #expect(try put(reply).0.get() == event)
        #expect(try look(reply).get() == event)
    }

    @Test(arguments: [400, 404, 410, 422])
    func aRefusalIsARefusal(_ status: Int) throws {
        let (event, requests) = try put(.json(#"{"reason": "no such asset"}"#, status: status), attempts: 3)
        guard case .refused(let reason) = try event.get() else {
            Issue.record("\(status) is no refusal")
            return
        }
        #expect(reason.hasSuffix("HTTP \(status): no such asset"))
        #expect(requests.count == 1)
    }

    @Test(arguments: [
        LoopbackServer.Reply.drop, .respond(500), .respond(502), .respond(503), .respond(504), .respond(408), .respond(409), .json("{"),
        .json(#"{"status": "maybe"}"#), .json("[]"), .raw("nonsense"),
    ])
    func whateverLeavesADoubtIsAnUnknownResultAndIsNotRepeated(_ reply: LoopbackServer.Reply) throws {
        let (event, requests) = try put(reply, attempts: 3)
        guard case .noAnswer = try event.get() else {
            Issue.record("\(reply.testDescription): \(event)")
            return
        }
        #expect(requests.count == 1)
    }

    @Test func aPortThatIsClosedWasNotSentTo() throws {
        let server = try LoopbackServer { _ in .drop }
        let url = server.url
        server.close()
        let minter = HTTPMinter(http: try HTTPClient(base: url), peer: peer(), looksUp: true)
        let error = #expect(throws: CallError.self) { _ = try minter.put(order) }
        #expect(error?.kind == .unavailable && error?.resultUnknown == false)
    }

    @Test(arguments: [401, 403])
    func aWrongTokenIsNoRefusalOfTheMint(_ status: Int) throws {
        let error = #expect(throws: CallError.self) { _ = try put(.respond(status)).0.get() }
        #expect(error?.kind == .denied)
    }

    @Test func aMinterThatAsksForPeaceWasNotSentTo() throws {
        let error = #expect(throws: CallError.self) { _ = try put(.respond(429, headers: ["Retry-After": "30"])).0.get() }
        guard case .throttled(let until)? = error?.kind else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(until != nil)
    }

    @Test func whatTheMinterNeverHeardOfIsNotKnown() throws {
        #expect(try look(.respond(404)).get() == .notKnown)
    }

    @Test(arguments: [LoopbackServer.Reply.respond(500), .drop, .json("{"), .json(#"{"status": "x"}"#)])
    func aQuestionWithoutAnAnswerIsNone(_ reply: LoopbackServer.Reply) throws {
        let error = #expect(throws: CallError.self) { _ = try look(reply).get() }
        #expect(error?.kind == .unavailable)
    }

    // MARK: The gateway

    private let failed = PlacedOrder(
        clientID: "t-1", pair: 1, symbol: "BTC/USD", side: "sell", price: Amount(100), quantity: Amount(6), executed: .zero,
        status: "pending", isPlaced: false, version: 1)
    private func gateway(_ reply: LoopbackServer.Reply) throws -> (Result<GatewayAnswer?, any Error>, Result<GatewayAnswer?, any Error>, [LoopbackServer.Request]) {
        let server = try LoopbackServer { _ in reply }
        defer { server.close() }
        let gateway = HTTPOrderGateway(http: try HTTPClient(base: server.url), peer: peer(3))
        return (Result { try gateway.place(failed) }, Result { try gateway.look("t-1") }, server.requests)
    }

    @Test func anOrderIsPutUnderItsClientID() throws {
        let (placed, looked, requests) = try gateway(.json(#"{"status": "partial", "executedQty": "1.50", "orderId": 99}"#))
        let answer = GatewayAnswer(status: "partial", executed: try amount("1.5"), reference: "99")
        #expect(try placed.get() == answer)
        #expect(try looked.get() == answer)
        #expect(requests.map { "\($0.method) \($0.path)" } == ["PUT /orders/t-1", "GET /orders/t-1"])
        #expect(requests.first?.text == #"{"symbol":"BTC/USD","side":"sell","price":"100","quantity":"6"}"#)
    }

    @Test func whatTheGatewaySaysOfAnOrder() throws {
        #expect(try gateway(.respond(404)).1.get() == nil)
        #expect(try gateway(.respond(422)).0.get()?.status == "rejected")
        for doubt in [LoopbackServer.Reply.drop, .respond(500), .json(#"{"status": "lost", "executedQty": "0"}"#), .json(#"{"status": "new", "executedQty": "-1"}"#)] {
            #expect(try gateway(doubt).0.get() == nil, "\(doubt.testDescription)")
        }
    }
}
