import JobCore

/// How far an outbox has been read. Numbers are given out before their rows are committed, so that a row may come
/// after one with a higher number: what is missing below the highest one is looked for again for a while. Pure.
struct OutboxCursor: Sendable {
    /// A transaction that is open for longer loses its place in the stream.
    static let patience = Duration.seconds(60)
    /// The oldest are given up first, and whoever listens hears so.
    static let mostGaps = 2_000

    struct Gap: Equatable, Sendable {
        var numbers: ClosedRange<Int64>
        var since: MonotonicInstant
    }

    /// The highest number that was read.
    private(set) var high: Int64
    /// Below `high`, ascending.
    private(set) var gaps: [Gap] = []
    /// Rows with a lower number than one that is there may still come.
    private let mayCommitLate: Bool

    init(high: Int64, mayCommitLate: Bool) {
        self.high = high
        self.mayCommitLate = mayCommitLate
    }

    /// Everything up to here was read, or will never come.
    var settled: Int64 { gaps.first.map { $0.numbers.lowerBound - 1 } ?? high }

    /// Rows with these ascending numbers, each above `high` or in a gap, have been read. Returns how many gaps were given
    /// up before their time, since there are too many: what comes in them is never told.
    @discardableResult
    mutating func took(_ numbers: [Int64], now: MonotonicInstant) -> Int {
        for number in numbers {
            if number > high {
                if mayCommitLate, number > high + 1 { gaps.append(Gap(numbers: (high + 1)...(number - 1), since: now)) }
                high = number
            } else if let i = gaps.firstIndex(where: { $0.numbers.contains(number) }) {
                let gap = gaps[i]
                var rest: [Gap] = []
                if gap.numbers.lowerBound < number { rest.append(Gap(numbers: gap.numbers.lowerBound...(number - 1), since: gap.since)) }
                if number < gap.numbers.upperBound { rest.append(Gap(numbers: (number + 1)...gap.numbers.upperBound, since: gap.since)) }
                gaps.replaceSubrange(i...i, with: rest)
            }
        }
        gaps.removeAll { now - $0.since > Self.patience }
        let excess = max(0, gaps.count - Self.mostGaps)
        gaps.removeFirst(excess)
        return excess
    }

    /// Nobody wants what there is up to `number`.
    mutating func skip(to number: Int64) {
        high = max(high, number)
        gaps = []
    }
}
