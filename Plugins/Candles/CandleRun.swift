import ExchangeKit
import JobKit
import SQL

/// One run: new trades into every interval, batch by batch, each batch one transaction with
/// its checkpoint; then the job's own interval is filled and closed.
struct CandleRun {
    let exchange: Exchange
    let plan: CandlePlan
    let now: Int64
    let table: CandleTable
    var report = CandleReport()
    private(set) var pairs: [Int64: MarketPair] = [:]
    private var newestClosed: [Place: Int64?] = [:]
    /// The oldest bucket that this batch has written to.
    private var touched: [CandleInterval: Int64] = [:]

    struct Place: Hashable { var pair: Int64, interval: CandleInterval }

    init(_ exchange: Exchange, _ plan: CandlePlan, now: Int64) throws {
        self.exchange = exchange
        self.plan = plan
        self.now = now
        table = try CandleTable(exchange)
    }

    /// - Throws: `CancellationNotice` between two batches; what is done stays done.
    mutating func run(isCancelled: () -> Bool, progress: (CandleReport) -> Void = { _ in }) throws {
        var more = true
        while more {
            if isCancelled() { throw CancellationNotice() }
            more = try exchange.write { try readBatch() }
            progress(report)
        }
        try compare(isCancelled: isCancelled)
        try exchange.write { try finish() }
    }

    // MARK: Trades

    /// true: there may be more.
    private mutating func readBatch() throws -> Bool {
        try loadPairs()
        let position = try exchange.checkpoint(Self.checkpoint(.minute))?.position ?? 0
        try rebuildWhatIsBehind(position)
        var fold = CandleFold()
        var (last, count) = (position, 0)
        try exchange.forEach("new_trades", ["after": .int(position), "limit": .int(plan.batch)]) { row in
            last = try row.int64(0)
            count += 1
            add(row, seq: last, to: &fold)
        }
        guard count > 0 else {
            try noteTouched()
            return false
        }
        report.trades += Int64(count)
        let minutes = fold.sorted()
        for (key, candle) in minutes {
            try store(candle, pair: key.pair, .minute, Bucket(open: key.open, close: key.open + 60_000), last)
        }
        for interval in plan.longer {
            for (pair, bucket, candle) in try CandleFold.rollUp(minutes, to: interval, plan.day) {
                try store(candle, pair: pair, interval, bucket, last)
            }
        }
        for interval in [.minute] + plan.longer { try putCheckpoint(interval, last) }
        try noteTouched()
        // The last transaction comes whole: there may be more than were asked for.
        return count >= plan.batch
    }

    mutating func add(_ row: any SQLStatement, seq: Int64, to fold: inout CandleFold) {
        do {
            let (pair, id, instant) = (try row.int64(1), try row.int64(2), try row.int64(3))
            let (price, amount) = (try row.amount(4), try row.amount(5))
            guard TradingDay.instants.contains(instant) else {
                return report.fail("trade \(id) (seq \(seq)): its time \(instant) ms lies outside the years 1900 to 9999")
            }
            let key = CandleKey(pair: pair, minuteOf: instant)
            let place = fold.place(of: key)
            // Where there is a candle, the pair has been looked up.
            guard place != nil || pairs[pair] != nil else { return report.fail("trade \(id) (seq \(seq)): there is no pair \(pair)") }
            guard price.isPositive, !amount.isNegative else {
                return report.fail("trade \(id) (seq \(seq)): price \(price) or amount \(amount) makes no sense")
            }
            let trade = try Candle(price: price, amount: amount, at: TradeKey(instant: instant, id: id))
            try fold.add(trade, to: key, at: place)
        } catch {
            report.fail("trade seq \(seq): \(error)")
        }
    }

    private mutating func loadPairs() throws {
        pairs = try exchange.pairs(now: now)
        report.activePairs = pairs.values.count(where: \.active)
    }

    // MARK: Candles

    /// Puts the trades of `candle` into the stored one.
    /// - Parameter seq: of the batch's last trade; makes the correction's key unique.
    mutating func store(
        _ candle: Candle, pair: Int64, _ interval: CandleInterval, _ bucket: Bucket, _ seq: Int64
    ) throws {
        let place = Place(pair: pair, interval: interval)
        touch(interval, bucket)
        report.written += 1
        // A bucket before a closed candle was over and empty: this trade is late.
        let late = try newestClosed(place).map { bucket.open < $0 } ?? false
        if try table.insert(candle, pair: pair, interval, bucket, closed: late) {
            if late { try announce(place, bucket, from: nil, to: candle, seq) }
            return
        }
        guard let (old, closed) = try table.find(pair: pair, interval, open: bucket.open) else { return }
        var merged = old
        do {
            try merged.merge(candle)
        } catch {
            return report.fail("\(name(place, bucket)): \(error)")
        }
        try table.update(merged, pair: pair, interval, bucket)
        if closed { try announce(place, bucket, from: old, to: merged, seq) }
    }

