import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import Deposits

@Suite struct ConfirmationTests {
    @Test func aDepositIsFollowedUntilItIsConfirmed() throws {
        let platform = try Platform()
        try platform.pay("0x1", block: nil)
        try platform.deposit("0x1")
        try platform.confirm()
        #expect(try platform.rows() == ["PENDING - 0"])
        try platform.mine()
        try platform.include("0x1", in: 101)
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMING 101 1"])
        try platform.mine()
        #expect(try platform.confirm().confirmed == 0)
        try platform.mine()
        let run = try platform.confirm()
        #expect((run.checked, run.updated, run.confirmed) == (1, 1, 1))
        #expect(try platform.rows() == ["CONFIRMED 101 3"])
        #expect(try platform.test.events() == ["DepositConfirmed"])
        #expect(try platform.test.texts("SELECT confirmed_ms FROM deposits") == ["\(noon)"])
    }

    @Test func aRunWithoutANewBlockWritesNothing() throws {
        let platform = try Platform()
        try platform.confirmed()
        let before = try platform.test.texts("SELECT version FROM deposits")
        let run = try platform.confirm()
        #expect((run.checked, run.updated) == (1, 0))
        #expect(try platform.test.texts("SELECT version FROM deposits") == before)
    }

    @Test(arguments: [
        ("bitcoin", 6), ("ethereum", 12), ("bsc", 15), ("polygon", 128), ("solana", 32), ("paper", 12), ("another", 12),
    ])
    func theNumberOfConfirmationsFollowsFromTheName(_ name: String, _ number: Int64) throws {
        var settings = ChainSettings()
        settings.adapter = .paper
        settings.currency = "X"
        #expect(try ChainPlan(name: name, settings).defaultConfirmations == number)
        settings.confirmations = 2
        #expect(try ChainPlan(name: name, settings).confirmations == 2)
    }

    @Test func theTableOfChainsSaysTheNumberWhereTheSettingsDoNot() throws {
        let platform = try Platform()
        platform.chains["paper"]?.confirmations = nil
        try platform.sql("UPDATE chains SET confirmations = 2")
        try platform.pay("0x1", block: 100)
        try platform.deposit("0x1")
        try platform.confirm()
        #expect(try platform.statuses() == ["CONFIRMING"])
        try platform.mine()
        try platform.confirm()
        #expect(try platform.statuses() == ["CONFIRMED"])
    }

    // MARK: What is no deposit

