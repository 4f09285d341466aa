import SQL

/// The schema in PostgreSQL, in numbered steps. Never changed once released: a later version is a
/// new step. `{s}` stands for the schema.
///
/// Instants are microseconds since 1970-01-01T00:00:00Z, and the words are those of SQLite's tables,
/// whose comments hold here too. What differs is for many hosts: numbers come from sequences, the
/// counters have a row for each host, so that no two wait for each other's, and a run's lease is
/// that of its host, in one row.
enum PostgresMigrations {
    static let all = [
        Migration(version: 1, name: "runs, ledger, per-job rows, inbox, hosts", script: v1),
        Migration(version: 2, name: "what takes two persons", script: asks),
        Migration(version: 3, name: "several hosts at once", script: severalHosts),
        Migration(version: 4, name: "rates of jobs", script: rates),
        Migration(version: 5, name: "a run knows whether it may be tried again", script: idempotent),
        Migration(version: 6, name: "ends wait for nobody's claims", script: jobEnds),
        Migration(version: 7, name: "what is enqueued may expire", script: expiry),
        Migration(version: 8, name: "what the doors to the queue refuse, what ended lately", script: doors),
        Migration(version: 9, name: "what did not run lately", script: rangesByTime),
        Migration(version: 10, name: "who listens, what runs have done so far, beside whom a program may serve", script: together, compatible: 9),
    ]
    static var newest: Int64 { all.map(\.version).max() ?? 0 }

    private static let jobEnds = """
        -- The newest end of each job's runs, as each host saw it: a row for each host, since claims hold the job's
        -- own row of job_states until they are on the disk.
        CREATE TABLE {s}.job_ends (
            job         text   NOT NULL,
            host        text   NOT NULL,
            finished_at bigint NOT NULL,
            outcome     text   NOT NULL,
            PRIMARY KEY (job, host)
        ) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
            autovacuum_vacuum_cost_delay = 0);
        """

    private static let rangesByTime = """
        -- Of all jobs, by time: for pages of them, a timeline, and those who were away.
        CREATE INDEX ledger_ranges_last ON {s}.ledger_ranges (last, id);
        """

    private static let idempotent = """
        -- 1: its entry is idempotent, so that an attempt whose end nobody knows may be tried again; NULL: not known.
        ALTER TABLE {s}.runs ADD COLUMN idempotent bigint;
        """

    private static let asks = """
        CREATE TABLE {s}.asks (
            id         bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            job        text   NOT NULL,
            action     text   NOT NULL,
            command    text   NOT NULL,
            asked_by   text   NOT NULL,
            reason     text   NOT NULL,
            asked_at   bigint NOT NULL,
            decision   text,
            decided_by text   NOT NULL,
            decided_at bigint
        );
        """

    private static let severalHosts = """
        ALTER TABLE {s}.hosts
            ADD COLUMN since_at     bigint   NOT NULL DEFAULT 0,   -- this life of it
            ADD COLUMN version      text     NOT NULL DEFAULT '',
            ADD COLUMN labels       text     NOT NULL DEFAULT '',  -- separated by spaces
            ADD COLUMN drained      smallint NOT NULL DEFAULT 0,   -- by an operator: it starts nothing new
            ADD COLUMN drain_reason text     NOT NULL DEFAULT '';
        -- For the host that runs it, with the reason.
        ALTER TABLE {s}.runs ADD COLUMN cancel_wanted text;
        -- Who wrote it last.
        ALTER TABLE {s}.breakers ADD COLUMN host text NOT NULL DEFAULT '';
        -- Of the attempt that left it.
        ALTER TABLE {s}.state_blobs ADD COLUMN fence bigint NOT NULL DEFAULT 0;
        -- What each host serves, to tell where they differ.
        CREATE TABLE {s}.definitions (
            host    text NOT NULL,
            job     text NOT NULL,
            digest  text NOT NULL,                              -- of what the config says of it
            library text NOT NULL,                              -- SHA-256
            PRIMARY KEY (host, job)
        );
        CREATE INDEX definitions_job ON {s}.definitions (job);
        """

