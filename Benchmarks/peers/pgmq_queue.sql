-- Messages through pgmq, from the first sent to the last one deleted, within the server: a transaction for each
-- batch of 100 that is read, and one for each that is deleted, as a consumer has it.
-- `psql -v count=COUNT -f pgmq_queue.sql URL`: messages a second.
\set QUIET on
\set ON_ERROR_STOP on
\pset tuples_only on
\pset format unaligned
SELECT set_config('bench.count', :'count', false), pgmq.create('bench') \g /dev/null
SELECT extract(epoch FROM clock_timestamp()) AS began \gset
DO $$
DECLARE
    total int := current_setting('bench.count');
    ids bigint[];
BEGIN
    FOR i IN 1 .. ceil(total / 1000.0) LOOP
        PERFORM pgmq.send_batch('bench', array_fill('1'::jsonb, ARRAY[least(1000, total - (i - 1) * 1000)]));
        COMMIT;
    END LOOP;
    LOOP
        SELECT array_agg(msg_id) INTO ids FROM pgmq.read('bench', 30, 100);
        COMMIT;
        EXIT WHEN ids IS NULL;
        PERFORM pgmq.delete('bench', ids);
        COMMIT;
    END LOOP;
END $$;
SELECT round(:count / (extract(epoch FROM clock_timestamp()) - :began));
SELECT pgmq.drop_queue('bench') \g /dev/null
