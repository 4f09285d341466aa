import Dispatch
import ExchangeKit
import ExchangeTestKit
import JobKit
import SQL
import Synchronization
import Testing

@testable import Competitions

@Suite struct InterruptionTests {
    /// One that pays prizes and one that refunds, in files.
    private func halls(_ kind: ContestKind) throws -> Hall {
        let hall = try Hall(.disk)
        try hall.contest(kind, fee: "10", of: ["a", "b"])
        try hall.contest(kind, minimum: 9, of: kind == .challenge ? ["c"] : ["c", "d"])
        try hall.price("BTC/USD", "110", "111", at: -60)
        try hall.position("a", "BTC/USD", size: "10", from: "100")
        return hall
    }

    @Test(arguments: [ContestKind.competition, .challenge])
    func whatACrashInterruptedIsFinishedOnce(_ kind: ContestKind) throws {
        let cuts = try cutAtEveryStatement({ try halls(kind) }, run: { try $0.runAlone(kind) }) { (hall, place) throws in
            #expect(try hall.statuses() == ["ended", "refunded"], "\(place)")
            // 200 less 20: 90 and 54 for a and b, or all of it for a.
            let expected = kind == .challenge ? ["1080 0", "900 0", "1000 0"] : ["990 0", "954 0", "1000 0"]
            #expect(try hall.purses("a", "b", "c") == expected, "\(place)")
            #expect(try hall.platform() == (kind == .challenge ? "20 0" : "56 0"), "\(place)")
            #expect(try hall.escrow(1) + hall.escrow(2) == "0 00 0", "\(place)")
            #expect(try hall.test.number("SELECT count(*) FROM outbox_events WHERE event LIKE '%Ended'") == 1, "\(place)")
            #expect(try hall.test.differences() == [], "\(place)")
        }
        #expect(cuts > 60)
    }

    @Test func tradersWhoGoOnChangeNothing() throws {
        // They close the position after the end, win and withdraw, whatever the run is doing.
        try besideAWriterAtEveryStatement(
            { let hall = try halls(.competition); return (hall, hall.test) },
            write: { other in
                try other.run("UPDATE positions SET status = 'closed', closed_ms = ?, version = version + 1", [.int(instant(30))])
                try other.run("INSERT INTO quotes (pair_id, ts_ms, bid, ask) VALUES (1, ?, '1', '2')", [.int(instant(20))])
                try other.run("INSERT INTO ledger_causes VALUES ('late', 'close', ?)", [.int(instant(30))])
                try other.run("UPDATE wallets SET available = '9000' WHERE owner = 'account:a'")
                try other.run("UPDATE wallets SET available = '1000', may_be_negative = 1 WHERE owner = 'account:b'")
                // a loses 1,000, b 9,000, to an outside that this makes.
                try other.run("INSERT INTO wallets (owner, currency, available) VALUES ('shark', 'USD', '10000')")
                for (owner, amount) in [("account:a", "-1000"), ("account:b", "-9000"), ("shark", "10000")] {
                    try other.run(
                        """
                        INSERT INTO ledger_entries (cause, wallet_id, bucket, amount)
                        SELECT 'late', id, 'available', ? FROM wallets WHERE owner = ?
                        """, [.text(amount), .text(owner)])
                }
            },
            run: { (hall: Hall) in try hall.runAlone() }
        ) { (hall, place) throws in
            #expect(try hall.table(1) == ["a 1 1 90", "b 2 0 54"], "\(place)")
            #expect(try hall.test.differences() == [], "\(place)")
        }
    }

    @Test func anApplicationThatCancelsMeanwhileIsInTimeOrTooLate() throws {
        try besideAWriterAtEveryStatement(
            { let hall = try halls(.competition); return (hall, hall.test) },
            write: { other in
                try other.run(
                    """
                    UPDATE competitions SET status = 'refunding', version = version + 1
                    WHERE id = 1 AND status IN ('open', 'running', 'ending')
                    """)
            },
            run: { (hall: Hall) in try hall.runAlone() }
        ) { (hall, place) throws in
            // Cancelled in time, or decided: never both.
            try hall.runAlone(at: 120)
            let status = try hall.status(1)
            #expect(["ended", "refunded"].contains(status), "\(place)")
            let expected = status == "ended" ? ["990 0", "954 0"] : ["1000 0", "1000 0"]
            #expect(try hall.purses("a", "b") == expected, "\(place)")
            #expect(try hall.escrow(1) == "0 0", "\(place)")
            #expect(try hall.test.differences() == [], "\(place)")
        }
    }