    private static let rates = """
        -- What was claimed lately of jobs with a rate: few rows, gone when they count no longer.
        CREATE TABLE {s}.rate_takes (
            job  text   NOT NULL,
            at   bigint NOT NULL,
            runs bigint NOT NULL,
            PRIMARY KEY (job, at)
        ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
            autovacuum_vacuum_cost_delay = 0);
        """

    private static let v1 = """
        CREATE SEQUENCE {s}.run_ids;
        CREATE SEQUENCE {s}.fences;

        CREATE TABLE {s}.runs (
            id              bigint   PRIMARY KEY,
            job             text     NOT NULL,
            trigger         text     NOT NULL,
            state           text     NOT NULL,
            outcome         text,
            fire_time       bigint   NOT NULL,
            available_at    bigint   NOT NULL,
            rank            bigint   NOT NULL,
            created_at      bigint   NOT NULL,
            started_at      bigint,
            finished_at     bigint,
            lease_until     bigint,                        -- of the claim alone; that of the host counts on
            attempt         bigint   NOT NULL,
            max_attempts    bigint   NOT NULL,
            priority        bigint   NOT NULL,
            fence           bigint   NOT NULL DEFAULT 0,
            owner           text     NOT NULL DEFAULT '',
            epoch           text     NOT NULL DEFAULT '',
            pid             integer  NOT NULL DEFAULT 0,
            library_hash    text     NOT NULL DEFAULT '',
            generation      bigint   NOT NULL DEFAULT 0,
            reason          text     NOT NULL DEFAULT '',
            code            integer  NOT NULL DEFAULT 0,
            items           bigint   NOT NULL DEFAULT 0,
            cpu_us          bigint   NOT NULL DEFAULT 0,
            unique_key      text,
            idempotency_key text     NOT NULL,
            retry_of        bigint,
            payload         text     NOT NULL DEFAULT ''
        ) WITH (
            -- A run is written three times: room on its page keeps the versions together. Vacuum by
            -- the number of dead rows and not by a share of the history, which only grows.
            fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
            autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
            autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000,
            autovacuum_vacuum_cost_delay = 1, autovacuum_vacuum_cost_limit = 2000
        );
        CREATE INDEX runs_job ON {s}.runs (job, id);
        CREATE UNIQUE INDEX runs_fire ON {s}.runs (job, fire_time)
            WHERE trigger IN ('schedule', 'catch_up') AND finished_at IS NULL;
        CREATE UNIQUE INDEX runs_unique_key ON {s}.runs (job, unique_key)
            WHERE unique_key IS NOT NULL AND finished_at IS NULL;
        -- The hot ones: a run leaves them when it ends.
        CREATE INDEX runs_ready ON {s}.runs (job, rank, id) WHERE state = 'available';
        CREATE INDEX runs_ready_since ON {s}.runs (available_at, job) WHERE state = 'available';
        CREATE INDEX runs_later ON {s}.runs (available_at, job) WHERE state IN ('scheduled', 'retryable');
        CREATE INDEX runs_running ON {s}.runs (job, owner, epoch) WHERE state = 'running';
        CREATE INDEX runs_dead ON {s}.runs (job) WHERE state = 'discarded';
        CREATE INDEX runs_retry_of ON {s}.runs (retry_of) WHERE retry_of IS NOT NULL;

        CREATE TABLE {s}.attempts (
            run          bigint  NOT NULL REFERENCES {s}.runs (id) ON DELETE CASCADE,
            attempt      bigint  NOT NULL,
            outcome      text    NOT NULL,
            started_at   bigint,
            finished_at  bigint  NOT NULL,
            pid          integer NOT NULL,
            library_hash text    NOT NULL,
            reason       text    NOT NULL,
            code         integer NOT NULL,
            PRIMARY KEY (run, attempt)
        );

        CREATE TABLE {s}.ledger_ranges (
            id     bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            job    text   NOT NULL,
            reason text   NOT NULL,
            first  bigint NOT NULL,
            last   bigint NOT NULL CHECK (last >= first),
            count  bigint NOT NULL CHECK (count > 0)
        ) WITH (fillfactor = 70);
        CREATE INDEX ledger_ranges_job ON {s}.ledger_ranges (job, last);

        -- One row per job, written at every fire: small pages' worth of room, vacuumed often.
        CREATE TABLE {s}.job_states (
            job           text PRIMARY KEY,
            cursor        bigint,
            schedule      text NOT NULL DEFAULT '',
            adaptive_us   bigint,
            last_finished bigint,
            last_outcome  text,
            open_range    bigint
        ) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
            autovacuum_vacuum_cost_delay = 0);

        CREATE TABLE {s}.breakers (
            job        text PRIMARY KEY,
            generation bigint NOT NULL,
            data       text   NOT NULL,
            updated_at bigint NOT NULL
        ) WITH (fillfactor = 50);

        CREATE TABLE {s}.controls (
            job          text PRIMARY KEY,
            enabled      smallint,
            reason       text     NOT NULL,
            since        bigint,
            paused       smallint NOT NULL,
            pause_reason text     NOT NULL,
            paused_since bigint
        );

        CREATE TABLE {s}.state_blobs (
            job        text   PRIMARY KEY,
            version    bigint NOT NULL,
            bytes      bytea  NOT NULL,
            updated_at bigint NOT NULL
        );

        CREATE TABLE {s}.counters (
            job   text   NOT NULL,
            name  text   NOT NULL,
            host  text   NOT NULL,
            value bigint NOT NULL,
            PRIMARY KEY (job, name, host)
        ) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
            autovacuum_vacuum_cost_delay = 0);

        CREATE TABLE {s}.audit (
            id     bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            at     bigint NOT NULL,
            actor  text   NOT NULL,
            via    text   NOT NULL,
            reason text   NOT NULL,
            action text   NOT NULL,
            job    text,
            detail text   NOT NULL
        );
        CREATE INDEX audit_job ON {s}.audit (job, id) WHERE job IS NOT NULL;

        CREATE TABLE {s}.accepted_libraries (
            host        text   NOT NULL,
            plugin      text   NOT NULL,
            sha256      text   NOT NULL,
            path        text   NOT NULL,
            accepted_at bigint NOT NULL,
            PRIMARY KEY (host, plugin)
        );

        CREATE TABLE {s}.reloads (
            id         bigint   PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            host       text     NOT NULL,
            generation bigint   NOT NULL,
            at         bigint   NOT NULL,
            accepted   smallint NOT NULL,
            report     text     NOT NULL
        );
        CREATE INDEX reloads_host ON {s}.reloads (host, id);

        CREATE TABLE {s}.workers (
            host       text    NOT NULL,
            pid        integer NOT NULL,
            start_time bigint  NOT NULL,
            boot_id    text    NOT NULL,
            plugin     text    NOT NULL,
            PRIMARY KEY (host, pid)
        );

        -- Who is there: one row per host, renewed by it, by the database's clock. The lease of all
        -- that a host runs.
        CREATE TABLE {s}.hosts (
            name        text   PRIMARY KEY,
            epoch       text   NOT NULL,
            place       text   NOT NULL,                   -- machine and state folder
            lease_until bigint NOT NULL,
            seen_at     bigint NOT NULL,
            skew_us     bigint NOT NULL
        ) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100);

        -- The door for other programs. Write to it by `enqueue`, or insert rows; a row that the host
        -- cannot use stays, with the reason in `refused`.
        CREATE TABLE {s}.enqueue_inbox (
            id         bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
            job        text    NOT NULL,
            payload    json,
            unique_key text,
            priority   integer NOT NULL DEFAULT 0,
            run_at_ms  bigint,
            created_at_ms bigint NOT NULL DEFAULT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,
            refused    text
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 1);
        CREATE INDEX enqueue_inbox_new ON {s}.enqueue_inbox (id) WHERE refused IS NULL;

        -- Wakes the hosts at this transaction's end. At most one message in 5 ms: every NOTIFY takes
        -- one lock of the whole server at its commit. Who comes in between is found by asking.
        CREATE SEQUENCE {s}.hinted_ms MINVALUE 0 START 0;
        CREATE FUNCTION {s}.hint() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = {s}, pg_temp AS $body$
        DECLARE
            now_ms bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
        BEGIN
            IF now_ms - (SELECT last_value FROM hinted_ms) BETWEEN 0 AND 4 THEN RETURN; END IF;
            PERFORM setval('hinted_ms', now_ms);
            PERFORM pg_notify('{c}', '');
        END
        $body$;

        -- Enqueues a run of `job` in the caller's own transaction: it exists when that commits.
        -- Returns the row's number in the inbox. A payload that is not JSON is an error.
        CREATE FUNCTION {s}.enqueue(
            job text, payload text DEFAULT NULL, unique_key text DEFAULT NULL, priority integer DEFAULT 0,
            run_at timestamptz DEFAULT NULL
        ) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = {s}, pg_temp AS $body$
        DECLARE
            row_id bigint;
        BEGIN
            IF job IS NULL OR job = '' THEN
                RAISE EXCEPTION 'enqueue: the job has no name' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF octet_length(payload) > 262144 THEN
                RAISE EXCEPTION 'enqueue: the payload has % bytes; at most 262144 are allowed', octet_length(payload)
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            INSERT INTO enqueue_inbox AS i (job, payload, unique_key, priority, run_at_ms)
            VALUES ($1, $2::json, $3, $4, (extract(epoch FROM run_at) * 1000)::bigint)
            RETURNING i.id INTO row_id;
            PERFORM hint();
            RETURN row_id;
        END
        $body$;

        -- Many runs of one job, one for each payload, in one statement. Returns how many.
        CREATE FUNCTION {s}.enqueue_many(job text, payloads text[], priority integer DEFAULT 0)
        RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = {s}, pg_temp AS $body$
        DECLARE
            rows bigint;
        BEGIN
            IF job IS NULL OR job = '' THEN
                RAISE EXCEPTION 'enqueue: the job has no name' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF EXISTS (SELECT FROM unnest(payloads) p WHERE octet_length(p) > 262144) THEN
                RAISE EXCEPTION 'enqueue: a payload is too large; at most 262144 bytes are allowed'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            INSERT INTO enqueue_inbox (job, payload, priority)
            SELECT $1, p::json, $3 FROM unnest(payloads) WITH ORDINALITY AS u(p, i) ORDER BY u.i;
            GET DIAGNOSTICS rows = ROW_COUNT;
            PERFORM hint();
            RETURN rows;
        END
        $body$;
        """
}

