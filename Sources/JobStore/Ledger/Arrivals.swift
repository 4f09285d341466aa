import JobCore

/// What is no longer in the inbox, and is to be inserted in the transaction that took it.
struct Arrivals {
    var runs: [RunRecord] = []
    /// Without the runs.
    var result = InboxResult()

    /// How they are inserted.
    struct Parts {
        /// Came too late: on record too, before another of its key takes its place.
        var late: [RunRecord] = []
        /// Claimed at once, best first.
        var claimed: [(rank: Int64, run: RunRecord)] = []
        var waiting: [RunRecord] = []
    }

    /// `rooms`: how many runs of a job may begin now, of jobs of which nothing else waits.
    func parts(for rooms: [String: Int], now: Instant) -> Parts {
        var left = rooms
        var parts = Parts()
        var ranked: [(rank: Int64, run: RunRecord)] = []
        for run in runs {
            if run.hasExpired(now) {
                parts.late.append(run)
            } else {
                ranked.append((Rank.of(availableAt: run.availableAt, priority: run.priority), run))
            }
        }
        ranked.sort { ($0.rank, $0.run.id) < ($1.rank, $1.run.id) }
        for entry in ranked {
            let room = left[entry.run.job] ?? 0
            guard room > 0, entry.run.state == .available else {
                parts.waiting.append(entry.run)
                continue
            }
            left[entry.run.job] = room - 1
            parts.claimed.append(entry)
        }
        return parts
    }
}

extension ClaimedRun {
    /// The first attempt of a run that was inserted as claimed.
    init(_ run: RunRecord, fence: Int64) {
        self.init(
            id: run.id, job: run.job, trigger: run.trigger, fireTime: run.fireTime, attempt: 1, maxAttempts: run.maxAttempts,
            fence: fence, priority: run.priority, idempotencyKey: run.idempotencyKey, payload: Array(run.payload.utf8))
        expiresAt = run.expiresAt
    }
}
