import JobCore
import SQL

// Ends of attempts and enqueued runs, a batch in a statement.

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
        try writeJobEnds(finished)
        try count(tally)
        return results
    }

    private struct Ended {
        var job: String
        var attempt: Int64
        var fence: Int64
    }

    private func endAttempts(_ completions: [Completion]) throws -> [RunID: Ended] {
        var columns = PostgresColumns(14)
        var seen: Set<RunID> = []
        for completion in completions where completion.state != .running && seen.insert(completion.run).inserted {
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
        }
        let statement = try connection.prepare("""
            UPDATE \(schema)runs r SET state = c.state, outcome = coalesce(c.outcome, r.outcome), started_at = c.started,
                finished_at = c.finished, available_at = coalesce(c.available, r.available_at),
                rank = coalesce(c.available, r.available_at)
                    - least(greatest(r.priority, -1000000), 1000000) * \(Rank.perPriority),
                attempt = greatest(r.attempt - c.uncounted, 0), pid = c.pid, library_hash = c.hash, reason = c.reason,
                code = c.code, items = c.items, cpu_us = c.cpu, lease_until = NULL
            FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
                ?::integer[], ?::text[], ?::text[], ?::integer[], ?::bigint[], ?::bigint[])
                AS c (id, fence, state, outcome, started, finished, available, uncounted, pid, hash, reason, code, items, cpu)
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

    // MARK: Enqueued runs

    func enqueue(_ requests: [NewRun], now: Instant) throws -> [(run: RunRecord, inserted: Bool)] {
        guard !requests.isEmpty else { return [] }
        let runs = zip(requests, try allocate("run", requests.count)).map { request, id in
            Self.record(of: request, id: RunID(id), availableAt: request.fireTime, now: now)
        }
        let inserted = try insert(runs, now: now)
        if !inserted.isEmpty { try connection.run("SELECT \(schema)hint()") }
        return try runs.map { run in
            if inserted.contains(run.id) { return (run, true) }
            for _ in 0..<3 {
                if let other = try liveRun(likewise: run) { return (other, false) }
                // What kept it out ended between the two statements.
                if try !insert([run], now: now).isEmpty { return (run, true) }
            }
            throw StoreError(.broken, "a run of \(run.job) could not be inserted")
        }
    }

    /// Returns those that no live run kept out.
    private func insert(_ runs: [RunRecord], now: Instant) throws -> Set<RunID> {
        var columns = PostgresColumns(13)
        for run in runs {
            columns[0].append(run.id.value)
            columns[1].append(run.job)
            columns[2].append(run.trigger.rawValue)
            columns[3].append(run.state.rawValue)
            columns[4].append(run.fireTime.stored)
            columns[5].append(run.availableAt.stored)
            columns[6].append(Rank.of(availableAt: run.availableAt, priority: run.priority))
            columns[7].append(Int64(run.maxAttempts))
            columns[8].append(Int64(run.priority))
            columns[9].append(run.uniqueKey)
            columns[10].append(run.idempotencyKey)
            columns[11].append(run.retryOf?.value)
            columns[12].append(run.payload)
        }
        let statement = try connection.prepare("""
            INSERT INTO \(schema)runs (id, job, trigger, state, fire_time, available_at, rank, max_attempts, priority,
                unique_key, idempotency_key, retry_of, payload, created_at, attempt)
            SELECT *, ?14, 0 FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::bigint[],
                ?7::bigint[], ?8::bigint[], ?9::bigint[], ?10::text[], ?11::text[], ?12::bigint[], ?13::text[])
            ON CONFLICT DO NOTHING RETURNING id
            """)
        try statement.bind(columns, from: 1)
        try statement.bind(now.stored, at: 14)
        defer { statement.reset() }
        var inserted: Set<RunID> = []
        while try statement.step() { inserted.insert(RunID(try statement.int64(0))) }
        return inserted
    }

    // MARK: Inbox

    /// A row that another host is at is left to it, and so is one whose job only others know.
    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) throws -> InboxResult {
        let rows = try connection.rows("""
            SELECT id, job, payload, unique_key, priority, run_at_ms FROM \(schema)enqueue_inbox
            WHERE refused IS NULL AND (job = ANY (?::text[]) OR NOT EXISTS (
                SELECT FROM \(schema)definitions d JOIN \(schema)hosts h ON h.name = d.host AND h.lease_until > \(Self.clock)
                WHERE d.job = enqueue_inbox.job))
            ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED
            """, [.text(PostgresArray(jobs.keys.sorted()).value), .int(max(limit, 0))]
        ) { row in
            try InboxRow(row, jobs, now, valid: true)
        }
        guard !rows.isEmpty else { return InboxResult() }
        var result = InboxResult()
        var taken: [InboxRow] = []
        for row in rows {
            guard let reason = Self.refusal(row, jobs, now) else {
                taken.append(row)
                continue
            }
            try connection.run("UPDATE \(schema)enqueue_inbox SET refused = ? WHERE id = ?", [.text(reason), .int(row.id)])
            result.refused.append((id: row.id, job: row.request.job, reason: reason))
        }
        result.runs = try enqueue(taken.map(\.request), now: now).filter(\.inserted).map(\.run)
        try connection.run(
            "DELETE FROM \(schema)enqueue_inbox WHERE id = ANY (?::bigint[])", [.text(PostgresArray(taken.map(\.id)).value)])
        return result
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

    func reloads(limit: Int) throws -> [ReloadRow] {
        try connection.rows("""
            SELECT generation, at, accepted, report FROM \(schema)reloads WHERE host = ? ORDER BY id DESC LIMIT ?
            """, [.text(host), .int(Bounds.rows(limit))]
        ) { row in
            ReloadRow(
                generation: try row.int64(0), at: try row.instant(1), accepted: try row.bool(2), report: try row.text(3))
        }
    }
}
