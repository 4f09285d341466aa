import JobCore
import SQL

// Ends of attempts, a batch in a statement.

extension PostgresLedger {
    func complete(_ completions: [Completion], now: Instant) throws -> [Bool] {
        guard !completions.isEmpty else { return [] }
        let ended = try endAttempts(completions)
        var tally = Tally()
        var finished: [String: JobEnd] = [:]
        var used: Set<RunID> = []
        var results: [Bool] = []
        for completion in completions {
            guard let end = ended[completion.run], end.fence == completion.fence, used.insert(completion.run).inserted else {
                results.append(try mayHaveCommitted && isOnRecord(completion))
                continue
            }
            results.append(true)
            if completion.state != .available { tally.add(completion.outcome.rawValue, job: end.job) }
            if completion.state == .discarded { tally.add("discarded", job: end.job) }
            if completion.state == .retryable, completion.countsAttempt { try recordAttempt(completion, number: end.attempt) }
            finished[end.job, default: JobEnd()].take(completion)
            try writeEffects(completion, job: end.job, now: now)
        }
        try writeNewestEnds(finished)
        try count(tally)
        return results
    }

    /// An adaptive interval is the job's, in its row. Of all else each host has a row, so that it waits for nobody.
    private func writeNewestEnds(_ ends: [String: JobEnd]) throws {
        try writeJobEnds(ends.filter { $0.value.adaptiveInterval != nil })
        var columns = PostgresColumns(3)
        var isEmpty = true
        for (job, end) in ends.sorted(by: { $0.key < $1.key }) where end.adaptiveInterval == nil {
            guard let finished = end.finishedAt, let outcome = end.outcome else { continue }
            columns[0].append(job)
            columns[1].append(finished.stored)
            columns[2].append(outcome.rawValue)
            isEmpty = false
        }
        guard !isEmpty else { return }
        let statement = try connection.prepare("""
            INSERT INTO \(schema)job_ends AS e (job, host, finished_at, outcome)
            SELECT job, ?4, finished, outcome FROM unnest(?1::text[], ?2::bigint[], ?3::text[]) AS t (job, finished, outcome)
            ON CONFLICT (job, host) DO UPDATE SET finished_at = excluded.finished_at, outcome = excluded.outcome
                WHERE e.finished_at <= excluded.finished_at
            """)
        try statement.bind(columns, from: 1)
        try statement.bind(host, at: 4)
        try statement.send()
    }

    func otherEnds(of jobs: [String]?) throws -> [(job: String, finished: Instant, outcome: Outcome)] {
        let (condition, values) = condition(on: jobs)
        return try connection.rows(
            "SELECT DISTINCT ON (job) job, finished_at, outcome FROM \(schema)job_ends WHERE \(condition) ORDER BY job, finished_at DESC", values
        ) { (job: try $0.text(0), finished: try $0.instant(1), outcome: try $0.word(2)) }
    }

    private struct Ended {
        var job: String
        var attempt: Int64
        var fence: Int64
    }

    /// A hundred years, so that no sum overflows.
    private static let longestDelay: Int64 = 100 * 366 * 86_400 * 1_000_000

