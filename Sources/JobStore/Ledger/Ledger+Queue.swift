import JobCore
import JobJSON
import SQL

// Enqueued runs: inserts, the inbox of other programs, and what operators do with runs.

extension Ledger {
    func enqueue(_ requests: [NewRun], now: Instant) throws -> [(run: RunRecord, inserted: Bool)] {
        guard !requests.isEmpty else { return [] }
        return try insertOrFind(zip(requests, allocate("run", requests.count)).map { request, id in
            Self.record(of: request, id: RunID(id), availableAt: request.fireTime, now: now)
        }, now: now)
    }

    /// With what is put on record of it.
    func enqueue(
        _ requests: [NewRun], now: Instant, audit: (([(run: RunRecord, inserted: Bool)]) -> AuditRow?)?
    ) throws -> [(run: RunRecord, inserted: Bool)] {
        let results = try enqueue(requests, now: now)
        if let row = audit?(results) { try writeAudit(row) }
        return results
    }

    func insertOrFind(_ runs: [RunRecord], now: Instant) throws -> [(run: RunRecord, inserted: Bool)] {
        guard !runs.isEmpty else { return [] }
        let inserter = try RunInserter(self)
        return try runs.map { run in
            if try inserter.insert(run) { return (run, true) }
            // What keeps it out may end between the two statements.
            for _ in 0..<3 {
                if let other = try liveRun(likewise: run) {
                    guard try isOver(other, now: now) else { return (other, false) }
                    try expire([other], now: now)
                }
                if try inserter.insert(run) { return (run, true) }
            }
            throw StoreError(.broken, "a run of \(run.job) could not be inserted")
        }
    }

    static func record(of request: NewRun, id: RunID, availableAt: Instant, now: Instant) -> RunRecord {
        var run = RunRecord(
            id: id, job: request.job, trigger: request.trigger, state: availableAt > now ? .scheduled : .available,
            outcome: nil, fireTime: request.fireTime, availableAt: availableAt, createdAt: now, startedAt: nil,
            finishedAt: nil, attempt: 0, maxAttempts: request.maxAttempts, priority: request.priority, fence: 0,
            owner: "", epoch: "", pid: 0, libraryHash: "", generation: 0, reason: "", code: 0, items: 0,
            cpuMicroseconds: 0, uniqueKey: request.uniqueKey, idempotencyKey: IdempotencyKey.of(request, id: id),
            retryOf: request.retryOf, payload: String(decoding: request.payload, as: UTF8.self))
        run.expiresAt = request.expiresAt
        return run
    }

    /// The live run that keeps `run` out: by unique key, else by due time.
    func liveRun(likewise run: RunRecord) throws -> RunRecord? {
        if let key = run.uniqueKey {
            let holder = try connection.first("""
                SELECT \(RunRow.columns) FROM \(schema)runs
                WHERE job = ? AND unique_key = ? AND unique_key IS NOT NULL AND \(StateSQL.live)
                """, [.text(run.job), .text(key)], RunRow.decode)
            if let holder { return holder }
        }
        return try connection.first("""
            SELECT \(RunRow.columns) FROM \(schema)runs
            WHERE job = ? AND fire_time = ? AND trigger IN ('schedule', 'catch_up') AND \(StateSQL.live)
            """, [.text(run.job), .int(run.fireTime.stored)], RunRow.decode)
    }

    // MARK: Inbox

    /// Of so many rows, the oldest.
    func jobsInInbox(rows: Int = 1_000) throws -> [String] {
        try connection.rows("""
            SELECT DISTINCT job FROM (SELECT job FROM \(schema)enqueue_inbox WHERE refused IS NULL ORDER BY id LIMIT \(rows)) AS oldest
            """) { try $0.text(0) }
    }

    func hasArrivals() throws -> Bool {
        try connection.first("SELECT 1 FROM \(schema)enqueue_inbox WHERE refused IS NULL LIMIT 1") { _ in true } ?? false
    }

    static func refusal(_ row: InboxRow, _ jobs: [String: InboxRule], _ now: Instant) -> String? {
        let request = row.request
        guard let rule = jobs[request.job] else { return "there is no job \"\(request.job)\"" }
        if !row.valid { return "the payload is not valid JSON" }
        // What had expired when it came is on record as such.
        let expires = row.isTimed || !request.hasExpired(row.due) ? request.expiresAt : nil
        if let problem = EnqueueBounds.problem(
            priority: request.priority, key: request.uniqueKey, due: row.due, expires: expires, now: now)
        {
            return problem
        }
        return rule.problem(row.request.payload)
    }

