import ExchangeKit
import JobKit

/// What one looks at by hand when candles are missing.
struct CandlesDoctor {
    /// Market time that a run may be behind without anybody having to look.
    private static let patience: Int64 = 5 * 60_000
    private static let day: Int64 = 86_400_000

    private struct PairProgress {
        var symbol: String
        /// Milliseconds, all three.
        var now: Int64
        var newestTrade: Int64?
        var newestClose: Int64?

        /// How much later the newest trade is than what candles say.
        var lag: Int64 {
            guard let newestTrade else { return 0 }
            return max(0, newestTrade - (newestClose ?? newestTrade - CandlesDoctor.patience - 1))
        }
    }

    static func look(_ exchange: Exchange, _ check: DoctorContext) throws {
        let pairs = try exchange.rows("pair_progress", ["now": .int(check.now)]) { row in
            PairProgress(
                symbol: try row.text(0), now: try row.int64(1), newestTrade: try row.int64OrNil(2),
                newestClose: try row.int64OrNil(3))
        }
        guard !pairs.isEmpty else {
            return check.warning("pairs", "0 active pairs: no candle is made; activate one in the table pairs (active = 1)")
        }
        check.ok("pairs", "\(counted(pairs.count, "active pair"))")
        trades(pairs, check)
        let read = try exchange.checkpoint("candles/1m")?.position ?? 0
        try backlog(pairs, exchange, read: read, check)
        try gaps(exchange, read: read, check)
    }

    /// Is anything traded?
    private static func trades(_ pairs: [PairProgress], _ check: DoctorContext) {
        let silent = pairs.filter { pair in pair.newestTrade.map { pair.now - $0 > day } ?? true }
        guard silent.isEmpty else {
            return check.warning(
                "trades", "no trade for a day in \(silent.count) of \(counted(pairs.count, "pair")) "
                    + "(\(listed(silent.map(\.symbol)))); does the feed write them?")
        }
        let ages = pairs.map { max(0, $0.now - ($0.newestTrade ?? 0)) / 1_000 }
        check.ok(
            "trades", "the newest is \(Span.seconds(ages.min() ?? 0)) old, in the quietest pair \(Span.seconds(ages.max() ?? 0))")
    }

    /// Are they read?
    private static func backlog(_ pairs: [PairProgress], _ exchange: Exchange, read: Int64, _ check: DoctorContext) throws {
        let waiting = try exchange.first("unread_trades", ["after": .int(read)]) { try $0.int64(0) } ?? 0
        guard waiting > 0, let slowest = pairs.max(by: { $0.lag < $1.lag }), slowest.lag > patience else {
            return check.ok("backlog", waiting == 0 ? "all trades are read" : "\(counted(waiting, "trade")) for the next run")
        }
        let last = slowest.newestClose.map { "its candles end at \(utcText($0))" } ?? "it has no candle yet"
        check.warning(
            "backlog", "\(counted(waiting, "trade")) are not read: \(slowest.symbol) was traded at "
                + "\(utcText(slowest.newestTrade ?? 0)), \(last); does the job run? jobhost show \(check.job)")
    }

    /// Did all that were read get their candle?
    private static func gaps(_ exchange: Exchange, read: Int64, _ check: DoctorContext) throws {
        let gaps = try exchange.rows("minutes_without_candle", ["now": .int(check.now), "read": .int(read)]) { row in
            (symbol: try row.text(0), minutes: try row.int64(1), first: try row.int64(2))
        }
        guard let first = gaps.first else { return check.ok("candles", "every traded minute of the last day has its candle") }
        check.warning(
            "candles", "\(counted(gaps.reduce(0) { $0 + $1.minutes }, "traded minute")) of the last day without a candle, "
                + "the first in \(first.symbol) at \(utcText(first.first)): "
                + "trades that cannot be used (the log of that run names them), "
                + "or candles that somebody deleted")
    }

    private static func listed(_ names: [String]) -> String {
        names.count <= 3 ? names.joined(separator: ", ") : names.prefix(3).joined(separator: ", ") + " …"
    }
}
