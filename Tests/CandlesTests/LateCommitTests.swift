import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import Candles
@testable import ExchangeKit

/// PostgreSQL gives numbers when a row is written and shows it when its transaction commits.
@Suite(.enabled(if: TestExchange.dialect == .postgresql)) struct LateCommitTests {
    private static let insert = "INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (1, ?, ?, 'buy', ?, '1')"

    /// Number 100 commits after 101, whichever of the two transactions began first.
    @Test(arguments: [true, false]) func `A trade that commits after a later one is not missed`(_ olderCommitsLast: Bool) throws {
        let market = try Market()
        let slow = try market.test.otherProgram()
        defer { slow.close() }
        let first: Int64 = 1_570_752_000_000
        try slow.begin(.rowLocks)
        if olderCommitsLast {
            try slow.run(Self.insert, [.int(100), .int(first), .text("10")])
            try market.exchange.connection.run(Self.insert, [.int(101), .int(first + 1), .text("12")])
            // It would hide the other one for ever.
            #expect(try market.run(now: first + 120_000).trades == 0)
        } else {
            // Its number is taken, it has written nothing yet: whether it counts as begun is the server's matter.
            try slow.run("SELECT nextval(pg_get_serial_sequence('trades', 'seq'))")
            try market.exchange.connection.run(Self.insert, [.int(101), .int(first + 1), .text("12")])
            try market.run(now: first + 120_000)
            try slow.run(Self.insert, [.int(100), .int(first), .text("10")])
        }
        try slow.control("COMMIT")
        try market.run(now: first + 120_000)
        #expect(try market.rows("1m").map { "\($0.candle.open) \($0.candle.close) \($0.candle.trades)" } == ["10 12 2"])
        #expect(try market.run(now: first + 120_000).trades == 0)
    }

    /// A batch ends with the whole of its last transaction: it may be larger than was asked for.
    @Test func `A run reads on after a batch that its last transaction has made larger`() throws {
        let market = try Market()
        for transaction in 0 ..< Int64(3) {
            try market.exchange.write {
                for id in transaction * 3 ..< transaction * 3 + 3 { try market.trade(id, at: at(id), "10", "1") }
            }
        }
        #expect(try market.run(now: at(60)) { $0.batch = 2 }.trades == 9)
        #expect(try market.rows("1m").map(\.closed) == Array(repeating: true, count: 9))
    }
}
