import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import Testing

@testable import Competitions

@Suite struct ContestEntryTests {
    @Test(arguments: [
        (#"{"max_payout": "-1"}"#, "max_payout: -1 is below 0"),
        (#"{"platform_wallet": ""}"#, "platform_wallet: the name is empty"),
        (#"{"mode": "dry"}"#, #"mode: "dry" is not allowed (one of "off", "shadow", "live")"#),
        (#"{"setle_after": "1s"}"#, "unknown setting 'setle_after' (did you mean 'settle_after'?)"),
        (#"{"sql": {"prizes": "SELECT 1"}}"#, "sql.prizes: there is no such statement"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        for said in [TestRun(settings: settings).validate(EndEntry.self), TestRun(settings: settings).validate(FinalizeChallengesEntry.self)] {
            #expect(said?.hasPrefix(sentence) == true, "\(said ?? "accepted")")
        }
    }

    @Test func offDoesNothing() {
        let test = TestRun(settings: #"{"mode": "off"}"#)
        #expect(test.run(EndEntry.self) == .nothingToDo)
        #expect(test.text == "mode is off")
    }

    @Test func itSaysWhenTheNextOneEnds() throws {
        let hall = try Hall(.disk)
        let test = TestRun(settings: #"{"mode": "live", "database": "\#(hall.test.database)"}"#)
        #expect(test.run(EndEntry.self) == .nothingToDo)
        #expect(test.text == "no competition is over")
        // 2100-01-01
        try hall.contest(ends: 4_102_444_800_000, of: ["a", "b"])
        #expect(test.run(EndEntry.self) == .nothingToDo)
        #expect(test.text == "no competition is over, the next ends 2100-01-01 00:00")
    }

    @Test func aRunEndsWithOneLineAndItsNumbers() throws {
        let hall = try Hall(.disk)
        try hall.contest(of: ["a", "b"])
        try hall.contest(.challenge, of: ["a", "b"])
        let settings = #"{"mode": "live", "database": "\#(hall.test.database)"}"#
        let end = TestRun(settings: settings)
        #expect(end.run(EndEntry.self) == .succeeded)
        #expect(end.text.hasPrefix("Ended 1 competition: 2 prizes paid, 0 refunded with 0 refunds, 0 errors ("))
        #expect(end.items == 2)
        #expect(end.samples.contains { $0.name == "contests_payouts" && $0.value == 2 && $0.labels == ["kind": "competition"] })
        let challenges = TestRun(settings: settings)
        #expect(challenges.run(FinalizeChallengesEntry.self) == .succeeded)
        #expect(challenges.text.hasPrefix("Finalized 0 challenges: 0 prizes paid, 1 refunded with 2 refunds, 0 errors ("))
    }

    @Test func aPlatformsOwnPricesTakeThePlaceOfOurs() throws {
        let hall = try Hall(.disk)
        try hall.contest(of: ["a", "b"])
        try hall.position("a", "BTC/USD", size: "10", from: "100")
        // Theirs: one price for both sides, under the pair's symbol.
        try hall.test.connection.execute(
            """
            CREATE TABLE marks (symbol TEXT, marked_at BIGINT, mark TEXT);
            INSERT INTO marks VALUES ('BTC/USD', \(instant(-9)), '104'), ('BTC/USD', \(instant(0)), '105'), ('BTC/USD', \(instant(1)), '999');
            """)
        let sql = "SELECT m.id, m.symbol, m.base, m.quote, k.marked_at, k.mark, k.mark FROM pairs m JOIN marks k ON k.symbol = m.symbol "
            + "WHERE k.marked_at = (SELECT max(marked_at) FROM marks WHERE symbol = m.symbol AND marked_at <= :at)"
        let test = TestRun(settings: #"{"mode": "live", "database": "\#(hall.test.database)", "sql": {"prices_at": "\#(sql)"}}"#)
        #expect(test.run(EndEntry.self) == .succeeded, "\(test.text)")
        #expect(try hall.equity("a") == "10050")
        let wrong = TestRun(settings: #"{"mode": "live", "database": "\#(hall.test.database)", "sql": {"due_contests": "SELECT id FROM cups"}}"#)
        #expect(wrong.run(EndEntry.self) == .badSettings)
        #expect(wrong.text.hasPrefix("sql.due_contests: "), "\(wrong.text)")
    }

    @Test func aHaltIsCriticalAndAFailure() throws {
        let hall = try Hall(.disk)
        try hall.contest(of: ["a", "b"])
        let test = TestRun(settings: #"{"mode": "live", "max_payout": "1", "database": "\#(hall.test.database)"}"#)
        #expect(test.run(EndEntry.self) == .failed)
        #expect(test.text.hasPrefix("Halted: a is to get"))
        #expect(test.log.contains { $0.level == 5 && $0.text.hasPrefix("halted: ") })
    }
}
