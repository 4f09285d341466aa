import ExchangeKit
import JobCore
import Testing

@testable import Deposits

@Suite struct DepositRulesTests {
    private let rules = DepositRules(watch: 10, dropAfter: 1_000)

    private func row(
        _ status: DepositStatus, block: Int64? = nil, hash: String? = nil, missing: Int64? = nil
    ) -> Deposit {
        Deposit(
            id: "7", wallet: 1, currency: "ETH", chain: "paper", transaction: "0x1", ordinal: 0, address: "", token: "",
            units: nil, amount: .one, status: status, block: block, blockHash: hash,
            confirmations: block == nil ? 0 : 1, reason: "", verified: block != nil, watched: true, missing: missing,
            version: 1, created: 0)
    }

    private func included(
        _ block: Int64 = 5, _ hash: String = "5a", settled: Bool = false, final: Bool = false, fault: DepositFault? = nil
    ) -> DepositFact {
        .included(block: block, hash: hash, isSettled: settled, isFinal: final, fault: fault)
    }

    /// Every status with everything that a chain can say of it: where it goes, and what is told.
    @Test func everyStatusWithEveryFact() {
        let fault = DepositFault.failed("no")
        let big = DepositFault.amountUnsupported("too big")
        let inBlock: (DepositStatus) -> Deposit = { self.row($0, block: 5, hash: "5a") }
        let table: [(Deposit, DepositFact, DepositStatus, [DepositAction])] = [
            (row(.pending), included(), .confirming, []),
            (row(.pending), included(settled: true), .confirmed, [.confirmed]),
            (row(.pending), included(fault: fault), .confirming, []),
            (row(.pending), included(settled: true, fault: fault), .failed, [.failed]),
            (row(.pending), included(settled: true, fault: big), .amountUnsupported, [.failed]),
            (row(.pending), .waiting, .pending, []),
            (row(.pending), .absent, .pending, []),
            (row(.pending, missing: 9_000), .absent, .dropped, [.dropped]),
            (row(.pending, missing: 9_001), .absent, .pending, []),
            (row(.pending, missing: 0), .waiting, .pending, []),
            (inBlock(.confirming), included(), .confirming, []),
            (inBlock(.confirming), included(settled: true), .confirmed, [.confirmed]),
            (inBlock(.confirming), included(6, "6b"), .confirming, [.moved(from: 5, to: 6)]),
            (inBlock(.confirming), .waiting, .pending, [.gone(from: 5)]),
            (inBlock(.confirming), .absent, .pending, [.gone(from: 5)]),
            (inBlock(.confirming), .unknowable, .confirming, []),
            (inBlock(.confirmed), included(settled: true), .confirmed, []),
            // The head went back, the block is still there.
            (inBlock(.confirmed), included(), .confirmed, []),
            (inBlock(.confirmed), included(6, "6b"), .confirming, [.moved(from: 5, to: 6)]),
            (inBlock(.confirmed), included(6, "6b", settled: true), .confirmed, [.moved(from: 5, to: 6), .confirmed]),
            (inBlock(.confirmed), .absent, .pending, [.gone(from: 5)]),
            (inBlock(.confirmed), included(6, "6b", settled: true, fault: fault), .failed, [.moved(from: 5, to: 6), .failed]),
            (inBlock(.held), included(settled: true), .held, []),
            (inBlock(.held), included(6, "6b"), .confirming, [.moved(from: 5, to: 6)]),
            (inBlock(.held), .waiting, .pending, [.gone(from: 5)]),
            (inBlock(.credited), included(settled: true), .credited, []),
            (inBlock(.credited), included(6, "6b"), .credited, [.moved(from: 5, to: 6)]),
            (inBlock(.credited), .waiting, .reversalRequired, [.reversalRequired]),
            (inBlock(.credited), .absent, .reversalRequired, [.reversalRequired]),
            (inBlock(.credited), .unknowable, .credited, []),
            (inBlock(.credited), included(6, "6b", fault: fault), .reversalRequired, [.moved(from: 5, to: 6), .reversalRequired]),
            (row(.reversalRequired), .absent, .reversalRequired, []),
            (row(.reversalRequired), included(6, "6b"), .credited, [.returned]),
            (row(.reversalRequired), included(6, "6b", fault: fault), .reversalRequired, []),
            (row(.failed), .absent, .failed, []),
            (row(.dropped), included(), .dropped, []),
        ]
        for (old, fact, status, actions) in table {
            let (new, told) = rules.next(old, fact, head: 6, now: 10_000)
            #expect(new.status == status, "\(old.status) \(fact)")
            #expect(told == actions, "\(old.status) \(fact)")
        }
    }

