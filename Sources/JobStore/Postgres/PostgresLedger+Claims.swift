import JobCore
import SQL

// Claims of fires and of waiting runs, a batch in a statement.

extension PostgresLedger {
    /// Claims that leave no ranges behind are written together; each job once in a statement, so
    /// that its claims are made in their order. The caller holds the locks of the job rows.
    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) throws -> [ClaimedRun?] {
        let lease = try askForLease(owner)
        let elsewhere = try askElsewhere(claims, owner)
        try demandLease(lease)
        try demandClock(now, upTo: claims.map { max($0.fireTime, $0.newCursor) }.max())
        let claims = try besideOthers(claims, elsewhere, now)
        // Behind what says who runs elsewhere: a state is at least as new as that.
        let states = try askForStates(newerThan: claims.reduce(into: [:]) { $0[$1.claim.job] = $1.claim.stateFence })
        var results: [ClaimedRun?] = Array(repeating: nil, count: claims.count)
        var rest = claims.indices.filter { claims[$0].verdict != .refused }
        while !rest.isEmpty {
            var jobs: Set<String> = []
            let round = rest.filter { jobs.insert(claims[$0].claim.job).inserted }
            rest.removeAll { round.contains($0) }
            let overlaps = round.filter { claims[$0].verdict == .overlap }
            _ = try moveCursors(overlaps.map { claims[$0].claim.asOverlap }, now: now)
            let granted = round.filter { claims[$0].verdict == .granted }
            let plain = granted.filter { claims[$0].claim.ranges.isEmpty }
            for (i, run) in zip(plain, try claimTogether(plain.map { claims[$0].claim }, owner, now)) { results[i] = run }
            let others = granted.filter { !claims[$0].claim.ranges.isEmpty }
            let made = try claimOneByOne(others.map { claims[$0].claim }, owner: owner, now: now)
            for (i, run) in zip(others, made) { results[i] = run }
        }
        return try addStates(states, to: results)
    }

    private enum Verdict { case granted, overlap, refused }

    /// What other hosts leave of the claims.
    private func besideOthers(
        _ claims: [FireClaim], _ asked: PostgresStatement?, _ now: Instant
    ) throws -> [(claim: FireClaim, verdict: Verdict)] {
        let elsewhere = try elsewhere(asked)
        var queued: Set<String> = []
        return claims.map { claim in
            guard let others = elsewhere[claim.job] else { return (claim, .granted) }
            if claim.isRelative {
                let isOld = others.finished.map { $0 > claim.lastFinished ?? .distantPast } ?? false
                if others.running > 0 || others.waiting > 0 || isOld { return (claim, .refused) }
            }
            guard let room = claim.room else { return (claim, .granted) }
            if claim.competesToWait {
                let theirs = others.running + max(0, others.onTime - (claim.waiting ?? 0))
                return (claim, theirs < room || claim.queuesBehind && theirs == room ? .granted : .overlap)
            }
            guard !claim.waits, others.running >= room else { return (claim, .granted) }
            guard claim.fireTime <= now else { return (claim, .refused) }
            guard claim.queuesBehind, others.waiting == 0, queued.insert(claim.job).inserted else { return (claim, .overlap) }
            var waiting = claim
            waiting.waits = true
            return (waiting, .granted)
        }
    }

    private struct Elsewhere {
        var running: Int
        var finished: Instant?
        /// Fires of the job that wait for their first attempt, on whichever host.
        var waiting: Int
        /// Those of them that were made at their time.
        var onTime: Int
    }

    /// nil: of none of them it matters.
    private func askElsewhere(_ claims: [FireClaim], _ owner: Owner) throws -> PostgresStatement? {
        let jobs = Set(claims.filter { $0.isRelative || $0.room != nil && !$0.waits || $0.competesToWait }.map(\.job)).sorted()
        guard !jobs.isEmpty else { return nil }
        let rows = try connection.prepare("""
            SELECT j.job, \(runningElsewhere(than: "?1", "?2", of: "j.job")),
                greatest(s.last_finished, (SELECT max(e.finished_at) FROM \(schema)job_ends e WHERE e.job = j.job)),
                w.waiting, w.on_time
            FROM unnest(?3::text[]) AS j (job) LEFT JOIN \(schema)job_states s ON s.job = j.job
            CROSS JOIN LATERAL (
                SELECT count(*) AS waiting, count(*) FILTER (WHERE r.trigger = 'schedule') AS on_time FROM \(schema)runs r
                WHERE r.job = j.job AND r.trigger IN ('schedule', 'catch_up') AND r.\(StateSQL.live) AND r.\(StateSQL.waiting) AND r.attempt = 0) w
            """)
        try rows.bind([.text(owner.host), .text(owner.epoch), .text(PostgresArray(jobs).value)])
        try rows.send()
        return rows
    }

    private func elsewhere(_ asked: PostgresStatement?) throws -> [String: Elsewhere] {
        guard let asked else { return [:] }
        defer { asked.reset() }
        var found: [String: Elsewhere] = [:]
        while try asked.step() {
            found[try asked.text(0)] = Elsewhere(
                running: try asked.count(1), finished: try asked.instantOrNil(2), waiting: try asked.count(3), onTime: try asked.count(4))
        }
        return found
    }

    private func claimTogether(_ claims: [FireClaim], _ owner: Owner, _ now: Instant) throws -> [ClaimedRun?] {
        guard !claims.isEmpty else { return [] }
        var columns = PostgresColumns(14)
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
            columns[13].append(claim.isIdempotent.stored)
        }
        let statement = try connection.prepare(Self.claimFiresSQL(schema))
        try statement.bind(columns, from: 1)
        try statement.bind(owner.host, at: 15)
        try statement.bind(owner.epoch, at: 16)
        try statement.bind(now.stored, at: 17)
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
                ?8::bigint[], ?9::bigint[], ?10::bigint[], ?11::bigint[], ?12::bigint[], ?13::text[], ?14::bigint[])
                AS t (i, job, trigger, fire, expected, next, schedule, rank, lease, max_attempts, priority, generation, key, idempotent)
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
    }

    // MARK: Waiting runs

    /// The caller holds the locks of the job rows.
    func claimWaiting(_ limits: [String: WaitingLimit], taking inbox: InboxTake?, owner: Owner, now: Instant) throws -> WaitingClaims {
        let lease = try askForLease(owner)
        let rates = limits.compactMapValues(\.rate)
        if !rates.isEmpty { try demandLease(lease) }
        // By the database's clock, read after the jobs' rows were locked: so one host's takes follow another's.
        let clock = rates.isEmpty ? now : try databaseClock()
        let rated = try rateRooms(rates, clock: clock)
        var offers = limits.mapValues(\.most).merging(rated.mapValues(\.room)) { min($0, $1) }.filter { $0.value > 0 }
        // Together with the lease: what is written under none is not committed.
        let asked = try inbox.map { (take: $0, rows: try askForArrivals($0), idle: try askForIdle(offers, limits, owner, now)) }
        var ready = asked == nil ? try askForReady(offers, limits, owner, now) : nil
        try demandLease(lease)
        try demandClock(now)
        var found: [(rank: Int64, run: ClaimedRun)] = []
        var taken = InboxResult()
        if let asked {
            let arrivals = try read(asked.rows, asked.take, now: now)
            taken = arrivals.result
            if !arrivals.runs.isEmpty {
                let rooms = try roomsOfIdle(asked.idle)
                (found, taken) = try insert(arrivals, claimingUpTo: rooms, limits: limits, owner: owner, now: now)
                offers = offers.filter { rooms[$0.key] == nil }
            }
            ready = try askForReady(offers, limits, owner, now)
        }
        found += try readReady(ready)
        let runs = found.sorted { ($0.rank, $0.run.id) < ($1.rank, $1.run.id) }.map(\.run)
        let states = try askForStates(newerThan: runs.reduce(into: [:]) { $0[$1.job] = limits[$1.job]?.stateFence })
        let claimed = try addStates(states, to: runs).compactMap { $0 }
        let full = try noteTaken(claimed.countsByJob, of: rated, clock: clock)
        var claims = WaitingClaims(claimed.noted(in: rated), rated: full.mapValues { now + $0 }, gone: try gone(limits, of: full.keys))
        claims.inbox = taken
        return claims
    }

    /// What runs of other hosts leave of the offers that `bindOffers` binds, as SQL.
    ///
    /// Of an array whose length it does not know the server expects ten elements: so it finds a plan for one better than
    /// that for any, and makes it anew for each call, which takes ten times what the statement takes. One job comes as one
    /// row. (OFFSET 0: else it puts the counts in each of their places.)
    private func wanted(_ conditions: String = "true", ofOne isOne: Bool = false) -> String {
        let offers = isOne
            ? "(SELECT (?1::text[])[1], (?2::bigint[])[1], (?3::bigint[])[1], (?4::bigint[])[1])"
            : "unnest(?1::text[], ?2::bigint[], ?3::bigint[], ?4::bigint[])"
        return """
        SELECT w.job, w.idempotent, CASE WHEN w.room IS NULL OR o.running = 0 THEN w.most
            ELSE least(w.most, greatest(0, w.room - o.running)) END AS most
        FROM \(offers) AS w (job, most, room, idempotent)
        CROSS JOIN LATERAL (SELECT \(runningElsewhere(than: "?5", "?6", of: "w.job")) AS running OFFSET 0) o
        WHERE \(conditions)
        """
    }

    /// How many runs of a job are under way that are not of this host's life: by ranges of `runs_running`, so that what
    /// this life has claimed is not walked past.
    private func runningElsewhere(than host: String, _ epoch: String, of job: String) -> String {
        "(" + ["<", ">"].map {
            "(SELECT count(*) FROM \(schema)runs r WHERE r.\(StateSQL.running) AND r.job = \(job) AND (r.owner, r.epoch) \($0) (\(host), \(epoch)))"
        }.joined(separator: " + ") + ")"
    }

    private func bindOffers(
        _ offers: [String: Int], _ limits: [String: WaitingLimit], _ owner: Owner, to statement: PostgresStatement
    ) throws {
        var columns = PostgresColumns(4)
        for (job, most) in offers.sorted(by: { $0.key < $1.key }) {
            columns[0].append(job)
            columns[1].append(Int64(most))
            columns[2].append(limits[job]?.room.map(Int64.init))
            columns[3].append(limits[job]?.isIdempotent.stored)
        }
        try statement.bind(columns, from: 1)
        try statement.bind(owner.host, at: 5)
        try statement.bind(owner.epoch, at: 6)
    }

    /// Asks how many runs of each job may begin here; of jobs alone that have none waiting for it.
    private func askForIdle(
        _ offers: [String: Int], _ limits: [String: WaitingLimit], _ owner: Owner, _ now: Instant
    ) throws -> PostgresStatement? {
        guard !offers.isEmpty else { return nil }
        let statement = try connection.prepare(wanted("""
            NOT EXISTS (SELECT FROM \(schema)runs r WHERE r.\(StateSQL.ready) AND r.job = w.job)
                AND NOT EXISTS (SELECT FROM \(schema)runs r WHERE r.\(StateSQL.later) AND r.available_at <= ?7 AND r.job = w.job)
            """, ofOne: offers.count == 1))
        try bindOffers(offers, limits, owner, to: statement)
        try statement.bind(now.stored, at: 7)
        try statement.send()
        return statement
    }

    private func roomsOfIdle(_ asked: PostgresStatement?) throws -> [String: Int] {
        guard let asked else { return [:] }
        defer { asked.reset() }
        var rooms: [String: Int] = [:]
        while try asked.step() { rooms[try asked.text(0)] = try asked.count(2) }
        return rooms
    }

    private func askForReady(
        _ offers: [String: Int], _ limits: [String: WaitingLimit], _ owner: Owner, _ now: Instant
    ) throws -> PostgresStatement? {
        guard !offers.isEmpty else { return nil }
        // Of rows that another host is at, the next ones are taken.
        try connection.send("""
            UPDATE \(schema)runs SET state = 'available' WHERE id IN (
                SELECT id FROM \(schema)runs WHERE \(StateSQL.later) AND available_at <= ? ORDER BY available_at LIMIT 2000
                FOR UPDATE SKIP LOCKED)
            """, [.int(now.stored)])
        let statement = try connection.prepare("""
            WITH wanted AS MATERIALIZED (
                \(wanted())
            ), picked AS (
                SELECT r.id, r.rank, w.idempotent FROM wanted w
                CROSS JOIN LATERAL (
                    SELECT id, rank FROM \(schema)runs
                    WHERE \(StateSQL.ready) AND job = w.job AND available_at <= ?7 AND \(StateSQL.unexpired("?7"))
                    ORDER BY rank, id LIMIT w.most FOR UPDATE SKIP LOCKED) r
            ), numbered AS (
                SELECT id, idempotent, nextval('\(schema)fences') AS fence
                FROM (SELECT id, idempotent FROM picked ORDER BY rank, id) p
            )
            UPDATE \(schema)runs r SET state = 'running', attempt = attempt + 1, fence = n.fence, owner = ?5, epoch = ?6,
                lease_until = \(Self.clock) + ?8, generation = ?9, idempotent = n.idempotent, started_at = NULL, reason = '', code = 0,
                cancel_wanted = NULL
            FROM numbered n WHERE r.id = n.id
            RETURNING r.rank, r.id, r.trigger, r.fire_time, r.attempt, r.max_attempts, r.priority, r.idempotency_key, r.payload,
                r.job, r.fence, r.expires_at
            """)
        try bindOffers(offers, limits, owner, to: statement)
        try statement.bind(now.stored, at: 7)
        try statement.bind(Lease.first.microseconds, at: 8)
        try statement.bind(limits.first?.value.generation ?? 0, at: 9)
        try statement.send()
        return statement
    }

    private func readReady(_ asked: PostgresStatement?) throws -> [(rank: Int64, run: ClaimedRun)] {
        guard let statement = asked else { return [] }
        defer { statement.reset() }
        var found: [(rank: Int64, run: ClaimedRun)] = []
        while try statement.step() {
            var run = ClaimedRun(
                id: RunID(try statement.int64(1)), job: try statement.text(9), trigger: try statement.word(2),
                fireTime: try statement.instant(3), attempt: try statement.count(4), maxAttempts: try statement.count(5),
                fence: try statement.int64(10), priority: try statement.count(6), idempotencyKey: try statement.text(7),
                payload: try statement.bytes(8))
            run.expiresAt = try statement.instantOrNil(11)
            found.append((try statement.int64(0), run))
        }
        return found
    }

    /// The caller holds the locks of the jobs whose rates the claims may count towards.
    func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) throws {
        guard !claims.isEmpty else { return }
        let (runs, fences) = (PostgresArray(claims.map(\.run.value)), PostgresArray(claims.map(\.fence)))
        let released = try connection.rows("""
            UPDATE \(schema)runs SET state = CASE WHEN available_at > ? THEN 'scheduled' ELSE 'available' END,
                attempt = greatest(attempt - 1, 0), lease_until = NULL
            WHERE (id, fence) IN (SELECT * FROM unnest(?::bigint[], ?::bigint[])) AND \(StateSQL.running) AND owner = ? AND epoch = ?
            RETURNING id
            """, [.int(now.stored), .text(runs.value), .text(fences.value), .text(owner.host), .text(owner.epoch)]
        ) { RunID(try $0.int64(0)) }
        let ids = Set(released)
        try giveBackTaken(claims.filter { ids.contains($0.run) })
    }
}

extension FireClaim {
    /// It waits in any case, and takes a place of the job's fires: unless other hosts have them all.
    fileprivate var competesToWait: Bool {
        guard waits, trigger == .schedule, waiting != nil, let room else { return false }
        // Where it waits without a place, this host itself was late.
        return room > 0 || queuesBehind
    }

    /// Its fire is skipped: earlier runs use up the job's concurrency.
    fileprivate var asOverlap: CursorMove {
        let overlap = FireRange(reason: .overlap, first: fireTime, last: fireTime, count: 1)
        return CursorMove(
            job: job, expectedCursor: expectedCursor, newCursor: newCursor, scheduleText: scheduleText,
            ranges: ranges.filter { $0.first < fireTime } + [overlap] + ranges.filter { $0.first >= fireTime })
    }
}
