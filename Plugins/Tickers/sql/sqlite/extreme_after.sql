-- The best candidate after a trade.
-- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER
-- out: price TEXT
SELECT price FROM ticker_extremes
WHERE pair_id = :pair AND kind = :kind AND (ts_ms, id) > (:ts_ms, :id) ORDER BY ts_ms, id LIMIT 1