    mutating func touch(_ interval: CandleInterval, _ bucket: Bucket) {
        touched[interval] = min(touched[interval] ?? bucket.open, bucket.open)
    }

    private mutating func newestClosed(_ place: Place) throws -> Int64? {
        if let known = newestClosed[place] { return known }
        let found = try table.lastClosed(pair: place.pair, place.interval)
        newestClosed[place] = .some(found)
        return found
    }

    mutating func announce(
        _ place: Place, _ bucket: Bucket, from old: Candle?, to new: Candle, _ seq: Int64
    ) throws {
        report.corrected += 1
        report.debug("\(name(place, bucket)) corrected by a late trade")
        let symbol = pairs[place.pair]?.symbol ?? ""
        try exchange.emit(
            "CandleCorrected", key: "candle:\(place.pair):\(place.interval.rawValue):\(bucket.open):\(seq)",
            JSONObject([
                ("pair", .string(symbol)), ("interval", .string(place.interval.rawValue)),
                ("open_ms", .number(String(bucket.open))), ("before", old?.json ?? .null), ("after", new.json),
            ]), at: now)
    }

    private func name(_ place: Place, _ bucket: Bucket) -> String {
        "\(pairs[place.pair]?.symbol ?? "pair \(place.pair)") \(place.interval.rawValue) \(utcText(bucket.open))"
    }

    // MARK: Intervals that were not kept until now

    /// Longer intervals that have not seen all that the 1m candles have, or were made with
    /// another beginning of the day, are made anew from the 1m candles.
    private mutating func rebuildWhatIsBehind(_ position: Int64) throws {
        guard position > 0 else { return }
        for interval in plan.longer {
            let mark = try exchange.checkpoint(Self.checkpoint(interval))
            if let mark, mark.position == position, mark.note == note(interval) { continue }
            try table.clear(interval)
            for pair in pairs.keys.sorted() { try rollUp(pair, to: interval) }
            try putCheckpoint(interval, position)
            report.info("made \(interval.rawValue) candles anew from the 1m candles")
        }
    }

    private mutating func rollUp(_ pair: Int64, to interval: CandleInterval) throws {
        var from = Int64.min
        while true {
            let page = try table.candles(pair: pair, .minute, from: from, limit: 50_000)
            guard let last = page.last else { return }
            let minutes = page.filter { $0.candle.trades > 0 }
                .map { (key: CandleKey(pair: pair, open: $0.open), candle: $0.candle) }
            for (_, bucket, candle) in try CandleFold.rollUp(minutes, to: interval, plan.day) {
                var whole = candle
                touch(interval, bucket)
                report.written += 1
                if try table.insert(whole, pair: pair, interval, bucket, closed: false) { continue }
                // The bucket began on the page before.
                guard let (old, _) = try table.find(pair: pair, interval, open: bucket.open) else { continue }
                try whole.merge(old)
                try table.update(whole, pair: pair, interval, bucket)
            }
            from = last.open + 1
        }
    }

    private static func checkpoint(_ interval: CandleInterval) -> String { "candles/\(interval.rawValue)" }
    private func note(_ interval: CandleInterval) -> String { interval.fixedLength == nil ? plan.day.text : "" }
    private func putCheckpoint(_ interval: CandleInterval, _ position: Int64) throws {
        try exchange.putCheckpoint(Self.checkpoint(interval), position, note: note(interval), at: now)
    }

    // MARK: The end

    private mutating func finish() throws {
        try loadPairs()
        for interval in plan.own {
            if plan.fill == .flat { try fillFlat(interval) }
            var missing: Int64 = 0
            for (id, pair) in pairs.sorted(by: { $0.key < $1.key }) {
                let closed = try table.close(pair: id, interval, now: pair.now)
                report.closed += closed
                if pair.active { missing += try countMissing(id, pair, interval) }
                if closed > 0 {
                    report.debug("\(pair.symbol): closed \(counted(closed, interval.rawValue + " candle"))")
                }
            }
            report.missing.append((interval, missing))
        }
    }

