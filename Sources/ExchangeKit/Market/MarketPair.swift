import SQL

/// A pair as those know it who count trades.
public struct MarketPair: Hashable, Sendable {
    public var symbol: String
    public var active: Bool
    /// The market's own time, where it has one; else the real one. Milliseconds since 1970 UTC.
    public var now: Int64
}

extension Exchange {
    /// All rows of the statement `pairs` (id, symbol, active, clock_ms) by number.
    ///
    /// A platform may know its pairs by something that is no number (a uuid): then each gets one
    /// in `pair_keys` when it is first seen, for ever, and the other statements find it there.
    public func pairs(now: Int64) throws -> [Int64: MarketPair] {
        let rows = try rows("pairs") { row in
            let pair = MarketPair(symbol: try row.text(1), active: try row.bool(2), now: try row.int64OrNil(3) ?? now)
            return (key: try row.text(0), pair: pair)
        }
        let numbers = rows.compactMap { row in Int64(row.key).flatMap { String($0) == row.key ? $0 : nil } }
        // Numbers beside keys could not be told from ours.
        guard numbers.count < rows.count else {
            return Dictionary(zip(numbers, rows.map(\.pair))) { first, _ in first }
        }
        let known = try numbersOfPairs(rows.map(\.key))
        return Dictionary(rows.compactMap { row in known[row.key].map { ($0, row.pair) } }) { first, _ in first }
    }

    private func numbersOfPairs(_ keys: [String]) throws -> [String: Int64] {
        func read() throws -> [String: Int64] {
            Dictionary(try rows("pair_keys") { (try $0.text(1), try $0.int64(0)) }) { first, _ in first }
        }
        let known = try read()
        let fresh = keys.filter { known[$0] == nil }
        if fresh.isEmpty { return known }
        return try write {
            for key in fresh { try run("put_pair_key", ["key": .text(key)]) }
            return try read()
        }
    }
}
