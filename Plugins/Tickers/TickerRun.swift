import ExchangeKit
import JobKit
import SQL

/// One run: what has arrived since the last one goes into the windows of its pairs; then the
/// windows from which time alone has taken something, or to which it has brought something,
/// move on; the other tickers only become valid for longer.
///
/// What holds after every transaction: a pair's window is made of exactly those trades up to
/// `read` (the checkpoint; up to `builtSeq` where that is later) that lie in [from, until).
struct TickerRun {
    private let exchange: Exchange
    private let tables: TickerTables
    private let settings: TickersEntry.Settings
    /// Milliseconds since 1970 UTC, real time.
    private let now: Int64
    private(set) var report = TickerReport()
    private var pairs: [Int64: MarketPair] = [:]
    /// Whose windows turned out to be wrong.
    private var faulty: Set<Int64> = []

    init(_ exchange: Exchange, _ settings: TickersEntry.Settings, now: Int64) {
        self.exchange = exchange
        self.settings = settings
        self.now = now
        tables = TickerTables(exchange: exchange)
    }

    private static let checkpoint = "tickers"
    /// Pairs in one transaction where nothing was traded.
    private static let chunk = 100

    /// - Throws: `CancellationNotice` between two transactions; what is done stays done.
    mutating func run(isCancelled: () -> Bool, progress: (TickerReport) -> Void = { _ in }) throws {
        pairs = try exchange.pairs(now: now)
        report.activePairs = pairs.values.count(where: \.active)
        try delist()
        var more = true
        while more {
            if isCancelled() { throw CancellationNotice() }
            more = try keepingReport { try $0.readBatch() }
            progress(report)
        }
        try moveOn(isCancelled, progress)
        try exchange.write { _ = try exchange.run("keep_valid", ["valid_until": .int(validUntil)]) }
    }

    private var validUntil: Int64 { now + settings.validFor.milliseconds }

    /// One transaction; when it is rolled back, nothing of it is reported.
    private mutating func keepingReport<Result>(_ body: (inout TickerRun) throws -> Result) throws -> Result {
        let before = report
        do {
            return try exchange.write { try body(&self) }
        } catch {
            report = before
            throw error
        }
    }

    /// One pair's part of a transaction. Its failing stops no other: it is counted anew.
    private mutating func onePair(_ pair: Int64, _ body: (inout TickerRun) throws -> Void) throws {
        let before = report
        do {
            try exchange.write { try body(&self) }
        } catch let error where error.concernsTheRun {
            throw error
        } catch is WindowFault {
            report = before
            try tables.drop(pair)
            faulty.insert(pair)
            report.corrected += 1
            report.warn("\(symbol(pair)): trades that were counted have changed or gone; counted from all trades again")
        } catch {
            report = before
            try tables.drop(pair)
            report.fail("\(symbol(pair)): \(error)")
        }
    }

    private struct WindowFault: Error {}

    private func symbol(_ pair: Int64) -> String { pairs[pair]?.symbol ?? "pair \(pair)" }

    private mutating func delist() throws {
        let gone = try exchange.rows("delisted") { try $0.int64(0) }
        if gone.isEmpty { return }
        try exchange.write {
            for pair in gone {
                try tables.drop(pair)
                try exchange.run("drop_ticker", ["pair": .int(pair)])
            }
        }
        report.delisted = gone.count
        for pair in gone { report.debug("\(symbol(pair)) is not traded any more: its ticker is gone") }
    }

    // MARK: What has arrived

