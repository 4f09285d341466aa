import JobCore

/// Jobs by the instant at which each wants its turn; ties in order of arrival. Setting, moving
/// and taking cost O(log n).
struct Timeline {
    private struct Turn: Comparable {
        var at: Instant
        var sequence: UInt64
        static func < (a: Self, b: Self) -> Bool { a.at != b.at ? a.at < b.at : a.sequence < b.sequence }
    }
    private var turns = IndexedHeap<Turn>()
    private var nextSequence: UInt64 = 0

    var earliest: Instant? { turns.first?.key.at }
    var count: Int { turns.count }
    var isEmpty: Bool { turns.isEmpty }

    func contains(_ job: Int) -> Bool { turns.contains(job) }

    /// Puts `job` at `at`, wherever it stood; nil takes it out. A job that stands there already
    /// keeps its turn among its equals.
    mutating func set(job: Int, at: Instant?) {
        guard let at else { return turns.remove(job) }
        guard turns.key(of: job)?.at != at else { return }
        turns.set(job, to: Turn(at: at, sequence: nextSequence))
        nextSequence &+= 1
    }

    /// Removes and returns the earliest job.
    mutating func popFirst() -> Int? { turns.popFirst() }

    /// Removes and returns the earliest job that is due at `now`.
    mutating func popDue(_ now: Instant) -> Int? {
        guard let first = turns.first, first.key.at <= now else { return nil }
        return popFirst()
    }

    mutating func removeAll() { turns.removeAll() }
}
