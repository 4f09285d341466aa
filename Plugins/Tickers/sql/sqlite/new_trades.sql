-- Trades in the order in which they arrived. seq never decreases and is never used twice.
-- in:  :after INTEGER (a seq), :limit INTEGER
-- out: id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT, seq INTEGER, pair_id INTEGER
SELECT id, ts_ms, price, amount, seq, pair_id FROM trades WHERE seq > :after ORDER BY seq LIMIT :limit
