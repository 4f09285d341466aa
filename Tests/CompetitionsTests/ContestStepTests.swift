import ExchangeKit
import Testing

@testable import Competitions

/// The way of a contest, without a database.
@Suite struct ContestStepTests {
    private func contest(_ status: ContestStatus, _ kind: ContestKind = .competition, pot: Amount? = nil) -> Contest {
        Contest(
            id: "7", kind: kind, name: "Cup", currency: "USD", prizePool: .zero,
            plan: .winnerTakesAll(platformFee: .zero, step: .zero), minEntrants: 3, status: status, version: 1, pot: pot,
            endsAt: 1_000)
    }
    private func counts(
        _ entrants: Int64, unfrozen: Int64 = 0, unsettled: Int64 = 0, settled: Int64 = 0, lastPlace: Int64? = nil
    ) -> EntrantCounts {
        EntrantCounts(entrants: entrants, unfrozen: unfrozen, unsettled: unsettled, settled: settled, lastPlace: lastPlace)
    }

    @Test(arguments: [ContestStatus.open, .running])
    func beforeTheEndItWaits(_ status: ContestStatus) {
        #expect(contest(status).nextStep(counts(5), dueUntil: 999) == .wait)
        #expect(contest(status).nextStep(counts(5), dueUntil: 1_000) == .begin)
        #expect(contest(status).nextStep(counts(2), dueUntil: 1_000) == .giveBack(.tooFew(entrants: 2, needed: 3)))
        #expect(contest(status, .challenge).nextStep(counts(2), dueUntil: 1_000) == .begin)
        #expect(contest(status, .challenge).nextStep(counts(1), dueUntil: 1_000) == .giveBack(.tooFew(entrants: 1, needed: 2)))
    }

    /// Its prizes are on record: they are no refunds.
    @Test func aContestThatIsCancelledWhileItPays() {
        let cup = contest(.refunding, pot: .one)
        #expect(cup.nextStep(counts(5, unsettled: 3, lastPlace: 5), dueUntil: 0) == .giveBack(.cancelled))
        #expect(cup.nextStep(counts(1, unsettled: 1, lastPlace: 1), dueUntil: 0) == .giveBack(.cancelled))
        #expect(cup.nextStep(counts(5, unsettled: 2, settled: 1, lastPlace: 5), dueUntil: 0) == .giveUp(
            reason: "it was cancelled after 1 prize had been paid: nothing more is paid; set its status to paying, or settle it by hand"))
        let challenge = contest(.refunding, .challenge, pot: .one)
        #expect(challenge.nextStep(counts(2, unsettled: 1, lastPlace: 2), dueUntil: 0) == .giveBack(.cancelled))
        // A tie is refunded, whoever has it already.
        #expect(challenge.nextStep(counts(2, unsettled: 1, settled: 1, lastPlace: 1), dueUntil: 0) == .pay)
    }

    @Test func everyStepGoesOnWhereAnInterruptionLeftIt() {
        #expect(contest(.ending).nextStep(counts(5, unfrozen: 1), dueUntil: 0) == .freeze)
        #expect(contest(.ending).nextStep(counts(5), dueUntil: 0) == .decide)
        #expect(contest(.paying, pot: .one).nextStep(counts(5, unsettled: 2), dueUntil: 0) == .pay)
        #expect(contest(.paying, pot: .one).nextStep(counts(5), dueUntil: 0) == .close)
        #expect(contest(.refunding).nextStep(counts(5), dueUntil: 0) == .giveBack(.cancelled))
        #expect(contest(.refunding, pot: .one).nextStep(counts(5, unsettled: 5), dueUntil: 0) == .pay)
        #expect(contest(.refunding, pot: .one).nextStep(counts(5), dueUntil: 0) == .close)
        #expect(contest(.ended, pot: .one).nextStep(counts(5, unsettled: 1), dueUntil: .max) == .done)
        #expect(contest(.refunded, pot: .one).nextStep(counts(5, unsettled: 1), dueUntil: .max) == .done)
    }
}
