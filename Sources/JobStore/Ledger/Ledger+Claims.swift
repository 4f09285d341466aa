import JobCore
import SQL

// Cursors, claims and the ranges of fires that got no run.

extension Ledger {
    func claimFires(_ claims: [FireClaim], owner: Owner, now: Instant) throws -> [ClaimedRun?] {
        try claimOneByOne(claims, owner: owner, now: now)
    }

    func claimOneByOne(_ claims: [FireClaim], owner: Owner, now: Instant) throws -> [ClaimedRun?] {
        guard !claims.isEmpty else { return [] }
        let ids = try allocate("run", claims.count)
        let fences = try allocate("fence", claims.count)
        let cursors = try CursorWriter(self)
        let runs = try RunInserter(self)
        var tally = Tally()
        var results: [ClaimedRun?] = []
        results.reserveCapacity(claims.count)
        for (claim, (id, fence)) in zip(claims, zip(ids, fences)) {
            results.append(try claimFire(claim, id: RunID(id), fence: fence, owner, now, cursors, runs, &tally))
        }
        try count(tally)
        return results
    }

    private func claimFire(
        _ claim: FireClaim, id: RunID, fence: Int64, _ owner: Owner, _ now: Instant,
        _ cursors: CursorWriter<Connection.Statement>, _ runs: RunInserter<Connection.Statement>, _ tally: inout Tally
    ) throws -> ClaimedRun? {
        let earlier = claim.ranges.filter { $0.first < claim.fireTime }
        let later = claim.ranges.filter { $0.first >= claim.fireTime }
        // Read before the cursor's move closes it: the run row is the newest entry from then on.
        let open = earlier.isEmpty ? nil : try openRange(of: claim.job)
        guard try cursors.move(
            job: claim.job, from: claim.expectedCursor, to: claim.newCursor, schedule: claim.scheduleText)
        else { return nil }
        if !earlier.isEmpty { _ = try record(earlier, job: claim.job, after: open, &tally) }
        if !later.isEmpty { try setOpenRange(try record(later, job: claim.job, after: nil, &tally), job: claim.job) }

        let key = IdempotencyKey.fire(job: claim.job, at: claim.fireTime)
        // false: a live row of this very due time is there already (after a rewind of the
        // clock); it is the one ledger entry, and the cursor has passed it.
        guard try runs.insertFire(claim, id: id, fence: fence, key: key, owner, now) else { return nil }
        return ClaimedRun(
            id: id, job: claim.job, trigger: claim.trigger, fireTime: claim.fireTime,
            attempt: claim.waits ? 0 : 1, maxAttempts: claim.maxAttempts, fence: claim.waits ? 0 : fence,
            priority: claim.priority, idempotencyKey: key, payload: [])
    }

    func moveCursors(_ moves: [CursorMove], now: Instant) throws -> [Bool] {
        let cursors = try CursorWriter(self)
        var tally = Tally()
        let results = try moves.map { move -> Bool in
            let backward = move.expectedCursor.map { move.newCursor < $0 } ?? false
            guard !backward || move.rewind else { return false }
            let open = backward ? nil : try openRange(of: move.job)
            guard try cursors.move(
                job: move.job, from: move.expectedCursor, to: move.newCursor, schedule: move.scheduleText)
            else { return false }
            try setOpenRange(try record(move.ranges, job: move.job, after: open, &tally), job: move.job)
            if backward, let from = move.expectedCursor {
                try writeAudit(AuditRow(
                    at: now, actor: .system, action: "cursor-rewind", job: move.job,
                    detail: "from \(from.microseconds) to \(move.newCursor.microseconds) µs"))
            }
            return true
        }
        try count(tally)
        return results
    }

    // MARK: Ranges

    private func openRange(of job: String) throws -> OpenRange? {
        try connection.first("""
            SELECT r.id, r.reason, r.last FROM \(schema)job_states s JOIN \(schema)ledger_ranges r ON r.id = s.open_range
            WHERE s.job = ?
            """, [.text(job)]
        ) { OpenRange(id: try $0.int64(0), reason: try $0.text(1), last: try $0.int64(2)) }
    }

