import ExchangeKit
import JobKit
import SQL

/// The candles in the database, read and written by position: bulk work binds a million rows.
struct CandleTable {
    private let exchange: Exchange
    private let insert: Writer
    private let update: Writer

    init(_ exchange: Exchange) throws {
        self.exchange = exchange
        insert = try Writer(exchange.statement("insert_candle"))
        update = try Writer(exchange.statement("update_candle"))
    }

    /// false: there is one already.
    func insert(_ candle: Candle, pair: Int64, _ interval: CandleInterval, _ bucket: Bucket, closed: Bool) throws -> Bool {
        try insert.write(candle, pair: pair, interval, bucket, closed: closed) == 1
    }
    func update(_ candle: Candle, pair: Int64, _ interval: CandleInterval, _ bucket: Bucket) throws {
        _ = try update.write(candle, pair: pair, interval, bucket, closed: false)
    }

    func find(pair: Int64, _ interval: CandleInterval, open: Int64) throws -> (candle: Candle, closed: Bool)? {
        try exchange.first("candle", ["pair": .int(pair), "interval": .text(interval.rawValue), "open_ms": .int(open)]) {
            try Self.decode($0, from: 0)
        }
    }

    /// At most `limit` candles from an instant on, oldest first.
    func candles(
        pair: Int64, _ interval: CandleInterval, from: Int64, limit: Int
    ) throws -> [(open: Int64, candle: Candle, closed: Bool)] {
        try exchange.rows("candles_from", [
            "pair": .int(pair), "interval": .text(interval.rawValue), "from": .int(from), "limit": .int(limit),
        ]) { row in
            let (candle, closed) = try Self.decode(row, from: 1)
            return (try row.int64(0), candle, closed)
        }
    }

    /// When the newest closed candle opened.
    func lastClosed(pair: Int64, _ interval: CandleInterval) throws -> Int64? {
        try exchange.first("last_closed", ["pair": .int(pair), "interval": .text(interval.rawValue)]) { try $0.int64(0) }
    }

    /// When the newest candle at or before an instant opened.
    func open(pair: Int64, _ interval: CandleInterval, atOrBefore instant: Int64) throws -> Int64? {
        try exchange.first("candle_before", [
            "pair": .int(pair), "interval": .text(interval.rawValue), "at": .int(instant),
        ]) { try $0.int64(0) }
    }

    func close(pair: Int64, _ interval: CandleInterval, now: Int64) throws -> Int {
        try exchange.run("close_candles", [
            "pair": .int(pair), "interval": .text(interval.rawValue), "now": .int(now),
        ])
    }

    /// How many candles opened in the stretch, and when the pair's first one did.
    func count(pair: Int64, _ interval: CandleInterval, in stretch: Bucket) throws -> (count: Int64, first: Int64?) {
        try exchange.first("count_candles", [
            "pair": .int(pair), "interval": .text(interval.rawValue),
            "from": .int(stretch.open), "to": .int(stretch.close),
        ]) { (try $0.int64(0), try $0.int64OrNil(1)) } ?? (0, nil)
    }

    func clear(_ interval: CandleInterval) throws {
        try exchange.run("clear_interval", ["interval": .text(interval.rawValue)])
    }

    private static func decode(_ row: any SQLStatement, from column: Int) throws -> (candle: Candle, closed: Bool) {
        let candle = Candle(
            open: try row.amount(column), high: try row.amount(column + 1), low: try row.amount(column + 2),
            close: try row.amount(column + 3), volume: try row.amount(column + 4),
            quoteVolume: try row.amount(column + 5), trades: try row.int64(column + 6),
            first: TradeKey(instant: try row.int64(column + 7), id: try row.int64(column + 8)),
            last: TradeKey(instant: try row.int64(column + 9), id: try row.int64(column + 10)))
        return (candle, try row.bool(column + 11))
    }

    /// A statement whose parameters were looked up once.
    private struct Writer {
        private let statement: any SQLStatement
        private let slots: [Slot]
        enum Slot: String {
            case pair, interval, open_ms, close_ms, open, high, low, close, volume, quote_volume, trades
            case first_ms, first_id, last_ms, last_id, closed
        }

        init(_ statement: any SQLStatement) throws {
            self.statement = statement
            slots = try statement.parameterNames.map { name in
                guard let name, let slot = Slot(rawValue: name) else {
                    throw JobFailure.badSettings("a statement for candles has the unknown parameter :\(name ?? "?")")
                }
                return slot
            }
        }

        func write(
            _ candle: Candle, pair: Int64, _ interval: CandleInterval, _ bucket: Bucket, closed: Bool
        ) throws -> Int {
            for (index, slot) in slots.enumerated() {
                let value: SQLValue = switch slot {
                case .pair: .int(pair)
                case .interval: .text(interval.rawValue)
                case .open_ms: .int(bucket.open)
                case .close_ms: .int(bucket.close)
                case .open: .amount(candle.open)
                case .high: .amount(candle.high)
                case .low: .amount(candle.low)
                case .close: .amount(candle.close)
                case .volume: .amount(candle.volume)
                case .quote_volume: .amount(candle.quoteVolume)
                case .trades: .int(candle.trades)
                case .first_ms: .int(candle.first.instant)
                case .first_id: .int(candle.first.id)
                case .last_ms: .int(candle.last.instant)
                case .last_id: .int(candle.last.id)
                case .closed: .bool(closed)
                }
                try statement.bind(value, at: index + 1)
            }
            return try statement.run()
        }
    }
}
