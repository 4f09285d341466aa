import JobCore
import SQL

/// A row of `runs` as a record.
enum RunRow {
    static let columns = """
        id, job, trigger, state, outcome, fire_time, available_at, created_at, started_at, finished_at, attempt,
        max_attempts, priority, fence, owner, epoch, pid, library_hash, generation, reason, code, items, cpu_us,
        unique_key, idempotency_key, retry_of, payload, idempotent, expires_at
        """

    /// Of many runs at once: payloads may be large.
    static let withoutPayload = columns.replacing("payload", with: "'' AS payload")

    static func decode(_ row: some SQLStatement) throws -> RunRecord {
        var run = RunRecord(
            id: RunID(try row.int64(0)), job: try row.text(1), trigger: try row.word(2), state: try row.word(3),
            outcome: try row.wordOrNil(4), fireTime: try row.instant(5), availableAt: try row.instant(6),
            createdAt: try row.instant(7), startedAt: try row.instantOrNil(8), finishedAt: try row.instantOrNil(9),
            attempt: try row.count(10), maxAttempts: try row.count(11), priority: try row.count(12),
            fence: try row.int64(13), owner: try row.text(14), epoch: try row.text(15),
            pid: Int32(clamping: try row.int64(16)), libraryHash: try row.text(17), generation: try row.int64(18),
            reason: try row.text(19), code: Int32(clamping: try row.int64(20)),
            items: UInt64(clamping: try row.int64(21)), cpuMicroseconds: try row.int64(22),
            uniqueKey: try row.textOrNil(23), idempotencyKey: try row.text(24),
            retryOf: try row.int64OrNil(25).map { RunID($0) }, payload: try row.text(26))
        run.isIdempotent = try row.int64OrNil(27).map { $0 != 0 }
        run.expiresAt = try row.instantOrNil(28)
        return run
    }
}

extension SQLStatement {
    /// A word of a closed vocabulary. A word that this program does not know is an error with
    /// the word in it, never a guess.
    func word<Word: RawRepresentable>(_ column: Int) throws -> Word where Word.RawValue == String {
        let text = try text(column)
        guard let word = Word(rawValue: text) else {
            throw StoreError(.broken, "the store holds the unknown \(columnNames[column]) \"\(text)\"")
        }
        return word
    }
    func wordOrNil<Word: RawRepresentable>(_ column: Int) throws -> Word? where Word.RawValue == String {
        isNull(column) ? nil : try word(column)
    }
    func instant(_ column: Int) throws -> Instant { Instant(microseconds: try int64(column)) }
    func instantOrNil(_ column: Int) throws -> Instant? { try int64OrNil(column).map { Instant(microseconds: $0) } }
    func count(_ column: Int) throws -> Int { Int(try int64(column)) }

    /// `run` for a loop that binds every parameter each time: keeps the bindings' memory.
    @discardableResult
    func runAgain() throws -> Int {
        defer { rewind() }
        while try step() {}
        return changes
    }
}

/// Inserts runs, one compiled statement for all ways in.
struct RunInserter<Statement: SQLStatement> {
    private let insert: Statement

    init<Book: Ledger>(_ ledger: Book) throws where Book.Connection.Statement == Statement {
        let schema = ledger.schema
        insert = try ledger.connection.prepare("""
            INSERT INTO \(schema)runs (id, job, trigger, state, fire_time, available_at, rank, created_at, lease_until, attempt,
                max_attempts, priority, fence, owner, epoch, generation, unique_key, idempotency_key, retry_of, payload,
                idempotent, expires_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO NOTHING
            """)
    }

    /// false: the due time has a live row.
    func insertFire(_ claim: FireClaim, id: RunID, fence: Int64, key: String, _ owner: Owner, _ now: Instant) throws -> Bool {
        try insert.bind(id.value, at: 1)
        try insert.bind(claim.job, at: 2)
        try insert.bind(claim.trigger.rawValue, at: 3)
        try insert.bind(claim.waits ? "available" : "running", at: 4)
        try insert.bind(claim.fireTime.stored, at: 5)
        try insert.bind(claim.fireTime.stored, at: 6)
        try insert.bind(Rank.of(availableAt: claim.fireTime, priority: claim.priority), at: 7)
        try insert.bind(now.stored, at: 8)
        try insert.bind(claim.waits ? nil : claim.leaseUntil.stored, at: 9)
        try insert.bind(Int64(claim.waits ? 0 : 1), at: 10)
        try insert.bind(Int64(claim.maxAttempts), at: 11)
        try insert.bind(Int64(claim.priority), at: 12)
        try insert.bind(claim.waits ? Int64(0) : fence, at: 13)
        try insert.bind(claim.waits ? "" : owner.host, at: 14)
        try insert.bind(claim.waits ? "" : owner.epoch, at: 15)
        try insert.bind(claim.generation, at: 16)
        try insert.bindNull(at: 17)
        try insert.bind(key, at: 18)
        try insert.bindNull(at: 19)
        try insert.bind("", at: 20)
        try insert.bind(claim.isIdempotent.stored, at: 21)
        try insert.bindNull(at: 22)
        return try insert.runAgain() == 1
    }

    /// `lease`: of one that is claimed, until when. false: a live run of the job has its unique key, or its due time.
    func insert(_ run: RunRecord, lease: Instant? = nil) throws -> Bool {
        try insert.bind(run.id.value, at: 1)
        try insert.bind(run.job, at: 2)
        try insert.bind(run.trigger.rawValue, at: 3)
        try insert.bind(run.state.rawValue, at: 4)
        try insert.bind(run.fireTime.stored, at: 5)
        try insert.bind(run.availableAt.stored, at: 6)
        try insert.bind(Rank.of(availableAt: run.availableAt, priority: run.priority), at: 7)
        try insert.bind(run.createdAt.stored, at: 8)
        try insert.bind(lease.stored, at: 9)
        try insert.bind(Int64(run.attempt), at: 10)
        try insert.bind(Int64(run.maxAttempts), at: 11)
        try insert.bind(Int64(run.priority), at: 12)
        try insert.bind(run.fence, at: 13)
        try insert.bind(run.owner, at: 14)
        try insert.bind(run.epoch, at: 15)
        try insert.bind(run.generation, at: 16)
        try insert.bind(run.uniqueKey, at: 17)
        try insert.bind(run.idempotencyKey, at: 18)
        try insert.bind(run.retryOf?.value, at: 19)
        try insert.bind(run.payload, at: 20)
        try insert.bind(run.isIdempotent.stored, at: 21)
        try insert.bind(run.expiresAt.stored, at: 22)
        return try insert.runAgain() == 1
    }
}
