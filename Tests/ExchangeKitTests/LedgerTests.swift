import SQL
import Testing

@testable import ExchangeKit

@Suite struct LedgerTests {
    /// Alice with 100 USD, paid in from outside.
    private func books() throws -> (exchange: Exchange, ledger: Ledger, alice: Int64, outside: Int64) {
        let exchange = try emptyExchange()
        let ledger = Ledger(exchange)
        let alice = try ledger.wallet(owner: "user:alice", currency: "USD")
        let outside = try ledger.wallet(owner: "platform:external", currency: "USD", mayBeNegative: true)
        try exchange.write {
            try ledger.post(
                cause: "deposit:1", kind: "deposit",
                [.init(alice, .available, Amount(100)), .init(outside, .available, Amount(-100))], at: 0)
        }
        return (exchange, ledger, alice, outside)
    }

    @Test func aWalletIsTheSumOfItsEntries() throws {
        let (exchange, ledger, alice, _) = try books()
        try exchange.write {
            try ledger.post(
                cause: "order:1:lock", kind: "order",
                [.init(alice, .available, Amount(-30)), .init(alice, .locked, Amount(30))], at: 0)
        }
        let wallet = try #require(try ledger.wallet(alice))
        #expect((wallet.available, wallet.locked) == (Amount(70), Amount(30)))
        #expect(try ledger.differences() == [])
    }

    @Test func aCauseMovesMoneyOnce() throws {
        let (exchange, ledger, alice, outside) = try books()
        let again = try exchange.write {
            try ledger.post(
                cause: "deposit:1", kind: "deposit",
                [.init(alice, .available, Amount(100)), .init(outside, .available, Amount(-100))], at: 0)
        }
        #expect(!again)
        #expect(try ledger.wallet(alice)?.available == Amount(100))
    }

