import JobCore
import SQL

// The end of an attempt and all that commits with it.

extension Ledger {
    func complete(_ completions: [Completion], now: Instant) throws -> [Bool] {
        let writer = try AttemptEnder(self)
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
            if completion.state == .retryable, completion.countsAttempt, let attempt = end.attempt {
                try recordAttempt(completion, number: attempt)
            }
            finished[end.job, default: JobEnd()].take(completion)
            try writeEffects(completion, job: end.job, now: now)
        }
        try writeJobEnds(finished)
        try count(tally)
        return results
    }

    func writeJobEnds(_ ends: [String: JobEnd]) throws {
        let insert = try connection.prepare("INSERT INTO \(schema)job_states (job) VALUES (?) ON CONFLICT DO NOTHING")
        let update = try connection.prepare("""
            UPDATE \(schema)job_states SET
                last_outcome = CASE WHEN ?1 >= coalesce(last_finished, ?1) THEN ?2 ELSE last_outcome END,
                last_finished = CASE WHEN ?1 >= coalesce(last_finished, ?1) THEN ?1 ELSE last_finished END,
                adaptive_us = coalesce(?3, adaptive_us)
            WHERE job = ?4
            """)
        for (job, end) in ends.sorted(by: { $0.key < $1.key }) where end.finishedAt != nil || end.adaptiveInterval != nil {
            try update.bind(end.finishedAt.stored, at: 1)
            try update.bind(end.outcome?.rawValue, at: 2)
            try update.bind(end.adaptiveInterval?.microseconds, at: 3)
            try update.bind(job, at: 4)
            if try update.runAgain() == 1 { continue }
            try insert.bind(job, at: 1)
            try insert.runAgain()
            try update.runAgain()
        }
    }

    func recordAttempt(_ completion: Completion, number: Int64) throws {
        try connection.send("""
            INSERT INTO \(schema)attempts
                (run, attempt, outcome, started_at, finished_at, pid, library_hash, reason, code)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (run, attempt) DO UPDATE SET outcome = excluded.outcome, started_at = excluded.started_at,
                finished_at = excluded.finished_at, pid = excluded.pid, library_hash = excluded.library_hash,
                reason = excluded.reason, code = excluded.code
            """, [
                .int(completion.run.value), .int(number), .text(completion.outcome.rawValue),
                .int(completion.startedAt.stored), .int(completion.finishedAt.stored), .int(Int64(completion.pid)),
                .text(completion.libraryHash), .text(completion.reason), .int(Int64(completion.code)),
            ])
    }

    func writeEffects(_ completion: Completion, job: String, now: Instant) throws {
        if let blob = completion.stateBlob {
            try saveState(job: job, blob, fence: completion.fence, now: now)
        }
        if let breaker = completion.breaker { try record(breaker, of: job, now: now) }
        if !completion.enqueues.isEmpty { _ = try enqueue(completion.enqueues, now: now) }
    }
}

extension Ledger {
    func saveState(job: String, _ state: Completion.StateWrite, fence: Int64, now: Instant) throws {
        try connection.run("""
            INSERT INTO \(schema)state_blobs (job, version, bytes, updated_at) VALUES (?, ?, ?, ?)
            ON CONFLICT (job) DO UPDATE SET version = excluded.version, bytes = excluded.bytes,
                updated_at = excluded.updated_at
            """, [.text(job), .int(Int64(state.version)), .bytes(state.bytes), .int(now.stored)])
    }
}

/// What a call's completions leave in a job's row.
struct JobEnd {
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

/// Ends attempts, guarded by their fence.
private struct AttemptEnder<Statement: SQLStatement> {
    private let find: Statement
    private let update: Statement
    private let updateUnseen: Statement

