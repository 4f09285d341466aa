import JobCore

/// When memory that is free is given back to the system. A config of thousands of jobs that is read, and an answer to a view
/// about all of them, take a multiple of what the host keeps, for a moment; the allocator would keep that too. Pure.
struct MemoryRelease {
    /// Giving back takes some milliseconds, in which others wait: only what is worth it, and not all the time.
    static let worthwhile: UInt64 = 16 << 20
    static let pause = Duration.seconds(60)

    private var generation: Int64?
    private var next = MonotonicInstant(microseconds: 0)
    /// Bytes that the process had when the last giving back was done; nil: it is under way.
    private var left: UInt64?

    /// `bytes`: of the process, its files apart. `generation`: the one that serves; of a new one all is given back that its building took.
    mutating func isDue(bytes: UInt64, generation: Int64, now: MonotonicInstant) -> Bool {
        let isNew = generation != self.generation
        let hasGrown = left.map { bytes >= $0 + Self.worthwhile } ?? false
        guard isNew || hasGrown && now >= next else { return false }
        self.generation = generation
        (next, left) = (now + Self.pause, nil)
        return true
    }

    mutating func isDone(bytes: UInt64) { left = bytes }
}
