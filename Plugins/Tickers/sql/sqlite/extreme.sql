-- The highest or lowest of a pair's window.
-- in:  :pair INTEGER, :kind TEXT (high, low)
-- out: price TEXT
SELECT price FROM ticker_extremes WHERE pair_id = :pair AND kind = :kind ORDER BY ts_ms, id LIMIT 1
