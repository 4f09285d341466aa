import JobCore

// A breaker that several hosts write.

/// A breaker as the end of an attempt leaves it on the host that ran it.
public struct BreakerWrite: Hashable, Sendable {
    /// As in `BreakerRow`.
    public var data: String
    /// The generation of the row that it follows, as far as the host knows. Where the store has another one an
    /// operator or another host was faster, and stands.
    public var expected: Int64
    /// Nothing but counting: it was closed.
    public var count: Count?

    /// What counts, so that it can be counted together with what other hosts counted meanwhile.
    public struct Count: Hashable, Sendable {
        public var outcome: Outcome
        public var text: String
        public var at: Instant
        public var policy: BreakerPolicy
        public init(outcome: Outcome, text: String, at: Instant, policy: BreakerPolicy) {
            self.outcome = outcome
            self.text = text
            self.at = at
            self.policy = policy
        }
    }

    public init(data: String, expected: Int64 = BreakerRow.first, count: Count? = nil) {
        self.data = data
        self.expected = expected
        self.count = count
    }
}

extension BreakerRow {
    /// Of a breaker that no row has been written of.
    public static let first: Int64 = 1

    /// `data` in this generation, of which it tells too.
    public init(_ data: String, generation: Int64) {
        let breaker = Breaker(encoded: data, policy: BreakerPolicy())?.inGeneration(generation)
        self.init(generation: generation, data: breaker?.encoded ?? data)
    }

    /// The row that `write` makes of the stored one (nil: there is none); nil: that stands. A change of mode is a
    /// new generation, counting is not.
    public static func after(_ write: BreakerWrite, on stored: BreakerRow?) -> BreakerRow? {
        let isCounting = write.count.map { Breaker(encoded: write.data, policy: $0.policy)?.mode == .closed } ?? false
        guard let stored else { return BreakerRow(write.data, generation: isCounting ? write.expected : write.expected + 1) }
        guard stored.generation == write.expected else { return nil }
        guard var breaker = Breaker(encoded: stored.data, policy: write.count?.policy ?? BreakerPolicy()) else {
            return BreakerRow(write.data, generation: stored.generation + 1)
        }
        switch breaker.mode {
        // Only an operator ends these.
        case .disabled, .forcedOpen(until: nil): return nil
        case .closed:
            guard let count = write.count else { break }
            let transition = breaker.record(
                count.outcome, generation: breaker.generation, wasProbe: false, text: count.text, now: count.at)
            return BreakerRow(breaker.encoded, generation: transition == nil ? stored.generation : stored.generation + 1)
        case .open, .halfOpen, .forcedOpen: break
        }
        return BreakerRow(write.data, generation: stored.generation + 1)
    }
}
