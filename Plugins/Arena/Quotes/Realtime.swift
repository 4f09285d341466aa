import ExchangeKit
import JobKit
import SQL

extension ArenaTick {
    /// Real prices become the market's: a quote in real time, and a print (a trade of nothing) in the
    /// market's time, from which candles are made and which agents see.
    mutating func realtime(_ answer: QuoteDesk.Answer) throws {
        let settings = plan.settings
        var row = try claim(startingAt: answer.board.clock)
        if alreadyDone(row) {
            result.idle = "this tick was made by the attempt before"
            return
        }
        if answer.board.quotes.isEmpty {
            throw JobFailure.transient(
                "no provider has a price: \(answer.notes.first ?? "\(settings.quotes.pairs.joined(separator: ", ")) are not known there")")
        }
        result.trades = try exchange.putQuotes(answer.board, of: settings.simulation, at: driver.now)
        row.clock = max(row.clock, answer.board.clock)
        row.cause = driver.cause
        try save(row)
        result.clock = row.clock
        let sources = answer.sources.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map { "\($0.value) from \($0.key)" }.joined(separator: ", ")
        let missing = answer.board.missing
        let behind = settings.quotes.delayed ? " (delayed by \(settings.quotes.delay))" : ""
        result.summary = "Market \(utcText(row.clock / 1_000 * 1_000))\(behind): \(counted(answer.board.quotes.count, "price")), \(sources)"
            + (missing.isEmpty ? "" : "; none for \(missing.joined(separator: ", "))")
    }
}

extension Exchange {
    /// Writes what a board has taken. How many prints are new.
    func putQuotes(_ board: QuoteBoard, of simulation: String, at now: Int64) throws -> Int {
        let writer = try TradeWriter(self)
        let isBehind = board.clock < now
        var count = 0
        for quote in board.quotes.values.sorted(by: { $0.pair < $1.pair }) {
            let symbol = try ArenaPlan.symbol(quote.pair, "quotes.pairs")
            let id = try pair(symbol, of: simulation, clock: isBehind ? board.clock : nil, at: now)
            let last = try first("newest_trade", ["pair": .int(id)]) { try $0.amount(1) }
            // Known by its instant: the same quote again is the same print.
            if try writer.write(
                pair: id, id: quote.instant, instant: quote.instant, side: quote.price >= last ?? .zero ? "buy" : "sell",
                price: quote.price, amount: .zero)
            {
                count += 1
            }
            try run("put_quote", ["pair": .int(id), "now": .int(now), "bid": .amount(quote.bid), "ask": .amount(quote.ask)])
            try run("set_pair_clock", ["pair": .int(id), "clock_ms": isBehind ? .int(board.clock) : .null])
        }
        return count
    }
}
