import JobCore
import SQL

@testable import JobStore

/// A host of format 9, the oldest beside which format 10 says that it may serve: the statements that such a program
/// executes, word by word. They are never changed, whatever becomes of the store's own.
final class Format9Host {
    let owner: Owner
    private let connection: PostgresConnection
    private static let clock = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

    struct Claim: Hashable {
        var id: Int64
        var fence: Int64
    }

    init(_ owner: Owner, _ connection: PostgresConnection) {
        self.owner = owner
        self.connection = connection
    }

    func close() { connection.close() }

    private func transaction<Value>(_ jobs: [String] = [], runs: [Int64] = [], _ body: () throws -> Value) throws -> Value {
        try connection.transaction(.rowLocks) {
            if !jobs.isEmpty || !runs.isEmpty {
                try connection.run("""
                    SELECT FROM job_states WHERE job IN (
                        SELECT unnest(?::text[]) UNION SELECT job FROM runs WHERE id = ANY (?::bigint[]))
                    ORDER BY job FOR UPDATE
                    """, [.text(PostgresArray(jobs).value), .text(PostgresArray(runs).value)])
            }
            return try body()
        }
    }

    // MARK: Leases

    func enter() throws {
        try transaction {
            try connection.run("SELECT place FROM hosts WHERE name = ? FOR UPDATE", [.text(owner.host)])
            let entered = try connection.run("""
                INSERT INTO hosts AS h (name, epoch, place, lease_until, seen_at, skew_us, since_at, version, labels)
                VALUES (?1, ?2, ?3, \(Self.clock) + ?4, \(Self.clock), ?5 - \(Self.clock), \(Self.clock), ?6, ?7)
                ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, place = excluded.place,
                    lease_until = excluded.lease_until, seen_at = excluded.seen_at, skew_us = excluded.skew_us,
                    since_at = excluded.since_at, version = excluded.version, labels = excluded.labels
                WHERE h.lease_until <= \(Self.clock) OR h.place = excluded.place
                """, [
                    .text(owner.host), .text(owner.epoch), .text("there"), .int(Duration.seconds(60).microseconds),
                    .int(try now()), .text("0.9"), .text(""),
                ])
            guard entered == 1 else { throw StoreError(.held, owner.host) }
        }
    }

    /// false: another has its name, or its row is gone.
    func renew() throws -> Bool {
        try transaction {
            try connection.first("""
                UPDATE hosts SET lease_until = \(Self.clock) + ?1, seen_at = \(Self.clock), skew_us = ?2 - \(Self.clock)
                WHERE name = ?3 AND epoch = ?4 RETURNING skew_us
                """, [.int(Duration.seconds(60).microseconds), .int(try now()), .text(owner.host), .text(owner.epoch)]) { try $0.int64(0) } != nil
        }
    }

    private func now() throws -> Int64 { try connection.first("SELECT \(Self.clock)") { try $0.int64(0) } ?? 0 }

    private func hasLease() throws -> Bool {
        try connection.first("""
            SELECT skew_us, \(Self.clock) FROM hosts WHERE name = ? AND epoch = ? AND lease_until > \(Self.clock)
            """, [.text(owner.host), .text(owner.epoch)]) { _ in } != nil
    }

    func abandonedRuns() throws -> [Int64] {
        try connection.rows("""
            SELECT id FROM runs r
            WHERE state = 'running' AND owner <> ?
                AND NOT EXISTS (SELECT FROM hosts h WHERE h.name = r.owner AND h.lease_until > \(Self.clock))
            ORDER BY id LIMIT 1000
            """, [.text(owner.host)]) { try $0.int64(0) }
    }

    // MARK: Claims

    func claimFire(_ claim: FireClaim, now: Instant) throws -> Claim? {
        try transaction([claim.job]) {
            guard try hasLease() else { return nil }
            if let room = claim.room, try running(claim.job) >= room { return nil }
            var columns = PostgresColumns(14)
            columns[0].append(Int64(0))
            columns[1].append(claim.job)
            columns[2].append(claim.trigger.rawValue)
            columns[3].append(claim.fireTime.stored)
            columns[4].append(claim.expectedCursor.stored)
            columns[5].append(claim.newCursor.stored)
            columns[6].append(claim.scheduleText)
            columns[7].append(Rank.of(availableAt: claim.fireTime, priority: claim.priority))
            columns[8].append((claim.leaseUntil - now).microseconds)
            columns[9].append(Int64(claim.maxAttempts))
            columns[10].append(Int64(claim.priority))
            columns[11].append(claim.generation)
            columns[12].append(IdempotencyKey.fire(job: claim.job, at: claim.fireTime))
            columns[13].append(Int64?.none)
            let statement = try connection.prepare(Self.claimFires)
            try statement.bind(columns, from: 1)
            try statement.bind(owner.host, at: 15)
            try statement.bind(owner.epoch, at: 16)
            try statement.bind(now.stored, at: 17)
            defer { statement.reset() }
            return try statement.step() ? Claim(id: statement.int64(1), fence: statement.int64(2)) : nil
        }
    }

