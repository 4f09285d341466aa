import JobCore
import SQL
import Synchronization

/// The ledger in PostgreSQL, beside other hosts: batches are one statement each.
///
/// Transactions are READ COMMITTED: every guard (cursor, fence, state) stands in the statement that
/// writes, which waits for another host's and looks again. Confined to its connection's thread.
final class PostgresLedger: Ledger {
    let connection: PostgresConnection
    /// Whose counters these are.
    let host: String
    let schema: String
    private let schemaName: String
    /// What outlives a connection.
    let session: PostgresMembership
    var forUpdate: String { " FOR UPDATE" }
    var forUpdateOfFree: String { " FOR UPDATE SKIP LOCKED" }
    var prunable: String {
        "owner NOT IN (SELECT name FROM \(schema)hosts WHERE lease_until > \(Self.clock) AND name <> '\(host.replacing("'", with: "''"))')"
    }
    /// Counted in this transaction, written at its end: so their rows are locked for a moment only.
    private var tally = Tally()
    /// The lease was looked at in this transaction, and is held until its end.
    var hasShownLease = false
    /// The database's clock at the first question of this transaction; nil: it has not been asked.
    var clockNow: Instant?
    /// A newer host has changed the format since this one opened the store: it ends what it has under way, and
    /// claims nothing.
    var newerFormat: StoreError? {
        get { session.newerFormat }
        set { session.newerFormat = newValue }
    }
    /// The life of the connection in which that was found.
    private var formatLife: Int?
    /// A commit's answer was lost: what looks refused may be what that commit wrote.
    var mayHaveCommitted = false
    var expiredBeside: [RunRecord] = []

    init(connection: PostgresConnection, schema: String, host: String, session: PostgresMembership) {
        self.connection = connection
        self.host = host
        self.session = session
        self.schema = PostgresMigrations.quoted(schema) + "."
        schemaName = schema
    }

    /// The database's clock, in microseconds: it rules over leases, so that no host's clock does.
    static let clock = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

    func allocate(_ name: String, _ count: Int) throws -> [Int64] {
        let sequence = name == "fence" ? "fences" : "run_ids"
        return try connection.rows(
            "SELECT nextval(?::regclass) FROM generate_series(1, ?::integer)", [.text(schema + sequence), .int(count)]
        ) { try $0.int64(0) }
    }

    func count(_ tally: Tally) throws { self.tally.add(tally) }

    /// Begins a transaction anew, after one that was rolled back too.
    func begin() {
        tally = Tally()
        hasShownLease = false
        clockNow = nil
    }

    /// A connection that was idle when it was cut is made anew without a word.
    func lookAtFormat() throws {
        guard connection.life != formatLife else { return }
        newerFormat = try PostgresMigrations.newerFormat(on: connection, schema: schemaName)
        formatLife = connection.life
    }

    /// The first that a transaction does: it locks all job rows that it will need, in the order of their
    /// names, as every host does. So no two wait for each other in a circle, and what is counted under
    /// a job's lock (its runs on all hosts, its fires that wait) stays so until the end.
    func lock(_ locks: [JobLocks]) throws {
        let jobs = Set(locks.flatMap(\.jobs)).sorted()
        let runs = locks.flatMap(\.runs).map(\.value)
        guard !jobs.isEmpty || !runs.isEmpty else { return }
        try connection.send("""
            SELECT FROM \(schema)job_states WHERE job IN (
                SELECT unnest(?::text[]) UNION SELECT job FROM \(schema)runs WHERE id = ANY (?::bigint[]))
            ORDER BY job FOR UPDATE
            """, [.text(PostgresArray(jobs).value), .text(PostgresArray(runs).value)])
    }

    /// The last that a transaction writes. In order of the keys, so that no two hosts wait for each
    /// other in a circle.
    func finish() throws {
        defer { tally = Tally() }
        guard !tally.counts.isEmpty else { return }
        var columns = PostgresColumns(3)
        for (key, count) in tally.counts.sorted(by: { $0.key < $1.key }) {
            columns[0].append(key.job)
            columns[1].append(key.name)
            columns[2].append(count)
        }
        let statement = try connection.prepare("""
            INSERT INTO \(schema)counters AS c (job, name, value, host)
            SELECT job, name, value, ? FROM unnest(?::text[], ?::text[], ?::bigint[]) AS t (job, name, value)
            ON CONFLICT (job, name, host) DO UPDATE SET value = c.value + excluded.value
            """)
        try statement.bind(host, at: 1)
        try statement.bind(columns, from: 2)
        try statement.send()
    }
}

/// What a store knows of its host, on all of its threads.
final class PostgresMembership: Sendable {
    private struct Content {
        var introduction: HostIntroduction?
        var newerFormat: StoreError?
    }
    private let content = Mutex(Content())
    /// It tells others by notifications.
    let notifies: Bool
    /// It hears them.
    let listens: Bool

    init(notifies: Bool, listens: Bool) {
        self.notifies = notifies
        self.listens = listens
    }

    /// Since the host has entered; nil: no lease is asked for.
    var introduction: HostIntroduction? {
        get { content.withLock { $0.introduction } }
        set { content.withLock { $0.introduction = newValue } }
    }
    /// What is wrong with the store's format, as whichever thread looked last has found it.
    var newerFormat: StoreError? {
        get { content.withLock { $0.newerFormat } }
        set { content.withLock { $0.newerFormat = newValue } }
    }
}

extension PostgresStatement {
    func bind(_ columns: PostgresColumns, from first: Int) throws {
        for (offset, value) in columns.values.enumerated() { try bind(value, at: first + offset) }
    }
}
