import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import ExchangeKit

private struct TellerSettings: ExchangeSettings {
    var database = ""
    var lockTimeout = Span.milliseconds(20)
    var sql: [String: String] = [:]
    var mode = MoneyMode.live
}

/// A job on the exchange that looks for owners.
private final class Teller: ExchangeEntry {
    static let statements = StatementSet(["owners": "SELECT count(*) FROM wallets"])
    static let info = EntryInfo(id: "teller", description: "For tests.")
    private let settings: TellerSettings
    init(settings: TellerSettings) throws { self.settings = settings }
    func run(_ context: RunContext) throws -> RunOutcome { .succeeded() }

    func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: Self.statements, clock: .fixed(0)) { exchange in
            check.mode(settings.mode)
            let owners = try exchange.first("owners") { try $0.int64(0) } ?? 0
            if owners == 3 { throw JobFailure.permanent("three is too many") }
            check.ok("owners", "\(owners)")
        }
    }
}

/// What every job on the exchange has looked at.
@Suite struct ExchangeDoctorTests {
    private func examine(_ exchange: TestExchange, _ more: String = "", cancelled: Bool = false) -> TestRun {
        let test = TestRun(settings: #"{"database": "\#(exchange.database)"\#(more)}"#)
        test.isCancelled = cancelled
        #expect(test.doctor(Teller.self) == .succeeded)
        return test
    }

    @Test func aHealthyExchange() throws {
        let exchange = try TestExchange(.disk)
        try exchange.pay(Amount(5), "USD", to: "user:1")
        let findings = examine(exchange).findings
        #expect(findings.map(\.subject) == ["database", "lock", "statements", "mode", "owners", "ledger"])
        // How long it takes to get it is the machine's to say.
        let lock = try #require(findings.first { $0.subject == "lock" }).text
        #expect(lock.hasPrefix("the write lock was free within ") || lock.hasPrefix("somebody held the write lock for "), "\(lock)")
        #expect(findings.filter { $0.subject != "lock" } == [
            .init(.ok, "database", "\(exchange.exchange.place), schema version \(Exchange.schemaVersion), a simulation"),
            .init(.ok, "statements", "all \(StatementSet.exchange.names.count { !$0.hasPrefix("migration_") } + 1) fit the schema"),
            .init(.ok, "mode", "live"), .init(.ok, "owners", "2"),
            .init(.ok, "ledger", "each of 2 wallets is the sum of its entries, each cause adds up to zero"),
        ])
    }

    @Test func realMoneyIsSaid() throws {
        let text = examine(try TestExchange(.disk, purpose: .live)).findings.first?.text
        #expect(text?.hasSuffix("live: this is real money") == true, "\(text ?? "")")
    }

    @Test func withoutADatabaseNothingElseIsLookedAt() {
        let test = TestRun(settings: #"{"database": "sqlite:/nowhere/at/all.db"}"#)
        #expect(test.doctor(Teller.self) == .succeeded)
        #expect(test.findings.map(\.subject) == ["database"])
        #expect(test.findings.map(\.level) == [.error])
        #expect(test.findings.first?.text.hasPrefix("cannot open the exchange database /nowhere/at/all.db") == true)
    }

    @Test func aLockThatSomebodyHoldsIsAnErrorAndTheRestIsLookedAt() throws {
        let exchange = try TestExchange(.disk)
        let findings = try exchange.exchange.write { examine(exchange).findings }
        let lock = try #require(findings.first { $0.subject == "lock" })
        #expect(lock.level == .error)
        #expect(lock.text.hasSuffix("for longer than lock_timeout (20ms); find who holds it: fuser \(exchange.exchange.place)"), "\(lock.text)")
        #expect(findings.contains(.init(.ok, "owners", "0")))
    }

    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func eachStatementThatDoesNotFitIsNamed() throws {
        let test = examine(try TestExchange(.disk), #", "sql": {"owners": "SELECT x FROM wallets", "wallets": "SELEC"}"#)
        let faults = test.findings.filter { $0.level == .error && $0.subject == "statements" }.map(\.text)
        #expect(faults.count == 2)
        #expect(faults.first?.hasPrefix("sql.owners: no such column: x") == true, "\(faults)")
        #expect(faults.last?.hasPrefix("sql.wallets: near ") == true, "\(faults)")
    }

    @Test func whatTheJobsOwnPartThrowsIsAFinding() throws {
        let exchange = try TestExchange(.disk)
        for owner in ["a", "b"] { try exchange.pay(Amount(1), "USD", to: owner) }
        let findings = examine(exchange).findings
        #expect(findings.contains(.init(.error, "job", "three is too many")))
        #expect(findings.last?.subject == "ledger")
    }

    @Test func moneyThatTheLedgerDoesNotKnowIsAnError() throws {
        let exchange = try TestExchange(.disk)
        let wallet = try exchange.pay(Amount(5), "USD", to: "user:1")
        try exchange.connection.run("UPDATE wallets SET available = '9' WHERE id = ?", [.int(wallet)])
        try exchange.connection.run("UPDATE wallets SET locked = '1' WHERE id = ?", [.int(wallet)])
        let ledger = examine(exchange).findings.last
        #expect(ledger == .init(
            .error, "ledger", "wallet \(wallet) (user:1, USD): available is 9, its entries say 5; and 1 more. "
                + "Something wrote wallets past the ledger: pause the jobs that move money before it is found"))
    }

    @Test func walletsFromBeforeTheLedgerAreAWarningUntilTheyAreOpened() throws {
        let exchange = try TestExchange(.disk)
        try exchange.pay(Amount(5), "USD", to: "user:1")
        try exchange.connection.run("INSERT INTO wallets (owner, currency, available) VALUES ('user:2', 'USD', '9')")
        #expect(examine(exchange).findings.suffix(2) == [
            .init(.warning, "ledger", "1 wallet held money before the ledger began: jobhost schema apply makes the opening entries, "
                + "else the first movement of each does"),
            .init(.ok, "ledger", "each of 2 wallets is the sum of its entries, each cause adds up to zero"),
        ])
        let apply = TestRun(settings: #"{"database": "\#(exchange.database)"}"#)
        apply.fireTimeMicroseconds = 7_000
        _ = apply.schema(Teller.self, SchemaRequest(.apply))
        #expect(apply.findings.map(\.text) == ["1 wallet that held money before the ledger began: opening entries made"])
        #expect(try exchange.texts("SELECT cause, kind, created_ms FROM ledger_causes ORDER BY cause DESC").first == "opening:3 opening 7")
        #expect(try exchange.differences() == [])
    }

    @Test func aLedgerTooLongForTheTimeIsAWarning() throws {
        let exchange = try TestExchange(.disk)
        try exchange.pay(Amount(5), "USD", to: "user:1")
        let ledger = examine(exchange, cancelled: true).findings.last
        #expect(ledger == .init(.warning, "ledger", "there was not the time to read all of it; ask again with a longer --timeout"))
    }

    @Test(arguments: [("off", DoctorContext.Level.warning), ("shadow", .ok)])
    func aModeThatMovesNothingIsSaid(mode: String, level: DoctorContext.Level) throws {
        let findings = examine(try TestExchange(.disk), #", "mode": "\#(mode)""#).findings
        let said = try #require(findings.first { $0.subject == "mode" })
        #expect(said.level == level && said.text.hasPrefix(mode + ": "))
    }
}
