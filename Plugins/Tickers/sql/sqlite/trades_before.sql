-- Trades of a pair before an instant that had arrived by a seq, the newest first.
-- in:  :pair INTEGER, :until INTEGER, :upto INTEGER (a seq), :limit INTEGER
-- out: id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
SELECT id, ts_ms, price, amount FROM trades
WHERE pair_id = :pair AND ts_ms < :until AND seq <= :upto ORDER BY ts_ms DESC, id DESC LIMIT :limit