extension PostgresMigrations {
    /// The transaction lock under which the schema is made and changed: "jobh". It ends with its
    /// transaction, so a pooler in between and a host that dies do no harm.
    static let lock: Int64 = 0x6A6F_6268

    /// Brings `schema` to the newest version; several hosts may do so at once. Each step commits with
    /// its own record, so an interruption leaves the version before or after it, never between.
    ///
    /// Throws `incompatible` for a schema of another program or of a newer version.
    static func apply(_ steps: [Migration] = all, to connection: PostgresConnection, schema: String) throws {
        if let newer = try applyUnlessNewer(steps, to: connection, schema: schema) { throw newer }
    }

    /// The same, but returns what it says of a newer version: a host that has served the store before it lost its
    /// connection can record what it has under way all the same.
    static func applyUnlessNewer(_ steps: [Migration] = all, to connection: PostgresConnection, schema: String) throws -> StoreError? {
        do {
            try migrate(steps, connection, schema)
            return nil
        } catch let newer as NewerFormat {
            return StoreError(.incompatible, newer.description)
        }
    }

    /// The schema has the newest format that this program knows, or a newer one beside which it may serve.
    static func isUpToDate(_ connection: PostgresConnection, schema: String) throws -> Bool {
        do { return try version(connection, schema, newest: newest) >= newest } catch is NewerFormat { return false }
    }

