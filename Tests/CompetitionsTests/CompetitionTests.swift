import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import Competitions

@Suite struct CompetitionTests {
    @Test func anEndedCompetitionPaysItsPrizesOnce() throws {
        let hall = try Hall()
        let contest = try hall.contest(fee: "10", of: ["a", "b", "c", "d"])
        try hall.earn("b", "400")
        try hall.earn("a", "100")
        try hall.earn("d", "-50")
        let report = try hall.run()
        #expect(report.ended == 1 && report.prizes == 3 && report.errors == 0)
        // 400 less the fee: 180, 108, 72.
        #expect(try hall.table(contest) == ["b 1 4 180", "a 2 1 108", "c 3 0 72", "d 4 -0.5 -"])
        #expect(try hall.purse("b") == "1080 0")
        #expect(try hall.platform() == "40 0")
        #expect(try hall.escrow(contest) == "0 0")
        #expect(try hall.status(contest) == "ended")
        #expect(try hall.test.events() == ["PrizePaid", "PrizePaid", "PrizePaid", "CompetitionEnded"])
        #expect(try hall.test.texts("SELECT action, subject FROM activity_log ORDER BY seq").last == "contest.ended competition:\(contest)")
        #expect(report.lines.contains {
            $0.text == "competition \(contest) 'Cup', pot 400.00 USD: 1. b (4.00 %, 180.00 USD), 2. a (1.00 %, 108.00 USD), "
                + "3. c (0.00 %, 72.00 USD) … of 4 entrants"
        }, "\(report.lines)")
        #expect(try hall.run(at: 120).due == 0)
        #expect(try hall.purse("b") == "1080 0")
        #expect(try hall.test.differences() == [])
    }

    @Test func itWaitsUntilWhatWasUnderWayIsWritten() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b"])
        #expect(try hall.run(at: -1).nextEnd == Hall.end)
        #expect(try hall.run(at: 4).due == 0)
        #expect(try hall.status(contest) == "running")
        #expect(try hall.run(at: 5).ended == 1)
    }

    @Test func belowTheMinimumOfEntrantsAllAreRefunded() throws {
        let hall = try Hall()
        let contest = try hall.contest(fee: "10", pool: "500", minimum: 3, of: ["a", "b"])
        try hall.earn("a", "100")
        let report = try hall.run()
        #expect(report.refunded == 1 && report.refunds == 2 && report.ended == 0)
        #expect(try hall.status(contest) == "refunded")
        #expect(try hall.purses("a", "b") == ["1000 0", "1000 0"])
        // What the platform had put in is the platform's again, and there is no fee.
        #expect(try hall.platform() == "500 0")
        #expect(try hall.escrow(contest) == "0 0")
        #expect(try hall.test.events() == ["EntryRefunded", "EntryRefunded", "CompetitionRefunded"])
        #expect(try hall.test.differences() == [])
    }

    @Test func nobodyEnteredIsRefundedToo() throws {
        let hall = try Hall()
        let contest = try hall.contest(pool: "500", of: [])
        try hall.run()
        #expect(try hall.status(contest) == "refunded")
        #expect(try hall.platform() == "500 0")
    }

    @Test func thePlatformsPrizesAreInThePot() throws {
        let hall = try Hall()
        let contest = try hall.contest(stake: "0", pool: "1000.01", of: ["a", "b"])
        try hall.earn("a", "1")
        try hall.run()
        #expect(try hall.table(contest) == ["a 1 0.01 500", "b 2 0 300"])
        #expect(try hall.platform() == "200.01 0")
    }

    @Test func anApplicationCancelsBySettingRefunding() throws {
        let hall = try Hall()
        let contest = try hall.contest(ends: Hall.end + 999_000_000, of: ["a", "b"])
        try hall.test.connection.run("UPDATE competitions SET status = 'refunding', version = version + 1")
        try hall.run()
        #expect(try hall.status(contest) == "refunded")
        #expect(try hall.purse("a") == "1000 0")
    }

    /// Decided, and nobody was paid: everybody gets back what was paid, not what was won.
    @Test func oneThatIsCancelledBeforeAPrizeIsPaidIsRefunded() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b"])
        try hall.earn("a", "100")
        try hall.run { $0.maxPayout = Amount(1) }
        #expect(try hall.status(contest) == "paying")
        try hall.test.connection.run("UPDATE competitions SET status = 'refunding', version = version + 1")
        try hall.run()
        #expect(try hall.status(contest) == "refunded")
        #expect(try hall.purses("a", "b") == ["1000 0", "1000 0"])
        #expect(try hall.table(contest) == ["a - - 100", "b - - 100"])
        #expect(try hall.escrow(contest) == "0 0")
    }

    @Test func oneThatIsCancelledAfterAPrizeWasPaidIsLeftToAHuman() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b"])
        try hall.earn("a", "100")
        try hall.run { $0.maxPayoutsPerRun = 1 }
        try hall.test.connection.run("UPDATE competitions SET status = 'refunding', version = version + 1")
        for _ in 0 ..< 2 {
            #expect(try hall.run().texts(.error) == [
                "competition \(contest): it was cancelled after 1 prize had been paid: nothing more is paid; "
                    + "set its status to paying, or settle it by hand"
            ])
        }
        #expect(try hall.purses("a", "b") == ["1000 0", "900 0"])
        try hall.test.connection.run("UPDATE competitions SET status = 'paying', version = version + 1")
        try hall.run()
        #expect(try hall.status(contest) == "ended")
        #expect(try hall.purses("a", "b") == ["1000 0", "960 0"])
    }

    @Test func stakesThatAreNotThereDecideNothing() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b"])
        try hall.test.connection.run("UPDATE participants SET paid = '150' WHERE account_id = 1")
        let report = try hall.run()
        #expect(report.lines.last?.text == "competition \(contest): its wallet 'competition:\(contest)' holds 200 USD, 250 were to be paid in")
        #expect(try hall.status(contest) == "ending")
        #expect(try hall.table(contest).allSatisfy { $0.hasSuffix("- - -") })
    }

    @Test func oneWhoCannotBePaidStopsNobody() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b", "c"])
        try hall.earn("a", "100")
        try hall.test.pay(amount("1"), "EUR", to: "user:a")
        try hall.test.connection.run(
            "UPDATE participants SET wallet_id = (SELECT id FROM wallets WHERE owner = 'user:a' AND currency = 'EUR') WHERE account_id = 1")
        let report = try hall.run()
        #expect(report.prizes == 2 && report.errors == 1 && report.ended == 0)
        #expect(try hall.status(contest) == "paying")
        #expect(try hall.test.differences() == [])
        try hall.test.connection.run(
            "UPDATE participants SET wallet_id = (SELECT id FROM wallets WHERE owner = 'user:a' AND currency = 'USD') WHERE account_id = 1")
        #expect(try hall.run(at: 120).prizes == 1)
        #expect(try hall.status(contest) == "ended")
        #expect(try hall.purse("a") == "1050 0")
    }

    @Test(arguments: [
        (#"{"50"}"#, "prizes: '{\"50\"}' is no list of percentages such as [\"50\", \"30\", \"20\"]"),
        (#"["70", "70"]"#, "prizes: the places get more than 100 percent"),
    ])
    func prizesThatMakeNoSenseAreASentence(_ prizes: String, _ sentence: String) throws {
        let hall = try Hall()
        let contest = try hall.contest(prizes: prizes, of: ["a", "b"])
        #expect(try hall.run().lines.map(\.text) == ["competition \(contest): \(sentence)"])
        #expect(try hall.status(contest) == "running")
    }

    @Test func aStartOfNothingHasNoReturn() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b"])
        try hall.test.connection.run("UPDATE participants SET start_equity = '0' WHERE account_id = 1")
        #expect(try hall.run().lines.last?.text == "competition \(contest): a began with 0: there is no return on that")
    }

    // MARK: Modes and caps

    @Test func inShadowEverythingIsSaidAndNothingWritten() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b", "c"])
        try hall.contest(minimum: 9, of: ["a"])
        try hall.contest(.challenge, of: ["b", "c"])
        try hall.earn("a", "100")
        let before = try hall.test.texts("SELECT * FROM competitions") + hall.test.texts("SELECT * FROM participants")
        let entries = try hall.test.count("ledger_entries")
        let report = try hall.run { $0.mode = .shadow }
        #expect(report.ended == 1 && report.prizes == 3 && report.refunded == 1 && report.refunds == 1)
        #expect(report.lines.first?.text.hasPrefix("competition \(contest) 'Cup', pot 300.00 USD: 1. a (1.00 %, 150.00 USD)") == true)
        #expect(try hall.run(.challenge) { $0.mode = .shadow }.refunded == 1)
        #expect(try hall.test.texts("SELECT * FROM competitions") + hall.test.texts("SELECT * FROM participants") == before)
        #expect(try hall.test.count("ledger_entries") == entries)
        #expect(try hall.test.events() == [])
    }

    @Test func aPrizeAboveTheCapStopsTheRun() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b", "c"])
        try hall.earn("a", "100")
        let report = try hall.run { $0.maxPayout = Amount(149) }
        #expect(report.halt == "a is to get 150.00 USD of competition \(contest) 'Cup', above max_payout (149.00): stopped there")
        #expect(report.prizes == 0)
        #expect(try hall.status(contest) == "paying")
        #expect(try hall.run { $0.maxPayout = Amount(150) }.prizes == 3)
    }

    @Test func theCapOfARunStopsItAndTheNextGoesOn() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b", "c"])
        let first = try hall.run { $0.maxPayoutsPerRun = 2 }
        #expect(first.halt == "max_payouts_per_run (2) is reached: stopped there" && first.prizes == 2)
        let second = try hall.run(at: 120) { $0.maxPayoutsPerRun = 2 }
        #expect(second.halt == nil && second.prizes == 1)
        #expect(try hall.status(contest) == "ended")
    }

    @Test func theCapOfAnHourCountsTheRunsBefore() throws {
        let hall = try Hall()
        try hall.contest(of: ["a", "b", "c"])
        try hall.contest(of: ["a", "b", "c"])
        let hour: (inout ContestSettings) -> Void = { $0.maxPayoutsPerHour = 4 }
        #expect(try hall.run(at: 60, hour).prizes == 4)
        #expect(try hall.run(at: 120, hour).halt == "max_payouts_per_hour (4) is reached: stopped there")
        #expect(try hall.run(at: 3_661, hour).prizes == 2)
    }

    @Test func itStopsBetweenTwoStepsWhenCancelledAndGoesOnLater() throws {
        let hall = try Hall()
        let contest = try hall.contest(of: ["a", "b", "c"])
        try hall.earn("a", "100")
        var seen: Set<String> = []
        for questions in 0 ..< 12 {
            try hall.run(cancelledAfter: questions > 0 ? 1 : 0) { $0.batch = 1 }
            seen.insert(try hall.status(contest))
        }
        #expect(seen.isSuperset(of: ["running", "ending"]))
        try hall.run(at: 600)
        #expect(try hall.status(contest) == "ended")
        #expect(try hall.purse("a") == "1050 0")
    }
}

