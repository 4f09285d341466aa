import ExchangeTestKit
import SQL
import Testing

@testable import Tickers

/// PostgreSQL gives numbers when a row is written and shows it when its transaction commits.
@Suite(.enabled(if: TestExchange.dialect == .postgresql)) struct LateCommitTests {
    private static let insert = "INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (1, ?, ?, 'buy', ?, '1')"

    /// Number 100 commits after 101, whichever of the two transactions began first.
    @Test(arguments: [true, false]) func `A trade that commits after a later one is counted`(_ olderCommitsLast: Bool) throws {
        let market = try Market()
        try market.run(at(-60))
        let slow = try market.test.otherProgram()
        defer { slow.close() }
        try slow.begin(.rowLocks)
        if olderCommitsLast {
            try slow.run(Self.insert, [.int(100), .int(at(-2)), .text("10")])
            try market.test.connection.run(Self.insert, [.int(101), .int(at(-1)), .text("12")])
            // It would hide the other one for ever.
            #expect(try market.run(at(0)).came == 0)
        } else {
            // Its number is taken, it has written nothing yet: whether it counts as begun is the server's matter.
            try slow.run("SELECT nextval(pg_get_serial_sequence('trades', 'seq'))")
            try market.test.connection.run(Self.insert, [.int(101), .int(at(-1)), .text("12")])
            try market.run(at(0))
            try slow.run(Self.insert, [.int(100), .int(at(-2)), .text("10")])
        }
        try slow.control("COMMIT")
        try market.run(at(1))
        #expect(try market.test.texts("SELECT open, last, trades FROM tickers") == ["10 12 2"])
        #expect(try market.run(at(1)).came == 0)
    }

    /// A batch ends with the whole of its last transaction: it may be larger than was asked for.
    @Test func aRunReadsOnAfterABatchThatItsLastTransactionHasMadeLarger() throws {
        let market = try Market()
        try market.run(at(0))
        for transaction in 0 ..< Int64(3) {
            try market.test.exchange.write {
                for id in transaction * 3 ..< transaction * 3 + 3 { try market.trade(id, at: at(-60 + id), "10", "1") }
            }
        }
        #expect(try market.run(at(1)) { $0.batch = 2 }.came == 9)
    }
}
