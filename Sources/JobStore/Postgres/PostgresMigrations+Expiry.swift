extension PostgresMigrations {
    /// With another list of parameters a function would stand beside the one that was there, and calls be ambiguous:
    /// so the old ones go. Who may call them stays as it was. What an application has built on an old one itself (a
    /// view, a function in SQL's own form) goes on with that, under another name.
    static let expiry = """
        -- From when on an enqueued run is not started any more; NULL: whenever there is room.
        ALTER TABLE {s}.runs ADD COLUMN expires_at bigint;
        CREATE INDEX runs_expiring ON {s}.runs (expires_at) WHERE expires_at IS NOT NULL AND finished_at IS NULL;
        -- Milliseconds since 1970; NULL: as the job's `expires_after` says.
        ALTER TABLE {s}.enqueue_inbox ADD COLUMN expires_at_ms bigint;

        ALTER FUNCTION {s}.enqueue(text, text, text, integer, timestamptz) RENAME TO enqueue_before_7;
        ALTER FUNCTION {s}.enqueue_many(text, text[], integer) RENAME TO enqueue_many_before_7;

        -- Enqueues a run of `job` in the caller's own transaction: it exists when that commits. Not started before
        -- `run_at`, nor from `expires_at` on. Returns the row's number in the inbox. A payload that is not JSON is
        -- an error.
        CREATE FUNCTION {s}.enqueue(
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

        -- Many runs of one job, one for each payload, in one statement. `unique_keys`, `run_ats` and `expires_ats` have
        -- as many elements as `payloads`, each for the payload at its place; where one is NULL, or the array is, `run_at`
        -- and `expires_at` hold. Returns how many.
        CREATE FUNCTION {s}.enqueue_many(
            job text, payloads text[], priority integer DEFAULT 0, unique_keys text[] DEFAULT NULL,
            run_at timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
            run_ats timestamptz[] DEFAULT NULL, expires_ats timestamptz[] DEFAULT NULL
        ) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = {s}, pg_temp AS $body$
        DECLARE
            rows bigint;
            wanted integer := cardinality(payloads);
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

        DO $body$
        DECLARE
            old record;
            grantee oid;
        BEGIN
            FOR old IN SELECT p.oid, p.proacl, p.proname, replace(p.proname, '_before_7', '') AS now FROM pg_proc p
                JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = '{c}' AND right(p.proname, 9) = '_before_7'
            LOOP
                IF old.proacl IS NOT NULL THEN
                    EXECUTE format('REVOKE ALL ON FUNCTION %I.%I FROM PUBLIC', '{c}', old.now);
                    FOR grantee IN SELECT a.grantee FROM aclexplode(old.proacl) a WHERE a.privilege_type = 'EXECUTE' LOOP
                        EXECUTE format('GRANT EXECUTE ON FUNCTION %I.%I TO %s', '{c}', old.now,
                            CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END);
                    END LOOP;
                END IF;
                BEGIN
                    EXECUTE format('DROP FUNCTION %s', old.oid::regprocedure);
                EXCEPTION WHEN dependent_objects_still_exist THEN
                    NULL;
                END;
            END LOOP;
        END
        $body$;
        """
}
