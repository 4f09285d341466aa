import ExchangeKit
import JobKit

/// Where trades to replay come from: read in their order, from any place on.
protocol TradesSource: AnyObject {
    /// What it is, as the simulation remembers it: another one begins anew.
    var path: String { get }
    /// The place behind the last trade that was read.
    var offset: Int64 { get }
    var lineNumber: Int64 { get }
    /// For people; total 0: not known.
    var progress: (done: Int, total: Int) { get }
    func seek(offset: Int64, line: Int64) throws
    /// nil: the end.
    func trade() throws -> TradesFile.Trade?
}

extension TradesFile: TradesSource {
    var progress: (done: Int, total: Int) { (Int(offset), Int(size)) }
}

/// Trades of a table: of another pair of this database, or what `sql.replay_trades` reads.
final class TradesTable: TradesSource {
    private static let page: Int64 = 5_000

    let path: String
    private(set) var offset: Int64 = -1 << 60
    private(set) var lineNumber: Int64 = -1 << 60
    private let exchange: Exchange
    private let symbol: String
    private var waiting: ArraySlice<TradesFile.Trade> = []
    private var count = 0

    init(_ exchange: Exchange, symbol: String) {
        self.exchange = exchange
        self.symbol = symbol
        path = "table:" + symbol
    }

    var progress: (done: Int, total: Int) { (count, 0) }

    func seek(offset: Int64, line: Int64) throws {
        (self.offset, lineNumber) = (offset, line)
        waiting = []
    }

    func trade() throws -> TradesFile.Trade? {
        if waiting.isEmpty {
            waiting = try exchange.rows("replay_trades", [
                "symbol": .text(symbol), "ts_ms": .int(offset), "id": .int(lineNumber), "most": .int(Self.page),
            ]) { row in
                let trade = TradesFile.Trade(
                    id: try row.int64(0), instant: try row.int64(1), side: try row.text(2), price: try row.amount(3), amount: try row.amount(4))
                guard trade.side == "buy" || trade.side == "sell", trade.price.isPositive, !trade.amount.isNegative else {
                    throw JobFailure.permanent("\(path): trade \(trade.id) cannot be: \(trade.side) \(trade.amount) at \(trade.price)")
                }
                return trade
            }[...]
        }
        guard let trade = waiting.popFirst() else { return nil }
        // A statement of somebody's own that has not understood its order would never end.
        guard (trade.instant, trade.id) > (offset, lineNumber) else {
            throw JobFailure.badSettings("sql.replay_trades: trade \(trade.id) is not behind :ts_ms, :id; it has to be ordered by them")
        }
        (offset, lineNumber) = (trade.instant, trade.id)
        count += 1
        return trade
    }
}
