import JobCore

/// The host's lease on a store that it shares with others, as this machine's clock sees it: it ends a
/// margin before the store says so, so that what runs here is dead when another host declares it lost.
/// Counted from when a renewal was asked for, which is never later than the store counts from. Pure.
struct HostLease {
    let length: Duration
    /// When it ends here; nil: it has never been held, or has ended.
    private(set) var end: MonotonicInstant?
    /// Since when it has been held without a gap.
    private var heldSince: MonotonicInstant?

    init(length: Duration) { self.length = length }

    var margin: Duration { min(length / 10, .seconds(5)) }
    /// From one renewal to the next.
    var period: Duration { min(max(length / 6, .milliseconds(250)), .seconds(15)) }
    var isHeld: Bool { end != nil }

    /// The store has renewed it. true: it is held anew. An answer that came too late changes nothing.
    mutating func renewed(asked: MonotonicInstant, now: MonotonicInstant) -> Bool {
        let next = asked + length - margin
        guard next > now, next > end ?? asked else { return false }
        defer { end = next }
        guard end == nil else { return false }
        heldSince = now
        return true
    }

    /// true: it ended, and this is the first look since.
    mutating func hasLapsed(now: MonotonicInstant) -> Bool {
        guard let end, end <= now else { return false }
        self.end = nil
        heldSince = nil
        return true
    }

    /// Whether to look after other hosts' runs. Not at once: after the store was away all leases may
    /// have ended, and the others come back to record what they kept.
    func mayRescue(now: MonotonicInstant) -> Bool {
        guard isHeld, let heldSince else { return false }
        return now - heldSince >= min(length, .seconds(10))
    }
}

extension MonotonicInstant {
    fileprivate static func - (a: Self, b: Duration) -> Self { a + (.zero - b) }
}