    private func setOpenRange(_ range: OpenRange?, job: String) throws {
        try connection.run(
            "UPDATE \(schema)job_states SET open_range = ? WHERE job = ? AND open_range IS DISTINCT FROM ?",
            [.int(range?.id), .text(job), .int(range?.id)])
    }

    /// Writes `ranges`, in order of time, behind `open`: one of the same reason that begins
    /// later extends it. Returns the newest entry.
    private func record(_ ranges: [FireRange], job: String, after open: OpenRange?, _ tally: inout Tally) throws -> OpenRange? {
        var open = open
        for range in ranges where range.count > 0 && range.first <= range.last {
            let first = range.first.stored
            let last = range.last.stored
            tally.add(range.reason.rawValue, job: job, range.count)
            if let newest = open, newest.reason == range.reason.rawValue, newest.last < first {
                try connection.run(
                    "UPDATE \(schema)ledger_ranges SET last = ?, count = count + ? WHERE id = ?",
                    [.int(last), .int(range.count), .int(newest.id)])
                open?.last = last
            } else {
                let id = try connection.first(
                    "INSERT INTO \(schema)ledger_ranges (job, reason, first, last, count) VALUES (?, ?, ?, ?, ?) RETURNING id",
                    [.text(job), .text(range.reason.rawValue), .int(first), .int(last), .int(range.count)]
                ) { try $0.int64(0) }
                open = id.map { OpenRange(id: $0, reason: range.reason.rawValue, last: last) }
            }
        }
        return open
    }

    // MARK: Waiting runs

    /// `begun`: what the same call has claimed otherwise, of other jobs; it comes in the order of all.
    func claimWaiting(
        _ asked: [String: WaitingLimit], owner: Owner, now: Instant, beside begun: [(rank: Int64, run: ClaimedRun)] = []
    ) throws -> WaitingClaims {
        let rooms = try rateRooms(asked.compactMapValues(\.rate), clock: now)
        var limits = asked
        for (job, limit) in asked { limits[job]?.most = min(limit.most, rooms[job]?.room ?? limit.most) }
        let found = try claimWaiting(limits: limits, owner: owner, now: now) + begun
        let runs = found.sorted { ($0.rank, $0.run.id) < ($1.rank, $1.run.id) }.map(\.run)
        let full = try noteTaken(runs.countsByJob, of: rooms, clock: now)
        return WaitingClaims(runs.noted(in: rooms), rated: full.mapValues { now + $0 }, gone: try gone(asked, of: full.keys))
    }

    private func claimWaiting(limits: [String: WaitingLimit], owner: Owner, now: Instant) throws -> [(rank: Int64, run: ClaimedRun)] {
        try promoteDue(now: now)
        var found: [(rank: Int64, run: ClaimedRun)] = []
        for job in try jobsThatWait(among: limits) {
            guard let limit = limits[job]?.most, limit > 0 else { continue }
            try found.append(contentsOf: readyRuns(of: job, limit: limit, now: now))
        }
        guard !found.isEmpty else { return [] }
        found.sort { ($0.rank, $0.run.id) < ($1.rank, $1.run.id) }

        let fences = try allocate("fence", found.count)
        let claim = try connection.prepare("""
            UPDATE \(schema)runs SET state = 'running', attempt = attempt + 1, fence = ?, owner = ?, epoch = ?, lease_until = ?,
                generation = ?, idempotent = ?, started_at = NULL, reason = '', code = 0
            WHERE id = ?
            """)
        return try zip(found, fences).map { entry, fence in
            try claim.bind(fence, at: 1)
            try claim.bind(owner.host, at: 2)
            try claim.bind(owner.epoch, at: 3)
            try claim.bind((now + Lease.first).stored, at: 4)
            let limit = limits[entry.run.job]
            try claim.bind(limit?.generation ?? 0, at: 5)
            try claim.bind(limit?.isIdempotent.stored, at: 6)
            try claim.bind(entry.run.id.value, at: 7)
            try claim.runAgain()
            var run = entry.run
            run.fence = fence
            run.attempt += 1
            return (entry.rank, run)
        }
    }

