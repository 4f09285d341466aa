import JobCore
import Testing

@testable import JobHost

struct OutboxCursorTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

    @Test("A row that is committed late is looked for, and nothing after it is settled until it came or never will")
    func lateRowsAreWaitedFor() {
        var cursor = OutboxCursor(high: 10, mayCommitLate: true)
        cursor.took([11, 12, 15, 16], now: at(0))
        #expect(cursor.high == 16 && cursor.settled == 12)
        #expect(cursor.gaps.map(\.numbers) == [13...14])
        cursor.took([19], now: at(30))
        cursor.took([14], now: at(31))
        #expect(cursor.gaps.map(\.numbers) == [13...13, 17...18] && cursor.settled == 12)
        cursor.took([13], now: at(32))
        #expect(cursor.settled == 16)
        // The numbers of a transaction that was rolled back never come.
        cursor.took([], now: at(30) + OutboxCursor.patience)
        #expect(cursor.settled == 16)
        cursor.took([], now: at(31) + OutboxCursor.patience)
        #expect(cursor.settled == 19 && cursor.gaps.isEmpty)
    }

    @Test func aGapIsDividedByWhatCame() {
        var cursor = OutboxCursor(high: 0, mayCommitLate: true)
        cursor.took([10], now: at(0))
        cursor.took([5], now: at(1))
        #expect(cursor.gaps.map(\.numbers) == [1...4, 6...9])
        #expect(cursor.gaps.map(\.since) == [at(0), at(0)])
    }

    @Test func withOneWriterAtATimeNothingComesLate() {
        var cursor = OutboxCursor(high: 0, mayCommitLate: false)
        cursor.took([3, 9], now: at(0))
        #expect(cursor.settled == 9)
    }

    @Test func gapsAreBoundedAndThoseThatAreGivenUpAreToldOf() {
        var cursor = OutboxCursor(high: 0, mayCommitLate: true)
        let givenUp = cursor.took((1...Int64(OutboxCursor.mostGaps) + 5).map { $0 * 2 }, now: at(0))
        #expect(givenUp == 5)
        #expect(cursor.gaps.count == OutboxCursor.mostGaps && cursor.settled == 10)
        let later = cursor.took([], now: at(0) + OutboxCursor.patience + .seconds(1))
        #expect(later == 0 && cursor.gaps.isEmpty)
        cursor.skip(to: 100_000)
        #expect(cursor.settled == 100_000 && cursor.high == 100_000)
    }
}
