import JobCore
import SQL

// Claims of fires and of waiting runs, a batch in a statement.

extension PostgresLedger {
    /// Claims that leave no ranges behind are written together; each job once in a statement, so
    /// that its claims are made in their order.
    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) throws -> [ClaimedRun?] {
        try demandLease(owner)
        var results: [ClaimedRun?] = Array(repeating: nil, count: claims.count)
        var rest = Array(claims.indices)
        while !rest.isEmpty {
            var jobs: Set<String> = []
            let round = rest.filter { jobs.insert(claims[$0].job).inserted }
            rest.removeAll { round.contains($0) }
            let plain = round.filter { claims[$0].ranges.isEmpty }
            for (i, run) in zip(plain, try claimTogether(plain.map { claims[$0] }, owner, now)) { results[i] = run }
            let others = round.filter { !claims[$0].ranges.isEmpty }
            let made = try claimOneByOne(others.map { claims[$0] }, owner: owner, now: now)
            for (i, run) in zip(others, made) { results[i] = run }
        }
        return results
    }

    private func claimTogether(_ claims: [FireClaim], _ owner: Owner, _ now: Instant) throws -> [ClaimedRun?] {
        guard !claims.isEmpty else { return [] }
        // In the order of their names, as every host locks them.
        try connection.run(
            "SELECT FROM \(schema)job_states WHERE job = ANY (?::text[]) ORDER BY job FOR UPDATE",
            [.text(PostgresArray(claims.map(\.job)).value)])
        var columns = PostgresColumns(13)
        for (i, claim) in claims.enumerated() {
            columns[0].append(Int64(i))
            columns[1].append(claim.job)
            columns[2].append(claim.trigger.rawValue)
            columns[3].append(claim.fireTime.stored)
            columns[4].append(claim.expectedCursor.stored)
            columns[5].append(claim.newCursor.stored)
            columns[6].append(claim.scheduleText)
            columns[7].append(Rank.of(availableAt: claim.fireTime, priority: claim.priority))
            columns[8].append(claim.waits ? nil : (claim.leaseUntil - now).microseconds)
            columns[9].append(Int64(claim.maxAttempts))
            columns[10].append(Int64(claim.priority))
            columns[11].append(claim.generation)
            columns[12].append(IdempotencyKey.fire(job: claim.job, at: claim.fireTime))
        }
        let statement = try connection.prepare(Self.claimFiresSQL(schema))
        try statement.bind(columns, from: 1)
        try statement.bind(owner.host, at: 14)
        try statement.bind(owner.epoch, at: 15)
        try statement.bind(now.stored, at: 16)
        defer { statement.reset() }
        var made: [String: (id: RunID, fence: Int64)] = [:]
        while try statement.step() { made[try statement.text(0)] = (RunID(try statement.int64(1)), try statement.int64(2)) }
        return claims.map { claim in
            guard let (id, fence) = made[claim.job] else { return nil }
            return ClaimedRun(
                id: id, job: claim.job, trigger: claim.trigger, fireTime: claim.fireTime,
                attempt: claim.waits ? 0 : 1, maxAttempts: claim.maxAttempts, fence: fence, priority: claim.priority,
                idempotencyKey: IdempotencyKey.fire(job: claim.job, at: claim.fireTime), payload: [])
        }
    }

    /// The cursor's compare-and-set, and the run of whoever won it. A run that waits has no lease.
    private static func claimFiresSQL(_ schema: String) -> String {
        """
        WITH c AS (
            SELECT * FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::bigint[], ?5::bigint[], ?6::bigint[], ?7::text[],
                ?8::bigint[], ?9::bigint[], ?10::bigint[], ?11::bigint[], ?12::bigint[], ?13::text[])
                AS t (i, job, trigger, fire, expected, next, schedule, rank, lease, max_attempts, priority, generation, key)
        ), moved AS (
            UPDATE \(schema)job_states s SET cursor = c.next, schedule = c.schedule, open_range = NULL
            FROM c WHERE s.job = c.job AND s.cursor IS NOT DISTINCT FROM c.expected
            RETURNING s.job
        ), made AS (
            INSERT INTO \(schema)job_states (job, cursor, schedule)
            SELECT job, next, schedule FROM c WHERE expected IS NULL AND job NOT IN (SELECT job FROM moved)
            ON CONFLICT DO NOTHING RETURNING job
        ), numbered AS (
            SELECT c.*, nextval('\(schema)run_ids') AS id, nextval('\(schema)fences') AS fence
            FROM (SELECT * FROM c WHERE job IN (SELECT job FROM moved UNION ALL SELECT job FROM made) ORDER BY i) c
        )
        INSERT INTO \(schema)runs AS r (id, job, trigger, state, fire_time, available_at, rank, created_at, lease_until,
            attempt, max_attempts, priority, fence, owner, epoch, generation, idempotency_key)
        SELECT id, job, trigger, CASE WHEN lease IS NULL THEN 'available' ELSE 'running' END, fire, fire, rank, ?16,
            \(clock) + lease, CASE WHEN lease IS NULL THEN 0 ELSE 1 END, max_attempts, priority,
            CASE WHEN lease IS NULL THEN 0 ELSE fence END, CASE WHEN lease IS NULL THEN '' ELSE ?14 END,
            CASE WHEN lease IS NULL THEN '' ELSE ?15 END, generation, key
        FROM numbered
        ON CONFLICT DO NOTHING
        RETURNING r.job, r.id, r.fence
        """
    }

    // MARK: Waiting runs

    func claimWaiting(limits: [String: Int], owner: Owner, now: Instant) throws -> [ClaimedRun] {
        try demandLease(owner)
        // Of rows that another host is at, the next ones are taken.
        try connection.run("""
            UPDATE \(schema)runs SET state = 'available' WHERE id IN (
                SELECT id FROM \(schema)runs WHERE \(StateSQL.later) AND available_at <= ? ORDER BY available_at LIMIT 2000
                FOR UPDATE SKIP LOCKED)
            """, [.int(now.stored)])
        var columns = PostgresColumns(2)
        for (job, limit) in limits.sorted(by: { $0.key < $1.key }) where limit > 0 {
            columns[0].append(job)
            columns[1].append(Int64(limit))
        }
        let statement = try connection.prepare("""
            WITH picked AS (
                SELECT r.id, r.rank FROM unnest(?1::text[], ?2::bigint[]) AS w (job, most)
                CROSS JOIN LATERAL (
                    SELECT id, rank FROM \(schema)runs
                    WHERE \(StateSQL.ready) AND job = w.job AND available_at <= ?3
                    ORDER BY rank, id LIMIT w.most FOR UPDATE SKIP LOCKED) r
            ), numbered AS (
                SELECT id, nextval('\(schema)fences') AS fence FROM (SELECT id FROM picked ORDER BY rank, id) p
            )
            UPDATE \(schema)runs r SET state = 'running', attempt = attempt + 1, fence = n.fence, owner = ?4, epoch = ?5,
                lease_until = \(Self.clock) + ?6, started_at = NULL, reason = '', code = 0
            FROM numbered n WHERE r.id = n.id
            RETURNING r.rank, r.id, r.trigger, r.fire_time, r.attempt, r.max_attempts, r.priority, r.idempotency_key, r.payload,
                r.job, r.fence
            """)
        try statement.bind(columns, from: 1)
        try statement.bind(now.stored, at: 3)
        try statement.bind(owner.host, at: 4)
        try statement.bind(owner.epoch, at: 5)
        try statement.bind(Lease.first.microseconds, at: 6)
        defer { statement.reset() }
        var found: [(rank: Int64, run: ClaimedRun)] = []
        while try statement.step() {
            let run = ClaimedRun(
                id: RunID(try statement.int64(1)), job: try statement.text(9), trigger: try statement.word(2),
                fireTime: try statement.instant(3), attempt: try statement.count(4), maxAttempts: try statement.count(5),
                fence: try statement.int64(10), priority: try statement.count(6), idempotencyKey: try statement.text(7),
                payload: try statement.bytes(8))
            found.append((try statement.int64(0), run))
        }
        return found.sorted { ($0.rank, $0.run.id) < ($1.rank, $1.run.id) }.map(\.run)
    }

    func releaseClaims(_ runs: [RunID], owner: Owner, now: Instant) throws {
        guard !runs.isEmpty else { return }
        try connection.run("""
            UPDATE \(schema)runs SET state = CASE WHEN available_at > ? THEN 'scheduled' ELSE 'available' END,
                attempt = greatest(attempt - 1, 0), lease_until = NULL
            WHERE id = ANY (?::bigint[]) AND \(StateSQL.running) AND owner = ? AND epoch = ?
            """, [.int(now.stored), .text(PostgresArray(runs.map(\.value)).value), .text(owner.host), .text(owner.epoch)])
    }
}