    /// nil: this program may serve a store that demands that `version`.
    static func problem(demanded version: Int64, at address: PostgresAddress) -> StoreError? {
        version <= newest ? nil : StoreError(.incompatible, NewerFormat(version: version, known: newest, address).description)
    }

    /// nil: this program knows the schema's format.
    static func newerFormat(on connection: PostgresConnection, schema: String) throws -> StoreError? {
        do {
            _ = try version(connection, schema, newest: all.map(\.version).max() ?? 0)
            return nil
        } catch let newer as NewerFormat {
            return StoreError(.incompatible, newer.description)
        }
    }

    private struct NewerFormat: Error, CustomStringConvertible {
        let description: String
        init(version: Int64, known: Int64, _ address: PostgresAddress) {
            description =
                "the store \(address) has format \(version) and this program knows formats up to \(known): a newer version serves it; upgrade this host"
        }
    }

    private static func migrate(_ steps: [Migration], _ connection: PostgresConnection, _ schema: String) throws {
        let newest = steps.map(\.version).max() ?? 0
        if try version(connection, schema, newest: newest) >= newest { return }
        for step in [nil] + steps.sorted(by: { $0.version < $1.version }).map(Optional.some) {
            try connection.transaction(.rowLocks) {
                // A step may read all of a long history, and other hosts wait for it. But what it waits for itself holds
                // up everybody behind it.
                try connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
                try connection.run("SELECT pg_advisory_xact_lock(?)", [.int(lock)])
                try connection.execute("SET LOCAL lock_timeout = \(connection.options.lockTimeoutMilliseconds)")
                guard let step else { return try makeRecord(connection, schema, newest: newest) }
                guard try step.version > version(connection, schema, newest: newest) else { return }
                try connection.execute(filled(step.script, schema))
                // The column is as old as the first step that fills it.
                let (column, value) = step.compatible.map { (", compatible", ", \($0)") } ?? ("", "")
                try connection.run(
                    "INSERT INTO \(quoted(schema)).schema_migrations (version, name\(column)) VALUES (?, ?\(value))",
                    [.int(step.version), .text(step.name)])
            }
        }
    }

