import JobCore

/// How many attempts have ended lately, counted in twelve steps. Pure.
struct EndRate {
    /// Microseconds.
    private let step: Int64
    private static let steps = 12
    /// Empty until the first end: of thousands of jobs most end rarely.
    private var counts: [UInt32] = []
    /// Of the newest count; older steps stand before it, around the ring.
    private var newest = Int64.min / 2

    init(within window: Duration = .seconds(60)) { step = window.microseconds / Int64(Self.steps) }

    mutating func note(_ now: MonotonicInstant, _ count: UInt32 = 1) {
        if counts.isEmpty { counts = [UInt32](repeating: 0, count: Self.steps) }
        let step = now.microseconds / self.step
        if step > newest {
            // Steps in which nothing ended.
            for passed in max(newest + 1, step - Int64(Self.steps) + 1) ... step { counts[Self.place(passed)] = 0 }
            newest = step
        }
        counts[Self.place(newest)] &+= count
    }

    func count(_ now: MonotonicInstant) -> Int {
        let step = now.microseconds / self.step
        let oldest = max(step, newest) - Int64(Self.steps) + 1
        guard oldest <= newest else { return 0 }
        let first = max(oldest, newest - Int64(Self.steps) + 1)
        return (first ... newest).reduce(0) { $0 + Int(counts[Self.place($1)]) }
    }

    private static func place(_ step: Int64) -> Int { Int(((step % Int64(steps)) + Int64(steps)) % Int64(steps)) }
}
