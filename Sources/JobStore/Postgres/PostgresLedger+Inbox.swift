import JobCore
import SQL

// Enqueued runs: those of this program, and what other programs put into the inbox. What came in is claimed in
// the transaction that takes it, as far as somebody may run it now: it costs one commit, and its row is written
// once instead of twice.

extension PostgresLedger {
    func enqueue(_ requests: [NewRun], now: Instant) throws -> [(run: RunRecord, inserted: Bool)] {
        guard !requests.isEmpty else { return [] }
        let runs = zip(requests, try allocate("run", requests.count)).map { request, id in
            Self.record(of: request, id: RunID(id), availableAt: request.fireTime, now: now)
        }
        let results = try insertOrFind(runs, now: now)
        if results.contains(where: \.inserted) { try hint() }
        return results
    }

    /// The other hosts hear of it when this transaction has committed.
    private func hint() throws {
        if session.notifies { try connection.send("SELECT \(schema)hint()", []) }
    }

    func insertOrFind(_ runs: [RunRecord], now: Instant) throws -> [(run: RunRecord, inserted: Bool)] {
        guard !runs.isEmpty else { return [] }
        var inserted = try insert(runs, now: now)
        if inserted.count == runs.count { return runs.map { ($0, true) } }
        var others: [RunID: RunRecord] = [:]
        func isLeft(_ run: RunRecord) -> Bool { !inserted.contains(run.id) && others[run.id] == nil }
        // What kept them out may end between two statements.
        for _ in 0..<3 {
            var over: [RunID: RunRecord] = [:]
            for run in runs.filter(isLeft) {
                guard let other = try liveRun(likewise: run) else { continue }
                if try isOver(other, now: now) { over[other.id] = other } else { others[run.id] = other }
            }
            try expireInOrder(over.values.sorted { $0.id < $1.id }, now: now)
            try inserted.formUnion(insert(runs.filter(isLeft), now: now))
        }
        return try runs.map { run in
            if inserted.contains(run.id) { return (run, true) }
            guard let other = others[run.id] else { throw StoreError(.broken, "a run of \(run.job) could not be inserted") }
            return (other, false)
        }
    }

    /// Their rows are locked before the first of them is written, by their numbers: two that take the places of the same
    /// runs then wait for each other one after the other, whatever the order of what they enqueue.
    private func expireInOrder(_ runs: [RunRecord], now: Instant) throws {
        guard !runs.isEmpty else { return }
        try connection.run(
            "SELECT FROM \(schema)runs WHERE id = ANY (?::bigint[]) ORDER BY id FOR UPDATE", [.text(PostgresArray(runs.map(\.id.value)).value)])
        try expire(runs, now: now)
    }

    /// Returns those that no live run kept out.
    private func insert(_ runs: [RunRecord], now: Instant) throws -> Set<RunID> {
        guard !runs.isEmpty else { return [] }
        let statement = try connection.prepare("""
            INSERT INTO \(schema)runs (id, job, trigger, state, fire_time, available_at, rank, max_attempts, priority,
                unique_key, idempotency_key, retry_of, payload, expires_at, created_at, attempt)
            SELECT *, ?15, 0 FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::bigint[],
                ?7::bigint[], ?8::bigint[], ?9::bigint[], ?10::text[], ?11::text[], ?12::bigint[], ?13::text[], ?14::bigint[])
                AS u (id, job, trigger, state, fire, available, rank, max_attempts, priority, key, cause, retry_of, payload, expires)
            ORDER BY \(Self.orderOfKeys)
            ON CONFLICT DO NOTHING RETURNING id
            """)
        try statement.bind(Self.columns(of: runs), from: 1)
        try statement.bind(now.stored, at: 15)
        defer { statement.reset() }
        var inserted: Set<RunID> = []
        while try statement.step() { inserted.insert(RunID(try statement.int64(0))) }
        return inserted
    }

    /// Two that insert the same unique keys then wait for each other one after the other, not in a circle.
    private static let orderOfKeys = "u.job, u.key, u.id"

