import ExchangeKit
import JobKit

/// The settings, understood.
struct ArenaPlan {
    enum Speed: Hashable {
        /// Milliseconds of market time in a tick.
        case step(Int64)
        case everything
    }
    struct Symbol: Hashable {
        var text: String
        var base: String
        var quote: String
    }

    var settings: TickEntry.Settings
    var speed: Speed
    /// Milliseconds; nil: not set.
    var start: Int64?
    var end: Int64?
    /// In the order of their names, so that one seed makes one market.
    var pairs: [(symbol: Symbol, price: Amount)]
    /// Of a replay.
    var replayed: Symbol?

    init(_ settings: TickEntry.Settings) throws {
        self.settings = settings
        guard !settings.simulation.isEmpty else { throw JobFailure.badSettings("simulation: the name is empty") }
        speed = try Self.speed(settings)
        start = try Self.instant(settings.start, "start")
        end = try Self.instant(settings.end, "end")
        if let start, let end, end <= start {
            throw JobFailure.badSettings("end (\(settings.end)) is not after start (\(settings.start))")
        }
        pairs = []
        switch settings.mode {
        case .simulated:
            guard !settings.pairs.isEmpty else {
                throw JobFailure.badSettings("pairs: there is none; write { \"BTC/USD\" = \"64000\" }")
            }
            for (text, price) in settings.pairs.sorted(by: { $0.key < $1.key }) {
                let most = Amount(1_000_000_000)
                guard price.isPositive, price <= most else {
                    throw JobFailure.badSettings("pairs.\(text): the price \(price) is not above 0 and at most \(most)")
                }
                pairs.append((try Self.symbol(text, "pairs"), price))
            }
        case .historical:
            if settings.file.isEmpty, settings.sourcePair.isEmpty {
                throw JobFailure.badSettings("file: mode = \"historical\" needs the file of trades to replay, or source_pair")
            }
            if !settings.file.isEmpty, !settings.sourcePair.isEmpty {
                throw JobFailure.badSettings("source_pair: trades come from the file or from a table; one of the two is to be empty")
            }
            if settings.sourcePair == settings.pair, !settings.pair.isEmpty {
                throw JobFailure.badSettings("pair: \(settings.pair) cannot be replayed into itself; give it another name")
            }
            if settings.pair.isEmpty {
                throw JobFailure.badSettings("pair: mode = \"historical\" needs the pair to replay into, \"XRP/ETH\"")
            }
            replayed = try Self.symbol(settings.pair, "pair")
        case .realtime:
            try settings.quotes.validate()
            if settings.quotes.pairs.isEmpty {
                throw JobFailure.badSettings("quotes.pairs: mode = \"realtime\" needs pairs, [\"BTC/USD\"]")
            }
            if settings.quotes.providers.isEmpty {
                throw JobFailure.badSettings("quotes.providers: mode = \"realtime\" needs one, [{ adapter = \"http\", url = \"https://…\" }]")
            }
        }
    }

    private static func speed(_ settings: TickEntry.Settings) throws -> Speed {
        if settings.speed == "max", settings.mode == .historical { return .everything }
        guard let span = Span(settings.speed), span.milliseconds > 0, span <= .days(3_650) else {
            let more = settings.mode == .historical ? ", or \"max\"" : ""
            throw JobFailure.badSettings(
                "speed: \"\(settings.speed)\" is not understood; write market time in a tick, \"30m\"\(more)")
        }
        return .step(span.milliseconds)
    }

    private static func instant(_ text: String, _ key: String) throws -> Int64? {
        if text.isEmpty { return nil }
        guard let instant = utcInstant(text) else {
            throw JobFailure.badSettings(
                "\(key): \"\(text)\" is not understood; write \"2019-10-11\" or \"2019-10-11T12:00:00Z\"")
        }
        return instant
    }

    static func symbol(_ text: String, _ key: String) throws -> Symbol {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 20 }), parts[0] != parts[1] else {
            throw JobFailure.badSettings("\(key): \"\(text)\" is no pair; write base and quote, \"XRP/ETH\"")
        }
        return Symbol(text: text, base: String(parts[0]), quote: String(parts[1]))
    }
}

/// Who makes a tick, and when.
struct ArenaDriver {
    var job: String
    /// Of the run: a retry does not tick twice.
    var cause: String
    var isRetry: Bool
    /// Real time, milliseconds.
    var now: Int64
}

/// What a tick did.
struct TickResult {
    var trades = 0
    /// The market's time.
    var clock: Int64 = 0
    /// nil: nothing was done, and `idle` says why.
    var summary: String?
    var idle = ""
    var notes: [String] = []
    var contests = 0
    var enqueued: [SaleCrowd.Enqueued] = []
}
