import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// One of `quotes.providers`; the first is asked first.
struct ProviderSettings: Codable, Hashable, Sendable {
    enum Adapter: String, CaseIterable, Codable, Sendable {
        /// `GET /quotes` (docs/JOBS.md, "Quote providers").
        case http
        /// Binance's spot market data, which needs no key.
        case binance
    }
    /// For messages and the breaker's memory; "": the adapter's.
    var name = ""
    var adapter = Adapter.http
    /// Up to the path before /quotes, or /api.
    var url = ""
    /// Bearer token; "": none.
    var token = ""
    /// What it calls a pair, where that is not the pair's own name ("BTC/USD"; of Binance "BTCUSD").
    var symbols: [String: String] = [:]

    enum CodingKeys: CodingKey { case name, adapter, url, token, symbols }

    init() {}
    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        name = try keys.decodeIfPresent(String.self, forKey: .name) ?? ""
        adapter = try keys.decodeIfPresent(Adapter.self, forKey: .adapter) ?? .http
        url = try keys.decodeIfPresent(String.self, forKey: .url) ?? ""
        token = try keys.decodeIfPresent(String.self, forKey: .token) ?? ""
        symbols = try keys.decodeIfPresent([String: String].self, forKey: .symbols) ?? [:]
    }

    var title: String { name.isEmpty ? adapter.rawValue : name }
}

/// Where real prices come from, and how gently they are asked for.
struct QuoteSettings: Codable, Hashable, Sendable {
    var pairs: [String] = []
    var providers: [ProviderSettings] = []
    var batch = 8
    var spacing = Span.milliseconds(150)
    var `guard` = Span.seconds(5)
    var attempts = 2
    var maxAge = Span.minutes(15)
    var delayed = false
    var delay = Span.minutes(30)

    init() {}

    static func fields(_ key: String = "quotes") -> [SettingsField] {
        [
            SettingsField("\(key).pairs", "With mode = \"realtime\": the pairs, [\"BTC/USD\"]."),
            SettingsField("\(key).providers", "Who is asked, in this order; what one does not know the next one is asked for."),
            SettingsField("\(key).batch", "Pairs in one request.", range: 1 ... 100),
            SettingsField("\(key).spacing", "From one request to the next at the same provider."),
            SettingsField("\(key).guard", "A request that is not answered within this time is given up."),
            SettingsField("\(key).attempts", "Of a request, the first included.", range: 1 ... 10),
            SettingsField("\(key).max_age", "Older quotes are refused."),
            SettingsField("\(key).delayed", "Prices of `delay` ago: the market's clock stands so far behind, nothing later is seen."),
            SettingsField("\(key).delay", "With delayed = true: how far behind."),
        ]
    }

    /// How far the market's clock stands behind the real one, milliseconds.
    var behind: Int64 { delayed ? delay.milliseconds : 0 }

    func validate(_ key: String = "quotes") throws {
        for pair in pairs { _ = try ArenaPlan.symbol(pair, "\(key).pairs") }
        if Set(pairs).count != pairs.count { throw JobFailure.badSettings("\(key).pairs: one is there twice") }
        guard self.guard > .zero else { throw JobFailure.badSettings("\(key).guard: 0s leaves no time for an answer") }
        if delayed, delay == .zero { throw JobFailure.badSettings("\(key).delay: delayed = true needs more than 0s") }
        var names: Set<String> = []
        for (index, provider) in providers.enumerated() {
            let place = "\(key).providers[\(index)]"
            guard !provider.url.isEmpty else { throw JobFailure.badSettings("\(place).url: there is none; write \"https://\" and a host") }
            try HTTPClient.origin(of: provider.url, key: "\(place).url")
            if !provider.token.isEmpty {
                try Secret.validate(provider.token, key: "\(place).token")
                guard HTTPClient.isProtected(provider.url) else {
                    throw JobFailure.badSettings("\(place).url: a token does not go over plain http to another machine; write https")
                }
            }
            guard names.insert(provider.title).inserted else {
                throw JobFailure.badSettings("\(place).name: there are two called \"\(provider.title)\"; give them names")
            }
        }
    }

    /// - Parameter limit: in the place of `guard`, where nobody tries again.
    func desk(limit: Span? = nil) throws -> QuoteDesk {
        let policy = CallPolicy(
            retry: RetryPolicy(maxAttempts: limit == nil ? attempts : 1, initial: .milliseconds(300), max: .seconds(1)),
            rate: spacing == .zero ? .none : RateLimit(calls: 1, per: spacing.duration, burst: 1),
            timeLimit: (limit ?? self.guard).duration, inFlight: 1)
        return QuoteDesk(
            try providers.enumerated().map { index, provider in
                let secret = provider.token.isEmpty ? nil : try Secret(from: provider.token, key: "quotes.providers[\(index)].token")
                let http = try HTTPClient(
                    base: provider.url, key: "quotes.providers[\(index)].url",
                    headers: secret.map { [("Authorization", "Bearer " + $0.reveal)] } ?? [], secrets: secret.map { [$0] } ?? [],
                    largest: 1 << 20, connections: 1)
                let adapter: any QuoteAdapter = switch provider.adapter {
                case .http: HTTPQuotes(http: http, symbols: provider.symbols)
                case .binance: BinanceQuotes(http: http, symbols: provider.symbols)
                }
                return QuoteDesk.Provider(peer: Peer(provider.title, policy), adapter: adapter)
            }, batch: batch, maxAge: maxAge.milliseconds, isDelayed: delayed)
    }
}