    private static func makeRecord(_ connection: PostgresConnection, _ schema: String, newest: Int64) throws {
        guard try version(connection, schema, newest: newest) == 0 else { return }
        try connection.execute("""
            CREATE SCHEMA IF NOT EXISTS \(quoted(schema));
            CREATE TABLE IF NOT EXISTS \(quoted(schema)).schema_migrations (
                version bigint PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())
            """)
    }

    /// What the newest of the schema's formats demands of a program: the format that it has to know, as SQL.
    static func demanded(_ schema: String) -> String { "SELECT max(coalesce(compatible, version)) FROM \(schema)schema_migrations" }

    /// 0: nothing of ours is there yet. Throws `NewerFormat` where a program that knows `newest` must not serve.
    static func version(_ connection: PostgresConnection, _ schema: String, newest: Int64) throws -> Int64 {
        let tables = try connection.first("""
            SELECT count(*), count(*) FILTER (WHERE c.relname = 'schema_migrations')
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ? AND c.relkind IN ('r', 'p', 'v', 'm')
            """, [.text(schema)]) { (all: try $0.int64(0), ours: try $0.int64(1)) }
        guard let tables, tables.all > 0 else { return 0 }
        guard tables.ours > 0 else {
            throw StoreError(
                .incompatible,
                "the schema \(schema) of \(connection.address) holds tables of another program: give the store a schema of its own (store.schema)")
        }
        // Older formats have no such column.
        let record = try connection.first("""
            SELECT coalesce(max(version), 0), coalesce(max(coalesce(CAST(to_jsonb(m) ->> 'compatible' AS bigint), version)), 0)
            FROM \(quoted(schema)).schema_migrations m
            """) { (version: try $0.int64(0), demanded: try $0.int64(1)) }
        let version = record?.version ?? 0
        guard record?.demanded ?? 0 <= newest else {
            throw NewerFormat(version: version, known: newest, connection.address)
        }
        return version
    }

    static func quoted(_ name: String) -> String { "\"" + name.replacing("\"", with: "\"\"") + "\"" }

    private static func filled(_ script: String, _ schema: String) -> String {
        script.replacing("{s}", with: quoted(schema)).replacing("{c}", with: schema.replacing("'", with: "''"))
    }
}
