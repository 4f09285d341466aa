import JobCore
import SQL

// What other programs put into the file's inbox. As in PostgreSQL it is claimed in the transaction that takes it, as
// far as somebody may run it now: its row is written once instead of twice.

extension SQLiteLedger {
    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) throws -> InboxResult {
        let arrivals = try takeArrivals(InboxTake(jobs: jobs, limit: limit), now: now)
        var result = arrivals.result
        result.runs = try insertOrFind(arrivals.runs, now: now).filter(\.inserted).map(\.run)
        return result
    }

    func claimWaiting(_ limits: [String: WaitingLimit], taking inbox: InboxTake, owner: Owner, now: Instant) throws -> WaitingClaims {
        let arrivals = try takeArrivals(inbox, now: now)
        let rooms = try roomsOfIdle(limits, for: arrivals, now: now)
        let parts = arrivals.parts(for: rooms, now: now)
        let late = try insertOrFind(parts.late, now: now)
        let (begun, keptOut) = try insertClaimed(parts.claimed, limits: limits, owner: owner, now: now)
        var result = arrivals.result
        result.runs = try (late + insertOrFind(parts.waiting + keptOut, now: now)).filter(\.inserted).map(\.run)
        var claims = try claimWaiting(limits.filter { rooms[$0.key] == nil }, owner: owner, now: now, beside: begun)
        let claimed = Set(claims.runs.map(\.id))
        result.runs.removeAll { claimed.contains($0.id) }
        claims.inbox = result
        return claims
    }

    private func takeArrivals(_ take: InboxTake, now: Instant) throws -> Arrivals {
        let rows = try connection.rows("""
            SELECT \(InboxRow.columns), payload IS NULL OR json_valid(payload)
            FROM enqueue_inbox WHERE refused IS NULL ORDER BY id LIMIT ?
            """, [.int(max(take.limit, 0))]
        ) { row in
            try InboxRow(row, take.jobs, now, valid: try row.int64(8) != 0)
        }
        var arrivals = Arrivals()
        arrivals.result.mayHaveMore = rows.count >= take.limit
        var taken: [InboxRow] = []
        for row in rows {
            guard let reason = Self.refusal(row, take.jobs, now) else {
                taken.append(row)
                continue
            }
            try refuse(row, reason)
            arrivals.result.refused.append((id: row.id, job: row.request.job, reason: reason))
        }
        guard let first = taken.first?.id, let last = taken.last?.id else { return arrivals }
        arrivals.runs = try zip(taken, allocate("run", taken.count)).map { row, id in
            Self.record(of: row.request, id: RunID(id), availableAt: row.request.fireTime, now: now)
        }
        // Just those: the transaction is alone, and what was refused between them says so.
        try connection.run("DELETE FROM enqueue_inbox WHERE id BETWEEN ? AND ? AND refused IS NULL", [.int(first), .int(last)])
        return arrivals
    }

    /// How many runs of each job may begin now; of those jobs alone of which something came and nothing else waits. (What
    /// counts towards a rate goes the other way, which counts.)
    private func roomsOfIdle(_ limits: [String: WaitingLimit], for arrivals: Arrivals, now: Instant) throws -> [String: Int] {
        var rooms: [String: Int] = [:]
        for job in Set(arrivals.runs.map(\.job)) {
            guard let limit = limits[job], limit.most > 0, limit.rate == nil else { continue }
            let waits = try connection.first("""
                SELECT 1 WHERE EXISTS (SELECT 1 FROM runs WHERE \(StateSQL.ready) AND job = ?1)
                    OR EXISTS (SELECT 1 FROM runs WHERE \(StateSQL.later) AND available_at <= ?2 AND job = ?1)
                """, [.text(job), .int(now.stored)]) { _ in true }
            if waits == nil { rooms[job] = limit.most }
        }
        return rooms
    }

    /// The others a live run of their key keeps out, most likely.
    private func insertClaimed(
        _ chosen: [(rank: Int64, run: RunRecord)], limits: [String: WaitingLimit], owner: Owner, now: Instant
    ) throws -> (begun: [(rank: Int64, run: ClaimedRun)], keptOut: [RunRecord]) {
        guard !chosen.isEmpty else { return ([], []) }
        let inserter = try RunInserter(self)
        var begun: [(rank: Int64, run: ClaimedRun)] = []
        begun.reserveCapacity(chosen.count)
        var keptOut: [RunRecord] = []
        for (entry, fence) in zip(chosen, try allocate("fence", chosen.count)) {
            var run = entry.run
            (run.state, run.attempt, run.fence, run.owner, run.epoch) = (.running, 1, fence, owner.host, owner.epoch)
            run.generation = limits[run.job]?.generation ?? 0
            run.isIdempotent = limits[run.job]?.isIdempotent
            if try inserter.insert(run, lease: now + Lease.first) {
                begun.append((entry.rank, ClaimedRun(run, fence: fence)))
            } else {
                keptOut.append(entry.run)
            }
        }
        return (begun, keptOut)
    }
}
