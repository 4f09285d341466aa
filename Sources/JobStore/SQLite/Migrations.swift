import SQL

/// One numbered step of the schema. Never changed once released: a later version is a new step.
struct Migration: Sendable {
    var version: Int64
    var name: String
    var script: String
    /// The oldest format whose programs may go on beside this one, where several hosts share a store. nil: this one
    /// alone. Read by programs from format 10 on.
    var compatible: Int64?
}

enum Migrations {
    /// "jobh": what `file` and SQLite's header call this format, so that no other program's
    /// file is ever taken for ours.
    static let applicationID: Int64 = 0x6A6F_6268

    static let all = [
        Migration(version: 1, name: "runs, ledger, per-job rows, inbox", script: v1),
        Migration(version: 2, name: "a pause has a reason of its own", script: v2),
        Migration(version: 3, name: "what takes two persons", script: v3),
        Migration(version: 4, name: "rates of jobs", script: v4),
        Migration(version: 5, name: "a run knows whether it may be tried again", script: v5),
        Migration(version: 6, name: "what is enqueued may expire", script: v6),
        Migration(version: 7, name: "what ended lately", script: v7),
        Migration(version: 8, name: "what did not run lately", script: v8),
    ]
    static var newest: Int64 { all.map(\.version).max() ?? 0 }

    private static let v4 = """
        -- What was claimed lately of jobs with a rate: few rows, gone when they count no longer.
        CREATE TABLE rate_takes (
            job  TEXT    NOT NULL,
            at   INTEGER NOT NULL,
            runs INTEGER NOT NULL,
            PRIMARY KEY (job, at)
        ) STRICT, WITHOUT ROWID;
        """

