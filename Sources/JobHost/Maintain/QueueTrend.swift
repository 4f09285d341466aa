import JobCore

/// How fast each queue gets shorter, as it was seen within the last minute. How many runs end says nothing of that
/// where others come meanwhile. Pure.
struct QueueTrend {
    private static let window = Duration.seconds(60)
    /// Looks are kept so far apart.
    private static let pace = Duration.seconds(2)
    /// What was seen for less than this says nothing.
    private static let least = Duration.seconds(4)
    private struct Look {
        var at: MonotonicInstant
        /// By job; only of queues that are not empty.
        var due: [String: Int64]
    }
    /// Oldest first; the last one is as of the last count.
    private var looks: [Look] = []

    /// - Parameter due: of each job, how many runs could start.
    mutating func note(_ due: [String: Int64], _ now: MonotonicInstant) {
        // The last one gives way until it is far enough from the one before.
        if looks.count > 1, looks[looks.count - 1].at - looks[looks.count - 2].at < Self.pace { looks.removeLast() }
        looks.append(Look(at: now, due: due.filter { $0.value > 0 }))
        looks.removeAll { now - $0.at > Self.window }
    }

    /// By how many runs a minute the queue gets shorter since it was longest; negative: it grows. nil: it is empty, or
    /// has not been seen for long enough.
    func shrinksPerMinute(_ job: String) -> Int64? {
        guard let last = looks.last, let first = looks.first, last.due[job] != nil else { return nil }
        let due = { (look: Look) in look.due[job] ?? 0 }
        let longest = looks.reduce(first) { due($1) > due($0) ? $1 : $0 }
        // What has only just come does not hide for how long it has grown.
        let from = last.at - longest.at < Self.least ? first : longest
        let length = (last.at - from.at).microseconds
        guard length >= Self.least.microseconds else { return nil }
        return Int64((Double(due(from) - due(last)) * 60_000_000 / Double(length)).rounded())
    }
}
