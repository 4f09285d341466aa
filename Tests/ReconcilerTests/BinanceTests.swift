import ExchangeKit
import JobCore
import JobKit
import OutsideTestKit
import Synchronization
import Testing

@testable import OutsideKit
@testable import Reconciler

/// A loopback server that speaks Binance's spot REST as documented, and refuses what Binance would.
final class BinanceServer: Sendable {
    static let apiKey = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    static let apiSecret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

    let server: LoopbackServer
    private let clock: ServerTime
    /// How far its clock is ahead, milliseconds.
    var ahead: Int64 {
        get { clock.ahead.withLock { $0 } }
        set { clock.ahead.withLock { $0 = newValue } }
    }

    private final class ServerTime: Sendable {
        let ahead = Mutex<Int64>(0)
        var now: Int64 { SystemTime().now().wall.milliseconds + ahead.withLock { $0 } }
    }

    /// - Parameter reply: to a request for an order that is signed, stamped and authorised well.
    init(_ reply: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Reply) throws {
        let clock = ServerTime()
        self.clock = clock
        server = try LoopbackServer { request in
            if request.path == "/api/v3/time" { return .json(#"{"serverTime":\#(clock.now)}"#) }
            return Self.refusal(request, now: clock.now) ?? reply(request)
        }
    }

    private static func refusal(_ request: LoopbackServer.Request, now: Int64) -> LoopbackServer.Reply? {
        func error(_ status: Int, _ code: Int, _ text: String) -> LoopbackServer.Reply {
            .json(#"{"code":\#(code),"msg":"\#(text)"}"#, status: status)
        }
        guard request.method == "GET", request.path == "/api/v3/order" else { return .respond(404) }
        guard request.headers["x-mbx-apikey"] == apiKey else {
            return error(401, -2015, "Invalid API-key, IP, or permissions for action.")
        }
        let parts = request.query.components(separatedBy: "&signature=")
        guard parts.count == 2, SHA256.hmac(key: Array(apiSecret.utf8), Array(parts[0].utf8)) == parts[1] else {
            return error(400, -1022, "Signature for this request is not valid.")
        }
        let window = Int64(request.parameter("recvWindow") ?? "5000") ?? 0
        guard let stamp = Int64(request.parameter("timestamp") ?? ""), stamp < now + 1_000, now - stamp <= window else {
            return error(400, -1021, "Timestamp for this request is outside of the recvWindow.")
        }
        return nil
    }

    static func order(
        _ request: LoopbackServer.Request, _ status: String, executed: String = "0.00000000", quote: String = "0.00000000"
    ) -> LoopbackServer.Reply {
        .json(
            #"""
            {"symbol":"\#(request.parameter("symbol") ?? "")","orderId":\#(request.parameter("orderId") ?? "1"),"orderListId":-1,
             "clientOrderId":"\#(request.parameter("origClientOrderId") ?? "c1")","price":"100.00000000","origQty":"2.00000000",
             "executedQty":"\#(executed)","cummulativeQuoteQty":"\#(quote)","status":"\#(status)","timeInForce":"GTC","type":"LIMIT",
             "side":"BUY","time":1499827319559,"updateTime":1499827319559,"isWorking":true,"selfTradePreventionMode":"NONE"}
            """#)
    }

    func adapter(
        retry: RetryPolicy = RetryPolicy(maxAttempts: 3, initial: .milliseconds(1), max: .milliseconds(2)), inFlight: Int = 10,
        secret: String = BinanceServer.apiSecret
    ) throws -> (binance: Binance, peer: Peer) {
        let peer = Peer("binance", CallPolicy(retry: retry, timeLimit: .seconds(300), inFlight: inFlight))
        let binance = try Binance(
            peer, url: server.url, .init(apiKey: Secret(Self.apiKey), apiSecret: Secret(secret)), window: .seconds(5))
        return (binance, peer)
    }
}

@Suite struct BinanceTests {
    /// Reconciles one new order of a buyer with what the server says.
    private func reconcile(
        _ reply: @escaping @Sendable (LoopbackServer.Request) -> LoopbackServer.Reply, ahead: Int64 = 0,
        prepare: (Shop) throws -> Void = { try $0.order() }
    ) throws -> (state: String, report: ReconcilerReport, requests: [LoopbackServer.Request], peer: Peer) {
        let server = try BinanceServer(reply)
        defer { server.server.close() }
        server.ahead = ahead
        let shop = try Shop(at: "binance")
        try prepare(shop)
        let (binance, peer) = try server.adapter()
        let report = try shop.run(binance)
        #expect(try shop.test.differences().isEmpty)
        return (try shop.state(1), report, server.server.requests.filter { $0.path == "/api/v3/order" }, peer)
    }

    /// "Request security", "SIGNED request example (HMAC)": the two examples of the documentation.
    @Test func `Signatures are those of the documentation, of a non-ASCII symbol too`() {
        let rest = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
        let secret = Secret(BinanceServer.apiSecret)
        #expect(Binance.signed("symbol=LTCBTC" + rest, secret)
            == "symbol=LTCBTC\(rest)&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71")
        let symbol = "１２３４５６".percentEncoded
        #expect(symbol == "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96")
        #expect(Binance.signed("symbol=\(symbol)" + rest, secret)
            == "symbol=\(symbol)\(rest)&signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3")
    }

    @Test func `An order is asked for by its id, or by ours, with a non-ASCII symbol percent-encoded before signing`() throws {
        let (_, report, requests, _) = try reconcile({ BinanceServer.order($0, "NEW") }) { shop in
            try shop.test.pair("１２３４５６/USD")
            try shop.order()
            try shop.order()
            try shop.test.connection.run("UPDATE exchange_orders SET exchange_id = NULL, pair_id = 2 WHERE id = 2")
        }
        #expect(report.reconciled == 2)
        #expect(report.errors == 0)
        let queries = requests.map(\.query).sorted()
        #expect(queries[0].hasPrefix("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96USD&origClientOrderId=c2&recvWindow=5000&"))
        #expect(queries[1].hasPrefix("symbol=ETHUSD&orderId=1001&recvWindow=5000&timestamp="))
    }

    @Test(arguments: [
        ("NEW", "0", "new 0 -"), ("PENDING_NEW", "0", "new 0 -"), ("PARTIALLY_FILLED", "0.5", "partial 0.5 100"),
        ("FILLED", "2", "filled 2 100"), ("CANCELED", "0", "cancelled 0 -"), ("CANCELED", "0.5", "cancelled 0.5 100"),
        ("PENDING_CANCEL", "0", "new 0 -"), ("REJECTED", "0", "rejected 0 -"), ("EXPIRED", "0.5", "expired 0.5 100"),
        ("EXPIRED_IN_MATCH", "0", "expired 0 -"),
    ])
    func `Each status has its word`(status: String, executed: String, expected: String) throws {
        let quote = try amount(executed).times(Amount(100), .halfEven).text(minimumDecimals: 8)
        let digits = try amount(executed).text(minimumDecimals: 8)
        let (state, report, _, _) = try reconcile { BinanceServer.order($0, status, executed: digits, quote: quote) }
        #expect(state == expected)
        #expect(report.errors == 0)
    }

    @Test func `PENDING_NEW keeps an order pending`() throws {
        let (state, report, _, _) = try reconcile({ BinanceServer.order($0, "PENDING_NEW") }) { try $0.order(status: "pending") }
        #expect(state == "pending 0 -")
        #expect(report.discrepancies == 0)
    }

    @Test(arguments: ["HALTED", "new", ""])
    func `Any other status is not written, and an alert`(status: String) throws {
        let (state, report, _, peer) = try reconcile { BinanceServer.order($0, status) }
        #expect(state == "new 0 -")
        #expect(report.lines.map(\.level) == [.critical])
        #expect(report.errors == 1)
        #expect(peer.mode == .closed)
    }

    @Test func `A negative quote quantity is an unknown one`() throws {
        let (state, report, _, _) = try reconcile { BinanceServer.order($0, "CANCELED", executed: "1.00000000", quote: "-1.00000000") }
        #expect(state == "cancelled 1 -")
        #expect(report.lines.last?.level == .critical)
    }

    private static func error(_ status: Int, _ code: Int, _ headers: [String: String] = [:]) -> LoopbackServer.Reply {
        .respond(status, headers: headers, #"{"code":\#(code),"msg":"Says the server."}"#)
    }

    @Test func `-2013: no such order, nothing written, no breaker`() throws {
        let (state, report, requests, peer) = try reconcile { _ in Self.error(400, -2013) }
        #expect(state == "new 0 -")
        #expect(report.lines.map(\.text) == ["order 1: the exchange does not know it (1 time)"])
        #expect(requests.count == 1)
        #expect(peer.tally.failed == 0)
    }

    @Test func `-2026: archived, final with nothing executed`() throws {
        #expect(try reconcile { _ in Self.error(400, -2026) }.state == "cancelled 0 -")
        // Not if we know of a fill.
        let (state, report, _, _) = try reconcile({ _ in Self.error(400, -2026) }) { try $0.order(status: "partial", executed: "1") }
        #expect(state == "partial 1 100")
        #expect(report.lines.map(\.level) == [.critical])
    }

    @Test(arguments: [(429, -1003), (418, -1003), (429, 0)])
    func `Too many requests: everybody obeys Retry-After`(status: Int, code: Int) throws {
        let before = SystemTime().now().wall
        let (_, report, requests, peer) = try reconcile({ _ in Self.error(status, code, ["Retry-After": "600"]) }) { shop in
            for _ in 0 ..< 30 { try shop.order(owner: nil) }
        }
        let until = try #require(peer.pausedUntil)
        #expect(until >= before + .seconds(595) && until <= SystemTime().now().wall + .seconds(630))
        #expect(report.postponed == 30)
        #expect(report.errors == 0)
        // Those in flight when the first answer came.
        #expect(requests.count <= 10)
        #expect(peer.mode == .closed)
    }

    @Test(arguments: [(500, 0), (502, 0), (503, -1008), (400, -1006), (400, -1007), (504, -1007), (503, -1000)])
    func `Answers that say nothing are asked for again`(status: Int, code: Int) throws {
        let calls = Mutex(0)
        let (state, report, requests, _) = try reconcile { request in
            calls.withLock { $0 += 1 }
            return calls.withLock { $0 } < 3 ? Self.error(status, code) : BinanceServer.order(request, "FILLED", executed: "2.0", quote: "200.0")
        }
        #expect(state == "filled 2 100")
        #expect(report.errors == 0)
        #expect(requests.count == 3)
    }

    @Test(arguments: [LoopbackServer.Reply.drop, .raw("nonsense"), .respond(200, "<html>"), .respond(200, "{}"), .respond(500)])
    func `No answer at all: tried again, then the order is put off`(reply: LoopbackServer.Reply) throws {
        let (state, report, requests, peer) = try reconcile { _ in reply }
        #expect(state == "new 0 -")
        #expect(report.errors == 1)
        // libcurl itself repeats a GET whose kept connection turns out to be gone.
        #expect((3 ... 4).contains(requests.count))
        #expect(peer.tally.failed == 1)
    }

    @Test func `An answer about another order is none`() throws {
        let (state, report, _, _) = try reconcile { request in
            .json(#"{"symbol":"ETHUSD","orderId":7,"executedQty":"2","cummulativeQuoteQty":"200","status":"FILLED"}"#)
        }
        #expect(state == "new 0 -")
        #expect(report.errors == 1)
    }

    @Test(arguments: [(400, -1022), (401, -2015), (403, 0), (401, -2014)])
    func `Who is refused does not try again`(status: Int, code: Int) throws {
        let (_, report, requests, peer) = try reconcile({ _ in Self.error(status, code) }) { shop in
            for _ in 0 ..< 50 { try shop.order(owner: nil) }
        }
        #expect(requests.count <= 20)
        #expect(report.errors == 1)
        #expect(report.refusal?.hasPrefix("the exchange refuses us") == true)
        #expect(peer.mode == .closed)
    }

    @Test func `A wrong secret is refused by the server, and appears nowhere`() throws {
        let server = try BinanceServer { BinanceServer.order($0, "NEW") }
        defer { server.server.close() }
        let shop = try Shop(at: "binance")
        try shop.order()
        let report = try shop.run(server.adapter(secret: "wrong-secret-wrong-secret").binance)
        #expect(report.refusal?.contains("-1022") == true)
        let texts = report.lines.map(\.text) + [report.refusal ?? ""]
        for text in texts {
            #expect(!text.contains("wrong-secret") && !text.contains(BinanceServer.apiKey) && !text.contains("signature="))
        }
    }

    @Test(arguments: [-3_600_000, 3_600_000] as [Int64])
    func `Requests are stamped with the server's time`(ahead: Int64) throws {
        let (state, _, requests, _) = try reconcile({ BinanceServer.order($0, "REJECTED") }, ahead: ahead)
        #expect(state == "rejected 0 -")
        #expect(requests.count == 1)
    }

    @Test func `-1021 measures the clock again, once for all who were wrong`() throws {
        let server = try BinanceServer { BinanceServer.order($0, "NEW") }
        defer { server.server.close() }
        let shop = try Shop(at: "binance")
        for _ in 0 ..< 20 { try shop.order(owner: nil) }
        let (binance, _) = try server.adapter(inFlight: 1)
        #expect(try shop.run(binance).reconciled == 20)
        server.ahead = 3_600_000
        let report = try shop.run(after: 60, binance)
        #expect(report.reconciled == 20)
        #expect(report.errors == 0)
        #expect(server.server.requests.filter { $0.path == "/api/v3/time" }.count == 2)
    }

    @Test func `Keys go over https or to this machine only`() throws {
        let peer = Peer("binance", CallPolicy())
        let failure = #expect(throws: JobFailure.self) {
            _ = try Binance(peer, url: "http://api.binance.com", .init(apiKey: Secret("k"), apiSecret: Secret("s")), window: .seconds(5))
        }
        #expect(failure?.kind == .badSettings)
    }

    @Test func `200 orders are asked for over connections that are kept`() throws {
        let server = try BinanceServer { BinanceServer.order($0, "FILLED", executed: "2.0", quote: "200.0").after(milliseconds: 5) }
        defer { server.server.close() }
        let shop = try Shop(.disk, at: "binance")
        for _ in 0 ..< 200 { try shop.order() }
        let (binance, _) = try server.adapter()
        let report = try shop.run(binance)
        #expect(report.updated == 200)
        #expect(server.server.connections < 100)
        #expect(try shop.test.differences().isEmpty)
    }
}