    /// On other hosts.
    private func running(_ job: String) throws -> Int64 {
        try connection.first("""
            SELECT j.job, (SELECT count(*) FROM runs r
                WHERE r.state = 'running' AND r.job = j.job AND (r.owner <> ? OR r.epoch <> ?)),
                greatest(s.last_finished, (SELECT max(e.finished_at) FROM job_ends e WHERE e.job = j.job)),
                w.waiting, w.on_time
            FROM unnest(?::text[]) AS j (job) LEFT JOIN job_states s ON s.job = j.job
            CROSS JOIN LATERAL (
                SELECT count(*) AS waiting, count(*) FILTER (WHERE r.trigger = 'schedule') AS on_time FROM runs r
                WHERE r.job = j.job AND r.trigger IN ('schedule', 'catch_up') AND r.finished_at IS NULL
                    AND r.state IN ('scheduled', 'available', 'retryable') AND r.attempt = 0) w
            """, [.text(owner.host), .text(owner.epoch), .text(PostgresArray([job]).value)]) { try $0.int64(1) } ?? 0
    }

    private static let claimFires = """
        WITH c AS (
            SELECT * FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::bigint[], ?5::bigint[], ?6::bigint[], ?7::text[],
                ?8::bigint[], ?9::bigint[], ?10::bigint[], ?11::bigint[], ?12::bigint[], ?13::text[], ?14::bigint[])
                AS t (i, job, trigger, fire, expected, next, schedule, rank, lease, max_attempts, priority, generation, key, idempotent)
        ), moved AS (
            UPDATE job_states s SET cursor = c.next, schedule = c.schedule, open_range = NULL
            FROM c WHERE s.job = c.job AND s.cursor IS NOT DISTINCT FROM c.expected
            RETURNING s.job
        ), made AS (
            INSERT INTO job_states (job, cursor, schedule)
            SELECT job, next, schedule FROM c WHERE expected IS NULL AND job NOT IN (SELECT job FROM moved)
            ON CONFLICT DO NOTHING RETURNING job
        ), numbered AS (
            SELECT c.*, nextval('run_ids') AS id, nextval('fences') AS fence
            FROM (SELECT * FROM c WHERE job IN (SELECT job FROM moved UNION ALL SELECT job FROM made) ORDER BY i) c
        )
        INSERT INTO runs AS r (id, job, trigger, state, fire_time, available_at, rank, created_at, lease_until,
            attempt, max_attempts, priority, fence, owner, epoch, generation, idempotency_key,
            idempotent)
        SELECT id, job, trigger, CASE WHEN lease IS NULL THEN 'available' ELSE 'running' END, fire, fire, rank, ?17,
            \(clock) + lease, CASE WHEN lease IS NULL THEN 0 ELSE 1 END, max_attempts, priority,
            CASE WHEN lease IS NULL THEN 0 ELSE fence END, CASE WHEN lease IS NULL THEN '' ELSE ?15 END,
            CASE WHEN lease IS NULL THEN '' ELSE ?16 END, generation, key, idempotent
        FROM numbered
        ON CONFLICT DO NOTHING
        RETURNING r.job, r.id, r.fence
        """

    /// Of what waits. `room`: attempts of the job on all hosts together.
    func claimWaiting(_ job: String, most: Int, room: Int? = nil, now: Instant) throws -> [Claim] {
        try transaction([job]) {
            guard try hasLease() else { return [] }
            try connection.run("""
                UPDATE runs SET state = 'available' WHERE id IN (
                    SELECT id FROM runs WHERE state IN ('scheduled', 'retryable') AND available_at <= ? ORDER BY available_at LIMIT 2000
                    FOR UPDATE SKIP LOCKED)
                """, [.int(now.stored)])
            let statement = try connection.prepare(Self.claimReady)
            var columns = PostgresColumns(4)
            columns[0].append(job)
            columns[1].append(Int64(most))
            columns[2].append(room.map(Int64.init))
            columns[3].append(Int64?.none)
            try statement.bind(columns, from: 1)
            try statement.bind(owner.host, at: 5)
            try statement.bind(owner.epoch, at: 6)
            try statement.bind(now.stored, at: 7)
            try statement.bind(Lease.first.microseconds, at: 8)
            try statement.bind(Int64(7), at: 9)
            defer { statement.reset() }
            var claims: [Claim] = []
            while try statement.step() { claims.append(Claim(id: try statement.int64(1), fence: try statement.int64(10))) }
            return claims
        }
    }