    @Test func entriesThatDoNotAddUpAreRolledBack() throws {
        let (exchange, ledger, alice, outside) = try books()
        #expect(throws: LedgerError.unbalanced(cause: "x", currency: "USD", by: Amount(1))) {
            try exchange.write {
                try ledger.post(
                    cause: "x", kind: "test", [.init(alice, .available, Amount(5)), .init(outside, .available, Amount(-4))], at: 0)
            }
        }
        #expect(try ledger.wallet(alice)?.available == Amount(100))
        #expect(try ledger.differences() == [])
    }

    @Test func currenciesAddUpEachForItself() throws {
        let (exchange, ledger, alice, _) = try books()
        let euros = try ledger.wallet(owner: "user:alice", currency: "EUR")
        #expect(throws: LedgerError.unbalanced(cause: "x", currency: "EUR", by: Amount(50))) {
            try exchange.write {
                try ledger.post(
                    cause: "x", kind: "test", [.init(alice, .available, Amount(-50)), .init(euros, .available, Amount(50))], at: 0)
            }
        }
    }

    @Test func aWalletDoesNotGoBelowZeroUnlessItMayOrOwes() throws {
        let (exchange, ledger, alice, outside) = try books()
        func pay(_ cause: String, isOwed: Bool) throws {
            try exchange.write {
                try ledger.post(
                    cause: cause, kind: "test",
                    [.init(alice, .available, Amount(-101), isOwed: isOwed), .init(outside, .available, Amount(101))], at: 0)
            }
        }
        #expect(throws: LedgerError.insufficient(wallet: alice, cause: "a")) { try pay("a", isOwed: false) }
        try pay("b", isOwed: true)
        #expect(try ledger.wallet(alice)?.available == Amount(-1))
        #expect(try ledger.differences() == [])
    }

    @Test func lockedMoneyIsNeverNegative() throws {
        let (exchange, ledger, alice, _) = try books()
        #expect(throws: LedgerError.insufficient(wallet: alice, cause: "x")) {
            try exchange.write {
                try ledger.post(
                    cause: "x", kind: "test", [.init(alice, .available, Amount(1)), .init(alice, .locked, Amount(-1))], at: 0)
            }
        }
    }

    @Test func whatSomebodyChangedByHandIsFound() throws {
        let (exchange, ledger, alice, _) = try books()
        try exchange.connection.run("UPDATE wallets SET available = '100.5' WHERE id = ?", [.int(alice)])
        try exchange.connection.run("UPDATE ledger_entries SET amount = '-99' WHERE amount = '-100'")
        #expect(try ledger.differences() == [
            "wallet 1 (user:alice, USD): available is 100.5, its entries say 100",
            "wallet 2 (platform:external, USD): available is -100, its entries say -99",
            "cause deposit:1: its entries in USD add up to 1, not to zero",
        ])
    }

    // MARK: Wallets that were there before

    /// 7 EUR available and 3 locked that no entry knows of; and one with nothing in it.
    private func before(_ exchange: Exchange) throws -> Int64 {
        try exchange.connection.run("INSERT INTO wallets (owner, currency) VALUES ('user:empty', 'EUR')")
        try exchange.connection.run("INSERT INTO wallets (owner, currency, available, locked) VALUES ('user:bob', 'EUR', '7.00', '3')")
        return try Ledger(exchange).wallet(owner: "user:bob", currency: "EUR")
    }

    @Test func aWalletThatWasThereBeforeOpensWithTheFirstMoneyThatMoves() throws {
        let (exchange, ledger, _, _) = try books()
        let bob = try before(exchange)
        #expect(try ledger.unopened() == [bob])
        #expect(try ledger.differences().count == 2)
        let euros = try ledger.wallet(owner: "platform:external", currency: "EUR", mayBeNegative: true)
        for cause in ["deposit:2", "deposit:3"] {
            try exchange.write {
                _ = try ledger.post(
                    cause: cause, kind: "deposit", [.init(bob, .available, Amount(5)), .init(euros, .available, Amount(-5))], at: 9)
            }
        }
        #expect(try ledger.wallet(bob)?.available == Amount(17))
        #expect(try ledger.differences() == [])
        #expect(try ledger.unopened() == [])
        let entries = try exchange.connection.rows("SELECT bucket, amount FROM ledger_entries WHERE cause = 'opening:\(bob)' ORDER BY id", []) {
            "\(try $0.text(0)) \(Amount(try $0.text(1))?.description ?? "?")"
        }
        #expect(entries == ["available 7", "locked 3", "available -10"])
        // What fails takes its opening with it.
        try exchange.connection.run("INSERT INTO wallets (owner, currency, available) VALUES ('user:cy', 'EUR', '1')")
        let cy = try ledger.wallet(owner: "user:cy", currency: "EUR")
        #expect(throws: LedgerError.insufficient(wallet: cy, cause: "x")) {
            try exchange.write {
                try ledger.post(cause: "x", kind: "test", [.init(cy, .available, Amount(-2)), .init(bob, .available, Amount(2))], at: 9)
            }
        }
        #expect(try ledger.unopened() == [cy])
    }

    @Test func allThatWereThereBeforeAreOpenedOnce() throws {
        let (exchange, ledger, _, _) = try books()
        _ = try before(exchange)
        #expect(try exchange.write { try ledger.openAccounts(at: 9) } == 1)
        #expect(try ledger.differences() == [])
        #expect(try exchange.write { try ledger.openAccounts(at: 9) } == 0)
        // Entries that somebody took away are no wallet from before.
        try exchange.connection.run("DELETE FROM ledger_entries WHERE wallet_id = (SELECT id FROM wallets WHERE owner = 'user:bob')")
        #expect(try exchange.write { try ledger.openAccounts(at: 9) } == 0)
        #expect(try !ledger.differences().isEmpty)
    }

    @Test func aWalletThatIsNotThere() throws {
        let (exchange, ledger, _, _) = try books()
        #expect(throws: LedgerError.noWallet(99)) {
            try exchange.write { try ledger.post(cause: "x", kind: "test", [.init(99, .available, .zero)], at: 0) }
        }
    }
}