    @Test func whatTheChainContradictsFailsWhenNothingCanChangeIt() throws {
        let platform = try Platform()
        let bitcoins = try Ledger(platform.exchange).wallet(owner: "user:alice", currency: "BTC")
        try platform.pay("0xfailed", block: 100, failed: true)
        try platform.pay("0xless", "1", block: 100)
        try platform.pay("0xzero", "0", block: 100)
        try platform.pay("0xtoken", block: 100, ordinal: 1, token: "0xfake")
        try platform.pay("0xwallet", block: 100)
        try platform.pay("0xother", block: 100, to: "0xb0b")
        for hash in ["0xfailed", "0xless", "0xzero"] { try platform.deposit(hash) }
        try platform.deposit("0xtoken", ordinal: 1, token: "0xfake")
        try platform.deposit("0xtoken", ordinal: 2)
        try platform.deposit("0xwallet", wallet: bitcoins)
        try platform.deposit("0xother")
        try platform.sql("UPDATE deposits SET address = ? WHERE tx_hash = '0xother'", [.text(alice)])
        try platform.confirm()
        #expect(Set(try platform.statuses()) == ["CONFIRMING"])
        try platform.mine(2)
        try platform.confirm()
        #expect(try platform.test.texts("SELECT status, reason FROM deposits ORDER BY id") == [
            "FAILED the transaction failed on the chain",
            "FAILED the chain moves 0.000000000000000001 ETH, not 1.5",
            "FAILED the chain moves nothing",
            "FAILED the token 0xfake is not on the list of tokens",
            "FAILED the transaction has no transfer 2 that could be a deposit",
            "FAILED the native coin is ETH, the wallet is in BTC",
            "FAILED the chain pays 0xb0b, not \(alice)",
        ])
        #expect(try platform.test.events() == [])
    }

    @Test func anAmountThatDoesNotFitHasAStatusOfItsOwn() throws {
        let platform = try Platform()
        try platform.pay("0x1", "170141183460469231731687303715884105728", block: 100)
        try platform.deposit("0x1", "170141183460469231731")
        try platform.mine(2)
        try platform.confirm()
        #expect(try platform.statuses() == ["AMOUNT_UNSUPPORTED"])
        let reason = "170141183460469231731687303715884105728 units with 18 decimals: the amount does not fit"
        #expect(try platform.reason().hasPrefix(reason))
    }

    @Test func tokensAreCountedWithTheirDecimalsAndFoundWithoutCase() throws {
        let platform = try Platform(confirmations: 1)
        platform.chains["paper"]?.tokens = [TokenSettings(contract: "0xDAC1", currency: "USDT", decimals: 6)]
        let dollars = try Ledger(platform.exchange).wallet(owner: "user:alice", currency: "USDT")
        try platform.pay("0x1", "1234567", block: 100, ordinal: 2, token: "0xdac1", to: alice)
        try platform.deposit("0x1", "1.234567", ordinal: 2, token: "0xDac1", wallet: dollars)
        try platform.sql("UPDATE deposits SET address = upper(?)", [.text(alice)])
        try platform.confirm()
        #expect(try platform.statuses() == ["CONFIRMED"])
    }

    // MARK: Reorganisations

    @Test func goneBeforeTheCreditItWaitsAgainAndIsDroppedLater() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.rewind(to: 101)
        try platform.mine(4, fork: "b")
        let run = try platform.confirm()
        #expect(try platform.rows() == ["PENDING - 0"])
        #expect(run.report.texts(.warning) == [
            "deposit 1 (1.5 ETH, paper 0x1): a reorganisation took it out of block 101, it waits again"
        ])
        try platform.forget("0x1")
        try platform.confirm(at: noon + 1_000)
        try platform.confirm(at: noon + 86_400_999)
        #expect(try platform.statuses() == ["PENDING"])
        try platform.confirm(at: noon + 86_401_000)
        #expect(try platform.statuses() == ["DROPPED"])
        #expect(try platform.reason() == "the chain has not known it for 24 h")
    }

    @Test func backInAnotherBlockItIsConfirmedAnew() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.rewind(to: 101)
        try platform.mine(3, fork: "b")
        try platform.include("0x1", in: 103)
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMING 103 1"])
        try platform.mine(2, fork: "b")
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMED 103 3"])
        // Two blocks, two pieces of news.
        #expect(try platform.test.events() == ["DepositConfirmed", "DepositConfirmed"])
    }

    @Test func goneAfterTheCreditSomebodyHasToDecideAndNothingIsDebited() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.credit()
        try platform.rewind(to: 101)
        try platform.mine(4, fork: "b")
        let run = try platform.confirm()
        #expect(try platform.rows() == ["REVERSAL_REQUIRED - 0"])
        #expect(run.report.texts(.critical) == [
            "deposit 1 (1.5 ETH, paper 0x1): REVERSAL_REQUIRED, credited, and then a reorganisation took it out of block 101. "
                + "It was credited to wallet 1; nothing is debited by itself"
        ])
        #expect(run.reversals == 1)
        #expect(try platform.available() == "1.5")
        #expect(try platform.test.events().last == "DepositReversalRequired")
        // Told once.
        #expect(try platform.confirm().report.texts(.critical) == [])
    }

    @Test func backAfterTheCreditItIsCreditedOnce() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.credit()
        try platform.rewind(to: 101)
        try platform.mine(2, fork: "b")
        try platform.mine(2, fork: "b")
        try platform.confirm()
        #expect(try platform.statuses() == ["REVERSAL_REQUIRED"])
        try platform.include("0x1", in: 104)
        try platform.confirm()
        #expect(try platform.rows() == ["CREDITED 104 1"])
        try platform.mine(5, fork: "b")
        try platform.confirm()
        #expect(try platform.credit().found == 0)
        #expect(try platform.available() == "1.5")
        #expect(try platform.test.events() == [
            "DepositConfirmed", "DepositCredited", "BalanceCredited", "DepositReversalRequired",
        ])
        #expect(try platform.test.differences() == [])
    }

    @Test func movedAfterTheCreditBetweenTwoRunsItStaysCredited() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.credit()
        try platform.rewind(to: 101)
        try platform.mine(4, fork: "b")
        try platform.include("0x1", in: 102)
        try platform.confirm()
        #expect(try platform.rows() == ["CREDITED 102 3"])
        #expect(try platform.available() == "1.5")
    }

    @Test func aCreditedDepositThatIsDeepEnoughIsLeftAlone() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.credit()
        try platform.mine(9)
        try platform.confirm()
        #expect(try platform.rows() == ["CREDITED 101 12"])
        #expect(try platform.confirm().checked == 0)
    }

    // MARK: Nodes that lie

    @Test func aHeadThatGoesBackTakesNothingForGone() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.rewind(to: 102)
        try platform.include("0x1", in: nil)
        try platform.sql("UPDATE paper_blocks SET hash = 'other' WHERE height = 101")
        let run = try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMED 101 3"])
        #expect(run.report.texts(.warning) == [
            "chain paper: the node's newest block is 101, 103 was seen before: nothing is taken for gone"
        ])
        // Having caught up, it is believed.
        try platform.mine(2, fork: "b")
        try platform.confirm()
        #expect(try platform.rows() == ["PENDING - 0"])
    }

    /// Behind one address there may be nodes that have not got so far.
    @Test(arguments: [true, false]) func aNodeWithoutTheBlockTakesNothingForGone(_ isCredited: Bool) throws {
        let platform = try Platform()
        try platform.confirmed()
        if isCredited { try platform.credit() }
        let before = try platform.rows()
        try platform.include("0x1", in: nil)
        try platform.sql("DELETE FROM paper_blocks WHERE height = 101")
        try platform.confirm()
        #expect(try platform.rows() == before)
        // Another block in its place says that it is gone.
        try platform.sql("INSERT INTO paper_blocks (chain, height, hash) VALUES ('paper', 101, '101b')")
        try platform.confirm()
        #expect(try platform.rows() == [isCredited ? "REVERSAL_REQUIRED - 0" : "PENDING - 0"])
    }

    @Test func anotherGenesisIsAnotherChain() throws {
        let platform = try Platform()
        try platform.confirmed()
        try platform.sql("UPDATE paper_blocks SET hash = 'elsewhere' WHERE height = 100")
        let run = try platform.confirm()
        #expect(run.checked == 0)
        #expect(run.report.texts(.error) == [
            "chain paper: this is another chain, its first block is elsewhere, not 100a; nothing it says is believed"
        ])
        #expect(run.report.outcome(chains: run.chains) == .failed(
            "chain paper: this is another chain, its first block is elsewhere, not 100a; nothing it says is believed", code: 2))
    }

    @Test func thePaperChainKeepsAwayFromRealDatabases() throws {
        let platform = try Platform(.disk, purpose: .live)
        try platform.pay("0x1", block: 100)
        try platform.deposit("0x1")
        let run = try platform.confirm()
        #expect(run.checked == 0)
        #expect(run.report.texts(.error).first?.hasPrefix("chain paper: adapter \"paper\" is for simulations") == true)
    }

    @Test func aChainThatIsNotDescribedStopsNoOther() throws {
        let platform = try Platform()
        try platform.sql("INSERT INTO chains (name, confirmations) VALUES ('dogecoin', 6)")
        try platform.deposit("0xd", chain: "dogecoin")
        try platform.pay("0x1", block: 100)
        try platform.deposit("0x1")
        let run = try platform.confirm()
        #expect(run.report.texts(.error) == ["chain dogecoin: 1 deposit on a chain that chains.dogecoin does not describe"])
        #expect(try platform.statuses() == ["PENDING", "CONFIRMING"])
        #expect(run.report.outcome(chains: run.chains) == nil)
    }

    /// It says nothing of the chain.
    @Test func aLockedDatabaseEndsTheRun() throws {
        let platform = try Platform(.disk)
        try platform.pay("0x1", block: 100)
        try platform.deposit("0x1")
        try platform.confirm()
        try platform.mine()
        try platform.test.exchange.write {
            let failure = #expect(throws: JobFailure.self) {
                try platform.alone(lockTimeout: .zero) { try $0.confirm() }
            }
            #expect(failure?.kind == .transient)
            #expect(failure?.text.hasPrefix("the exchange database") == true)
        }
        try platform.confirm()
        #expect(try platform.rows() == ["CONFIRMING 100 2"])
    }

    // MARK: Beside others

    @Test func aRowThatCannotBeReadStopsNoOther() throws {
        let platform = try Platform()
        try platform.pay("0x1", block: 100)
        try platform.deposit("0x0", "NaN")
        try platform.deposit("0x1")
        let run = try platform.confirm()
        #expect(run.report.texts(.error) == ["deposit 1: column amount: 'NaN' is not a decimal number"])
        #expect(try platform.statuses() == ["PENDING", "CONFIRMING"])
    }

    @Test func whatTheApplicationChangedMeanwhileIsLeftToTheNextRun() throws {
        let platform = try Platform(.disk)
        try platform.pay("0x1", block: 100)
        try platform.deposit("0x1")
        try platform.mine(2)
        let (updated, said) = try besideAWriter(of: platform.test, at: .text(TestExchange.dialect == .sqlite ? "BEGIN IMMEDIATE" : "pg_advisory")) { other in
            try other.run("UPDATE deposits SET status = 'HELD', version = version + 1", [])
        } run: {
            let run = try platform.alone { try $0.confirm() }
            return (run.updated, run.report.texts(.debug))
        }.result
        #expect(updated == 0)
        #expect(said == ["deposit 1: changed by another program meanwhile, left to the next run"])
        #expect(try platform.statuses() == ["HELD"])
        #expect(try platform.test.events() == [])
    }

    @Test func aRunThatIsCutAnywhereConfirmsOnce() throws {
        func check(_ platform: Platform, _ place: String) throws {
            #expect(try platform.statuses() == ["CONFIRMED", "CONFIRMED", "CONFIRMED"], "\(place)")
            #expect(try platform.test.events() == ["DepositConfirmed", "DepositConfirmed", "DepositConfirmed"], "\(place)")
            #expect(try platform.test.count("activity_log") == 3, "\(place)")
        }
        let cuts = try cutAtEveryStatement({
            let platform = try Platform(.disk)
            for hash in ["0x1", "0x2", "0x3"] {
                try platform.pay(hash, block: 100)
                try platform.deposit(hash)
            }
            try platform.mine(2)
            return platform
        }, run: { try $0.alone { _ = try $0.confirm { $0.batch = 2 } } }, check: check)
        #expect(cuts > 20)
    }

    @Test func cancellationIsLookedAtBetweenBatches() throws {
        let platform = try Platform()
        for index in 0 ..< 5 {
            try platform.pay("0x\(index)", block: 100)
            try platform.deposit("0x\(index)")
        }
        var settings = ConfirmationsEntry.Settings()
        settings.chains = platform.chains
        settings.batch = 2
        let exchange = platform.exchange
        let set = try ChainSet(platform.chains)
        var run = ConfirmationRun(exchange, set.plans, settings, now: noon) { try set.open($0, exchange, mayRecord: true) }
        var asked = 0
        #expect(throws: CancellationNotice.self) {
            try run.run {
                asked += 1
                return asked > 1
            }
        }
        #expect(try platform.statuses() == ["CONFIRMING", "CONFIRMING", "PENDING", "PENDING", "PENDING"])
    }
}
