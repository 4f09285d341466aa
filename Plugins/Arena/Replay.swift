import ExchangeKit
import JobKit

extension ArenaTick {
    /// Trades written in one transaction.
    private static let batch = 20_000

    /// Replays the file, or the table, up to the market's time after this tick, or all of it.
    mutating func replay(
        isCancelled: () -> Bool, progress: (_ done: Int, _ total: Int, _ text: String) -> Void
    ) throws {
        guard let symbol = plan.replayed else { return }
        let file: any TradesSource = plan.settings.sourcePair.isEmpty
            ? try TradesFile(path: plan.settings.file) : TradesTable(exchange, symbol: plan.settings.sourcePair)
        var more = true
        var first = true
        while more {
            if isCancelled() { throw CancellationNotice() }
            more = try exchange.write { try replayBatch(file, symbol, isFirst: first) }
            first = false
            progress(file.progress.done, file.progress.total, "replayed \(counted(result.trades, "trade"))")
        }
    }

    /// Between two batches somebody may have reset the simulation.
    private mutating func stayIn(_ epoch: Int64, isFirst: Bool) throws {
        if isFirst { self.epoch = epoch }
        guard epoch == self.epoch else {
            throw JobFailure.transient("the simulation '\(plan.settings.simulation)' was reset while it was replayed")
        }
    }

    /// true: there is more in this tick.
    private mutating func replayBatch(_ file: any TradesSource, _ symbol: ArenaPlan.Symbol, isFirst: Bool) throws -> Bool {
        var row = try claim(startingAt: plan.start ?? 0)
        try stayIn(row.epoch, isFirst: isFirst)
        if row.file != file.path {
            // Another file: from its beginning. What it repeats is there already and stays.
            (row.file, row.fileOffset, row.fileLine, row.finished) = (file.path, file.offset, file.lineNumber, false)
            row.clock = plan.start ?? 0
        }
        if row.finished || (isFirst && alreadyDone(row)) {
            result.clock = row.clock
            result.idle = row.finished
                ? "the replay of \(file.path) into \(symbol.text) is finished" : "this tick was made by the attempt before"
            return false
        }
        if isFirst { try file.seek(offset: row.fileOffset, line: row.fileLine) }
        let pair = try pair(symbol, clock: row.clock)
        let batch = try write(file, pair, &row, isFirst: isFirst)
        row.cause = batch.isDone ? driver.cause : row.cause
        try exchange.run("set_pair_clock", ["pair": .int(pair), "clock_ms": row.finished ? .null : .int(row.clock)])
        if let price = batch.price { _ = try quote(pair, price) }
        try save(row)
        result.clock = row.clock
        if batch.isDone { tellReplay(symbol, row) }
        return !batch.isDone
    }

    private mutating func write(
        _ file: any TradesSource, _ pair: Int64, _ row: inout SimulationRow, isFirst: Bool
    ) throws -> (isDone: Bool, price: Amount?) {
        let writer = try TradeWriter(exchange)
        var price: Amount?
        var count = 0
        while count < Self.batch {
            let (offset, line) = (file.offset, file.lineNumber)
            guard let trade = try file.trade(), trade.instant < plan.end ?? .max else {
                row.finished = true
                row.fileOffset = offset
                row.fileLine = line
                return (true, price)
            }
            if let start = plan.start, trade.instant < start { continue }
            // The market's time begins with the first trade and moves once in a tick.
            if row.clock == 0 { row.clock = trade.instant / 60_000 * 60_000 }
            if case .step(let step) = plan.speed {
                if isFirst, count == 0, price == nil { row.clock += step }
                if trade.instant >= row.clock {
                    row.fileOffset = offset
                    row.fileLine = line
                    return (true, price)
                }
            } else {
                row.clock = max(row.clock, trade.instant)
            }
            if try writer.write(
                pair: pair, id: trade.id, instant: trade.instant, side: trade.side, price: trade.price, amount: trade.amount)
            {
                result.trades += 1
            }
            price = trade.price
            count += 1
        }
        row.fileOffset = file.offset
        row.fileLine = file.lineNumber
        return (false, price)
    }

    private mutating func tellReplay(_ symbol: ArenaPlan.Symbol, _ row: SimulationRow) {
        let until = utcText(row.clock / 1_000 * 1_000)
        result.summary = row.finished
            ? "Replayed \(counted(result.trades, "trade")) into \(symbol.text), up to \(until): \(plan.settings.sourcePair.isEmpty ? "the file" : "the table") is finished"
            : "Market \(until): \(counted(result.trades, "trade")) replayed into \(symbol.text)"
    }
}