    /// The row stays, with the reason. What no job can take as a payload, whatever its schema, goes but for its beginning;
    /// what is left of it is none either, however often it is looked at.
    func refuse(_ row: InboxRow, _ reason: String) throws {
        guard let beginning = row.beginningOfNoPayload else {
            try connection.send("UPDATE \(schema)enqueue_inbox SET refused = ? WHERE id = ?", [.text(reason), .int(row.id)])
            return
        }
        let rest = connection.dialect == .sqlite ? beginning + "…" : InboxRow.noPayload(beginning + "…")
        try connection.send(
            "UPDATE \(schema)enqueue_inbox SET refused = ?, payload = ? WHERE id = ?", [.text(reason), .text(rest), .int(row.id)])
    }

    // MARK: Expiry

    /// It waits and its time is over: it keeps nobody out.
    func isOver(_ run: RunRecord, now: Instant) throws -> Bool {
        // The clock is not asked about those that last.
        guard run.expiresAt != nil, run.state != .running else { return false }
        return run.hasExpired(try expiryClock(now))
    }

    /// They have ended now, by this call or another host's.
    func expire(_ runs: [RunRecord], now: Instant) throws {
        guard !runs.isEmpty else { return }
        expiredBeside += try end(expired: runs, now: expiryClock(now))
    }

    func expireWaiting(limit: Int, now: Instant) throws -> [RunRecord] {
        let over = try connection.rows("""
            SELECT \(RunRow.withoutPayload) FROM \(schema)runs
            WHERE \(StateSQL.expiring) AND expires_at <= ? AND \(StateSQL.waiting) ORDER BY expires_at LIMIT ?\(forUpdateOfFree)
            """, [.int(now.stored), .int(Bounds.rows(limit))], RunRow.decode)
        return try end(expired: over, now: now)
    }

    /// Those that still waited, as they have ended.
    private func end(expired runs: [RunRecord], now: Instant) throws -> [RunRecord] {
        let end = try connection.prepare(
            "UPDATE \(schema)runs SET state = ?, reason = ?, code = ?, finished_at = ? WHERE id = ? AND \(StateSQL.waiting)")
        var tally = Tally()
        let ended = try runs.compactMap { run -> RunRecord? in
            var ended = run
            if run.attempt > 0, let last = try lastFailure(of: run.id) { (ended.reason, ended.code) = last }
            let next = RunLifecycle.afterExpiry(attempts: run.attempt, reason: ended.reason)
            (ended.state, ended.reason, ended.finishedAt, ended.payload) = (next.state, next.reason, now, "")
            try end.bind([
                .text(ended.state.rawValue), .text(ended.reason), .int(Int64(ended.code)), .int(now.stored), .int(run.id.value),
            ])
            guard try end.runAgain() == 1 else { return nil }
            tally.add(next.state == .discarded ? next.state.rawValue : next.reason, job: run.job)
            return ended
        }
        try count(tally)
        return ended
    }

    /// What its last attempt to fail said. The run's own row knows it no more once another attempt was claimed, though
    /// that may never have begun.
    private func lastFailure(of run: RunID) throws -> (reason: String, code: Int32)? {
        try connection.first(
            "SELECT reason, code FROM \(schema)attempts WHERE run = ? ORDER BY attempt DESC LIMIT 1", [.int(run.value)]
        ) { (reason: try $0.text(0), code: Int32(clamping: try $0.int64(1))) }
    }

    // MARK: Operators

    func cancelWaiting(_ run: RunID, reason: String, by actor: Actor, now: Instant) throws -> Bool {
        let job = try connection.first("""
            UPDATE \(schema)runs SET state = 'cancelled', reason = ?, finished_at = ?
            WHERE id = ? AND \(StateSQL.waiting) RETURNING job
            """, [.text(reason), .int(now.stored), .int(run.value)]
        ) { try $0.text(0) }
        guard let job else {
            guard try self.run(run) != nil else { throw Self.noSuchRun(run) }
            return false
        }
        var tally = Tally()
        tally.add(Outcome.cancelled.rawValue, job: job)
        try count(tally)
        try writeAudit(AuditRow(at: now, actor: actor, action: "cancel", job: job, detail: "run \(run)"))
        return true
    }