    /// Closed buckets of the last 24 hours (of the last one, where a bucket is longer) without
    /// a candle, after the pair's first.
    private func countMissing(_ id: Int64, _ pair: MarketPair, _ interval: CandleInterval) throws -> Int64 {
        guard TradingDay.instants.contains(pair.now), TradingDay.instants.contains(pair.now - 86_400_000) else { return 0 }
        let forming = interval.bucket(containing: pair.now, plan.day)
        guard TradingDay.instants.contains(forming.open - 1) else { return 0 }
        let oldest = interval.fixedLength == nil
            ? interval.bucket(containing: forming.open - 1, plan.day).open
            : interval.bucket(containing: pair.now - 86_400_000, plan.day).open
        let (all, first) = try table.count(pair: id, interval, in: Bucket(open: oldest, close: forming.open))
        guard let first, first < forming.open else { return 0 }
        guard let length = interval.fixedLength else { return first <= oldest ? 1 - min(1, all) : 0 }
        return max(0, (forming.open - max(first, oldest)) / length - all)
    }

    // MARK: Flat candles

    // From where on an interval has to be looked at is kept in the database: the run that
    // reads a late trade is often another job's than the one that fills.
    private static func flatCheckpoint(_ interval: CandleInterval) -> String { "candles/\(interval.rawValue)/flat" }

    /// Lowers that mark of intervals that are filled, to what the batch has written.
    mutating func noteTouched() throws {
        defer { touched = [:] }
        for (interval, open) in touched {
            let name = Self.flatCheckpoint(interval)
            if let mark = try exchange.checkpoint(name), open < mark.position {
                try exchange.putCheckpoint(name, open, at: now)
            }
        }
    }

    private mutating func fillFlat(_ interval: CandleInterval) throws {
        let name = Self.flatCheckpoint(interval)
        // The first time: all there is.
        let mark = try exchange.checkpoint(name)?.position ?? .min
        var complete = true
        for (id, pair) in pairs.sorted(by: { $0.key < $1.key }) where pair.active {
            complete = try fillFlat(id, pair, interval, from: mark) && complete
        }
        let next: Int64 = complete ? .max : mark
        if next != mark { try exchange.putCheckpoint(name, next, at: now) }
    }

    /// Gives every bucket that is over and had no trade the close before it, and corrects flat
    /// candles whose predecessor has changed. false: the limit of a run was reached.
    private mutating func fillFlat(_ id: Int64, _ pair: MarketPair, _ interval: CandleInterval, from mark: Int64) throws -> Bool {
        let place = Place(pair: id, interval: interval)
        let before = mark == .min ? nil : try table.open(pair: id, interval, atOrBefore: mark - 1)
        var from = before ?? .min
        var previous: (open: Int64, close: Amount)?
        var made = 0
        while true {
            let page = try table.candles(pair: id, interval, from: from, limit: 10_000)
            for row in page {
                if let before = previous {
                    guard try fillGap(place, after: before, until: row.open, pair, &made) else { return false }
                }
                var candle = row.candle
                if candle.trades == 0, let before = previous, candle.close != before.close {
                    candle = Candle(flatAt: before.close)
                    let bucket = interval.bucket(containing: row.open, plan.day)
                    try table.update(candle, pair: id, interval, bucket)
                    if row.closed { try announce(place, bucket, from: row.candle, to: candle, try lastRead()) }
                }
                previous = (row.open, candle.close)
            }
            guard let last = page.last, page.count == 10_000 else { break }
            from = last.open + 1
        }
        guard let before = previous else { return true }
        return try fillGap(place, after: before, until: .max, pair, &made)
    }

    /// false: the limit of a run is reached, the rest comes with the next one.
    private mutating func fillGap(
        _ place: Place, after before: (open: Int64, close: Amount), until next: Int64, _ pair: MarketPair, _ made: inout Int
    ) throws -> Bool {
        var bucket = place.interval.bucket(containing: before.open, plan.day)
        while true {
            guard TradingDay.instants.contains(bucket.close) else { return true }
            bucket = place.interval.bucket(containing: bucket.close, plan.day)
            guard bucket.open < next, bucket.close <= pair.now else { return true }
            guard made < plan.fillLimit else {
                report.info("\(pair.symbol) \(place.interval.rawValue): \(made) buckets filled, more with the next run")
                return false
            }
            if try table.insert(Candle(flatAt: before.close), pair: place.pair, place.interval, bucket, closed: true) {
                made += 1
                report.filled += 1
            }
        }
    }

    func lastRead() throws -> Int64 { try exchange.checkpoint(Self.checkpoint(.minute))?.position ?? 0 }
}

extension Candle {
    /// For events: amounts as text.
    var json: JSON {
        .object(JSONObject([
            ("open", .string(open.description)), ("high", .string(high.description)), ("low", .string(low.description)),
            ("close", .string(close.description)), ("volume", .string(volume.description)),
            ("quote_volume", .string(quoteVolume.description)), ("trades", .number(String(trades))),
        ]))
    }
}