    private static let claimReady = """
        WITH wanted AS MATERIALIZED (
            SELECT w.job, w.idempotent, CASE WHEN w.room IS NULL OR o.running = 0 THEN w.most
                ELSE least(w.most, greatest(0, w.room - o.running)) END AS most
            FROM unnest(?1::text[], ?2::bigint[], ?3::bigint[], ?4::bigint[]) AS w (job, most, room, idempotent)
            CROSS JOIN LATERAL (
                SELECT count(*) AS running FROM runs r
                WHERE r.state = 'running' AND r.job = w.job AND (r.owner <> ?5 OR r.epoch <> ?6)) o
            WHERE true
        ), picked AS (
            SELECT r.id, r.rank, w.idempotent FROM wanted w
            CROSS JOIN LATERAL (
                SELECT id, rank FROM runs
                WHERE state = 'available' AND job = w.job AND available_at <= ?7 AND (expires_at IS NULL OR expires_at > ?7)
                ORDER BY rank, id LIMIT w.most FOR UPDATE SKIP LOCKED) r
        ), numbered AS (
            SELECT id, idempotent, nextval('fences') AS fence
            FROM (SELECT id, idempotent FROM picked ORDER BY rank, id) p
        )
        UPDATE runs r SET state = 'running', attempt = attempt + 1, fence = n.fence, owner = ?5, epoch = ?6,
            lease_until = \(clock) + ?8, generation = ?9, idempotent = n.idempotent, started_at = NULL, reason = '', code = 0,
            cancel_wanted = NULL
        FROM numbered n WHERE r.id = n.id
        RETURNING r.rank, r.id, r.trigger, r.fire_time, r.attempt, r.max_attempts, r.priority, r.idempotency_key, r.payload,
            r.job, r.fence, r.expires_at
        """

    // MARK: Ways in

    /// The numbers of those that were inserted: a live run of its key keeps one out.
    func enqueue(_ job: String, keys: [String?], now: Instant) throws -> [Int64] {
        try transaction {
            let inserted = try insert(try keys.map { key in (id: try allocate(), job: job, key: key, payload: "") }, now: now)
            if !inserted.isEmpty { try connection.run("SELECT hint()") }
            return inserted
        }
    }

    private func allocate() throws -> Int64 {
        try connection.first("SELECT nextval(?::regclass) FROM generate_series(1, ?::integer)", [.text("run_ids"), .int(1)]) { try $0.int64(0) } ?? 0
    }

    /// What comes in becomes runs that wait.
    func drainInbox(_ job: String, limit: Int, now: Instant) throws -> [Int64] {
        try transaction {
            let rows = try connection.rows("""
                SELECT i.*, nextval('run_ids') FROM (
                    SELECT id, job, payload::text, unique_key FROM enqueue_inbox
                    WHERE refused IS NULL AND (job = ANY (?::text[]) OR NOT EXISTS (
                        SELECT FROM definitions d JOIN hosts h ON h.name = d.host AND h.lease_until > \(Self.clock)
                        WHERE d.job = enqueue_inbox.job))
                    ORDER BY id LIMIT ? FOR UPDATE SKIP LOCKED) i
                """, [.text(PostgresArray([job]).value), .int(limit)]) { row in
                    (row: try row.int64(0), run: (id: try row.int64(4), job: try row.text(1), key: try row.textOrNil(3), payload: try row.textOrNil(2) ?? ""))
                }
            guard !rows.isEmpty else { return [] }
            try connection.run("DELETE FROM enqueue_inbox WHERE id = ANY (?::bigint[])", [.text(PostgresArray(rows.map(\.row)).value)])
            let inserted = try insert(rows.map(\.run), now: now)
            if !inserted.isEmpty { try connection.run("SELECT hint()") }
            return inserted
        }
    }