@Suite struct ChallengeTests {
    @Test func theBetterReturnTakesTheStakesLessTheFee() throws {
        let hall = try Hall()
        let contest = try hall.contest(.challenge, fee: "5", of: ["a", "b"])
        try hall.earn("b", "1")
        let report = try hall.run(.challenge)
        #expect(report.ended == 1 && report.prizes == 1)
        #expect(try hall.table(contest) == ["b 1 0.01 190", "a 2 0 -"])
        #expect(try hall.purses("a", "b") == ["900 0", "1090 0"])
        #expect(try hall.platform() == "10 0")
        #expect(try hall.test.events() == ["PrizePaid", "ChallengeEnded"])
        #expect(try hall.run(.challenge, at: 120).due == 0)
        #expect(try hall.test.differences() == [])
    }

    @Test func aTieRefundsBothWithoutAFee() throws {
        let hall = try Hall()
        let contest = try hall.contest(.challenge, fee: "5", of: ["a", "b"])
        try hall.earn("a", "7")
        try hall.earn("b", "7")
        let report = try hall.run(.challenge)
        #expect(report.refunded == 1 && report.refunds == 2)
        #expect(try hall.table(contest) == ["a 1 0.07 100", "b 1 0.07 100"])
        #expect(try hall.purses("a", "b") == ["1000 0", "1000 0"])
        #expect(try hall.platform() == "no wallet")
        #expect(try hall.status(contest) == "refunded")
    }

    @Test func aChallengeNobodyTookUpIsRefunded() throws {
        let hall = try Hall()
        let contest = try hall.contest(.challenge, of: ["a"])
        #expect(try hall.run(.challenge).lines.first?.text == "challenge \(contest) 'Cup' is refunded: 1 entrant, 2 needed")
        #expect(try hall.purse("a") == "1000 0")
    }

    @Test func threeIsNoChallenge() throws {
        let hall = try Hall()
        let contest = try hall.contest(.challenge, of: ["a", "b", "c"])
        #expect(try hall.run(.challenge).lines.last?.text == "challenge \(contest): a challenge is one against one, this one has 3 entrants")
        #expect(try hall.status(contest) == "ending")
    }

    @Test func eachEntryLeavesTheOthersContestsAlone() throws {
        let hall = try Hall()
        try hall.contest(of: ["a", "b"])
        try hall.contest(.challenge, of: ["a", "b"])
        try hall.run(.competition)
        #expect(try hall.statuses() == ["ended", "running"])
    }
}
