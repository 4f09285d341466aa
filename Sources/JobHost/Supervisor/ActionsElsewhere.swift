import JobCore
import JobStore

/// Which entries of a shared store's audit are other hosts': all but those that are told here as they are done. Pure.
struct ActionsElsewhere {
    /// So long after a number was seen no lower one comes any more: they are given out before their rows are committed.
    static let patience = Duration.seconds(60)
    /// Entries told here that the audit has not shown yet; the oldest are forgotten first.
    static let mostOwn = 500

    private var own: [AuditRow] = []
    /// Above `after`, with when each was first seen; nil: nothing has been read.
    private var seen: [Int64: MonotonicInstant]?

    /// Entries with higher numbers are still to be looked at; nil: none has been read yet.
    private(set) var after: Int64?

    /// It is about to be written, and told here: before anybody can read it.
    mutating func expect(_ row: AuditRow) {
        own.append(row)
        if own.count > Self.mostOwn { own.removeFirst() }
    }

    /// It came to nothing, as far as is known.
    mutating func withdraw(_ row: AuditRow) {
        if let i = own.lastIndex(where: { $0.isSame(as: row) }) { own.remove(at: i) }
    }

    /// The newest entries have been read, the newest first, all that are above `after` among them. Returns those to
    /// tell of, the oldest first: none of the first time, when they are the past.
    mutating func new(among rows: [AuditRow], now: MonotonicInstant) -> [AuditRow] {
        guard var known = seen else {
            seen = Dictionary(rows.map { ($0.id, now) }) { first, _ in first }
            after = rows.last.map { $0.id - 1 } ?? 0
            return []
        }
        let fresh = rows.reversed().filter { known.updateValue(known[$0.id] ?? now, forKey: $0.id) == nil }
        if let old = known.filter({ now - $0.value > Self.patience }).keys.max() {
            after = max(after ?? old, old)
            known = known.filter { $0.key > old }
        }
        seen = known
        return fresh.filter { row in
            guard let i = own.firstIndex(where: { $0.isSame(as: row) }) else { return true }
            own.remove(at: i)
            return false
        }
    }
}

/// What ended on any host without an attempt of its own, by the counters as they were read last: fires that were skipped
/// or missed, runs that expired. Pure.
struct NoRunCounts {
    /// What expires after an attempt is a dead letter, which no attempt's end tells of.
    private static let names = NoRunReason.allCases.map(\.rawValue) + [RunState.discarded.rawValue]
    private var seen: [String: Int64] = [:]

    /// Whether there is more of it since the last look; at the first there is not.
    mutating func grow(_ job: String, _ counters: [String: Int64]) -> Bool {
        let total = Self.names.reduce(0) { $0 + (counters[$1] ?? 0) }
        return seen.updateValue(total, forKey: job).map { total > $0 } ?? false
    }
}

extension AuditRow {
    /// One was read from the store, which may date it by a clock of its own.
    fileprivate func isSame(as other: AuditRow) -> Bool {
        actor.name == other.actor.name && actor.via == other.actor.via && action == other.action && job == other.job
            && abs((at - other.at).microseconds) < 5_000_000
    }
}