    // Instants are microseconds since 1970-01-01T00:00:00Z unless the column says `_ms`.
    private static let v1 = """
        -- One row per run. The hot indexes are partial: a run leaves them when it ends, so their
        -- size is that of the work at hand, not of the history. Their conditions avoid IN with
        -- more than two values, and there is no CHECK on the words: SQLite builds a table for
        -- each such list at every insert, which doubled the cost of a claim.
        CREATE TABLE runs (
            id              INTEGER PRIMARY KEY,          -- from sequences: never reused
            job             TEXT    NOT NULL,
            trigger         TEXT    NOT NULL,             -- schedule catch_up manual enqueued backfill retry_of start after
            state           TEXT    NOT NULL,             -- scheduled available running retryable | succeeded cancelled discarded skipped missed
            outcome         TEXT,                         -- of the last ended attempt
            fire_time       INTEGER NOT NULL,             -- nominal
            available_at    INTEGER NOT NULL,             -- may start from here on
            rank            INTEGER NOT NULL,             -- available_at less one minute per priority: smallest first
            created_at      INTEGER NOT NULL,
            started_at      INTEGER,
            finished_at     INTEGER,                      -- set exactly in the states that end a run
            lease_until     INTEGER,
            attempt         INTEGER NOT NULL,             -- claimed so far
            max_attempts    INTEGER NOT NULL,
            priority        INTEGER NOT NULL,
            fence           INTEGER NOT NULL DEFAULT 0,   -- of the newest claim, from sequences
            owner           TEXT    NOT NULL DEFAULT '',  -- host of the newest claim
            epoch           TEXT    NOT NULL DEFAULT '',  -- that host's life
            pid             INTEGER NOT NULL DEFAULT 0,
            library_hash    TEXT    NOT NULL DEFAULT '',
            generation      INTEGER NOT NULL DEFAULT 0,
            reason          TEXT    NOT NULL DEFAULT '',
            code            INTEGER NOT NULL DEFAULT 0,
            items           INTEGER NOT NULL DEFAULT 0,
            cpu_us          INTEGER NOT NULL DEFAULT 0,
            unique_key      TEXT,
            idempotency_key TEXT    NOT NULL,
            retry_of        INTEGER,
            payload         TEXT    NOT NULL DEFAULT ''
        ) STRICT;
        CREATE INDEX runs_job ON runs (job);
        -- Belt and braces beside the cursor: no due time has two live rows.
        CREATE UNIQUE INDEX runs_fire ON runs (job, fire_time)
            WHERE trigger IN ('schedule', 'catch_up') AND finished_at IS NULL;
        CREATE UNIQUE INDEX runs_unique_key ON runs (job, unique_key)
            WHERE unique_key IS NOT NULL AND finished_at IS NULL;
        CREATE INDEX runs_ready ON runs (job, rank, available_at) WHERE state = 'available';
        CREATE INDEX runs_ready_since ON runs (available_at, job) WHERE state = 'available';
        CREATE INDEX runs_later ON runs (available_at, job) WHERE state IN ('scheduled', 'retryable');
        CREATE INDEX runs_running ON runs (job) WHERE state = 'running';
        CREATE INDEX runs_dead ON runs (job) WHERE state = 'discarded';
        CREATE INDEX runs_retry_of ON runs (retry_of) WHERE retry_of IS NOT NULL;

        -- Earlier attempts of runs that were tried again.
        CREATE TABLE attempts (
            run          INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
            attempt      INTEGER NOT NULL,
            outcome      TEXT    NOT NULL,
            started_at   INTEGER,
            finished_at  INTEGER NOT NULL,
            pid          INTEGER NOT NULL,
            library_hash TEXT    NOT NULL,
            reason       TEXT    NOT NULL,
            code         INTEGER NOT NULL,
            PRIMARY KEY (run, attempt)
        ) STRICT, WITHOUT ROWID;

        -- Consecutive due times that ended without an attempt, for one reason.
        CREATE TABLE ledger_ranges (
            id     INTEGER PRIMARY KEY,
            job    TEXT    NOT NULL,
            reason TEXT    NOT NULL,
            first  INTEGER NOT NULL,
            last   INTEGER NOT NULL CHECK (last >= first),
            count  INTEGER NOT NULL CHECK (count > 0)
        ) STRICT;
        CREATE INDEX ledger_ranges_job ON ledger_ranges (job, last);

        -- How far each schedule is accounted for, and what is kept of a job over restarts.
        CREATE TABLE job_states (
            job           TEXT PRIMARY KEY,
            cursor        INTEGER,
            schedule      TEXT NOT NULL DEFAULT '',
            adaptive_us   INTEGER,
            last_finished INTEGER,
            last_outcome  TEXT,
            open_range    INTEGER                          -- the ledger_ranges row that is the newest entry
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE breakers (
            job        TEXT PRIMARY KEY,
            generation INTEGER NOT NULL,
            data       TEXT    NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        -- Operators' decisions over the config; job '' is the host itself.
        CREATE TABLE controls (
            job     TEXT PRIMARY KEY,
            enabled INTEGER,
            paused  INTEGER NOT NULL,
            reason  TEXT    NOT NULL,
            since   INTEGER
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE state_blobs (
            job        TEXT PRIMARY KEY,
            version    INTEGER NOT NULL,
            bytes      BLOB    NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT;

        -- Outcomes per job since ever; outlives the rows of runs.
        CREATE TABLE counters (
            job   TEXT    NOT NULL,
            name  TEXT    NOT NULL,
            value INTEGER NOT NULL,
            PRIMARY KEY (job, name)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE audit (
            id     INTEGER PRIMARY KEY,
            at     INTEGER NOT NULL,
            actor  TEXT    NOT NULL,
            via    TEXT    NOT NULL,
            reason TEXT    NOT NULL,
            action TEXT    NOT NULL,
            job    TEXT,
            detail TEXT    NOT NULL
        ) STRICT;
        CREATE INDEX audit_job ON audit (job) WHERE job IS NOT NULL;

        CREATE TABLE accepted_libraries (
            plugin      TEXT PRIMARY KEY,
            sha256      TEXT    NOT NULL,
            path        TEXT    NOT NULL,
            accepted_at INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE reloads (
            id         INTEGER PRIMARY KEY,
            generation INTEGER NOT NULL,
            at         INTEGER NOT NULL,
            accepted   INTEGER NOT NULL,
            report     TEXT    NOT NULL
        ) STRICT;

        CREATE TABLE workers (
            host       TEXT    NOT NULL,
            pid        INTEGER NOT NULL,
            start_time INTEGER NOT NULL,                  -- field 22 of /proc/PID/stat, as a bit pattern
            boot_id    TEXT    NOT NULL,
            plugin     TEXT    NOT NULL,
            PRIMARY KEY (host, pid)
        ) STRICT;

        CREATE TABLE sequences (
            name  TEXT PRIMARY KEY,
            value INTEGER NOT NULL                        -- the newest number given out
        ) STRICT, WITHOUT ROWID;
        INSERT INTO sequences (name, value) VALUES ('run', 0), ('fence', 0);

        -- The door for other programs, in a transaction of their own:
        --     INSERT INTO enqueue_inbox (job, payload) VALUES ('mint', '{"assetId": 7, "size": 3}');
        -- The host turns the row into a run within moments and deletes it here. A row that it
        -- cannot use (no such job, payload not JSON) stays, with the reason in `refused`; set
        -- `refused` to NULL to have it looked at again.
        CREATE TABLE enqueue_inbox (
            id            INTEGER PRIMARY KEY,
            job           TEXT    NOT NULL,
            payload       TEXT,                           -- JSON; NULL: none
            unique_key    TEXT,                           -- while a run of the job with it is live, further rows change nothing
            priority      INTEGER NOT NULL DEFAULT 0,     -- higher first
            run_at_ms     INTEGER,                        -- milliseconds since 1970; NULL: now
            created_at_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
            refused       TEXT
        ) STRICT;
        CREATE INDEX enqueue_inbox_new ON enqueue_inbox (id) WHERE refused IS NULL;
        """

