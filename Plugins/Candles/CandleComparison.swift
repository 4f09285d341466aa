import ExchangeKit
import JobKit

/// Trades of a table that cannot be read by transaction: one that commits late has a number that was
/// passed long ago. So what was counted is compared with what is there, and a minute that differs is
/// made anew, with all candles that it is in.
extension CandleRun {
    private static let comparison = "candles/compared"
    private static let day: Int64 = 86_400_000
    /// Minutes in one transaction.
    private static let chunk = 200

    /// The last `lookback`, and once a day all of the last one.
    mutating func compare(isCancelled: () -> Bool) throws {
        guard plan.lookback > 0 else { return }
        let mark = try exchange.checkpoint(Self.comparison)?.position
        let isDaily = mark.map { now - $0 >= Self.day } ?? false
        let back = isDaily ? Self.day + plan.lookback : plan.lookback
        let minutes = try exchange.rows("minutes_that_differ", [
            "now": .int(now), "back": .int(back), "read": .int(try lastRead()),
        ]) { CandleKey(pair: try $0.int64(0), open: try $0.int64(1)) }
        var rest = minutes[...]
        while !rest.isEmpty {
            if isCancelled() { throw CancellationNotice() }
            try exchange.write {
                // How far was read now: another run may have put later trades into these minutes.
                try remake(Array(rest.prefix(Self.chunk)), read: try lastRead())
                try noteTouched()
            }
            rest = rest.dropFirst(Self.chunk)
        }
        if mark == nil || isDaily {
            try exchange.write { try exchange.putCheckpoint(Self.comparison, now, at: now) }
        }
    }

    private mutating func remake(_ minutes: [CandleKey], read: Int64) throws {
        var longer: Set<Longer> = []
        for minute in minutes where pairs[minute.pair] != nil {
            guard let candle = try counted(minute, read: read) else { continue }
            let bucket = Bucket(open: minute.open, close: minute.open + 60_000)
            guard try replace(candle, pair: minute.pair, .minute, bucket) else { continue }
            for interval in plan.longer {
                let bucket = interval.bucket(containing: minute.open, plan.day)
                longer.insert(Longer(pair: minute.pair, interval: interval, bucket: bucket))
            }
        }
        for place in longer.sorted(by: { ($0.pair, $0.interval, $0.bucket.open) < ($1.pair, $1.interval, $1.bucket.open) }) {
            var whole: Candle?
            let length = Int(place.bucket.close - place.bucket.open) / 60_000
            for row in try table.candles(pair: place.pair, .minute, from: place.bucket.open, limit: length)
            where row.open < place.bucket.close && row.candle.trades > 0 {
                if whole == nil { whole = row.candle } else { try whole?.merge(row.candle) }
            }
            if let whole { _ = try replace(whole, pair: place.pair, place.interval, place.bucket) }
        }
    }

    private struct Longer: Hashable {
        var pair: Int64
        var interval: CandleInterval
        var bucket: Bucket
    }

    /// What a minute's trades come to; nil: none of them can be used.
    private mutating func counted(_ minute: CandleKey, read: Int64) throws -> Candle? {
        var fold = CandleFold()
        // Those that cannot be used were named when they were read.
        let before = report
        defer { report = before }
        try exchange.forEach("trades_of_minute", [
            "pair": .int(minute.pair), "from": .int(minute.open), "until": .int(minute.open + 60_000), "read": .int(read),
        ]) { row in
            add(row, seq: try row.int64(0), to: &fold)
        }
        return fold.sorted().first?.candle
    }

    /// false: it was so already.
    private mutating func replace(_ candle: Candle, pair: Int64, _ interval: CandleInterval, _ bucket: Bucket) throws -> Bool {
        // No number of a trade stands for this correction; instants never are below zero.
        let key = -now
        guard let (old, closed) = try table.find(pair: pair, interval, open: bucket.open) else {
            try store(candle, pair: pair, interval, bucket, key)
            return true
        }
        if old == candle { return false }
        touch(interval, bucket)
        report.written += 1
        try table.update(candle, pair: pair, interval, bucket)
        if closed { try announce(Place(pair: pair, interval: interval), bucket, from: old, to: candle, key) }
        return true
    }
}