    @Test func confirmationsAreHeadMinusBlockPlusOne() {
        for (head, confirmations) in [(5, 1), (6, 2), (16, 12), (4, 1)] as [(Int64, Int64)] {
            #expect(rules.next(row(.pending), included(), head: head, now: 0).row.confirmations == confirmations)
        }
    }

    @Test func aCreditedDepositIsWatchedUntilNothingCanTakeItAway() {
        let credited = row(.credited, block: 5, hash: "5a")
        #expect(rules.next(credited, included(settled: true), head: 13, now: 0).row.watched)
        #expect(!rules.next(credited, included(settled: true), head: 14, now: 0).row.watched)
        #expect(!rules.next(credited, included(final: true), head: 6, now: 0).row.watched)
    }

    @Test func whatIsMissingIsDroppedAfterThatTimeWithoutABreak() {
        let first = rules.next(row(.pending), .absent, head: 6, now: 500).row
        #expect(first.missing == 500)
        let second = rules.next(first, .absent, head: 6, now: 1_499).row
        #expect(second.missing == 500)
        #expect(second.status == .pending)
        // Seen again in between: the time begins anew.
        #expect(rules.next(second, .waiting, head: 6, now: 1_499).row.missing == nil)
        #expect(rules.next(second, .absent, head: 6, now: 1_500).row.status == .dropped)
    }

    /// Whatever a chain says in whatever order, and with credits in between.
    @Test func noOrderOfFactsBreaksTheRules() {
        var random = SeededGenerator(seed: 20_260_105)
        for _ in 0 ..< 2_000 {
            var deposit = row(.pending)
            var credits = 0
            var now: Int64 = 0
            for _ in 0 ..< 40 {
                now += Int64.random(in: 0 ... 600, using: &random)
                if deposit.status == .confirmed, Int.random(in: 0 ..< 3, using: &random) == 0 {
                    deposit.status = .credited
                    credits += 1
                }
                let before = deposit
                let fact = Self.fact(&random)
                let (next, actions) = rules.next(deposit, fact, head: 20, now: now)
                deposit = next
                switch before.status {
                case .credited: #expect([.credited, .reversalRequired].contains(next.status))
                case .reversalRequired: #expect([.credited, .reversalRequired].contains(next.status))
                case .failed, .dropped, .amountUnsupported: #expect(next.status == before.status)
                default: #expect(next.status != .credited && next.status != .reversalRequired)
                }
                #expect((next.block == nil) == (next.blockHash == nil))
                #expect(next.block != nil || next.confirmations == 0)
                if next.status == .confirmed { #expect(next.blockHash != nil && next.verified) }
                if actions.contains(.confirmed) { #expect(next.status == .confirmed) }
                if case .included(_, _, let settled, _, _) = fact, before.status != .confirmed, next.status == .confirmed {
                    #expect(settled)
                }
                #expect(rules.next(next, fact, head: 20, now: now).actions == [], "the same fact again is no news")
            }
            #expect(credits <= 1)
        }
    }

    private static func fact(_ random: inout SeededGenerator) -> DepositFact {
        switch Int.random(in: 0 ..< 8, using: &random) {
        case 0: return .waiting
        case 1: return .absent
        case 2: return .unknowable
        case let draw:
            let block = Int64.random(in: 5 ... 8, using: &random)
            let fault: DepositFault? = draw == 3 ? .failed("no") : nil
            return .included(
                block: block, hash: "\(block)\(Bool.random(using: &random))", isSettled: draw > 5, isFinal: false, fault: fault)
        }
    }
}
