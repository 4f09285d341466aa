extension PostgresMigrations {
    /// The parameters are as they were, so each function stays the one it was, and who may call it with it.
    static let doors = """
        -- What ended since an instant, for those who were away.
        CREATE INDEX runs_ended ON {s}.runs (finished_at) WHERE finished_at IS NOT NULL;

        CREATE OR REPLACE FUNCTION {s}.enqueue(
            job text, payload text DEFAULT NULL, unique_key text DEFAULT NULL, priority integer DEFAULT 0,
            run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL
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
            IF octet_length(unique_key) NOT BETWEEN 1 AND 512 THEN
                RAISE EXCEPTION 'enqueue: a unique key has 1 to 512 bytes; this one has %', octet_length(unique_key)
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF NOT isfinite(run_at) THEN
                RAISE EXCEPTION 'enqueue: run_at is %: give an instant, or NULL for now', run_at USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF NOT isfinite(expires_at) THEN
                RAISE EXCEPTION 'enqueue: expires_at is %: give an instant, or NULL for as long as the job says', expires_at
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF expires_at <= run_at THEN
                RAISE EXCEPTION 'enqueue: it expires at %, which is not after %, when it is to run', expires_at, run_at
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            INSERT INTO enqueue_inbox AS i (job, payload, unique_key, priority, run_at_ms, expires_at_ms)
            VALUES ($1, $2::json, $3, $4, (extract(epoch FROM run_at) * 1000)::bigint, (extract(epoch FROM expires_at) * 1000)::bigint)
            RETURNING i.id INTO row_id;
            PERFORM hint();
            RETURN row_id;
        END
        $body$;

        -- `payloads` NULL has no element, as an aggregate of no rows.
        CREATE OR REPLACE FUNCTION {s}.enqueue_many(
            job text, payloads text[], priority integer DEFAULT 0, unique_keys text[] DEFAULT NULL,
            run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
            run_ats timestamptz[] DEFAULT NULL, expires_ats timestamptz[] DEFAULT NULL
        ) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = {s}, pg_temp AS $body$
        DECLARE
            rows bigint;
            wanted integer := coalesce(cardinality(payloads), 0);
            place bigint;
        BEGIN
            IF job IS NULL OR job = '' THEN
                RAISE EXCEPTION 'enqueue: the job has no name' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF cardinality(unique_keys) <> wanted OR cardinality(run_ats) <> wanted OR cardinality(expires_ats) <> wanted THEN
                RAISE EXCEPTION 'enqueue: there are % payloads, and % unique_keys, % run_ats, % expires_ats: as many, or no array',
                    wanted, cardinality(unique_keys), cardinality(run_ats), cardinality(expires_ats)
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF EXISTS (SELECT FROM unnest(payloads) p WHERE octet_length(p) > 262144) THEN
                RAISE EXCEPTION 'enqueue: a payload is too large; at most 262144 bytes are allowed'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            SELECT u.i INTO place FROM unnest(unique_keys) WITH ORDINALITY AS u(key, i)
            WHERE octet_length(u.key) NOT BETWEEN 1 AND 512 LIMIT 1;
            IF place IS NOT NULL THEN
                RAISE EXCEPTION 'enqueue: a unique key has 1 to 512 bytes; that of element % has another length', place
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            IF NOT isfinite(run_at) OR NOT isfinite(expires_at)
                OR EXISTS (SELECT FROM unnest(run_ats || expires_ats) t WHERE NOT isfinite(t)) THEN
                RAISE EXCEPTION 'enqueue: a time is infinity: give instants, or NULL' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            SELECT u.i INTO place FROM unnest(payloads, run_ats, expires_ats) WITH ORDINALITY AS u(p, run, expires, i)
            WHERE coalesce(u.expires, $6) <= coalesce(u.run, $5) LIMIT 1;
            IF place IS NOT NULL THEN
                RAISE EXCEPTION 'enqueue: element % expires before it is to run', place USING ERRCODE = 'invalid_parameter_value';
            END IF;
            INSERT INTO enqueue_inbox (job, payload, unique_key, priority, run_at_ms, expires_at_ms)
            SELECT $1, u.p::json, u.key, $3, (extract(epoch FROM coalesce(u.run, $5)) * 1000)::bigint,
                (extract(epoch FROM coalesce(u.expires, $6)) * 1000)::bigint
            FROM unnest(payloads, unique_keys, run_ats, expires_ats) WITH ORDINALITY AS u(p, key, run, expires, i) ORDER BY u.i;
            GET DIAGNOSTICS rows = ROW_COUNT;
            PERFORM hint();
            RETURN rows;
        END
        $body$;
        """
}