    /// true: there may be more.
    private mutating func readBatch() throws -> Bool {
        guard let read = try exchange.checkpoint(Self.checkpoint)?.position else {
            // The first run: all pairs are counted from their trades.
            try exchange.putCheckpoint(Self.checkpoint, try tables.newestSeq(), at: now)
            return false
        }
        var arrived: [Int64: [(seq: Int64, trade: Trade)]] = [:]
        var (last, count) = (read, 0)
        try exchange.forEach("new_trades", ["after": .int(read), "limit": .int(settings.batch)]) { row in
            last = try row.int64(4)
            count += 1
            let (id, pair) = (try row.int64(0), try row.int64(5))
            guard let known = pairs[pair] else { return report.fail("trade \(id): there is no pair \(pair)") }
            guard known.active else { return }
            do {
                arrived[pair, default: []].append((last, try TickerTables.trade(row)))
            } catch {
                report.fail("trade \(id) of \(known.symbol): \(error)")
            }
        }
        if count == 0 { return false }
        for (pair, trades) in arrived.sorted(by: { $0.key < $1.key }) {
            try onePair(pair) { try $0.add(trades, to: pair, read: read, last: last) }
        }
        try exchange.putCheckpoint(Self.checkpoint, last, at: now)
        // The last transaction comes whole: there may be more than were asked for.
        return count >= settings.batch
    }

    private mutating func add(_ arrived: [(seq: Int64, trade: Trade)], to pair: Int64, read: Int64, last: Int64) throws {
        // A new pair is counted from all trades, these among them.
        guard var known = try tables.window(pair) else { return }
        try move(&known, pair, upTo: max(read, known.builtSeq))
        var inside: [Trade] = []
        for (seq, trade) in arrived where seq > known.builtSeq {
            if try known.window.add(trade) { inside.append(trade) }
        }
        report.came += Int64(inside.count)
        var candidates = Candidates()
        for trade in inside.sorted(by: { $0.key < $1.key }) { candidates.add(trade) }
        try tables.addExtremes(pair, candidates)
        try save(known, pair, upTo: max(last, known.builtSeq))
    }

    // MARK: What time does

    private mutating func moveOn(_ isCancelled: () -> Bool, _ progress: (TickerReport) -> Void) throws {
        let due = try exchange.rows("due_windows", [
            "now": .int(now), "length": .int(TickerWindow.length), "built_before": .int(now - settings.recount.milliseconds),
        ]) { (pair: try $0.int64(0), rebuild: try $0.bool(1)) }
        var rest = due.filter { !$0.rebuild }.map(\.pair)[...]
        while !rest.isEmpty {
            if isCancelled() { throw CancellationNotice() }
            let chunk = rest.prefix(Self.chunk)
            rest = rest.dropFirst(Self.chunk)
            try keepingReport { run in
                let read = try run.read()
                for pair in chunk { try run.onePair(pair) { try $0.moveOn(pair, read: read) } }
            }
            progress(report)
        }
        for pair in faulty.union(due.filter(\.rebuild).map(\.pair)).sorted() {
            if isCancelled() { throw CancellationNotice() }
            do {
                try build(pair)
            } catch let error as AmountError {
                report.fail("\(symbol(pair)): \(error)")
            }
            progress(report)
        }
    }

    private mutating func moveOn(_ pair: Int64, read: Int64) throws {
        guard var known = try tables.window(pair) else { return }
        let seq = max(read, known.builtSeq)
        try move(&known, pair, upTo: seq)
        try save(known, pair, upTo: seq)
    }

    /// Moves a window to its pair's time. It never goes back: clocks of several hosts differ by
    /// a little; one that was set back by more than a minute is counted anew.
    private mutating func move(_ known: inout TickerTables.Known, _ pair: Int64, upTo seq: Int64) throws {
        guard let until = pairs[pair]?.now, until > known.window.until else { return }
        let (oldFrom, oldUntil, hadFuture) = (known.window.from, known.window.until, known.window.hasFuture)
        let from = until - TickerWindow.length
        if known.window.hasBefore(from) {
            try tables.forEachTrade(pair, oldFrom, min(from, oldUntil), upTo: seq) { trade in
                try known.window.remove(trade)
                report.went += 1
            }
            try tables.dropExtremes(pair, before: from)
            guard known.window.isSound else { throw WindowFault() }
        }
        known.window.move(until: until)
        guard hadFuture else { return }
        var candidates = Candidates()
        try tables.forEachTrade(pair, oldUntil, until, upTo: seq) { trade in
            guard try known.window.add(trade) else { return }
            candidates.add(trade)
            report.came += 1
        }
        try tables.addExtremes(pair, candidates)
    }