    /// What was one reason for both was that of the newest decision: of a pause, where there is one.
    private static let v2 = """
        ALTER TABLE controls ADD COLUMN pause_reason TEXT NOT NULL DEFAULT '';
        ALTER TABLE controls ADD COLUMN paused_since INTEGER;
        UPDATE controls SET pause_reason = reason, paused_since = since WHERE paused <> 0;
        UPDATE controls SET reason = '', since = NULL WHERE enabled IS NULL;
        """

    private static let v3 = """
        CREATE TABLE asks (
            id         INTEGER PRIMARY KEY,
            job        TEXT    NOT NULL,
            action     TEXT    NOT NULL,                  -- for people
            command    TEXT    NOT NULL,                  -- JSON: what is done when it is approved
            asked_by   TEXT    NOT NULL,
            reason     TEXT    NOT NULL,
            asked_at   INTEGER NOT NULL,
            decision   TEXT,                              -- approved refused withdrawn; NULL: none yet
            decided_by TEXT    NOT NULL,
            decided_at INTEGER
        ) STRICT;
        """

    private static let v5 = """
        -- 1: its entry is idempotent, so that an attempt whose end nobody knows may be tried again; NULL: not known.
        ALTER TABLE runs ADD COLUMN idempotent INTEGER;
        """

    private static let v6 = """
        -- From when on an enqueued run is not started any more; NULL: whenever there is room.
        ALTER TABLE runs ADD COLUMN expires_at INTEGER;
        CREATE INDEX runs_expiring ON runs (expires_at) WHERE expires_at IS NOT NULL AND finished_at IS NULL;
        -- Milliseconds since 1970; NULL: as the job's `expires_after` says.
        ALTER TABLE enqueue_inbox ADD COLUMN expires_at_ms INTEGER;
        """

    private static let v7 = """
        -- What ended since an instant, for those who were away.
        CREATE INDEX runs_ended ON runs (finished_at) WHERE finished_at IS NOT NULL;
        """

    private static let v8 = """
        -- Of all jobs, by time: for pages of them, a timeline, and those who were away.
        CREATE INDEX ledger_ranges_last ON ledger_ranges (last);
        """
}

extension Migrations {
    /// Throws `incompatible` for a file of another program or of a newer version. Returns
    /// whether the file is empty.
    @discardableResult
    static func refuseForeign(_ connection: SQLiteConnection, newest: Int64 = Migrations.newest) throws -> Bool {
        let application = try connection.first("PRAGMA application_id") { try $0.int64(0) } ?? 0
        let version = try connection.first("PRAGMA user_version") { try $0.int64(0) } ?? 0
        let objects = try connection.first("SELECT count(*) FROM sqlite_schema") { try $0.int64(0) } ?? 0
        if application == 0 && version == 0 && objects == 0 { return true }
        guard application == applicationID else {
            throw StoreError(
                .incompatible,
                "\(connection.path) is a database of another program (application id \(application), \(objects) tables and indexes): give the store a file of its own")
        }
        guard version <= newest else {
            throw StoreError(
                .incompatible,
                "\(connection.path) has format \(version) and this program knows formats up to \(newest): it was written by a newer version")
        }
        return false
    }

    /// Brings the file to the newest version. Each step commits with its own record, so an
    /// interruption leaves the version before or after it, never between.
    static func apply(_ steps: [Migration] = all, to connection: SQLiteConnection) throws {
        func version() throws -> Int64 { try connection.first("PRAGMA user_version") { try $0.int64(0) } ?? 0 }
        let newest = steps.map(\.version).max() ?? 0
        if try !refuseForeign(connection, newest: newest), try version() == newest { return }
        try connection.transaction(.immediate) {
            // Again inside: another process may be creating the same file.
            guard try refuseForeign(connection, newest: newest) else { return }
            try connection.execute("""
                CREATE TABLE schema_migrations (
                    version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT
                """)
            try connection.run("PRAGMA application_id = \(applicationID)")
        }
        for step in steps.sorted(by: { $0.version < $1.version }) {
            try connection.transaction(.immediate) {
                guard try step.version > version() else { return }
                try connection.execute(step.script)
                try connection.run(
                    "INSERT INTO schema_migrations VALUES (?, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
                    [.int(step.version), .text(step.name)])
                try connection.run("PRAGMA user_version = \(step.version)")
            }
        }
    }
}
