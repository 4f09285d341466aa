import JobCore
import JobStore

/// How far the runs under way are, as the store has it for other hosts. Pure.
struct ToldProgress {
    /// A database that has crashed has forgotten it, which nobody may have noticed.
    static let memory = Duration.seconds(60)

    var rows: [RunProgress] = []
    var at = MonotonicInstant(microseconds: 0)

    /// These are to be told: something has moved, or it is so long ago.
    func lacks(_ rows: [RunProgress], now: MonotonicInstant) -> Bool {
        rows != self.rows || !rows.isEmpty && now - at >= Self.memory
    }
}