    func retry(_ id: RunID, by actor: Actor, now: Instant) throws -> RunRecord {
        guard let old = try run(id, forUpdate: true) else { throw Self.noSuchRun(id) }
        guard old.state.isTerminal else {
            throw StoreError(.notFound, "run \(id) is \(old.state.rawValue): only a run that has ended can be retried")
        }
        let again = try connection.first(
            "SELECT id FROM \(schema)runs WHERE retry_of = ? AND retry_of IS NOT NULL AND \(StateSQL.live)", [.int(id.value)]
        ) { RunID(try $0.int64(0)) }
        if let again { throw StoreError(.notFound, "run \(again) already retries run \(id)") }

        var request = NewRun(job: old.job, trigger: .retryOf, fireTime: old.fireTime)
        request.payload = Array(old.payload.utf8)
        request.uniqueKey = old.uniqueKey
        request.idempotencyKey = old.idempotencyKey
        request.priority = old.priority
        request.maxAttempts = old.maxAttempts
        request.retryOf = id
        let new = Self.record(of: request, id: RunID(try allocate("run", 1).first ?? 0), availableAt: now, now: now)
        guard try RunInserter(self).insert(new) else {
            throw StoreError(.notFound, "another live run of \(old.job) has the unique key \"\(old.uniqueKey ?? "")\"")
        }
        // Answered by the new run: it is no dead letter any longer. Its reason stays.
        try connection.run("UPDATE \(schema)runs SET state = 'cancelled' WHERE id = ? AND state = 'discarded'", [.int(id.value)])
        try writeAudit(AuditRow(at: now, actor: actor, action: "retry", job: old.job, detail: "run \(id) as run \(new.id)"))
        return new
    }

    func discardDead(_ run: RunID, by actor: Actor, now: Instant) throws -> Bool {
        let job = try connection.first(
            "UPDATE \(schema)runs SET state = 'cancelled' WHERE id = ? AND state = 'discarded' RETURNING job", [.int(run.value)]
        ) { try $0.text(0) }
        guard let job else { return false }
        try writeAudit(AuditRow(at: now, actor: actor, action: "discard", job: job, detail: "run \(run)"))
        return true
    }

    private static func noSuchRun(_ run: RunID) -> StoreError { StoreError(.notFound, "there is no run \(run)") }
}

/// A row that another program inserted.
struct InboxRow {
    var id: Int64
    var request: NewRun
    /// When it is to run, or came: before the `fireTime` of a row that nobody could take for a while.
    var due: Instant
    /// It says itself when it is to run.
    var isTimed: Bool
    /// Its payload is JSON.
    var valid: Bool

    static let columns = "id, job, payload, unique_key, priority, run_at_ms, expires_at_ms, created_at_ms"

    init(_ row: some SQLStatement, _ jobs: [String: InboxRule], _ now: Instant, valid: Bool) throws {
        let job = try row.text(1)
        id = try row.int64(0)
        let wanted = try row.int64OrNil(5).map { Instant(milliseconds: $0) }
        let came = min(Instant(milliseconds: try row.int64(7)), now)
        let due = wanted ?? came
        self.due = due
        isTimed = wanted != nil
        request = NewRun(job: job, trigger: .enqueued, fireTime: wanted ?? now)
        request.expiresAt = try row.int64OrNil(6).map { Instant(milliseconds: $0) } ?? jobs[job]?.expiresAfter.map { max(due, came) + $0 }
        request.payload = try row.bytesOrNil(2) ?? []
        request.uniqueKey = try row.textOrNil(3)
        request.priority = try row.count(4)
        request.maxAttempts = jobs[job]?.maxAttempts ?? 1
        self.valid = valid
    }

    /// Bytes of what is no payload that stay in a refused row.
    static let keptOfNoPayload = 1_000

    /// Of a long one that is not JSON, or beyond the bounds of all payloads; nil: it stays as it is.
    var beginningOfNoPayload: String? {
        let payload = request.payload
        var end = Self.keptOfNoPayload
        guard payload.count > end, !valid || !Self.isPayload(payload) else { return nil }
        // Not in the midst of a character.
        while end > 0, payload[end] & 0xC0 == 0x80 { end -= 1 }
        return String(decoding: payload[..<end], as: UTF8.self)
    }

    /// As PostgreSQL's column can hold it, which takes JSON alone: a string with U+0000, which no payload has.
    static func noPayload(_ text: String) -> String { JSON.string(text + "\u{0}").text }

    private static func isPayload(_ bytes: [UInt8]) -> Bool {
        bytes.count <= EnqueueBounds.longestPayload && (try? JSON(parsing: bytes)) != nil
    }
}