    /// scheduled and retryable runs whose time has come become available. Bounded, so that a
    /// hundred thousand of one instant do not hold up everybody's claims; the rest follow with
    /// the next call.
    private func promoteDue(now: Instant) throws {
        try connection.run("""
            UPDATE \(schema)runs SET state = 'available' WHERE id IN (
                SELECT id FROM \(schema)runs WHERE \(StateSQL.later) AND available_at <= ? ORDER BY available_at LIMIT 2000)
            """, [.int(now.stored)])
    }

    /// Jobs of `limits` that may have available runs. Found by one step in the index for each job
    /// that has some, however many runs wait; or all of `limits`, where these are no more.
    private func jobsThatWait(among limits: [String: WaitingLimit]) throws -> [String] {
        let next = try connection.prepare(
            "SELECT job FROM \(schema)runs WHERE \(StateSQL.ready) AND job > ? ORDER BY job LIMIT 1")
        var jobs: [String] = []
        while jobs.count < limits.count {
            try next.bind(jobs.last ?? "", at: 1)
            defer { next.reset() }
            guard try next.step() else { return jobs }
            jobs.append(try next.text(0))
        }
        return limits.keys.sorted()
    }

    private func readyRuns(of job: String, limit: Int, now: Instant) throws -> [(rank: Int64, run: ClaimedRun)] {
        // available_at again: a returned run may have been given a later time.
        try connection.rows("""
            SELECT rank, id, trigger, fire_time, attempt, max_attempts, priority, idempotency_key, payload, expires_at
            FROM \(schema)runs WHERE \(StateSQL.ready) AND job = ? AND available_at <= ? AND \(StateSQL.unexpired("?"))
            ORDER BY rank, id LIMIT ?
            """, [.text(job), .int(now.stored), .int(now.stored), .int(limit)]
        ) { row in
            var run = ClaimedRun(
                id: RunID(try row.int64(1)), job: job, trigger: try row.word(2),
                fireTime: Instant(microseconds: try row.int64(3)), attempt: try row.count(4),
                maxAttempts: try row.count(5), fence: 0, priority: try row.count(6),
                idempotencyKey: try row.text(7), payload: try row.bytes(8))
            run.expiresAt = try row.instantOrNil(9)
            return (try row.int64(0), run)
        }
    }

    // MARK: Claims that were not used

    func releaseClaims(_ claims: [HeldClaim], owner: Owner, now: Instant) throws {
        let release = try connection.prepare("""
            UPDATE \(schema)runs SET state = CASE WHEN available_at > ? THEN 'scheduled' ELSE 'available' END,
                attempt = CASE WHEN attempt > 0 THEN attempt - 1 ELSE 0 END, lease_until = NULL
            WHERE id = ? AND \(StateSQL.running) AND fence = ? AND owner = ? AND epoch = ?
            """)
        var released: [HeldClaim] = []
        for claim in claims {
            try release.bind([.int(now.stored), .int(claim.run.value), .int(claim.fence), .text(owner.host), .text(owner.epoch)])
            if try release.runAgain() == 1 { released.append(claim) }
        }
        try giveBackTaken(released)
    }

    func refuseClaims(_ refusals: [Refusal], owner: Owner, now: Instant) throws {
        var tally = Tally()
        for refusal in refusals {
            let (claim, reason) = (refusal.claim, refusal.reason)
            let job = try connection.first("""
                UPDATE \(schema)runs SET state = ?, reason = ?, finished_at = ?, attempt = CASE WHEN attempt > 0 THEN attempt - 1 ELSE 0 END, lease_until = NULL
                WHERE id = ? AND \(StateSQL.running) AND fence = ? AND owner = ? AND epoch = ? RETURNING job
                """, [
                    .text(reason.state.rawValue), .text(reason.rawValue), .int(now.stored),
                    .int(claim.run.value), .int(claim.fence), .text(owner.host), .text(owner.epoch),
                ]
            ) { try $0.text(0) }
            if let job { tally.add(reason.rawValue, job: job) }
        }
        try count(tally)
    }

