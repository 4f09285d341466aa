import JobCore
import SQL

// The end of an attempt and all that commits with it.

extension Ledger {
    func complete(_ completions: [Completion], now: Instant) throws -> [Bool] {
        let writer = try AttemptEnder(connection)
        var tally = Tally()
        var finished: [String: JobEnd] = [:]
        var results: [Bool] = []
        results.reserveCapacity(completions.count)
        for completion in completions {
            guard let end = try writer.end(completion) else {
                results.append(false)
                continue
            }
            results.append(true)
            // A run that was handed back was not attempted: nothing of it is an outcome.
            if completion.state != .available { tally.add(completion.outcome.rawValue, job: end.job) }
            if completion.state == .discarded { tally.add("discarded", job: end.job) }
            if completion.state == .retryable, completion.countsAttempt {
                try recordAttempt(completion, number: end.attempt)
            }
            finished[end.job, default: JobEnd()].take(completion)
            try writeEffects(completion, job: end.job, now: now, &tally)
        }
        try writeJobEnds(finished)
        try tally.write(to: connection)
        return results
    }

    /// What a call's completions leave in a job's row.
    private struct JobEnd {
        var finishedAt: Instant?
        var outcome: Outcome?
        var adaptiveInterval: Duration?

        mutating func take(_ completion: Completion) {
            if let interval = completion.adaptiveInterval { adaptiveInterval = interval }
            guard completion.state.isTerminal, completion.finishedAt >= finishedAt ?? .distantPast else { return }
            finishedAt = completion.finishedAt
            outcome = completion.outcome
        }
    }

    private func writeJobEnds(_ ends: [String: JobEnd]) throws {
        let update = try connection.prepare("""
            INSERT INTO job_states (job, last_finished, last_outcome, adaptive_us) VALUES (:job, :at, :outcome, :adaptive)
            ON CONFLICT (job) DO UPDATE SET
                last_outcome = CASE WHEN :at >= coalesce(last_finished, :at) THEN :outcome ELSE last_outcome END,
                last_finished = CASE WHEN :at >= coalesce(last_finished, :at) THEN :at ELSE last_finished END,
                adaptive_us = coalesce(:adaptive, adaptive_us)
            """)
        for (job, end) in ends where end.finishedAt != nil || end.adaptiveInterval != nil {
            try update.bind([
                "job": .text(job), "at": .int(end.finishedAt.stored), "outcome": .text(end.outcome?.rawValue),
                "adaptive": .int(end.adaptiveInterval?.microseconds),
            ])
            try update.run()
        }
    }

    private func recordAttempt(_ completion: Completion, number: Int64) throws {
        try connection.run("""
            INSERT OR REPLACE INTO attempts
                (run, attempt, outcome, started_at, finished_at, pid, library_hash, reason, code)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """, [
                .int(completion.run.value), .int(number), .text(completion.outcome.rawValue),
                .int(completion.startedAt.stored), .int(completion.finishedAt.stored), .int(Int64(completion.pid)),
                .text(completion.libraryHash), .text(completion.reason), .int(Int64(completion.code)),
            ])
    }

    private func writeEffects(_ completion: Completion, job: String, now: Instant, _ tally: inout Tally) throws {
        if let blob = completion.stateBlob {
            try connection.run("""
                INSERT INTO state_blobs (job, version, bytes, updated_at) VALUES (?, ?, ?, ?)
                ON CONFLICT (job) DO UPDATE SET version = excluded.version, bytes = excluded.bytes,
                    updated_at = excluded.updated_at
                """, [.text(job), .int(Int64(blob.version)), .bytes(blob.bytes), .int(now.stored)])
        }
        if let breaker = completion.breaker { try saveBreaker(job: job, breaker, now: now) }
        if !completion.enqueues.isEmpty { _ = try enqueue(completion.enqueues, now: now) }
    }
}

/// Ends attempts, guarded by their fence.
private struct AttemptEnder {
    private let update: SQLiteStatement

    init(_ connection: SQLiteConnection) throws {
        update = try connection.prepare("""
            UPDATE runs SET state = ?1, outcome = coalesce(?2, outcome), started_at = ?3, finished_at = ?4,
                available_at = coalesce(?5, available_at),
                rank = coalesce(?5, available_at) - max(min(priority, 1000000), -1000000) * \(Rank.perPriority),
                attempt = max(attempt - ?6, 0), pid = ?7, library_hash = ?8, reason = ?9, code = ?10, items = ?11,
                cpu_us = ?12, lease_until = NULL
            WHERE id = ?13 AND fence = ?14 AND \(StateSQL.running)
            RETURNING job, attempt
            """)
    }

    /// nil: the attempt is not (any longer) the one of this fence, or the state is none that an
    /// attempt can end in.
    func end(_ completion: Completion) throws -> (job: String, attempt: Int64)? {
        guard completion.state != .running else { return nil }
        let returned = completion.state == .available
        try update.bind(completion.state.rawValue, at: 1)
        try update.bind(returned ? nil : completion.outcome.rawValue, at: 2)
        try update.bind(returned ? nil : completion.startedAt.stored, at: 3)
        try update.bind(completion.state.isTerminal ? completion.finishedAt.stored : nil, at: 4)
        try update.bind(completion.state.isTerminal ? nil : completion.availableAt.stored, at: 5)
        try update.bind(Int64(completion.countsAttempt ? 0 : 1), at: 6)
        try update.bind(Int64(completion.pid), at: 7)
        try update.bind(completion.libraryHash, at: 8)
        try update.bind(completion.reason, at: 9)
        try update.bind(Int64(completion.code), at: 10)
        try update.bind(Int64(clamping: completion.items), at: 11)
        try update.bind(completion.cpu.microseconds, at: 12)
        try update.bind(completion.run.value, at: 13)
        try update.bind(completion.fence, at: 14)
        defer { update.rewind() }
        guard try update.step() else { return nil }
        let ended = (job: try update.text(0), attempt: try update.int64(1))
        // RETURNING delivers its rows before the statement is done.
        while try update.step() {}
        return ended
    }
}