    init<Book: Ledger>(_ ledger: Book) throws where Book.Connection.Statement == Statement {
        let (connection, schema) = (ledger.connection, ledger.schema)
        // Not RETURNING: it builds a table for each row, and this is the hottest statement.
        find = try connection.prepare("""
            SELECT job, attempt, priority, available_at FROM \(schema)runs WHERE id = ? AND fence = ? AND \(StateSQL.running)
            """)
        update = try connection.prepare("""
            UPDATE \(schema)runs SET state = ?, outcome = coalesce(?, outcome), started_at = ?, finished_at = ?,
                available_at = ?, rank = ?, attempt = ?, pid = ?, library_hash = ?, reason = ?, code = ?, items = ?,
                cpu_us = ?, lease_until = NULL
            WHERE id = ?
            """)
        updateUnseen = try connection.prepare("""
            UPDATE \(schema)runs SET state = ?, outcome = ?, started_at = ?, finished_at = ?, pid = ?, library_hash = ?,
                reason = ?, code = ?, items = ?, cpu_us = ?, lease_until = NULL
            WHERE id = ? AND fence = ? AND \(StateSQL.running)
            """)
    }

    /// nil: the attempt is not (any longer) the one of this fence, or the state is none that an
    /// attempt can end in. `attempt`: its number; nil: the run has ended with it, and it was not looked up.
    func end(_ completion: Completion) throws -> (job: String, attempt: Int64?)? {
        guard completion.state != .running else { return nil }
        guard !completion.isSelfContained else { return try endUnseen(completion) ? (completion.job, nil) : nil }
        try find.bind(completion.run.value, at: 1)
        try find.bind(completion.fence, at: 2)
        defer { find.rewind() }
        guard try find.step() else { return nil }
        let job = try find.text(0)
        let attempt = max(try find.int64(1) - (completion.countsAttempt ? 0 : 1), 0)

        // A run that is handed back was not attempted: it keeps no trace of it.
        let returned = completion.state == .available
        let ended = completion.state.isTerminal
        let available = ended ? nil : completion.availableAt
        let availableAt = Instant(microseconds: try available?.microseconds ?? find.int64(3))
        try update.bind(completion.state.rawValue, at: 1)
        try update.bind(returned ? nil : completion.outcome.rawValue, at: 2)
        try update.bind(returned ? nil : completion.startedAt.stored, at: 3)
        try update.bind(ended ? completion.finishedAt.stored : nil, at: 4)
        try update.bind(availableAt.stored, at: 5)
        try update.bind(Rank.of(availableAt: availableAt, priority: find.count(2)), at: 6)
        try update.bind(attempt, at: 7)
        try bindTrace(of: completion, to: update, from: 8)
        try update.bind(completion.run.value, at: 14)
        try update.runAgain()
        return (job, attempt)
    }

    /// Most ends by far: what has changed of the row, without a look at the rest.
    private func endUnseen(_ completion: Completion) throws -> Bool {
        try updateUnseen.bind(completion.state.rawValue, at: 1)
        try updateUnseen.bind(completion.outcome.rawValue, at: 2)
        try updateUnseen.bind(completion.startedAt.stored, at: 3)
        try updateUnseen.bind(completion.finishedAt.stored, at: 4)
        try bindTrace(of: completion, to: updateUnseen, from: 5)
        try updateUnseen.bind(completion.run.value, at: 11)
        try updateUnseen.bind(completion.fence, at: 12)
        return try updateUnseen.runAgain() == 1
    }

    /// The six columns that say what an attempt was: pid, library_hash, reason, code, items, cpu_us.
    private func bindTrace(of completion: Completion, to statement: Statement, from first: Int) throws {
        try statement.bind(Int64(completion.pid), at: first)
        try statement.bind(completion.libraryHash, at: first + 1)
        try statement.bind(completion.reason, at: first + 2)
        try statement.bind(Int64(completion.code), at: first + 3)
        try statement.bind(Int64(clamping: completion.items), at: first + 4)
        try statement.bind(completion.cpu.microseconds, at: first + 5)
    }
}