    /// Writes a window and its ticker.
    private mutating func save(_ known: TickerTables.Known, _ pair: Int64, upTo seq: Int64) throws {
        var known = known
        if known.window.needsFirst {
            known.window.first = try tables.first(pair, known.window.from, known.window.until, upTo: seq)
            if known.window.first == nil { throw WindowFault() }
        }
        try tables.put(known, pair)
        guard let ticker = try ticker(known.window, pair) else { return }
        try tables.put(ticker, pair, validUntil: validUntil)
        report.updatedPairs.insert(pair)
        report.debug("\(symbol(pair)): last \(ticker.last), \(ticker.trades) trades, volume \(ticker.volume)")
    }

    /// nil: the pair was never traded.
    private func ticker(_ window: TickerWindow, _ pair: Int64) throws -> Ticker? {
        guard let last = window.last else { return nil }
        guard let first = window.first else { return try Ticker(quietAt: last.price) }
        guard let high = try tables.extreme(.high, pair), let low = try tables.extreme(.low, pair) else { throw WindowFault() }
        return try Ticker(
            last: last.price, open: first.price, high: high, low: low, volume: window.volume,
            quoteVolume: window.quoteVolume, trades: window.trades)
    }

    // MARK: From all trades

    /// Reads without a lock, writes with one.
    private mutating func build(_ pair: Int64) throws {
        guard let until = pairs[pair]?.now else { return }
        let (known, candidates) = try exchange.read {
            let seq = try tables.newestSeq()
            var window = TickerWindow(until: until)
            var candidates = Candidates()
            try tables.forEachTrade(pair, window.from, until, upTo: seq) { trade in
                if try window.add(trade) { candidates.add(trade) }
            }
            if window.last == nil { window.last = try tables.last(pair, before: until, upTo: seq) }
            if let future = try tables.newest(pair, from: until, upTo: seq) { window.wait(for: future) }
            return (TickerTables.Known(window: window, builtSeq: seq, built: now), candidates)
        }
        try keepingReport { run in
            // Another run has read on meanwhile: the next one builds.
            guard try run.read() <= known.builtSeq else { return }
            try run.onePair(pair) { try $0.replace(pair, known, candidates) }
        }
    }

    private func read() throws -> Int64 { try exchange.checkpoint(Self.checkpoint)?.position ?? 0 }

    private mutating func replace(_ pair: Int64, _ known: TickerTables.Known, _ candidates: Candidates) throws {
        if let old = try tables.window(pair), try isWrong(old, pair, counted: known) {
            report.corrected += 1
            report.warn("\(symbol(pair)): counting all trades again has given another result, which is taken")
        }
        report.built += 1
        try tables.drop(pair)
        try tables.addExtremes(pair, candidates)
        try save(known, pair, upTo: known.builtSeq)
    }

    /// Whether what was known disagrees with what was counted.
    private mutating func isWrong(
        _ old: TickerTables.Known, _ pair: Int64, counted: TickerTables.Known
    ) throws -> Bool {
        // Trades that were not read yet, or a clock that was set back, make a difference too.
        guard try read() == counted.builtSeq, counted.window.until >= old.window.until else { return false }
        let before = report
        defer { report = before }
        var moved = old
        do {
            try move(&moved, pair, upTo: counted.builtSeq)
        } catch is WindowFault {
            return true
        }
        let (a, b) = (moved.window, counted.window)
        return (a.trades, a.volume, a.quoteVolume, a.last) != (b.trades, b.volume, b.quoteVolume, b.last)
    }
}