    @Test func whatAnotherRunPaysIsNotPaidAgainAndNotCounted() throws {
        var paidByOther = 0
        var counted = 0
        try besideAWriterAtEveryStatement(
            { let hall = try halls(.competition); counted = 0; paidByOther = 0; return (hall, hall.test) },
            write: { other in
                // As another run pays a its 90, once that is decided and while nobody has.
                paidByOther = try other.run(
                    "UPDATE participants SET settled_ms = 1 WHERE competition_id = 1 AND account_id = 1 AND payout = '90' AND settled_ms IS NULL")
                guard paidByOther == 1 else { return }
                try other.run("INSERT INTO ledger_causes VALUES ('prize:1:1', 'prize', 1)")
                for (owner, before, after, amount) in [("user:a", "900", "990", "90"), ("competition:1", "200", "110", "-90")] {
                    try other.run(
                        """
                        INSERT INTO ledger_entries (cause, wallet_id, bucket, amount)
                        SELECT 'prize:1:1', id, 'available', ? FROM wallets WHERE owner = ?
                        """, [.text(amount), .text(owner)])
                    try other.run("UPDATE wallets SET available = ? WHERE owner = ? AND available = ?", [.text(after), .text(owner), .text(before)])
                }
            },
            run: { (hall: Hall) in counted = try hall.runAlone().prizes }
        ) { (hall, place) throws in
            #expect(counted + paidByOther == 2, "\(place)")
            #expect(try hall.purses("a", "b") == ["990 0", "954 0"], "\(place)")
            #expect(try hall.test.differences() == [], "\(place)")
        }
    }

    /// The same of a challenge, whose winner takes the stakes.
    @Test func whatAnotherRunPaysTheWinnerOfAChallengeIsNotPaidAgain() throws {
        var paidByOther = 0
        var paidInTime = 0
        try besideAWriterAtEveryStatement(
            { let hall = try halls(.challenge); paidByOther = 0; return (hall, hall.test) },
            write: { other in
                paidByOther = try other.run(
                    "UPDATE participants SET settled_ms = 1 WHERE competition_id = 1 AND account_id = 1 AND payout = '180' AND settled_ms IS NULL")
                guard paidByOther == 1 else { return }
                try other.run("INSERT INTO ledger_causes VALUES ('prize:1:1', 'prize', 1)")
                for (owner, before, after, amount) in [("user:a", "900", "1080", "180"), ("competition:1", "200", "20", "-180")] {
                    try other.run(
                        """
                        INSERT INTO ledger_entries (cause, wallet_id, bucket, amount)
                        SELECT 'prize:1:1', id, 'available', ? FROM wallets WHERE owner = ?
                        """, [.text(amount), .text(owner)])
                    try other.run("UPDATE wallets SET available = ? WHERE owner = ? AND available = ?", [.text(after), .text(owner), .text(before)])
                }
            },
            run: { (hall: Hall) in try hall.runAlone(.challenge) }
        ) { (hall, place) throws in
            paidInTime += paidByOther
            #expect(try hall.purses("a", "b", "c") == ["1080 0", "900 0", "1000 0"], "\(place)")
            #expect(try hall.platform() == "20 0", "\(place)")
            #expect(try hall.test.number("SELECT count(*) FROM ledger_causes WHERE cause = 'prize:1:1'") == 1, "\(place)")
            #expect(try hall.test.differences() == [], "\(place)")
        }
        #expect(paidInTime > 0)
    }

    @Test func twoRunsAtOnceDoItOnce() throws {
        let hall = try halls(.competition)
        let location = hall.test.location
        let done = Mutex(ContestReport())
        DispatchQueue.concurrentPerform(iterations: 2) { _ in
            do {
                let report = try Hall.runAlone(location, .competition, at: 60)
                done.withLock {
                    $0.ended += report.ended
                    $0.refunded += report.refunded
                    $0.prizes += report.prizes
                    $0.refunds += report.refunds
                }
            } catch {
                Issue.record(error)
            }
        }
        let sum = done.withLock { [$0.ended, $0.refunded, $0.prizes, $0.refunds] }
        #expect(sum == [1, 1, 2, 2])
        #expect(try hall.purses("a", "b", "c") == ["990 0", "954 0", "1000 0"])
        #expect(try hall.test.differences() == [])
    }
}
