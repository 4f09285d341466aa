import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Testing

@testable import Deposits

@Suite struct CreditTests {
    @Test func walletStatusEventsAndNoteAreOneTransaction() throws {
        let platform = try Platform()
        try platform.confirmed()
        let run = try platform.credit()
        #expect((run.found, run.credited) == (1, 1))
        #expect(try platform.available() == "1.5")
        #expect(try platform.test.money("platform:external", "ETH") == "-1.5 0")
        #expect(try platform.test.texts("SELECT status, credited_ms FROM deposits") == ["CREDITED \(noon)"])
        #expect(try platform.test.events() == ["DepositConfirmed", "DepositCredited", "BalanceCredited"])
        #expect(try platform.test.texts("SELECT payload FROM outbox_events WHERE event = 'BalanceCredited'") == [
            #"{"wallet_id":1,"currency":"ETH","amount":"1.5","cause":"deposit:paper:0x1:0"}"#
        ])
        #expect(try platform.test.texts("SELECT action FROM activity_log ORDER BY seq") == ["deposit.confirm", "deposit.credit"])
        #expect(try platform.test.differences() == [])
        #expect(try platform.credit().found == 0)
    }

    @Test func severalTransfersOfOneTransactionAreCreditedEach() throws {
        let platform = try Platform(confirmations: 1)
        platform.chains["paper"]?.tokens = [TokenSettings(contract: "0xdac", currency: "USDT", decimals: 6)]
        let dollars = try Ledger(platform.exchange).wallet(owner: "user:alice", currency: "USDT")
        try platform.pay("0x1", block: 100)
        for (ordinal, units) in [(1, "1000000"), (2, "2500000")] {
            try platform.pay("0x1", units, block: 100, ordinal: ordinal, token: "0xdac")
        }
        try platform.deposit("0x1")
        try platform.deposit("0x1", "1", ordinal: 1, token: "0xdac", wallet: dollars)
        try platform.deposit("0x1", "2.5", ordinal: 2, token: "0xdac", wallet: dollars)
        try platform.confirm()
        #expect(try platform.credit().credited == 3)
        #expect(try platform.available() == "1.5")
        #expect(try platform.test.money("user:alice", "USDT") == "3.5 0")
    }

    // MARK: The chain is asked again

    @Test func aBlockThatIsGoneIsNotCredited() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.rewind(to: 101)
        try platform.mine(3, fork: "b")
        let run = try platform.credit()
        #expect((run.credited, run.waiting) == (0, 1))
        #expect(run.report.texts(.warning) == [
            "deposit 1 (1.5 ETH, paper 0x1): block 101 is not the one it was confirmed in, waits for the next confirmations"
        ])
        #expect(try platform.rows() == ["CONFIRMED 101 3"])
        #expect(try platform.available() == "0")
    }

    @Test func whatTheApplicationCallsConfirmedIsComparedWithTheChainFirst() throws {
        let platform = try Platform()
        try platform.pay("0x1", "1", block: 100)
        try platform.mine(5)
        try platform.deposit("0x1", "1000000", status: "CONFIRMED")
        #expect(try platform.credit().waiting == 1)
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["FAILED"])
        #expect(try platform.available() == "0")
    }

    @Test func aBlockThatTheApplicationNamesIsNotEnough() throws {
        let platform = try Platform()
        try platform.pay("0x1", "1", block: 100)
        try platform.deposit("0x1", "1000000", status: "CONFIRMED")
        try platform.sql("UPDATE deposits SET block = 100, block_hash = '100a'")
        #expect(try platform.credit().waiting == 1)
        #expect(try platform.available() == "0")
    }

    @Test func aPaperChainWithoutABlockIsNoTroubleAndItsDepositsWait() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.sql("DELETE FROM paper_blocks")
        let run = try platform.credit()
        #expect(run.report.outcome(chains: run.chains) == .nothingToDo("chain paper: the paper chain has no block yet"))
        #expect(try platform.statuses() == ["CONFIRMED"])
    }

    // MARK: The guard

    /// A platform's own rules: what stands in `reviews` counts, else what is above 10 is held.
    private func guarded() throws -> (Platform, Exchange) {
        let platform = try Platform(.disk)
        try platform.sql("CREATE TABLE reviews (deposit INTEGER, decision TEXT, reason TEXT)")
        var location = platform.test.location
        location.sql["credit_guard"] = "SELECT decision, reason FROM reviews WHERE deposit = :id"
        return (platform, try Exchange.open(location, statements: .deposits))
    }

    private func credit(_ platform: Platform, _ exchange: Exchange) throws -> CreditRun {
        var settings = CreditEntry.Settings()
        settings.mode = .live
        settings.chains = platform.chains
        let set = try ChainSet(platform.chains)
        var run = try CreditRun(exchange, set.plans, settings, now: noon) { try set.open($0, exchange, mayRecord: true) }
        try run.run { false }
        return run
    }

    @Test func theGuardAllowsHoldsAndRejects() throws {
        let (platform, exchange) = try guarded()
        defer { exchange.close() }
        for hash in ["0x1", "0x2", "0x3", "0x4", "0x5"] { try platform.confirmed(hash) }
        try platform.sql("""
            INSERT INTO reviews
            VALUES (1, 'allow', ''), (2, 'hold', 'sanctions list'), (3, 'reject', 'stolen'), (5, 'perhaps', '')
            """)
        let run = try credit(platform, exchange)
        #expect((run.credited, run.held, run.failed) == (1, 2, 1))
        #expect(try platform.test.texts("SELECT status, reason FROM deposits ORDER BY id") == [
            "CREDITED ", "HELD sanctions list", "FAILED rejected: stolen", "HELD credit_guard has no answer for it", "CONFIRMED ",
        ])
        #expect(run.report.texts(.error) == [
            "deposit 5 (1.5 ETH, paper 0x5): credit_guard answers 'perhaps', which is none of allow, hold, reject"
        ])
        #expect(try platform.available() == "1.5")
    }

    @Test func whatWasHeldIsFollowedAndCreditedWhenSomebodySaysSo() throws {
        let (platform, exchange) = try guarded()
        defer { exchange.close() }
        try platform.confirmed()
        _ = try credit(platform, exchange)
        try platform.mine()
        try platform.confirm()
        #expect(try platform.rows() == ["HELD 101 4"])
        try platform.sql("INSERT INTO reviews VALUES (1, 'allow', '')")
        #expect(try credit(platform, exchange).found == 0)
        #expect(try platform.exchange.run("retry_deposit", ["id": .text("1")]) == 1)
        _ = try credit(platform, exchange)
        #expect(try platform.statuses() == ["CREDITED"])
    }

    // MARK: Permanent causes, and others

    @Test func onlyPermanentCausesFail() throws {
        let platform = try Platform()
        try platform.confirmed("0x1")
        try platform.confirmed("0x2")
        try platform.confirmed("0x3")
        try platform.sql("UPDATE deposits SET amount = '-1' WHERE id = 1")
        // A wallet that is full.
        try platform.sql("UPDATE wallets SET available = '170141183460469231731' WHERE id = 1")
        try platform.sql("UPDATE deposits SET amount = '1.5' WHERE id = 2")
        let run = try platform.credit()
        #expect(run.failed == 3)
        #expect(try platform.test.texts("SELECT status, reason FROM deposits ORDER BY id") == [
            "FAILED the amount is -1",
            "FAILED the wallet cannot hold that much: the amount does not fit into 38 digits with 18 after the point",
            "FAILED the wallet cannot hold that much: the amount does not fit into 38 digits with 18 after the point",
        ])
        #expect(try platform.test.count("ledger_entries") == 0)
    }

    @Test func aDatabaseThatIsLockedIsTriedAgainNotFailed() throws {
        let platform = try Platform(.disk)
        try platform.confirmed()
        let other = try Exchange.open(platform.test.location, statements: .deposits)
        defer { other.close() }
        try other.write {
            let failure = #expect(throws: JobFailure.self) { try platform.alone { try $0.credit() } }
            #expect(failure?.kind == .transient)
        }
        #expect(try platform.statuses() == ["CONFIRMED"])
    }

    @Test func byHandAFailedDepositGetsAnotherChance() throws {
        let platform = try Platform(.disk)
        try platform.confirmed()
        try platform.sql("UPDATE deposits SET amount = '0'")
        try platform.credit()
        try platform.sql("UPDATE deposits SET amount = '1.5'")
        let test = TestRun(
            settings: #"{"database": "\#(platform.test.database)", "mode": "live", "chains": {"paper": {"confirmations": 3}}}"#,
            payload: #"{"retry": ["1", "99"]}"#)
        #expect(test.run(CreditEntry.self) == .nothingToDo)
        #expect(test.log.map(\.text) == [
            "deposit 1: will be looked at again",
            "deposit 99: is not there, or neither FAILED, DROPPED, AMOUNT_UNSUPPORTED nor HELD",
        ])
        #expect(try platform.statuses() == ["PENDING"])
        try platform.confirm()
        try platform.credit()
        #expect(try platform.statuses() == ["CREDITED"])
        #expect(try platform.available() == "1.5")
    }

    /// Even for a deposit that is confirmed anew by hand.
    @Test func moneyMovesOnceForATransfer() throws {
        let platform = try Platform()
        try platform.confirmed("0x1")
        try platform.credit()
        try platform.sql("UPDATE deposits SET status = 'CONFIRMED'")
        let run = try platform.credit()
        #expect(run.credited == 0)
        #expect(run.report.texts(.warning) == [
            "deposit 1 (1.5 ETH, paper 0x1): this transfer had been credited before; no money moved"
        ])
        #expect(try platform.statuses() == ["CREDITED"])
        #expect(try platform.available() == "1.5")
        #expect(try platform.reason() == "this transfer had been credited before; no money moved")
        #expect(try platform.test.differences() == [])
    }

    @Test func cancellationIsLookedAtBetweenDeposits() throws {
        let platform = try Platform()
        for hash in ["0x1", "0x2", "0x3"] { try platform.confirmed(hash) }
        var settings = CreditEntry.Settings()
        settings.mode = .live
        settings.chains = platform.chains
        let (exchange, set) = (platform.exchange, try ChainSet(platform.chains))
        var run = try CreditRun(exchange, set.plans, settings, now: noon) { try set.open($0, exchange, mayRecord: true) }
        var asked = 0
        #expect(throws: CancellationNotice.self) {
            try run.run {
                asked += 1
                return asked > 1
            }
        }
        #expect(try platform.statuses() == ["CREDITED", "CONFIRMED", "CONFIRMED"])
    }

    // MARK: Modes and caps

    @Test func shadowDecidesAndWritesNothing() throws {
        let platform = try Platform()
        try platform.confirmed()
        let tables = ["ledger_entries", "wallets", "outbox_events", "activity_log", "checkpoints"]
        let before = try tables.map(platform.test.count) + [platform.test.number("SELECT version FROM deposits")]
        let run = try platform.credit { $0.mode = .shadow }
        #expect(run.credited == 1)
        #expect(try tables.map(platform.test.count) + [platform.test.number("SELECT version FROM deposits")] == before)
        #expect(try platform.statuses() == ["CONFIRMED"])
        #expect(CreditEntry.Settings().mode == .shadow)
    }

    @Test(arguments: [
        ("max_amount", "1.6 ETH is above max_amount (1.5)"),
        ("max_per_run", "max_per_run (3 ETH) would be passed: 4.6"),
        ("max_per_hour", "max_per_hour (3 ETH) would be passed: 4.6"),
        ("max_credits_per_run", "max_credits_per_run (2) is reached"),
        ("max_credits_per_hour", "max_credits_per_hour (2) is reached"),
    ])
    func aCapStopsTheRun(_ cap: String, _ sentence: String) throws {
        let platform = try Platform()
        for (hash, text) in [("0x1", "1.5"), ("0x2", "1.5"), ("0x3", "1.6"), ("0x4", "0.1")] {
            try platform.confirmed(hash, text)
        }
        let run = try platform.credit { settings in
            switch cap {
            case "max_amount": settings.maxAmount = ["ETH": Amount("1.5") ?? .zero, "BTC": .one]
            case "max_per_run": settings.maxPerRun = ["ETH": Amount(3)]
            case "max_per_hour": settings.maxPerHour = ["ETH": Amount(3)]
            case "max_credits_per_run": settings.maxCreditsPerRun = 2
            default: settings.maxCreditsPerHour = 2
            }
        }
        #expect(run.report.halt == "deposit 3 (1.6 ETH, paper 0x3): \(sentence)")
        #expect(try platform.statuses() == ["CREDITED", "CREDITED", "CONFIRMED", "CONFIRMED"])
        #expect(try platform.available() == "3")
    }

    @Test func theHourIsCountedOverRuns() throws {
        let platform = try Platform()
        try platform.confirmed("0x1")
        try platform.credit()
        try platform.confirmed("0x2")
        let cap: (inout CreditEntry.Settings) -> Void = { $0.maxPerHour = ["ETH": Amount(2)] }
        #expect(try platform.credit(at: noon + 3_600_000, cap).report.halt != nil)
        #expect(try platform.credit(at: noon + 3_600_001, cap).report.halt == nil)
    }

    @Test func aCapIsACriticalLineAndAFailedRun() throws {
        let platform = try Platform(.disk)
        try platform.confirmed()
        let test = TestRun(settings: """
            {"database": "\(platform.test.database)", "mode": "live", "chains": {"paper": {}}, "max_amount": {"ETH": "1"}}
            """)
        #expect(test.run(CreditEntry.self) == .failed)
        let sentence = "deposit 1 (1.5 ETH, paper 0x1): 1.5 ETH is above max_amount (1)"
        #expect(test.text.hasPrefix("Halted: \(sentence). Looked at 1 deposit: 0 credited"))
        #expect(test.log.contains { $0.level == 5 && $0.text.hasPrefix("halted: deposit 1") })
    }

    // MARK: Cut, and beside others

    @Test func aRunThatIsCutAnywhereCreditsOnce() throws {
        func check(_ platform: Platform, _ place: String) throws {
            #expect(try platform.statuses() == ["CREDITED", "CREDITED", "FAILED"], "\(place)")
            #expect(try platform.available() == "3", "\(place)")
            #expect(try platform.test.differences() == [], "\(place)")
            #expect(try platform.test.events().filter { $0 == "BalanceCredited" }.count == 2, "\(place)")
            let actions = try platform.test.texts(
                "SELECT action FROM activity_log WHERE action <> 'deposit.confirm' ORDER BY subject")
            #expect(actions == ["deposit.credit", "deposit.credit", "deposit.fail"], "\(place)")
        }
        let cuts = try cutAtEveryStatement({
            let platform = try Platform(.disk)
            for hash in ["0x1", "0x2", "0x3"] { try platform.confirmed(hash) }
            try platform.sql("UPDATE deposits SET amount = '0' WHERE id = 3")
            return platform
        }, run: { try $0.alone { _ = try $0.credit() } }, check: check)
        #expect(cuts > 30)
    }

    /// The application credits the deposit itself, in its own way, at each moment.
    @Test func besideAnApplicationThatCreditsToo() throws {
        func check(_ platform: Platform, _ place: String) throws {
            #expect(try platform.statuses() == ["CREDITED"], "\(place)")
            #expect(try platform.available() == "1.5", "\(place)")
            #expect(try platform.test.differences() == [], "\(place)")
        }
        let moments = try besideAWriterAtEveryStatement({
            let platform = try Platform(.disk)
            try platform.confirmed()
            return (platform, platform.test)
        }, write: { other in
            let changed = try other.run(
                "UPDATE deposits SET status = 'CREDITED', version = version + 1 WHERE id = 1 AND status = 'CONFIRMED'", [])
            guard changed == 1 else { return }
            try other.run("INSERT INTO ledger_causes (cause, kind, created_ms) VALUES ('deposit:paper:0x1:0', 'deposit', 0)", [])
            try other.run("""
                INSERT INTO wallets (owner, currency, may_be_negative) VALUES ('platform:external', 'ETH', 1) ON CONFLICT DO NOTHING
                """, [])
            try other.run("""
                INSERT INTO ledger_entries (cause, wallet_id, bucket, amount)
                SELECT 'deposit:paper:0x1:0', id, 'available', CASE id WHEN 1 THEN 1.5 ELSE -1.5 END FROM wallets
                """, [])
            try other.run("UPDATE wallets SET available = CASE id WHEN 1 THEN 1.5 ELSE -1.5 END", [])
        }, run: { platform in
            let errors = try platform.alone { try $0.credit().report.errors }
            #expect(errors == 0)
        }, check: check)
        #expect(moments > 8)
    }

    /// Money that moves in the same wallet at each moment is neither lost nor doubled.
    @Test func besideAnApplicationThatMovesTheSameWallet() throws {
        func check(_ platform: Platform, _ place: String) throws {
            _ = try platform.credit()
            #expect(try platform.available() == "11.5", "\(place)")
            #expect(try platform.test.differences() == [], "\(place)")
        }
        try besideAWriterAtEveryStatement({
            let platform = try Platform(.disk)
            try platform.confirmed()
            try platform.test.pay(Amount(4), "ETH", to: "user:alice")
            return (platform, platform.test)
        }, write: { other in
            try other.run("INSERT INTO ledger_causes (cause, kind, created_ms) VALUES ('bonus', 'bonus', 0)", [])
            for (owner, amount) in [("user:alice", 6), ("platform:external", -6)] as [(String, Int32)] {
                let (id, held) = try other.first("SELECT id, available FROM wallets WHERE owner = ?", [.text(owner)]) {
                    (try $0.int64(0), try $0.amount(1))
                } ?? (0, .zero)
                try other.run(
                    "INSERT INTO ledger_entries (cause, wallet_id, bucket, amount) VALUES ('bonus', ?, 'available', ?)",
                    [.int(id), .amount(Amount(amount))])
                try other.run("UPDATE wallets SET available = ? WHERE id = ?", [.amount(try held + Amount(amount)), .int(id)])
            }
        }, run: { try $0.alone { _ = try $0.credit() } }, check: check)
    }
}