    func renewLeases(owner: Owner, for length: Duration, now: Instant) throws {
        try connection.run(
            "UPDATE \(schema)runs SET lease_until = ? WHERE \(StateSQL.running) AND owner = ? AND epoch = ?",
            [.int((now + length).stored), .text(owner.host), .text(owner.epoch)])
    }

    func waitingFires(upTo horizon: Instant) throws -> [WaitingFire] {
        // One index each: a condition of both would read the whole table.
        try [StateSQL.ready, StateSQL.later].flatMap { condition in
            try connection.rows("""
                SELECT id, job, trigger FROM \(schema)runs
                WHERE \(condition) AND available_at <= ? AND attempt = 0 AND trigger IN ('schedule', 'catch_up')
                """, [.int(horizon.stored)]
            ) { WaitingFire(run: RunID(try $0.int64(0)), job: try $0.text(1), trigger: try $0.word(2)) }
        }
    }

    /// `host`: of that one alone; nil: of all.
    func orphans(host: String?, currentEpoch: String) throws -> [RunRecord] {
        let isTheirs = host == nil ? "" : "AND owner = ?"
        // Sorted here: for the order SQLite would walk through the whole ledger instead of the few that run.
        return try connection.rows(
            "SELECT \(RunRow.columns) FROM \(schema)runs WHERE \(StateSQL.running) AND epoch <> ? \(isTheirs)",
            [.text(currentEpoch)] + (host.map { [.text($0)] } ?? []), RunRow.decode
        ).sorted { $0.id < $1.id }
    }

    func claims(of owner: Owner) throws -> [HeldClaim] {
        try connection.rows(
            "SELECT id, job, fence FROM \(schema)runs WHERE \(StateSQL.running) AND owner = ? AND epoch = ?",
            [.text(owner.host), .text(owner.epoch)]
        ) { HeldClaim(run: RunID(try $0.int64(0)), job: try $0.text(1), fence: try $0.int64(2)) }
        .sorted { $0.run < $1.run }
    }
}

extension [ClaimedRun] {
    var countsByJob: [String: Int] { reduce(into: [:]) { $0[$1.job, default: 0] += 1 } }
}

/// The compare-and-set on a job's cursor: the guard against double fires.
struct CursorWriter<Statement: SQLStatement> {
    private let update: Statement
    private let insert: Statement

    init<Book: Ledger>(_ ledger: Book) throws where Book.Connection.Statement == Statement {
        let (connection, schema) = (ledger.connection, ledger.schema)
        // A run row becomes the newest ledger entry, so the open range closes; who adds ranges
        // without a run opens it again.
        update = try connection.prepare(
            "UPDATE \(schema)job_states SET cursor = ?, schedule = ?, open_range = NULL WHERE job = ? AND cursor IS NOT DISTINCT FROM ?")
        insert = try connection.prepare(
            "INSERT INTO \(schema)job_states (job, cursor, schedule) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
    }

    /// false: the cursor is not at `from`.
    func move(job: String, from: Instant?, to: Instant, schedule: String) throws -> Bool {
        try update.bind(to.stored, at: 1)
        try update.bind(schedule, at: 2)
        try update.bind(job, at: 3)
        try update.bind(from.stored, at: 4)
        if try update.runAgain() == 1 { return true }
        guard from == nil else { return false }
        try insert.bind(job, at: 1)
        try insert.bind(to.stored, at: 2)
        try insert.bind(schedule, at: 3)
        return try insert.runAgain() == 1
    }
}

enum Lease {
    /// How long the lease of a claimed waiting run holds before its owner has renewed it.
    static let first = Duration.seconds(60)
}

/// The job's newest ledger entry, if that is a range.
struct OpenRange {
    var id: Int64
    var reason: String
    var last: Int64
}
