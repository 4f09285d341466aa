import ExchangeKit
import JobCore
import JobKit
import OutsideKit
import Synchronization

/// Binance's spot REST API: `GET /api/v3/order`, signed.
/// developers.binance.com/docs/binance-spot-api-docs/rest-api
final class Binance: ExchangeAdapter, Sendable {
    struct Credentials: Sendable {
        var apiKey: Secret
        var apiSecret: Secret
    }

    private let peer: Peer
    private let http: HTTPClient
    private let credentials: Credentials
    /// Milliseconds for which a stamp is good.
    private let window: Int64
    private let clock = ServerClock()

    init(_ peer: Peer, url: String, _ credentials: Credentials, window: Span) throws {
        guard HTTPClient.isProtected(url) else {
            throw JobFailure.badSettings("url: requests carry an API key; only https:// (or this machine) is asked")
        }
        self.peer = peer
        self.credentials = credentials
        self.window = window.milliseconds
        http = try HTTPClient(
            base: url, headers: [("X-MBX-APIKEY", credentials.apiKey.reveal)], secrets: [credentials.apiSecret],
            largest: 256 << 10, connections: peer.policy.inFlight)
    }

    func ask(_ orders: [PlacedOrder], _ exchange: Exchange) throws -> [Result<ExchangeAnswer, any Error>] {
        let refusal = Refusal()
        return peer.map(orders) { [self] order in
            // They refuse us, not an order: every further call would end the same way.
            if let error = refusal.error.withLock({ $0 }) { throw error }
            do {
                return try peer.call("order \(order.id)") { try ask(order, $0) }.get()
            } catch let error as CallError where error.kind == .denied {
                refusal.error.withLock { $0 = error }
                throw error
            }
        }
    }

    func greeting() throws -> String {
        try peer.call("the time") { attempt in
            let offset = try clock.offset { try serverTime(attempt) }
            return "answers; its clock is \(abs(offset)) ms \(offset < 0 ? "behind" : "ahead of") ours"
        }
    }

    private final class Refusal: Sendable {
        let error = Mutex<CallError?>(nil)
    }

    /// A problem with the order is an answer too: the exchange is well.
    private func ask(_ order: PlacedOrder, _ attempt: CallAttempt) throws -> Result<ExchangeAnswer, OrderProblem> {
        let stamp = try clock.stamp { try serverTime(attempt) }
        var query = "symbol=\(order.symbol.percentEncoded)"
        if let id = order.exchangeID {
            query += "&orderId=\(id.percentEncoded)"
        } else {
            query += "&origClientOrderId=\((order.clientID ?? "").percentEncoded)"
        }
        query += "&recvWindow=\(window)&timestamp=\(stamp.milliseconds)"
        let response = try http.send(HTTPRequest("GET", "/api/v3/order?\(Self.signed(query, credentials.apiSecret))"), attempt)
        do {
            return .success(try BinanceAnswer.order(response, order, http.redactor))
        } catch let problem as OrderProblem {
            return .failure(problem)
        } catch BinanceAnswer.Fault.clock(let text) {
            try clock.measureAgain(after: stamp.reading) { try serverTime(attempt) }
            // With the new offset the next attempt will do.
            throw CallError(.unavailable, text, code: -1021)
        }
    }

    /// The percent-encoded query with its signature at the end.
    static func signed(_ query: String, _ secret: Secret) -> String {
        "\(query)&signature=\(SHA256.hmac(key: Array(secret.reveal.utf8), Array(query.utf8)))"
    }

    private func serverTime(_ attempt: CallAttempt) throws -> Int64 {
        let response = try http.send(HTTPRequest("GET", "/api/v3/time"), attempt)
        try BinanceAnswer.check(response, http.redactor)
        guard case .number(let text)? = try response.json().objectValue?["serverTime"], let time = Int64(text) else {
            throw CallError(.unavailable, "\(response.what): it does not tell its time")
        }
        return time
    }
}
