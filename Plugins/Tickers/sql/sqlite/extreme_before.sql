-- The worst candidate before a trade.
-- in:  :pair INTEGER, :kind TEXT, :ts_ms INTEGER, :id INTEGER
-- out: price TEXT, ts_ms INTEGER, id INTEGER
SELECT price, ts_ms, id FROM ticker_extremes
WHERE pair_id = :pair AND kind = :kind AND (ts_ms, id) < (:ts_ms, :id) ORDER BY ts_ms DESC, id DESC LIMIT 1
