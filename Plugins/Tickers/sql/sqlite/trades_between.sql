-- Trades of a pair in [from, until) that had arrived by a seq, in their order.
-- in:  :pair INTEGER, :from INTEGER, :until INTEGER, :upto INTEGER (a seq), :limit INTEGER
-- out: id INTEGER, ts_ms INTEGER, price TEXT, amount TEXT
SELECT id, ts_ms, price, amount FROM trades
WHERE pair_id = :pair AND ts_ms >= :from AND ts_ms < :until AND seq <= :upto ORDER BY ts_ms, id LIMIT :limit
