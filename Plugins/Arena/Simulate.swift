import ExchangeKit
import JobCore
import JobKit

/// A pair after its tick.
struct LivePair {
    var id: Int64
    var symbol: ArenaPlan.Symbol
    var price: Amount
    var bid: Amount
    var ask: Amount
}

extension ArenaTick {
    /// One tick of an invented market, in one transaction: trades, prices, margin traders, orders, deposits.
    mutating func simulate() throws {
        let settings = plan.settings
        // On the hour, so that candles begin whole.
        let origin = plan.start ?? (driver.now - min(settings.back.milliseconds, driver.now)) / 3_600_000 * 3_600_000
        var row = try claim(startingAt: min(origin, driver.now))
        if alreadyDone(row) {
            result.idle = "this tick was made by the attempt before"
            // Its outcome was lost, and with it what it enqueued.
            result.enqueued = try SaleCrowd(settings, seed: row.seed, driver: driver).enqueued(tick: row.ticks - 1)
            return
        }
        guard case .step(let step) = plan.speed else { return }
        let from = row.clock
        let to = MarketClock(from).after(step, real: driver.now)
        var pairs: [LivePair] = []
        let writer = try TradeWriter(exchange)
        for (index, (symbol, home)) in plan.pairs.enumerated() {
            let random = Self.generator(seed: row.seed, tick: row.marketTick, stream: UInt64(index))
            pairs.append(try trade(symbol, home, from: from, to: to, random, writer))
        }
        var crowd = MarginCrowd(
            exchange: exchange, driver: driver, simulation: settings.simulation, tick: row.ticks, pairs: pairs)
        var random = Self.generator(seed: row.seed, tick: row.marketTick, stream: 1_000)
        try crowd.settle(accounts: settings.accounts)
        try crowd.act(&random)
        var book = OrderCrowd(exchange: exchange, driver: driver, simulation: settings.simulation, tick: row.ticks)
        for pair in pairs { try book.act(pair, &random) }
        let removed = try EngineDesk(exchange: exchange, driver: driver, simulation: settings.simulation).answer()
        var senders = DepositCrowd(exchange: exchange, driver: driver, simulation: settings.simulation, tick: row.ticks)
        var coins = Self.generator(seed: row.seed, tick: row.marketTick, stream: 2_000)
        try senders.settle(&coins)
        try senders.act(&coins)
        var dice = Self.generator(seed: row.seed, tick: row.marketTick, stream: 3_000)
        if let quote = pairs.first?.symbol.quote {
            var contests = ContestCrowd(
                exchange: exchange, driver: driver, simulation: settings.simulation, tick: row.ticks, currency: quote)
            try contests.act(&dice)
            result.contests = contests.begun
        }
        let sales = SaleCrowd(settings, seed: row.seed, driver: driver)
        if let pair = pairs.randomElement(using: &dice) {
            try sales.placeFailedOrder(exchange, tick: row.ticks, pair: pair, &dice)
        }
        result.enqueued = try sales.enqueued(tick: row.ticks)
        var abroad = Self.generator(seed: row.seed, tick: row.marketTick, stream: 4_000)
        var desk = ExchangeDesk(exchange: exchange, driver: driver, simulation: settings.simulation, tick: row.ticks)
        for pair in pairs { try desk.act(pair, &abroad) }
        try exchange.run("forget_quotes", ["before": .int(driver.now - 90_000_000)])
        row.clock = to
        row.cause = driver.cause
        try save(row)
        tell(pairs, crowd, book, removed: removed, senders, from: from, to: to)
    }

    private mutating func tell(
        _ pairs: [LivePair], _ crowd: MarginCrowd, _ book: OrderCrowd, removed: Int, _ senders: DepositCrowd, from: Int64,
        to: Int64
    ) {
        result.clock = to
        let prices = pairs.map { "\($0.symbol.text) \($0.price.readable($0.price >= Amount(1_000) ? 2 : 4))" }
        var parts = ["\(counted(result.trades, "trade"))", "\(counted(book.placed, "order")) placed, \(book.filled) filled"]
        if removed > 0 { parts.append("\(counted(removed, "order")) removed") }
        if crowd.opened > 0 { parts.append("\(counted(crowd.opened, "position")) opened") }
        if crowd.closed > 0 { parts.append("\(crowd.closed) closed with profit") }
        if senders.sent > 0 { parts.append("\(counted(senders.sent, "deposit")) sent") }
        if result.contests > 0 { parts.append("\(counted(result.contests, "contest")) begun") }
        if !result.enqueued.isEmpty { parts.append("\(result.enqueued.count) enqueued") }
        result.summary = "Market \(utcText(to / 1_000 * 1_000)) (+\(minutes(to - from))): \(prices.joined(separator: ", ")); "
            + parts.joined(separator: ", ")
    }

    private func minutes(_ milliseconds: Int64) -> String { Span.milliseconds(milliseconds / 1_000 * 1_000).description }

    /// Every tick and every pair draws from numbers of its own: what one does leaves the others'
    /// as they are.
    static func generator(seed: Int64, tick: Int64, stream: UInt64) -> SeededGenerator {
        var mixer = SeededGenerator(seed: UInt64(bitPattern: seed))
        let first = mixer.next() ^ (UInt64(bitPattern: tick) &* 0xD1B5_4A32_D192_ED03)
        return SeededGenerator(seed: first ^ (stream &* 0xABC9_8388_FB8F_AC03))
    }

    private mutating func trade(
        _ symbol: ArenaPlan.Symbol, _ home: Amount, from: Int64, to: Int64, _ random: SeededGenerator, _ writer: TradeWriter
    ) throws -> LivePair {
        let id = try pair(symbol, clock: from)
        let newest = try exchange.first("newest_trade", ["pair": .int(id)]) { (try $0.int64(0), try $0.amount(1)) }
        var walk = try PriceWalk(
            home: home, last: newest?.1, tradesPerMinute: plan.settings.tradesPerMinute,
            volatilityBps: plan.settings.volatilityBps, random: random)
        var number = newest?.0 ?? 0
        for trade in try walk.trades(from: from, to: to) {
            number += 1
            _ = try writer.write(
                pair: id, id: number, instant: trade.instant, side: trade.isBuy ? "buy" : "sell", price: trade.price,
                amount: trade.amount)
            result.trades += 1
        }
        try exchange.run("set_pair_clock", ["pair": .int(id), "clock_ms": .int(to)])
        let (bid, ask) = try quote(id, walk.price)
        return LivePair(id: id, symbol: symbol, price: walk.price, bid: bid, ask: ask)
    }
}
