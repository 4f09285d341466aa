extension PostgresMigrations {
    /// What hosts of different versions, and hosts that do not listen, must know of each other.
    static let together = """
        -- The oldest format whose programs may serve the store in this one; NULL: this one's alone.
        ALTER TABLE {s}.schema_migrations ADD COLUMN compatible bigint;
        -- 0: it hears no notifications, so that nobody sends them for it. An older program always does.
        ALTER TABLE {s}.hosts ADD COLUMN listens smallint NOT NULL DEFAULT 1;

        -- How far runs under way are, for other hosts to show. Each host writes its own, all of them in one statement
        -- and every few seconds at the most; nothing of it is worth keeping over a crash.
        CREATE UNLOGGED TABLE {s}.progress (
            run   bigint PRIMARY KEY,
            fence bigint NOT NULL,                              -- of the attempt
            host  text   NOT NULL,
            started_at bigint  NOT NULL,
            pid        integer NOT NULL,
            done  bigint NOT NULL,
            total bigint NOT NULL,
            text  text   NOT NULL
        ) WITH (fillfactor = 25, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
            autovacuum_vacuum_cost_delay = 0);

        -- Wakes the hosts at this transaction's end, if any of them listens. Every NOTIFY takes one lock of the whole
        -- server at its commit, so on the average there is at most one in 5 ms; but ten may come at once: who is
        -- counted commits later than who counted him, or never, and then nobody would have heard of the second.
        -- `hinted_ms` is up to when what was sent has used up that rate.
        CREATE OR REPLACE FUNCTION {s}.hint() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = {s}, pg_temp AS $body$
        DECLARE
            now_ms bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
            used_ms bigint := (SELECT last_value FROM hinted_ms);
        BEGIN
            -- Further ahead is a clock that was set back.
            IF used_ms - now_ms BETWEEN 46 AND 1000 THEN RETURN; END IF;
            IF (SELECT max(listens) FROM hosts WHERE lease_until > now_ms * 1000) = 0 THEN RETURN; END IF;
            PERFORM setval('hinted_ms', 5 + CASE WHEN used_ms - now_ms BETWEEN 0 AND 1000 THEN used_ms ELSE now_ms END);
            PERFORM pg_notify('{c}', '');
        END
        $body$;
        """
}
