import ExchangeKit
import JobKit

/// What one looks at by hand when tickers are old or not there.
enum TickersDoctor {
    static func look(_ exchange: Exchange, _ check: DoctorContext) throws {
        let pairs = try exchange.rows("ticker_ages") { row in
            (symbol: try row.text(0), validUntil: try row.int64OrNil(1), isTraded: try row.bool(2))
        }
        guard !pairs.isEmpty else {
            return check.warning("pairs", "0 active pairs: no ticker is kept; activate one in the table pairs (active = 1)")
        }
        let silent = pairs.filter { !$0.isTraded }
        if silent.isEmpty {
            check.ok("pairs", counted(pairs.count, "active pair"))
        } else {
            check.warning(
                "pairs", "\(silent.count) of \(counted(pairs.count, "active pair")) never traded (\(silent[0].symbol)); "
                    + "does the feed write trades?")
        }
        try tickers(pairs.filter(\.isTraded), check)
        let read = try exchange.checkpoint("tickers")?.position
        guard let read else { return check.warning("backlog", "the job has never run on this database") }
        let waiting = try exchange.first("unread_trades", ["after": .int(read)]) { try $0.int64(0) } ?? 0
        check.ok("backlog", waiting == 0 ? "all trades are read" : "\(counted(waiting, "trade")) for the next run")
    }

    private static func tickers(_ pairs: [(symbol: String, validUntil: Int64?, isTraded: Bool)], _ check: DoctorContext) throws {
        let missing = pairs.filter { $0.validUntil == nil }
        let old = pairs.filter { pair in pair.validUntil.map { $0 < check.now } ?? false }
        if let first = missing.first {
            check.warning(
                "tickers", "\(missing.count) of \(counted(pairs.count, "traded pair")) without a ticker (\(first.symbol)); "
                    + "does the job run? jobhost show \(check.job)")
        }
        if let oldest = old.min(by: { ($0.validUntil ?? 0) < ($1.validUntil ?? 0) }) {
            check.warning(
                "tickers", "\(old.count) of \(counted(pairs.count, "ticker")) no longer valid, \(oldest.symbol) since "
                    + "\(check.age(of: oldest.validUntil ?? 0)); does the job run? jobhost show \(check.job)")
        }
        if missing.isEmpty, old.isEmpty { check.ok("tickers", "all \(pairs.count) valid") }
    }
}