    private func endAttempts(_ completions: [Completion]) throws -> [RunID: Ended] {
        var columns = PostgresColumns(15)
        var seen: Set<RunID> = []
        // By number: a host that comes back with late results and the one that rescues the runs then wait for each
        // other one after the other, not in a circle.
        for completion in completions.sorted(by: { $0.run < $1.run }) where completion.state != .running && seen.insert(completion.run).inserted {
            // A run that is handed back was not attempted: it keeps no trace of it.
            let returned = completion.state == .available
            let ended = completion.state.isTerminal
            columns[0].append(completion.run.value)
            columns[1].append(completion.fence)
            columns[2].append(completion.state.rawValue)
            columns[3].append(returned ? nil : completion.outcome.rawValue)
            columns[4].append(returned ? nil : completion.startedAt.stored)
            columns[5].append(ended ? completion.finishedAt.stored : nil)
            columns[6].append(ended ? nil : completion.availableAt.stored)
            columns[7].append(completion.countsAttempt ? 0 : 1)
            columns[8].append(Int64(completion.pid))
            columns[9].append(completion.libraryHash)
            columns[10].append(completion.reason)
            columns[11].append(Int64(completion.code))
            columns[12].append(Int64(clamping: completion.items))
            columns[13].append(completion.cpu.microseconds)
            let delay = completion.availableAt.map { ($0 - completion.finishedAt).microseconds } ?? 0
            columns[14].append(completion.isInstantNamed ? Self.longestDelay : min(max(0, delay), Self.longestDelay))
        }
        // A host whose clock is ahead would let a retry wait for as long as it is: both instants are by the same clock, so
        // the time between them holds, from now on. What was named by its instant has it.
        let statement = try connection.prepare("""
            UPDATE \(schema)runs r SET state = c.state, outcome = coalesce(c.outcome, r.outcome), started_at = c.started,
                finished_at = c.finished, available_at = coalesce(c.due, r.available_at),
                rank = coalesce(c.due, r.available_at)
                    - least(greatest(r.priority, -1000000), 1000000) * \(Rank.perPriority),
                attempt = greatest(r.attempt - c.uncounted, 0), pid = c.pid, library_hash = c.hash, reason = c.reason,
                code = c.code, items = c.items, cpu_us = c.cpu, lease_until = NULL
            FROM (
                SELECT *, CASE WHEN available IS NOT NULL THEN least(available, \(Self.clock) + delay) END AS due
                FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
                    ?::integer[], ?::text[], ?::text[], ?::integer[], ?::bigint[], ?::bigint[], ?::bigint[])
                    AS u (id, fence, state, outcome, started, finished, available, uncounted, pid, hash, reason, code, items, cpu, delay)) c
            WHERE r.id = c.id AND r.fence = c.fence AND r.\(StateSQL.running)
            RETURNING r.id, r.job, r.attempt, r.fence
            """)
        try statement.bind(columns, from: 1)
        defer { statement.reset() }
        var found: [RunID: Ended] = [:]
        while try statement.step() {
            found[RunID(try statement.int64(0))] = Ended(
                job: try statement.text(1), attempt: try statement.int64(2), fence: try statement.int64(3))
        }
        return found
    }

    /// This very end is what the run shows: an earlier try committed and its answer was lost.
    private func isOnRecord(_ completion: Completion) throws -> Bool {
        try connection.first("""
            SELECT 1 FROM \(schema)runs WHERE id = ? AND fence = ? AND state = ? AND outcome = ? AND finished_at = ?
            """, [
                .int(completion.run.value), .int(completion.fence), .text(completion.state.rawValue),
                .text(completion.outcome.rawValue), .int(completion.finishedAt.stored),
            ]) { _ in } != nil
    }

    // MARK: What each host has of its own

    func acceptedLibraries() throws -> [AcceptedLibrary] {
        try connection.rows(
            "SELECT plugin, sha256, path, accepted_at FROM \(schema)accepted_libraries WHERE host = ? ORDER BY plugin",
            [.text(host)]
        ) { row in
            AcceptedLibrary(
                plugin: try row.text(0), sha256: try row.text(1), path: try row.text(2), acceptedAt: try row.instant(3))
        }
    }

    func saveAcceptedLibrary(_ library: AcceptedLibrary) throws {
        try connection.run("""
            INSERT INTO \(schema)accepted_libraries (host, plugin, sha256, path, accepted_at) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (host, plugin) DO UPDATE SET sha256 = excluded.sha256, path = excluded.path,
                accepted_at = excluded.accepted_at
            """, [
                .text(host), .text(library.plugin), .text(library.sha256), .text(library.path), .int(library.acceptedAt.stored),
            ])
    }

    func saveReload(_ reload: ReloadRow) throws {
        try connection.run(
            "INSERT INTO \(schema)reloads (host, generation, at, accepted, report) VALUES (?, ?, ?, ?, ?)",
            [
                .text(host), .int(reload.generation), .int(reload.at.stored), .bool(reload.accepted), .text(reload.report),
            ])
    }

    func reloads(before: Int64?, limit: Int) throws -> [ReloadRow] {
        try connection.rows(
            "SELECT \(ReloadRow.columns) FROM \(schema)reloads WHERE host = ? AND id < ? ORDER BY id DESC LIMIT ?",
            [.text(host), .int(before ?? .max), .int(Bounds.rows(limit))], ReloadRow.decode)
    }
}
