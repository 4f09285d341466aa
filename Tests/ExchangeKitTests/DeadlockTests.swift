import Dispatch
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import ExchangeKit

/// Two programs that wait for each other's rows. In SQLite there is one writer, and nothing like it.
@Suite(.enabled(if: TestExchange.dialect == .postgresql)) struct DeadlockTests {
    @Test func aDeadlockIsTriedAgainLater() throws {
        let test = try TestExchange(.disk)
        for owner in ["a", "b"] { try test.pay(Amount(1), "USD", to: owner) }
        var location = test.location
        location.lockTimeout = .minutes(1)
        let exchange = try Exchange.open(location, statements: StatementSet([:]))
        defer { exchange.close() }
        // So that it is ours that the server ends.
        try exchange.connection.execute("SET deadlock_timeout = '20ms'")

        let (url, rival) = (location.database, DispatchGroup())
        let (holdsB, holdsA) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        DispatchQueue.global().async(group: rival) {
            do {
                let connection = try PostgresConnection(PostgresAddress(url))
                defer { connection.close() }
                try connection.execute("SET deadlock_timeout = '60s'")
                try connection.transaction(.rowLocks) {
                    try connection.run("UPDATE wallets SET available = 7 WHERE owner = 'b'")
                    holdsB.signal()
                    holdsA.wait()
                    try connection.run("UPDATE wallets SET available = 7 WHERE owner = 'a'")
                }
            } catch {
                holdsB.signal()
                Issue.record(error)
            }
        }
        let failure = #expect(throws: JobFailure.self) {
            try exchange.write {
                try exchange.connection.run("UPDATE wallets SET available = 9 WHERE owner = 'a'")
                holdsB.wait()
                holdsA.signal()
                // Until it waits for us; then we wait for it.
                while try test.number("SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0") == 0 {}
                try exchange.connection.run("UPDATE wallets SET available = 9 WHERE owner = 'b'")
            }
        }
        #expect(failure?.kind == .transient)
        rival.wait()
        // Nothing of ours was left, and what it waited for was done.
        #expect(try test.texts("SELECT available FROM wallets WHERE owner IN ('a', 'b')") == ["7", "7"])
    }
}
