/// Runs that a worker was sent ahead of their instant, soonest first: which are to be begun, and which it is not the
/// worker's to judge any more. Pure.
///
/// sent ahead → (its instant) → begun. Taken back (recalled, cancelled, or the worker is to go) → returned. The wall
/// clock was set meanwhile, so that the instant is not what it was → returned, at the instant as it was.
public struct RunsAhead: Sendable {
    public enum Verdict: Hashable, Sendable {
        case begin(RunFrame)
        case giveBack(RunID)
    }
    /// A difference between the clocks up to this is slewing, or their being read one after the other: it is waited for.
    /// (As the supervisor sees it.)
    public static let noise = Duration.milliseconds(50)

    private struct Entry {
        var frame: RunFrame
        var at: MonotonicInstant
        /// Wall minus monotonic, microseconds, when it came.
        var offset: Int64
    }
    private var entries: [Entry] = []

    public init() {}

    public var isEmpty: Bool { entries.isEmpty }
    /// When to ask again; nil: nothing waits.
    public var next: MonotonicInstant? { entries.first?.at }

    /// - Parameter frame: with a `notBefore`; without one its instant is now.
    public mutating func add(_ frame: RunFrame, now: Now) {
        insert(Entry(frame: frame, at: frame.notBefore?.monotonic ?? now.monotonic, offset: now.offset))
    }

    /// Among equals those that came first are first.
    private mutating func insert(_ entry: Entry) {
        var place = entries.endIndex
        while place > 0, entries[place - 1].at > entry.at { place -= 1 }
        entries.insert(entry, at: place)
    }

    /// false: it is not here.
    public mutating func remove(_ run: RunID) -> Bool {
        guard let place = entries.firstIndex(where: { $0.frame.run == run }) else { return false }
        entries.remove(at: place)
        return true
    }

    public mutating func removeAll() -> [RunID] {
        defer { entries = [] }
        return entries.map(\.frame.run)
    }

    /// Takes out those whose instant has come.
    public mutating func due(now: Now) -> [Verdict] {
        let count = entries.prefix { $0.at <= now.monotonic }.count
        guard count > 0 else { return [] }
        let reached = entries[..<count]
        entries.removeFirst(count)
        var verdicts: [Verdict] = []
        for var entry in reached {
            let step = Duration.microseconds(now.offset.saturatingSubtract(entry.offset))
            let early = (entry.frame.notBefore?.wall ?? now.wall) - now.wall
            if step > Self.noise || step < .zero - Self.noise {
                verdicts.append(.giveBack(entry.frame.run))
            } else if early > .zero, early <= Self.noise {
                entry.at = now.monotonic + early
                insert(entry)
            } else {
                verdicts.append(.begin(entry.frame))
            }
        }
        return verdicts
    }
}

extension Now {
    /// Wall minus monotonic, microseconds.
    fileprivate var offset: Int64 { wall.microseconds.saturatingSubtract(monotonic.microseconds) }
}
