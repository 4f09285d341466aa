-- Trades in the order in which they arrived. seq never decreases and is never used twice.
-- in:  :after INTEGER (a seq), :limit INTEGER
-- out: seq INTEGER, pair_id INTEGER, id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
SELECT seq, pair_id, id, ts_ms, price, amount FROM trades WHERE seq > :after ORDER BY seq LIMIT :limit