    private func insert(_ runs: [(id: Int64, job: String, key: String?, payload: String)], now: Instant) throws -> [Int64] {
        var columns = PostgresColumns(14)
        for run in runs {
            columns[0].append(run.id)
            columns[1].append(run.job)
            columns[2].append(Trigger.enqueued.rawValue)
            columns[3].append(RunState.available.rawValue)
            columns[4].append(now.stored)
            columns[5].append(now.stored)
            columns[6].append(Rank.of(availableAt: now, priority: 0))
            columns[7].append(Int64(4))
            columns[8].append(Int64(0))
            columns[9].append(run.key)
            columns[10].append(run.key ?? "\(run.id)")
            columns[11].append(Int64?.none)
            columns[12].append(run.payload)
            columns[13].append(Int64?.none)
        }
        let statement = try connection.prepare("""
            INSERT INTO runs (id, job, trigger, state, fire_time, available_at, rank, max_attempts, priority,
                unique_key, idempotency_key, retry_of, payload, expires_at, created_at, attempt)
            SELECT *, ?15, 0 FROM unnest(?1::bigint[], ?2::text[], ?3::text[], ?4::text[], ?5::bigint[], ?6::bigint[],
                ?7::bigint[], ?8::bigint[], ?9::bigint[], ?10::text[], ?11::text[], ?12::bigint[], ?13::text[], ?14::bigint[])
                AS u (id, job, trigger, state, fire, available, rank, max_attempts, priority, key, cause, retry_of, payload, expires)
            ORDER BY u.job, u.key, u.id
            ON CONFLICT DO NOTHING RETURNING id
            """)
        try statement.bind(columns, from: 1)
        try statement.bind(now.stored, at: 15)
        defer { statement.reset() }
        var inserted: [Int64] = []
        while try statement.step() { inserted.append(try statement.int64(0)) }
        return inserted
    }

    // MARK: Ends

    /// false: refused, since the run has ended or is another attempt's by now.
    func end(_ claim: Claim, _ outcome: Outcome = .succeeded, _ state: RunState = .succeeded, at instant: Instant) throws -> Bool {
        try transaction(runs: [claim.id]) {
            var columns = PostgresColumns(14)
            columns[0].append(claim.id)
            columns[1].append(claim.fence)
            columns[2].append(state.rawValue)
            columns[3].append(outcome.rawValue)
            columns[4].append(instant.stored)
            columns[5].append(state.isTerminal ? instant.stored : nil)
            columns[6].append(state.isTerminal ? nil : instant.stored)
            for zero in [7, 8, 11, 12, 13] { columns[zero].append(Int64(0)) }
            for empty in [9, 10] { columns[empty].append("") }
            let statement = try connection.prepare("""
                UPDATE runs r SET state = c.state, outcome = coalesce(c.outcome, r.outcome), started_at = c.started,
                    finished_at = c.finished, available_at = coalesce(c.available, r.available_at),
                    rank = coalesce(c.available, r.available_at)
                        - least(greatest(r.priority, -1000000), 1000000) * 60000000,
                    attempt = greatest(r.attempt - c.uncounted, 0), pid = c.pid, library_hash = c.hash, reason = c.reason,
                    code = c.code, items = c.items, cpu_us = c.cpu, lease_until = NULL
                FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[],
                    ?::integer[], ?::text[], ?::text[], ?::integer[], ?::bigint[], ?::bigint[])
                    AS c (id, fence, state, outcome, started, finished, available, uncounted, pid, hash, reason, code, items, cpu)
                WHERE r.id = c.id AND r.fence = c.fence AND r.state = 'running'
                RETURNING r.id, r.job, r.attempt, r.fence
                """)
            try statement.bind(columns, from: 1)
            guard try statement.step() else {
                statement.reset()
                return false
            }
            let job = try statement.text(1)
            statement.reset()
            try connection.run("""
                INSERT INTO job_ends AS e (job, host, finished_at, outcome)
                SELECT job, ?4, finished, outcome FROM unnest(?1::text[], ?2::bigint[], ?3::text[]) AS t (job, finished, outcome)
                ON CONFLICT (job, host) DO UPDATE SET finished_at = excluded.finished_at, outcome = excluded.outcome
                    WHERE e.finished_at <= excluded.finished_at
                """, [
                    .text(PostgresArray([job]).value), .text(PostgresArray([instant.stored]).value),
                    .text(PostgresArray([outcome.rawValue]).value), .text(owner.host),
                ])
            try connection.run("""
                INSERT INTO counters AS c (job, name, value, host)
                SELECT job, name, value, ? FROM unnest(?::text[], ?::text[], ?::bigint[]) AS t (job, name, value)
                ON CONFLICT (job, name, host) DO UPDATE SET value = c.value + excluded.value
                """, [
                    .text(owner.host), .text(PostgresArray([job]).value), .text(PostgresArray([outcome.rawValue]).value),
                    .text(PostgresArray([Int64(1)]).value),
                ])
            return true
        }
    }
}
