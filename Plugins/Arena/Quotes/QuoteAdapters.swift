import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// How one kind of provider is asked.
protocol QuoteAdapter: Sendable {
    /// What it knows of these pairs, others may be among them.
    ///
    /// - Parameter asOf: prices of then, milliseconds; nil: of now.
    /// - Throws: `CallError`; business: it does not know one of them.
    func quotes(_ pairs: [String], asOf: Int64?, _ call: (_ what: String, _ body: (CallAttempt) throws -> HTTPResponse) throws -> HTTPResponse) throws
        -> [Quote]
}

/// `GET /quotes?symbols=BTC%2FUSD,ETH%2FUSD[&at=1767614400000]`, answered by
/// `{"quotes": [{"symbol": "BTC/USD", "price": "64000.5", "bid": "64000", "ask": "64001", "ts_ms": 1767614399000}]}`.
struct HTTPQuotes: QuoteAdapter {
    let http: HTTPClient
    let symbols: [String: String]

    func quotes(_ pairs: [String], asOf: Int64?, _ call: (String, (CallAttempt) throws -> HTTPResponse) throws -> HTTPResponse) throws -> [Quote] {
        let words = pairs.map { (pair: $0, word: symbols[$0] ?? $0) }
        let list = words.map(\.word.percentEncoded).joined(separator: ",")
        let path = "/quotes?symbols=\(list)" + (asOf.map { "&at=\($0)" } ?? "")
        let response = try call("quotes of \(counted(pairs.count, "pair"))") { try http.send(HTTPRequest("GET", path), $0).checked() }
        guard let items = try response.json()["quotes"]?.arrayValue else { throw response.notUnderstood }
        return try items.compactMap { item in
            guard let word = item["symbol"]?.stringValue, let pair = words.first(where: { $0.word == word })?.pair else { return nil }
            guard let instant = item["ts_ms"]?.int64Value, let price = item["price"]?.amount else { throw response.notUnderstood }
            return Quote(pair: pair, bid: item["bid"]?.amount ?? price, ask: item["ask"]?.amount ?? price, price: price, instant: instant)
        }
    }
}

/// Binance's spot market data: `GET /api/v3/ticker/bookTicker`, and for prices of the past the last
/// whole minute of `GET /api/v3/klines` before then.
struct BinanceQuotes: QuoteAdapter {
    let http: HTTPClient
    let symbols: [String: String]

    private func word(_ pair: String) -> String { symbols[pair] ?? String(pair.filter { $0 != "/" }) }

    func quotes(_ pairs: [String], asOf: Int64?, _ call: (String, (CallAttempt) throws -> HTTPResponse) throws -> HTTPResponse) throws -> [Quote] {
        if let asOf { return try pairs.compactMap { try past($0, asOf, call) } }
        let list = "[" + pairs.map { "\"\(word($0))\"" }.joined(separator: ",") + "]"
        let response = try call("quotes of \(counted(pairs.count, "pair"))") {
            try Self.checked(http.send(HTTPRequest("GET", "/api/v3/ticker/bookTicker?symbols=\(list.percentEncoded)"), $0))
        }
        guard let items = try response.json().arrayValue else { throw response.notUnderstood }
        return try items.compactMap { item in
            guard let word = item["symbol"]?.stringValue, let pair = pairs.first(where: { self.word($0) == word }) else { return nil }
            guard let bid = item["bidPrice"]?.amount, let ask = item["askPrice"]?.amount else { throw response.notUnderstood }
            let middle = try (bid + ask).over(Amount(2), .halfEven)
            return Quote(pair: pair, bid: bid, ask: ask, price: middle, instant: response.receivedAt.milliseconds)
        }
    }

    /// nil: there was no trade yet.
    private func past(
        _ pair: String, _ asOf: Int64, _ call: (String, (CallAttempt) throws -> HTTPResponse) throws -> HTTPResponse
    ) throws -> Quote? {
        // A minute that begins by then is over before `asOf`: nothing later is in it.
        let path = "/api/v3/klines?symbol=\(word(pair).percentEncoded)&interval=1m&endTime=\(asOf - 60_000)&limit=1"
        let response = try call("quote of \(pair)") { try Self.checked(http.send(HTTPRequest("GET", path), $0)) }
        guard let lines = try response.json().arrayValue else { throw response.notUnderstood }
        guard let line = lines.last else { return nil }
        guard let fields = line.arrayValue, fields.count > 6, let close = fields[4].amount, let closed = fields[6].int64Value else {
            throw response.notUnderstood
        }
        return Quote(pair: pair, bid: close, ask: close, price: close, instant: closed)
    }

    /// 418: banned for having gone on after 429.
    private static func checked(_ response: HTTPResponse) throws(CallError) -> HTTPResponse {
        if response.status == 418 {
            throw CallError(.throttled(until: response.retryAfter), "\(response.what): HTTP 418, we are banned", code: 418)
        }
        return try response.checked()
    }
}

extension HTTPResponse {
    var notUnderstood: CallError {
        CallError(.unavailable, "\(what): HTTP \(status), the answer is not understood", code: status)
    }
}

extension JSON {
    /// Exact: text or the digits of a number; nil: neither, or more than an amount holds.
    var amount: Amount? {
        switch self {
        case .string(let text): try? Amount(parsing: text)
        case .number(let digits): try? Amount(parsing: digits)
        default: nil
        }
    }
}
