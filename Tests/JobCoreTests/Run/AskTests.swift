import JobCore
import Testing

/// What takes two persons.
@Suite struct AskTests {
    private let noon = Instant(seconds: 1_777_896_000)
    private var ask: Ask { Ask(job: "payouts", action: "trigger", command: "{}", by: "alice", reason: "month end", at: noon) }

    @Test func anotherPersonApproves() throws {
        let approved = try ask.answered(.approve, by: "bob", at: noon + .seconds(60))
        #expect(approved.state(now: noon + .seconds(60)) == .approved)
        #expect(approved.decidedBy == "bob")
        #expect(approved.decidedAt == noon + .seconds(60))
        // For ever.
        #expect(approved.state(now: noon + .seconds(86_400)) == .approved)
    }

    @Test func nobodyApprovesWhatIsTheirOwn() {
        #expect(throws: Ask.Obstacle.isOwn) { try ask.answered(.approve, by: "alice", at: noon) }
    }

    @Test func whoeverAskedMayTakeItBackAndOthersMayRefuse() throws {
        #expect(try ask.answered(.refuse, by: "alice", at: noon).state(now: noon) == .withdrawn)
        #expect(try ask.answered(.refuse, by: "bob", at: noon).state(now: noon) == .refused)
    }

    @Test(arguments: [Ask.Answer.approve, .refuse]) func whatIsDecidedStays(first: Ask.Answer) throws {
        let decided = try ask.answered(first, by: "bob", at: noon)
        let state = decided.state(now: noon)
        for answer in [Ask.Answer.approve, .refuse] {
            #expect(throws: Ask.Obstacle.hasEnded(state)) { try decided.answered(answer, by: "carol", at: noon + .seconds(1)) }
        }
    }

    @Test func anHourLaterNobodyDecidesAnyMore() throws {
        let last = noon + Ask.lifetime - .microseconds(1)
        #expect(try ask.answered(.approve, by: "bob", at: last).state(now: last) == .approved)
        #expect(ask.state(now: noon + Ask.lifetime) == .expired)
        #expect(throws: Ask.Obstacle.hasEnded(.expired)) { try ask.answered(.approve, by: "bob", at: noon + Ask.lifetime) }
    }
}