    private static func columns(of runs: [RunRecord]) -> PostgresColumns {
        var columns = PostgresColumns(14)
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
            columns[13].append(run.expiresAt.stored)
        }
        return columns
    }

    // MARK: Inbox

    func drainInbox(jobs: [String: InboxRule], limit: Int, now: Instant) throws -> InboxResult {
        try demandFormat()
        // What came now would wait here until it is now by a clock that is ahead.
        try demandClock(now)
        let arrivals = try takeArrivals(InboxTake(jobs: jobs, limit: limit), now: now)
        var result = arrivals.result
        result.runs = try insertOrFind(arrivals.runs, now: now).filter(\.inserted).map(\.run)
        if !result.runs.isEmpty { try hint() }
        return result
    }

    /// A row that another host is at is left to it, and so is one whose job only others know.
    func takeArrivals(_ take: InboxTake, now: Instant) throws -> Arrivals {
        try read(askForArrivals(take), take, now: now)
    }

    func askForArrivals(_ take: InboxTake) throws -> PostgresStatement {
        let rows = try connection.prepare("""
            SELECT i.*, nextval('\(schema)run_ids') FROM (
                SELECT \(InboxRow.columns) FROM \(schema)enqueue_inbox
                WHERE refused IS NULL AND (job = ANY (?::text[]) OR NOT EXISTS (
                    SELECT FROM \(schema)definitions d JOIN \(schema)hosts h ON h.name = d.host AND h.lease_until > \(Self.clock)
                    WHERE d.job = enqueue_inbox.job))
                ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED) i
            """)
        try rows.bind([.text(PostgresArray(take.jobs.keys.sorted()).value), .int(max(take.limit, 0))])
        try rows.send()
        return rows
    }

    /// What `asked` has found leaves the inbox.
    func read(_ asked: PostgresStatement, _ take: InboxTake, now: Instant) throws -> Arrivals {
        defer { asked.reset() }
        var rows: [(row: InboxRow, id: RunID)] = []
        while try asked.step() { rows.append((row: try InboxRow(asked, take.jobs, now, valid: true), id: RunID(try asked.int64(8)))) }
        var arrivals = Arrivals()
        arrivals.result.mayHaveMore = rows.count >= take.limit
        var taken: [Int64] = []
        for (row, id) in rows {
            guard let reason = Self.refusal(row, take.jobs, now) else {
                arrivals.runs.append(Self.record(of: row.request, id: id, availableAt: row.request.fireTime, now: now))
                taken.append(row.id)
                continue
            }
            try refuse(row, reason)
            arrivals.result.refused.append((id: row.id, job: row.request.job, reason: reason))
        }
        guard !taken.isEmpty else { return arrivals }
        try connection.send("DELETE FROM \(schema)enqueue_inbox WHERE id = ANY (?::bigint[])", [.text(PostgresArray(taken).value)])
        return arrivals
    }

    /// Inserts what has arrived: claimed already as far as `rooms` allow it, best first. The caller holds the locks of
    /// the job rows, and nothing else of these jobs waits.
    func insert(
        _ arrivals: Arrivals, claimingUpTo rooms: [String: Int], limits: [String: WaitingLimit], owner: Owner, now: Instant
    ) throws -> (claimed: [(rank: Int64, run: ClaimedRun)], inbox: InboxResult) {
        let parts = arrivals.parts(for: rooms, now: now)
        let late = try insertOrFind(parts.late, now: now).filter(\.inserted).map(\.run)
        let fences = try insertClaimed(parts.claimed.map(\.run), limits: limits, owner: owner, now: now)
        // Those that a live run of their key kept out, most likely.
        let waiting = parts.waiting + parts.claimed.map(\.run).filter { fences[$0.id] == nil }
        var inbox = arrivals.result
        inbox.runs = try late + insertOrFind(waiting, now: now).filter(\.inserted).map(\.run)
        if !inbox.runs.isEmpty { try hint() }
        return (parts.claimed.compactMap { rank, run in fences[run.id].map { (rank, ClaimedRun(run, fence: $0)) } }, inbox)
    }

    /// The fences of those that no live run kept out; ascending in the order of `runs`, which is that of their starts.
    private func insertClaimed(_ runs: [RunRecord], limits: [String: WaitingLimit], owner: Owner, now: Instant) throws -> [RunID: Int64] {
        guard !runs.isEmpty else { return [:] }
        var idempotent = PostgresColumns(2)
        for (job, limit) in limits.sorted(by: { $0.key < $1.key }) {
            idempotent[0].append(job)
            idempotent[1].append(limit.isIdempotent.stored)
        }
        let statement = try connection.prepare("""
            WITH u AS MATERIALIZED (
                SELECT a.*, nextval('\(schema)fences') AS fence FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::text[],
                    ?5::bigint[], ?6::bigint[], ?7::bigint[], ?8::bigint[], ?9::bigint[], ?10::text[], ?11::text[], ?12::bigint[],
                    ?13::text[], ?14::bigint[])
                    AS a (id, job, trigger, state, fire, available, rank, max_attempts, priority, key, cause, retry_of, payload, expires)
            )
            INSERT INTO \(schema)runs (id, job, trigger, state, fire_time, available_at, rank, max_attempts, priority,
                unique_key, idempotency_key, retry_of, payload, expires_at, created_at, attempt, fence, owner, epoch, lease_until,
                generation, idempotent)
            SELECT id, u.job, trigger, 'running', fire, available, rank, max_attempts, priority, key, cause, retry_of, payload,
                expires, ?15, 1, fence, ?16, ?17, \(Self.clock) + ?18, ?19, w.idempotent
            FROM u JOIN unnest(?20::text[], ?21::bigint[]) AS w (job, idempotent) ON w.job = u.job
            ORDER BY \(Self.orderOfKeys)
            ON CONFLICT DO NOTHING RETURNING id, fence
            """)
        try statement.bind(Self.columns(of: runs), from: 1)
        try statement.bind(now.stored, at: 15)
        try statement.bind(owner.host, at: 16)
        try statement.bind(owner.epoch, at: 17)
        try statement.bind(Lease.first.microseconds, at: 18)
        try statement.bind(limits.first?.value.generation ?? 0, at: 19)
        try statement.bind(idempotent, from: 20)
        defer { statement.reset() }
        var fences: [RunID: Int64] = [:]
        while try statement.step() { fences[RunID(try statement.int64(0))] = try statement.int64(1) }
        return fences
    }
}
